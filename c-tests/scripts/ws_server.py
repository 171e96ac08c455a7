"""A server made with the package websockets, which prints its port: an echo, but on /talk it talks, and on /close/N it closes."""

import signal
import sys

from websockets.sync.server import serve


def handle(ws):
    path = ws.request.path
    if path == "/talk":
        ws.send(["fragment \u20ac ", "and ", "", "another"])
        assert ws.ping("are you there?").wait(20)
        ws.send("so you are")
        ws.send(bytes(range(256)) * 4096)
        ws.send(bytes([n]) * 20000 for n in range(50))
        ws.send("x" * 65536)
    elif path.startswith("/close/"):
        ws.close(int(path[7:]), "because")
    else:
        for message in ws:
            ws.send(message)


# No compression is offered by our side; the server would agree to it.
with serve(handle, "127.0.0.1", 0, max_size=None) as server:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("port %d" % server.socket.getsockname()[1], flush=True)
    server.serve_forever()
