"""The servers under test, and the programs that test them. All of them are stopped with the suite, also after Ctrl-C."""

import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = pathlib.Path(__file__).resolve().parents[2]
CERTS = ROOT / "c-tests" / "certs"


class Missing(Exception):
    pass


class Servers:
    def __init__(self, bin_dir, deps):
        self.bin, self.deps = bin_dir.resolve(), deps.resolve()
        self.running, self.dirs = [], []

    def dir(self):
        self.dirs.append(tempfile.mkdtemp(prefix="conformance-"))
        return pathlib.Path(self.dirs[-1])

    def spawn(self, args, **more):
        # In a session of its own: Ctrl-C reaches only us, and we stop the servers in order.
        p = subprocess.Popen([str(a) for a in args], stdin=subprocess.DEVNULL, start_new_session=True, **more)
        self.running.append(p)
        return p

    def start(self, name, *args, scheme="http"):
        """Starts an example on a free port and returns the port."""
        url = f"{scheme}://127.0.0.1:0"
        # To a file: nothing would read from a pipe.
        out = self.dir() / "out"
        with open(out, "w") as f:
            p = self.spawn([self.bin / name, "-l", url, *args], stdout=f)
        while (port := re.search(r"localhost:(\d+)", out.read_text())) is None:
            if p.poll() is not None:
                raise RuntimeError(f"{name} ended with {p.returncode}")
            time.sleep(0.02)
        return int(port[1])

    def end(self, p):
        if p.poll() is None:
            os.killpg(p.pid, signal.SIGTERM)
            try:
                p.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        if p in self.running:
            self.running.remove(p)

    def stop(self):
        for p in list(self.running):
            self.end(p)
        for d in self.dirs:
            shutil.rmtree(d, ignore_errors=True)
        self.dirs.clear()

    def tool(self, name):
        """A program installed on the system."""
        path = shutil.which(name)
        if path is None:
            raise Missing(name)
        return path

    def need(self, relative):
        """Something that make deps-conformance installed."""
        path = self.deps / relative
        if not path.exists():
            raise Missing(relative)
        return path
