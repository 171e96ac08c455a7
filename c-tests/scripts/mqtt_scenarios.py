"""What a broker must do, packet by packet: mqtt_scenarios.py HOST PORT [NAME...]. The broker denies subscriptions to `denied`.

The scenarios are those by which interoperability of brokers is commonly tested. Each has topics of its own, so all run at once.
"""

import struct
import sys
import threading
import time
import traceback

from mqtt_raw import CONNACK, DISCONNECT, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, Peer, text

HOST, PORT = sys.argv[1], int(sys.argv[2])
SCENARIOS = []


def scenario(*versions):
    def register(fn):
        SCENARIOS.extend((f"{fn.__name__}_{v}", fn, v) for v in versions)
        return fn

    return register


def peer(version, id="", **more):
    return Peer(HOST, PORT, 5 if version == 5 else 4, id, **more)


@scenario(4, 5)
def basic(v, t):
    a = peer(v, t)
    assert a.subscribe((f"{t}/x", 2)) == [2]
    for qos in range(3):
        a.publish(f"{t}/x", f"{qos}", qos)
        a.message(f"{t}/x", f"{qos}", qos, retain=0, dup=0)
    a.leave()
    b = peer(v, t)
    b.send(1, 0, b"\0\x04MQTT\x04\x02\0\0\0\x01x")  # a second login
    b.ended(0x82 if v == 5 else None)


@scenario(4, 5)
def retained(v, t):
    a = peer(v, t)
    for i, topic in enumerate(["a", "a/b", "/a"]):
        a.publish(f"{t}{topic}", f"qos {i}", i, True, {"UserProperty": ("k", "v")} if v == 5 else None)
    a.subscribe((f"{t}a", 2), (f"{t}a/+", 2), (f"{t}/#", 2))
    for i, topic in enumerate(["a", "a/b", "/a"]):
        p = a.message(f"{t}{topic}", f"qos {i}", i, retain=1)
        assert v == 4 or p.prop("UserProperty") == [("k", "v")]
    for i, topic in enumerate(["a", "a/b", "/a"]):
        a.publish(f"{t}{topic}", "", i, True)
        a.message(f"{t}{topic}", "", retain=0)
    a.subscribe((f"{t}a", 2), (f"{t}a/+", 2), (f"{t}/#", 2))
    a.nothing()


@scenario(4, 5)
def will(v, t):
    b = peer(v, t + "b")
    b.subscribe((f"{t}/will", 2))
    peer(v, t, will=(f"{t}/will", "gone", 2, 0, {"ContentType": "x", "UserProperty": ("k", "v")})).cut()
    p = b.message(f"{t}/will", "gone", 2)
    assert v == 4 or (p.prop("ContentType"), p.prop("UserProperty")) == ("x", [("k", "v")])
    peer(v, t, will=(f"{t}/will", "gone", 2, 0, None)).leave()
    if v == 5:
        peer(v, t, will=(f"{t}/will", "on demand", 0, 0, None)).leave(4)
        b.message(f"{t}/will", "on demand")
    b.nothing()


@scenario(4, 5)
def empty_client_id(v, t):
    peer(v, "", clean=True).leave()
    if v == 4:
        peer(v, "", clean=False, expect=2).ended()
    else:
        ids = {peer(v, "", clean=clean).connack.prop("AssignedClientIdentifier") for clean in (True, False)}
        assert len(ids) == 2 and all(ids)
        assert peer(v, t).connack.prop("AssignedClientIdentifier") is None


@scenario(4, 5)
def offline_queue(v, t):
    forever = {"SessionExpiryInterval": 99999} if v == 5 else None
    a = peer(v, t, clean=False, props=forever)
    assert not a.connack.present
    a.subscribe((f"{t}/#", 2))
    a.leave()
    b = peer(v, t + "b")
    for qos in range(3):
        b.publish(f"{t}/{qos}", f"{qos}", qos)
    a = peer(v, t, clean=False, props=forever)
    assert a.connack.present
    a.message(f"{t}/1", "1", 1)
    a.message(f"{t}/2", "2", 2)
    a.nothing()
    a.leave()
    a = peer(v, t, clean=True, props=forever)
    assert not a.connack.present
    b.publish(f"{t}/1", "1", 1)
    a.nothing()


@scenario(4, 5)
def overlapping(v, t):
    a = peer(v, t)
    a.subscribe((f"{t}/+/c", 1), (f"{t}/#", 2))
    a.publish(f"{t}/b/c", "once", 2)
    a.message(f"{t}/b/c", "once", 2)
    a.nothing()


