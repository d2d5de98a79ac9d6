-- How often a client may ask: a token bucket for each, in the cache that all workers share.
--
--   app.use(limit.middleware{ rate = 100, per = "1m" }, { files = false })
--   app.post("/login", { use = { limit.middleware{ rate = 5, per = "15m" } } }, login)
--
-- Options: rate (so many requests), per (in so long: 1 s), burst (that may come at once: rate), key
-- (whose bucket it is: function(req) → a string or number, nil for no limit), cost (tokens that a
-- request takes: 1, or a function(req)), name (middlewares of one name share their buckets),
-- headers (true).
--
-- The bucket holds `burst` tokens, and rate/per come back in a second. Taking one is a single step
-- in the cache, whichever worker does it. Where it is empty the answer is a 429 with Retry-After;
-- otherwise the answer has RateLimit-Limit, RateLimit-Remaining and RateLimit-Reset, three numbers
-- as of draft-ietf-httpapi-ratelimit-headers-06, which clients know; with several limits those of
-- the narrowest.
--
-- By default a client is its address behind trusted proxies (req.remote_addr), of IPv6 its network
-- of 64 bits. It is not handed to the handler, so that routes with the option cache stay cached.
--
-- A bucket that gives way to other values of the cache is full again: under pressure on memory the
-- limit lets more through, never less.

local core = require "lunette.core"
local crypto = require "lunette.crypto"
local errors = require "lunette.errors"
local units = require "lunette.units"

local misuse, expect, check_options = errors.misuse, errors.expect, errors.check_options

local limit = {}

local OWN = "\0lunette:limit:"
local NUMBER_MAX = 1e9 -- of rate, burst and cost

-- How many middlewares each line of the site has made: its nth one is the same in every worker.
local made = {}

local function check_number(opts, name, unset)
    local n = opts[name]
    if n == nil then return unset end
    expect(n, "number", "lunette.limit: " .. name)
    if not (n > 0 and n <= NUMBER_MAX) then
        misuse("lunette.limit: %s must be above 0 and at most 10^9, not %s", name, errors.kind(n))
    end
    return n
end

-- What tells this middleware's buckets from those of others.
local function name_of(opts)
    if opts.name ~= nil then
        expect(opts.name, "string", "lunette.limit: name")
        return "n" .. opts.name
    end
    local place = errors.place() or "?"
    made[place] = (made[place] or 0) + 1
    return ("p%s:%d"):format(place, made[place])
end

local OPTIONS = {
    rate = true, per = true, burst = true, key = true, cost = true, name = true, headers = true,
}

local function new_conf(opts)
    opts = check_options(opts, OPTIONS, "lunette.limit.middleware")
    if opts.rate == nil then
        misuse("lunette.limit.middleware: rate is missing, as in {rate = 10, per = 1}")
    end
    local rate = check_number(opts, "rate")
    local per = units.duration(opts.per or 1)
    if not per then
        misuse('lunette.limit: per must be a duration like 1 or "1m", not %s', errors.kind(opts.per))
    end
    local conf = { seconds = per / rate, burst = check_number(opts, "burst", math.max(rate, 1)) }
    if opts.key ~= nil then expect(opts.key, "function", "lunette.limit: key") end
    conf.key, conf.cost = opts.key or core.client_net, opts.cost
    if type(opts.cost) ~= "function" then
        conf.cost = check_number(opts, "cost", 1)
        if conf.cost > conf.burst then
            misuse("lunette.limit: cost is %s, and a full bucket has %s: no request would ever pass",
                conf.cost, conf.burst)
        end
    end
    if opts.headers ~= nil then expect(opts.headers, "boolean", "lunette.limit: headers") end
    conf.headers = opts.headers ~= false
    conf.prefix = ("%s\0%s\0%s\0"):format(name_of(opts), conf.seconds, conf.burst)
    return conf
end

local function cost_of(conf, req)
    if type(conf.cost) == "number" then return conf.cost end
    local cost = conf.cost(req)
    if type(cost) ~= "number" or not (cost >= 0 and cost <= NUMBER_MAX) then
        misuse("lunette.limit: cost(req) must return a number of 0 or more, not %s", errors.kind(cost))
    end
    return cost
end

-- The bucket of a request's, as a key of the cache; nil where there is no limit.
local function bucket_of(conf, req)
    local key = conf.key(req)
    if key == nil then return nil end
    if type(key) ~= "string" and type(key) ~= "number" then
        misuse("lunette.limit: key(req) must return a string, a number or nil, not %s",
            errors.kind(key))
    end
    return OWN .. crypto.sha256(conf.prefix .. key)
end

local function whole(n) return math.tointeger(n // 1) end
local function ceil(seconds) return math.ceil(seconds - 1e-6) end

local function headers_of(conf, left, full)
    if not conf.headers then return {} end
    return {
        ["RateLimit-Limit"] = whole(conf.burst),
        ["RateLimit-Remaining"] = whole(left + 1e-6),
        ["RateLimit-Reset"] = ceil(full),
    }
end

-- Adds the headers, unless those of a narrower limit are there.
local function tell(res, headers)
    local other = tonumber(res.headers["RateLimit-Remaining"])
    if other and other <= (headers["RateLimit-Remaining"] or math.huge) then return end
    for name, value in pairs(headers) do res.headers[name] = value end
end

-- middleware{rate=, per=, burst=, key=, cost=, name=, headers=} → middleware.
function limit.middleware(opts)
    local conf = new_conf(opts)
    return function(req, handle)
        local bucket = bucket_of(conf, req)
        if not bucket then return handle(req) end
        local own = require "lunette.cache_own"
        local allowed, left, full, wait =
            own.take(bucket, conf.seconds, conf.burst, cost_of(conf, req))
        local headers = headers_of(conf, left, full)
        if not allowed then
            headers["Retry-After"] = math.max(1, ceil(wait))
            errors.leave(429, "Too many requests: try again later.", headers)
        end
        local res = handle(req)
        tell(res, headers)
        return res
    end
end

return limit
