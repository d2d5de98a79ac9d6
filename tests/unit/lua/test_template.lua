-- Templates: what they write, how values are escaped, what is wrong with them and where.

local check = dofile "tests/unit/lua/check.lua"

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

package.preload["lunette.html"] = function()
    return { escape = function(s) return (s:gsub("[&<>\"']", ENTITIES)) end }
end

-- Enough of JSON for arrays, objects of one member, text and integers.
local function encode(v)
    if type(v) == "table" then
        if #v > 0 then
            local out = {}
            for i, one in ipairs(v) do out[i] = encode(one) end
            return "[" .. table.concat(out, ",") .. "]"
        end
        local key, value = next(v)
        return key and ("{%s:%s}"):format(encode(key), encode(value)) or "{}"
    end
    return type(v) == "string" and '"' .. v:gsub('[\\"]', "\\%0") .. '"' or tostring(v)
end

local files, running = {}, nil
package.preload["lunette.core"] = function()
    return {
        encode = encode,
        current = function() return running end,
        script_text = function(name)
            local text = files[name:gsub("^views/", "")]
            if text then return text end
            return nil, "No such file or directory"
        end,
    }
end
local urls = { url_for = function(name) return "/of/" .. name end }
package.preload["lunette"] = function() return urls end
package.preload["lunette.csrf"] = function()
    return { input = function(req) return "<input of " .. req:csrf_token() .. ">" end }
end
package.preload["lunette.session"] = function()
    return { flashes = function(req) return req.kept end }
end

local template = require "lunette.template"

local function text_of(text, vars) return template.compile(text)(vars) end

local function fails(text, vars)
    local ok, e = pcall(text_of, text, vars)
    return ok and "it did not fail: " .. e or tostring(e)
end

-- What a template writes, by what stands in it.
for _, case in ipairs {
    { "", "" }, { "a\nb\\\n\"'\0\r\n", "a\nb\\\n\"'\0\r\n" },
    { "{{ a }}|{{b}}|{{ n }}|{{ yes }}|{{ vars.none }}|{{ t.none }}", "1|&lt;b&gt;|2.5|true||" },
    { "{{{ b }}}{{{ vars.none }}}", "<b>" },
    { "{{ safe('<i>') }}", "<i>" },
    { '<p title="{{ safe("<i>") }}">', '<p title="&lt;i&gt;">' },
    { "{{ ({1,2})[2] }}{{ ('}}'):rep(2) }}{{ [[%}]] }}{{ #'{{' }}", "2}}}}%}2" },
    { "{{ a -- note }} }}", "1 }}" }, { "{{ a --[[ }} ]] + 1 }}", "2" },
    { "{# {{ nothing }} #}x", "x" },
    { "{% raw %}{{ a }}{% b %}{% endraw %}!", "{{ a }}{% b %}!" },
    { "a {% raw %}", false }, { "{# a", false }, { "{{ 'a }}", false }, { "{% if", false },
    -- lines that hold only a tag leave nothing
    { "<ul>\n  {% for _, v in ipairs(t) do %}\n  <li>{{ v }}\n  {% end %}\n</ul>",
        "<ul>\n  <li>x\n  <li>y\n</ul>" },
    { "a {% if yes then %}b{% else %}c{% end %} d", "a b d" },
    { "{# one #}\n{# two #}\na\n", "a\n" }, { "a {# b #}\nc", "a \nc" },
    { "{% if not yes then %}b{% elseif a == 1 then %}c{% else %}d{% end %}", "c" },
    { "{% for i = 1, 3 do %}{% if i == 2 then goto next end %}{{ i }}{% ::next:: %}{% end %}", "13" },
    { "{% for i = 1, 3 do %}{{ i }}{% if i == 2 then %}!{% break %}{% end %}{% end %}", "12!" },
    { "{% local n = 0 while n < 2 do n = n + 1 %}{{ n }}{% end %}", "12" },
    { "{% local n = 0 repeat n = n + 1 %}{{ n }}{% until n == 3 %}", "123" },
    { "{% local function li(v) %}<li>{{ v }}</li>{% end %}{% li(a) li(b) %}",
        "<li>1</li><li>&lt;b&gt;</li>" },
    { "{% do %}x{% end %}{% x = 5 %}{{ x }}{% return %}never", "x5" },
    { "{% local x = a %}{% (function() a = x + 1 end)() %}{{ a }}", "2" },
    { "{{ os.date('!%Y', 0) }} {{ string.rep('x', 2) }} {{ ('y'):rep(2) }} {{ math.max(1, 2) }}",
        "1970 xx yy 2" },
    { "{{ json(t) }} <b data-t='{{ json(t) }}'>",
        '[&quot;x&quot;,&quot;y&quot;] <b data-t=\'[&quot;x&quot;,&quot;y&quot;]\'>' },
    { "{{ url_for('home') }}{{ tostring(req) }}", "/of/homenil" },
    { "a < b {{ a }} <3 & </> x", "a < b 1 <3 & </> x" },
} do
    local vars = { a = 1, b = "<b>", n = 2.5, yes = true, t = { "x", "y" } }
    if case[2] then
        local ok, text = pcall(text_of, case[1], vars)
        check.equals(text, case[2], case[1])
        check.truthy(ok, case[1])
    else
        check.matches(fails(case[1], vars), "^template:1: ", case[1])
    end
