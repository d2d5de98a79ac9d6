-- The route option cache: whole responses, kept in the cache that all workers share.
--
-- It is the innermost of a route's middleware: all other middleware runs for every request, and
-- only the handler is spared. So what is kept is the handler's response as no middleware has touched
-- it yet. Its key is the scheme, host, port, path as sent, query string as sent, the values of the
-- `vary` headers and what key(req) gave; and the option itself, so that another one after a reload
-- finds nothing of before. Where the response has a Vary of its own, or req:accepts and the like were
-- asked on the way to it, by middleware too, the values of those headers are part of the key as well
-- (see cached.lua). GET is kept, and answers HEAD; a HEAD that finds nothing runs the handler.
--
-- A visitor's own never reaches another. C notes what is read of who asks (request_private.c):
--   before the handler   by middleware, which may have handed it on: neither looked up nor kept
--   by the handler       not kept
--   after the handler    the response is kept already, and middleware changes a copy of its own; what
--                        the cache says of the body is left out (answer_kept.c)
-- unless `vary` names the header, or key(req) tells for whom it is: what was read by the time it has
-- returned is taken to be in the key, though not what only the handler reads. Nor is an answer to a
-- request with Authorization kept, or given one, that is not Cache-Control: public (RFC 9111 §3.5);
-- a GET with a body is let through. What clients say of caching is not heard: to them this is the
-- origin.
--
-- A 404 or 410 from the cache is given without req.error, since nothing went wrong this time.
--
-- One request over all workers fills, the others wait; with `stale` they get the old response. A
-- fill that fails is passed to the next; one whose response cannot be kept is remembered as such for
-- PASS_S, so that nobody waits for what each has to make.

local core = require "lunette.core"
local cache_option = require "lunette.cache_option"
local cached = require "lunette.cached"
local errors = require "lunette.errors"
local etags = require "lunette.etags"
local response = require "lunette.response"

local misuse = errors.misuse

local response_cache = {}

local PASS_S = 10   -- for how long nobody waits for a response that cannot be kept
local FAILED_S = 1  -- and for one that failed twice in a row
local DEPTH = 4     -- markers on the way to a response
local ROUNDS = 4    -- looks that end with a response which was purged meanwhile
local OWN = "\0lunette:"

-- One request at a route with the option is an asker: { route, spec, req, handle, allowed,
-- authorised }: allowed is what may be read of it for an answer that is kept.

local own, sha256 -- lunette.cache_own, once it is needed
local scripts     -- names these scripts in keys with --dev, where whoever saves one wants to see it at once

-- Not while main.lua loads: where it is only checked there may be no cache.
local function open_modules()
    if own then return end
    own, sha256 = require "lunette.cache_own", require "lunette.crypto".sha256
    scripts = core.dev and require "lunette.crypto".token() or ""
end

-- Keys ---------------------------------------------------------------------------------------------

-- A key with the values of the named headers in it.
local function key_with(key, names, req)
    local parts = { key }
    for i, name in ipairs(names) do
        local value = core.field(req, name)
        parts[i + 1] = ("s2s4"):pack(name, value and "=" .. value or "")
    end
    return OWN .. sha256(table.concat(parts))
end

-- What a handler can read of the address beyond the host, port and path in it: a Host that says
-- something else, since a proxy's word or an absolute target goes before it, and such a target.
-- Whoever sends one must not write the links of everybody's page.
local function odd_address(req)
    local given, target = (core.field(req, "host") or ""):lower(), req.target
    if given == req.host or given == ("%s:%d"):format(req.host, req.port) then given = "" end
    if target:sub(1, 1) == "/" then target = "" end
    return ("s4s4"):pack(given, target)
end

-- The key of a request; nil where key(req) is nil, whose answer is not to be kept.
local function key_of(route, spec, req)
    local own_key = ""
    if spec.key then
        own_key = spec.key(req)
        if own_key == nil then return nil end
        if type(own_key) ~= "string" and type(own_key) ~= "number" then
            misuse("cache.key of the route at %s must return a string, a number or nil, not %s",
                route.place, errors.kind(own_key))
        end
    end
    local key = ("s4s4s4i8s4s4s4s4"):pack(scripts .. spec.text, req.scheme, req.host, req.port,
        req.raw_path, req.query_string, odd_address(req), own_key)
    return key_with(key, spec.vary, req)
end

-- The keys of stamps: of a path, without a slash at its end since /a and /a/ are one route; of a tag.
local function path_key(path) return OWN .. "p" .. sha256((path:gsub("(.)/$", "%1"))) end
local function tag_key(tag) return OWN .. "t" .. sha256(tag) end

-- Walks over the markers from a key on → the key of this request's variant, what is there, and the
-- headers whose values are in the key, as a set; nothing where there are too many markers.
local function walk(spec, req, key)
    local known = spec.known
    for _ = 1, DEPTH do
        local bytes = own.look(key)
        local names = bytes and cached.names(bytes)
        if not names then return key, bytes, known end
        known = setmetatable({}, { __index = known })
        for _, name in ipairs(names) do known[name] = true end
        key = key_with(key, names, req)
    end
    return nil
end

