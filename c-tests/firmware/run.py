#!/usr/bin/env python3
"""run.py DIRECTORY: boots the images of examples-c/firmware-qemu that `make firmware-test` has put there in qemu, and is their client:
curl, raw sockets, WebSocket, and an MQTT broker where mosquitto is installed. Every answer is compared byte by byte."""
import base64, contextlib, hashlib, json, os, random, re, shutil, socket, ssl, struct, subprocess, sys, tempfile, threading, time, zlib

LIMIT = 60  # seconds for anything
images = sys.argv[1]  # where the images are
rng = random.Random(7)


class Device:
    """A board in qemu. Its ports are forwarded from ports that the system chooses."""

    def __init__(self, machine, image, *ports, ready=None):
        self.dir = tempfile.mkdtemp()
        self.uart = os.path.join(self.dir, "uart")
        monitor = os.path.join(self.dir, "monitor")
        forward = "".join(f",hostfwd=tcp:127.0.0.1:0-:{p}" for p in ports)
        self.qemu = subprocess.Popen(
            ["qemu-system-arm", "-M", machine, "-kernel", os.path.join(images, image), "-display", "none", "-serial", f"file:{self.uart}",
             "-monitor", f"unix:{monitor},server,nowait", "-nic", f"user,model=lan9118{forward}"],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # it tells of frames that come before the device listens
        try:
            wait_for("qemu", lambda: os.path.exists(monitor))
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(LIMIT)
                s.connect(monitor)
                s.sendall(b"info usernet\n")
                text = b""
                while text.count(b"(qemu)") < 2:
                    text += s.recv(4096)
            found = re.findall(rb"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)\s+\S+\s+(\d+)", text)
            self.ports = {int(guest): int(host) for host, guest in found}
            wait_for("the device", lambda: self.answers(ready) if ready else self.is_ready())
        except BaseException:
            self.close()
            raise

    def log(self):
        with open(self.uart, errors="replace") as f:
            return f.read()

    def is_ready(self):
        assert self.qemu.poll() is None, "qemu has ended"
        try:
            return self.get("/ready", timeout=2) == (200, b"ready\n")
        except OSError:
            return False

    def answers(self, ask):
        with contextlib.suppress(OSError):
            return ask(self)

    def connect(self, port=80, timeout=LIMIT):
        return socket.create_connection(("127.0.0.1", self.ports[port]), timeout)

    def get(self, uri, port=80, timeout=LIMIT):
        with self.connect(port, timeout) as s:
            s.sendall(f"GET {uri} HTTP/1.1\r\nHost: device\r\n\r\n".encode())
            return Reader(s).answer()

    def stats(self):
        return json.loads(self.get("/stats")[1])

    def close(self):
        self.qemu.kill()
        self.qemu.wait()
        log = self.log() if os.path.exists(self.uart) else ""
        shutil.rmtree(self.dir)
        return log


class Reader:
    def __init__(self, s):
        self.s, self.buf = s, b""

    def more(self):
        data = self.s.recv(65536)
        if not data:
            raise ConnectionError("end of stream")
        self.buf += data

    def exactly(self, n):
        while len(self.buf) < n:
            self.more()
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def until(self, mark):
        while mark not in self.buf:
            self.more()
        data, _, self.buf = self.buf.partition(mark)
        return data

    def answer(self):
        self.head = self.until(b"\r\n\r\n").decode()
        status = int(self.head.split()[1])
        length = int(re.search(r"(?im)^content-length: *(\d+)", self.head)[1])
        return status, self.exactly(length)

    def at_end(self):
        """Nothing more comes, and the end is no reset."""
        return self.buf == b"" and self.s.recv(1) == b""


def wait_for(what, condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


def same(got, wanted):
    assert got == wanted, f"got {str(got)[:300]}, wanted {str(wanted)[:300]}"


def curl(device, uri, *args, port=80, scheme="http", **more):
    """Body of the answer; curl itself checks the rest."""
    command = ["curl", "-sS", "--fail", "-m", str(LIMIT), "--resolve", f"localhost:{device.ports[port]}:127.0.0.1", *args,
               f"{scheme}://localhost:{device.ports[port]}{uri}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, **more).stdout


def pattern(n):
    return (bytes(range(ord("a"), ord("a") + 23)) * (n // 23 + 1))[:n]


# ---- what every image must do

def pages(d):
    same(curl(d, "/"), b"Hello from a Cortex-M\n")
    same(d.get("/ready"), (200, b"ready\n"))
    same(d.get("/nothing"), (404, b"Not found\n"))


def bodies(d):
    with d.connect() as s:
        r = Reader(s)
        for n in [0, 1, 2, 255, 511, 512, 513, 1024, 1460, 1461, 2920, 3000, 5000]:
            body = rng.randbytes(n)
            s.sendall(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % n + body)
            same(r.answer(), (200, body))
    body = rng.randbytes(4000)
    same(subprocess.run(["curl", "-sS", "-m", str(LIMIT), "--data-binary", "@-", f"http://127.0.0.1:{d.ports[80]}/echo"],
                        input=body, check=True, stdout=subprocess.PIPE).stdout, body)


def chunked(d):
    with d.connect() as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n")
        for part in [b"5\r\nhello\r\n", b"1\r\n,\r\n6\r\n world\r\n", b"0\r\n\r\n"]:
            s.sendall(part)
        same(Reader(s).answer(), (200, b"hello, world"))


def pipelined(d):
    bodies = [b"%d:" % i + rng.randbytes(rng.randrange(200)) for i in range(40)]
    with d.connect() as s:
        s.sendall(b"".join(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(b) + b for b in bodies))
        r = Reader(s)
        for body in bodies:
            same(r.answer(), (200, body))


def half_closed(d):
    with d.connect() as s:
        s.sendall(b"GET /bytes?n=30000 HTTP/1.1\r\nHost: d\r\n\r\n")
        s.shutdown(socket.SHUT_WR)
        r = Reader(s)
        same(r.answer(), (200, pattern(30000)))
        assert r.at_end()


def one_shot(d):
    with d.connect() as s:
        s.sendall(b"GET /last HTTP/1.1\r\nHost: d\r\n\r\n" + b"GET /last HTTP/1.1\r\nHost: d\r\n\r\n" * 20)
        r = Reader(s)
        same(r.answer(), (200, b"The end\n"))
        assert "connection: close" in r.head.lower()
        assert r.at_end()


def downloads(d):
    same(curl(d, "/bytes?n=1000000"), pattern(1000000))
    results = {}
    threads = [threading.Thread(target=lambda n=n: results.update({n: d.get(f"/bytes?n={n}")})) for n in (20001, 30002, 40003)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    same({n: body == (200, pattern(n)) for n, body in results.items()}, {20001: True, 30002: True, 40003: True})


def uploads(d):
    for n in [1, 1000, 700000]:
        body = rng.randbytes(n)
        with tempfile.NamedTemporaryFile() as f:
            f.write(body)
            f.flush()
            same(curl(d, "/sink", "-T", f.name, "-H", "Expect:"), b"%08x\n" % zlib.crc32(body))


def broken_requests(d):
    for head in [b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9.9\r\n\r\n", b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01\x02\x00"]:
        with d.connect() as s:
            s.sendall(head)
            s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(4096):
                    pass
    pages(d)


def interrupts(d):
    for _ in range(20):
        same(d.get("/interrupt"), (200, b"from an interrupt\n"))


def ws_frame(op, data, final=True):
    mask = rng.randbytes(4)
    n = len(data)
    size = bytes([0x80 | n]) if n < 126 else bytes([0xfe]) + struct.pack(">H", n)
    return bytes([(0x80 if final else 0) | op]) + size + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(data))


def ws_open(s):
    key = base64.b64encode(rng.randbytes(16)).decode()
    s.sendall(f"GET /ws HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
    r = Reader(s)
    head = r.until(b"\r\n\r\n").decode()
    assert head.startswith("HTTP/1.1 101 "), head
    accept = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    assert f"Sec-WebSocket-Accept: {accept}" in head, head
    return r


def ws_read(r):
    op, size = r.exactly(2)
    n = struct.unpack(">H", r.exactly(2))[0] if size == 126 else size
    return op, r.exactly(n)


def websockets(d):
    with d.connect() as s:
        r = ws_open(s)
        for n in [0, 1, 125, 126, 127, 512, 2000]:
            data = rng.randbytes(n)
            s.sendall(ws_frame(2, data))
            same(ws_read(r), (0x82, data))
        s.sendall(ws_frame(1, b"in ", False) + ws_frame(9, b"ping") + ws_frame(0, b"pieces"))
        same(ws_read(r), (0x8a, b"ping"))
        same(ws_read(r), (0x81, b"in pieces"))
        s.sendall(b"".join(ws_frame(1, b"message %d" % i) for i in range(50)))
        for i in range(50):
            same(ws_read(r), (0x81, b"message %d" % i))
        s.sendall(ws_frame(8, struct.pack(">H", 1000)))
        same(ws_read(r), (0x88, struct.pack(">H", 1000)))
        assert r.at_end()


def restart(d):
    """What is under way is finished, the readiness page says so, and the device comes back."""
    starts = d.stats()["starts"]
    with d.connect() as download, d.connect() as ws:
        download.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        download.sendall(b"GET /bytes?n=400000 HTTP/1.1\r\nHost: d\r\n\r\n")
        w = ws_open(ws)
        r = Reader(download)
        r.more()
        same(d.get("/restart"), (200, b"restarting\n"))
        same(d.get("/ready"), (503, b"draining\n"))
        same(r.answer(), (200, pattern(400000)))
        op, reason = ws_read(w)
        same((op, reason[:2]), (0x88, struct.pack(">H", 1001)))
        ws.sendall(ws_frame(8, reason))
        assert w.at_end()
    wait_for("the restart", d.is_ready)
    same(d.stats()["starts"], starts + 1)


def mqtt(d):
    if not shutil.which("mosquitto"):
        return "left out: mosquitto is not there"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.NamedTemporaryFile("w") as conf:
        conf.write(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        conf.flush()
        broker = subprocess.Popen(["mosquitto", "-c", conf.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            def is_up():
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    return True
            wait_for("the broker", is_up)
            same(d.get(f"/mqtt?port={port}"), (200, b"there and back\n"))
        finally:
            broker.kill()
            broker.wait()


def tls(d):
    ca = os.path.join(os.path.dirname(__file__), "..", "certs", "ca.pem")
    same(curl(d, "/", "--cacert", ca, port=443, scheme="https"), b"Hello from a Cortex-M\n")
    same(curl(d, "/bytes?n=100000", "--cacert", ca, port=443, scheme="https"), pattern(100000))
    body = rng.randbytes(3000)
    context = ssl.create_default_context(cafile=ca)
    with d.connect(443) as raw, context.wrap_socket(raw, server_hostname="localhost") as s:
        s.sendall(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        same(Reader(s).answer(), (200, body))
        print(f"    {s.version()} {s.cipher()[0]}")


def crowd(d):
    """More clients than the heap has room for: whom there is no room for is closed, and the device goes on."""
    before = d.stats()
    for _ in range(3):
        clients, answered = [], 0
        for _ in range(24):
            s = d.connect()
            with contextlib.suppress(OSError):
                # Half of a request, and a long answer that nobody reads.
                s.sendall(b"GET /bytes?n=100000 HTTP/1.1\r\nHost: d\r\n\r\n" + b"POST /echo HTTP/1.1\r\nContent-Length: 9000\r\n\r\n" + bytes(4000))
            clients.append(s)
        def some_are_answered():
            nonlocal answered
            for s in clients:
                with contextlib.suppress(OSError):
                    s.settimeout(0.01)
                    answered += s.recv(9) == b"HTTP/1.1 "
            return answered > 0
        wait_for("an answer to anybody", some_are_answered)
        for s in clients:
            s.close()
        wait_for("room", d.is_ready)
    # Connections of some who have gone are still on their way: it is quiet when everybody is served, several times.
    def serves_all():
        with contextlib.suppress(OSError):
            for _ in range(20):
                same(d.get("/", timeout=5), (200, b"Hello from a Cortex-M\n"))
                with d.connect(timeout=5) as s:
                    body = rng.randbytes(1500)
                    s.sendall(b"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 1500\r\n\r\n" + body)
                    same(Reader(s).answer(), (200, body))
            return True
    wait_for("everybody to be served", serves_all)
    pages(d)
    after = d.stats()
    print(f"    {before} -> {after}")
    assert after["oom"] > before["oom"], "nothing ran out of memory"
    same(after["starts"], 1)


ALL = [pages, bodies, chunked, pipelined, half_closed, one_shot, downloads, uploads, broken_requests, interrupts, websockets, mqtt, restart, pages]
PLAN = [("mps2-an386", "full.elf", [80], ALL), ("mps2-an500", "full.elf", [80], ALL), ("mps2-an386", "small.elf", [80], [pages, crowd])]
PLAN += [(m, "tls.elf", [80, 443], [pages, tls, restart, tls]) for m in ("mps2-an386", "mps2-an500")]



def main():
    failed = 0
    for machine, image, ports, checks in PLAN:
        device = Device(machine, image, *ports)
        try:
            for check in checks:
                try:
                    note = check(device) or "ok"
                except Exception as e:
                    failed += 1
                    note = f"FAILED: {type(e).__name__}: {e}"
                print(f"{machine} {image} {check.__name__}: {note}", flush=True)
            print(f"    {device.stats()}")
        finally:
            log = device.close()
            if failed or "libmongoose:" in log or "FAULT" in log:
                print(log[-3000:])
        for bad in ("libmongoose:", "FAULT", "abort"):
            assert bad not in log, f"the device said {bad}"
    sys.exit(f"{failed} failed" if failed else None)


if __name__ == "__main__":
    main()
