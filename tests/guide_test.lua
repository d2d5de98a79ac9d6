-- The guide's own tests, for `lunette test`: its pages, what they show, and what they claim of modules.

local chapters = require "chapters"
local highlight = require "highlight"
local reference = require "reference"
local speed = require "speed"
local test = require "lunette.test"

local client, expect = test.client, test.expect

test("every chapter is a page with a way on", function()
    for _, chapter in ipairs(chapters) do
        local answer = client.get(chapter.path)
        expect(answer.status).equals(200)
        expect(answer.body).contains('aria-current="page"')
        if chapter.next then
            expect(answer.body).contains('rel="next" href="' .. chapter.next.path .. '"')
        end
    end
end)

test("a page that is not there has a page", function()
    local answer = client.get("/guide/nowhere", { headers = { Accept = "text/html" } })
    expect(answer.status).equals(404)
    expect(answer.body).contains "<strong>404</strong>"
end)

test("coloured source is the same text", function()
    for _, case in ipairs {
        { "lua", 'local s = "a<b" -- [[ "c" ]]\nreturn [[\n&"]] .. s .. 1.5e3 --[==[ x ]] ]==]\n' },
        { "lua", "a = 'unfinished\n[not long] #t - 1 ~= x\n" },
        { "html", "{% if x %}<p class=\"a\">{{ y }}</p>{# z #}<!-- & -->{{{ raw }}}\n" },
        { "console", "$ curl -d a=1 'x<y'\n<p>$ 5</p>\n" },
        { "text", "a < b & c\n" },
    } do
        local text = highlight.html(case[1], case[2]):gsub("<[^>]*>", "")
        text = text:gsub("&lt;", "<"):gsub("&gt;", ">"):gsub("&quot;", '"'):gsub("&#39;", "'")
        expect((text:gsub("&amp;", "&"))).equals(case[2])
    end
end)

test("words, strings and comments of Lua have their colour", function()
    local html = highlight.html("lua", 'local x = "end" -- for\n')
    expect(html).equals('<span class="keyword">local</span> x = <span class="string">&quot;end&quot;</span>'
        .. ' <span class="comment">-- for</span>\n')
end)

test("figures have three digits, or all before the point", function()
    for _, case in ipairs {
        { 0.0, "0.000" }, { 0.1254, "0.125" }, { 0.9996, "1.00" }, { 9.996, "10.0" }, { 12.54, "12.5" },
        { 99.96, "100" }, { 999.6, "1,000" }, { 1234567.0, "1,234,567" }, { 7, "7" }, { 1024, "1,024" },
    } do
        expect(speed.number(case[1])).equals(case[2])
    end
    local seen = { median = 2048.0, low = 1024.0, high = 4096.0 }
    expect(speed.spread(seen, 1024)).equals "2.00 (1.00 to 4.00)"
    expect(speed.spread(nil)).equals "–"
end)

-- The names of a module that a line of its reference is about: "app.get, post(x)" → get, post;
-- "client.get(x)" → client; none for methods of what it gives, "db:row(y)".
local function names_of(call)
    local names = {}
    if call:find "^%a+:" then return names end
    if call:find "^%a+%." and not call:find "^app%." then return { call:match "^%a+" } end
    local bare = call:gsub("%b()", ""):gsub("%b{}", ""):gsub("%b[]", "")
    for name in bare:gmatch "[%w_.]+" do names[#names + 1] = name:match "[%w_]+$" end
    return names
end

-- What modules have for the rest of lunette alone, and what they say is not there yet.
local INNER = {
    ["lunette"] = { websocket = true },
    ["lunette.session"] = { field = true, own_secret = true, state = true },
    ["lunette.secure"] = { field = true },
    ["lunette.template"] = { add_view = true, render_for = true, unit = true },
    ["lunette.validate"] = { schema_for = true },
}

-- Module → { name = true } of what the reference says it has.
local function documented()
    local modules = {}
    for _, module in ipairs(reference) do
        if module.name:find "^lunette" then
            local names = {}
            for _, call in ipairs(module.calls) do
                for _, name in ipairs(names_of(call[1])) do names[name] = true end
            end
            modules[module.name] = names
        end
    end
    return modules
end

test("the reference has every call of every module, and no other", function()
    local missing, unsaid = {}, {}
    for module, names in pairs(documented()) do
        local there = require(module)
        for name in pairs(names) do
            if rawget(there, name) == nil then missing[#missing + 1] = module .. "." .. name end
        end
        for name in next, there do
            local known = names[name] or INNER[module] and INNER[module][name]
            if not known then unsaid[#unsaid + 1] = module .. "." .. tostring(name) end
        end
    end
    expect(missing).equals {}
    expect(unsaid).equals {}
end)
