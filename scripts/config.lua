-- The settings of the repository's own site. The guide's chapter on configuration has all there are.

-- A secret for as long as the server runs, where the environment has none: sessions end with it.
local function random_secret()
    local random <close> = assert(io.open("/dev/urandom", "rb"))
    return (random:read(32):gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

return {
    secret = os.getenv "LUNETTE_SECRET" or random_secret(),
    site = { moon = "waxing" },
}
