-- lunette.config_lines: where the keys of a config.lua stand, by a small scan of its source.

local config_lines = {}

-- Words, strings and single signs, with their lines; comments are left out. The source is one that
-- Lua has accepted.
local function tokenize(source)
  local list, at, line = {}, 1, 1
  while at <= #source do
    local from, kind, text = at, nil, nil
    local comment = source:match("^%-%-()", at)
    local level = source:match("^%[(=*)%[", comment or at)
    local quote = source:match("^[\"']", at)
    if level then
      local _, stop = source:find("]" .. level .. "]", at, true)
      at, kind, text = (stop or #source) + 1, not comment and "string" or nil, ""
    elseif comment then
      at = source:find("\n", at, true) or #source + 1
    elseif quote then
      repeat
        at = source:find("[\\" .. quote .. "]", at + 1) or #source + 1
        local escaped = source:sub(at, at) == "\\"
        if escaped then at = at + 1 end
      until not escaped
      kind, text, at = "string", source:sub(from + 1, at - 1), at + 1
    else
      kind, text, at = "word", source:match("^([%w_]+)()", at)
      if not text then kind, text, at = "sign", source:sub(from, from), from + 1 end
      if text:find "^%s" then kind = nil end
    end
    if kind then list[#list + 1] = { kind = kind, text = text, line = line } end
    line = line + select(2, source:sub(from, at - 1):gsub("\n", ""))
  end
  return list
end

local deeper = { ["("] = 1, ["["] = 1, ["{"] = 1, [")"] = -1, ["]"] = -1, ["}"] = -1,
  ["function"] = 1, ["if"] = 1, ["do"] = 1, ["repeat"] = 1, ["end"] = -1, ["until"] = -1 }
local none = { kind = "end", text = "" }

local function is(token, text)
  return token ~= nil and token.kind ~= "string" and token.text == text
end

-- The index of the sign that ends the value which begins at i: a comma, a semicolon or a closing
-- brace.
local function after_value(list, i)
  local depth = 0
  while list[i] do
    local t = list[i]
    if depth == 0 and (is(t, ",") or is(t, ";") or is(t, "}")) then return i end
    if t.kind ~= "string" then depth = depth + (deeper[t.text] or 0) end
    i = i + 1
  end
  return i
end

-- Notes the fields of the table whose brace is at i; returns the index behind its closing brace.
local function scan_table(list, i, prefix, lines)
  local position = 0
  i = i + 1
  while list[i] and not is(list[i], "}") do
    local t, key = list[i], nil
    if t.kind == "word" and is(list[i + 1], "=") and not is(list[i + 2], "=") then
      key, i = t.text, i + 2
    elseif is(t, "[") and (list[i + 1] or none).kind == "string" and is(list[i + 3], "=") then
      key, i = list[i + 1].text, i + 4
    else
      position = position + 1
      key = position
    end
    lines[prefix .. key] = lines[prefix .. key] or t.line
    if is(list[i], "{") then i = scan_table(list, i, prefix .. key .. ".", lines) end
    i = after_value(list, i)
    if not is(list[i], "}") then i = i + 1 end
  end
  return i + 1
end

-- "limits.headers" → line, for the keys of the table in the last `return {`; empty where there is
-- none.
function config_lines.of(source)
  local list, lines, i = tokenize(source), {}, 1
  while list[i] do
    if is(list[i], "return") and is(list[i + 1], "{") then
      lines = {}
      i = scan_table(list, i + 1, "", lines)
    else
      i = i + 1
    end
  end
  return lines
end

return config_lines
