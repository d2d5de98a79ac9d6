local app = require "lunette"

local verse = ("By the light of the moon\n"):rep(400)

app.get("/demo/verse", function()
    return app.text(verse)
end)

app.get("/demo/verse-as-it-is", { gzip = false }, function()
    return app.text(verse)
end)