@scenario(4, 5)
def keepalive(v, t):
    b = peer(v, t + "b")
    b.subscribe((f"{t}/will", 2))
    a = peer(v, t, keepalive=1, will=(f"{t}/will", "silent", 1, 0, None))
    start = time.monotonic()
    b.message(f"{t}/will", "silent", 1)
    assert 1.4 < time.monotonic() - start < 3.5
    a.ended(0x8D if v == 5 else None)


@scenario(4, 5)
def redelivery(v, t):
    """What was not acknowledged comes again, with its old id; what was taken is only released again."""
    forever = {"SessionExpiryInterval": 99999} if v == 5 else None
    a = peer(v, t, clean=False, props=forever, answers=False)
    a.subscribe((f"{t}/x", 2))
    b = peer(v, t + "b")
    for i, qos in enumerate((1, 2, 2, 1)):
        b.publish(f"{t}/x", f"{i}", qos)
    ids = [a.message(f"{t}/x", f"{i}", dup=0).id for i in range(4)]
    assert len(set(ids)) == 4
    a.send(PUBREC, 0, struct.pack("!H", ids[1]))
    assert a.packets.get(timeout=30).id == ids[1]
    a.send(PUBACK, 0, struct.pack("!H", ids[3]))
    a.nothing()
    a.cut()
    for _ in range(2):
        a = peer(v, t, clean=False, props=forever, answers=False)
        got = [a.packets.get(timeout=30) for _ in range(3)]
        assert [p.kind for p in got] == [PUBLISH, PUBREL, PUBLISH], [p.kind for p in got]
        assert [p.id for p in got] == ids[:3] and got[0].dup and got[2].dup
        a.cut()
    a = peer(v, t, clean=False, props=forever)
    a.message(f"{t}/x", "0", 1, id=ids[0])
    a.message(f"{t}/x", "2", 2, id=ids[2])
    a.nothing()
    a.leave()
    a = peer(v, t, clean=False, props=forever)
    a.nothing()


@scenario(4, 5)
def exactly_once_in(v, t):
    """A publisher that loses its connection in the middle of QoS 2."""
    forever = {"SessionExpiryInterval": 99999} if v == 5 else None
    b = peer(v, t + "b")
    b.subscribe((f"{t}/x", 0))
    a = peer(v, t, clean=False, props=forever, answers=False)
    a.publish(f"{t}/x", "once", 2, id=7, wait=False)
    a.get(PUBREC)
    a.cut()
    a = peer(v, t, clean=False, props=forever, answers=False)
    a.publish(f"{t}/x", "once", 2, id=7, dup=1, wait=False)
    assert a.get(PUBREC).id == 7
    a.send(PUBREL, 2, b"\0\x07")
    assert a.get(PUBCOMP).id == 7
    a.publish(f"{t}/x", "anew", 2, id=7, wait=False)
    a.get(PUBREC)
    b.message(f"{t}/x", "once")
    b.message(f"{t}/x", "anew")
    b.nothing()


@scenario(4, 5)
def denied(v, t):
    assert peer(v, t).subscribe(("denied", 2), (t, 1)) == [0x87 if v == 5 else 0x80, 1]


@scenario(4, 5)
def dollar_topics(v, t):
    a = peer(v, t)
    a.subscribe(("+/" + t, 2), (f"$x/{t}", 2))
    a.publish(f"$x/{t}", "own", 1)
    a.message(f"$x/{t}", "own")
    a.nothing()


@scenario(4, 5)
def unsubscribing(v, t):
    a = peer(v, t)
    a.subscribe((f"{t}/a", 2), (f"{t}/b", 2))
    assert a.unsubscribe(f"{t}/a") == ([0] if v == 5 else [])
    assert a.unsubscribe(f"{t}/c") == ([0x11] if v == 5 else [])
    a.publish(f"{t}/a", "no", 1)
    a.publish(f"{t}/b", "yes", 1)
    a.message(f"{t}/b", "yes")
    a.nothing()


