-- luacheck, for `make lint`. Sites have Lua's globals alone, and so have the library and its tests.
std = "lua54"
max_line_length = 110
cache = false
-- "value assigned is unused": names that get their values later are declared with the nils that
-- they have until then, as in `local res, why = first, nil`.
ignore = { "311" }

-- Annotations are signatures, which use nothing; what they say is on one line.
files["src/meta"] = { unused = false, unused_args = false, max_line_length = false }
-- Tables of cases, a line each.
files["tests/unit/lua"] = { max_line_length = false }
