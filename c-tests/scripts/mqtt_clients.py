"""paho-mqtt clients of a broker: mqtt_clients.py HOST PORT WEBSOCKET_PORT [CA]"""

import queue
import socket
import ssl
import sys
import time

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

HOST, PORT, WS_PORT = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# With the certificate of an authority all goes over TLS.
CA = sys.argv[4] if len(sys.argv) > 4 else None
if CA:
    HOST = "localhost"
LIMIT = 30


class Client:
    """A connected client; what happens to it is in queues."""

    def __init__(self, version, transport, name, clean=True, will=None, expiry=0, keepalive=60):
        self.v5 = version == 5
        self.messages, self.acks, self.ends = queue.Queue(), queue.Queue(), queue.Queue()
        opened = queue.Queue()
        kind = paho.MQTTv5 if self.v5 else paho.MQTTv311
        more = {} if self.v5 else {"clean_session": clean}
        c = self.c = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=kind, transport=transport, **more)
        c.on_connect = lambda c, data, flags, code, props: opened.put((flags.session_present, code, props))
        c.on_message = lambda c, data, m: self.messages.put(m)
        c.on_publish = lambda c, data, mid, code, props: self.acks.put((mid, code))
        c.on_subscribe = lambda c, data, mid, codes, props: self.acks.put([code.value for code in codes])
        c.on_unsubscribe = lambda c, data, mid, codes, props: self.acks.put("unsubscribed")
        c.on_disconnect = lambda c, data, flags, code, props: self.ends.put(code)
        if will:
            c.will_set(*will)
        if CA:
            c.tls_set(ca_certs=CA)
        start = {}
        if self.v5:
            start["clean_start"] = clean
            if expiry:
                start["properties"] = Properties(PacketTypes.CONNECT)
                start["properties"].SessionExpiryInterval = expiry
        c.connect(HOST, WS_PORT if transport == "websockets" else PORT, keepalive, **start)
        c.loop_start()
        self.present, code, self.props = opened.get(timeout=LIMIT)
        assert code == 0, code

    def subscribe(self, topic, qos=1, **options):
        if options:
            self.c.subscribe(topic, options=SubscribeOptions(qos, **options))
        else:
            self.c.subscribe(topic, qos)
        return self.acks.get(timeout=LIMIT)

    def publish(self, topic, data, qos=1, retain=False, props=None):
        info = self.c.publish(topic, data, qos, retain, props)
        info.wait_for_publish(LIMIT)
        assert info.is_published()
        assert self.acks.get(timeout=LIMIT)[0] == info.mid

    def expect(self, topic, data, qos=None, retain=False):
        m = self.messages.get(timeout=LIMIT)
        assert (m.topic, m.payload) == (topic, data), (m.topic, m.payload[:50], topic, data[:50])
        assert qos is None or m.qos == qos, (m.qos, qos)
        assert m.retain == retain, m.topic
        return m

    def nothing(self):
        """After a message of its own has made the round, nothing else can be on its way."""
        mark = "mark/" + self.c._client_id.decode()
        assert self.subscribe(mark) == [1]
        self.publish(mark, b"mark")
        self.expect(mark, b"mark")

    def cut(self):
        """Leaves without a word."""
        s = self.c.socket()
        getattr(s, "_socket", s).shutdown(socket.SHUT_RDWR)
        self.c.loop_stop()

    def leave(self):
        self.c.disconnect()
        self.ends.get(timeout=LIMIT)
        self.c.loop_stop()


