"""Runs one binding's server against real clients, and its client against real servers.

usage: drive.py NAME SERVER-COMMAND -- [CLIENT-COMMAND]

The server gets a certificate and a key as arguments, and prints the ports of HTTP and HTTPS. The client gets the URLs of an HTTP and
an HTTPS server, the CA, the URLs of a WebSocket server and an MQTT broker; it prints a line for each answer. Prints
`NAME: N passed, N failed` at the end.
"""
import asyncio
import contextlib
import http.client
import http.server
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import websockets

ROOT = Path(__file__).resolve().parents[2]
CERTS = ROOT / "c-tests" / "certs"
CA, CERT, KEY = (str(CERTS / name) for name in ("ca.pem", "server-p256.pem", "server-p256.key"))
LIMIT = 30

name, rest = sys.argv[1], sys.argv[2:]
server_command, client_command = rest[: rest.index("--")], rest[rest.index("--") + 1 :]


def tls():
    return ssl.create_default_context(cafile=CA)


@contextlib.contextmanager
def server():
    p = subprocess.Popen([*server_command, CERT, KEY], stdout=subprocess.PIPE, text=True)
    try:
        line = p.stdout.readline()
        assert line, f"the server ended with {p.wait(LIMIT)}"
        yield (p, *map(int, line.split()))
    finally:
        p.kill()
        p.wait()


def ask(conn, method, path, body=None, headers={}):
    conn.request(method, path, body, headers)
    answer = conn.getresponse()
    return answer.status, answer.read(), answer


def http_requests(p, http_port, https_port):
    c = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    assert ask(c, "GET", "/hello")[:2] == (200, b"hello")
    body = bytes(range(256)) * 400
    status, data, answer = ask(c, "POST", "/echo?a=1&b=%20", body, {"X-Sent": "a: b"})
    assert (status, data) == (200, body)
    assert (answer.headers["X-Method"], answer.headers["X-Query"], answer.headers["X-Seen"]) == ("POST", "a=1&b=%20", "a: b")
    assert ask(c, "GET", "/none")[0] == 404
    assert ask(c, "GET", "/hello")[:2] == (200, b"hello")  # on the same connection
    c.close()


def a_body_that_has_not_arrived(p, http_port, https_port):
    """In MG_EV_HTTP_HDRS only its length is known: whatever the server made of it must not come from elsewhere in its memory."""
    with socket.create_connection(("127.0.0.1", http_port), timeout=LIMIT) as s:
        s.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc")
        answer = http.client.HTTPResponse(s)
        answer.begin()
        assert (answer.status, answer.read()) == (200, b"early"), answer.status


def chunks(p, http_port, https_port):
    c = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    status, data, answer = ask(c, "GET", "/chunks")
    assert (status, data, answer.headers["Transfer-Encoding"]) == (200, b"onetwo", "chunked")


def timer(p, http_port, https_port):
    c = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    began = time.monotonic()
    assert ask(c, "GET", "/slow")[:2] == (200, b"slow")
    assert time.monotonic() - began > 0.25


def tls_requests(p, http_port, https_port):
    c = http.client.HTTPSConnection("localhost", https_port, timeout=LIMIT, context=tls())
    assert ask(c, "GET", "/hello")[:2] == (200, b"hello")
    body = b"x" * 300_000
    assert ask(c, "POST", "/echo", body)[:2] == (200, body)


def websocket(p, http_port, https_port):
    async def talk(url, **options):
        async with websockets.connect(url, max_size=None, **options) as ws:
            for message in ("ping", b"\0\1\2", "é" * 40_000, ""):
                await ws.send(message)
                assert await asyncio.wait_for(ws.recv(), LIMIT) == message
            await asyncio.wait_for(await ws.ping(), LIMIT)

    asyncio.run(talk(f"ws://127.0.0.1:{http_port}/ws"))
    asyncio.run(talk(f"wss://localhost:{https_port}/ws", ssl=tls()))