end

-- Every context with hostile values. %s is where the value stands.
local EVIL = "</script><!--\"'`&\\ \n\u{2028}javascript:alert(1)"
local IN_JS = "\\u003c\\u002fscript\\u003e\\u003c!--\\u0022\\u0027\\u0060\\u0026\\u005c \\u000a"
    .. "\\u2028javascript:alert(1)"
local IN_HTML = "&lt;/script&gt;&lt;!--&quot;&#39;`&amp;\\ \n\u{2028}javascript:alert(1)"
local IN_QUERY = "%3C%2Fscript%3E%3C%21--%22%27%60%26%5C%20%0A%E2%80%A8javascript%3Aalert%281%29"
for _, case in ipairs {
    { "<p>%s</p>", EVIL, IN_HTML }, { "<p title=\"%s\">", EVIL, IN_HTML },
    { "<p title='%s'>", EVIL, IN_HTML }, { "<title>%s</title>", EVIL, IN_HTML },
    { "<textarea>%s</textarea>", EVIL, IN_HTML }, { "<!-- %s> -->", "--<", "&#45;&#45;&lt;" },
    { "<P\nTITLE = \"x %s\" >", EVIL, IN_HTML }, { "</p><b a=b c='%s'>", EVIL, IN_HTML },
    { "<script>a = %s</script>", EVIL, '"' .. IN_JS .. '"' },
    { "<script>a = '%s'</script>", EVIL, IN_JS }, { '<script>a = "%s"</script>', EVIL, IN_JS },
    { "<script>a = `x ${b + '}'} %s`</script>", EVIL, IN_JS },
    { "<script>a = `x ${ %s }`</script>", EVIL, '"' .. IN_JS .. '"' },
    { "<script>a = /[/']\"/.test(b) / %s</script>", 3, "3" },
    { "<script>'</sc' + \"</p>\"; %s</script>", 1, "1" },
    { "<script>// it's\n/* it's */ %s</script>", 1, "1" },
    { "<script type='application/json'>{\"a\": %s}</script>", "x\u{7f}", '"x\\u007f"' },
    { "<SCRIPT type=module>%s</SCRIPT>", { "</script>" }, '["\\u003c/script\\u003e"]' },
    { "<script>%s</script>", false, "false" }, { "<script>%s</script>", 0 / 0, "null" },
    { "<script>%s</script>", 0.1, "0.1" }, { "<script>%s</script>", 1 / 3, "0.33333333333333331" },
    { "<b onclick=\"f(%s)\">", "\"'</b>", "&quot;\\u0022\\u0027\\u003c\\u002fb\\u003e&quot;" },
    { "<b onclick='f(\"%s\")'>", "\"'", "\\u0022\\u0027" },
    { "<b onclick='f(&quot;%s&quot;)'>", ");alert(1)//\"", ");alert(1)\\u002f\\u002f\\u0022" },
    { "<a href=\"%s\">", EVIL:sub(10), "about:blank#blocked" },
    { "<a href=\"%s\">", " \tJAVAscript:alert(1)", "about:blank#blocked" },
    { "<a href=\"%s\">", "java\tscript:alert(1)", "about:blank#blocked" },
    { "<a href=\"%s\">", "java\0script:alert(1)", "about:blank#blocked" },
    { "<a href=\"%s\">", "data:text/html,x", "about:blank#blocked" },
    { "<a href=\"%s\">", ":alert(1)", "about:blank#blocked" },
    { "<a href=\" %s\">", "vbscript:x", "about:blank#blocked" },
    { "<a href=\"%s\">", "https://x.org/a b?c=d&e=%41%4#ü\"",
        "https://x.org/a%20b?c=d&amp;e=%41%254#%C3%BC%22" },
    { "<a href='%s'>", "/a:b", "/a:b" }, { "<a href='%s'>", "mailto:a@b", "mailto:a@b" },
    { "<a href=\"/u/%s\">", "a/b?c#d%&:", "/u/a/b%3Fc%23d%25%26:" },
    { "<a href=\"/u?q=%s\">", EVIL, IN_QUERY }, { "<a href=\"#%s\">", "a b", "a%20b" },
    { "<a href=\"https://%s/x\">", "x.org:80", "x.org:80" },
    { "<a href=\"https:%s\">", "a?", "a%3F" }, { "<a href=\"//x.org%s\">", "/a?b", "/a?b" },
    { "<img src=\"data:image/png;base64,%s\">", "+/=\"", "%2B%2F%3D%22" },
    { "<form action='%s'>", "javascript:1", "about:blank#blocked" },
    { "<button formaction='%s'>", "javascript:1", "about:blank#blocked" },
    { "<iframe src='%s'></iframe>", "javascript:1", "about:blank#blocked" },
    { "<svg><a xlink:href='%s'></svg>", "javascript:1", "about:blank#blocked" },
    { "<svg><animate values='%s'/></svg>", "javascript:1", "about:blank#blocked" },
    { "<img srcset='%s 2x'>", "/a, b", "/a%2C%20b" },
    { "<b style=\"color: %s\">", "red; background: url(x)", "blocked" },
    { "<b style=\"width: %s\">", "10.5px", "10.5px" }, { "<b style=\"color: %s\">", "#fF0", "#fF0" },
    { "<style>a { b: %s }</style>", "</style><script>", "blocked" },
    { "<style>a { b: '%s' }</style>", "'</style>\n", "\\27 \\3c \\2f style\\3e \\a " },
    { "<style>/* ' */ a { b: url(\"%s\") }</style>", '")', "\\22 \\29 " },
    { "<b style='a: \"%s\"'>", "\"'", "\\22 \\27 " },
    { "<p {% if true then %}class='x' {% end %}title='%s'>", "'", "&#39;" },
} do
    local before, after = case[1]:match("^(.-)%%s(.*)$")
    local shown = before .. "{{ v }}" .. after
    local ok, text = pcall(text_of, shown, { v = case[2] })
    before = before:gsub("{%%.-%%}", "")
    check.truthy(ok, tostring(text))
    if case[3]:sub(1, 3) == "/u/" then before = before:gsub("/u/$", "") end
    check.equals(text, before .. case[3] .. after, shown)
