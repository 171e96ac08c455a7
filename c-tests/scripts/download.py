"""Downloads a given number of MiB, checking every byte."""

import sys

from wire import BLOCK, check, connect, get

MIB = int(sys.argv[3])
with connect() as s:
    s.sendall(get("/download?n=%d" % (MIB << 20)))
    with s.makefile("rb", buffering=1 << 20) as f:
        while f.readline() != b"\r\n":
            pass
        for i in range(MIB * 16):
            check(f.read(len(BLOCK)) == BLOCK, "block %d differs" % i)
        s.sendall(get("/hello"))
        check(f.readline() == b"HTTP/1.1 200 OK\r\n", "the connection is not in step after the download")
