-- The guest book, for `lunette test`.

local guests = require "guests"
local test = require "lunette.test"

local client, expect = test.client, test.expect

local function sign(name, text)
    local token = client.get("/guestbook").body:match 'name="csrf_token" value="([^"]+)"'
    return client.post("/guestbook", { form = { name = name, text = text, csrf_token = token } })
end

test("who signs is thanked once, and stands in the book", function()
    expect(client.get("/guestbook").body).contains "Nobody has written anything here yet."
    local answer = sign("  Luna ", "Good evening,\nall of you")
    expect(answer.status).equals(303)
    expect(answer.location).equals "/guestbook"
    local page = client.get("/guestbook").body
    expect(page).contains 'role="status">Thank you. It is in the book.'
    expect(page).contains "1 entry"
    expect(page).matches "<h3>Luna <time"
    expect(page).contains "<p>Good evening,\nall of you</p>"
    expect(client.get("/guestbook").body).never.contains 'role="status"'
end)

test("entries are plain text", function()
    sign("<b>", "<script>alert('&')</script>")
    local page = client.get("/guestbook").body
    expect(page).contains "<h3>&lt;b&gt; <time"
    expect(page).contains "<p>&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>"
end)

test("what does not fit is said, and not lost", function()
    local answer = sign(" ", ("moon "):rep(101))
    expect(answer.status).equals(422)
    expect(answer.body).contains "The name must not be empty"
    expect(answer.body).contains "The text must have at most 500 characters"
    expect(answer.body).contains(("moon "):rep(101))
    expect(guests.count()).equals(0)
end)

test("without a token nothing is written", function()
    local answer = client.post("/guestbook", { form = { name = "Luna", text = "moon" } })
    expect(answer.status).equals(403)
    expect(guests.count()).equals(0)
end)

test("five a minute", function()
    for i = 1, 5 do expect(sign("Luna", "moon " .. i).status).equals(303) end
    expect(sign("Luna", "moon 6").status).equals(429)
    test.time(os.time() + 61)
    expect(sign("Luna", "moon 7").status).equals(303)
    expect(guests.count()).equals(6)
end)

test("fifty on a page, the newest first", function()
    for i = 1, 52 do guests.add("Guest " .. i, "Number " .. i) end
    local newest = client.get("/guestbook").body
    expect(newest).contains "52 entries"
    expect(newest).contains "<h3>Guest 52 "
    expect(newest).contains "<h3>Guest 3 "
    expect(newest).never.contains "<h3>Guest 2 "
    local older = client.get(newest:match 'rel="next" href="([^"]+)"').body
    expect(older).contains "<h3>Guest 2 "
    expect(older).contains "<h3>Guest 1 "
    expect(older).never.contains "<h3>Guest 3 "
    expect(older).never.contains 'href="/guestbook?before='
    expect(client.get("/guestbook?before=moon").status).equals(400)
end)
