-- What --dev shows of an error: its place with the lines around it, the stack with locals, the
-- request. As HTML of which everything is escaped, and as plain text for logs and terminals.

local core = require "lunette.core"
local errors = require "lunette.errors"
local escape = require "lunette.html".escape
local frames = require "lunette.dev_frames"
local response = require "lunette.response"
local value = require "lunette.dev_value"

local dev_page = {}

local AROUND = 6        -- lines before and after the one where it went wrong,
local AROUND_FRAME = 4  -- and in the frames behind that
local AROUND_TEXT = 2
local LINE = 300        -- bytes of a line of source
local MESSAGE = 8000    -- bytes of a message
local ROWS = 100        -- of a table
local CELL = 1000       -- bytes of one value there,
local LOOKED = 8000     -- and of it that are looked at
local BEGINS = 40       -- bytes of a secret by which it is found
local PAGE = 200000     -- bytes of what is shown, about: what would come after is left out

-- --- sources ---

local function lines_of(source)
    local name = source:match("^scripts/(.+)$")
    if not name or name:find("%z") then return nil end
    local ok, text = pcall(core.script_text, name)
    if not ok or not text then return nil end
    local lines = {}
    if text:sub(-1) ~= "\n" then text = text .. "\n" end
    for line in text:gmatch("(.-)\r?\n") do lines[#lines + 1] = line end
    return lines
end

-- The lines around one of a script: { { number, text, here }… }; nil where the file or line is not
-- known. Line 0 and those behind the last (where an end is missing) are taken as the nearest.
local function excerpt(source, line, around)
    local lines = line and line >= 0 and lines_of(source)
    if not lines then return nil end
    line = math.max(1, math.min(line, #lines))
    local list = {}
    for n = math.max(1, line - around), math.min(#lines, line + around) do
        local text = lines[n]
        list[#list + 1] = { n, #text > LINE and value.cut(text, LINE) .. " …" or text, n == line }
    end
    return list
end

-- "scripts/main.lua", 6 where a text, or what require says of a module within it, begins with such a
-- place; anywhere: where it has one.
local function place_in(text, anywhere)
    local source, line = text:match("^(scripts/[^\n]-%.[%w_]+):(%d+):")
    if not source then
        source, line = text:match("^error loading module [^\n]*\n\t(scripts/[^\n]-%.[%w_]+):(%d+):")
    end
    if not source and anywhere then source, line = text:match("(scripts/[%w_./-]+%.%w+):(%d+)") end
    return source, tonumber(line)
end

-- Where it went wrong: what the message says; else the innermost line of the site; else what the message
-- mentions (a handler that returned what is no answer).
local function place_of(message, stack)
    local source, line = place_in(message)
    if source then return source, line end
    for _, frame in ipairs(stack) do
        if frame.kind == "site" then return frame.source, frame.line end
    end
    return place_in(message, true)
end

-- --- plain text ---

-- "   5 | local x\n>  6 | boom()\n"; "" where there is no source.
function dev_page.excerpt_text(source, line)
    local out = {}
    for _, l in ipairs(source and excerpt(source, line, AROUND_TEXT) or {}) do
        out[#out + 1] = ("%s %5d | %s"):format(l[3] and ">" or " ", l[1], l[2])
    end
    return table.concat(out, "\n")
end

-- The lines around the place of an error, for the log; nil where there are none.
function dev_page.log_text(message, stack)
    local text = dev_page.excerpt_text(place_of(message, stack or {}))
    return text ~= "" and text or nil
end

-- --- HTML ---

local Writer = {}
Writer.__index = Writer

local function new_writer() return setmetatable({ size = 0 }, Writer) end

-- Appends a format whose %s are escaped texts.
function Writer:put(format, ...)
    local texts = { ... }
    for i, text in ipairs(texts) do texts[i] = escape(text) end
    local s = format:format(table.unpack(texts))
    self[#self + 1] = s
    self.size = self.size + #s
end

local function put_code(w, lines)
    w:put('<div class="code" tabindex="0">')
    for _, l in ipairs(lines) do
        w:put('<div class="line%s"><span class="no">%s</span><span>%s</span></div>',
            l[3] and " here" or "", tostring(l[1]), l[2])
    end
    w:put("</div>\n")
end

-- A text without the secrets that stand in the path, which w.hidden has with what is shown of them. A long
-- one may have been cut: its beginning tells.
local function without_hidden(w, text)
    for _, one in ipairs(w.hidden or {}) do
        local begins = one[1]:sub(1, BEGINS)
        local from, to = text:find(begins, 1, true)
        while from do
            if #one[1] > BEGINS then to = select(2, text:find('^[^/?&#"%s]*', to + 1)) end
            text = text:sub(1, from - 1) .. one[2] .. text:sub(to + 1)
            from, to = text:find(begins, from + #one[2], true)
        end
    end
    return text
end

local function put_table(w, rows)
    w:put('<table class="sheet">')
    for i, row in ipairs(rows) do
        if i > ROWS or w.size > PAGE then
            w:put("<tr><th>…</th><td>%s more</td></tr>", tostring(#rows - i + 1))
            break
        end
        local text = without_hidden(w, value.cut(row[2], LOOKED))
        if #text > CELL then text = ("%s… (%d bytes)"):format(value.cut(text, CELL), #row[2]) end
        w:put("<tr><th>%s</th><td>%s</td></tr>\n", row[1], text)
    end
    w:put("</table>\n")
end

local function put_locals(w, frame)
    if #frame.locals == 0 then return end
    w:put("<h3>Locals</h3>\n")
    put_table(w, frame.locals)
    if frame.more then w:put('<p class="note">There are more of them.</p>') end
end

-- first: the frame of the place that is shown above already.
local function put_frame(w, frame, open, first)
    local lines = not first and excerpt(frame.source, frame.line, AROUND_FRAME)
    w:put("<details%s><summary><b>%s</b> <span class=\"at\">in %s</span></summary>\n",
        open and " open" or "", ("%s:%d"):format(frame.source, frame.line), frame.name)
    if frame.tail then w:put('<p class="note">A tail call: who called it is not on the stack any more.</p>') end
    if lines then put_code(w, lines) end
    put_locals(w, frame)
    w:put("</details>\n")
end

-- Frames of C and of lunette that follow each other are one line.
local function put_folded(w, list)
    w:put('<details class="folded"><summary>%s %s of lunette and C</summary><ul>', tostring(#list),
        #list == 1 and "frame" or "frames")
    for _, frame in ipairs(list) do
        w:put("<li>[%s] %s</li>", frame.kind == "C" and "C" or "lunette", frame.name)
    end
    w:put("</ul></details>\n")
end

local function put_stack(w, stack, source, line)
    if #stack == 0 then return end
    w:put('<section class="stack">\n<h2>Stack</h2>\n')
    local folded, opened = {}, false
    for _, frame in ipairs(stack) do
        if w.size > PAGE then break end
        if frame.kind ~= "site" then
            folded[#folded + 1] = frame
        else
            if #folded > 0 then put_folded(w, folded) end
            folded = {}
            local first = not opened and frame.source == source and frame.line == line
            put_frame(w, frame, not opened, first)
            opened = true
        end
    end
    if #folded > 0 then put_folded(w, folded) end
    w:put("</section>\n")
end

-- --- the request ---

-- "session=abcd… (40 bytes); theme=…" for a Cookie field.
local function mask_cookies(field)
    return (field:gsub("([^;=]*)=([^;]*)", function(name, v) return name .. "=" .. value.mask(v) end))
end

local function header_text(name, text)
    if name == "cookie" then return mask_cookies(text) end
    local scheme, rest = text:match("^(%a+) (.+)$")
    if name:find("authorization$") and scheme then return scheme .. " " .. value.mask(rest) end
    return value.is_secret(name) and value.mask(text) or value.mask_pairs(text)
end

-- Rows of name → string or anything, in order of names.
local function rows_of(t, shown)
    local names, rows = {}, {}
    for name in next, t do
        if type(name) == "string" then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local v = rawget(t, name)
        local text = type(v) == "string" and not value.is_secret(name) and value.mask_pairs(v)
            or value.text(v, name)
        rows[#rows + 1] = { name, shown and shown(name, tostring(v)) or text }
    end
    return rows
end

local function part(w, title, rows)
    if #rows == 0 then return end
    w:put("<h3>%s</h3>\n", title)
    put_table(w, rows)
end

local function table_at(req, name, made)
    local ok, t = pcall(made and function() return req[name] end or rawget, req, name)
    return ok and type(t) == "table" and t or {}
end

-- The parameters of the path that are secrets, as they stand in a path and as they were sent.
local function hidden_in(req)
    local list = {}
    for name, v in next, table_at(req, "params", false) do
        if type(v) == "string" and v ~= "" and value.is_secret(name) then
            local shown = "/" .. value.mask(v)
            list[#list + 1] = { "/" .. v, shown }
            for sent in req.target:gmatch("/([^/?]+)") do
                if sent ~= v and value.decode(sent) == v then list[#list + 1] = { "/" .. sent, shown } end
            end
        end
    end
    return list
end

-- What was asked for. Nothing is received or parsed for it: a body is shown where somebody read it.
local function put_request(w, req, entry)
    w:put('<section class="request">\n<h2>Request</h2>\n')
    local route = entry and entry.route
    local target = value.mask_pairs(req.target)
    local first = { { "request", ("%s %s HTTP/%s"):format(req.method, target, req.version) } }
    if route then
        first[2] = { "route", ("%s, declared at %s"):format(route.pattern.text, route.place) }
    else
        first[2] = { "route", "none" }
    end
    put_table(w, first)
    part(w, "Parameters of the path", rows_of(table_at(req, "params", false)))
    part(w, "Query", rows_of(table_at(req, "query", true)))
    part(w, "Form", rows_of(table_at(req, "form", false)))
    local json = rawget(req, "json")
    if json ~= nil then part(w, "JSON", { { "body", value.text(json) } }) end
    part(w, "Headers", rows_of(table_at(req, "headers", true), header_text))
    w:put("</section>\n")
end

-- --- the whole ---

local function cut_message(message)
    if #message <= MESSAGE then return message end
    return ("%s… (%d bytes)"):format(value.cut(message, MESSAGE), #message)
end

local function put_head(w, title, message, source, line)
    w:put('<header>\n<p class="status">%s</p>\n<h1>%s</h1>\n', title, message)
    if source then w:put('<p class="place">%s</p>\n', ("%s:%d"):format(source, line)) end
    w:put("</header>\n")
end

local function put_text(w, text)
    w:put('<details><summary>As text</summary><pre class="text">%s</pre></details>\n', text)
end

-- A message without what is shown below it.
local function without_place(message, source, line)
    local prefix = source and ("%s:%d: "):format(source, line)
    local at = prefix and message:gsub("^error loading module [^\n]*\n\t", "")
    if prefix and at:sub(1, #prefix) == prefix then return at:sub(#prefix + 1) end
    return message
end

-- What is shown of a failure {title, message, stack, text}: HTML.
local function shown(failure, req, entry)
    local w = new_writer()
    local found, hidden = pcall(hidden_in, req)
    w.hidden = found and hidden or nil
    local source, line = place_of(failure.message, failure.stack)
    local message = without_place(failure.message, source, line)
    w:put('<main class="lunette">\n')
    put_head(w, failure.title, cut_message(message), source, line)
    local lines = source and excerpt(source, line, AROUND)
    if lines then put_code(w, lines) end
    if failure.note then w:put("<h2>%s</h2><pre class=\"text\">%s</pre>\n", failure.note[1], failure.note[2]) end
    put_stack(w, failure.stack, source, line)
    if req then
        local ok, text = pcall(function()
            local inner = new_writer()
            inner.hidden = w.hidden
            put_request(inner, req, entry)
            return table.concat(inner)
        end)
        if ok then w[#w + 1] = text end
    end
    put_text(w, failure.text)
    w:put("</main>")
    return table.concat(w)
end

-- The stack of the coroutine that runs, for the message handler `after`.
function dev_page.collect(after)
    return frames.collect(coroutine.running(), after, errors.is_library)
end

local function text_of(err)
    local text = err.text
    local lines = dev_page.log_text(err.text, err.stack)
    if lines then text = text .. "\n\n" .. lines end
    if err.traceback and err.traceback ~= "" then text = text .. "\n\n" .. err.traceback end
    return text .. "\n"
end

-- The answer to an error {status, text, traceback, stack, note} for who wants HTML, or plain text.
function dev_page.answer(req, entry, err, plain)
    local headers = { ["Cache-Control"] = "no-store" }
    err.stack = err.stack or frames.parse(err.traceback or "")
    if plain then
        headers["Content-Type"] = "text/plain; charset=utf-8"
        return response.new(err.status, headers, text_of(err))
    end
    local title = ("%d %s"):format(err.status, errors.reason(err.status))
    headers["Content-Type"] = "text/html; charset=utf-8"
    headers["Content-Security-Policy"] = core.web_policy()
    local html = shown({ title = title, message = err.text, stack = err.stack, text = text_of(err),
        note = err.note }, req, entry)
    return response.new(err.status, headers, core.web_page(title .. " – " .. value.cut(err.text, 100), html))
end

-- Why the scripts cannot be loaded, from the coroutine that has failed and its error: as HTML, and as a
-- text without the traceback.
function dev_page.report(thread, e)
    local message = errors.text_of(e)
    local stack = frames.collect(thread, nil, errors.is_library)
    local lines = dev_page.log_text(message, stack)
    local text = lines and message .. "\n" .. lines or message
    return shown({ title = "The scripts cannot be loaded", message = message, stack = stack,
        text = text }), text
end

return dev_page
