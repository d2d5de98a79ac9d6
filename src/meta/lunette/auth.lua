---@meta lunette.auth

---Who asks: `req.user` is what `check` returns; nil or false is a 401.
---@class lunette.auth
local auth = {}

---@class lunette.BasicOptions
---@field check fun(name: string, password: string, req: lunette.Request): any
---@field realm string? "Restricted" unless given
---@field optional boolean? Lets those pass that show nothing

---A name and a password (RFC 7617): only for TLS.
---@param opts lunette.BasicOptions
---@return lunette.Middleware
---@nodiscard
function auth.basic(opts) end

---@class lunette.BearerOptions
---@field check fun(token: string, req: lunette.Request): any
---@field realm string?
---@field optional boolean?

---A bearer token (RFC 6750).
---@param opts lunette.BearerOptions
---@return lunette.Middleware
---@nodiscard
function auth.bearer(opts) end

---@alias lunette.JwtAlgorithm "HS256"|"HS384"|"HS512"|"RS256"|"ES256"|"EdDSA"

---@class lunette.JwtOptions
---@field alg lunette.JwtAlgorithm|lunette.JwtAlgorithm[]
---@field key string|string[]|table<string, string> A secret, or a public key in PEM; several, by kid or not
---@field issuer string|string[]|nil
---@field audience string|string[]|nil
---@field leeway lunette.Duration? 60 unless given
---@field check (fun(claims: table, req: lunette.Request): any)? By default the claims are `req.user`
---@field realm string?
---@field optional boolean?

---A bearer token that is a JWT (RFC 7519).
---@param opts lunette.JwtOptions
---@return lunette.Middleware
---@nodiscard
function auth.jwt(opts) end

return auth
