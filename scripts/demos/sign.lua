local app = require "lunette"
local crypto = require "lunette.crypto"

app.get("/demo/sign", function(req)
    local text = (req.query.text or ""):sub(1, 60)
    return { signed = crypto.sign(text, { max_age = "1m" }) }
end)

app.get("/demo/unsign", function(req)
    local text, why = crypto.unsign(req.query.signed or "")
    return { text = text, refused = why }
end)
