-- lunette.config: scripts/config.lua, evaluated and held against the schema.
--
-- config.read gives a flat list of settings, each with the line it stands on; defaults belong to
-- the core. Runs in a plain Lua state, in a process of its own that ends afterwards.

local config = {}

-- The schema --------------------------------------------------------------------------------------
-- name = { type, least, most } or a table of such; ranges are in the unit that the setting is
-- handed on in: bytes, milliseconds ("duration"), seconds ("seconds") or a plain number.

local KB, MB, GB = 1 << 10, 1 << 20, 1 << 30
local DAY = 24 * 3600 * 1000

local schema = {
  listen = { "addresses" },
  workers = { "workers" },
  user = { "account" },
  group = { "account" },
  limits = {
    header_bytes = { "size", 256, MB },
    headers = { "integer", 1, 10000 },
    uri_bytes = { "size", 64, MB },
    body_bytes = { "size", 0, 1 << 50 },
    body_memory = { "size", 0, GB },
    form_fields = { "integer", 1, 100000000 },
    part_count = { "integer", 1, 1000000 },
    connections = { "integer", 1, 10000000 },
    connections_per_ip = { "integer", 1, 10000000 },
    lua_memory = { "size", 4 * MB, 1024 * GB },
    request_memory = { "size", 64 * KB, 1024 * GB },
    generations = { "integer", 2, 16 },
    linger_bytes = { "size", 0, 1024 * GB },
  },
  timeouts = {
    header = { "duration", 1, DAY },
    body = { "duration", 1, DAY },
    idle = { "duration", 1, DAY },
    send = { "duration", 1, DAY },
    handler = { "duration", 1, DAY },
    cpu = { "duration", 1, DAY },
    stop = { "duration", 0, DAY },
    linger = { "duration", 0, DAY },
  },
  static = {
    max_age = { "seconds", 0, 10 * 366 * 24 * 3600 },
    index = { "strings" },
    listing = { "boolean" },
  },
  gzip = {
    level = { "integer", 1, 9 },
    min_bytes = { "size", 0, GB },
    types = { "strings" },
  },
  cache = { bytes = { "size", MB, 1024 * GB } },
  log = {
    access = { "string" },
    format = { "choice", choices = { "combined", "json" } },
    error = { "string" },
    level = { "choice", choices = { "debug", "info", "warn", "error" } },
  },
  trusted_proxies = { "strings" },
  data = { "string" },
  temp = { "string" },
  control = { "string" },
  sandbox = {
    "sandbox", fields = { read = { "strings" }, write = { "strings" }, exec = { "strings" } },
  },
  metrics = { "string" },
  health = { "string" },
  secret = { "secrets" },
  site = { "plain" },
}

-- Types: each takes a value and gives the kind that the core reads and the value for it, or nil and
-- what it should be.

local size_units = { [""] = 1, K = KB, M = MB, G = GB }
local duration_units = { ms = 1, s = 1000, m = 60 * 1000, h = 3600 * 1000, d = DAY }

-- Bytes: an integer, an integral float, "64K", "20M", "1G". nil for anything else.
function config.size(value)
  if type(value) == "number" then return value >= 0 and math.tointeger(value) or nil end
  local digits, unit = tostring(value):match "^(%d+)([KMG]?)$"
  if type(value) ~= "string" or not digits or #digits > 15 then return nil end
  local bytes = math.tointeger(digits) * size_units[unit]
  return bytes // size_units[unit] == math.tointeger(digits) and bytes >= 0 and bytes or nil
end

-- Milliseconds: a number of seconds, "250ms", "30s", "5m", "2h", "1d". nil for anything else.
function config.duration(value)
  local number, unit = value, "s"
  if type(value) == "string" then
    number, unit = value:match "^(%d+%.?%d*)(%a+)$"
    number = tonumber(number)
  end
  if type(number) ~= "number" or not duration_units[unit] then return nil end
  local ms = number * duration_units[unit]
  if not (ms >= 0 and ms < 2 ^ 53) then return nil end
  return ms > 0 and math.max(1, math.floor(ms + 0.5)) or 0
