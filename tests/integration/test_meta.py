"""The annotations in src/meta: complete against the library as it is, and well formed.

What there is, is asked from the program itself, by a site that lists the names in its modules; what
is annotated, is read from the files: functions, and the fields of classes.
"""
import json
import re
import subprocess

import pytest

from conftest import LUNETTE, ROOT
from running import make_folder, running
from test_man import schema_names

META = ROOT / "src/meta/lunette"
FILES = sorted(META.glob("*.lua"))
LATER = "is not in this version of lunette yet"
# What says that, and nothing else does: it is not annotated.
LATER_MODULES = {f"lunette.{name}" for name in ("channel", "http", "pg", "redis", "socket")}
LATER_CALLS = {"websocket"}

LIST = """
    local app = require "lunette"
    local json = require "lunette.json"

    -- "function" of C, "function 2" of Lua with so many parameters, or another type.
    local function kind(value)
        local info = type(value) == "function" and debug.getinfo(value, "Su")
        if info and info.what == "Lua" and not info.isvararg then
            return "function " .. info.nparams
        end
        return type(value)
    end

    -- Names of a table's fields → their kinds.
    local function names_in(t)
        local names = {}
        for name, value in pairs(t) do names[name] = kind(value) end
        return names
    end

    local function module(name)
        local ok, found = pcall(require, name)
        if ok then return names_in(found) end
        return found:find("LATER", 1, true) and "later" or found
    end

    -- app.NAME of a call that is not there yet
    local function is_later(name)
        if type(app[name]) ~= "function" then return false end
        local ok, why = pcall(app[name])
        return not ok and tostring(why):find("LATER", 1, true) ~= nil
    end

    -- Methods of sqlite's objects.
    local function sqlite_methods()
        local ok, sqlite = pcall(require, "lunette.sqlite")
        if not ok then return nil end
        local db, methods = sqlite.open ":memory:", {}
        methods.database = names_in(getmetatable(db).__index)
        db:transaction(function(tx) methods.transaction = names_in(getmetatable(tx).__index) end)
        return methods
    end

    local calls = names_in(app)
    for name in pairs(calls) do
        if is_later(name) then calls[name] = "later" end
    end

    app.post("/list", function(req)
        local modules = {}
        for _, name in ipairs(req.json) do modules[name] = module(name) end
        return app.json {
            modules = modules, app = calls, request = names_in(getmetatable(req).fields),
            response = names_in(getmetatable(app.text "").__index),
            schema = names_in(getmetatable(require "lunette.validate".schema {}).__index),
            task = names_in(getmetatable(require "lunette.task".spawn(function() end)).__index),
            sqlite = sqlite_methods(),
        }
    end)

    app.post("/part", function(req)
        local part = req.parts[1]
        local made = { part.detected_type, part.body } -- on first use, and then kept
        local names = names_in(part)
        for _, name in ipairs { "save_as", "chunks" } do names[name] = type(part[name]) end
        return #made == 2 and names
    end)
"""


class Annotations:
    """Of all files: .classes, name → {field: "function" or "field"}, with what they inherit;
    .aliases; .modules, require name → name of its class; .functions, a list of (file, name, parameters,
    comment lines)."""

    def __init__(self):
        self.classes, self.parents, self.aliases, self.modules = {}, {}, set(), {}
        self.functions, self.types = [], []
        for path in FILES:
            self.read(path)

    def read(self, path):
        current, of, comment, module = None, {}, [], None
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if m := re.match(r"---@meta (\S+)$", line):
                module = m[1] if m[1] != "_" else None
            elif m := re.match(r"---@class ([\w.]+)(?:: ([\w.]+))?$", line):
                current = m[1]
                assert current not in self.classes, f"{path.name}:{number}: again"
                self.classes[current] = {}
                self.parents[current] = m[2]
            elif m := re.match(r"---@field (?:(\w+)|\[\d+\]) (.+)", line):
                if m[1]:
                    self.classes[current][m[1]] = "field"
                self.types.append((f"{path.name}:{number}", m[2]))
            elif m := re.match(r"---@alias ([\w.]+) (.+)", line):
                self.aliases.add(m[1])
                self.types.append((f"{path.name}:{number}", m[2]))
            elif m := re.match(r"local (\w+) = \{\}$", line):
                of[m[1]] = current
            elif m := re.match(r"function (\w+)[.:](\w+)\(([^)]*)\) end$", line):
                self.classes[of[m[1]]][m[2]] = "function"
                self.functions.append((f"{path.name}:{number}", m[2], re.findall(r"[\w.]+", m[3]),
                                       comment))
            elif m := re.match(r"return (\w+)$", line):
                self.modules[module] = of[m[1]]
            comment = [*comment, line] if line.startswith("---") else []

    def functions_of(self, module):
        """Those of the file of a module."""
        return [f for f in self.functions if f[0].startswith(module.split(".")[-1] + ".lua:")]

    def fields(self, name):
        """Those of a class, and of those that it inherits from."""
        parent = self.parents[name]
        return {**(self.fields(parent) if parent else {}), **self.classes[name]}


