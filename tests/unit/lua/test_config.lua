-- lunette.config: what a config.lua may say, and the sentence for everything else.
local config = require "lunette.config"
local config_lines = require "lunette.config_lines"
local types = require "lunette.config_types"

local function encode(t)
  for key, value in pairs(t) do
    if type(value) == "function" then return nil, tostring(key) .. ": a function cannot be kept" end
    if type(value) == "table" then
      local ok, why = encode(value)
      if not ok then return nil, key .. "." .. why end
    end
  end
  return "encoded"
end

local function read(source) return config.read(source, "scripts/config.lua", encode) end

local function equal(got, expected, what)
  if got ~= expected then
    error(("%s: got %s, expected %s"):format(what, tostring(got), tostring(expected)), 2)
  end
end

-- sizes and durations
for _, row in ipairs {
  { 0, 0 }, { 65536, 65536 }, { 16 * 2 ^ 20, 16777216 }, { "64K", 65536 }, { "20M", 20971520 }, { "1G", 1073741824 },
  { "12", 12 }, { 1.5 }, { -1 }, { "" }, { "K" }, { "1.5M" }, { "20MB" }, { "20m" }, { " 1" }, { "-1" }, { true },
  { "99999999999999999999" }, { "999999999999999G" }, { 1e300 }, { 0 / 0 },
} do
  equal(types.size(row[1]), row[2], "size " .. tostring(row[1]))
end
for _, row in ipairs {
  { 0, 0 }, { 30, 30000 }, { 0.25, 250 }, { "250ms", 250 }, { "30s", 30000 }, { "5m", 300000 }, { "2h", 7200000 },
  { "1d", 86400000 }, { "1.5s", 1500 }, { 0.0001, 1 }, { "30" }, { "s" }, { "-1s" }, { -1 }, { "5 m" }, { "5w" },
  { 0 / 0 }, { 1 / 0 }, { false }, { "1e9d" },
} do
  equal(types.duration(row[1]), row[2], "duration " .. tostring(row[1]))
  assert(row[2] == nil or math.type(types.duration(row[1])) == "integer")
end

-- the nearest name
for _, row in ipairs {
  { "tiemouts", "timeouts" }, { "timeout", "timeouts" }, { "wrokers", "workers" }, { "lisen", "listen" },
  { "zzzzzz" }, { "x" }, { ("a"):rep(1000) },
} do
  equal(config.nearest(row[1], { "limits", "listen", "timeouts", "workers" }), row[2], "nearest to " .. row[1])
end