@scenario(4, 5)
def window(v, t):
    """So many messages are on their way at once, and no more before one has arrived."""
    most = 2 if v == 5 else 20
    a = peer(v, t, answers=False, props={"ReceiveMaximum": most} if v == 5 else None)
    a.subscribe((f"{t}/x", 2))
    b = peer(v, t + "b")
    for i in range(30):
        b.publish(f"{t}/x", f"{i}", 1 + i % 2)
    waiting = [a.message(f"{t}/x", f"{i}") for i in range(most)]
    a.nothing()
    for i in range(most, 30):
        p = waiting.pop(0)
        a.send(PUBACK if p.qos == 1 else PUBREC, 0, struct.pack("!H", p.id))
        if p.qos == 2:
            assert a.packets.get(timeout=30).kind == PUBREL
            a.nothing()
            a.send(PUBCOMP, 0, struct.pack("!H", p.id))
        waiting.append(a.message(f"{t}/x", f"{i}"))
        a.nothing()


# ---- version 5


@scenario(5)
def session_expiry(v, t):
    def comes_back(pause, leave=None, **props):
        a = peer(v, t, clean=True, props=props)
        a.subscribe((t, 1))
        a.leave(props=leave) if leave is not False else a.cut()
        time.sleep(pause)
        a = peer(v, t, clean=False)
        present = a.connack.present
        a.leave()
        return present

    assert not comes_back(0)
    assert comes_back(0, SessionExpiryInterval=1)
    assert not comes_back(1.8, SessionExpiryInterval=1)
    assert not comes_back(1.8, False, SessionExpiryInterval=1)
    assert comes_back(1.8, SessionExpiryInterval=0xFFFFFFFF)
    assert comes_back(1.8, {"SessionExpiryInterval": 60}, SessionExpiryInterval=1)
    assert not comes_back(0, {"SessionExpiryInterval": 0}, SessionExpiryInterval=60)
    a = peer(v, t)
    a.send(DISCONNECT, 0, b"\0\x05\x11\0\0\0\x05")  # what was none cannot become one
    a.ended(0x82)


@scenario(5)
def will_delay(v, t):
    b = peer(v, t + "b")
    b.subscribe((f"{t}/will", 2))
    will = (f"{t}/will", "late", 1, 0, {"WillDelayInterval": 2})
    start = time.monotonic()
    peer(v, t, props={"SessionExpiryInterval": 60}, will=will).cut()
    p = b.message(f"{t}/will", "late")
    assert 1.9 < time.monotonic() - start < 4 and p.prop("WillDelayInterval") is None
    # Not when the client is back in time, nor when it takes the place of its own connection.
    peer(v, t, props={"SessionExpiryInterval": 60}, will=will).cut()
    a = peer(v, t, clean=False, props={"SessionExpiryInterval": 60}, will=will)
    c = peer(v, t, clean=False, props={"SessionExpiryInterval": 60})
    a.ended(0x8E)
    # At the end of the session at the latest.
    start = time.monotonic()
    peer(v, t + "c", props={"SessionExpiryInterval": 1}, will=(f"{t}/will", "end", 1, 0, {"WillDelayInterval": 60})).cut()
    b.message(f"{t}/will", "end")
    assert 0.9 < time.monotonic() - start < 3
    # A new beginning is the end of the old session.
    peer(v, t + "d", props={"SessionExpiryInterval": 60}, will=(f"{t}/will", "anew", 1, 0, {"WillDelayInterval": 60})).cut()
    peer(v, t + "d", clean=True)
    b.message(f"{t}/will", "anew")
    b.nothing()
    c.nothing()


@scenario(5)
def message_expiry(v, t):
    a = peer(v, t, clean=False, props={"SessionExpiryInterval": 60})
    a.subscribe((f"{t}/x", 2))
    a.leave()
    b = peer(v, t + "b")
    for i, seconds in enumerate((1, 60, None, 1)):
        b.publish(f"{t}/x", f"{i}", 1 + i % 2, props={"MessageExpiryInterval": seconds} if seconds else None)
    b.publish(f"{t}/kept", "short", 1, True, {"MessageExpiryInterval": 1})
    time.sleep(1.5)
    a = peer(v, t, clean=False)
    p = a.message(f"{t}/x", "1", 2)
    assert p.prop("MessageExpiryInterval") in (58, 59), p.prop("MessageExpiryInterval")
    assert a.message(f"{t}/x", "2", 1).prop("MessageExpiryInterval") is None
    a.subscribe((f"{t}/kept", 2))
    a.nothing()


@scenario(5)
def user_properties(v, t):
    a = peer(v, t)
    a.subscribe((t, 2))
    props = {
        "UserProperty": [("a", "2"), ("c", "3"), ("a", "1")],
        "PayloadFormatIndicator": 1,
        "ContentType": "My name",
        "ResponseTopic": "answers",
        "CorrelationData": b"\0334",
    }
    for qos in range(3):
        a.publish(t, "x", qos, props=props)
        p = a.message(t, "x", qos)
        assert {name: p.prop(name) for name in props} == props


