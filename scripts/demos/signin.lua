local app = require "lunette"
local auth = require "lunette.auth"
local crypto = require "lunette.crypto"

-- A site keeps its users in a database, and their passwords as
-- hashes: crypto.password_verify(password, user.hash).
local TOKENS = { ["full-moon"] = "Luna" }

local function check(token)
    for known, name in pairs(TOKENS) do
        if crypto.equal(token, known) then return { name = name } end
    end
end

app.get("/demo/private", { use = auth.bearer { check = check } }, function(req)
    return app.text("Good evening, " .. req.user.name .. ".\n")
end)
