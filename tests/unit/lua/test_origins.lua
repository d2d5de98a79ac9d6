-- Lists of origins: what they hold, and what only looks like it.

local check = dofile "tests/unit/lua/check.lua"
local origins = require "lunette.origins"

local allows, all = origins.parse({ "https://example.com", "https://*.Example.org:8443",
    "http://[::1]:3000", "app+x://*.a.b" }, "list")
check.equals(all, false)
for origin, want in pairs {
    ["https://example.com"] = true, ["https://EXAMPLE.com"] = true, ["https://example.com:443"] = false,
    ["http://example.com"] = false, ["https://a.example.org:8443"] = true,
    ["https://a.b_c.d-e.example.org:8443"] = true, ["https://example.org:8443"] = false,
    ["https://.example.org:8443"] = false, ["https://a.example.org"] = false,
    ["https://aXexample.org:8443"] = false, ["https://a/.example.org:8443"] = false,
    ["https://a?.example.org:8443"] = false, ["https://a@b.example.org:8443"] = false,
    ["https://a:1.example.org:8443"] = false, ["https://a\0.example.org:8443"] = false,
    ["https://https://a.example.org:8443"] = false, ["http://[::1]:3000"] = true,
    ["http://[::1]"] = false, ["app+x://y.a.b"] = true, ["appx://y.a.b"] = false, ["null"] = false,
    [""] = false,
} do
    check.equals(allows(origin), want, origin)
end

allows, all = origins.parse("*", "list")
check.equals(all, true)
check.equals(allows "null", true)

local seen
allows, all = origins.parse(function(...) seen = { ... } return 1 end, "list")
check.equals(all, false)
check.equals(allows("https://x", "the request"), true)
check.equals(seen, { "https://x", "the request" })

for text, why in pairs {
    ["example.com"] = "an origin is like", ["https://example.com/"] = "no path",
    ["https://a@b"] = "an origin is like", ["https://*"] = "a %* stands for the first part",
    ["https://a.*.b"] = "a %* stands for the first part", ["https://*.*.b"] = "a %* stands for",
    ["https://*b.com"] = "a %* stands for", ["null"] = "sandboxed page", ["NULL"] = "sandboxed page",
    ["https://"] = "an origin is like", [""] = "an origin is like",
} do
    check.misuse(function() origins.parse({ "https://ok", text }, "list") return nil end, why)
end
check.misuse(function() origins.parse({}, "list") return nil end, "no origin is named")
check.misuse(function() origins.parse({ 1 }, "list") return nil end, "must be a string")

check.done()
