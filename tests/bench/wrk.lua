-- What wrk sends is told by the environment; at the end it prints one line of JSON behind "BENCH".
-- WRK_METHOD, WRK_BODY, WRK_FIELDS (a header field a line), WRK_DEPTH (requests sent at once).
wrk.method = os.getenv("WRK_METHOD") or "GET"
local body = os.getenv("WRK_BODY") or ""
if body ~= "" then wrk.body = body end
for line in (os.getenv("WRK_FIELDS") or ""):gmatch("[^\n]+") do
    local name, value = line:match("^([^:]+):%s*(.*)$")
    wrk.headers[name] = value
end

local depth = tonumber(os.getenv("WRK_DEPTH") or "1")
if depth > 1 then
    local batch
    function init()
        batch = wrk.format():rep(depth)
    end
    function request()
        return batch
    end
end

function done(summary, latency)
    local e = summary.errors
    local line = 'BENCH {"requests":%d,"us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,'
        .. '"status":%d,"timeout":%d,"p50":%d,"p99":%d}\n'
    io.write(line:format(summary.requests, summary.duration, summary.bytes, e.connect, e.read,
        e.write, e.status, e.timeout, latency:percentile(50), latency:percentile(99)))
end
