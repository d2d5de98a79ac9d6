-- The client of lunette.test: a visitor of the site, without a socket. What it asks for goes through
-- the whole server: parsing, limits, files, middleware, handlers, error pages, gzip, conditions.
--
--   local answer = client.get("/notes", { query = { page = 2 } })
--   client.post(path, { form = { text = "milk" } })      urlencoded; with files, multipart
--   client.post(path, { files = { photo = { filename = "a.png", content = bytes, type = "image/png" } } })
--                                    an array of such for several; a string for the content alone
--   client.put(path, { json = { id = 7 } })               client.patch, delete, head, options
--   client.request("PROPFIND", path, opts)
--
-- path: as it is sent, from "/" on; "http://api.example.com/x" is for another host than "localhost".
-- Options: headers, query, one of form, json and body, files, cookies (name → value: for this request
-- alone, beside or in place of those that are kept), follow = true (redirects are followed, at most 20;
-- else they are the answer). The visitor's address is 127.0.0.1.
--
-- It keeps cookies from request to request as a browser does, and is as new in every test. For the
-- answer see test_answer.lua. A colon does as well as a dot.

local cookies = require "lunette.test_cookies"
local errors = require "lunette.errors"
local parse = require "lunette.test_answer"
local request = require "lunette.test_request"
local suggest = require "lunette.suggest"
local suite = require "lunette.test_suite"
local trial = require "lunette.trial"
local url = require "lunette.url"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local OPTIONS = {
    headers = true, query = true, form = true, json = true, body = true, files = true, cookies = true,
    follow = true,
}
local REDIRECTS_MAX = 20

-- The host of a Host header, or of the URL, without its port.
local function host_name(host, headers)
    for name, value in pairs(headers or {}) do
        if type(name) == "string" and name:lower() == "host" then host = tostring(value) end
    end
    return (host:lower():gsub(":%d+$", ""))
end

-- Those that are kept, but for those that the request gives itself.
local function cookies_for(jar, own, host, path, what)
    local list = {}
    for _, one in ipairs(jar:of(host, path)) do
        if not own or own[one.name] == nil then list[#list + 1] = one end
    end
    for name, value in pairs(own or {}) do
        expect(name, "string", what .. ": the name of a cookie")
        list[#list + 1] = { name = name, value = tostring(value) }
    end
    return list
end

local function ask_once(jar, method, path, opts, what)
    local authority, target = request.target(path, opts.query, what)
    local host, asked = host_name(authority, opts.headers), target:match("^[^?]*")
    local list = cookies_for(jar, opts.cookies, host, asked, what)
    local bytes, why = trial.ask(request.make(method, authority, target, list, opts, what))
    local answer = nil
    if bytes then answer, why = parse(bytes, method) end
    if not answer then misuse("%s %s: %s", method, path, why) end
    for _, text in ipairs(answer.headers_all["set-cookie"] or {}) do jar:take(text, host, asked) end
    return answer, ("http://%s%s"):format(authority, target)
end

local REDIRECTS = { [301] = "GET", [302] = "GET", [303] = "GET", [307] = "same", [308] = "same" }

-- What the next request is: method and options.
local function next_request(status, method, opts)
    if REDIRECTS[status] == "same" or method == "HEAD" or (method == "GET" and status ~= 303) then
        return method, { headers = opts.headers, form = opts.form, json = opts.json, body = opts.body,
            files = opts.files, cookies = opts.cookies }
    end
    return "GET", { headers = opts.headers, cookies = opts.cookies }
end

local function ask(jar, method, path, opts, what)
    local answer, base = ask_once(jar, method, path, opts, what)
    if not opts.follow then return answer end
    for _ = 1, REDIRECTS_MAX do
        if not REDIRECTS[answer.status] or not answer.location then return answer end
        local to = url.join(base, answer.location)
        if not to:find("^http://") then misuse("%s: it leads to %s, which is not followed", what, to) end
        method, opts = next_request(answer.status, method, opts)
        answer, base = ask_once(jar, method, to, opts, what)
    end
    misuse("%s: more than %d redirects", what, REDIRECTS_MAX)
end

local function check_own_cookies(opts, what)
    if opts.cookies ~= nil then expect(opts.cookies, "table", what .. ": cookies") end
    if opts.follow ~= nil then expect(opts.follow, "boolean", what .. ": follow") end
    return opts
end

local client = {}

-- A visitor without cookies: the client, and a function that makes it as new.
local function make()
    local jar = cookies.new()
    local self, known = {}, { request = true }
    local function call(method, path, opts, what)
        return ask(jar, method, path, check_own_cookies(check_options(opts, OPTIONS, what), what), what)
    end
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS" } do
        local name = method:lower()
        known[name] = true
        self[name] = function(a, b, c)
            if a == self then a, b = b, c end
            local answer = call(method, a, b, "client." .. name)
            return answer
        end
    end
    self.request = function(a, b, c, d)
        if a == self then a, b, c = b, c, d end
        if type(a) ~= "string" or not a:find("^[%w!#$%%&'*+.^_`|~-]+$") then
            misuse("client.request: the method comes first, and cannot be %s", errors.kind(a))
        end
        local answer = call(a, b, c, "client.request")
        return answer
    end
    setmetatable(self, {
        __index = function(_, name)
            misuse("client.%s is unknown%s", tostring(name), suggest.hint(name, known))
        end,
    })
    return self, function() jar = cookies.new() end
end

-- new() → another visitor, without cookies.
function client.new()
    return (make())
end

local renew
client.client, renew = make()
suite.renew[#suite.renew + 1] = renew

return client
