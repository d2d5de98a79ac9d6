local app = require "lunette"
local log = require "lunette.log"

app.post("/demo/log", function(req)
    log.info("a button was pressed", { on = req.headers.referer })
    return { id = req.id } -- which the record has, too
end)
