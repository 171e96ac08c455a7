"""HTTP and HTTPS server with WebSocket. usage: server.py CERT KEY"""
import signal
import sys
from pathlib import Path

from libmongoose import MG_EV_ACCEPT, MG_EV_HTTP_HDRS, MG_EV_HTTP_MSG, MG_EV_WS_MSG, Manager, TlsOptions, log_set

tls = TlsOptions(cert=Path(sys.argv[1]).read_text(), key=Path(sys.argv[2]).read_text())


def handler(conn, ev, data):
    if ev == MG_EV_HTTP_HDRS and data.uri == "/early":
        conn.reply(200, b"early" + data.body)
    if ev == MG_EV_HTTP_MSG:
        if data.uri == "/hello":
            conn.reply(200, "hello")
        elif data.uri == "/echo":
            conn.reply(200, data.body, {"X-Method": data.method, "X-Query": data.query, "X-Seen": data.header("x-sent", "")})
        elif data.uri == "/ws":
            conn.ws_upgrade(data)
        elif data.uri == "/slow":
            conn_id = conn.id
            manager.timer(300, lambda: [c.reply(200, "slow") for c in manager.connections if c.id == conn_id])
        elif data.uri == "/chunks":
            conn.begin(200)
            conn.chunk("one")
            conn.chunk("two")
            conn.end()
        elif data.uri == "/last":
            conn.reply(200, "last")
            conn.drain()
        else:
            conn.reply(404, "no such page")
    elif ev == MG_EV_WS_MSG:
        conn.ws_send(data.data, data.op)


def secure(conn, ev, data):
    if ev == MG_EV_ACCEPT:
        conn.tls_init(tls)
    handler(conn, ev, data)


log_set(1)
with Manager() as manager:
    http = manager.listen("http://127.0.0.1:0", handler)
    https = manager.listen("https://127.0.0.1:0", secure)
    manager.drain_on_signal(signal.SIGTERM)
    print(http.port, https.port, flush=True)
    manager.run()
