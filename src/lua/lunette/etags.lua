-- The route option etag: who makes the tags of a route's answers.
--
--   etag = true            the core, from the body that the handler made
--   etag = function(req)   the site, before the handler runs: "v" or W/"v", with or without its
--                          quotes, or nil for none; a condition that fails leaves here, whatever the
--                          method, so that nothing is changed and then refused

local errors = require "lunette.errors"

local etags = {}

local function is_read(req) return req.method == "GET" or req.method == "HEAD" end

-- The strong tag of a body.
function etags.of_body(body)
    local crypto = require "lunette.crypto"
    return '"' .. crypto.base64(crypto.sha256(body):sub(1, 16), { url = true }) .. '"'
end

local function tag_bodies(req, handle)
    local res = handle(req)
    if is_read(req) and res.status == 200 and type(res.body) == "string" and not res.headers.ETag then
        res.headers.ETag = etags.of_body(res.body)
    end
    return res
end

-- The middleware that does what the option asks for; what names the call in messages.
function etags.middleware(option, what)
    if option == true then return tag_bodies end
    if type(option) ~= "function" then
        errors.misuse("%s: etag must be true or a function, not %s", what, errors.kind(option))
    end
    return function(req, handle)
        local tag = option(req)
        if tag == nil then return handle(req) end
        errors.expect(tag, "string", what .. ": what the etag function returns")
        if not tag:find('^W?/?".*"$') then tag = '"' .. tag .. '"' end
        req:check(tag)
        local res = handle(req)
        if is_read(req) and res.status == 200 and not res.headers.ETag then
            res.headers.ETag = tag
        end
        return res
    end
end

return etags
