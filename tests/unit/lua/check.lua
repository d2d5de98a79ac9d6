-- Assertions for the Lua tests, loaded by dofile: counts what holds, prints what does not, and ends
-- with status 1 when anything did not.

local check = { count = 0, failed = 0 }

local function show(v, depth)
    if type(v) ~= "table" then return type(v) == "string" and ("%q"):format(v) or tostring(v) end
    if (depth or 0) > 4 then return "{…}" end
    local keys, out = {}, {}
    for k in pairs(v) do keys[#keys + 1] = k end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for i, k in ipairs(keys) do
        out[i] = ("[%s]=%s"):format(show(k, 9), show(v[k], (depth or 0) + 1))
    end
    return "{" .. table.concat(out, ", ") .. "}"
end

local function same(a, b)
    if type(a) ~= "table" or type(b) ~= "table" then
        return a == b and math.type(a) == math.type(b)
    end
    for k, v in pairs(a) do if not same(v, b[k]) then return false end end
    for k in pairs(b) do if a[k] == nil then return false end end
    return true
end

local function report(ok, what, format, ...)
    check.count = check.count + 1
    if ok then return end
    check.failed = check.failed + 1
    local at = debug.getinfo(3, "Sl")
    io.stderr:write(("%s:%d: %s: "):format(at.short_src, at.currentline, what),
        format:format(...), "\n")
end

-- got and want are the same, tables by their contents.
function check.equals(got, want, what)
    report(same(got, want), what or "equals", "got %s, not %s", show(got), show(want))
end

function check.truthy(v, what)
    report(v, what or "truthy", "got %s", show(v))
end

-- text holds the Lua pattern.
function check.matches(text, pat, what)
    report(type(text) == "string" and text:find(pat), what or "matches", "got %s, not like %s",
        show(text), pat)
end

-- fn(…) raises a message that begins with the line fn stands on, then holds pat.
function check.misuse(fn, pat, ...)
    local ok, e = pcall(fn, ...)
    local info = debug.getinfo(fn, "S")
    local file, line = tostring(e):match("^([^:]+):(%d+): ")
    line = tonumber(line)
    report(not ok and file == info.short_src and line >= info.linedefined
        and line <= info.lastlinedefined and tostring(e):find(pat), "misuse",
        "got %s, not %s with a line of %d–%d", show(e), pat, info.linedefined,
        info.lastlinedefined)
end

-- Prints the sum and leaves the program.
function check.done()
    print(("%d checks, %d failed"):format(check.count, check.failed))
    os.exit(check.failed == 0)
end

return check
