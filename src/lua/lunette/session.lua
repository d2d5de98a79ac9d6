-- Sessions: a table that follows a visitor from request to request.
--
--   app.use(session.middleware{ max_age = "14d" }, { files = false })
--   req.session.user = 7        session.renew(req) at login       session.clear(req) at logout
--
-- Options: secret (a string of 16 bytes or more, or an array of such, newest first; by default that
-- of config.lua), store, max_age (14 days), encrypt, cookie (its name, "session", or {name=, path=,
-- domain=, same_site=, secure=}).
--
-- req.session is loaded when it is first read, so that a page which does not ask for it costs
-- nothing and may be kept by the response cache; whoever reads it makes the answer the visitor's
-- own. Once the handler and what stands around it inside are done, error pages too, the session is
-- written as JSON; if that is not what was read, nested tables included, it is stored and the
-- cookie set. Else the cookie is sent again only when half of max_age is over. A session that
-- became empty is taken back, cookie and all.
--
-- On sites that are on TLS alone, cookie = { name = "__Host-session", secure = true } keeps other
-- names of the same domain from setting one.
--
-- Stores:
--   "cookie"   all of it is in the cookie: signed, so that nobody changes it; readable for its
--              owner unless encrypt = true. At most 4 KiB. A copy of the cookie stays good until
--              max_age: what was cleared or renewed can be played back by who kept it. Where logout
--              must hold, use:
--   "cache"    in the cache that all workers share, under a random id of 256 bits, which is signed
--              in the cookie. It may give way to other values (cache.bytes), and ends with the
--              server: the visitor then has a new session. The last of two requests at once wins.
--   {load=, save=}   load(id) → the text that save got, or nil; save(id, text, max_age), where a text
--              of nil deletes it. Both may wait; what they raise is a 500.
--
-- Keys are made of the secret for this cookie's name and store alone; encrypted texts are
-- AES-256-GCM under a key of their own. What an older secret signed is read, and signed anew with
-- the newest. A cookie that was tampered with, is too old or of another secret is no session; the
-- log says so at level debug. The cookie is not expired then, since another request may have just
-- set a good one.
--
-- Changes that a stream makes after its headers are sent reach the stores other than "cookie" when
-- the session had its id before; others are lost, and the log warns of it.

local cipher = require "lunette.cipher"
local core = require "lunette.core"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local json = require "lunette.json"
local session_store = require "lunette.session_store"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local session = {}

local MAX_AGE = 14 * 86400
local PLACES_MAX = 100     -- of middleware, for who asks
local SECRET_MIN = 16      -- bytes, as of config.lua's
local COOKIE_MAX = 4096    -- bytes of name and value that browsers keep (RFC 6265 §6.1)
local FLASHES_MAX = 50     -- that wait to be read; the oldest give way
local SORTED = { sort = true }
local NULLS = { null = true }

-- request → its state: { conf, req, method, path, loaded, before, id, at, stale, renewed, csrf,
-- flashes, finished, watched }
--   before   the JSON that was loaded, or nil; after the end what was written
--   id       under which the store has it, or nil
--   at       when its cookie was signed; nil without a good one
--   stale    an older secret signed it
--   renewed  it gets a new id, and the store forgets the old one
local states = setmetatable({}, { __mode = "k" })

-- Cookies ------------------------------------------------------------------------------------------

-- What the cookie's value says, whether an older secret signed it, and when; nil and why not.
local function unsign(conf, value)
    local text, why = crypto.unsign(value, conf.newest)
    local stale = false
    if why == "bad signature" and conf.any then
        text, why = crypto.unsign(value, conf.any)
        stale = true
    end
    if not text then return nil, why end
    return text, stale, tonumber(value:match("%.(%d+)%.[^.]*$"))
end

local function set_cookie(state, value)
    local conf, req = state.conf, state.req
    local length = #conf.name + #value
    if length > COOKIE_MAX then
        misuse("the session has %d bytes as a cookie, and browsers keep %d: keep less in it, or give "
            .. 'lunette.session.middleware store = "cache"', length, COOKIE_MAX)
    end
    req:set_cookie(conf.name, value, conf.cookie)
end

-- Loading ------------------------------------------------------------------------------------------

local function refused(state, why)
    core.log("debug", ("%s %s: the cookie %s is no session: %s"):format(state.method,
        state.path, state.conf.name, why))
end

-- What one cookie stands for: { data, before, flashes, csrf, id, at, stale }; nil for none.
local function read_cookie(state, value)
    local text, stale, at = unsign(state.conf, value)
    if not text then return refused(state, stale) end
    local kept, id = state.conf.store.read(state.conf, text)
    if not kept then return refused(state, "nothing is kept of it any more") end
    local content = json.decode(kept, NULLS)
    if type(content) ~= "table" or type(content.d) ~= "table" then
        return refused(state, "it has another form")
    end
    return { data = content.d, before = kept, flashes = content.f, csrf = content.c, id = id, at = at,
        stale = stale }
