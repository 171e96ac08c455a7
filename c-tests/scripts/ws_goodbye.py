"""Members of a chat room that is closed while they are there. Prints a line when all are in."""

import sys

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

members = [connect("ws://%s:%s/" % (sys.argv[1], sys.argv[2])) for _ in range(10)]
for n, ws in enumerate(members):
    assert '"here":%d' % (n + 1) in ws.recv(timeout=20)
members[0].send("hello \u20ac")
for ws in members:
    assert ws.recv(timeout=20) == "hello \u20ac"
open(sys.argv[3], "w").close()
for ws in members:
    try:
        assert "here" in ws.recv(timeout=20)
        assert False, "more than expected"
    except ConnectionClosed as e:
        assert e.rcvd is not None and e.rcvd.code == 1001 and e.sent.code == 1001, e
