-- The settings of this site. `lunette limits` prints all limits and timeouts that are in force.

---@type lunette.Config
return {
    listen = { "127.0.0.1:8080" },       -- also "[::]:8080", "unix:/run/notes.sock"
    -- workers = "auto",                 -- processes that answer; by default one for each core

    -- Signs sessions and forms. --dev makes one by itself; else put the output of
    -- `openssl rand -hex 32` into this variable, and keep it: whoever has it can forge a session.
    secret = os.getenv "LUNETTE_SECRET",

    -- limits = { body_bytes = "1M" },
    -- timeouts = { handler = 10 },
    -- log = { access = "off", level = "warn" },

    site = { title = "Notes" },          -- yours: app.settings
}
