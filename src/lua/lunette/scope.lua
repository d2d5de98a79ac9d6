-- Where something is declared, and all that was: the site as main.lua describes it.
--
--   scope { tier, parent, text = "/api", prefix = its pattern, defaults = {…}, pages = {…}, api, make_api }
--   tier  { host, router, routes }    the routes of one host, nil for the app's own
--   site  { tier, hosts, scopes, uses, statics, paged, names, frozen }
--
-- A scope is the app, a group or a host; api is the table that the author holds for it, defaults are the
-- options of the routes in it (route_options.lua), pages those of app.on_error by status. Misuse raises.

local errors = require "lunette.errors"
local pattern = require "lunette.pattern"
local router = require "lunette.router"

local misuse, expect = errors.misuse, errors.expect

local scope = {}

local function new_tier(host)
    return { host = host, router = router.new(), routes = {} }
end

local site = {
    tier = new_tier(nil),
    hosts = {},    -- host pattern → tier
    scopes = {},   -- host pattern → its scope
    uses = {},     -- middleware as declared: { fn, prefix, files, tier, place }
    statics = {},  -- app.static folders as declared (static.lua)
    paged = {},    -- scopes with an on_error
    names = {},    -- route name → route
    frozen = false,
}
scope.site = site

-- Raises once main.lua has run; what names the call.
function scope.check_open(what)
    if site.frozen then misuse("%s: routes are declared while main.lua loads", what) end
end

-- The pattern text beneath a scope, parsed; what names the call.
function scope.parse(self, text, what)
    expect(text, "string", what .. ": the pattern")
    if text ~= "" or self.text == "" then
        if text:sub(1, 1) ~= "/" then
            misuse('%s: the pattern %q must begin with "/"', what, text)
        end
    end
    local full = self.text .. text
    local p, why = pattern.parse(full)
    if not p then misuse("%s: the pattern %q %s", what, full, why) end
    if p[1] and p[1].literal == ".lunette" then
        misuse("%s: the pattern %q begins with /.lunette, which is lunette's own", what, full)
    end
    return p
end

-- A prefix beneath a scope → its text without a last slash, its pattern.
function scope.parse_prefix(self, text, what)
    expect(text, "string", what .. ": the prefix")
    if text ~= "" and text:sub(1, 1) ~= "/" then
        misuse('%s: the prefix %q must begin with "/"', what, text)
    end
    local full = (self.text .. text):gsub("/$", "")
    local p, why = pattern.parse(full == "" and "/" or full)
    if not p then misuse("%s: the prefix %q %s", what, full, why) end
    if p.rest then
        misuse("%s: the prefix %q holds a *, which must be the last segment of a route", what, full)
    end
    return full, p
end

-- A scope of a tier; make_api(scope) gives its api, and that of the scopes in it.
local function new(tier, parent, text, prefix, make_api)
    local made = {
        tier = tier, parent = parent, text = text, prefix = prefix, pages = {},
        defaults = parent and parent.defaults or { use = {} }, make_api = make_api,
    }
    made.api = make_api(made)
    return made
end

-- The scope of the app.
function scope.app(make_api)
    return new(site.tier, nil, "", pattern.parse("/"), make_api)
end

-- The scope of a group, in the scope that it is declared in.
function scope.group(parent, text, prefix)
    return new(parent.tier, parent, text, prefix, parent.make_api)
end

-- The scope of a host, which is made once. app: that of the app.
function scope.host(app, host)
    local made = site.scopes[host]
    if not made then
        local tier = new_tier(host)
        made = new(tier, app, "", app.prefix, app.make_api)
        site.hosts[host], site.scopes[host] = tier, made
    end
    return made
end

return scope