end

-- Where there is nothing to escape for, and other mistakes: each with its line.
for _, case in ipairs {
    { "\n<p title={{ a }}>", '^template:2: {{ a }} cannot be escaped here: .*title="{{ … }}"' },
    { "<p title=x{{ a }}>", "in quotes" }, { "<{{ a }}>", 'behind a "<"' },
    { "<p{{ a }}>", "a name in the tag <p>" }, { "<p {{ a }}>", "a name in the tag <p>" },
    { "<p x{{ a }}>", "a name" }, { "<p x='1'{{ a }}>", "a name" }, { "</p {{ a }}>", "a name" },
    { "<!doctype {{ a }}>", "a comment" }, { "<iframe srcdoc='{{ a }}'>", "srcdoc" },
    { "<script>// {{ a }}\n</script>", "in a comment of JavaScript" },
    { "<script>/x{{ a }}/</script>", "regular expression" },
    { "<script>'x\n{{ a }}</script>", "not closed on its line" },
    { "<script>} / {{ a }}</script>", "is not clear" },
    { "<script type='text/x-template'>{{ a }}</script>", "no value can stand in <script>" },
    { "<style>a { b: url({{ a }}) }</style>", "url%(… *%) without quotes" },
    { "<style>/* {{ a }} */</style>", "in a comment of CSS" },
    { "<a href='javascript:{{ a }}'>", "a javascript: URL" },
    { "<a href='java&#115;cript:{{ a }}'>", "entities" },
    { "<b onclick='&lpar;{{ a }}'>", "write the character itself" },
    { "<a href='data:text/html,{{ a }}'>", "a data: URL" },
    { "<a href='{{ a }}:{{ a }}'>", "whose scheme comes from a value" },
    { "<a href='/x{% if a then %}?y{% end %}{{ a }}'>", "the path or the query" },
    { "<title>a <b>{{ a }}</title>", "write &lt; for < within <title>" }, { "<textarea><{{ a }}", "write &lt;" },
    { "<svg><style><b a='{{ a }}'></style></svg>", "write &lt;" }, { "<svg><style/></svg>", "instead of <style/>" },
    { "<svg><script>&quot;{{ a }}&quot;</script></svg>", "entities are read" },
    { "\n<svg>{{ a }}", "ends in text of <svg>" }, { "<svg><![CDATA[ {{ a }} ]]></svg>", "without CDATA" },
    { "<xmp>{{ a }}</xmp>", "no value can stand in <xmp>" },
    { "<p a\"b>", 'a stray " in the tag <p>' }, { "<p>\n<p\n ='x'>", "^template:3: a stray =" },
    { "a\n<script>x", "^template:2: the template ends in <script>" }, { "<p", "ends in the tag" },
    { "<script></scr{{ a }}", "cut in two" }, { "<!--{{ a }} -->", "a space must come between" },
    { "<!-- --!{{ a }}> -->", "a space must come between" },
    { "{% if a then %}\n<p title=\"\n{% end %}", "^template:3: the branches of the 'if' at line 1" },
    { "{% for i = 1, 2 do %}<!-- {% end %}", "^template:1: the 'for' of line 1 begins in text, and ends in a c" },
    { "{% for i = 1, 2 do %}<!-- {% break %}--> {% end %}", "'break' is in a comment" },
    { "<p{% if a then %} b{% end %}c>", "must begin with a space" },
    { "\n{% for i = 1, 2 do %}", "^template:2: this 'for' is not ended" },
    { "{% end %}", "'end' without anything" }, { "{% else %}", "'else' without an 'if'" },
    { "{% block a %}{% if a then %}{% endblock %}{% end %}", "while the 'if' of line 1 is open" },
    { "{% block a %}{% end %}", "while the 'block' of line 1" }, { "{% block %}", "needs a name" },
    { "{% block a %}{% endblock b %}", "ends the block 'a'" }, { "{% endblock %}", "anything to end" },
    { "{% block a %}{% endblock %}{% block a %}{% endblock %}", "is there already" },
    { "x{% extends 'a.html' %}", "before everything else" }, { "{% extends a %}", "in quotes" },
    { "{% include %}", "needs a name" }, { "{{ }}", "no expression" },
    { "\n\n{{ a + }}", "^template:3: unexpected symbol near" }, { "\n{{ a b }}", "^template:2: " },
    { "{{ a, a }}", "^template:1: " }, { "\n{% if a %}{% end %}", "^template:2: 'then' expected" },
    { "a\n{{ none }}", "^template:2: undefined name 'none'" },
    { "{{ titel }}", "undefined name 'titel' %(did you mean 'title'%?%).*vars.titel" },
    { "\n{{ title.x.y }}", "^template:2: attempt to index a nil value %(field 'x'%)" },
    { "\n\n{{\n\n t }}", "^template:%d: a table cannot be written" }, { "{{ print }}", "undefined name" },
    { "{{ ipairs }}", "a function cannot be written.*call it" }, { "{{ io }}", "undefined name 'io'" },
    { "{{ os.execute('x') }}", "execute" }, { "{{ require('x') }}", "undefined name 'require'" },
    { "{% error('mine') %}", "^template:1: mine" },
    { "{% include 'none.html' %}", "^template:1: include: scripts/views/none.html cannot be read" },
    { "{% include '../x' %}", "no name of a view" }, { "{% include 5 %}", "must be a string" },
    { ("{% if a then %}"):rep(200), "nest deeper than" }, { ("x"):rep(2 ^ 20 + 1), "bytes" },
} do
    check.matches(fails(case[1], { a = 1, title = {}, t = {} }), case[2], case[1]:sub(1, 80))
