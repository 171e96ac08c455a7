"""An echo server made with the package websockets, which prints its port."""

import signal
import sys

from websockets.sync.server import serve


def echo(ws):
    for message in ws:
        ws.send(message)


# No compression is offered by our side; the server would agree to it.
with serve(echo, "127.0.0.1", 0, max_size=None) as server:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("port %d" % server.socket.getsockname()[1], flush=True)
    server.serve_forever()