META_OF = Annotations()


@pytest.fixture(scope="module")
def server():
    files = {"scripts/main.lua": LIST.replace("LATER", LATER)}
    with running(files) as s:
        yield s


@pytest.fixture(scope="module")
def real(server):
    names = sorted({*META_OF.modules, *LATER_MODULES})
    answer = server_post(server, "/list", json.dumps(names), "application/json")
    return json.loads(answer)


def server_post(server, path, body, kind):
    head = (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}")
    got = server.raw(head.encode())
    assert got.startswith(b"HTTP/1.1 200"), got
    return got.partition(b"\r\n\r\n")[2]


def differences(annotated, found):
    """What is in one of two sets of names alone, as text."""
    return ([f"{name} is not annotated" for name in sorted(found - annotated)]
            + [f"{name} is annotated, and not there" for name in sorted(annotated - found)])


# Modules that sites have, by API.md; those of the library's own are not annotated.
MODULES = set("""lunette lunette.auth lunette.cache lunette.cookie lunette.cors lunette.crypto lunette.csrf
    lunette.gzip lunette.html lunette.json lunette.limit lunette.log lunette.mime lunette.secure
    lunette.session lunette.sqlite lunette.task lunette.template lunette.test lunette.time lunette.url
    lunette.validate""".split())
# What modules have for the rest of the library.
INSIDE = {
    "lunette.session": {"field", "own_secret", "state"}, "lunette.secure": {"field"},
    "lunette.template": {"add_view", "render_for", "unit"}, "lunette.validate": {"schema_for"},
}
FOR_TESTS = "lunette.test is for the files in tests/"


def test_every_module_has_annotations():
    assert set(META_OF.modules) == MODULES
    for name, owner in META_OF.modules.items():
        assert owner == ("lunette.App" if name == "lunette" else name)


@pytest.mark.parametrize("name", sorted(MODULES - {"lunette"}))
def test_a_module_has_what_is_annotated(real, name):
    found = real["modules"][name]
    if isinstance(found, str):
        assert FOR_TESTS in found and name == "lunette.test"
    else:
        check(name, set(found) - INSIDE.get(name, set()))
        for field, kind in META_OF.fields(name).items():
            assert found[field].startswith("function") == (kind == "function"), field
        parameters = {function: len(named) for _, function, named, _ in META_OF.functions_of(name)}
        for field, kind in found.items():
            if m := re.match(r"function (\d)", kind):
                assert field in INSIDE.get(name, set()) or parameters[field] == int(m[1]), field


def check(owner, found):
    """The class has the names that were found, and no others."""
    assert differences(set(META_OF.fields(owner)), set(found)) == []


LIST_OF_TEST = """
    local test = require "lunette.test"
    local json = require "lunette.json"

    test("names", function()
        local function names_in(t)
            local names = json.array {}
            for name in pairs(t) do names[#names + 1] = name end
            return names
        end
        error("NAMES" .. json.encode {
            ["lunette.test"] = names_in(test), ["lunette.TestClient"] = names_in(test.client),
            ["lunette.Expectation"] = names_in(test.expect(1)),
            ["lunette.TestAnswer"] = names_in(test.client.get("/", { headers = { accept = "*/*" } })),
        } .. "END")
    end)
"""


