"""MQTT over a plain socket, for tests that look at single packets."""

import queue
import socket
import struct
import threading

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

LIMIT = 30
CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = range(1, 8)
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(8, 15)


def text(s):
    s = s if isinstance(s, bytes) else s.encode()
    return struct.pack("!H", len(s)) + s


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def pack(kind, values):
    """Properties by the names that paho gives them."""
    p = Properties(kind)
    for name, value in (values or {}).items():
        for v in value if isinstance(value, list) and name == "SubscriptionIdentifier" else [value]:
            setattr(p, name, v)
    return p.pack()


class Packet:
    def __init__(self, first, body, v5):
        self.kind, self.flags, self.body = first >> 4, first & 15, body
        self.id, self.code, self.codes, self.props = None, 0, [], None
        rest = body
        if self.kind == PUBLISH:
            n = struct.unpack("!H", body[:2])[0]
            self.topic, rest = body[2 : 2 + n].decode(), body[2 + n :]
            self.qos, self.retain, self.dup = self.flags >> 1 & 3, self.flags & 1, self.flags >> 3
            if self.qos:
                self.id, rest = struct.unpack("!H", rest[:2])[0], rest[2:]
            if v5:
                rest = self.take_props(PacketTypes.PUBLISH, rest)
            self.data = rest
        elif self.kind == CONNACK:
            self.present, self.code = body[0], body[1]
            if v5:
                self.take_props(PacketTypes.CONNACK, body[2:])
        elif self.kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
            self.id = struct.unpack("!H", body[:2])[0]
            self.code = body[2] if len(body) > 2 else 0
        elif self.kind in (SUBACK, UNSUBACK):
            self.id = struct.unpack("!H", body[:2])[0]
            rest = body[2:]
            if v5:
                rest = self.take_props(PacketTypes.SUBACK, rest)
            self.codes = list(rest)
        elif self.kind == DISCONNECT:
            self.code = body[0] if body else 0

    def take_props(self, kind, data):
        self.props = Properties(kind)
        n = self.props.unpack(data)[1]
        return data[n:]

    def prop(self, name, otherwise=None):
        return getattr(self.props, name, otherwise)


class Peer:
    """A connection. Packets come in a queue, None at the end; `answers`: what QoS demands is answered."""

    def __init__(self, host, port, version=5, id="", clean=True, keepalive=60, props=None, will=None, answers=True, expect=0):
        self.v5, self.answers, self.name, self.next_id = version == 5, answers, id, 0
        self.sock = socket.create_connection((host, port), LIMIT)
        self.sock.settimeout(LIMIT)
        self.packets = queue.Queue()
        flags = 2 if clean else 0
        tail = b""
        if will:
            topic, data, qos, retain, will_props = will
            flags |= 4 | qos << 3 | retain << 5
            tail = (pack(PacketTypes.WILLMESSAGE, will_props) if self.v5 else b"") + text(topic) + text(data)
        body = text("MQTT") + bytes([version, flags]) + struct.pack("!H", keepalive)
        body += (pack(PacketTypes.CONNECT, props) if self.v5 else b"") + text(id) + tail
        self.send(CONNECT, 0, body)
        threading.Thread(target=self.read, daemon=True).start()
        self.connack = self.get(CONNACK)
        assert self.connack.code == expect, self.connack.code

    def send(self, kind, flags, body=b""):
        self.sock.sendall(bytes([kind << 4 | flags]) + varint(len(body)) + body)

    def new_id(self):
        self.next_id = self.next_id % 65535 + 1
        return self.next_id

    def read(self):
        try:
            f = self.sock.makefile("rb")
            while first := f.read(1):
                n, shift, b = 0, 0, 128
                while b & 128:
                    b = f.read(1)[0]
                    n |= (b & 127) << shift
                    shift += 7
                body = f.read(n)
                if len(body) < n:
                    break
                p = Packet(first[0], body, self.v5)
                p.size = 1 + len(varint(n)) + n
                self.packets.put(p)
                if self.answers:
                    self.answer(p)
        except (OSError, IndexError, ValueError):
            pass
        self.packets.put(None)

    def answer(self, p):
        if p.kind == PUBLISH and p.qos:
            self.send(PUBACK if p.qos == 1 else PUBREC, 0, struct.pack("!H", p.id))
        elif p.kind == PUBREC and p.code < 128:
            self.send(PUBREL, 2, struct.pack("!H", p.id))
        elif p.kind == PUBREL:
            self.send(PUBCOMP, 0, struct.pack("!H", p.id))

    def get(self, kind, timeout=LIMIT):
        """The next packet, which must be of that kind; what only answers a PUBLISH of the other side is passed over."""
        while True:
            p = self.packets.get(timeout=timeout)
            got = p.kind if p else None
            if got == kind:
                return p
            assert got in (PUBREL, PINGRESP) or got in (PUBREC, PUBACK, PUBCOMP) and kind == PUBLISH, (got, kind, p and p.body)

    def message(self, topic, data, qos=None, **more):
        p = self.get(PUBLISH)
        assert (p.topic, p.data) == (topic, data if isinstance(data, bytes) else data.encode()), (p.topic, p.data, topic, data)
        assert qos is None or p.qos == qos, (p.qos, qos)
        for name, value in more.items():
            assert getattr(p, name) == value, (name, getattr(p, name), value)
        return p

    def publish(self, topic, data="", qos=0, retain=False, props=None, wait=True, id=None, dup=0):
        id = id or (self.new_id() if qos else None)
        body = text(topic) + (struct.pack("!H", id) if qos else b"")
        body += (pack(PacketTypes.PUBLISH, props) if self.v5 else b"") + (data if isinstance(data, bytes) else data.encode())
        self.send(PUBLISH, dup << 3 | qos << 1 | retain, body)
        if qos and wait:
            kept = []
            while True:
                p = self.packets.get(timeout=LIMIT)
                assert p, "the connection has ended"
                if p.kind in (PUBACK, PUBCOMP) and p.id == id:
                    break
                if p.kind == PUBLISH:
                    kept.append(p)
            for p in reversed(kept):
                self.packets.queue.appendleft(p)
        return id

    def subscribe(self, *topics, props=None):
        body = struct.pack("!H", self.new_id()) + (pack(PacketTypes.SUBSCRIBE, props) if self.v5 else b"")
        for topic, options in topics:
            body += text(topic) + bytes([options])
        self.send(SUBSCRIBE, 2, body)
        return self.get(SUBACK).codes

    def unsubscribe(self, topic):
        self.send(UNSUBSCRIBE, 2, struct.pack("!H", self.new_id()) + (b"\0" if self.v5 else b"") + text(topic))
        return self.get(UNSUBACK).codes

    def nothing(self):
        """Behind the answer to a ping nothing can be on its way that was sent before it."""
        self.send(PINGREQ, 0)
        while (p := self.packets.get(timeout=LIMIT)).kind != PINGRESP:
            assert p.kind != PUBLISH, (p.topic, p.data)

    def leave(self, code=0, props=None):
        self.send(DISCONNECT, 0, (bytes([code]) + pack(PacketTypes.DISCONNECT, props)) if self.v5 else b"")
        self.ended()

    def cut(self):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()

    def ended(self, code=None):
        """The broker hangs up, version 5 with this code."""
        last = None
        while p := self.packets.get(timeout=LIMIT):
            last = p
        if code is not None:
            assert last and last.kind == DISCONNECT and last.code == code, (last and last.kind, last and last.code, code)
        self.sock.close()