-- everything that API.md shows, with its value and line
local settings = assert(read [[
-- a comment, limits = {
return {
  listen = { "127.0.0.1:8080",
             "unix:/run/site.sock" }, workers = "auto",
  user = "www", group = 33,
  limits = { header_bytes = "16K",
    headers = 100 },
  ["timeouts"] = { header = 10, cpu = "5s"; stop = 0 },
  static = { max_age = "1d", index = { "index.html" }, listing = false },
  gzip = { level = 6, types = { "text/html" } },
  log = { access = "stdout", format = "combined", error = "stderr", level = "info" },
  trusted_proxies = {}, sandbox = { read = { "/etc" } },
  secret = "s", site = { limits = 1 },
}]])
local by_name = {}
for _, s in ipairs(settings) do by_name[s.name] = s end
for name, row in pairs {
  workers = { 4, "integer", 0 }, user = { 5, "text", "www" }, group = { 5, "text", "33" },
  ["limits.header_bytes"] = { 6, "integer", 16384 }, ["limits.headers"] = { 7, "integer", 100 },
  ["timeouts.header"] = { 8, "integer", 10000 }, ["timeouts.cpu"] = { 8, "integer", 5000 },
  ["timeouts.stop"] = { 8, "integer", 0 }, ["static.max_age"] = { 9, "integer", 86400 },
  ["static.listing"] = { 9, "boolean", false }, ["site"] = { 13, "plain", "encoded" },
} do
  local s = assert(by_name[name], name)
  equal(s.line, row[1], name .. " line")
  equal(s.kind, row[2], name .. " kind")
  equal(s.value, row[3], name .. " value")
end
equal(by_name.listen.line, 3, "listen line")
equal(table.concat(by_name.listen.value, " "), "127.0.0.1:8080 unix:/run/site.sock", "listen")
equal(by_name["sandbox.read"].value[1], "/etc", "sandbox.read")
equal(by_name.secret.value[1], "s", "secret")
assert(#read "return {}" == 0)
equal(read("local t = { workers = 3 } return t")[1].value, 3, "a table made elsewhere")
equal(read("local t = { workers = 3 } return t")[1].line, 0, "has no line")

-- mistakes, with their lines
for _, row in ipairs {
  { "return {\n\n\n tiemouts = {} }", ":4: unknown key 'tiemouts' (did you mean 'timeouts'?)" },
  { "return {\n limits = {\n heders = 3 } }", ":3: unknown key 'heders' in limits (did you mean 'headers'?)" },
  { "return { cache = { zzzz = 3 } }", ":1: unknown key 'zzzz' in cache; the keys are bytes" },
  { "return {\n 5 }", ":2: unknown entry 1 (settings have names); the keys are cache, " },
  { "return { workers = 'many' }", [[:1: workers must be an integer from 1 to 256, or "auto", not "many"]] },
  { "return { workers = 0 }", ":1: workers must be an integer from 1 to 256" },
  { "return { workers = 257 }", ":1: workers must be an integer from 1 to 256" },
  { "return {\n limits = { headers = 0 } }", ":2: limits.headers must be at least 1" },
  { "return { limits = { header_bytes = '2G' } }", ":1: limits.header_bytes must be at most 1048576" },
  { "return { limits = { header_bytes = '16KB' } }", [[:1: limits.header_bytes must be a size in bytes, like 65536 or "64K", not "16KB"]] },
  { "return { limits = 5 }", ":1: limits must be a table of settings: body_bytes, " },
  { "return { timeouts = { idle = 'x' } }", [[:1: timeouts.idle must be a duration, like 30 (seconds), "250ms" or "5m", not "x"]] },
  { "return { timeouts = { idle = 0 } }", ":1: timeouts.idle must be at least 1ms" },
  { "return { timeouts = { idle = '2d' } }", ":1: timeouts.idle must be at most 86400s" },
  { "return { static = { index = 'index.html' } }", [[:1: static.index must be a list of strings, not "index.html"]] },
  { "return { static = { index = { 'a', x = 'b' } } }", ":1: static.index must be a list of strings, not a table" },
  { "return { static = { listing = 1 } }", ":1: static.listing must be true or false, not 1" },
  { "return { health = 5 }", ":1: health must be a string, not 5" },
  { "return { log = { level = 'loud' } }", [[:1: log.level must be one of "debug", "info", "warn", "error", not "loud"]] },
  { "return { listen = { 18990 } }",
    ":1: listen[1] must be a string like \"127.0.0.1:8080\", not 18990" },
  { "return { listen = { 'a:443', tls = {} } }", ":1: tls is not in this version of lunette yet" },
  { "return { listen = {} }", ":1: listen must be a list of addresses" },
  { "return { listen = 8080 }", ":1: listen must be a list of addresses, like { \"127.0.0.1:8080\" }, not 8080" },
  { "return { listen = { 'a:1',\n { 'b:2', tls = {} } } }", ":2: an address with tls is not in this version of lunette yet" },
  { "return { trusted_proxies = '10.0.0.0/8' }", [[:1: trusted_proxies must be a list of strings, not "10.0.0.0/8"]] },
  { "return { sandbox = { reed = {} } }", ":1: unknown key 'reed' in sandbox (did you mean 'read'?)" },
  { "return { user = '' }", [[:1: user must be a name or a number, not ""]] },
  { "return { site = { a = {\n b = print } } }", ":2: site.a.b: a function cannot be kept" },
  { "return { site = 5 }", ":1: site must be a table, not 5" },
  { "return 5", ": it must return a table of settings, not a number" },
  { "local x = 1", ": it must return a table of settings, not nothing" },
  { "return {", ":1: unexpected symbol near <eof>" },
  { "\n\nerror 'no'", ":3: no" },
  { "error({})", ": an error that is a table" },
  { "\n local x = nil + 1", ":2: attempt to perform arithmetic on a nil value" },
  { "\27Lua", ": attempt to load a binary chunk" },
} do
  local got, why = read(row[1])
  equal(got, nil, row[1])
  equal(why:sub(1, #"scripts/config.lua" + #row[2]), "scripts/config.lua" .. row[2], row[1])
end

-- the lines of keys, past everything that could mislead a scan
local lines = config_lines.of [==[
local a = { workers = 1 } --[[ return { workers = 2 }
]] local s = "return { \" workers = 3" .. [[
return { workers = 4 ]]
local function f() return { workers = 5 } end
return {
  log = f("}", { x = 1 }), data = a == s and "x" or "y",
  temp = (function() if a then return { workers = 6, 7 } end repeat local x, y = 1, 2; until x; for i = 1, 2 do end return {} end)(),
  workers = 8, -- workers = 9
  limits = {
    headers = a[1], ['uri_bytes'] = '\'}',
  },
}]==]
for name, line in pairs { log = 6, data = 6, temp = 7, workers = 8, limits = 9, ["limits.headers"] = 10, ["limits.uri_bytes"] = 10 } do
  equal(lines[name], line, "line of " .. name)
end
for i = 1, 400 do -- a source that is cut anywhere ends the scan
  config_lines.of(("return { a = { b = [[x]], c = 'y\\'', --[[z]] d = function() end } }"):rep(7):sub(1, i))
end

print "ok"
