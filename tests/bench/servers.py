"""The servers that are measured. Each class writes the settings of one and gives its command.

To add another: name, language, paths() (which workloads it has), missing(), command(); and put it in
ALL. Every one has two workers, keeps connections, and writes no access log unless `logged`.
"""
import glob
import os
import pathlib
import shutil
import subprocess

import process
import workloads

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORKERS = 2
IDLE_S = 3600
CONNECTIONS = 12000

ROWS = r"""
local map = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }
local function escape(s) return (s:gsub('[&<>"\']', map)) end
local function rows(escape)
    local out = { "<table>\n" }
    for i = 1, 100 do
        out[#out + 1] = "<tr><td>" .. i .. "</td><td>" .. escape("Item <" .. i .. ">") .. "</td><td>"
            .. escape('A "quoted" & \'escaped\' text no ' .. i) .. "</td></tr>\n"
    end
    out[#out + 1] = "</table>\n"
    return table.concat(out)
end
"""


class Contestant:
    """One server in a folder of its own: .name, .server (a process.Server once prepared)."""

    name = language = ""
    program = None

    def __init__(self, top, logged=False):
        self.logged = logged
        self.folder = pathlib.Path(top) / (self.name + ("-log" if logged else ""))
        self.public = pathlib.Path(top) / "public"
        self.log = self.folder / "access.log"
        self.server = None

    def prepare(self):
        self.folder.mkdir(parents=True)
        port = process.free_port()
        self.server = process.Server(self.command(port), self.folder, port, "/hello")

    def put(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def has(self, workload):
        return True

    @classmethod
    def missing(cls):
        """What is not installed, or None."""
        return None if shutil.which(cls.program) else f"there is no {cls.program}"

    @classmethod
    def version(cls):
        return ""

    @classmethod
    def first_line(cls, *command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip().split("\n")[0]


class Floor(Contestant):
    name, language, program = "floor", "C, answers that lie ready", "gcc"

    def has(self, workload):
        return not workload.beside  # where nothing is made, nothing has to wait

    def command(self, port):
        program = self.folder / "floor"
        subprocess.run([self.program, "-O2", "-o", program, HERE / "floor.c"], check=True)
        answers = self.folder / "answers"
        answers.mkdir()
        workloads.write_floor_answers(answers)
        return [program, str(port), answers, str(WORKERS)]


class Lunette(Contestant):
    name, language = "lunette", "Lua 5.4"
    program = pathlib.Path(os.environ.get("LUNETTE") or ROOT / "build" / "lunette")
    main = ROWS + r"""
local app = require "lunette"
local html = require "lunette.html"
app.get("/hello", function() return 200, { ["Content-Type"] = "text/plain" }, "Hello, World!" end)
app.get("/json", function(req)
    local n = tonumber(req.query.n)
    return { name = req.query.name, n = n, double = n * 2, header = req.headers["X-Bench"],
        session = req.cookies.sid }
end)
app.post("/form", function(req)
    return 200, { ["Content-Type"] = "text/plain" }, req.form.note
end)
app.get("/rows", function() return 200, { ["Content-Type"] = "text/html" }, rows(escape) end)
app.get("/rows_lib", function()
    return 200, { ["Content-Type"] = "text/html" }, rows(html.escape)
end)
"""

    @classmethod
    def missing(cls):
        return None if cls.program.exists() else f"there is no {cls.program}: make"

    @classmethod
    def version(cls):
        return cls.first_line(cls.program, "--version")

    def command(self, port):
        # A copy, which every user may run: a server that root starts becomes another one.
        program = shutil.copy(self.program, self.folder / "lunette.bin")
        self.put("site/scripts/main.lua", self.main)
        self.put("site/scripts/config.lua", self.config(port))
        shutil.copytree(self.public, self.folder / "site/site", copy_function=shutil.copy2)
        return [program, "serve", self.folder / "site"]

    def config(self, port, more=""):
        access = self.log if self.logged else "off"
        return f"""return {{
  listen = {{ "127.0.0.1:{port}" }}, workers = {WORKERS}, log = {{ access = "{access}" }},
  timeouts = {{ idle = {IDLE_S} }}, limits = {{ connections = {CONNECTIONS} }}, {more}
}}
"""


class Nginx(Contestant):
    name, language, program = "nginx", "Lua (LuaJIT)", "nginx"
    modules = "/usr/lib/nginx/modules"
    main = ROWS + r"""
local cjson = require "cjson"
local M = {}
local function send(kind, body)
    ngx.header.content_type = kind
    ngx.header.content_length = #body
    ngx.print(body)
end
function M.hello() send("text/plain", "Hello, World!") end
function M.json()
    local query = ngx.req.get_uri_args()
    local n = tonumber(query.n)
    send("application/json", cjson.encode { name = query.name, n = n, double = n * 2,
        header = ngx.var.http_x_bench, session = ngx.var.cookie_sid })
end
function M.form()
    ngx.req.read_body()
    send("text/plain", ngx.req.get_post_args().note)
end
function M.rows() send("text/html", rows(escape)) end
return M
"""

    def has(self, workload):
        return "rows_lib" not in (workload.name, workload.beside)

    @classmethod
    def missing(cls):
        if not shutil.which(cls.program):
            return "apt-get install nginx libnginx-mod-http-lua lua-cjson"
        if not os.path.exists(f"{cls.modules}/ngx_http_lua_module.so"):
            return "apt-get install libnginx-mod-http-lua"
        return None if cjson("5.1") else "apt-get install lua-cjson"

    @classmethod
    def version(cls):
        return cls.first_line(cls.program, "-v")

    def command(self, port):
        self.put("app.lua", self.main)
        path = self.put("nginx.conf", self.config(port))
        return [self.program, "-p", self.folder, "-e", self.folder / "error.log", "-c", path]

    def config(self, port):
        top = self.folder
        routes = "".join(f"location = /{r} {{ content_by_lua_block {{ app.{r}() }} }}\n"
                         for r in ("hello", "json", "form", "rows"))
        # The others keep lines in memory for a while by themselves.
        log = f"{self.log} combined buffer=64k flush=1s" if self.logged else "off"
        return f"""
daemon off; {"user root;" if os.getuid() == 0 else ""} pid {top}/pid; error_log {top}/error.log crit;
worker_processes {WORKERS}; worker_rlimit_nofile 20000; pcre_jit on;
load_module {self.modules}/ndk_http_module.so;
load_module {self.modules}/ngx_http_lua_module.so;
events {{ worker_connections {CONNECTIONS}; use epoll; multi_accept on; }}
http {{
  access_log {log}; sendfile on; tcp_nopush on; tcp_nodelay on;
  keepalive_requests 1000000000; keepalive_timeout {IDLE_S};
  types {{ text/html html; text/plain txt; application/octet-stream bin; }}
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;
  client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f;
  uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  gzip_comp_level 6; gzip_types text/plain; gzip_min_length 256;
  lua_package_path "{top}/?.lua;;"; lua_package_cpath "{cjson("5.1")}/?.so;;";
  init_by_lua_block {{ app = require "app" }}
  server {{
    listen 127.0.0.1:{port} reuseport backlog=4096; root {self.public};
    location / {{ }}
    location = /g.txt {{ gzip on; }}
    location /pre/ {{ gzip_static on; }}
    {routes}
  }}
}}
"""


class Lighttpd(Contestant):
    name, language, program = "lighttpd", "Lua 5.4 (magnet)", "lighttpd"
    scripts = {
        "hello": """
r.resp_header["Content-Type"] = "text/plain"
r.resp_body.set("Hello, World!")""",
        "json": """
local cjson = require "cjson"
local query = lighty.c.urldec_query(r.req_attr["uri.query"])
local cookies = lighty.c.cookie_tokens(r.req_header["Cookie"])
local n = tonumber(query.n)
r.resp_header["Content-Type"] = "application/json"
r.resp_body.set(cjson.encode { name = query.name, n = n, double = n * 2,
    header = r.req_header["X-Bench"], session = cookies.sid })""",
        "form": """
if not r.req_body.collect then return 0 end
r.resp_header["Content-Type"] = "text/plain"
r.resp_body.set(lighty.c.urldec_query(r.req_body.get).note)""",
        "rows": ROWS + """
r.resp_header["Content-Type"] = "text/html"
r.resp_body.set(rows(escape))""",
    }

    def has(self, workload):
        return "rows_lib" not in (workload.name, workload.beside)

    @classmethod
    def missing(cls):
        modules = ("mod_magnet", "mod_deflate", "mod_accesslog")
        if not shutil.which(cls.program) or not all(
                os.path.exists(f"/usr/lib/lighttpd/{m}.so") for m in modules):
            return "apt-get install lighttpd lighttpd-modules-lua lighttpd-mod-deflate lua-cjson"
        return None if cjson("5.4") else "apt-get install lua-cjson"

    @classmethod
    def version(cls):
        return cls.first_line(cls.program, "-v")

    def command(self, port):
        (self.folder / "gz").mkdir()
        for name, script in self.scripts.items():
            self.put(f"{name}.lua", "local r = lighty.r\n" + script + "\nreturn 200\n")
        return [self.program, "-D", "-f", self.put("lighttpd.conf", self.config(port))]

    def config(self, port):
        top = self.folder
        routes = "".join(f'$HTTP["url"] == "/{r}" {{ magnet.attract-raw-url-to = ("{top}/{r}.lua") }}\n'
                         for r in self.scripts)
        log = (f'server.modules += ("mod_accesslog")\naccesslog.filename = "{self.log}"\n'
               r'accesslog.format = "%h - %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""')
        return f"""
server.modules = ("mod_magnet", "mod_deflate")
server.document-root = "{self.public}"
server.bind = "127.0.0.1"
server.port = {port}
server.max-worker = {WORKERS}
server.event-handler = "linux-sysepoll"
server.network-backend = "sendfile"
server.max-fds = 20000
server.max-connections = {CONNECTIONS}
server.listen-backlog = 4096
server.max-keep-alive-requests = 65535
server.max-keep-alive-idle = {IDLE_S}
server.max-read-idle = {IDLE_S}
server.errorlog = "{top}/error.log"
mimetype.assign = (".html" => "text/html", ".txt" => "text/plain", ".bin" => "application/octet-stream")
$HTTP["url"] == "/g.txt" {{
  deflate.mimetypes = ("text/plain")
  deflate.allowed-encodings = ("gzip")
}}
$HTTP["url"] == "/pre/g.txt" {{
  deflate.mimetypes = ("text/plain")
  deflate.allowed-encodings = ("gzip")
  deflate.cache-dir = "{top}/gz"
}}
{log if self.logged else ""}
{routes}"""


def cjson(version):
    """The folder of lua-cjson for a version of Lua."""
    found = glob.glob(f"/usr/lib/*/lua/{version}/cjson.so") + glob.glob(
        f"/usr/lib/lua/{version}/cjson.so")
    return os.path.dirname(found[0]) if found else None


ALL = [Floor, Lunette, Nginx, Lighttpd]