def test_the_module_for_tests_has_what_is_annotated(real):
    folder = make_folder({"scripts/main.lua": "require 'lunette'.get('/', function() return {} end)",
                          "tests/names_test.lua": LIST_OF_TEST})
    done = subprocess.run([LUNETTE, "test", str(folder)], capture_output=True, text=True, timeout=60,
                          check=False)
    found = json.loads(re.search(r"NAMES(\{.*?\})END", done.stdout + done.stderr)[1])
    for owner, names in found.items():
        # read on first use, or nil in this answer
        check(owner, set(names) | ({"json", "location"} if owner == "lunette.TestAnswer" else set()))


def test_databases_have_what_is_annotated(real):
    assert set(real["sqlite"]) == {"database", "transaction"}
    for kind, methods in real["sqlite"].items():
        check("lunette." + kind.capitalize(), {name for name in methods if not name.startswith("__")})


def test_the_app_has_what_is_annotated(real):
    annotated = META_OF.fields("lunette.App")
    assert differences(set(annotated), set(real["app"]) - LATER_CALLS) == []


def test_what_is_later_says_so(real):
    assert {name for name, kind in real["app"].items() if kind == "later"} == LATER_CALLS
    assert {name for name, found in real["modules"].items() if found == "later"} == LATER_MODULES


def test_a_request_has_what_is_annotated(real):
    annotated = META_OF.fields("lunette.Request")
    by_middleware = {"valid", "user", "error"}  # ordinary fields, set by what stands around a handler
    assert by_middleware <= set(annotated)
    assert differences(set(annotated) - by_middleware, set(real["request"])) == []
    for name, kind in real["request"].items():
        assert (annotated[name] == "function") == (kind == "function"), name


def test_a_part_has_what_is_annotated(server):
    body = ('--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n'
            "Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n")
    found = json.loads(server_post(server, "/part", body, "multipart/form-data; boundary=b"))
    assert differences(set(META_OF.fields("lunette.Part")), set(found)) == []


@pytest.mark.parametrize("name, plain", [
    ("response", {"status", "headers", "body"}), ("schema", set()), ("task", set()),
])
def test_an_object_has_the_methods_annotated(real, name, plain):
    annotated = set(META_OF.fields("lunette." + name.capitalize())) - plain
    found = {method for method in real[name] if not method.startswith("__")}
    assert differences(annotated, found) == []


# The options that the library knows, as it names them when it is given another.
def options_of_routes():
    text = (ROOT / "src/lua/lunette/route_options.lua").read_text()
    return set(re.findall(r"(\w+) = true", text[text.index("local ROUTE_OPTIONS"):
                                                text.index("local GROUP_OPTIONS")]))


def test_a_route_has_the_options_annotated():
    assert differences(set(META_OF.fields("lunette.RouteOptions")), options_of_routes()) == []


@pytest.mark.parametrize("owner, file, table", [
    ("CacheOption", "cache_option", "OPTIONS"), ("FileRule", "uploads", "RULES"),
    ("StaticOptions", "static", "OPTIONS"), ("FileOptions", "response", "FILE_OPTIONS"),
    ("UrlOptions", "url_for", "URL_OPTIONS"), ("UseOptions", "declare", "USE_OPTIONS"),
    ("PurgeOptions", "response_cache", "PURGE"), ("Event", "events", "FIELDS"),
    ("IntOptions", "request", "INT_OPTIONS"), ("CheckOptions", "request", "CHECK_OPTIONS"),
    ("ExpectJsonOptions", "request", "JSON_OPTIONS"), ("SessionOptions", "session", "OPTIONS"),
    ("SessionCookie", "session", "COOKIE"), ("CsrfOptions", "csrf", "OPTIONS"),
    ("CorsOptions", "cors", "OPTIONS"), ("BasicOptions", "auth", "BASIC"),
    ("BearerOptions", "auth", "BEARER"), ("JwtOptions", "auth", "JWT"),
    ("LimitOptions", "limit", "OPTIONS"), ("SecureOptions", "secure", "OPTIONS"),
    ("SchemaOptions", "validate", "SCHEMA_OPTIONS"), ("SchemaCheckOptions", "validate", "CHECK_OPTIONS"),
])
def test_options_are_those_of_the_library(owner, file, table):
    text = (ROOT / f"src/lua/lunette/{file}.lua").read_text()
    inside = re.search(rf"^local {table} = \{{(.*?)\}}", text, re.S | re.M)[1]
    known = set(re.findall(r"(\w+) = true", inside))
    assert known and differences(set(META_OF.fields("lunette." + owner)), known) == []