-- Answers ------------------------------------------------------------------------------------------

-- Whether nothing that an entry depends on was purged since.
local function is_good(entry)
    for i = 1, #entry.stamps, 2 do
        if own.stamp(entry.stamps[i]) ~= entry.stamps[i + 1] then return false end
    end
    return true
end

-- The good entry of bytes; one that is not is dropped.
local function open_entry(key, bytes)
    local entry = bytes and cached.decode(bytes)
    if entry and is_good(entry) then return entry end
    if entry then own.drop(key) end
    return nil
end

-- Tells C what is known of a body, for when it is sent.
local function keep(asker, body, tag, seen)
    local spec = asker.spec
    core.keep(asker.req, body, tag, spec.max_age, spec.shared, asker.allowed, seen)
end

-- Whether an entry may be given: not where more was read for it than is in this asker's key.
local function is_for(asker, entry)
    return entry.seen & ~asker.allowed == 0 and (entry.public or not asker.authorised)
end

-- The response of an entry, with its age (RFC 9111 §5.1).
local function serve(asker, entry)
    local req = asker.req
    for i = 1, #entry.added, 2 do
        local name, value = entry.added[i], entry.added[i + 1]
        if name == "Vary" then core.vary(req, value) else core.add_header(req, name, value) end
    end
    entry.headers.Age = entry.age + math.max(0, os.time() - entry.at)
    keep(asker, entry.body, entry.tag, entry.seen)
    return response.new(entry.status, entry.headers, entry.body)
end

-- Tells the author, once over all workers, why a route's answers are not kept.
local function warn(route, why)
    route.warned = route.warned or {}
    if route.warned[why] then return end
    route.warned[why] = true
    local text = ("%s: the answers of %s %s are not kept by its cache: %s"):format(route.place,
        route.methods[1], route.pattern.text, why)
    if own.once(OWN .. "w" .. sha256(text)) then core.log("warn", text) end
end

-- Filling ------------------------------------------------------------------------------------------

-- The tags of a response; a function may read more of the visitor than the handler did.
local function tags_of(asker, res)
    local tags = asker.spec.tags
    if type(tags) ~= "function" then return tags end
    return cache_option.check_tags(tags(asker.req, res) or {},
        ("what cache.tags of the route at %s returned"):format(asker.route.place))
end