end

-- Takes the first good cookie: one of the same name for a wider domain or path, which another site
-- below the domain may have set, does not put it out. Gives the session; nil where another
-- coroutine of the request had it sooner, while the store waited.
local function load(state)
    core.private_note(state.req)
    core.vary(state.req, "Cookie")
    local found = nil
    for _, value in ipairs(core.cookies_named(state.req, state.conf.name)) do
        found = read_cookie(state, value)
        if found then break end
    end
    if state.loaded then return nil end
    state.loaded = true
    if not found then return {} end
    for _, name in ipairs { "before", "flashes", "csrf", "id", "at", "stale" } do
        state[name] = found[name]
    end
    return found.data
end

local late

-- Whoever reads or changes a session when the answer has begun is too late to set a cookie.
local function watch_late(state)
    if state.watched then return end
    state.watched = true
    core.after(state.req, function() late(state) end)
end

-- What req.session is, when it is first read: nil where no session middleware covers the request.
function session.field(req)
    local state = states[req]
    if not state then return nil end
    if core.over(req) then
        misuse("req.session: the request is over, and this was not read before")
    end
    if state.finished then watch_late(state) end
    if state.loaded then return nil end -- it was set to nil
    local data = load(state)
    local set = rawget(req, "session") -- meanwhile
    if set ~= nil then return set end
    return data
end

-- The loaded state of a request, for what; raises where there is no session.
function session.state(req, what)
    local state = type(req) == "table" and states[req]
    if not state then
        misuse("%s: no session: app.use(lunette.session.middleware{}) must come before, and cover "
            .. "this path", what)
    end
    if not state.loaded then
        local data = rawget(req, "session")
        req.session = data ~= nil and load(state) and data or req.session
    end
    if state.finished then watch_late(state) end
    return state
end

-- Writing ------------------------------------------------------------------------------------------

-- The session as JSON; nil when nothing is in it.
local function encode(state)
    local data = rawget(state.req, "session")
    if data == nil then data = {} end
    if type(data) ~= "table" then
        misuse("req.session must be a table, not %s", errors.kind(data))
    end
    local flashes = state.flashes and #state.flashes > 0 and state.flashes or nil
    if next(data) == nil and not flashes and not state.csrf then return nil end
    local ok, text = pcall(json.encode, { d = data, f = flashes, c = state.csrf }, SORTED)
    if ok then return text end
    local where = errors.text_of(text):gsub("^.-cannot encode d", "req.session")
    misuse("the session cannot be kept as JSON: %s", where)
end

local function drop(state)
    if state.id then state.conf.store.drop(state.id) end
    state.id = nil
end

-- The visitor's session is over: as good as if there had never been one.
local function take_back(state, over)
    drop(state)
    if state.at and not over then state.req:expire_cookie(state.conf.name, state.conf.cookie) end
end

local function store(state, text, over)
    if over and not state.id then return end -- nobody will ever have its cookie
    local value = state.conf.store.write(state, text)
    if not value then return refused(state, "it was cleared meanwhile") end
    if not over then set_cookie(state, crypto.sign(value, state.conf.signer)) end
    return true
end

-- No cache on the way may give this visitor's cookie to others.
local function make_private(res)
    if res and not res.headers["Cache-Control"] then res.headers["Cache-Control"] = "private" end
end

local function is_due(state, text)
    if text ~= state.before or state.renewed or state.stale or not state.at then return true end
    return (os.time() - state.at) * 2 >= state.conf.max_age
end

-- Writes what became of the session, if somebody asked for it.
local function finish(state, res)
    local req, over = state.req, core.over(state.req)
    state.finished = true
    local streams = res and type(res.body) == "function"
    if not state.loaded then
        local data = rawget(req, "session")
        if data == nil or over then return end
        load(state)
    end
    local text = encode(state)
    if state.renewed then drop(state) end
    if text == nil then
        if state.before or state.renewed then take_back(state, over) end
    elseif is_due(state, text) and store(state, text, over) then
        make_private(res)
    end
    state.before, state.renewed = text, false
    if streams and not over then watch_late(state) end
end

-- The answer is sent: keeps what changed since, where that is still possible.
function late(state)
    local text = encode(state)
    if text == state.before and not state.renewed then return end
    if state.id and text and not state.renewed and state.conf.store.write(state, text) then return end
    core.log("warn", ("%s %s: the session was changed when the headers were sent already, and that is "
        .. "lost: change it before the answer is returned"):format(state.method, state.path))
end

-- The module ---------------------------------------------------------------------------------------

local OPTIONS = { secret = true, store = true, max_age = true, encrypt = true, cookie = true }
local COOKIE = { name = true, path = true, domain = true, same_site = true, secure = true }

