-- Route patterns: text to segments, segments against a request's, and back to a path.
--
-- A pattern is a list of segments, each of one form:
--   literal  { literal = "photos" }
--   mixed    { parts = { "img-", capture, ".jpg" }, … }    at least one capture; captures are
--            { name = "id", spec = spec or nil }, spec a constraint with a test
--   rest     { rest = "path" }                             the last one, any number of segments
-- Captures' values are kept by position, since routes of one shape may name them differently.

local errors = require "lunette.errors"
local suggest = require "lunette.suggest"

local find, sub, byte, match = string.find, string.sub, string.byte, string.match
local tointeger = math.tointeger

local pattern = {}

local UUID = "^" .. ("%x"):rep(8) .. ("%-" .. ("%x"):rep(4)):rep(3) .. "%-" .. ("%x"):rep(12) .. "$"

-- Constraints with a name. test(s) gives the value, or nil for no match; rank orders them among
-- other constraints: the narrow ones before Lua patterns, the wide one after.
local NAMED = {
    int = {
        key = "int", rank = 1,
        test = function(s)
            return #s <= 19 and find(s, "^%d+$") and tointeger(tonumber(s)) or nil
        end,
    },
    uuid = { key = "uuid", rank = 1, test = function(s) return match(s, UUID) end },
    slug = { key = "slug", rank = 3, test = function(s) return match(s, "^[%w_-]+$") end },
}

-- The index of the "]" that ends the set which starts at `at`, as Lua reads sets; nil without one.
local function set_end(text, at)
    at = find(text, "^%^", at + 1) and at + 2 or at + 1
    local first = at
    while at <= #text do
        local c = sub(text, at, at)
        if c == "]" and at > first then return at end
        at = at + (c == "%" and 2 or 1)
    end
    return nil
end

-- The index of the last byte of the Lua pattern's item at `at`; nil when it is cut short. The set
-- after %f is an item of its own.
local function item_end(text, at)
    local c = sub(text, at, at)
    if c == "[" then return set_end(text, at) end
    if c ~= "%" then return at end
    local class = sub(text, at + 1, at + 1)
    if class == "b" then return at + 3 <= #text and at + 3 or nil end
    if class == "f" then return find(text, "^%[", at + 2) and at + 1 or nil end
    return class ~= "" and at + 1 or nil
end

pattern.item_end = item_end

-- The index of the "}" that ends a constraint which starts at `at`: not in a set, not escaped, not
-- closing a brace of the Lua pattern itself. nil when there is none.
local function brace_end(text, at)
    local depth = 0
    while at and at <= #text do
        local c = sub(text, at, at)
        if c == "}" and depth == 0 then return at end
        depth = depth + (c == "{" and 1 or c == "}" and -1 or 0)
        at = item_end(text, at)
        at = at and at + 1
    end
    return nil
end

-- Whether Lua takes the pattern: string.find alone looks only as far as its subject leads.
local function is_lua_pattern(text)
    local depth, at = 0, 1
    while at <= #text do
        local c = sub(text, at, at)
        depth = depth + (c == "(" and 1 or c == ")" and -1 or 0)
        at = item_end(text, at)
        if not at or depth < 0 then return false end
        at = at + 1
    end
    return depth == 0 and pcall(find, "", text)
end

local function constraint(text)
    if text == "" then return nil, "holds an empty pattern {}" end
    if find(text, "^%a[%w_]*$") then
        local spec = NAMED[text]
        if spec then return spec end
        local near = suggest.nearest(text, NAMED)
        return nil, ("names the unknown pattern {%s} (%s)"):format(text,
            near and ("the nearest known one is {%s}"):format(near)
            or "there are {int}, {uuid}, {slug}; others are Lua patterns like {%a+}")
    end
    if not is_lua_pattern(text) then
        return nil, ("holds {%s}, which is not a Lua pattern"):format(text)
    end
    local whole = "^" .. text .. "$"
    return { key = text, rank = 2, test = function(s) return find(s, whole) and s or nil end }
end

-- ":name{…}" at `at` → capture, index after it; or nil, why.
local function read_capture(text, at)
    local name = match(text, "^[%a_][%w_]*", at + 1)
    if not name then return nil, "holds a capture without a name" end
    at = at + 1 + #name
    if sub(text, at, at) ~= "{" then return { name = name }, at end
    local close = brace_end(text, at + 1)
    if not close then return nil, ("holds a { without its } after :%s"):format(name) end
    local spec, why = constraint(sub(text, at + 1, close - 1))
    if not spec then return nil, why end
    return { name = name, spec = spec }, close + 1
end

-- "*name" at `at`: a whole segment, and the last one.
local function read_rest(text, at)
    local name = match(text, "^[%a_][%w_]*", at + 1)
    if not name then return nil, "holds a * without a name" end
    at = at + 1 + #name
    if at <= #text then return nil, ("holds *%s, which must be the last segment"):format(name) end
    return { rest = name, shape = "*" }, at
end

