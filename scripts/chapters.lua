-- The guide's chapters in reading order: the start page, then one for each part of lunette. Each is
-- a view of the same name in views/guide/.

local chapters = {
    { slug = "start", title = "Start",
        summary = "What lunette is, and a site in ten lines" },
    { slug = "tutorial", title = "Tutorial",
        summary = "A small site step by step, from an empty folder to a running server" },
    { slug = "routes", title = "Routes",
        summary = "Patterns, groups, hosts, middleware, error pages" },
    { slug = "requests", title = "Requests",
        summary = "Headers, cookies, query, forms, JSON, uploaded files" },
    { slug = "answers", title = "Answers",
        summary = "Status codes, redirects, files, streams, events" },
    { slug = "caching", title = "Caching and conditions",
        summary = "ETag, Last-Modified, ranges, the shared cache, gzip" },
    { slug = "templates", title = "Templates and views",
        summary = "Pages whose values are escaped for where they stand" },
    { slug = "validation", title = "Validation",
        summary = "Schemas for what comes in, and what is answered when it does not fit" },
    { slug = "safety", title = "Sessions, sign-in and safety",
        summary = "Sessions, CSRF, sign-in, CORS, rate limits, headers, cryptography" },
    { slug = "database", title = "Database",
        summary = "SQLite without a wait for anybody else" },
    { slug = "background", title = "Waiting and background work",
        summary = "Tasks, timeouts, timers, work after the answer" },
    { slug = "testing", title = "Testing",
        summary = "Tests of a site, without a socket" },
    { slug = "configuration", title = "Configuration",
        summary = "Every setting of scripts/config.lua, and what it is by default" },
    { slug = "running", title = "Running it",
        summary = "Commands, reloads, logs, metrics, the sandbox, systemd" },
    { slug = "speed", title = "How fast it is",
        summary = "What a request costs, beside others and the least that is possible" },
    { slug = "reference", title = "Reference",
        summary = "Every call of every module" },
}

for i, chapter in ipairs(chapters) do
    chapter.path = i == 1 and "/" or "/guide/" .. chapter.slug
    chapter.view = "guide/" .. chapter.slug .. ".html"
    chapter.previous, chapter.next = chapters[i - 1], chapters[i + 1]
end

return chapters
