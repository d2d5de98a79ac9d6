---@meta lunette.session

---@class lunette.session
local session = {}

---@class lunette.SessionStore
---@field load fun(id: string): string? The text that save got
---@field save fun(id: string, text: string?, max_age: number) A text of nil deletes it

---@class lunette.SessionCookie
---@field name string? "session"
---@field path string?
---@field domain string?
---@field same_site "Strict"|"Lax"|"None"|nil
---@field secure boolean?

---@class lunette.SessionOptions
---@field secret string|string[]|nil 16 bytes or more, newest first; by default config.lua's
---@field store "cookie"|"cache"|lunette.SessionStore|nil "cookie" unless given
---@field max_age lunette.Duration? "14d" unless given
---@field encrypt boolean?
---@field cookie string|lunette.SessionCookie|nil Its name, or more

---`req.session` for what it covers.
---@param opts lunette.SessionOptions?
---@return lunette.Middleware
---@nodiscard
function session.middleware(opts) end

---Another id, with what is in the session as it is: to be called at login.
---@param req lunette.Request
function session.renew(req) end

---Nothing is in the session any more: to be called at logout.
---@param req lunette.Request
function session.clear(req) end

---A message for the next page that asks for them.
---@param req lunette.Request
---@param kind string
---@param text string
function session.flash(req, kind, text) end

---@class lunette.Flash
---@field kind string
---@field text string

---The messages, oldest first. They are read once.
---@param req lunette.Request
---@return lunette.Flash[]
function session.flashes(req) end

return session