def scenarios(version, transport):
    tag = f"{version}{transport}"
    a = Client(version, transport, "a" + tag)
    b = Client(version, transport, "b" + tag)

    # Quality of service.
    assert b.subscribe(f"{tag}/q", 2) == [2]
    for qos in range(3):
        a.publish(f"{tag}/q", b"x%d" % qos, qos)
        b.expect(f"{tag}/q", b"x%d" % qos, qos)
    big = bytes(range(256)) * 3000
    a.publish(f"{tag}/q", big)
    b.expect(f"{tag}/q", big)
    a.publish(f"{tag}/q", b"")
    b.expect(f"{tag}/q", b"")

    # Wildcards. Overlapping subscriptions give one copy.
    assert b.subscribe(f"{tag}/w/+/x", 0) == [0]
    assert b.subscribe(f"{tag}/w/#", 1) == [1]
    for topic in ["w", "w/1", "w/1/x", "w/1/y/z"]:
        a.publish(f"{tag}/{topic}", topic.encode())
        b.expect(f"{tag}/{topic}", topic.encode(), 1)
    a.publish(f"{tag}/wx", b"no")
    b.c.unsubscribe(f"{tag}/w/#")
    assert b.acks.get(timeout=LIMIT) == "unsubscribed"
    a.publish(f"{tag}/w/2/y", b"no")
    a.publish(f"{tag}/w//x", b"yes")
    b.expect(f"{tag}/w//x", b"yes", 0)
    b.nothing()

    # Retained messages.
    a.publish(f"{tag}/r/1", b"old", 1, True)
    a.publish(f"{tag}/r/1", b"new", 1, True)
    a.publish(f"{tag}/r/2", b"gone", 1, True)
    a.publish(f"{tag}/r/2", b"", 1, True)
    b.subscribe(f"{tag}/r/+")
    b.expect(f"{tag}/r/1", b"new", 1, True)
    a.publish(f"{tag}/r/1", b"newer", 0, True)
    b.expect(f"{tag}/r/1", b"newer", 0)
    b.nothing()

    # A will comes when the connection breaks, and does not after DISCONNECT.
    b.subscribe(f"{tag}/will/#")
    Client(version, transport, "w1" + tag, will=(f"{tag}/will/1", b"broken", 1)).cut()
    b.expect(f"{tag}/will/1", b"broken", 1)
    Client(version, transport, "w2" + tag, will=(f"{tag}/will/2", b"broken")).leave()
    b.nothing()

    # The same client id from elsewhere.
    one = Client(version, transport, "same" + tag, will=(f"{tag}/will/3", b"taken", 1))
    one.c.reconnect_delay_set(600, 600)
    two = Client(version, transport, "same" + tag)
    one.ends.get(timeout=LIMIT)
    one.c.loop_stop()
    b.expect(f"{tag}/will/3", b"taken", 1)
    two.nothing()
    two.leave()

    # A session that outlives its connection.
    away = Client(version, transport, "away" + tag, clean=False, expiry=1000)
    assert not away.present
    away.subscribe(f"{tag}/s")
    away.leave()
    for i in range(50):
        a.publish(f"{tag}/s", b"%d" % i)
    a.publish(f"{tag}/s", b"only for those who are there", 0)
    away = Client(version, transport, "away" + tag, clean=False, expiry=1000)
    assert away.present
    for i in range(50):
        away.expect(f"{tag}/s", b"%d" % i, 1)
    away.leave()
    away = Client(version, transport, "away" + tag)
    assert not away.present
    a.publish(f"{tag}/s", b"nobody")
    away.nothing()
    away.leave()

    # A topic for the broker's own use is not for wildcards.
    b.subscribe("#", 0)
    a.publish(f"{tag}/after", b"all that was retained")
    while b.messages.get(timeout=LIMIT).topic != f"{tag}/after":
        pass
    a.publish("$own/x", b"no")
    b.nothing()

    if version == 5:
        props = Properties(PacketTypes.PUBLISH)
        props.ContentType, props.PayloadFormatIndicator, props.MessageExpiryInterval = "text/plain", 1, 100
        props.ResponseTopic, props.CorrelationData = "answer", b"\0\1"
        props.UserProperty = [("a", "1"), ("a", "2")]
        b.c.unsubscribe("#")
        b.acks.get(timeout=LIMIT)
        b.subscribe(f"{tag}/p")
        for data in [b"", b"1", b"22", b"with"]:
            a.publish(f"{tag}/p", data, 1, False, props)
            p = b.expect(f"{tag}/p", data, 1).properties
            assert (p.ContentType, p.PayloadFormatIndicator, p.MessageExpiryInterval) == ("text/plain", 1, 100)
            assert (p.ResponseTopic, p.CorrelationData, p.UserProperty) == ("answer", b"\0\1", [("a", "1"), ("a", "2")])
            a.publish(f"{tag}/p", data)
            b.expect(f"{tag}/p", data, 1)
        assert a.subscribe(f"{tag}/own", 1, noLocal=True) == [1]
        a.publish(f"{tag}/own", b"mine")
        b.publish(f"{tag}/own", b"yours")
        a.expect(f"{tag}/own", b"yours")
        nameless = Client(5, transport, "")
        assert len(nameless.props.AssignedClientIdentifier) == 19
        nameless.leave()
    a.leave()
    b.leave()


