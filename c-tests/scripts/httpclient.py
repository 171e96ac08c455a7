"""Python's http.client: one connection for many requests, a chunked upload, a body after 100 Continue."""

import http.client
import json

from wire import BLOCK, HOST, PORT, check

c = http.client.HTTPConnection(HOST, PORT, timeout=20)
c.connect()
sock = c.sock


def ask(method, uri, body=None, headers={}, **more):
    c.request(method, uri, body, headers, **more)
    r = c.getresponse()
    data = r.read()
    check(c.sock is sock, "another connection was needed")
    return r.status, data


for i in range(200):
    check(ask("GET", "/hello") == (200, b"hello\n"))
    check(ask("POST", "/echo", b"x" * i) == (200, b"x" * i))
check(ask("HEAD", "/hello") == (200, b""))
check(ask("GET", "/nowhere") == (404, b"not found\n"))
check(ask("GET", "/big?n=1000000") == (200, (BLOCK * 16)[:1000000]))
check(ask("GET", "/chunked?n=3") == (200, b"chunk 3\nchunk 2\nchunk 1\n"))

pieces = [BLOCK[:n] for n in (1, 2, 1000, 65536, 7)]
check(ask("POST", "/echo", iter(pieces), {"Transfer-Encoding": "chunked"}, encode_chunked=True) == (200, b"".join(pieces)))
check(ask("PUT", "/echo", iter([]), {"Transfer-Encoding": "chunked"}, encode_chunked=True) == (200, b""))

body = BLOCK * 4
c.putrequest("POST", "/echo")
c.putheader("Expect", "100-continue")
c.putheader("Content-Length", str(len(body)))
c.endheaders()
interim = sock.recv(100)
check(interim == b"HTTP/1.1 100 Continue\r\n\r\n", interim)
c.send(body)
check(c.getresponse().read() == body)

check(json.loads(ask("GET", "/stats")[1])["accepted"] == 1, "more than one connection")
c.request("GET", "/drain")
r = c.getresponse()
check((r.getheader("Connection"), r.read(), c.sock) == ("close", b"drained\n", None), "the close was not announced")
