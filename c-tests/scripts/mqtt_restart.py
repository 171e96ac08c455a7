"""A broker with a database that is killed in the middle of its work: mqtt_restart.py PROGRAM DATABASE [MESSAGES]

Whatever QoS 1 promises arrives, and whatever QoS 2 promises arrives once; so do retained messages, and what waited for clients
that were away.
"""

import queue
import struct
import subprocess
import sys
import threading

from mqtt_raw import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, LIMIT, Peer

PROGRAM, DATABASE = sys.argv[1], sys.argv[2]
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 600
KILLS = 4
FOREVER = {"SessionExpiryInterval": 0xFFFFFFFF}


class Broker:
    def __init__(self):
        self.changed = threading.Condition()
        self.start()

    def start(self):
        self.child = subprocess.Popen([PROGRAM, "-d", DATABASE, "mqtt://127.0.0.1:0"], stdout=subprocess.PIPE)
        self.port = int(self.child.stdout.readline().rsplit(b":", 1)[1])

    def restart(self, how):
        getattr(self.child, how)()
        self.child.wait()
        self.child.stdout.close()
        assert how == "kill" or self.child.returncode == 0, self.child.returncode
        self.start()

    def peer(self, version, name, **more):
        """Connects, however often that takes."""
        for _ in range(10000):
            try:
                return Peer("127.0.0.1", self.port, version, name, False, props=FOREVER, answers=False, **more)
            except (OSError, AssertionError):
                threading.Event().wait(0.01)
        raise SystemExit(f"{name} cannot connect")


class Publisher(threading.Thread):
    """Some messages are always in the air."""

    def __init__(self, broker, version, name, topic, qos):
        super().__init__(daemon=True)
        self.broker, self.version, self.name, self.topic, self.qos = broker, version, name, topic, qos
        self.air = {}  # packet id: number and whether it was taken

    def run(self):
        done = sent = 0
        p = None
        while done < COUNT:
            try:
                if p is None:
                    p = self.broker.peer(self.version, self.name)
                    for id, (number, taken) in self.air.items():
                        if taken:
                            p.send(PUBREL, 2, struct.pack("!H", id))
                        else:
                            p.publish(self.topic, f"{number}", self.qos, id=id, dup=1, wait=False)
                while sent < COUNT and len(self.air) < 10:
                    id = sent % 65535 + 1
                    self.air[id] = (sent, False)
                    sent += 1
                    p.publish(self.topic, f"{self.air[id][0]}", self.qos, id=id, wait=False)
                answer = p.packets.get(timeout=LIMIT)
                if answer is None:
                    p = None
                elif answer.kind == PUBREC:
                    self.air[answer.id] = (self.air[answer.id][0], True)
                    p.send(PUBREL, 2, struct.pack("!H", answer.id))
                elif answer.kind in (PUBACK, PUBCOMP) and self.air.pop(answer.id, None):
                    done += 1
            except OSError:
                p = None


class Subscriber(threading.Thread):
    """Takes a QoS 2 message when its id is new, and until it is released knows it again."""

    def __init__(self, broker, version, name, topics):
        super().__init__(daemon=True)
        self.broker, self.version, self.name, self.topics = broker, version, name, topics
        self.got, self.held, self.ready = queue.Queue(), set(), threading.Event()

    def run(self):
        p = self.broker.peer(self.version, self.name)
        assert p.subscribe(*self.topics) == [qos for _, qos in self.topics]
        self.ready.set()
        while True:
            try:
                m = p.packets.get()
                if m is None:
                    p = self.broker.peer(self.version, self.name)
                    if not p.connack.present:
                        self.got.put(None)
                elif m.kind == PUBLISH and m.qos == 1:
                    self.got.put((m.topic, int(m.data)))
                    p.send(PUBACK, 0, struct.pack("!H", m.id))
                elif m.kind == PUBLISH:
                    if m.id not in self.held:
                        self.held.add(m.id)
                        self.got.put((m.topic, int(m.data)))
                    p.send(PUBREC, 0, struct.pack("!H", m.id))
                elif m.kind == PUBREC:
                    p.send(PUBREL, 2, struct.pack("!H", m.id))
                elif m.kind == PUBREL:
                    self.held.discard(m.id)
                    p.send(PUBCOMP, 0, struct.pack("!H", m.id))
            except OSError:
                pass


