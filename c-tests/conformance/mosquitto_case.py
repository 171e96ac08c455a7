"""Runs one of mosquitto's tests, from its directory, against another broker: mosquitto_case.py BROKER SCRATCH TEST PORT..."""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

broker, scratch, test, *ports = sys.argv[1:]
sys.path[:0] = [".", ".."]

import mosq_test  # noqa: E402

# Settings without effect here: mqtt-server accepts all clients, and logs little.
IGNORED = {"allow_anonymous": "true", "log_type": None, "per_listener_settings": None, "persistence": "true", "autosave_interval": None}
started = []


def options(conf):
    """Converts mosquitto's settings to arguments of mqtt-server."""
    args, urls = [], []
    for line in pathlib.Path(conf).read_text().splitlines():
        name, _, value = line.strip().partition(" ")
        if not name or name.startswith("#"):
            continue
        if name in ("port", "listener"):
            urls.append(f"mqtt://127.0.0.1:{value.split()[0]}")
        elif name == "persistence_file":
            args += ["-d", value]  # the tests remove it
        elif name not in IGNORED or IGNORED[name] not in (None, value):
            print(f"NEEDS {name}", flush=True)
            sys.exit(3)
    return args + [a for u in urls for a in ("-l", u)]


class Popen(subprocess.Popen):
    """Runs a test's helpers the same way as the test."""

    def __init__(self, args, **more):
        if args[0].startswith("./"):
            args = [sys.executable, __file__, broker, scratch, args[0][2:].removesuffix(".py"), *args[1:]]
        super().__init__(args, **more)


def start_broker(filename, cmd=None, port=0, use_conf=False, expect_fail=False):
    conf = filename.replace(".py", ".conf") if use_conf or cmd is None and port == 0 else None
    if cmd is not None and "-c" in cmd:
        conf = cmd[cmd.index("-c") + 1]
    args = options(conf) if conf else ["-l", f"mqtt://127.0.0.1:{port}"]
    p = subprocess.Popen([broker, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    started.append(p)
    for _ in range(200):
        try:
            socket.create_connection(("localhost", port)).close()
            return p
        except ConnectionRefusedError:
            if p.poll() is not None:
                break
            time.sleep(0.05)
    if expect_fail:
        return None
    raise OSError("the broker does not start")


def whole(sock):
    """A packet: its first byte, and the bytes after the length."""
    head = exactly(sock, 1)
    length = shift = 0
    while True:
        b = exactly(sock, 1)[0]
        length |= (b & 127) << shift
        shift += 7
        if b < 128:
            return head, exactly(sock, length)


def exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            raise mosq_test.TestError
        data += piece
    return data


WIDTH = {0x11: 4, 0x13: 2, 0x21: 2, 0x22: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1}
# Properties that a broker chooses for itself: values other than mosquitto's are not faults.
OWN_CHOICE = {0x13, 0x21, 0x22, 0x24, 0x25, 0x27, 0x28, 0x29, 0x2A}


def properties(data):
    """{id: bytes} of a CONNACK's properties."""
    found, i, length, shift = {}, 0, 0, 0
    while True:
        b = data[i]
        i, length, shift = i + 1, length | (b & 127) << shift, shift + 7
        if b < 128:
            break
    while i < len(data):
        id = data[i]
        n = WIDTH.get(id)
        if n is None:  # strings; a user property has two
            n = 0
            for _ in range(2 if id == 0x26 else 1):
                n += 2 + int.from_bytes(data[i + 1 + n:i + 3 + n], "big")
        found[id] = data[i + 1:i + 1 + n]
        i += 1 + n
    return found


def packets(data):
    """Splits bytes into packets: (first byte, bytes after the length)."""
    list_, i = [], 0
    while i < len(data):
        start, length, shift = i, 0, 0
        i += 1
        while True:
            b = data[i]
            i, length, shift = i + 1, length | (b & 127) << shift, shift + 7
            if b < 128:
                break
        list_.append((data[start:start + 1], data[i:i + length]))
        i += length
    return list_


NO_SUBSCRIBERS = 0x10  # a broker may send this instead of 0


def same(got, want):
    """True if two packets are equivalent: the broker may choose between several forms."""
    (head, a), (head2, b) = got, want
    if head != head2:
        return False
    if a == b:
        return True
    kind = head[0] >> 4
    if kind == 2 and len(b) > 2 and len(a) > 2:
        p, q = ({k: v for k, v in properties(x[2:]).items() if k not in OWN_CHOICE} for x in (a, b))
        return a[:2] == b[:2] and p == q
    if kind in (4, 5, 6, 7):  # reason 0 and empty properties are optional
        r, t = ((x + b"\0\0")[:4] for x in (a, b))
        reasons = {0, NO_SUBSCRIBERS}
        return len(a) <= 4 and len(b) <= 4 and r[:2] == t[:2] and (r[2] == t[2] or {r[2], t[2]} <= reasons)
    return False


def fail(name, got, want):
    print(f"FAIL: {name}: received {[(h + b).hex() for h, b in got]}, expected {[(h + b).hex() for h, b in want]}")
    raise mosq_test.TestError


def expect_packet(sock, name, expected):
    if not expected:
        return expect_end(sock, name)
    want = packets(expected)
    got = []
    for w in want:
        got.append(whole(sock))
        if not same(got[-1], w):
            fail(name, got, want)
    return True


def expect_end(sock, name):
    """The broker must close the connection; it may send the reason first."""
    try:
        head, body = whole(sock)
    except mosq_test.TestError:
        return True
    refusal = head[0] == 0x20 and body[1] != 0 or head[0] == 0xE0 and body[:1] >= b"\x80"
    if not refusal:
        fail(name, [(head, body)], [])
    if sock.recv(1):
        fail(name, [(head, body)], [])
    return True


def receive_unordered(sock, first, second, error_string):
    want = packets(first) + packets(second)
    got = [whole(sock) for _ in want]
    if not all(any(same(g, w) for g in got) for w in want):
        fail(error_string, got, want)


mosq_test.expect_packet = expect_packet
mosq_test.receive_unordered = receive_unordered
mosq_test.start_broker = start_broker
subprocess.Popen = Popen
sys.argv = [f"{test}.py", *ports]
signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
path = pathlib.Path(f"{test}.py")
# mqtt-server supports versions 3.1.1 and 5.
source = re.sub(r"(?m)^( *)(do_test|do_send)\((proto_ver=)?3\b.*\)$", r"\1pass", path.read_text())
try:
    exec(compile(source, str(path), "exec"), {"__name__": "__main__", "__file__": str(path)})
finally:
    for p in started:
        p.kill()
