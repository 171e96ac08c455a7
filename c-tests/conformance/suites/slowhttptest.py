"""slowhttptest against http-server and static-server, which have the limits of mgx_limits_public: 10 s for a request's head, 30 s
without progress for its body, 60 s for an answer that is not read. The server must answer slowhttptest's probe all the time, and must
close what is slow within these limits. Whether it has is seen in the kernel's list of sockets: slowhttptest itself does not look at
connections that it does not read."""

import csv
import subprocess
import time

CONNECTIONS = 100
GRACE = 15  # seconds, for a busy machine and the rate of connecting

# case: (server, path, options, seconds until all must be closed)
ATTACKS = {
    "slow head": ("http-server", "/", ["-H", "-i", "2"], 10),
    "body that stalls": ("http-server", "/api/echo", ["-B", "-i", "300", "-s", "8192"], 30),
    "body in drops": ("http-server", "/api/echo", ["-B", "-i", "5", "-s", "8192", "-x", "10"], 30),
    "answer not read": ("static-server", "/large", ["-X", "-n", "300", "-z", "1", "-w", "512", "-y", "1024"], 60),
    "answer read in drops": ("static-server", "/large", ["-X", "-n", "2", "-z", "4096", "-w", "4096", "-y", "8192"], 60),
}
QUICK = ["slow head", "body that stalls", "body in drops"]


def total(servers, quick):
    return len(QUICK if quick else ATTACKS)


def sockets(port):
    """How many sockets of the server's are alive in the kernel, also when only unsent data keeps them."""
    count = 0
    with open("/proc/net/tcp") as f:
        for line in f.readlines()[1:]:
            local, state = line.split()[1], line.split()[3]
            count += int(local.split(":")[1], 16) == port and state in ("01", "04", "08", "0B")
    return count


class Attack:
    def __init__(self, servers, dir, case):
        server, path, options, self.limit = ATTACKS[case]
        self.port = servers.start(server, *(["-r", dir] if server == "static-server" else []))
        self.out = dir / case.replace(" ", "-")
        args = [servers.tool("slowhttptest"), *options, "-c", CONNECTIONS, "-r", CONNECTIONS, "-l", 2 * self.limit + GRACE, "-p", 5, "-g",
                "-o", self.out, "-u", f"http://127.0.0.1:{self.port}{path}"]
        self.process = servers.spawn(args, cwd=dir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ends, self.most, self.closed = time.monotonic() + self.limit + GRACE, 0, False

    def look(self):
        """False when it is over."""
        now = sockets(self.port)
        self.most = max(self.most, now)
        # One is the probe's. The process ends before its time when it has seen all closed.
        self.closed = self.most > CONNECTIONS // 2 and (now <= 1 or self.process.poll() is not None)
        return not self.closed and self.process.poll() is None and time.monotonic() < self.ends

    def findings(self):
        with open(f"{self.out}.csv") as f:
            available = all(int(r["Service Available"]) for r in csv.DictReader(f))
        if self.most <= CONNECTIONS // 2:
            yield "it could not connect"
        elif not self.closed:
            yield f"connections are open after {self.limit} s"
        if not available:
            yield "the server was not available"


def run(servers, quick):
    dir = servers.dir()
    with open(dir / "large", "wb") as f:
        f.truncate(64 << 20)
    attacks = {case: Attack(servers, dir, case) for case in (QUICK if quick else ATTACKS)}
    while attacks:
        for case, attack in list(attacks.items()):
            if attack.look():
                continue
            servers.end(attack.process)
            del attacks[case]
            yield case, None
            for finding in attack.findings():
                yield case, finding
        time.sleep(0.2)
