-- luacheck, for `make lint`. Sites have Lua's globals alone, and so have the library and its tests.
std = "lua54"
cache = false
max_line_length = false -- tables of cases and of references are a line each
-- 311, "value assigned is unused": names that get their values later are declared with the nils that
-- they have until then, as in `local res, why = first, nil`. 432: a method within a method.
ignore = { "311", "432/self" }

-- Annotations are signatures, which use nothing.
files["src/meta"] = { unused = false, unused_args = false }
-- The clock of a site's tests stands in for that of os.
files["src/lua/lunette/test_*.lua"] = { globals = { "os" } }