local function check_secret(secret)
    if secret == nil then return end
    local list = type(secret) == "table" and secret or { secret }
    if #list == 0 then misuse("lunette.session: secret is an empty array") end
    for _, one in ipairs(list) do
        expect(one, "string", "lunette.session: a secret")
        if #one < SECRET_MIN then
            misuse("lunette.session: a secret has at least %d bytes, and this one has %d; `openssl "
                .. "rand -hex 32` makes a good one", SECRET_MIN, #one)
        end
    end
end

-- Where the site made middleware that signs with config.lua's secret; for `lunette check`.
session.own_secret = {}

local function keys_for(secret, purpose)
    if core.dev and secret == nil and #session.own_secret < PLACES_MAX then
        session.own_secret[#session.own_secret + 1] = errors.place()
    end
    local keys = cipher.derive(secret, purpose)
    if keys then return keys end
    misuse("lunette.session: there is no secret to sign sessions with: set `secret` in "
        .. 'scripts/config.lua, for instance to os.getenv "LUNETTE_SECRET" with the output of '
        .. "`openssl rand -hex 32` in that variable, or pass {secret = }; --dev makes one by itself")
end

-- The name, and the options of lunette.cookie, which checks them by making one.
local function cookie_options(given, max_age)
    if given == nil or type(given) == "string" then given = { name = given } end
    local opts = check_options(given, COOKIE, "lunette.session: cookie")
    local name = opts.name or "session"
    local made = { max_age = max_age }
    for key, value in pairs(opts) do made[key] = key ~= "name" and value or nil end
    local ok, why = pcall(require "lunette.cookie".make, name, "", made)
    if not ok then
        misuse("lunette.session: cookie: %s",
            (errors.text_of(why):gsub("^bad argument #%d+ to '[^']*' %((.*)%)$", "%1")))
    end
    return name, made
end

local function new_conf(opts)
    opts = check_options(opts, OPTIONS, "lunette.session.middleware")
    check_secret(opts.secret)
    local max_age = MAX_AGE
    if opts.max_age ~= nil then
        max_age = units.duration(opts.max_age)
        if not max_age then
            misuse('lunette.session: max_age must be a duration like 3600 or "14d", not %s',
                errors.kind(opts.max_age))
        end
    end
    if opts.encrypt ~= nil then expect(opts.encrypt, "boolean", "lunette.session: encrypt") end
    local conf = { max_age = max_age }
    conf.name, conf.cookie = cookie_options(opts.cookie, max_age)
    local kind
    conf.store, kind = session_store.of(opts.store)
    local purpose = ("%s:%s"):format(kind, conf.name)
    local keys = keys_for(opts.secret, "lunette.session:" .. purpose)
    conf.signer = { secret = keys[1] } -- its age is judged by the max_age of who reads it
    conf.newest = { secret = keys[1], max_age = max_age }
    conf.any = #keys > 1 and { secret = keys, max_age = max_age } or nil
    conf.seals = opts.encrypt and keys_for(opts.secret, "lunette.session.seal:" .. purpose) or nil
    return conf
end

-- middleware{secret=, store=, max_age=, encrypt=, cookie=} → middleware.
function session.middleware(opts)
    local conf = new_conf(opts)
    return function(req, handle)
        local state = states[req]
        if state and state.conf == conf then return handle(req) end
        if state then misuse("lunette.session: two session middlewares cover this path") end
        state = { conf = conf, req = req, method = req.method, path = req.raw_path }
        states[req] = state
        local res = handle(req)
        finish(state, res)
        return res
    end
end

-- renew(req): another id, and another token of lunette.csrf, with what is in the session as it is.
-- To be called when somebody logs in: an id that was given to them before is good for nothing then.
function session.renew(req)
    local state = session.state(req, "lunette.session.renew")
    state.renewed, state.csrf = true, nil
end

-- clear(req): nothing is in the session any more; the store forgets it and the cookie expires. What
-- is put into it afterwards is a new one.
function session.clear(req)
    local state = session.state(req, "lunette.session.clear")
    state.renewed, state.csrf, state.flashes = true, nil, nil
    local data = rawget(req, "session")
    for key in next, type(data) == "table" and data or {} do data[key] = nil end
end

-- flash(req, kind, text): a message for the next page that asks for flashes.
function session.flash(req, kind, text)
    expect(kind, "string", "lunette.session.flash: the kind")
    expect(text, "string", "lunette.session.flash: the text")
    local state = session.state(req, "lunette.session.flash")
    local list = state.flashes or json.array {}
    state.flashes = list
    list[#list + 1] = { kind = kind, text = text }
    if #list > FLASHES_MAX then table.remove(list, 1) end
end

-- flashes(req) → array of {kind=, text=}, oldest first. They are read once.
function session.flashes(req)
    local state = session.state(req, "lunette.session.flashes")
    local list = state.flashes or json.array {}
    state.flashes = nil
    return list
end

return session
