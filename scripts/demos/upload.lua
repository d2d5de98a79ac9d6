local app = require "lunette"

-- What a picture is, is found from its bytes: its name and the type that the browser claims are
-- only words.
app.post("/demo/upload", {
    max_body = "2M",
    files = { picture = { type = "image/*", max = "1M", required = true } },
}, function(req)
    local picture = req.files.picture
    return {
        title = req.form.title,
        filename = picture.filename,
        claimed = picture.content_type,
        detected = picture.detected_type,
        bytes = picture.size,
        sha256 = picture.sha256,
    }
end)
