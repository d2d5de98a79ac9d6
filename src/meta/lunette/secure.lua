---@meta lunette.secure

---@class lunette.secure
local secure = {}

---Each with `false` for no such header.
---@class lunette.SecureOptions
---@field csp string|false|nil Content-Security-Policy; {nonce} is `req.csp_nonce`
---@field frame "SAMEORIGIN"|"DENY"|false|nil
---@field referrer string|false|nil Referrer-Policy
---@field hsts lunette.Duration|false|nil Strict-Transport-Security, on TLS alone: a year unless given
---@field coop "same-origin"|"same-origin-allow-popups"|"unsafe-none"|false|nil
---@field permissions string|false|nil Permissions-Policy

---Headers that tell browsers to be careful.
---@param opts lunette.SecureOptions?
---@return lunette.Middleware
---@nodiscard
function secure.middleware(opts) end

return secure