end

-- Inheritance: a block takes the place of the one above, in the context of that.
files = {
    ["base.html"] = "<title>{% block title %}base{% endblock %}</title>\n<body class='{% block c %}b"
        .. "{% endblock %}'>\n{% block main %}\n{{ name }}{% block inner %}in{% endblock %}\n"
        .. "{% endblock %}",
    ["mid.html"] = "{# mid #}\n{% extends 'base.html' %}\n{% name = 'mid' %}\n"
        .. "{% block c %}{{ super() }} {{ '\"' }}{% endblock %}\n"
        .. "{% block inner %}[{% super %}]{% endblock inner %}\n",
    ["leaf.html"] = "{% extends 'mid.html' %}{% block title %}{{ '<' }}{% endblock %}"
        .. "{% block inner %}({{ super() }}){% endblock %}",
    ["loud.html"] = "{% extends 'base.html' %}\n\ntext",
    ["typo.html"] = "{% extends 'base.html' %}\n{% block titel %}{% endblock %}",
    ["place.html"] = "{% extends 'base.html' %}{% block c %}'>{% endblock %}",
    ["a.html"] = "{% extends 'b.html' %}", ["b.html"] = "\n{% extends 'a.html' %}",
    ["orphan.html"] = "{% extends 'none.html' %}",
    ["bad.html"] = "\n\n{{ 1 + }}", ["worse.html"] = "{% extends 'bad.html' %}",
    ["super.html"] = "{% block a %}{{ super() }}{% endblock %}",
    ["part.html"] = "{{ n }}{{ name }}{{ vars.n }}{{ vars.none }}", ["attr.html"] = "{{ v }}",
    ["user.html"] = "{% include 'part.html', { n = '<' } %}<a href='{% include \"attr.html\" %}' "
        .. "title='{% include \"attr.html\" %}'>{% include 'attr.html' %}",
    ["self.html"] = "{% include 'self.html' %}",
    ["tree.html"] = "{{ node.name }}{% for _, n in ipairs(node) do %}({% include 'tree.html', { node = n } %})"
        .. "{% end %}",
    ["open.html"] = "<p title='", ["opens.html"] = "{% include 'open.html' %}",
    ["deep/in.html"] = "deep",
}
for _, case in ipairs {
    { "base.html", "<title>base</title>\n<body class='b'>\nbasein\n" },
    { "mid.html", "<title>base</title>\n<body class='b &quot;'>\nmid[in]\n" },
    { "leaf.html", "<title>&lt;</title>\n<body class='b &quot;'>\nmid([in])\n" },
    { "user.html", "&lt;base&lt;<a href='about:blank#blocked' title='data:&lt;'>data:&lt;" },
    { "tree.html", "r(a(b))(c)" }, { "deep/in.html", "deep" },
    { "loud.html", "^scripts/views/loud.html:3: this is outside of every block", true },
    { "typo.html", "^scripts/views/typo.html:2: no template above has a block 'titel' .*title", true },
    { "place.html", "^scripts/views/place.html:1: ", true },
    { "a.html", "^scripts/views/b.html:2: .*in a circle: a.html → b.html → a.html", true },
    { "orphan.html", "^scripts/views/orphan.html:1: .*none.html cannot be read", true },
    { "worse.html", "^scripts/views/bad.html:3: ", true },
    { "super.html", "^scripts/views/super.html:1: super%(%)", true },
    { "self.html", "^scripts/views/self.html:1: .*each other 50 deep", true },
    { "opens.html", "^scripts/views/open.html:1: the template ends in the attribute title of <p>", true },
} do
    local vars = { name = "base", v = "data:<", node = { name = "r", { name = "a", { name = "b" } },
        { name = "c" } } }
    local ok, text = pcall(template.render, case[1], vars)
    if case[3] then
        check.matches(text, case[2], case[1])
        check.truthy(not ok, case[1])
    else
        check.equals(text, case[2], case[1])
    end