end

-- The array of strings that value is, copied; nil when it is anything else.
local function strings(value)
  if type(value) ~= "table" then return nil end
  local list = {}
  for i = 1, #value do
    if type(value[i]) ~= "string" then return nil end
    list[i] = value[i]
  end
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then return nil end
  end
  return list
end

local function integer(value)
  return type(value) == "number" and math.tointeger(value) or nil
end

local types = {}

function types.size(value)
  return "integer", config.size(value), [[a size in bytes, like 65536 or "64K"]]
end

function types.duration(value)
  return "integer", config.duration(value), [[a duration, like 30 (seconds), "250ms" or "5m"]]
end

function types.seconds(value)
  local ms = config.duration(value)
  return "integer", ms and ms // 1000, [[a duration, like 30 (seconds), "5m" or "1d"]]
end

function types.integer(value)
  return "integer", integer(value), "an integer"
end

function types.workers(value) -- 0 is "auto"
  local n = value == "auto" and 0 or integer(value)
  if n ~= 0 and (not n or n < 1 or n > 256) or value == 0 then n = nil end
  return "integer", n, [[an integer from 1 to 256, or "auto"]]
end

function types.boolean(value)
  if type(value) ~= "boolean" then value = nil end
  return "boolean", value, "true or false"
end

function types.string(value)
  return "text", type(value) == "string" and value ~= "" and value or nil, "a string"
end

function types.account(value)
  if math.type(value) == "integer" then value = tostring(value) end
  return "text", type(value) == "string" and value ~= "" and value or nil, "a name or a number"
end

function types.choice(value, spec)
  for _, choice in ipairs(spec.choices) do
    if value == choice then return "text", value end
  end
  return nil, nil, 'one of "' .. table.concat(spec.choices, '", "') .. '"'
end

function types.strings(value)
  return "list", strings(value), "a list of strings"
end

function types.secrets(value)
  if type(value) == "string" then value = { value } end
  return "list", strings(value), "a string, or a list of strings with the newest first"
end

function types.addresses(value)
  local list = strings(value)
  return "list", list and list[1] and list, [[a list of addresses, like { "127.0.0.1:8080" }]]
end

function types.sandbox(value) -- the table form is checked as a table of settings
  if type(value) ~= "boolean" then value = nil end
  return "boolean", value, "true, false, or a table with read, write and exec"
end

function types.plain(value)
  return "plain", type(value) == "table" and value or nil, "a table"
end

-- Errors: a sentence, with the line of the key it is about ----------------------------------------

-- Letters to insert, remove, change or swap with the next to make b of a.
local function distance(a, b)
  local before, last, row = nil, {}, nil
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  return keys
end

