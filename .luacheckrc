-- luacheck: `make lint`. Sites are checked as strictly as the library; their globals are Lua's alone.
std = "lua54"
max_line_length = 100
cache = false
exclude_files = { "build" }

-- Annotations are signatures: their parameters have no use, nor do classes that only have fields.
files["src/meta"] = { unused = false, unused_args = false, max_line_length = false }
-- The interpreter's own, and what tests put in the place of the core's functions.
files["tests/unit/lua"] = { unused_args = false }
