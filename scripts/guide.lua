-- The guide: a page for each chapter. A chapter's text is a view; what it shows of code is made by
-- samples.lua, and the list of its sections is read out of its <h2>s.

local app = require "lunette"
local chapters = require "chapters"
local page = require "page"
local reference = require "reference"
local samples = require "samples"
local speed = require "speed"
local template = require "lunette.template"

-- What the views of chapters have beside what every view has.
local function variables(chapter)
    local vars = { chapter = chapter, chapters = chapters, reference = reference,
        speed = speed }
    for name, fn in pairs(samples) do vars[name] = fn end
    return vars
end

-- The sections of a chapter: { id =, title = } for each <h2 id="…"> of its text.
local function sections_of(text)
    local list = {}
    for id, title in text:gmatch '<h2 id="([^"]+)">(.-)</h2>' do
        list[#list + 1] = { id = id, title = title:gsub("<[^>]*>", "") }
    end
    return list
end

local function title_of(chapter)
    if not chapter.previous then return "lunette: a web server that is programmed in Lua" end
    return chapter.title .. " · lunette"
end

-- The text is the same until the next reload, so that it is made once in each worker.
local function maker(chapter)
    local vars
    return function()
        if not vars then
            local text = template.render(chapter.view, variables(chapter))
            vars = { title = title_of(chapter), description = chapter.summary, chapter = chapter,
                text = template.safe(text), sections = sections_of(text) }
        end
        return page.answer("chapter.html", vars)
    end
end

app.get("/guide", function() return app.redirect("/", 301) end)

for _, chapter in ipairs(chapters) do
    app.get(chapter.path, { etag = true }, maker(chapter))
end