@scenario(5)
def subscription_options(v, t):
    a, b = peer(v, t), peer(v, t + "b")
    assert a.subscribe((f"{t}/own", 2 | 4)) == [2]
    a.publish(f"{t}/own", "mine", 1)
    b.publish(f"{t}/own", "yours", 1)
    a.message(f"{t}/own", "yours")
    # Retain as published.
    a.subscribe((f"{t}/as", 2 | 8), (f"{t}/not", 2))
    for topic, flag in (("as", 1), ("not", 0)):
        b.publish(f"{t}/{topic}", "r", 1, True)
        a.message(f"{t}/{topic}", "r", retain=flag)
        b.publish(f"{t}/{topic}", "n", 1)
        a.message(f"{t}/{topic}", "n", retain=0)
    # Retain handling: always, only for new subscriptions, never.
    a.subscribe((f"{t}/as", 2))
    a.message(f"{t}/as", "r", retain=1)
    a.subscribe((f"{t}/as", 2 | 0x10))
    a.nothing()
    c = peer(v, t + "c")
    c.subscribe((f"{t}/as", 2 | 0x10))
    c.message(f"{t}/as", "r", retain=1)
    c.unsubscribe(f"{t}/as")
    c.subscribe((f"{t}/as", 2 | 0x20))
    c.nothing()
    for options in (3, 0x30, 0x40):
        bad = peer(v)
        bad.send(8, 2, b"\0\x01\0" + text(t) + bytes([options]))
        bad.ended(0x82)


@scenario(5)
def subscription_ids(v, t):
    a = peer(v, t)
    a.subscribe((f"{t}/a", 2), props={"SubscriptionIdentifier": 456789})
    a.subscribe((f"{t}/+", 1), props={"SubscriptionIdentifier": 7})
    a.subscribe((f"{t}/#", 0))
    for qos in range(3):
        a.publish(f"{t}/a", "both", qos)
        p = a.message(f"{t}/a", "both", qos)
        assert sorted(p.prop("SubscriptionIdentifier")) == [7, 456789]
    a.publish(f"{t}/b", "one", 1)
    assert a.message(f"{t}/b", "one").prop("SubscriptionIdentifier") == [7]
    a.publish(f"{t}/b/c", "none", 1)
    assert a.message(f"{t}/b/c", "none").prop("SubscriptionIdentifier") is None
    a.publish(f"{t}/a", "kept", 1, True)
    a.message(f"{t}/a", "kept")
    a.subscribe((f"{t}/a", 2), props={"SubscriptionIdentifier": 8})
    assert a.message(f"{t}/a", "kept", retain=1).prop("SubscriptionIdentifier") == [8]
    bad = peer(v)
    bad.send(8, 2, b"\0\x01\x02\x0b\0" + text(t) + b"\0")  # no id may be 0
    bad.ended(0x82)
    bad = peer(v)
    bad.send(PUBLISH, 0, text(t) + b"\x02\x0b\x01")  # nor come from a client
    bad.ended(0x82)


@scenario(5)
def client_aliases(v, t):
    a = peer(v, t)
    most = a.connack.prop("TopicAliasMaximum")
    assert most > 0
    a.subscribe((f"{t}/#", 2))
    for alias in (1, most):
        a.publish(f"{t}/{alias}", "first", 1, props={"TopicAlias": alias})
        p = a.message(f"{t}/{alias}", "first")
        assert p.prop("TopicAlias") is None
    a.publish("", "again", 2, props={"TopicAlias": 1})
    a.message(f"{t}/1", "again", 2)
    a.publish(f"{t}/other", "moved", 0, props={"TopicAlias": 1})
    a.publish("", "there", 0, props={"TopicAlias": 1})
    a.message(f"{t}/other", "moved")
    a.message(f"{t}/other", "there")
    a.leave()
    for alias, code in ((0, 0x94), (most + 1, 0x94), (1, 0x82)):
        # The last was set by another connection.
        bad = peer(v, t)
        bad.send(PUBLISH, 0, text("" if code == 0x82 else t) + b"\x03\x23" + struct.pack("!H", alias))
        bad.ended(code)


