"""What a reverse proxy makes of heads: in front of mirror.py, whose answers are the requests as they arrived."""

from wire import Response, check, connect


def through(data, close=False):
    """What arrived, and the answer, for each request in `data`."""
    with connect() as s, s.makefile("rb") as f:
        s.sendall(data)
        response = Response(f)
        check(not close or f.read() == b"", "the connection stays")
        return response.body.decode("latin1"), response


def forwarded(lines, body=""):
    return "\r\n".join(lines) + "\r\n\r\n" + body


# As it came, but for what is the connection's own.
got, response = through(
    b"GET /a%20b?c=d&e HTTP/1.1\r\nHost: example.com:81\r\nAccept: */*\r\nConnection: keep-alive, X-Mine , te\r\nX-Mine: 1\r\n"
    b"Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nX-Two: 1\r\nX-Two: 2\r\n"
    b"X-Empty:\r\nUpgrade: h2c\r\n\r\n"
)
want = ["GET /a%20b?c=d&e HTTP/1.1", "Host: example.com:81", "Accept: */*", "X-Two: 1", "X-Two: 2", "X-Empty: ", "X-Forwarded-For: 127.0.0.1"]
check(got == forwarded(want), got)
check("keep-alive" not in response.headers and "connection" not in response.headers and "x-hop" not in response.headers)
with connect() as s, s.makefile("rb") as f:
    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
    head = b"".join(iter(f.readline, b"\r\n"))
    check(b"X-End: 2\r\nX-Last: 3\r\nX-Empty: \r\n" in head, head)

# Proxies in front of this one.
got, _ = through(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nx-forwarded-for: 5.6.7.8, 9.9.9.9\r\n\r\n")
check("X-Forwarded-For: 1.2.3.4, 5.6.7.8, 9.9.9.9, 127.0.0.1\r\n" in got and got.lower().count("x-forwarded") == 1, got)

# More headers than an mg_http_message has room for.
many = ["X-%d: %d" % (i, i) for i in range(100)]
got, _ = through(forwarded(["GET / HTTP/1.1", "Host: h"] + many).encode())
check(got == forwarded(["GET / HTTP/1.1", "Host: h"] + many + ["X-Forwarded-For: 127.0.0.1"]), got)

for line, body, sent in (
    ("Content-Length: 5", "hello", "hello"),
    ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"),
):
    got, _ = through(forwarded(["POST / HTTP/1.1", "Host: h"] + many + [line], body).encode())
    check(got == forwarded(["POST / HTTP/1.1", "Host: h"] + many + ["X-Forwarded-For: 127.0.0.1", line], sent), got)

# A target with a host, which counts more than the header.
got, _ = through(b"GET http://other:81/a?b HTTP/1.1\r\nHost: h\r\nConnection: x-mine\r\nX-Mine: 1\r\nConnection: keep-alive\r\n\r\n")
check(got == forwarded(["GET /a?b HTTP/1.1", "Host: other:81", "X-Forwarded-For: 127.0.0.1"]), got)

# Bodies: with a length, without, in chunks, which are made anew.
for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "REPORT"):
    got, _ = through(b"%s /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello" % method.encode())
    want = [method + " /p HTTP/1.1", "Host: h", "X-Forwarded-For: 127.0.0.1", "Content-Length: 5"]
    check(got == forwarded(want, "hello"), got)
got, _ = through(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
check(got == forwarded(["POST /p HTTP/1.1", "Host: h", "X-Forwarded-For: 127.0.0.1", "Content-Length: 0"]), got)
got, _ = through(b"POST /p HTTP/1.1\r\nHost: h\r\n\r\n")
check(got == forwarded(["POST /p HTTP/1.1", "Host: h", "X-Forwarded-For: 127.0.0.1"]), got)
chunks = b"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n001\r\n!\r\n0;c\r\nX-Trailer: 1\r\n\r\n"
want = ["POST /p HTTP/1.1", "Host: h", "X-Forwarded-For: 127.0.0.1", "Transfer-Encoding: chunked"]
got, _ = through(chunks)
check(got == forwarded(want, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), got)

# One connection for many requests, at once and byte by byte.
with connect() as s, s.makefile("rb") as f:
    s.sendall((chunks + b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n") * 50)
    for _ in range(50):
        check(Response(f).body.startswith(b"POST /p "))
        check(Response(f).body.startswith(b"GET /x "))
    for byte in chunks + chunks:
        s.sendall(bytes([byte]))
    check(Response(f).body.endswith(b"\r\n1\r\n!\r\n0\r\n\r\n") and Response(f).status == 200)

# The end of a connection, as the client wants it.
_, response = through(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", True)
check(response.headers["connection"] == "close")
got, response = through(b"GET / HTTP/1.0\r\n\r\n", True)
check(response.headers["connection"] == "close" and got.startswith("GET / HTTP/1.1\r\nHost: 127.0.0.1:"), got)
_, response = through(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
check(response.headers["connection"] == "keep-alive")

# Refused, and nothing of it is passed on.
for status, data in (
    (400, b"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n"),
    (400, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"),
    (501, b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
):
    with connect() as s, s.makefile("rb") as f:
        s.sendall(data + b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        response = Response(f)
        check(response.status == status and f.read() == b"", (response.status, data))