def in_the_middle(broker):
    topics = [(f"t{version}{qos}", qos) for version in (4, 5) for qos in (1, 2)]
    subscribers = [Subscriber(broker, version, f"sub{version}", topics) for version in (4, 5)]
    for s in subscribers:
        s.start()
        assert s.ready.wait(LIMIT)
    for version in (4, 5):
        for qos in (1, 2):
            Publisher(broker, version, f"pub{version}{qos}", f"t{version}{qos}", qos).start()
    total = COUNT * len(topics)
    seen = [{topic: [0] * COUNT for topic, _ in topics} for _ in subscribers]
    for s, counts in zip(subscribers, seen):
        missing, kills = total, 0
        while missing:
            message = s.got.get(timeout=4 * LIMIT)
            assert message, "a session was lost"
            topic, number = message
            counts[topic][number] += 1
            missing -= counts[topic][number] == 1
            if s is subscribers[0] and kills < KILLS and total - missing > (kills + 1) * total // (KILLS + 2):
                kills += 1
                broker.restart("kill")
    again = sum(n - 1 for counts in seen for numbers in counts.values() for n in numbers)
    for counts in seen:
        for topic, qos in topics:
            assert qos == 1 or set(counts[topic]) == {1}, [(i, n) for i, n in enumerate(counts[topic]) if n != 1]
    print(f"{2 * total} messages, {KILLS} kills, {again} of QoS 1 twice")


def while_away(broker):
    away = Peer("127.0.0.1", broker.port, 5, "away", False, props=FOREVER)
    away.subscribe(("away/+", 2), props={"SubscriptionIdentifier": 77})
    away.leave()
    a = Peer("127.0.0.1", broker.port, 5, "a", False, props=FOREVER, answers=False)
    props = {"UserProperty": [("k", "v")], "MessageExpiryInterval": 1000}
    for qos in (1, 2):
        a.publish(f"away/{qos}", f"{qos}", qos, qos == 2, props, wait=False)
        a.get(PUBACK if qos == 1 else PUBREC)
    a.publish("away/short", "x", 1, True, {"MessageExpiryInterval": 1}, wait=False)
    a.get(PUBACK)
    a.publish("away/gone", "x", 1, True, wait=False)
    a.get(PUBACK)
    a.publish("away/gone", "", 1, True, wait=False)
    a.get(PUBACK)
    for how in ("kill", "terminate", "kill"):
        broker.restart(how)
        threading.Event().wait(0.5)
    # The id of the QoS 2 message is still held: it is not delivered a second time.
    a = Peer("127.0.0.1", broker.port, 5, "a", False, props=FOREVER, answers=False)
    assert a.connack.present
    a.publish("away/2", "2", 2, True, props, wait=False, id=2, dup=1)
    a.get(PUBREC)
    a.send(PUBREL, 2, struct.pack("!H", 2))
    a.get(PUBCOMP)
    b = Peer("127.0.0.1", broker.port, 5, "b")
    b.subscribe(("away/#", 2))
    kept = b.message("away/2", "2", 2, retain=1)
    b.nothing()
    away = Peer("127.0.0.1", broker.port, 5, "away", False, props=FOREVER)
    for qos in (1, 2):
        p = away.message(f"away/{qos}", f"{qos}", qos)
        for m in (p, kept):
            assert m.prop("UserProperty") == [("k", "v")]
            assert 980 < m.prop("MessageExpiryInterval") < 1000, m.prop("MessageExpiryInterval")
        assert p.prop("SubscriptionIdentifier") == [77]
    away.message("away/gone", "x")
    away.message("away/gone", "")
    away.nothing()
    # Sessions that have come to an end are forgotten.
    a.leave(props={"SessionExpiryInterval": 0})
    broker.restart("kill")
    assert not Peer("127.0.0.1", broker.port, 5, "a", False).connack.present


broker = Broker()
try:
    in_the_middle(broker)
    while_away(broker)
    broker.child.terminate()
    assert broker.child.wait() == 0
finally:
    broker.child.kill()