end
check.misuse(function() template.render("none.html") end, "none.html cannot be read")
check.misuse(function() template.render("../main.lua") end, "no name of a view")
check.misuse(function() template.render(5) end, "the view must be a string")
check.misuse(function() template.render("base.html", 5) end, "the variables must be a table")
check.misuse(function() template.compile(5) end, "the text must be a string")

-- Compiled once; what a render sets is gone with it.
do
    local reads = 0
    files = setmetatable({}, { __index = function(_, name)
        reads = reads + 1
        return name == "once.html" and "{% n = (vars.n or 0) + 1 %}{{ n }}" or nil
    end })
    check.equals({ template.render "once.html", template.render "once.html", reads }, { "1", "1", 1 })
end

-- Variables: those of app.view, of the render, and those that are always there.
do
    running = { path = "/here", kept = { { kind = "info", text = "<hi>" } } }
    function running.csrf_token() return "t" end
    template.add_view(function(req) return { who = req.path, both = "view" } end)
    template.add_view(function() return nil end)
    check.equals(text_of("{{ who }}{{ both }}{{ req.path }}", { both = "own" }), "/hereown/here")
    check.equals(text_of("<form>{{ csrf_field() }}{{ csrf_field }}</form>"),
        "<form>" .. ("<input of t>"):rep(2) .. "</form>")
    check.equals(text_of("{% for _, f in ipairs(flashes()) do %}{{ f.kind }}{{ f.text }}{% end %}{{ #flashes }}"),
        "info&lt;hi&gt;1")
    local defaults = setmetatable({ a = 1 }, { __index = { b = 2 } })
    check.equals(text_of("{{ a }}{{ b }}{{ vars.b }}{{ vars.c }}", defaults), "122")
    template.add_view(function() return 5 end)
    check.matches(fails("x"), "app.view: what the function at .*test_template.lua:%d+ returns must be a table")
    running = nil