-- The figures of a mixed segment that its order and its matching need.
local function describe(parts)
    local s = { parts = parts, literals = 0, plain = 0, rank = 0, captures = 0 }
    local shape = {}
    for i, part in ipairs(parts) do
        if type(part) == "string" then
            s.literals = s.literals + #part
            shape[i] = part
        else
            s.captures = s.captures + 1
            s.plain = s.plain + (part.spec and 0 or 1)
            s.rank = s.rank + (part.spec and part.spec.rank or 0)
            shape[i] = part.spec and ":{" .. part.spec.key .. "}" or ":"
        end
    end
    s.head = type(parts[1]) == "string" and parts[1] or ""
    s.tail = type(parts[#parts]) == "string" and parts[#parts] or ""
    s.shape = table.concat(shape)
    s.spec = s.captures == 1 and (parts[1].spec or (parts[2] or {}).spec) or nil
    s.whole = #parts == 1 and s.plain == 1 -- a plain :x, by far the commonest
    return s
end

-- Why no path can ever hold the literal text, or nil. whole: it is all of its segment.
local function never_matches(text, whole)
    if whole and (text == "." or text == "..") then
        return ("holds the segment %q, which no path keeps"):format(text)
    end
    local c = match(text, "[?#]")
    if c then return ("holds %q, which ends a path"):format(c) end
    local code = match(text, "%%%x%x")
    if code then
        return ("holds %q: paths are compared decoded, write the character itself"):format(code)
    end
    local name = whole and (match(text, "^<([%w_]+)>$") or match(text, "^{([%w_]+)}$"))
    if name then return ("holds %q: captures are written :%s"):format(text, name) end
    return nil
end

-- One segment from `at` to the next "/" → segment, index of that "/" or after the end; nil, why.
local function read_segment(text, at)
    if byte(text, at) == 42 then return read_rest(text, at) end
    local parts = {}
    while at <= #text and byte(text, at) ~= 47 do
        local c = sub(text, at, at)
        if c == "*" then return nil, "holds a * inside a segment" end
        if c == ":" then
            if type(parts[#parts]) == "table" then
                return nil, "holds two captures side by side in one segment"
            end
            parts[#parts + 1], at = read_capture(text, at)
            if not parts[#parts] or type(at) == "string" then return nil, at end
        else
            local run = match(text, "^[^/:*]+", at)
            local why = never_matches(run, #parts == 0 and find(text, "^%f[/\0]", at + #run) ~= nil)
            if why then return nil, why end
            parts[#parts + 1], at = run, at + #run
        end
    end
    if #parts == 1 and type(parts[1]) == "string" then
        return { literal = parts[1], shape = parts[1] }, at
    end
    return describe(parts), at
end

-- Adds the names of a segment to list; nil, why when one is there already.
local function add_names(segment, list, seen)
    local found = segment.rest and { { name = segment.rest } } or segment.parts or {}
    for _, part in ipairs(found) do
        if type(part) == "table" then
            if seen[part.name] then
                return nil, ("captures %q twice"):format(part.name)
            end
            seen[part.name] = true
            list[#list + 1] = part.name
        end
    end
    return true
end

-- Parses "/photos/:id{int}.jpg" → { text, names = {"id"}, slash = ends in "/", literal = has no
-- captures, rest = ends in *x, [1..n] = segments }; or nil and why: 'holds a capture without …'.
function pattern.parse(text)
    if byte(text, 1) ~= 47 then return nil, 'must begin with "/"' end
    local p = { text = text, names = {}, slash = false, literal = true, rest = false }
    local seen, at = {}, 2
    while at <= #text do
        if byte(text, at) == 47 then return nil, "holds an empty segment (//)" end
        local segment, after = read_segment(text, at)
        if not segment then return nil, after end
        local ok, why = add_names(segment, p.names, seen)
        if not ok then return nil, why end
        p[#p + 1] = segment
        p.literal = p.literal and segment.literal ~= nil
        p.rest = segment.rest ~= nil
        p.slash = after == #text
        at = after + 1
    end
    return p
end

-- Whether mixed segment a stands before b: more literal text first, then fewer plain captures,
-- then narrower constraints, then more text in front. nil when none of it decides.
function pattern.before(a, b)
    if a.literals ~= b.literals then return a.literals > b.literals end
    if a.plain ~= b.plain then return a.plain < b.plain end
    if a.captures ~= b.captures then return a.captures > b.captures end
    if a.rank ~= b.rank then return a.rank < b.rank end
    if #a.head ~= #b.head then return #a.head > #b.head end
    return nil
end

local function value_of(spec, text)
    if spec then return spec.test(text) end
    return text ~= "" and text or nil
end

-- Parts i… of a segment against s from `at`; the leftmost place of each literal is tried first.
-- dead remembers what failed, so that the work stays bounded by parts × length.
local function match_parts(parts, i, s, at, caps, c, dead)
    local part = parts[i]
    if part == nil then return at > #s and c or nil end
    if type(part) == "string" then
        if sub(s, at, at + #part - 1) ~= part then return nil end
        return match_parts(parts, i + 1, s, at + #part, caps, c, dead)
    end
    local follows = parts[i + 1]
    if not follows then
        caps[c + 1] = value_of(part.spec, sub(s, at))
        return caps[c + 1] ~= nil and c + 1 or nil
    end
    local key = i * (#s + 2) + at
    if dead[key] then return nil end
    local stop = find(s, follows, at, true)
    while stop do
        local value = value_of(part.spec, sub(s, at, stop - 1))
        if value ~= nil then
            caps[c + 1] = value
            local n = match_parts(parts, i + 1, s, stop, caps, c + 1, dead)
            if n then return n end
        end
        stop = find(s, follows, stop + 1, true)
    end
    dead[key] = true
    return nil
end

-- A mixed segment against one segment of a path: the values go to caps[c + 1]…, and the new count
-- comes back; nil when it does not match. A plain capture takes at least one byte.
function pattern.match(segment, s, caps, c)
    if segment.whole then
        caps[c + 1] = s
        return c + 1
    end
    if segment.captures > 1 then return match_parts(segment.parts, 1, s, 1, caps, c, {}) end
    local head, tail = segment.head, segment.tail
    local h, t = #head, #tail
    if #s < h + t then return nil end
    if h > 0 and sub(s, 1, h) ~= head then return nil end
    if t > 0 and sub(s, -t) ~= tail then return nil end
    local value = value_of(segment.spec, h + t == 0 and s or sub(s, h + 1, #s - t))
    if value == nil then return nil end
    caps[c + 1] = value
    return c + 1
end

local unused = {}

-- Whether a prefix (a parsed pattern) covers a path of n segments.
function pattern.covers(prefix, segs, n)
    if #prefix > n then return false end
    for i = 1, #prefix do
        local p = prefix[i]
        if p.literal then
            if p.literal ~= segs[i] then return false end
        elseif not pattern.match(p, segs[i], unused, 0) then
            return false
        end
    end
    return true
end

-- Whether a prefix covers the paths of route pattern p: "always", "never", or "maybe", which has to
-- be seen from the path.
function pattern.relation(prefix, p)
    local answer = "always"
    for i = 1, #prefix do
        local a, b = prefix[i], p[i]
        if not b then return "never" end
        if b.rest then return "maybe" end
        if a.literal and b.literal then
            if a.literal ~= b.literal then return "never" end
        elseif a.shape ~= b.shape and not a.whole then
            answer = "maybe"
        end
    end
    return answer
end

local function escape(c) return ("%%%02X"):format(byte(c)) end

-- Percent-encodes all but unreserved characters (RFC 3986, 2.3) and those of the set `keep`.
function pattern.quote(s, keep)
    return (s:gsub("[^%w%-._~" .. (keep or "") .. "]", escape))
end

-- The text of a parameter's value, or nil for what has none in a path.
local function text_of(value)
    if math.type(value) == "float" then value = tointeger(value) end
    if type(value) == "string" or type(value) == "number" then return tostring(value) end
    return nil
end

local function is_dots(s) return s == "." or s == ".." end

local function build_rest(name, params)
    local text = text_of(params[name])
    if not text then return nil, ("parameter %q must be a string or a number"):format(name) end
    for s in text:gmatch("[^/]+") do
        if is_dots(s) then return nil, ("parameter %q holds a segment %q"):format(name, s) end
    end
    if text:sub(1, 1) == "/" then
        return nil, ("parameter %q must not begin with a slash"):format(name)
    end
    return pattern.quote(text, "/")
end

local function build_segment(segment, params)
    if segment.literal then return pattern.quote(segment.literal, "!$&'()*+,;=:@") end
    if segment.rest then return build_rest(segment.rest, params) end
    local out, raw, last = {}, {}, nil
    for i, part in ipairs(segment.parts) do
        local text = part
        if type(part) == "table" then
            last = part.name
            text = text_of(params[last])
            if not text then
                return nil, ("parameter %q must be a string or a number"):format(last)
            end
            if value_of(part.spec, text) == nil then
                return nil, ("parameter %q does not match its pattern: %s"):format(last,
                    errors.kind(params[last]))
            end
        end
        out[i], raw[i] = pattern.quote(text, part == text and "!$&'()*+,;=:@" or nil), text
    end
    local whole = table.concat(raw)
    if whole == "" or is_dots(whole) then
        return nil, ("parameter %q cannot be %q there"):format(last, whole)
    end
    return table.concat(out)
end

-- The path of pattern p with params (a table by name), percent-encoded; or nil and why: a missing
-- parameter, one too many, or one that would not match.
function pattern.build(p, params)
    local known = {}
    for _, name in ipairs(p.names) do
        known[name] = true
        if params[name] == nil then return nil, ("parameter %q is missing"):format(name) end
    end
    for name in pairs(params) do
        if not known[name] then
            return nil, ("parameter %q is not in %s"):format(tostring(name), p.text)
        end
    end
    local out = {}
    for i, segment in ipairs(p) do
        local text, why = build_segment(segment, params)
        if not text then return nil, why end
        out[i] = text
    end
    return "/" .. table.concat(out, "/") .. (p.slash and #p > 0 and "/" or "")
end

return pattern
