"""Clients that go away in the middle of an answer, or of their own request; the server forgets them all."""

from wire import check, connect, get, post, request, settle, stats

accepted = stats()["accepted"]
for i in range(300):
    s = connect()
    s.sendall([get("/big?n=2000000"), get("/download?n=100000000"), get("/chunked?n=100000"), get("/later?ms=10") * 3][i % 4])
    if i % 4 < 3 and i % 3 > 0:
        s.recv(1000 * (i % 50 + 1))
    s.close()
for i in range(300):
    s = connect()
    whole = post("/upload" if i % 2 else "/echo", b"x" * 100000)
    s.sendall(whole[: len(whole) * i // 300])
    s.close()
end = settle()
check(end["accepted"] - accepted >= 600, end)
check(request(get("/hello")).body == b"hello\n")
