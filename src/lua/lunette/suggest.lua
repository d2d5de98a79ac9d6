-- The nearest known word to a mistyped one, for messages about unknown names and options.

local suggest = {}

-- How many letters have to be added, dropped, changed, or swapped with the next one.
local function distance(a, b)
    local rows = { [-1] = {}, [0] = {} }
    for j = 0, #b do rows[0][j] = j end
    for i = 1, #a do
        local row, above, above2 = { [0] = i }, rows[i - 1], rows[i - 2]
        for j = 1, #b do
            local x, y = a:byte(i), b:byte(j)
            local best = math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (x == y and 0 or 1))
            if i > 1 and j > 1 and x == b:byte(j - 1) and a:byte(i - 1) == y then
                best = math.min(best, above2[j - 2] + 1)
            end
            row[j] = best
        end
        rows[i] = row
    end
    return rows[#a][#b]
end

-- The key of `known` (a table with words as keys) nearest to `word` in any case, or nil when none is
-- like it: more than half of its letters would have to change. Of two equally near ones, the first
-- in the alphabet.
function suggest.nearest(word, known)
    local wanted = tostring(word):lower()
    if #wanted > 64 then return nil end
    local best, least = nil, math.max(1, #wanted // 2)
    for name in pairs(known) do
        local d = distance(wanted, name:lower())
        if d < least or (d == least and (not best or name < best)) then
            best, least = name, d
        end
    end
    return best
end

-- ' (the nearest known one is "name")' for the end of a message; "" when none is near.
function suggest.hint(word, known)
    local best = suggest.nearest(word, known)
    return best and (" (the nearest known one is %q)"):format(best) or ""
end

return suggest