end

-- Whatever text a template holds: it compiles, or fails with its name and line. And what compiles
-- writes no tag that stands in no literal, if values are the only thing that hostile hands write.
do
    local PARTS = { "{{ v }}", "{{{ v }}}", "{% if v then %}", "{% else %}", "{% end %}", "{%", "%}", "{{",
        "}}", "{#", "#}", "{% for i = 1, 2 do %}", "{% block a %}", "{% endblock %}", "<p", "<a href=",
        "<script>", "</script>", "<style>", "</style>", "<!--", "-->", '"', "'", "`", "${", "}", "/", "*/",
        "//", ">", "=", " ", "\n", "onclick=", "style=", "?", "#", ":", "\\", "<", "</", "[[", "]]", "--",
        "{% raw %}", "{% include 'x' %}", "{% extends 'x' %}", "{% return %}", "{% break %}", "a", "url(" }
    math.randomseed(7)
    local compiled = 0
    files = {}
    for _ = 1, 20000 do
        local out = {}
        for i = 1, math.random(12) do out[i] = PARTS[math.random(#PARTS)] end
        local text = table.concat(out)
        local ok, e = pcall(template.compile, text)
        if ok then
            compiled = compiled + 1
            local wrote, page = pcall(e, { v = "<script x" })
            if wrote and not text:find("{{{", 1, true) and page:find("<script x", 1, true) then
                check.equals(page, "no script", text)
            end
        elseif not tostring(e):find("^template:%d+: ") then
            check.equals(e, "a message with its line", text)
        end
    end
    check.truthy(compiled > 2000, "texts that compile")
end

check.done()
