"""What the Python clients share: arguments, requests as bytes, and a strict reader of responses."""

import json
import os
import socket
import sys
import time

HOST, PORT = sys.argv[1], int(sys.argv[2])
BLOCK = bytes((k * 31 + (k >> 8) * 7) & 255 for k in range(65536))


def connect(host=HOST, timeout=20):
    return socket.create_connection((host, PORT), timeout=timeout)


def get(uri, *headers):
    return "\r\n".join(["GET %s HTTP/1.1" % uri, "Host: test", *headers, "", ""]).encode()


def post(uri, body, *headers):
    return "\r\n".join(["POST %s HTTP/1.1" % uri, "Host: test", "Content-Length: %d" % len(body), *headers, "", ""]).encode() + body


class Response:
    """One response read from a binary file object."""

    def __init__(self, f):
        line = f.readline()
        assert line.startswith(b"HTTP/1.1 ") and line.endswith(b"\r\n"), "status line: %r" % line
        self.status = int(line.split()[1])
        self.headers = {}
        while True:
            line = f.readline()
            if line == b"\r\n":
                break
            name, value = line.decode().split(":", 1)
            assert name.lower() not in self.headers, line
            self.headers[name.lower()] = value.strip()
        if self.headers.get("transfer-encoding") == "chunked":
            self.body = b""
            while True:
                size = int(f.readline(), 16)
                data = f.read(size)
                assert len(data) == size and f.read(2) == b"\r\n", "chunk of %d" % size
                self.body += data
                if size == 0:
                    break
        else:
            size = int(self.headers["content-length"])
            self.body = f.read(size)
            assert len(self.body) == size, "%d bytes of %d" % (len(self.body), size)


def request(data, host=HOST):
    """One request on a connection of its own."""
    with connect(host) as s:
        s.sendall(data)
        with s.makefile("rb") as f:
            return Response(f)


def stats():
    return json.loads(request(get("/stats")).body)


def settle(open_connections=1, seconds=60 if "SHORT_IO" in os.environ else 10):
    """Waits until the server has noticed who is gone: only the connection that asks is left."""
    end = time.time() + seconds
    while True:
        now = stats()
        if now["open"] == open_connections:
            return now
        assert time.time() < end, "still open: %s" % now
        time.sleep(0.02)


def cpu(pid):
    """Seconds of CPU time that a process has used."""
    fields = open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def check(condition, text="not so"):
    assert condition, text
