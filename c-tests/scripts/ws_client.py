"""The package websockets as a client of an echo server."""

import sys

from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import connect

URL = "ws://%s:%s/websocket" % (sys.argv[1], sys.argv[2])
SIZES = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]


def check(condition, text="not so"):
    assert condition, text


with connect(URL, max_size=None) as ws:
    for n in SIZES:
        for message in ("\u00e9" * (n // 2) + "x" * (n % 2), bytes(range(256)) * (n // 256) + b"y" * (n % 256)):
            ws.send(message)
            got = ws.recv(timeout=20)
            check(got == message, "%s of %d came back as %s of %d" % (type(message), n, type(got), len(got)))
    # In fragments, cut inside a character.
    ws.send(["fragment \u20ac ", "and ", "", "another"])
    check(ws.recv(timeout=20) == "fragment \u20ac and another")
    ws.send(bytes([n & 255]) * n for n in range(200))
    check(ws.recv(timeout=20) == b"".join(bytes([n & 255]) * n for n in range(200)))
    # Many at once: they come back in order.
    for i in range(1000):
        ws.send("message %d" % i)
    for i in range(1000):
        check(ws.recv(timeout=20) == "message %d" % i)
    for payload in (b"", b"ping", b"p" * 125):
        check(ws.ping(payload).wait(20), "no pong")
    ws.pong("unsolicited")
    ws.send("after the pong")
    check(ws.recv(timeout=20) == "after the pong")

# How it ends: the code that one side gives comes back.
for code in (1000, 1001, 3000, 4999):
    with connect(URL) as ws:
        ws.close(code, "because")
        try:
            ws.recv(timeout=20)
            check(False, "a message after the end")
        except (ConnectionClosedOK, ConnectionClosedError) as e:
            check(e.rcvd is not None and (e.rcvd.code, e.rcvd.reason) == (code, "because"), e)

# One of the offered protocols is chosen, and no extension.
with connect(URL, subprotocols=["first", "second"]) as ws:
    check(ws.subprotocol == "first", ws.subprotocol)
    ws.send("x" * 100000)
    check(ws.recv(timeout=20) == "x" * 100000)

# A large message is answered while this side is not reading. Only one: this client cannot read while it sends, and the server
# takes no more while its answer waits.
with connect(URL, max_size=None, max_queue=None) as ws:
    big = "0123456789abcdef" * 65536 * 2
    ws.send(big)
    check(ws.recv(timeout=20) == big)
