-- What is another world for a site whose tests are run; loaded before the site is.
--
-- The clock of Lua's own library is that of lunette.test: os.time() and os.date() without a time tell
-- what lunette.time.now does. And app.file("data/x") and app.static("/x", "data/x"), whose paths are
-- relative to the site's folder, mean the data of the test.

local core = require "lunette.core"
local now = require "lunette.time".now
local trial = require "lunette.trial"

local time, date = os.time, os.date

function os.time(when)
    if when ~= nil then return time(when) end
    return math.floor(now())
end

function os.date(format, when)
    return date(format or "%c", when or math.floor(now()))
end

-- The path beneath data/ that path means, "" for the folder itself; nil for any other.
local function beneath_data(path)
    if not trial.data_name then return nil end
    local rest = path:gsub("^%.?/+", "")
    if rest == trial.data_name then return "" end
    local front = trial.data_name .. "/"
    return rest:sub(1, #front) == front and rest:sub(#front) or nil
end

local root, open_file = core.root, core.open_file

function core.root(dir, options)
    local inside = dir:sub(1, 1) ~= "/" and beneath_data(dir)
    return root(inside and core.data .. inside or dir, options)
end

function core.open_file(req, path, options)
    local inside = (not options or options.root == nil) and beneath_data(path)
    if not inside then return open_file(req, path, options) end
    local other = { root = root(core.data) }
    for name, value in pairs(options or {}) do other[name] = value end
    return open_file(req, inside, other)
end

return true
