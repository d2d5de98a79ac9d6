-- Headers that tell browsers to be careful with the site's pages.
--
--   app.use(secure.middleware{ csp = "default-src 'self'; script-src 'self' 'nonce-{nonce}'" })
--   '<script nonce="' .. req.csp_nonce .. '">…'
--
-- Options, each with false for no such header:
--   csp       Content-Security-Policy; a string, where {nonce} stands for one made for each answer,
--             which req.csp_nonce tells the page; by default only what this site serves: no inline
--             scripts or styles but those with the nonce, no plugins, forms that lead here, and
--             frames by `frame`. The built-in error page does without its style then
--   frame     X-Frame-Options, and frame-ancestors of the default csp: "SAMEORIGIN", or "DENY"
--   referrer  Referrer-Policy: "strict-origin-when-cross-origin"
--   hsts      Strict-Transport-Security, on TLS alone: a year. A duration, or the header's text: add
--             "; includeSubDomains" there where all of the domain has TLS
--   coop      Cross-Origin-Opener-Policy: "same-origin"; "same-origin-allow-popups" for sites that log
--             in by a window of another's
--   permissions   Permissions-Policy: "camera=(), geolocation=(), microphone=()"
--
-- A header that the handler sets goes before. (X-Content-Type-Options: nosniff is on every answer
-- anyway.) A page with a nonce is good for one answer: who reads req.csp_nonce is not kept by the
-- option cache.

local core = require "lunette.core"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local secure = {}

local POLICY = "default-src 'self'; base-uri 'self'; form-action 'self'; img-src 'self' data:; "
    .. "object-src 'none'"
local WITH_NONCE = "; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'"
local FRAMES = { SAMEORIGIN = "'self'", DENY = "'none'" }
local REFERRERS = {
    ["no-referrer"] = true, ["no-referrer-when-downgrade"] = true, ["origin"] = true,
    ["origin-when-cross-origin"] = true, ["same-origin"] = true, ["strict-origin"] = true,
    ["strict-origin-when-cross-origin"] = true, ["unsafe-url"] = true,
}
local OPENERS = {
    ["same-origin"] = true, ["same-origin-allow-popups"] = true, ["unsafe-none"] = true,
}
local YEAR = 365 * 86400
local NONCE_BYTES = 16
local URL = { url = true }

local covered = setmetatable({}, { __mode = "k" }) -- requests that a middleware covers

-- An option that is a text without control bytes, or false.
local function text_option(opts, name, unset)
    local value = opts[name]
    if value == nil then return unset end
    if value == false then return nil end
    expect(value, "string", "lunette.secure: " .. name)
    if value == "" or value:find("%c") then
        misuse("lunette.secure: %s is empty, or holds a control character", name)
    end
    return value
end

-- One that is among the keys of a set.
local function one_of(opts, name, unset, set)
    local value = text_option(opts, name, unset)
    if value == nil or set[value] then return value end
    local names = {}
    for known in pairs(set) do names[#names + 1] = ("%q"):format(known) end
    table.sort(names)
    misuse("lunette.secure: %s must be %s, or false, not %s", name, table.concat(names, ", "),
        errors.kind(value))
end

local function hsts_of(value)
    if value == nil then value = YEAR end
    if value == false then return nil end
    if type(value) == "string" and value:find("max-age", 1, true) then
        return text_option({ hsts = value }, "hsts")
    end
    local seconds = value == 0 and 0 or units.duration(value)
    if not seconds then
        misuse('lunette.secure: hsts must be a duration like "365d", or "max-age=…", not %s',
            errors.kind(value))
    end
    return ("max-age=%d"):format(math.ceil(seconds))
end

local OPTIONS = {
    csp = true, frame = true, referrer = true, hsts = true, coop = true, permissions = true,
}

local function new_conf(opts)
    opts = check_options(opts, OPTIONS, "lunette.secure.middleware")
    if type(opts.frame) == "string" then -- in any case
        local copy = {}
        for name, value in pairs(opts) do copy[name] = value end
        copy.frame, opts = opts.frame:upper(), copy
    end
    local frame = one_of(opts, "frame", "SAMEORIGIN", FRAMES)
    local policy = frame and ("%s; frame-ancestors %s"):format(POLICY, FRAMES[frame]) or POLICY
    local conf = {
        csp = text_option(opts, "csp", policy),
        hsts = hsts_of(opts.hsts),
        headers = {
            ["X-Frame-Options"] = frame,
            ["Referrer-Policy"] = one_of(opts, "referrer", "strict-origin-when-cross-origin",
                REFERRERS),
            ["Cross-Origin-Opener-Policy"] = one_of(opts, "coop", "same-origin", OPENERS),
            ["Permissions-Policy"] = text_option(opts, "permissions",
                "camera=(), geolocation=(), microphone=()"),
        },
    }
    conf.csp_read = opts.csp == nil and conf.csp .. WITH_NONCE or conf.csp
    conf.with_nonce = conf.csp ~= nil and conf.csp_read:find("{nonce}", 1, true) ~= nil
    return conf
end

local function new_nonce() return crypto.base64(crypto.random(NONCE_BYTES), URL) end

-- What req.csp_nonce is, when it is first read: nil where no policy of the request has a {nonce}.
function secure.field(req)
    if not covered[req] then return nil end
    if core.over(req) then
        misuse("req.csp_nonce: the request is over, and this was not read before")
    end
    core.private_note(req, "nonce")
    return new_nonce()
end

-- The policy of an answer: with the nonce where the page has read one, or the site's text has a
-- place.
local function policy_of(conf, req)
    local nonce = rawget(req, "csp_nonce")
    local policy = nonce and conf.csp_read or conf.csp
    return (policy:gsub("{nonce}", function() return nonce or new_nonce() end))
end

-- middleware{csp=, hsts=, frame=, referrer=, coop=, permissions=} → middleware.
function secure.middleware(opts)
    local conf = new_conf(opts)
    return function(req, handle)
        if conf.with_nonce then covered[req] = true end
        local res = handle(req)
        local headers = res.headers
        for name, value in pairs(conf.headers) do headers[name] = headers[name] or value end
        if conf.csp and not headers["Content-Security-Policy"] then
            headers["Content-Security-Policy"] = policy_of(conf, req)
        end
        if conf.hsts and req.scheme == "https" and not headers["Strict-Transport-Security"] then
            headers["Strict-Transport-Security"] = conf.hsts
        end
        return res
    end
end

return secure
