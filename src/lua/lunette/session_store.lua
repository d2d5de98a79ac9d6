-- Where sessions are kept: what the option store of lunette.session names. A store has
--
--   read(conf, text of the cookie) → JSON, id; or nil
--   write(state, JSON)  → text for the cookie, with state.id set; nil where the entry is gone
--   drop(id)
--
-- conf and state are those of session.lua; it signs the texts, and here they are encrypted where
-- conf.seals has keys for that: for this name of a cookie, and for this id.

local cipher = require "lunette.cipher"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local session_store = {}

local ID_BYTES = 32
local OWN = "\0lunette:session:"
local URL = { url = true }

local function seal(conf, text, id)
    if not conf.seals then return text end
    return crypto.base64(cipher.seal(conf.seals[1], text, conf.name .. "\0" .. (id or "")), URL)
end

local function open(conf, text, id)
    if not conf.seals then return text end
    local sealed = crypto.unbase64(text, URL)
    for _, key in ipairs(sealed and conf.seals or {}) do
        local opened = cipher.open(key, sealed, conf.name .. "\0" .. (id or ""))
        if opened then return opened end
    end
    return nil
end

local in_cookie = { drop = function() end }

function in_cookie.read(conf, text)
    if conf.seals then return open(conf, text) end
    return (crypto.unbase64(text, URL))
end

function in_cookie.write(state, text)
    return state.conf.seals and seal(state.conf, text) or crypto.base64(text, URL)
end

-- A store of entries under an id, over get(id), put(id, text, max_age) and drop(id).
local function by_id(get, put, drop)
    local store = { drop = drop }
    function store.read(conf, id)
        local text = get(id)
        if text == nil then return nil end
        return open(conf, text, id), id
    end
    -- Not where the entry went while this request ran: what another has cleared is not brought back.
    function store.write(state, text)
        local id = state.id
        if id and get(id) == nil then return nil end
        id = id or crypto.token(ID_BYTES)
        put(id, seal(state.conf, text, id), state.conf.max_age)
        state.id = id
        return id
    end
    return store
end

local function cache_key(id) return OWN .. crypto.sha256(id) end

local function cache_put(id, text, max_age)
    local own = require "lunette.cache_own"
    if #text > own.largest() then
        misuse("the session has %d bytes, and the cache takes %d: keep less in it", #text,
            own.largest())
    end
    own.put(cache_key(id), text, max_age, nil)
end

local in_cache = by_id(
    function(id) return (require "lunette.cache_own".look(cache_key(id))) end, cache_put,
    function(id) require "lunette.cache_own".drop(cache_key(id)) end)

local function site_store(given)
    local function get(id)
        local text = given.load(id)
        if text ~= nil then expect(text, "string", "lunette.session: what store.load returns") end
        return text
    end
    return by_id(get, function(id, text, max_age) given.save(id, text, max_age) end,
        function(id) given.save(id, nil, 0) end)
end

-- The store that the option names, and what its kind is called where keys are made.
function session_store.of(given)
    if given == nil or given == "cookie" then return in_cookie, "cookie" end
    if given == "cache" then return in_cache, "cache" end
    if type(given) ~= "table" then
        misuse('lunette.session: store must be "cookie", "cache" or {load=, save=}, not %s',
            errors.kind(given))
    end
    check_options(given, { load = true, save = true }, "lunette.session: store")
    expect(given.load, "function", "lunette.session: store.load")
    expect(given.save, "function", "lunette.session: store.save")
    return site_store(given), "site"
end

return session_store
