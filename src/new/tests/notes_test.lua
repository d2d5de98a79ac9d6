-- `lunette test` runs this. Every test begins without notes, and as a new visitor.

local test = require "lunette.test"
local client, expect = test.client, test.expect

local token -- of the visitor's forms

test.before_each(function()
    token = client.get("/").body:match('name="csrf_token" value="([^"]+)"')
end)

local function add(text)
    return client.post("/notes", { form = { text = text, csrf_token = token } })
end

test("there are no notes at first", function()
    expect(client.get("/").body).contains("There are no notes yet.")
    expect(client.get("/api/notes").json).equals { notes = {} }
end)

test("a note is kept", function()
    local answer = add("milk & bread")
    expect(answer.status).equals(303)
    expect(answer.location).equals("/")
    local page = client.get("/").body
    expect(page).contains("The note is kept.")
    expect(page).contains("milk &amp; bread")
end)

test("the API knows when", function()
    test.time("2026-01-31T12:00:00Z")
    add("milk")
    local notes = client.get("/api/notes").json.notes
    expect(#notes).equals(1)
    expect(notes[1].text).equals("milk")
    expect(notes[1].at).equals("2026-01-31T12:00:00Z")
end)

test("what does not fit is refused, and shown again", function()
    local answer = add(("x"):rep(501))
    expect(answer.status).equals(422)
    expect(answer.body).contains("at most 500 characters")
    expect(answer.body).contains(("x"):rep(501))
    expect(client.get("/api/notes").json.notes).equals {}
end)

test("a note can be deleted", function()
    add("milk")
    local id = client.get("/api/notes").json.notes[1].id
    local path = "/notes/" .. id .. "/delete"
    expect(client.post(path, { form = { csrf_token = token } }).status).equals(303)
    expect(client.get("/api/notes").json.notes).equals {}
    expect(client.post(path, { form = { csrf_token = token } }).status).equals(404)
end)

test("forms of other sites are refused", function()
    expect(client.post("/notes", { form = { text = "milk" } }).status).equals(403)
    expect(client.get("/api/notes").json.notes).equals {}
end)
