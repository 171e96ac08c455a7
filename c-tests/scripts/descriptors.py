"""More clients than the server may have files open: some wait, without costing anything, until others have left.
arguments: host port server-pid; the server may have 50 files open"""

import sys
import time

from wire import Response, check, connect, cpu, get, settle

PID = sys.argv[3]
clients = [connect() for _ in range(90)]
for s in clients:
    s.sendall(get("/hello"))
    s.settimeout(1)
files = [s.makefile("rb") for s in clients]


def served(waiting):
    """Which of them have got an answer."""
    done = []
    for i in waiting:
        try:
            check(Response(files[i]).body == b"hello\n")
            done.append(i)
        except TimeoutError:
            return done
    return done


first = served(range(90))
check(30 < len(first) < 50, "%d of 90 are served" % len(first))
before = cpu(PID)
time.sleep(0.5)
check(cpu(PID) - before < 0.1, "the server is busy although it can do nothing")
waiting = [i for i in range(90) if i not in first]
while waiting:
    for i in first:
        clients[i].close()
        files[i].close()
    files[waiting[0]].close()
    files[waiting[0]] = clients[waiting[0]].makefile("rb")  # after a time-out no more can be read from a file object
    first = served(waiting)
    check(first, "nobody else is served: %s" % waiting)
    waiting = waiting[len(first):]
for s in clients:
    s.close()
for f in files:
    f.close()
settle()
