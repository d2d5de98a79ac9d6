-- Values as text, for those who read why a test failed: "milk", 201, { id = 7, tags = { "a" } }.

local json = require "lunette.json"

local show = {}

local TEXT_MAX, DEPTH_MAX = 400, 6

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\0"] = "\\0", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quote(s)
    return '"' .. s:gsub('[%c"\\\127]', function(c)
        return ESCAPES[c] or ("\\x%02x"):format(c:byte())
    end) .. '"'
end

-- Keys in the order in which they are shown: those of the list, then by type and text.
local function sorted_keys(t)
    local keys = {}
    for k in next, t do keys[#keys + 1] = k end
    table.sort(keys, function(a, b)
        local ta, tb = type(a), type(b)
        if ta ~= tb then return ta == "number" or (tb ~= "number" and ta < tb) end
        if ta == "number" or ta == "string" then return a < b end
        return tostring(a) < tostring(b)
    end)
    return keys
end
show.sorted_keys = sorted_keys

local function is_word(k)
    return type(k) == "string" and k:find("^[%a_][%w_]*$") ~= nil
end

local write

-- Appends the pieces of t to out, whose n counts bytes; stops when it is too long to be shown.
local function write_table(t, out, depth, seen)
    if seen[t] then return out:add("{ the same again }") end
    if depth >= DEPTH_MAX then return out:add("{ … }") end
    seen[t] = true
    local n, first = #t, true
    out:add("{")
    for _, k in ipairs(sorted_keys(t)) do
        if out.n > TEXT_MAX then break end
        out:add(first and " " or ", ")
        first = false
        if not (math.type(k) == "integer" and k >= 1 and k <= n) then
            if is_word(k) then
                out:add(k)
            else
                out:add("[")
                write(k, out, depth + 1, seen)
                out:add("]")
            end
            out:add(" = ")
        end
        write(rawget(t, k), out, depth + 1, seen)
    end
    out:add(first and "}" or " }")
    seen[t] = nil
end

function write(v, out, depth, seen)
    if v == json.null then return out:add("json.null") end
    if type(v) == "string" then return out:add(quote(v)) end
    local meta = debug.getmetatable(v)
    if type(v) == "table" and not (meta and rawget(meta, "__tostring")) then
        return write_table(v, out, depth, seen)
    end
    local ok, text = pcall(tostring, v)
    out:add(ok and text or "a " .. type(v))
end

local Out = {}
Out.__index = Out

function Out:add(s)
    self.n = self.n + #s
    self[#self + 1] = s
end

-- At most so many bytes, and whole characters.
local function cut(text)
    if #text <= TEXT_MAX then return text end
    local at = TEXT_MAX
    while at > TEXT_MAX - 4 and text:byte(at + 1) & 0xc0 == 0x80 do at = at - 1 end
    return ("%s… (%d bytes in all)"):format(text:sub(1, at), #text)
end

-- The value in one line, cut where it is too long.
function show.value(v)
    if type(v) == "string" then return cut(quote(v)) end
    local out = setmetatable({ n = 0 }, Out)
    write(v, out, 0, {})
    local text = table.concat(out)
    return #text <= TEXT_MAX and text or cut(text):gsub(" %(%d+ bytes in all%)$", "")
end

-- The path of a key behind another: ".notes", "[2]", '["a b"]'.
function show.key(k)
    if is_word(k) then return "." .. k end
    return "[" .. (type(k) == "string" and quote(k) or tostring(k)) .. "]"
end

return show
