---@meta lunette.validate

---@class lunette.validate
local validate = {}

---@alias lunette.FieldType "string"|"integer"|"number"|"boolean"|"email"|"url"|"uuid"|"date"|"array"|"object"

---A field: `{ "string", min = 1, max = 80 }`.
---@class lunette.Field
---@field [1] lunette.FieldType
---@field min integer|number|string|nil Characters of a string, elements of an array; else the least value
---@field max integer|number|string|nil
---@field pattern string? Of Lua, for all of a string
---@field trim boolean? Takes white space off the ends of a string
---@field of lunette.FieldType|lunette.Field|lunette.Schema|nil The elements of an array: "string" unless given
---@field fields lunette.Fields|lunette.Schema|nil Of an object
---@field strict boolean? Refuses what an object's fields do not name
---@field optional boolean? It may be absent
---@field default any What stands for it then: a value, or a function that gives one
---@field one_of any[]?
---@field check (fun(v: any): any, string?)? The value to take; or nil and a sentence
---@field label string? Its name in messages
---@field message string? The whole sentence, whatever is wrong

---@alias lunette.Fields table<string, lunette.FieldType|lunette.Field|lunette.Schema>

---@class lunette.SchemaOptions
---@field strict boolean? Refuses fields that are not named

---What fields a table has to have, and of what types.
---@param fields lunette.Fields
---@param opts lunette.SchemaOptions?
---@return lunette.Schema
---@nodiscard
function validate.schema(fields, opts) end

---@class lunette.Schema
local Schema = {}

---@class lunette.SchemaCheckOptions
---@field text boolean? Everything is text, as in `req.query`
---@field all table<string, string[]>? As `req.query_all`

---The values; or nil and a sentence for each field, by "tags[2]" and "owner.name" for what is within.
---@param t table
---@param opts lunette.SchemaCheckOptions?
---@return table<string, any>? values
---@return table<string, string>? errors
---@nodiscard
function Schema:check(t, opts) end

return validate
