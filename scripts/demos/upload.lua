local app = require "lunette"

-- What a picture is, is found from its bytes: its
-- name, and the type that the browser claims, are
-- only words.
local picture = {
    type = "image/*", max = "1M", required = true,
}

app.post("/demo/upload", {
    max_body = "2M", files = { picture = picture },
}, function(req)
    local file = req.files.picture
    return {
        title = req.form.title,
        filename = file.filename,
        claimed = file.content_type,
        detected = file.detected_type,
        bytes = file.size,
        sha256 = file.sha256,
    }
end)
