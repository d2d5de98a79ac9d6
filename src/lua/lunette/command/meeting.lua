-- What a request would meet, for commands that explain it; nothing of the site is called.

local chain = require "lunette.chain"
local host_views = require "lunette.host_views"
local router = require "lunette.router"
local unrouted = require "lunette.unrouted"

local meeting = {}

-- The route of a view for a method and the decoded segments of a path, or nil.
function meeting.route(view, method, segments)
    router.load_segments(segments)
    return (host_views.find_route(view, method))
end

-- host is the text of a Host field, segments are those of the decoded path, { "" } for "/". Gives
-- { view, uses, allowed, … }: view; route and params, or where none has the method: allowed, a
-- set of the methods that the path has (empty: it is no route's), and statics, { static, path }… over
-- it; uses, the middleware of app.use that covers the path.
function meeting.explain(method, host, segments)
    local view = host_views.of_text(host)
    router.load_segments(segments)
    local route = host_views.find_route(view, method)
    local found = { view = view, route = route, uses = chain.covering(view.uses), allowed = {} }
    if route then
        found.params = router.params(route)
        return found
    end
    for _, tier in ipairs(view.tiers) do router.allowed(tier.router, found.allowed) end
    found.statics = unrouted.statics_here(view)
    return found
end

return meeting