@scenario(5)
def broker_aliases(v, t):
    a = peer(v, t, props={"TopicAliasMaximum": 1})
    a.subscribe((f"{t}/#", 2))
    b = peer(v, t + "b")
    for qos in range(3):
        b.publish(f"{t}/a", f"{qos}", qos)
        p = a.message(f"{t}/a" if qos == 0 else "", f"{qos}", qos)
        assert p.prop("TopicAlias") == 1
    b.publish(f"{t}/b", "no alias is left", 1)
    assert a.message(f"{t}/b", "no alias is left").prop("TopicAlias") is None
    a.leave()
    a = peer(v, t)
    a.subscribe((f"{t}/#", 2))
    b.publish(f"{t}/a", "none wanted", 1)
    assert a.message(f"{t}/a", "none wanted").prop("TopicAlias") is None


@scenario(5)
def packet_size(v, t):
    a = peer(v, t, props={"MaximumPacketSize": 64})
    most = a.connack.prop("MaximumPacketSize")
    a.subscribe((t, 2))
    b = peer(v, t + "b")
    for qos in range(3):
        # Exactly as much as it takes, and a byte more.
        fits = 64 - 2 - 2 - len(t) - 1 - (2 if qos else 0)
        b.publish(t, "x" * (fits + 1), qos)
        b.publish(t, "x" * fits, qos)
        p = a.message(t, "x" * fits, qos)
        assert p.size == 64
    a.nothing()
    b.publish(t, "x" * (most - 5 - 2 - len(t) - 1 - 3), 0)
    b.publish(t, "x" * most, 0)
    b.ended(0x95)


@scenario(5)
def receive_maximum(v, t):
    """A client that has more QoS 2 messages in the air than the broker allows."""
    a = peer(v, t, answers=False)
    most = a.connack.prop("ReceiveMaximum", 65535)
    for _ in range(most):
        a.publish(t, "x", 2, wait=False)
        a.get(PUBREC)
    a.nothing()
    a.publish(t, "x", 2, wait=False)
    a.ended(0x93)


@scenario(5)
def server_keepalive(v, t):
    assert peer(v, t, keepalive=120).connack.prop("ServerKeepAlive") == 60
    assert peer(v, t, keepalive=60).connack.prop("ServerKeepAlive") is None


@scenario(5)
def shared(v, t):
    members = [peer(v, f"{t}{i}") for i in range(3)]
    other = peer(v, t + "other")
    alone = peer(v, t + "alone")
    for m in members:
        assert m.subscribe((f"$share/g/{t}/+", 2)) == [2]
    other.subscribe((f"$share/h/{t}/+", 2))
    alone.subscribe((f"{t}/+", 2), (f"$share/h/{t}/+", 2))
    alone.publish(f"{t}/x", "kept", 1, True)
    for i in range(8):
        alone.publish(f"{t}/x", f"{i}", i % 3)
    for _ in range(9):
        assert alone.get(PUBLISH)
    got = []
    for m in members:
        m.send(12, 0)
        mine = []
        while (p := m.packets.get(timeout=30)).kind != 13:
            mine += [p.data.decode()] if p.kind == PUBLISH else []
        assert len(mine) == 3, mine  # they take turns
        got += mine
    assert sorted(got) == sorted(["kept"] + [f"{i}" for i in range(8)])
    # Somebody who is away is passed over, and the last who leaves ends the group. No retained messages come.
    members[0].cut()
    members[1].unsubscribe(f"$share/g/{t}/+")
    time.sleep(0.1)
    for i in range(3):
        alone.publish(f"{t}/x", f"later {i}", 1)
        members[2].message(f"{t}/x", f"later {i}")
    members[2].subscribe((f"$share/g/{t}/x", 2))
    members[2].nothing()
    for filter in ("$share/g", "$share//x", "$share/g/", "$share/g+/x"):
        bad = peer(v)
        bad.send(8, 2, b"\0\x01\0" + text(filter) + b"\0")
        bad.ended(0x8F)
    bad = peer(v)
    bad.send(8, 2, b"\0\x01\0" + text("$share/g/x") + b"\4")  # no local makes no sense
    bad.ended(0x82)


@scenario(5)
def refused_messages(v, t):
    """A receiver that says no to a message does not get it again."""
    a = peer(v, t, clean=False, props={"SessionExpiryInterval": 60}, answers=False)
    a.subscribe((t, 2))
    b = peer(v, t + "b")
    for qos in (1, 2):
        b.publish(t, "unwanted", qos)
        p = a.message(t, "unwanted", qos)
        a.send(PUBACK if qos == 1 else PUBREC, 0, struct.pack("!HB", p.id, 0x80))
    a.nothing()
    a.cut()
    peer(v, t, clean=False).nothing()


