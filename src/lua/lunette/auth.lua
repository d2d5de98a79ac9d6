-- Who asks, by the field Authorization: req.user is what the site's check makes of it.
--
--   app.group("/admin", { use = { auth.basic{ realm = "Admin", check = function(name, password, req)
--     return users.find(name, password)                  -- may wait; nil or false: no
--   end } } }, …)
--   auth.bearer{ check = function(token, req) … end }
--   auth.jwt{ alg = "ES256", key = public_pem, issuer = "https://id.example.com", audience = "shop" }
--
-- Without credentials, or with wrong ones, the answer is a 401 with WWW-Authenticate, and the
-- handler does not run. optional = true lets those pass that have none at all (req.user is nil);
-- wrong ones never. realm may be given to each. Answers to Authorization are no other visitor's:
-- the option cache does not keep them.
--
-- What is compared by the site should be compared by lunette.crypto.equal, and passwords verified by
-- lunette.crypto.password_verify, which takes its time for unknown users too when its hash is nil.
--
-- Tokens of JWT are in jwt.lua.

local core = require "lunette.core"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local jwt = require "lunette.jwt"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local auth = {}

-- The options that all have, checked: realm as a parameter of WWW-Authenticate.
local function common(opts, what, unset)
    if opts.optional ~= nil then expect(opts.optional, "boolean", what .. ": optional") end
    local realm = opts.realm
    if realm == nil then realm = unset end
    if realm == nil then return nil end
    expect(realm, "string", what .. ": realm")
    if realm:find("%c") then misuse("%s: realm holds a control character", what) end
    return ('realm="%s"'):format(realm:gsub('["\\]', "\\%0"))
end

-- Leaves with a 401; each argument is a parameter of the challenge, or nil.
local function challenge(scheme, ...)
    local params = {}
    for i = 1, select("#", ...) do params[#params + 1] = (select(i, ...)) end
    local value = #params > 0 and scheme .. " " .. table.concat(params, ", ") or scheme
    errors.leave(401, nil, { ["WWW-Authenticate"] = value, ["Cache-Control"] = "no-store" })
end

-- The credentials of a scheme (RFC 9110 §11.4): nil without the field; "" where it has another
-- scheme.
local function credentials(req, scheme)
    local field = req.headers.authorization
    if not field then return nil end
    local name, rest = field:match("^(%S+) +(.-) *$")
    return name and name:lower() == scheme and rest or ""
end

-- The middleware of a scheme: judge(req, credentials) → user; or nil and parameters of the
-- challenge. first: those where nothing was given.
local function guard(scheme, realm, first, optional, judge)
    return function(req, handle)
        local given = credentials(req, scheme:lower())
        if given == nil then
            if optional then return handle(req) end
            challenge(scheme, realm, first)
        end
        local user, params = nil, nil
        if given ~= "" then user, params = judge(req, given) end
        if not user then challenge(scheme, realm, params) end
        req.user = user
        return handle(req)
    end
end

local BASIC = { realm = true, check = true, optional = true }

-- basic{realm="Restricted", check=function(name, password, req), optional=} → middleware (RFC 7617).
-- Passwords go over the wire as they are: only for TLS.
function auth.basic(opts)
    opts = check_options(opts, BASIC, "lunette.auth.basic")
    expect(opts.check, "function", "lunette.auth.basic: check")
    local check = opts.check
    local charset = 'charset="UTF-8"'
    return guard("Basic", common(opts, "lunette.auth.basic", "Restricted"), charset, opts.optional,
        function(req, given)
            local text = crypto.unbase64(given)
            local name, password = (text or ""):match("^([^:%c]*):(%C*)$")
            return name and check(name, password, req), charset
        end)
end

local BEARER = { realm = true, check = true, optional = true }

-- bearer{check=function(token, req), realm=, optional=} → middleware (RFC 6750).
function auth.bearer(opts)
    opts = check_options(opts, BEARER, "lunette.auth.bearer")
    expect(opts.check, "function", "lunette.auth.bearer: check")
    local check = opts.check
    return guard("Bearer", common(opts, "lunette.auth.bearer"), nil, opts.optional,
        function(req, given)
            local token = given:match("^[%w%-._~+/]+=*$")
            return token and check(token, req), 'error="invalid_token"'
        end)
end

local JWT = {
    alg = true, key = true, issuer = true, audience = true, leeway = true, check = true, realm = true,
    optional = true,
}

-- jwt{alg=, key=, issuer=, audience=, leeway=, check=function(claims, req), realm=, optional=} →
-- middleware: a bearer token that is a JWT. req.user is its claims, or what check makes of them.
-- Why a token was refused is in the log at level info, and in the challenge.
function auth.jwt(opts)
    opts = check_options(opts, JWT, "lunette.auth.jwt")
    if opts.check ~= nil then expect(opts.check, "function", "lunette.auth.jwt: check") end
    local check, verifier = opts.check, jwt.verifier(opts, "lunette.auth.jwt")
    return guard("Bearer", common(opts, "lunette.auth.jwt"), nil, opts.optional,
        function(req, given)
            local claims, why = jwt.verify(verifier, given)
            if claims and check then
                claims = check(claims, req)
                why = "check refused it"
            end
            if claims then return claims end
            core.log("info", ("401 %s %s: lunette.auth.jwt: %s"):format(req.method, req.raw_path, why))
            return nil, ('error="invalid_token", error_description="%s"'):format(why)
        end)
end

return auth
