"""slowhttptest against http-server and static-server, which have the limits of mgx_limits_public: 10 s for a request's head, 30 s
without progress for its body, 60 s for an answer that is not read. The server must answer slowhttptest's probe all the time, and must
close what is slow within these limits."""

import csv
import subprocess
import time

CONNECTIONS = 100
GRACE = 5  # seconds, for a busy machine and the rate of connecting
LOOK = 10  # seconds; when it reads, slowhttptest sees that a connection is closed. A byte makes no room for more.

# case: (server, options, seconds until all must be closed)
ATTACKS = {
    "slow head": ("http-server", "/", ["-H", "-i", "2"], 10),
    "body that stalls": ("http-server", "/api/echo", ["-B", "-i", "300", "-s", "8192"], 30),
    "body in drops": ("http-server", "/api/echo", ["-B", "-i", "5", "-s", "8192", "-x", "10"], 30),
    "answer not read": ("static-server", "/large", ["-X", "-n", str(LOOK), "-z", "1", "-w", "512", "-y", "1024"], 60),
    "answer read in drops": ("static-server", "/large", ["-X", "-n", "2", "-z", "2048", "-w", "2048", "-y", "4096"], 60),
}
QUICK = ["slow head", "body that stalls", "body in drops"]


def total(servers, quick):
    return len(QUICK if quick else ATTACKS)


def run(servers, quick):
    tool = servers.tool("slowhttptest")
    dir = servers.dir()
    with open(dir / "large", "wb") as f:
        f.truncate(64 << 20)
    started = {}
    for case in QUICK if quick else ATTACKS:
        server, path, options, limit = ATTACKS[case]
        port = servers.start(server, *(["-r", dir] if server == "static-server" else []))
        out = dir / case.replace(" ", "-")
        args = [tool, *options, "-c", CONNECTIONS, "-r", 100, "-l", limit + GRACE + (LOOK if "-X" in options else 0), "-p", 5, "-g", "-o", out,
                "-u", f"http://127.0.0.1:{port}{path}"]
        with open(f"{out}.log", "w") as log:
            started[case] = (servers.spawn(args, cwd=dir, stdout=log, stderr=subprocess.STDOUT), out, limit)
    while started:
        for case in [c for c, (p, _, _) in started.items() if p.poll() is not None]:
            _, out, limit = started.pop(case)
            with open(f"{out}.csv") as f:
                rows = list(csv.DictReader(f))
            if not rows or max(int(r["Connected"]) for r in rows) < CONNECTIONS // 2:
                yield case, "it could not connect"
                continue
            yield case, None
            if any(int(r["Service Available"]) == 0 for r in rows):
                yield case, "the server was not available"
            # Otherwise it hit its time limit.
            with open(f"{out}.log") as f:
                closed = "No open connections left" in f.read()
            if not closed:
                yield case, f"connections are open after {limit} s"
        time.sleep(0.5)