@pytest.mark.parametrize("owner, file, function", [
    ("CookieOptions", "lua_cookie", None), ("EncodeOptions", "lua_json", "encode"),
    ("DecodeOptions", "lua_json", "decode"), ("Base64Options", "lua_crypto", None),
    ("SignOptions", "lua_sign", None), ("SaveOptions", "lua_part_save", None),
    ("FetchOptions", "lua_cache_fetch", None),
])
def test_options_are_those_of_the_core(owner, file, function):
    text = (ROOT / f"src/script/{file}.c").read_text()
    if function:
        text = text[text.index(f"static int {function}(lua_State"):]
    names = re.search(r"names\[\] = \{(.*?)NULL\}", text, re.S)[1]
    known = set(re.findall(r'"(\w+)"', names))
    assert known and differences(set(META_OF.fields("lunette." + owner)), known) == []


def test_config_has_the_keys_of_the_schema():
    known = {"": set()}
    for name in schema_names():
        table, _, key = name.rpartition(".")
        known.setdefault(table, set()).add(key)
        known[""] |= {table} - {""}
    for table, keys in known.items():
        owner = "lunette.Config" + table.capitalize()
        assert differences(set(META_OF.fields(owner)), keys) == [], owner


# The files themselves ----------------------------------------------------------------------------

@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_a_file_is_lua_and_does_nothing(path):
    run = """
        local found = dofile(arg[1])
        for name, value in pairs(_G) do assert(before[name], name) end
        assert(found == nil or type(found) == "table")
    """
    code = "before = {} for name in pairs(_G) do before[name] = true end before.before = true\n" + run
    done = subprocess.run(["lua5.4", "-", str(path)], input=code, capture_output=True, text=True,
                          timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    assert path.read_text().startswith("---@meta ")


def test_every_parameter_is_annotated():
    for place, name, parameters, comment in META_OF.functions:
        named = [m[1] for line in comment if (m := re.match(r"---@param (\S+) \S", line))]
        assert named == parameters, f"{place}: {name}"


BUILT_IN = set("""any nil boolean string number integer function table userdata thread true false fun
    self""".split())


def test_every_type_is_known():
    """A word of a type that is no name of a parameter: built in, a class or an alias."""
    known = BUILT_IN | set(META_OF.classes) | META_OF.aliases
    places = list(META_OF.types)
    for place, _, _, comment in META_OF.functions:
        generics = {m[1] for line in comment if (m := re.match(r"---@generic (\w+)", line))}
        for line in comment:
            if m := re.match(r"---@(?:param \S+|return|overload|generic \w+:) (.+)", line):
                places.append((place, re.sub(rf"\b({'|'.join(generics) or '(?!)'})\b", "any", m[1])))
    for place, text in places:
        for word in type_words(text):
            assert word in known, f"{place}: {word} in {text}"


def type_words(text):
    """The names of types in the text of one, which ends where its description begins."""
    text = re.sub(r'"[^"]*"', "true", text)
    depth, end = 0, len(text)
    for i, c in enumerate(text):
        depth += (c in "(<[{") - (c in ")>]}")
        after = text[:i].rstrip()
        if c == " " and depth == 0 and not after.endswith((":", ",", "|")):
            end = i
            break
    kind = re.sub(r"\b\w+\??(?=:)", "", text[:end])  # names of parameters
    kind = re.sub(r"\b\d+\b", "", kind)
    return re.findall(r"[A-Za-z_][\w.]*\w|[A-Z]", kind.replace("...", ""))