@scenario(5)
def bad_logins(v, t):
    for props in ({"ReceiveMaximum": 0}, {"MaximumPacketSize": 0}):
        name, value = next(iter(props.items()))
        number = {"ReceiveMaximum": b"\x21\0\0", "MaximumPacketSize": b"\x27\0\0\0\0"}[name]
        a = Login(b"\0\x04MQTT\x05\x02\0\0" + bytes([len(number)]) + number + b"\0\0")
        assert a.packet() == (CONNACK, 0x82), (name, value)
    # An authentication that is not known, and a property twice.
    assert Login(b"\0\x04MQTT\x05\x02\0\0\x06\x15\0\x03xyz\0\0").packet() == (CONNACK, 0x8C)
    assert Login(b"\0\x04MQTT\x05\x02\0\0\x0a\x11\0\0\0\x01\x11\0\0\0\x01\0\0").packet() == (CONNACK, 0x82)


# Too long a form, a surrogate, above U+10FFFF, cut short, no first byte, the character 0.
BAD_TEXTS = [b"\xc1\x80", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\xe2\x82", b"\x80", b"a\0"]
GOOD_TEXTS = [b"\xc2\x80", b"\xe2\x82\xac", b"\xed\x9f\xbf", b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf"]


@scenario(4, 5)
def text_is_utf8(v, t):
    """Names that are no UTF-8 end the connection, wherever they are."""
    no_props = b"" if v == 4 else b"\0"
    for s in BAD_TEXTS:
        for flags, rest in ((2, text(s)), (0x82, text(t) + text(s)), (6, text(t) + no_props + text(s) + text("x"))):
            answer = Login(b"\0\x04MQTT" + bytes([v, flags, 0, 0]) + no_props + rest).all()
            assert answer == b"" or answer[3] != 0, (s, flags, answer)
        a = peer(v, t)
        a.send(PUBLISH, 0, text(s) + no_props + b"x")
        a.ended(0x90 if v == 5 else None)
        a = peer(v, t)
        a.send(PUBLISH, 2, text(s) + b"\0\x07" + no_props + b"x")
        a.ended(0x90 if v == 5 else None)  # and no acknowledgement before
        a = peer(v, t)
        a.send(8, 2, b"\0\x01" + no_props + text(s) + b"\0")
        a.ended(0x8F if v == 5 else None)
        if v == 5:
            a = peer(v, t)
            a.send(PUBLISH, 0, text(t) + prop(b"\x26" + text("k") + text(s)) + b"x")
            a.ended(0x82)
    a = peer(v, t)
    for s in GOOD_TEXTS:
        name = f"{t}/{s.decode()}"
        assert a.subscribe((name, 0)) == [0]
        a.publish(name, "x", 0)
        a.message(name, "x", 0)


def prop(data):
    return bytes([len(data)]) + data


@scenario(4)
def strangers(v, t):
    """Without a login nothing is answered, not even a message that asks for it."""
    for flags in (0, 2, 4):
        packet = text(t) + (b"\0\x07" if flags else b"") + b"x"
        assert Login(packet, PUBLISH << 4 | flags).all() == b""


@scenario(5)
def small_packets(v, t):
    """A client that takes nothing as large as the answer to its login gets none, and is not logged in."""
    for size, answered in ((2, False), (15, False), (16, True)):
        login = b"\0\x04MQTT\x05\x02\0\0" + prop(b"\x27" + struct.pack("!I", size)) + text(t)
        a = Login(login)
        if answered:
            a.leave()
        assert len(a.all()) == (16 if answered else 0), size


class Login:
    """A first packet made by hand, most often CONNECT."""

    def __init__(self, body, first=0x10):
        import socket

        self.sock = socket.create_connection((HOST, PORT), 30)
        self.sock.sendall(bytes([first, len(body)]) + body)

    def leave(self):
        self.sock.sendall(b"\xe0\0")

    def all(self):
        return self.sock.makefile("rb").read()

    def packet(self):
        data = self.all()
        return data[0] >> 4, data[3]


def main():
    failed = []

    def run(name, fn, version):
        try:
            fn(version, name)
        except BaseException:
            failed.append(name)
            sys.stderr.write(f"{name}:\n{traceback.format_exc()}\n")

    chosen = [s for s in SCENARIOS if len(sys.argv) < 4 or s[0] in sys.argv[3:]]
    threads = [threading.Thread(target=run, args=s) for s in chosen]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(f"{len(chosen) - len(failed)} of {len(chosen)} scenarios")
    sys.exit(bool(failed))


main()
