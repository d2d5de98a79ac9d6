local app = require "lunette"

-- Routes under one prefix, with middleware of their own.
local function mark(req, handle)
    local res = handle(req)
    res.headers["X-Shelf"] = req.params.shelf
    return res
end

app.group("/demo/shelves/:shelf{slug}", { use = mark }, function(g)
    g.get("/", function(req)
        return { shelf = req.params.shelf }
    end)
    g.get("/books/:id{int}", { name = "book" }, function(req)
        return { id = req.params.id, url = app.url_for("book", req.params) }
    end)
    g.get("/books/*rest", function(req)
        return { rest = req.params.rest }
    end)
end)
