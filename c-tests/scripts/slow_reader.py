"""Some clients that read a byte a second: others are served at once, and the server sleeps when there is nothing to do.
arguments: host port server-pid"""

import socket
import sys
import time

from wire import Response, check, connect, cpu, get, settle

PID = sys.argv[3]

slow = []
for uri in ["/big?n=10000000", "/download?n=100000000", "/chunked?n=1000"] * 3:
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.connect((sys.argv[1], int(sys.argv[2])))
    s.sendall(get(uri))
    slow.append(s)

# The kernel's buffers fill up: from then on nothing moves but a byte now and then.
end = time.time() + 20
busy = True
while busy:
    before = cpu(PID)
    time.sleep(0.25)
    busy = cpu(PID) - before > 0.02
    check(time.time() < end, "the server does not come to rest")

longest = 0.0
count = 0
with connect() as s, s.makefile("rb") as f:
    for _ in range(3):
        for reader in slow:
            check(len(reader.recv(1)) == 1)
        end = time.time() + 0.7
        while time.time() < end:
            t = time.time()
            s.sendall(get("/hello"))
            check(Response(f).body == b"hello\n")
            longest = max(longest, time.time() - t)
            count += 1
        before = cpu(PID)
        time.sleep(0.5)
        used = cpu(PID) - before
        check(used < 0.25, "%.2f s of CPU time in half a second without work" % used)
check(longest < 1.0, "an answer took %.2f s" % longest)
check(count > 100, "%d answers only" % count)
for s in slow:
    s.close()
settle()
