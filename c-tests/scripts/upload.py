"""Uploads a given number of MiB through a handler that takes the body as it comes. The checksums must be right."""

import sys

from wire import BLOCK, check, connect

MIB = int(sys.argv[3])
BLOCKS = MIB * 16
M = 1 << 64

# a: sum of the bytes; b: sum of a after each byte. For one block, starting from zero:
a1 = b1 = 0
for byte in BLOCK:
    a1 += byte
    b1 += a1
n = len(BLOCK)
a, b = a1 * BLOCKS, b1 * BLOCKS + n * a1 * (BLOCKS * (BLOCKS - 1) // 2)

with connect() as s:
    s.sendall(b"POST /upload HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (BLOCKS * n))
    piece = BLOCK * 4
    for _ in range(BLOCKS // 4):
        s.sendall(piece)
    with s.makefile("rb") as f:
        head, _, body = f.read().partition(b"\r\n\r\n")
check(head.startswith(b"HTTP/1.1 200 ") and b"\r\nConnection: close" in head, head)
check(body == b"%d %d\n" % (a % M, b % M), body)