def connection():
    s = socket.create_connection((HOST, PORT), LIMIT)
    return ssl.create_default_context(cafile=CA).wrap_socket(s, server_hostname=HOST) if CA else s


def keepalive():
    """Pings keep a connection open; silence ends it, with the will."""
    watcher = Client(4, "tcp", "watcher")
    watcher.subscribe("silent/will")
    quick = Client(4, "tcp", "quick", keepalive=1)
    s = connection()
    s.sendall(b"\x10\x26\0\x04MQTT\x04\x06\0\x01\0\x06silent\0\x0bsilent/will\0\x05quiet")
    assert b"".join(s.recv(1) for _ in range(4)) == b"\x20\x02\0\0"
    start = time.monotonic()
    watcher.expect("silent/will", b"quiet")
    assert s.recv(100) == b""
    assert time.monotonic() - start > 1.4
    time.sleep(2)
    assert quick.ends.empty()
    quick.leave()
    watcher.leave()


def raw(*parts):
    """What comes back after each part, until the end."""
    with connection() as s:
        got = b""
        for i, data in enumerate(parts):
            s.sendall(data)
            while part := s.recv(100):
                got += part
                if i + 1 < len(parts):
                    break
        return got


def refusals():
    connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\0\0\x01r"
    accepted = b"\x20\x02\0\0"
    assert raw(b"\x10\x0e\0\x06MQIsdp\x03\x02\0\0\0\0") == b"\x20\x02\0\x01"
    assert raw(b"\xc0\0") == b""  # no login
    assert raw(connect[:9] + b"\x03" + connect[10:]) == b""  # a reserved bit
    for packet in [
        connect,
        b"\x36\x05\0\x01t\0\x01",  # QoS 3
        b"\x82\x06\0\x01\0\x02a/",  # cut
        b"\x82\x07\0\x01\0\x02a#\0",  # no filter
        b"\x30\x03\0\x01+",  # no topic
    ]:
        assert raw(connect, packet) == accepted, packet
    # A QoS 2 message that comes again before it is released is delivered once.
    again = b"\x34\x05\0\x01d\0\x07\x3c\x05\0\x01d\0\x07\x62\x02\0\x07\x34\x05\0\x01d\0\x07"
    watcher = Client(4, "tcp", "again")
    watcher.subscribe("d", 0)
    assert raw(connect, again + b"\xe0\0") == accepted + b"\x50\x02\0\x07\x50\x02\0\x07\x70\x02\0\x07\x50\x02\0\x07"
    watcher.expect("d", b"")
    watcher.expect("d", b"")
    watcher.nothing()
    watcher.leave()
    # Above 4 MiB of answers to somebody who does not read them.
    with connection() as s:
        s.sendall(connect)
        try:
            while True:
                s.sendall(b"\xc0\0" * 100000)
        except OSError:
            pass


keepalive()
refusals()
for version in (4, 5):
    for transport in ("tcp", "websockets"):
        scenarios(version, transport)