def drain_of_one_connection(p, http_port, https_port):
    c = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    status, data, answer = ask(c, "GET", "/last")
    assert (status, data, answer.headers["Connection"]) == (200, b"last", "close")
    other = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    assert ask(other, "GET", "/hello")[0] == 200


def drain_on_sigterm(p, http_port, https_port):
    """What is in flight is answered, an idle client may ask once more, nobody new gets in, and the process ends by itself."""
    idle = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    busy = http.client.HTTPConnection("127.0.0.1", http_port, timeout=LIMIT)
    assert ask(idle, "GET", "/hello")[0] == 200
    busy.request("GET", "/slow")
    time.sleep(0.05)  # it is the server's turn, whose state only the answer shows
    p.send_signal(signal.SIGTERM)
    answer = busy.getresponse()
    assert (answer.status, answer.read(), answer.headers["Connection"]) == (200, b"slow", "close")
    assert p.wait(LIMIT) == 0, p.returncode
    try:
        socket.create_connection(("127.0.0.1", http_port), timeout=LIMIT)
        raise AssertionError("the listener is still there")
    except ConnectionRefusedError:
        pass


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


def peer(secure):
    s = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    if secure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERT, KEY)
        s.socket = context.wrap_socket(s.socket, server_side=True)
    threading.Thread(target=s.serve_forever, daemon=True).start()
    return s


def ws_peer():
    """An echo server in a thread; returns its port."""
    ready, port = threading.Event(), []

    async def echo(ws):
        async for message in ws:
            await ws.send("echo: " + message)

    async def main():
        async with websockets.serve(echo, "127.0.0.1", 0) as s:
            port.append(s.sockets[0].getsockname()[1])
            ready.set()
            await asyncio.Future()

    threading.Thread(target=lambda: asyncio.run(main()), daemon=True).start()
    assert ready.wait(LIMIT)
    return port[0]


@contextlib.contextmanager
def broker():
    path = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    assert path, "mosquitto is missing"
    with tempfile.TemporaryDirectory() as d:
        for _ in range(20):
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                port = s.getsockname()[1]
            config = Path(d) / "conf"
            config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
            p = subprocess.Popen([path, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                end = time.monotonic() + LIMIT
                while p.poll() is None and time.monotonic() < end:
                    try:
                        socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    except OSError:
                        time.sleep(0.02)
                        continue
                    yield port
                    return
            finally:
                p.kill()
                p.wait()
    raise AssertionError("mosquitto did not start")


def clients():
    plain, secure = peer(False), peer(True)
    with broker() as mqtt:
        urls = [f"http://127.0.0.1:{plain.server_port}", f"https://127.0.0.1:{secure.server_port}", CA]
        urls += [f"ws://127.0.0.1:{ws_peer()}/", f"mqtt://127.0.0.1:{mqtt}"]
        p = subprocess.run([*client_command, *urls], capture_output=True, text=True, timeout=LIMIT)
    assert p.returncode == 0, (p.returncode, p.stdout, p.stderr)
    lines = set(p.stdout.splitlines())
    return {
        "http_client": "http 200 hello" in lines,
        "tls_client": "https 200 hello" in lines,
        "websocket_client": "ws echo: ping" in lines,
        "mqtt_client": "mqtt bindings/test payload" in lines,
    }


passed = failed = 0


def report(test, ok):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print(f"{name}: {test} FAILED", flush=True)


for test in (http_requests, a_body_that_has_not_arrived, chunks, timer, tls_requests, websocket, drain_of_one_connection, drain_on_sigterm):
    try:
        with server() as s:
            test(*s)
        report(test.__name__, True)
    except Exception:
        traceback.print_exc()
        report(test.__name__, False)
try:
    for test, ok in clients().items() if client_command else ():
        report(test, ok)
except Exception:
    traceback.print_exc()
    report("clients", False)
print(f"{name}: {passed} passed, {failed} failed", flush=True)
sys.exit(failed > 0)