-- The nearest of the names, or nil when none is like it; at a tie the first in the alphabet.
function config.nearest(name, names)
  local best, least = nil, math.max(1, #name // 2) + 1
  if #name > 64 then return nil end
  for _, known in ipairs(names) do
    local d = distance(name, known)
    if d < least then best, least = known, d end
  end
  return best
end

local function fail(state, path, message)
  local line = state.lines()[path]
  local place = line and state.name .. ":" .. line or state.name
  error(setmetatable({ place .. ": " .. message }, state), 0)
end

local function fail_unknown(state, path, key, known)
  local shown = type(key) == "string" and "key '" .. key:sub(1, 64) .. "'"
    or "entry " .. tostring(key) .. " (settings have names)"
  local names = sorted_keys(known)
  local near = type(key) == "string" and config.nearest(key, names)
  local where = path:match "^(.*)%.[^.]*$"
  fail(state, path, "unknown " .. shown .. (where and " in " .. where or "")
    .. (near and " (did you mean '" .. near .. "'?)"
      or "; the keys are " .. table.concat(names, ", ")))
end

local function fail_soon(state, path, what)
  fail(state, path, what .. " is not in this version of lunette yet")
end

-- Where keys stand: a small scan of the source ----------------------------------------------------

-- Words, strings and single signs, with their lines; comments are left out. The source is one that
-- Lua has accepted.
local function tokenize(source)
  local list, at, line = {}, 1, 1
  while at <= #source do
    local from, kind, text = at, nil, nil
    local comment = source:match("^%-%-()", at)
    local level = source:match("^%[(=*)%[", comment or at)
    local quote = source:match("^[\"']", at)
    if level then
      local _, stop = source:find("]" .. level .. "]", at, true)
      at, kind, text = (stop or #source) + 1, not comment and "string" or nil, ""
    elseif comment then
      at = source:find("\n", at, true) or #source + 1
    elseif quote then
      repeat
        at = source:find("[\\" .. quote .. "]", at + 1) or #source + 1
        local escaped = source:sub(at, at) == "\\"
        if escaped then at = at + 1 end
      until not escaped
      kind, text, at = "string", source:sub(from + 1, at - 1), at + 1
    else
      kind, text, at = "word", source:match("^([%w_]+)()", at)
      if not text then kind, text, at = "sign", source:sub(from, from), from + 1 end
      if text:find "^%s" then kind = nil end
    end
    if kind then list[#list + 1] = { kind = kind, text = text, line = line } end
    line = line + select(2, source:sub(from, at - 1):gsub("\n", ""))
  end
  return list
end

local deeper = { ["("] = 1, ["["] = 1, ["{"] = 1, [")"] = -1, ["]"] = -1, ["}"] = -1,
  ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1 }
local none = { kind = "end", text = "" }

local function is(token, text)
  return token ~= nil and token.kind ~= "string" and token.text == text
end

-- The index of the sign that ends the value which begins at i: a comma, a semicolon or a closing
-- brace.
local function after_value(list, i)
  local depth = 0
  while list[i] do
    local t = list[i]
    if depth == 0 and (is(t, ",") or is(t, ";") or is(t, "}")) then return i end
    if t.kind ~= "string" then depth = depth + (deeper[t.text] or 0) end
    i = i + 1
  end
  return i
end

-- Notes the fields of the table whose brace is at i; returns the index behind its closing brace.
local function scan_table(list, i, prefix, lines)
  local position = 0
  i = i + 1
  while list[i] and not is(list[i], "}") do
    local t, key = list[i], nil
    if t.kind == "word" and is(list[i + 1], "=") and not is(list[i + 2], "=") then
      key, i = t.text, i + 2
    elseif is(t, "[") and (list[i + 1] or none).kind == "string" and is(list[i + 3], "=") then
      key, i = list[i + 1].text, i + 4
    else
      position = position + 1
      key = position
    end
    lines[prefix .. key] = lines[prefix .. key] or t.line
    if is(list[i], "{") then i = scan_table(list, i, prefix .. key .. ".", lines) end
    i = after_value(list, i)
    if not is(list[i], "}") then i = i + 1 end
  end
  return i + 1
end

-- "limits.headers" → line, for the keys of the table in the last `return {`; empty where there is
-- none.
function config.lines(source)
  local list, lines, i = tokenize(source), {}, 1
  while list[i] do
    if is(list[i], "return") and is(list[i + 1], "{") then
      lines = {}
      i = scan_table(list, i + 1, "", lines)
    else
      i = i + 1
    end
  end
  return lines
end

-- Checking ----------------------------------------------------------------------------------------

local function check_range(state, path, value, spec)
  if spec[2] and value < spec[2] then fail(state, path, path .. " must be at least " .. spec[2]) end
  if spec[3] and value > spec[3] then fail(state, path, path .. " must be at most " .. spec[3]) end
end

-- Durations are written in seconds by people, and said in seconds to them.
local function check_duration(state, path, value, spec)
  if value < spec[2] then fail(state, path, path .. " must be at least " .. spec[2] .. "ms") end
  if value > spec[3] then
    fail(state, path, path .. " must be at most " .. spec[3] // 1000 .. "s")
  end
end

local function check_plain(state, path, value)
  local bytes, why = state.encode(value)
  if bytes then return bytes end
  local inner = why:match "^(.-): " or ""
  local full = inner:find "^%[" and path .. inner or path .. "." .. inner
  fail(state, (full:gsub("%[(%d+)%]", ".%1")), path .. (why:find "^%[" and "" or ".") .. why)
end

local function shown(value)
  if type(value) == "string" then return ("%q"):format(value:sub(1, 64)) end
  local scalar = type(value) == "number" or type(value) == "boolean"
  return scalar and tostring(value) or "a " .. type(value)
end

local function check_leaf(state, path, value, spec)
  local kind, got, expected = types[spec[1]](value, spec)
  if got == nil then
    fail(state, path, ("%s must be %s, not %s"):format(path, expected, shown(value)))
  end
  if spec[1] == "duration" then
    check_duration(state, path, got, spec)
  elseif kind == "integer" then
    check_range(state, path, got, spec)
  elseif kind == "plain" then
    got = check_plain(state, path, got)
  end
  state.settings[#state.settings + 1] = {
    name = path, line = state.lines()[path] or 0, kind = kind, value = got,
  }
end

-- An address may be a table one day: { "0.0.0.0:443", tls = {…} }, also given as the whole list.
local function check_addresses(state, path, list)
  if type(list) ~= "table" then return end
  if list.tls then fail_soon(state, path .. ".tls", "tls") end
  for i, entry in ipairs(list) do
    local at = path .. "." .. i
    if type(entry) == "table" then
      fail_soon(state, at, "an address with " .. (entry.tls and "tls" or "options"))
    elseif type(entry) ~= "string" then
      fail(state, at, ('%s[%d] must be a string like "127.0.0.1:8080", not %s'):format(path, i,
        shown(entry)))
    end
  end
end

local function check_table(state, prefix, given, known)
  for _, key in ipairs(sorted_keys(given)) do
    local path, value, spec = prefix .. tostring(key), given[key], known[key]
    if type(key) ~= "string" or not spec then
      fail_unknown(state, path, key, known)
    elseif spec.fields and type(value) == "table" then
      check_table(state, path .. ".", value, spec.fields)
    elseif type(spec[1]) == "string" then
      if spec[1] == "addresses" then check_addresses(state, path, value) end
      check_leaf(state, path, value, spec)
    elseif type(value) ~= "table" then
      local names = table.concat(sorted_keys(spec), ", ")
      fail(state, path, path .. " must be a table of settings: " .. names)
    else
      check_table(state, path .. ".", value, spec)
    end
  end
end

local function evaluate(state, source)
  local chunk, why = load(source, "@" .. state.name, "t")
  if not chunk then error(why, 0) end
  local given = chunk()
  if type(given) ~= "table" then
    local what = given == nil and "nothing" or "a " .. type(given)
    fail(state, "", "it must return a table of settings, not " .. what)
  end
  check_table(state, "", given, schema)
end

-- Evaluates the source of a config.lua called name ("scripts/config.lua" in messages) and checks
-- what it returns. encode(table) makes a string of `site`, or gives nil and "path: reason". Returns
-- an array of { name = "limits.headers", line = 4 or 0, kind = , value = }, sorted by name, where
-- kind is "integer", "boolean", "text", "list" (of strings) or "plain" (what encode made); or nil
-- and one sentence.
function config.read(source, name, encode)
  local state = { name = name, encode = encode, settings = {} }
  local lines
  function state.lines()
    lines = lines or config.lines(source)
    return lines
  end
  local ok, err = pcall(evaluate, state, source)
  if ok then return state.settings end
  if getmetatable(err) == state then return nil, err[1] end
  err = type(err) == "string" and err or "an error that is a " .. type(err)
  return nil, err:find(name, 1, true) == 1 and err or name .. ": " .. err
end

return config
