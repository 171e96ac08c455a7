"""Clients that reset their connections at every possible moment."""

import socket
import struct
import sys

from wire import check, connect, get, post, request, settle

ROUNDS = int(sys.argv[3])
NOW = struct.pack("ii", 1, 0)
upload = post("/upload", b"x" * 300000)
for i in range(ROUNDS):
    s = connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
    what = i % 8
    if what == 1:
        s.sendall(get("/hello")[:-3])
    elif what == 2:
        s.sendall(get("/hello"))
    elif what == 3:
        s.sendall(get("/big?n=300000") * 5)
    elif what == 4:
        s.sendall(upload[:-1])
    elif what == 5:
        s.sendall(get("/download?n=10000000"))
        check(s.recv(100))
    elif what == 6:
        s.sendall(get("/chunked?n=1000"))
        check(s.recv(100))
    elif what == 7:
        s.sendall(get("/drain"))
        if i % 16 > 8:
            check(s.recv(10))
    s.close()
settle()
check(request(get("/hello")).body == b"hello\n")
