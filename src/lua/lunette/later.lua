-- A function of a module that many a site does without, which is loaded when it is first called: 90 KiB
-- in each worker for all of them. later(module, name) → a function that does what module's name does.

local require = require -- scripts may have another by then

return function(module, name)
    return function(...) return require(module)[name](...) end
end
