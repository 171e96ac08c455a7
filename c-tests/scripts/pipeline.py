"""Many requests in one segment, in many small ones, and with a late answer among them: all answered, in order."""

import random

from wire import Response, check, connect, get, post

rng = random.Random(1)


def exchange(requests, pieces):
    with connect() as s, s.makefile("rb") as f:
        data = b"".join(r for r, _ in requests)
        while data:
            n = rng.choice(pieces)
            s.sendall(data[:n])
            data = data[n:]
        for i, (_, body) in enumerate(requests):
            got = Response(f).body
            check(got == body, "answer %d: %r instead of %r" % (i, got[:60], body[:60]))


def mixed(n):
    requests = []
    for i in range(n):
        body = b"%d" % i * rng.randrange(1, 300)
        requests.append(rng.choice([(get("/hello"), b"hello\n"), (post("/echo", body), body), (post("/echo", b""), b"")]))
    return requests


exchange(mixed(500), [1 << 30])
exchange(mixed(30), range(1, 8))
exchange(mixed(300), [1, 100, 1000, 16384, 20000])
late = [(get("/hello"), b"hello\n"), (get("/later?ms=200"), b"later\n"), (get("/hello"), b"hello\n"), (get("/later?ms=50"), b"later\n")]
exchange(late + mixed(20), [1 << 30])
chunks = b"".join(b"chunk %d\n" % i for i in range(20, 0, -1))
exchange([(get("/chunked?n=20"), chunks), (get("/hello"), b"hello\n")] * 5, [1 << 30])
chunked = b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"
exchange([(chunked, b"hello!"), (get("/hello"), b"hello\n")] * 5, [1 << 30])
exchange([(chunked, b"hello!"), (get("/hello"), b"hello\n")] * 5, [1, 2, 3])
