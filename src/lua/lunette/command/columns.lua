-- Rows of texts in aligned columns, for terminals.

local columns = {}

local GAP = "  "

local function width(text)
    return utf8.len(text) or #text
end

-- The columns that hold anything below their head, and how wide each is.
local function measure(rows)
    local shown = {}
    for i = 1, #rows[1] do
        local widest, filled = 0, false
        for n, row in ipairs(rows) do
            widest = math.max(widest, width(row[i]))
            filled = filled or (n > 1 and row[i] ~= "")
        end
        if filled then shown[#shown + 1] = { at = i, width = widest } end
    end
    return shown
end

local function line(row, shown)
    local out = {}
    for i, column in ipairs(shown) do
        local text = row[column.at]
        out[i] = text .. (" "):rep(column.width - width(text))
    end
    return (table.concat(out, GAP):gsub(" +$", ""))
end

-- The text of rows, arrays of strings of the same length, the first of which is their head; columns that
-- are empty but for that are left out. bold: the head stands out, in colours of a terminal.
function columns.text(rows, bold)
    local shown, out = measure(rows), {}
    for i, row in ipairs(rows) do out[i] = line(row, shown) end
    if bold then out[1] = "\27[1m" .. out[1] .. "\27[0m" end
    return table.concat(out, "\n") .. "\n"
end

return columns
