-- Forms of this site alone: a request that changes something must show a token of the visitor's
-- session.
--
--   app.use(session.middleware{}, { files = false })
--   app.use(csrf.middleware{}, { files = false })          within the session's
--   <input type="hidden" name="csrf_token" value="…">      csrf.input(req), or req:csrf_token() alone
--
-- Options: field ("csrf_token", of a form, multipart too), header ("X-CSRF-Token", for scripts),
-- except: prefixes as app.use has them ("/hooks"), or a function(req) that is true where no token
-- is needed, as for callers with credentials of their own.
--
-- All methods but GET, HEAD, OPTIONS and TRACE need it. What a browser itself says goes first: with
-- Sec-Fetch-Site: cross-site, or an Origin of another host, nothing helps. An Origin of "null"
-- proves nothing, since pages with Referrer-Policy: no-referrer send it too, and "same-site" is
-- another origin whose pages may not read the token: in both cases the token decides. The Host of
-- Origin is compared, not its scheme, which a proxy in front may have changed.
--
-- The session has a random secret; a token is 16 random bytes and their HMAC under it, new for
-- every call, so that compressed pages do not give it away (BREACH). All tokens of a session are
-- good until it ends or lunette.session.renew gives it another secret.
--
-- Without it: 403, with the page of on_error(403) if there is one.

local core = require "lunette.core"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local pages = require "lunette.pages"
local pattern = require "lunette.pattern"
local session = require "lunette.session"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local csrf = {}

local SAFE = { GET = true, HEAD = true, OPTIONS = true, TRACE = true }
local NONCE = 16   -- bytes
local LENGTH = 64  -- characters of a token: those, and a MAC of 32 bytes
local URL = { url = true }
local FIELD = "csrf_token"

-- token(req) → a new token of the request's session. req:csrf_token() calls it.
function csrf.token(req)
    local state = session.state(req, "req:csrf_token")
    state.csrf = state.csrf or crypto.token()
    local nonce = crypto.random(NONCE)
    return crypto.base64(nonce .. crypto.hmac(state.csrf, nonce), URL)
end

-- Requests that a middleware covers → its field.
local fields = setmetatable({}, { __mode = "k" })

-- input(req) → the hidden input of a form, as HTML.
function csrf.input(req)
    local token = csrf.token(req)
    return ('<input type="hidden" name="%s" value="%s">'):format(
        require "lunette.html".escape(fields[req] or FIELD), token)
end

-- Whether the text is a token of the session.
local function fits(state, text)
    if type(text) ~= "string" or #text ~= LENGTH or not state.csrf then return false end
    local bytes = crypto.unbase64(text, URL)
    return bytes ~= nil
        and crypto.equal(bytes:sub(NONCE + 1), crypto.hmac(state.csrf, bytes:sub(1, NONCE)))
end

-- The token that came with a request, or nil; and why there could be none in its form.
local function given(req, conf)
    local text = core.field(req, conf.header)
    if text then return text end
    local ok, form = pcall(function() return req.form end)
    if ok then return form[conf.field] end
    if errors.is_abort(form) then error(form, 0) end
    local why = errors.text_of(form)
    if not why:find("stream_body", 1, true) then error(form, 0) end
    return nil, "this route reads its body as it comes, so that the token must be in the header "
        .. conf.header
end

-- Why the browser says that another site sent the request, or nil.
local function foreign(req)
    if core.field(req, "sec-fetch-site") == "cross-site" then return "Sec-Fetch-Site is cross-site" end
    local origin = core.field(req, "origin")
    if not origin or origin == "null" then return nil end
    local authority = (origin:match("^%w+://(.*)$") or ""):lower()
    local host = (core.field(req, "host") or ""):lower()
    if authority == host or authority == ("%s:%d"):format(req.host, req.port) then return nil end
    if authority == req.host and (req.port == 80 or req.port == 443) then return nil end
    return ("Origin is %q, and this is %q"):format(origin:sub(1, 100), req.host)
end

local PAGE = "This form cannot be accepted: it is from another site, or too old. Go back, load the "
    .. "page again, and send it once more."

local function refuse(req, why)
    pages.log(req, 403, "lunette.csrf: " .. why, nil, "info")
    errors.leave(403, PAGE)
end

local function check(req, conf)
    local state = session.state(req, "lunette.csrf")
    local why = foreign(req)
    if why then refuse(req, why) end
    local text, none = given(req, conf)
    if text == nil or text == "" then
        refuse(req, none or ("no token in the form's field %s or the header %s"):format(conf.field,
            conf.header))
    end
    if not state.csrf then refuse(req, "the visitor's session has no token: it ended, or is new") end
    if not fits(state, text) then refuse(req, "the token is of another session, or none at all") end
end

-- The exception as a function(req).
local function exception(except)
    if except == nil then return function() return false end end
    if type(except) == "function" then return except end
    local prefixes = {}
    for i, text in ipairs(type(except) == "table" and except or { except }) do
        expect(text, "string", "lunette.csrf: a prefix in except")
        local full = text:gsub("/%*?$", "")
        local p, why = pattern.parse(full == "" and "/" or full)
        if not p then misuse("lunette.csrf: except: the prefix %q %s", text, why) end
        if p.rest then misuse("lunette.csrf: except: %q must be a prefix", text) end
        prefixes[i] = p
    end
    return function(req)
        if req.path == "*" then return false end
        local segs = core.segments(req)
        local n = segs[#segs] == "" and #segs - 1 or #segs
        for _, prefix in ipairs(prefixes) do
            if pattern.covers(prefix, segs, n) then return true end
        end
        return false
    end
end

local OPTIONS = { field = true, header = true, except = true }

-- middleware{field=, header=, except=} → middleware, to be declared after that of lunette.session.
function csrf.middleware(opts)
    opts = check_options(opts, OPTIONS, "lunette.csrf.middleware")
    for _, name in ipairs { "field", "header" } do
        if opts[name] ~= nil then expect(opts[name], "string", "lunette.csrf: " .. name) end
    end
    local conf = { field = opts.field or FIELD, header = opts.header or "X-CSRF-Token" }
    local is_excepted = exception(opts.except)
    return function(req, handle)
        fields[req] = conf.field
        if not SAFE[req.method] and not is_excepted(req) then check(req, conf) end
        return handle(req)
    end
end

return csrf
