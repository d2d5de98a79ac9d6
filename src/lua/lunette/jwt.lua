-- JSON Web Tokens (RFC 7519, of RFC 7515's compact form), as lunette.auth.jwt verifies them.
--
-- alg is what the author says, one name or several: HS256, HS384, HS512, RS256, ES256, EdDSA. A
-- token whose header names another one, "none" above all, is refused before any key is looked at;
-- and every key is made for one algorithm (script/lua_verifier.c), so that a public key is never
-- taken for a secret.
--
-- key is a secret for HS…, else a public key in PEM; an array of keys, each of which may fit; or a
-- table by the header's kid, which then must be there. Keys are never fetched, nor taken from the
-- token (jwk, jku, x5u, x5c are not looked at); a token with crit is refused, since nothing it may
-- ask for is known.
--
-- Of the claims exp and nbf are numbers when they are there, and hold with leeway (60 s) to either
-- side; iss is issuer, aud has audience, where those are given (strings, or arrays of which one
-- fits). A token that names an audience where none is expected is for somebody else (RFC 7519
-- §4.1.3). One without exp never ends: where that matters, check can look.

local cipher = require "lunette.cipher"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local json = require "lunette.json"
local units = require "lunette.units"

local misuse, expect = errors.misuse, errors.expect

local jwt = {}

local ALGORITHMS = {
    HS256 = "secret", HS384 = "secret", HS512 = "secret", RS256 = "public", ES256 = "public",
    EdDSA = "public",
}
local TOKEN_MAX = 16384 -- bytes
local LEEWAY = 60       -- seconds
local URL = { url = true }

-- Making a verifier --------------------------------------------------------------------------------

local function algorithms_of(given, what)
    if given == nil then misuse('%s: alg is missing, as in {alg = "ES256", key = …}', what) end
    local list = type(given) == "table" and given or { given }
    if #list == 0 then misuse("%s: alg names no algorithm", what) end
    local names, family = {}, nil
    for i, name in ipairs(list) do
        local of = ALGORITHMS[name]
        if not of then
            misuse("%s: alg must be HS256, HS384, HS512, RS256, ES256 or EdDSA, not %s", what,
                errors.kind(name))
        end
        if family and family ~= of then
            misuse("%s: alg mixes secrets (HS…) and public keys: use one auth.jwt for each", what)
        end
        names[i], family = name, of
    end
    return names
end

-- Adds what a key can verify to keys: algorithm → array of verifiers.
local function add_key(keys, names, key, what)
    expect(key, "string", what .. ": a key")
    local found, reasons = false, {}
    for _, name in ipairs(names) do
        local made, why = cipher.verifier(name, key)
        if made then
            keys[name] = keys[name] or {}
            table.insert(keys[name], made)
            found = true
        else
            reasons[#reasons + 1] = why
        end
    end
    if not found then misuse("%s: the key cannot be used: %s", what, reasons[1]) end
end

-- A string, or an array of such, as a set; nil for nil.
local function set_of(given, what)
    if given == nil then return nil end
    local set = {}
    for _, one in ipairs(type(given) == "table" and given or { given }) do
        expect(one, "string", what)
        set[one] = true
    end
    if next(set) == nil then misuse("%s must be a string, or an array of such", what) end
    return set
end

local function leeway_of(given, what)
    if given == nil then return LEEWAY end
    local seconds = given == 0 and 0 or units.duration(given)
    return seconds or misuse('%s: leeway must be a duration like 60 or "1m", not %s', what,
        errors.kind(given))
end

-- A verifier of opts {alg, key, issuer, audience, leeway}; what names the call in messages.
function jwt.verifier(opts, what)
    local names = algorithms_of(opts.alg, what)
    local v = { names = {}, leeway = leeway_of(opts.leeway, what) }
    for _, name in ipairs(names) do v.names[name] = true end
    v.issuers = set_of(opts.issuer, what .. ": issuer")
    v.audiences = set_of(opts.audience, what .. ": audience")
    if type(opts.key) ~= "table" then
        v.any = {}
        add_key(v.any, names, opts.key, what)
    elseif #opts.key > 0 then
        v.any = {}
        for _, key in ipairs(opts.key) do add_key(v.any, names, key, what) end
    else
        v.by_kid = {}
        for kid, key in pairs(opts.key) do
            expect(kid, "string", what .. ": a name in key")
            v.by_kid[kid] = {}
            add_key(v.by_kid[kid], names, key, what)
        end
        if next(v.by_kid) == nil then misuse("%s: key is an empty table", what) end
    end
    return v
end

-- Verifying ----------------------------------------------------------------------------------------

-- A part of a token that is an object of JSON, or nil.
local function object_of(text)
    local bytes = crypto.unbase64(text, URL)
    if not bytes or not bytes:find("^%s*{") then return nil end
    local value = json.decode(bytes)
    return type(value) == "table" and value or nil
end

-- The keys that a header may mean, or nil and why there are none.
local function keys_for(v, header)
    if type(header.alg) ~= "string" or not v.names[header.alg] then
        return nil, "its algorithm is not the one expected"
    end
    if header.crit ~= nil then return nil, "it has extensions (crit) that are not known" end
    local keys = v.any
    if v.by_kid then keys = type(header.kid) == "string" and v.by_kid[header.kid] or nil end
    if not keys or not keys[header.alg] then return nil, "its key is not known" end
    return keys[header.alg]
end

local function is_signed(keys, text, signature)
    for _, key in ipairs(keys) do
        if key:verify(text, signature) then return true end
    end
    return false
end

local function is_in(claim, set)
    for _, one in ipairs(type(claim) == "table" and claim or { claim }) do
        if set[one] then return true end
    end
    return false
end

-- Why the claims are not good now, or nil.
local function refuse_claims(v, claims)
    local now = os.time()
    for _, name in ipairs { "exp", "nbf" } do
        local at = claims[name]
        if at ~= nil and (type(at) ~= "number" or at ~= at) then return name .. " is not a time" end
    end
    if claims.exp and now >= claims.exp + v.leeway then return "it has expired" end
    if claims.nbf and now < claims.nbf - v.leeway then return "it is not valid yet" end
    if v.issuers and not (type(claims.iss) == "string" and v.issuers[claims.iss]) then
        return "it is of another issuer"
    end
    if v.audiences and not is_in(claims.aud, v.audiences) then return "it is for another audience" end
    if not v.audiences and claims.aud ~= nil then
        return "it names an audience, and none is expected"
    end
    return nil
end

-- The claims of a token; or nil and why it is refused, of plain characters.
function jwt.verify(v, token)
    if #token > TOKEN_MAX then return nil, "it is too long" end
    local head, body, tail = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]*)$")
    local header = head and object_of(head)
    local signature = tail and crypto.unbase64(tail, URL)
    if not header or not signature then return nil, "it is no JWT" end
    local keys, why = keys_for(v, header)
    if not keys then return nil, why end
    if not is_signed(keys, head .. "." .. body, signature) then
        return nil, "its signature does not fit"
    end
    local claims = object_of(body)
    if not claims then return nil, "its claims are no JSON object" end
    why = refuse_claims(v, claims)
    if why then return nil, why end
    return claims
end

return jwt
