---@meta _

---What scripts/config.lua returns: put `---@type lunette.Config` above the table. Defaults are in
---lunette-config(5).
---@class lunette.Config
---@field listen string[]? "127.0.0.1:8080", "[::]:80", "unix:/run/site.sock"
---@field workers integer|"auto"|nil
---@field user string|integer|nil Taken on after binding, when started as root
---@field group string|integer|nil
---@field limits lunette.ConfigLimits?
---@field timeouts lunette.ConfigTimeouts?
---@field static lunette.ConfigStatic?
---@field gzip lunette.ConfigGzip?
---@field cache lunette.ConfigCache?
---@field log lunette.ConfigLog?
---@field trusted_proxies string[]? Networks (CIDR), or "unix"
---@field data string?
---@field temp string?
---@field control string?
---@field sandbox boolean|lunette.ConfigSandbox|nil
---@field metrics string? A path, or an address of its own
---@field health string? A path, or an address of its own
---@field secret string|string[]|nil Newest first, 16 bytes or more each
---@field site table? Yours: `app.settings`

---@class lunette.ConfigLimits
---@field header_bytes lunette.Size?
---@field headers integer?
---@field uri_bytes lunette.Size?
---@field body_bytes lunette.Size?
---@field body_memory lunette.Size?
---@field form_fields integer?
---@field part_count integer?
---@field connections integer?
---@field connections_per_ip integer?
---@field lua_memory lunette.Size?
---@field request_memory lunette.Size?
---@field generations integer?
---@field linger_bytes lunette.Size?

---@class lunette.ConfigTimeouts
---@field header lunette.Duration?
---@field body lunette.Duration?
---@field idle lunette.Duration?
---@field send lunette.Duration?
---@field handler lunette.Duration?
---@field cpu lunette.Duration?
---@field stop lunette.Duration?
---@field linger lunette.Duration?

---@class lunette.ConfigStatic
---@field max_age lunette.Duration?
---@field index string[]?
---@field listing boolean?

---@class lunette.ConfigGzip
---@field level integer?
---@field min_bytes lunette.Size?
---@field types string[]?

---@class lunette.ConfigCache
---@field bytes lunette.Size?

---@class lunette.ConfigLog
---@field access string? A path, "stdout", "stderr" or "off"
---@field format "combined"|"json"|nil
---@field error string? A path, "stdout", "stderr" or "off"
---@field level "debug"|"info"|"warn"|"error"|nil

---@class lunette.ConfigSandbox
---@field read string[]?
---@field write string[]?
---@field exec string[]?
