-- The nearest known word to a mistyped one, for messages about unknown names and options.

local suggest = {}

-- Levenshtein's distance, one row at a time.
local function distance(a, b)
    local row = {}
    for j = 0, #b do row[j] = j end
    for i = 1, #a do
        local diagonal = row[0]
        row[0] = i
        for j = 1, #b do
            local cost = a:byte(i) == b:byte(j) and 0 or 1
            local best = math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
            diagonal, row[j] = row[j], best
        end
    end
    return row[#b]
end

-- The key of `known` (a table with words as keys) nearest to `word` in any case, or nil when
-- known is empty. Of two equally near ones, the first in the alphabet.
function suggest.nearest(word, known)
    local best, least
    local wanted = tostring(word):sub(1, 64):lower()
    for name in pairs(known) do
        local d = distance(wanted, name:lower())
        if not least or d < least or (d == least and name < best) then
            best, least = name, d
        end
    end
    return best
end

return suggest
