-- The route option cache as a site writes it, and as response_cache.lua takes it.
--
--   cache = 60, "5m", or { ttl = 60, stale = 30, vary = {"Accept-Language"}, key = function(req),
--                          tags = {…} or function(req, res), max_age = 60 }; false for none
--
--   ttl      how long a response is kept
--   stale    how long after that it is given while one request makes the next
--   vary     names of request headers: each of their values has responses of its own, which say so
--            in Vary. What is read of a header that is named is known to be for whom it is
--   key      what else tells responses apart, a string or a number; nil: this one is not kept. What
--            was read of the visitor when it has returned, by middleware too, is taken to be in it
--   tags     by which app.purge{tag=} finds them
--   max_age  adds Cache-Control: max-age to what is kept, where the handler gave none; "private" too
--            where something of the visitor was read under a key
--
-- A setting has the same names, times in seconds, and
--   known    vary as a set
--   shared   what of the visitor (core.private_seen) may be read for answers that any cache keeps,
--            since Vary says for whom they are
--   text     the same for settings whose entries are of one kind

local core = require "lunette.core"
local errors = require "lunette.errors"
local units = require "lunette.units"

local misuse, expect = errors.misuse, errors.expect

local cache_option = {}

local TAGS_MAX, TAG_MAX = 64, 1024 -- of a response; bytes of one

local OPTIONS = { ttl = true, stale = true, vary = true, key = true, tags = true, max_age = true }

local function duration(v, what)
    local seconds = units.duration(v)
    if not seconds then
        misuse('%s must be a duration like 60 or "5m", not %s', what, errors.kind(v))
    end
    return seconds
end

-- The header names of vary in lower case, sorted, and as a set.
local function vary_names(vary, what)
    if type(vary) == "string" then vary = { vary } end
    expect(vary, "table", what .. ": cache.vary")
    local names, set = {}, {}
    for i, name in ipairs(vary) do
        expect(name, "string", ("%s: cache.vary[%d]"):format(what, i))
        if name == "*" then
            misuse('%s: cache.vary: "*" is no header: name those that the answers depend on', what)
        end
        if not name:find("^[%w!#$%%&'+.^_`|~-]+$") then
            misuse("%s: cache.vary: %q is no name of a header", what, name)
        end
        name = name:lower()
        if not set[name] then names[#names + 1] = name end
        set[name] = true
    end
    if next(vary, #names > 0 and #vary or nil) ~= nil then
        misuse("%s: cache.vary must be an array of header names", what)
    end
    table.sort(names)
    return names, set
end

-- Raises unless that is an array of tags, which it returns. what names it.
function cache_option.check_tags(tags, what)
    expect(tags, "table", what)
    for i, tag in ipairs(tags) do
        expect(tag, "string", ("%s[%d]"):format(what, i))
        if #tag > TAG_MAX then misuse("%s[%d] has more than %d bytes", what, i, TAG_MAX) end
    end
    if #tags > TAGS_MAX then misuse("%s has more than %d tags", what, TAGS_MAX) end
    return tags
end

-- What two settings have in common is not shared by their entries.
local function text_of(spec)
    return table.concat({ spec.ttl, spec.stale, spec.max_age, spec.key and "key" or "",
        table.concat(spec.vary, ",") }, " ")
end

-- The option as a setting; false for false. what names the call in messages.
function cache_option.parse(option, what)
    if option == false then return false end
    if type(option) == "number" or type(option) == "string" then option = { ttl = option } end
    expect(option, "table", what .. ": cache")
    local opts = errors.check_options(option, OPTIONS, what .. ": cache")
    if opts.ttl == nil then misuse("%s: cache.ttl is missing: how long is a response kept?", what) end
    local spec = { ttl = duration(opts.ttl, what .. ": cache.ttl"), stale = 0, max_age = 0 }
    if opts.stale then spec.stale = duration(opts.stale, what .. ": cache.stale") end
    if opts.max_age then
        spec.max_age = math.ceil(duration(opts.max_age, what .. ": cache.max_age"))
    end
    if opts.key ~= nil then expect(opts.key, "function", what .. ": cache.key") end
    if opts.tags ~= nil and type(opts.tags) ~= "function" then
        cache_option.check_tags(opts.tags, what .. ": cache.tags")
    end
    spec.key, spec.tags = opts.key, opts.tags or {}
    spec.vary, spec.known = vary_names(opts.vary or {}, what)
    spec.shared = 0
    for _, name in ipairs(spec.vary) do
        spec.shared = spec.shared | core.private_covered(name)
    end
    spec.text = text_of(spec)
    spec.fetch = { stale = spec.stale }
    return spec
end

return cache_option
