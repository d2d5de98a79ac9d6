-- Global names found in the text of a script: every construct that makes or hides one, and the
-- library's own files against what Lua's compiler says of them.

local check = dofile "tests/unit/lua/check.lua"
local scopes = require "lunette.command.scopes"
local tokens = require "lunette.command.tokens"

-- "a:1 b=:2": each use, its line, "=" for an assignment; sorted.
local function found(text)
    assert(load(text))
    local out = {}
    for _, use in ipairs(scopes(text).uses) do
        out[#out + 1] = ("%s%s:%d"):format(use.name, use.assigned and "=" or "", use.line)
    end
    table.sort(out)
    return table.concat(out, " ")
end

local ROWS = {
    -- locals
    { "local a = b", "b:1" },
    { "local a = a", "a:1" },
    { "local a <const>, b <close> = 1, nil return a, b, c", "c:1" },
    { "local function f() return f end", "" },
    { "local f = function() return f end", "f:1" },
    { "a = 1", "a=:1" },
    { "a, b.c, d[e] = f, g", "a=:1 b:1 d:1 e:1 f:1 g:1" },
    { "local a a = b a.c = d", "b:1 d:1" },
    { "a = a + 1", "a:1 a=:1" },
    -- blocks
    { "do local a end return a", "a:1" },
    { "if a then local b elseif b then local c else return c end", "a:1 b:1 c:1" },
    { "while a do local b break end return b", "a:1 b:1" },
    { "for i = a, b, c do print(i) end return i", "a:1 b:1 c:1 i:1 print:1" },
    { "for k, v in pairs(k) do local x = v end return v", "k:1 pairs:1 v:1" },
    { "repeat local done = a until done return done", "a:1 done:1" },
    { "goto here ::here:: return 1", "" },
    { "for i = 1, 2 do goto continue ::continue:: end", "" },
    { "return", "" }, { "return;", "" }, { "if x then return end", "x:1" },
    { "do return 'end' end", "" }, { ";;; a() ;", "a:1" },
    -- functions
    { "function f(a, ...) return a, b, ... end", "b:1 f=:1" },
    { "function f.g.h(a) return a end", "f:1" },
    { "function f:m() return self, a end", "a:1 f:1" },
    { "local f function f() end function f.g() return self end", "self:1" },
    { "function _G.f() end", "_G:1 f=:1" },
    { "return function(a) return function(b) return a, b, c end end", "c:1" },
    -- expressions
    { "return a.b.c[d]:e(f)(g){h}'i'", "a:1 d:1 f:1 g:1 h:1" },
    { "return { a, b = c, [d] = e; f }", "a:1 c:1 d:1 e:1 f:1" },
    { "return -a + #b .. not c ^ ~d // e", "a:1 b:1 c:1 d:1 e:1" },
    { "return (a)(b), (c).d", "a:1 b:1 c:1" },
    { "f'x' g[[y]] h{z = 1} i'end'", "f:1 g:1 h:1 i:1" },
    { "a.b.c = 1 a[b].c = 2", "a:1 a:1 b:1" },
    { "return a == b and c ~= d or e < f", "a:1 b:1 c:1 d:1 e:1 f:1" },
    { "return 1, 0x1p-4, 3., .5e+3, 0xA.8P1, 1e5, nil, true, ...", "" },
    -- text that is no code
    { "-- a\nreturn b -- c", "b:2" },
    { "--[[ a\nb ]] return c --[==[ ]] ]==] , d", "c:2 d:2" },
    { "return [[\na]], [==[ ]] b ]==], c", "c:2" },
    { "return 'a\\'b', \"c\\\"d\", '\\\\', e", "e:1" },
    { "return 'a\\\nb', c", "c:2" },
    { "return 'a\\z\n   b', c", "c:2" },
    { "return '--', a", "a:1" },
    { "--", "" }, { "", "" },
    -- _ENV and _G
    { "local _ENV = {} a = b", "" },
    { "do local _ENV = x a = 1 end b = 2", "b=:1 x:1" },
    { "return function(_ENV) return a end, b", "b:1" },
    { "a = 1 _ENV = {} b = 2 return c", "a=:1" },
    { "_G.a = 1 _ENV.b = 2 _G['c'] = 3", "_G:1 _G:1 a=:1 b=:1 c=:1" },
    { "return _G.a, _ENV.b", "_G:1" },
    { "_G[a] = 1 _G.b.c = 2", "_G:1 _G:1 a:1" },
    { "local _G = {} _G.a = 1", "" },
    -- lines
    { "a(\nb,\nc\n.d)", "a:1 b:2 c:3" },
    { "local t = {\n  x = y,\n  [z] = w }", "w:3 y:2 z:3" },
}
for _, row in ipairs(ROWS) do check.equals(found(row[1]), row[2], row[1]) end

-- A first line of "#" and a byte order mark are no code.
check.equals(#tokens "#!/usr/bin/lua a\nreturn 1", 3)
check.equals(tokens("#!/usr/bin/lua a\nreturn 1")[1].line, 2)
check.equals(#tokens "\xEF\xBB\xBFreturn 1", 3)
check.equals(#tokens "#", 1)

-- rawset(_G, "name", …) declares.
local function declared(text)
    local out = {}
    for name in pairs(scopes(text).declared) do out[#out + 1] = name end
    table.sort(out)
    return table.concat(out, " ")
end
check.equals(declared 'rawset(_G, "a", 1) local function f() rawset(_G, "b", 2) end', "a b")
check.equals(declared 'rawset(t, "a", 1) rawset(_G, b, 1)', "")
check.equals(declared 'local rawset = x rawset(_G, "a", 1)', "")

-- Calls of functions of modules.
local function called(text)
    local out = {}
    for _, call in ipairs(scopes(text).calls) do
        out[#out + 1] = ("%s.%s:%d%s"):format(call.module, call.name, call.line, call.secret and "!" or "")
    end
    return table.concat(out, " ")
end
check.equals(called 'local c = require "m"\nc.sign(1) c.sign(1, { secret = s })', "m.sign:2 m.sign:2!")
check.equals(called 'require("m").sign(1)', "m.sign:1")
check.equals(called 'local a, c <const> = 1, require("m") return c.x "1"', "m.x:1")
check.equals(called 'local sign = require "m".sign\nreturn sign(1)', "m.sign:2")
check.equals(called 'local c = require "m" local sign = c.sign return sign{ secret = 1 }', "m.sign:1!")
check.equals(called 'local c = require "m" do local c = x c.sign(1) end return c.d.sign(1)', "")
check.equals(called 'local c = require(m) return c.sign(1)', "")

-- What Lua's compiler makes of a file: the names that it takes from the _ENV of the chunk. (Where a
-- function has more than 255 constants it does so in two steps, which are not seen here.)
local function compiled(file)
    local uses, listing = {}, assert(io.popen("luac5.4 -l -p " .. file))
    for line in listing:lines() do
        local at, op, name = line:match("%[(%d+)%]%s+([GS]ETTABUP)%s.*; _ENV \"([^\"]+)\"")
        if at then uses[name .. (op == "SETTABUP" and "=" or "")] = true end
    end
    assert(listing:close())
    return uses
end

local function same_as_compiler(file)
    local text = assert(assert(io.open(file)):read "a")
    local uses, wanted = {}, compiled(file)
    for _, use in ipairs(scopes(text).uses) do uses[use.name .. (use.assigned and "=" or "")] = true end
    check.equals(uses, wanted, file)
end

local files = assert(io.popen("ls src/lua/*.lua src/lua/*/*.lua src/lua/*/*/*.lua "
    .. "scripts/*.lua scripts/*/*.lua"))
local count = 0
for file in files:lines() do
    same_as_compiler(file)
    count = count + 1
end
check.truthy(count > 50, "files were read")

check.done()
