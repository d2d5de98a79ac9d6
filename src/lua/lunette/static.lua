-- Folders of files beside site/: the options of app.static.
--
--   max_age    seconds or a duration, for Cache-Control and Expires; config.lua's static.max_age
--   immutable  what is at a path never changes: caches never ask again. Without max_age, a year
--   index      the name of the file that a folder answers with, or an array of them
--   listing    a folder without one answers with a page of what is in it
--   download   browsers save the files, by their own names, rather than show them
--   headers    for every answer
--   fallback   the file for paths that have none. What it stands in for may appear one day, so it is
--              never immutable, and never a download

local core = require "lunette.core"
local errors = require "lunette.errors"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local static = {}

local OPTIONS = {
    max_age = true, index = true, listing = true, immutable = true, fallback = true,
    headers = true, download = true,
}

local function max_age_of(opts)
    local max_age = opts.max_age
    if max_age == nil or max_age == 0 then return max_age end
    return units.duration(max_age) or misuse(
        'app.static: max_age must be a duration like 60 or "1d", not %s', errors.kind(max_age))
end

local function index_of(opts)
    local index = opts.index
    if type(index) == "string" then index = { index } end
    if not index then return nil end
    expect(index, "table", "app.static: index")
    for _, name in ipairs(index) do expect(name, "string", "app.static: a name of index") end
    return index
end

local function open(dir, opts)
    local ok, root = pcall(core.root, dir, opts)
    return ok and root or misuse("app.static: %s", errors.text_of(root))
end

-- A folder as unrouted.lua wants it, but for where it is: { root, headers, fallback, fallback_root }.
-- Raises when it cannot be opened.
function static.new(dir, opts)
    expect(dir, "string", "app.static: the folder")
    opts = check_options(opts, OPTIONS, "app.static")
    for _, name in ipairs { "listing", "immutable", "download" } do
        if opts[name] ~= nil then expect(opts[name], "boolean", "app.static: " .. name) end
    end
    if opts.headers ~= nil then expect(opts.headers, "table", "app.static: headers") end
    if opts.fallback ~= nil then expect(opts.fallback, "string", "app.static: fallback") end
    local max_age, index = max_age_of(opts), index_of(opts)
    local folder = {
        headers = opts.headers,
        root = open(dir, {
            max_age = max_age, index = index, listing = opts.listing, immutable = opts.immutable,
            download = opts.download,
        }),
    }
    if opts.fallback then
        folder.fallback = "/" .. opts.fallback:gsub("^/+", "")
        folder.fallback_root = not opts.immutable and not opts.download and not opts.listing
            and folder.root
            or open(dir, { max_age = not opts.immutable and max_age or nil, listing = false })
    end
    return folder
end

return static
