---@meta lunette.crypto

---@class lunette.crypto
local crypto = {}

---Random bytes.
---@param n integer
---@return string
---@nodiscard
function crypto.random(n) end

---Random bytes as URL-safe base64.
---@param n integer? Bytes: 32 unless given
---@return string
---@nodiscard
function crypto.token(n) end

---A random UUID, version 4.
---@return string
---@nodiscard
function crypto.uuid() end

---@param s string
---@return string
---@nodiscard
function crypto.hex(s) end

---The bytes; or nil and a message.
---@param s string
---@return string? bytes
---@return string? message
---@nodiscard
function crypto.unhex(s) end

---@class lunette.Base64Options
---@field url boolean? With "-" and "_", and without padding

---@param s string
---@param opts lunette.Base64Options?
---@return string
---@nodiscard
function crypto.base64(s, opts) end

---The bytes; or nil and a message.
---@param s string
---@param opts lunette.Base64Options?
---@return string? bytes
---@return string? message
---@nodiscard
function crypto.unbase64(s, opts) end

---32 raw bytes.
---@param s string
---@return string
---@nodiscard
function crypto.sha256(s) end

---HMAC-SHA256: 32 raw bytes.
---@param key string
---@param s string
---@return string
---@nodiscard
function crypto.hmac(key, s) end

---In a time that depends on the lengths alone.
---@param a string
---@param b string
---@return boolean
---@nodiscard
function crypto.equal(a, b) end

---A hash to keep, made in a thread (scrypt); or nil, message, "E2BIG" beyond 1024 bytes.
---@param pw string
---@return string? hash
---@return string? message
---@return string? code
---@nodiscard
function crypto.password_hash(pw) end

---Whether it fits, and whether the hash should be made anew. A hash of nil never fits, and takes as long.
---@param pw string
---@param hash string?
---@return boolean fits
---@return boolean needs_rehash
---@nodiscard
function crypto.password_verify(pw, hash) end

---@class lunette.SignOptions
---@field secret string|string[]|nil Newest first; by default config.lua's
---@field max_age lunette.Duration?

---The text with its time and a signature.
---@param s string
---@param opts lunette.SignOptions?
---@return string
---@nodiscard
function crypto.sign(s, opts) end

---The text; or nil and "not a signed text", "bad signature" or "expired".
---@param s string
---@param opts lunette.SignOptions?
---@return string? text
---@return string? why
---@nodiscard
function crypto.unsign(s, opts) end

return crypto
