-- lunette.config: scripts/config.lua, evaluated and held against the schema.
--
-- config.read gives a flat list of settings, each with the line it stands on; defaults belong to
-- the core. Runs in a plain Lua state, in a process of its own that ends afterwards.

local config_lines = require "lunette.config_lines"
local types = require "lunette.config_types"

local config = {}

-- The schema --------------------------------------------------------------------------------------
-- name = { type, least, most } or a table of such; the types are those of lunette.config_types, and ranges
-- are in the unit that the setting is handed on in: bytes, milliseconds ("duration"), seconds ("seconds")
-- or a plain number.

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
  local kind, got, expected = types.of[spec[1]](value, spec)
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
    lines = lines or config_lines.of(source)
    return lines
  end
  local ok, err = pcall(evaluate, state, source)
  if ok then return state.settings end
  if getmetatable(err) == state then return nil, err[1] end
  err = type(err) == "string" and err or "an error that is a " .. type(err)
  return nil, err:find(name, 1, true) == 1 and err or name .. ": " .. err
end

return config