-- The stamps that a response depends on, with their keys; nil when one was renewed since the moment
-- at which it was begun.
local function stamps_of(req, tags, serial, purges)
    local stamps, renewed = {}, false
    local function add(key)
        local stamp = own.stamp(key)
        stamps[#stamps + 1], stamps[#stamps + 2] = key, stamp
        renewed = renewed or not own.since(stamp, serial, purges)
    end
    add(path_key(req.path))
    for _, tag in ipairs(tags) do add(tag_key(tag)) end
    return not renewed and stamps or nil
end

-- A stamp that is there before the moment cannot be taken for one that was renewed later.
local function begin(asker)
    own.stamp(path_key(asker.req.path))
    if type(asker.spec.tags) == "table" then
        for _, tag in ipairs(asker.spec.tags) do own.stamp(tag_key(tag)) end
    end
    return own.moment()
end

-- How old a response is as it comes: a handler may have it from elsewhere.
local function age_of(res)
    local age = tonumber(res.headers.Age) or 0
    return age >= 0 and age < 2 ^ 31 and age // 1 | 0 or 0
end

-- The bytes of an entry; nil when it was purged while it was made.
local function encode(req, res, made, tags, tag)
    local stamps = stamps_of(req, tags, made.serial, made.purges)
    return stamps and cached.encode {
        status = res.status, headers = res.headers, added = made.added, body = res.body, tag = tag,
        at = os.time(), age = age_of(res),
        seen = core.private_seen(req), public = made.public, stamps = stamps,
    }
end

-- Judges a response, and makes an entry of one that is kept.
local function conclude(asker, res, made, mark, known)
    local route, req, why = asker.route, asker.req, nil
    local tags = cached.statuses[res.status] and tags_of(asker, res)
    made.added = core.added_since(req, mark)
    made.verdict, made.names, made.public, why = cached.judge(res, made.added,
        core.added_since(req, 0), known, core.private_seen(req) & ~asker.allowed)
    if why then warn(route, why) end
    if made.verdict ~= "keep" then return end
    local body = res.body or ""
    if #body > own.largest() then -- before it is hashed and copied, for each request
        made.verdict = "pass"
        warn(route, ("one has more than the %d bytes that it takes"):format(own.largest()))
        return
    end
    local tag = (body ~= "" or req.method == "GET") and etags.of_body(body) or ""
    keep(asker, res.body, tag, 0)
    made.value = encode(req, res, made, tags, tag)
    if not made.value then
        made.verdict = "fail"
    elseif #made.value > own.largest() then
        made.verdict = "pass"
        warn(route, ("one has more than the %d bytes that it takes"):format(own.largest()))
    end
end

-- Runs the handler → its response, and what becomes of it: { verdict, names, public, value }, as
-- cached.judge has them, value being the entry's bytes. One that was purged while it was made fails.
local function run(asker, known)
    local req = asker.req
    local made = { verdict = "fail", names = {} }
    local mark = core.added(req)
    made.serial, made.purges = begin(asker)
    core.fills(req, true)
    local res = asker.handle(req)
    core.fills(req, false)
    if not core.over(req) then conclude(asker, res, made, mark, known) end
    return res, made
end

-- What a fill gives to those who wait: a value, or nil for the next to fill, or false and for how
-- long nobody is to wait.
local function result_of(asker, key, made, passed)
    local verdict, spec = made.verdict, asker.spec
    if verdict == "fail" then
        if passed then return false, FAILED_S end
        return nil
    end
    if #made.names == 0 then
        if verdict == "keep" then return made.value end
        return false, PASS_S
    end
    local inner = key_with(key, made.names, asker.req)
    if verdict == "keep" then
        own.put(inner, made.value, spec.ttl, spec.stale)
    else
        own.pass(inner, PASS_S)
    end
    return cached.marker(made.names)
end

-- The answer to a GET: from the cache, or made for it.
local function get(asker, first)
    local spec = asker.spec
    for _ = 1, ROUNDS do
        local key, bytes, known = walk(spec, asker.req, first)
        if not key then break end
        local entry = open_entry(key, bytes)
        if entry and not is_for(asker, entry) then break end
        if entry then return serve(asker, entry) end
        local mine
        own.fetch(key, spec.ttl, function(passed)
            local made
            mine, made = run(asker, known)
            return result_of(asker, key, made, passed)
        end, spec.fetch)
        if mine then return mine end -- else there is another's now
    end
    return asker.handle(asker.req)
end

-- The same for those who may only look: HEAD, and requests with Authorization, whose answers are for
-- others when they say so.
local function look(asker, first)
    local spec, req = asker.spec, asker.req
    local key, bytes, known = walk(spec, req, first)
    if not key then return asker.handle(req) end
    local entry = open_entry(key, bytes)
    if entry and is_for(asker, entry) then return serve(asker, entry) end
    local res, made = run(asker, known)
    if made.verdict == "keep" and made.public and req.method == "GET" and not entry then
        own.put(key, result_of(asker, key, made), spec.ttl, spec.stale)
    end
    return res
end

local READS = { GET = true, HEAD = true }
local CHANGES = { POST = true, PUT = true, PATCH = true, DELETE = true }

-- Methods that change what is there take it back (RFC 9111 §4.4).
local function change(req, handle)
    local res = handle(req)
    if CHANGES[req.method] and res.status < 400 then own.renew(path_key(req.path)) end
    return res
end

-- What was read so far may be part of the key, if there is one.
local function allowed_by(spec, seen)
    return spec.key and spec.shared | seen or spec.shared
end

-- The middleware that does what the option asks for.
function response_cache.middleware(route, spec)
    local of_authorization = core.private_covered("authorization")
    return function(req, handle)
        open_modules()
        if not READS[req.method] then return change(req, handle) end
        for _, name in ipairs(spec.vary) do core.vary(req, name) end
        if core.has_body(req) then return handle(req) end
        local key = key_of(route, spec, req)
        if not key then return handle(req) end
        local seen = core.private_seen(req)
        local allowed = allowed_by(spec, seen)
        if seen & ~allowed ~= 0 then
            warn(route, cached.told("middleware", seen & ~allowed))
            return handle(req)
        end
        local asker = { route = route, spec = spec, req = req, handle = handle, allowed = allowed }
        asker.authorised = allowed & of_authorization == 0
            and core.field(req, "authorization") ~= nil
        if req.method == "HEAD" or asker.authorised then return look(asker, key) end
        return get(asker, key)
    end
end

-- app.purge ----------------------------------------------------------------------------------------

local PURGE = { tag = true }

local function decode(path)
    return (path:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- A path as in a URL, or as in req.path: both are meant.
local function purge_path(path)
    if path:sub(1, 1) ~= "/" then
        misuse('app.purge: the path %q must begin with "/"', path)
    end
    local bare = path:gsub("[?#].*", "")
    local done = {}
    for _, one in ipairs { path, decode(path), bare, decode(bare) } do
        if not done[one] then own.renew(path_key(one)) end
        done[one] = true
    end
end

-- app.purge("/path") takes back the responses of a path, over all hosts, queries and variants;
-- app.purge{tag = "x"}, or an array of tags, those that have the tag. From now on none of them is
-- given any more, in any worker, nor what a handler is making of them right now. Gives true: how many
-- there were nobody counts, since it takes the same time for any number.
function response_cache.purge(what)
    open_modules()
    if type(what) == "string" then
        purge_path(what)
        return true
    end
    if type(what) ~= "table" then
        misuse("app.purge: a path or {tag=} expected, not %s", errors.kind(what))
    end
    errors.check_options(what, PURGE, "app.purge")
    local tags = what.tag
    if tags == nil then misuse("app.purge: a path or {tag=} expected") end
    if type(tags) == "string" then tags = { tags } end
    for _, tag in ipairs(cache_option.check_tags(tags, "app.purge: tag")) do own.renew(tag_key(tag)) end
    return true
end

return response_cache
