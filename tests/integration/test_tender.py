"""The process that puts the shared cache right after a worker's end, when it is stopped itself."""
import os
import signal

from conftest import eventually, name_of
from test_faults import injected, tracing
from running import children_of
from test_replace import alive, one

MAIN = """
    local app = require "lunette"
    local cache = require "lunette.cache"
    local task = require "lunette.task"
    app.get("/fill", function(req)
      return app.text(cache.fetch("page", 60, function()
        if cache.incr "fills" == 1 then task.sleep(25) end
        return "filled"
      end))
    end)
    app.get("/fills", function() return app.text(tostring(cache.get "fills")) end)
"""


def tender_of(server):
    """Once it is stopped."""
    for pid in children_of(server.process.pid):
        if name_of(pid) == "lunette-tend" and "(stopped)" in open(f"/proc/{pid}/status").read():
            return pid
    return None


@tracing
def test_one_that_is_stopped_is_ended_and_another_begins(serve):
    """Who waited for a fill of the dead worker would have waited for ever."""
    server = serve({"scripts/main.lua": MAIN}, "--workers", "1")
    [worker] = server.workers()
    with server.wire() as filling:
        filling.get("/fill")
        eventually(lambda: one(server, "/fills").body == b"1")
        with injected(server.process.pid, "close_range:signal=SIGSTOP:when=1") as trace:
            os.kill(worker, signal.SIGKILL)
            eventually(lambda: "close_range" in trace(), 20)
        tender = eventually(lambda: tender_of(server))
        server.wait_for(rf"worker {worker} was killed by signal 9 .*; started (\d+)")
    with server.wire(60) as waiting:
        waiting.get("/fill")
        server.wait_for("the process that puts the shared cache right after a worker's end is ended: "
                        "it has not come back for 15 s", 40)
        assert waiting.answer().body == b"filled"
    assert not alive(tender) and "damaged" not in server.errors()
