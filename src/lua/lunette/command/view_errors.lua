-- What is wrong with the views of a site: each is compiled as a page of its own, and again for every
-- place where another includes it by a name in quotes.

local context = require "lunette.template_context"
local errors = require "lunette.errors"
local template = require "lunette.template"

local Look = {}
Look.__index = Look

local function add(self, text)
    if not self.seen[text] then self.list[#self.list + 1] = text end
    self.seen[text] = true
end

-- The unit of a view; or nil, what is wrong with it, and whether it is missing.
local function compile(name, start)
    local ok, unit, why = pcall(template.unit, name, start)
    if not ok then return nil, errors.text_of(unit), false end
    return unit, why, unit == nil
end

local function follow(self, unit)
    for i, include in ipairs(unit.includes) do
        local start = unit.contexts[i]
        local key = include.name and include.name .. "\0" .. context.key(start)
        if key and not self.followed[key] then
            local inner, why, missing = compile(include.name, start)
            self.followed[key] = inner ~= nil or not missing
            if inner then
                self.included[include.name] = true
                follow(self, inner)
            elseif missing then
                add(self, ("%s:%d: include: %s"):format(unit.name, include.line, why))
            else
                add(self, why)
            end
        end
    end
end

-- Texts that begin with file and line, for the names of views ("page.html"). What does not compile as a
-- page is fine if it does where it is included.
return function(names)
    local self = setmetatable({ list = {}, seen = {}, followed = {}, included = {} }, Look)
    local failed = {}
    for _, name in ipairs(names) do
        local unit, why = compile(name)
        if unit then follow(self, unit) else failed[#failed + 1] = { name = name, why = why } end
    end
    for _, one in ipairs(failed) do
        if not self.included[one.name] then add(self, one.why) end
    end
    return self.list
end
