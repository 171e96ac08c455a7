"""Two servers behind a proxy, restarted one after the other while requests keep coming: none may fail.

usage: behind_proxies.py SERVER nginx|haproxy CONFIG     SERVER: examples-c/graceful-server.c, built
"""
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

RESTARTS = 2  # of each server
CLIENTS = 8
ENOUGH = 200  # requests between two restarts
LAME_DUCK_MS = 2000


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(what, condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"timed out waiting for {what}")
        time.sleep(0.05)


class Server:
    def __init__(self, program, port):
        self.program, self.port = program, port
        self.start()

    def start(self):
        args = [self.program, f"http://127.0.0.1:{self.port}", str(LAME_DUCK_MS), "20000"]
        self.process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            sys.exit(f"{args} did not start")

    def restart(self):
        self.process.send_signal(signal.SIGTERM)
        rest = self.process.stdout.read()
        if self.process.wait() != 0:
            sys.exit(f"the server had to close connections by force: {rest}")
        self.start()


def status_of(port, path="/"):
    try:
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        c.request("GET", path)
        r = c.getresponse()
        r.read()
        return r.status
    except OSError:
        return 0


class Load:
    def __init__(self, port):
        self.port, self.stop, self.sent, self.failed = port, False, 0, []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]
        for t in self.threads:
            t.start()

    def run(self, number):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while not self.stop:
            try:
                # Some answers take half a second, so that there are always some in flight.
                c.request("GET", "/later" if number == 0 else "/")
                r = c.getresponse()
                r.read()
                failure = None if r.status == 200 else r.status
            except (OSError, http.client.HTTPException) as e:
                failure = repr(e)
                c.close()
            with self.lock:
                self.sent += 1
                if failure:
                    self.failed.append(failure)
            time.sleep(0.002)

    def more(self):
        goal = self.sent + ENOUGH
        wait_for(f"{ENOUGH} more requests", lambda: self.sent >= goal)

    def end(self):
        self.stop = True
        for t in self.threads:
            t.join()


def main():
    program, kind, config = sys.argv[1:]
    front, ports = free_port(), [free_port(), free_port()]
    text = open(config).read()
    for name, port in zip(("8000", "8001", "8002"), [front, *ports]):
        assert f"127.0.0.1:{name}" in text, f"{config} has no {name}"
        text = text.replace(f"127.0.0.1:{name}", f"127.0.0.1:{port}")
    with tempfile.TemporaryDirectory() as scratch:
        path = os.path.join(scratch, "proxy.conf")
        if kind == "nginx":
            head = f"daemon off; pid {scratch}/pid; error_log {scratch}/error.log;\n"
            temp = "".join(f"{d}_temp_path {scratch}/{d};" for d in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
            text = head + text.replace("http {", f"http {{ access_log off; {temp}", 1)
            command = ["nginx", "-p", scratch, "-c", path]
        else:
            command = ["haproxy", "-f", path]
        with open(path, "w") as f:
            f.write(text)
        servers = [Server(program, port) for port in ports]
        proxy = subprocess.Popen(command, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})
        try:
            wait_for("the proxy", lambda: status_of(front) == 200)
            load = Load(front)
            for _ in range(RESTARTS):
                for server in servers:
                    load.more()
                    server.restart()
                    wait_for("the server", lambda: status_of(server.port, "/healthz") == 200)
                    # The proxy's checks must have seen it, too, before the other one goes.
                    time.sleep(1.5 if kind == "haproxy" else 0)
            load.more()
            load.end()
        finally:
            proxy.terminate()
            proxy.wait()
            for server in servers:
                server.process.kill()
        print(f"{kind}: {2 * RESTARTS} restarts, {load.sent} requests, {len(load.failed)} failed {load.failed[:5]}")
        sys.exit(1 if load.failed or load.sent < ENOUGH else 0)


main()
