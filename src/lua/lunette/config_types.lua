-- lunette.config_types: what a setting may be. config_types.of has for each type of the schema a function
-- that takes a value, and the schema's entry, and gives the kind that the core reads and the value for it;
-- or nil for that, and what it should be.

local config_types = {}

local size_units = { [""] = 1, K = 1 << 10, M = 1 << 20, G = 1 << 30 }
local duration_units = { ms = 1, s = 1000, m = 60 * 1000, h = 3600 * 1000, d = 24 * 3600 * 1000 }

-- Bytes: an integer, an integral float, "64K", "20M", "1G". nil for anything else.
function config_types.size(value)
  if type(value) == "number" then return value >= 0 and math.tointeger(value) or nil end
  local digits, unit = tostring(value):match "^(%d+)([KMG]?)$"
  if type(value) ~= "string" or not digits or #digits > 15 then return nil end
  local bytes = math.tointeger(digits) * size_units[unit]
  return bytes // size_units[unit] == math.tointeger(digits) and bytes >= 0 and bytes or nil
end

-- Milliseconds: a number of seconds, "250ms", "30s", "5m", "2h", "1d". nil for anything else.
function config_types.duration(value)
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

local checks = {}

function checks.size(value)
  return "integer", config_types.size(value), [[a size in bytes, like 65536 or "64K"]]
end

function checks.duration(value)
  return "integer", config_types.duration(value), [[a duration, like 30 (seconds), "250ms" or "5m"]]
end

function checks.seconds(value)
  local ms = config_types.duration(value)
  return "integer", ms and ms // 1000, [[a duration, like 30 (seconds), "5m" or "1d"]]
end

function checks.integer(value)
  return "integer", integer(value), "an integer"
end

function checks.workers(value) -- 0 is "auto"
  local n = value == "auto" and 0 or integer(value)
  if n ~= 0 and (not n or n < 1 or n > 256) or value == 0 then n = nil end
  return "integer", n, [[an integer from 1 to 256, or "auto"]]
end

function checks.boolean(value)
  if type(value) ~= "boolean" then value = nil end
  return "boolean", value, "true or false"
end

function checks.string(value)
  return "text", type(value) == "string" and value ~= "" and value or nil, "a string"
end

function checks.account(value)
  if math.type(value) == "integer" then value = tostring(value) end
  return "text", type(value) == "string" and value ~= "" and value or nil, "a name or a number"
end

function checks.choice(value, spec)
  for _, choice in ipairs(spec.choices) do
    if value == choice then return "text", value end
  end
  return nil, nil, 'one of "' .. table.concat(spec.choices, '", "') .. '"'
end

function checks.strings(value)
  return "list", strings(value), "a list of strings"
end

function checks.secrets(value)
  if type(value) == "string" then value = { value } end
  return "list", strings(value), "a string, or a list of strings with the newest first"
end

function checks.addresses(value)
  local list = strings(value)
  return "list", list and list[1] and list, [[a list of addresses, like { "127.0.0.1:8080" }]]
end

function checks.sandbox(value) -- the table form is checked as a table of settings
  if type(value) ~= "boolean" then value = nil end
  return "boolean", value, "true, false, or a table with read, write and exec"
end

function checks.plain(value)
  return "plain", type(value) == "table" and value or nil, "a table"
end

config_types.of = checks
return config_types
