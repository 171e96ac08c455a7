"""The package itself; bindings/tests/drive.py has its programs and real peers."""
import asyncio
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
import urllib.request
import zipfile
from pathlib import Path

import libmongoose as mg
from libmongoose import MG_EV_CLOSE, MG_EV_HTTP_MSG, MG_EV_WAKEUP, CloseReason, Manager, Phase, aio

mg.log_set(mg.MG_LL_NONE)
HERE = Path(__file__).resolve().parent


async def fetch(port, path="/"):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(l[15:]) for l in head.decode().splitlines() if l.lower().startswith("content-length:"))
    body = await reader.readexactly(length)
    writer.close()
    return head, body


class Sync(unittest.TestCase):
    def test_handlers_are_inherited_and_connections_end(self):
        seen = []

        def one(conn, ev, data):
            if ev == MG_EV_HTTP_MSG:
                conn.reply(200, b"one", {"A": "b"})
                conn.drain()
                self.assertEqual(data.header("host"), "a")
                self.assertIn(("Host", "a"), data.headers)
            if ev == MG_EV_CLOSE and conn.is_accepted:
                seen.append((conn.close_reason, conn.unsent))

        with Manager(lambda conn, ev, data: ev == MG_EV_HTTP_MSG and conn.reply(200, "default")) as m:
            a, b = m.listen("http://127.0.0.1:0", one), m.listen("http://127.0.0.1:0")
            for port, want in ((a.port, b"one"), (b.port, b"default")):
                got = []
                t = threading.Thread(target=lambda: got.append(asyncio.run(fetch(port))[1]))
                t.start()
                while not got:
                    m.poll(100)
                t.join()
                self.assertEqual(got, [want])
            while not seen:
                m.poll(100)
            self.assertEqual(seen[0], (CloseReason.DRAINED, 0))
            self.assertEqual(sum(c.is_listening for c in m.connections), 2)
        self.assertRaises(RuntimeError, m.poll)

    def test_what_a_handler_raises_comes_out_of_poll(self):
        with Manager() as m:
            m.timer(1, lambda: 1 // 0)
            with self.assertRaises(ZeroDivisionError):
                for _ in range(1000):
                    m.poll(100)

    def test_a_closed_connection_is_no_dangling_pointer(self):
        with Manager() as m:
            conn = m.listen("http://127.0.0.1:0")
            conn.close()
            while m.connections:
                m.poll(10)
            self.assertRaises(ConnectionError, conn.reply, 200, "x")
            self.assertRaises(ConnectionError, conn.drain)
            conn.close()
            self.assertFalse(conn.is_draining)

    def test_timers_end(self):
        calls = []
        with Manager() as m:
            once = m.timer(1, lambda: calls.append("once"))
            again = m.timer(1, lambda: (calls.append("again"), calls.count("again") == 3 and again.cancel()), repeat=True)
            never = m.timer(1, lambda: calls.append("never"))
            never.cancel()
            never.cancel()
            while calls.count("again") < 3 or "once" not in calls:
                m.poll(10)
            once.cancel()
            self.assertEqual(m.timeout_ms(), -1)
            self.assertNotIn("never", calls)

    def test_wakeups_from_threads(self):
        got = []
        with Manager(lambda conn, ev, data: ev == MG_EV_WAKEUP and got.append(data)) as m:
            conn = m.listen("tcp://127.0.0.1:0")
            threads = [threading.Thread(target=m.wakeup, args=(conn.id, f"n{i}")) for i in range(10)]
            [t.start() for t in threads]
            while len(got) < 10:
                m.poll(100)
            [t.join() for t in threads]
            self.assertEqual(sorted(got), [f"n{i}".encode() for i in range(10)])

    def test_mistakes_are_told(self):
        with Manager() as m:
            self.assertRaises(OSError, m.listen, "http://1.2.3.4.5:1")
            self.assertRaises(OSError, m.drain_on_signal, signal.SIGKILL)
            self.assertRaises(AttributeError, getattr, mg, "MG_EV_NOTHING")
            self.assertEqual(mg.MG_EV_MDNS_REQ, 20)
            conn = m.listen("http://127.0.0.1:0")
            self.assertRaises(ValueError, conn.reply, 200, "", {"A": "b\r\nC: d"})
            conn.is_draining = True
            self.assertTrue(conn.is_draining)


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_a_manager_is_a_guest(self):
        pending = []

        def handler(conn, ev, data):
            if ev == MG_EV_HTTP_MSG and data.uri == "/late":
                pending.append(conn)
            elif ev == MG_EV_HTTP_MSG and data.uri == "/fail":
                conn.reply(500)
                raise ValueError("a handler failed")
            elif ev == MG_EV_HTTP_MSG:
                conn.reply(200, "x" * 3_000_000 if data.uri == "/big" else "hi")

        failures, ticks = [], asyncio.Event()
        with Manager(handler) as m:
            async with aio.attached(m, failures.append):
                # Opened, timed and answered between two polls: nothing but the adapter tells the manager.
                port = m.listen("http://127.0.0.1:0").port
                m.timer(20, ticks.set)
                answers = await asyncio.wait_for(asyncio.gather(*(fetch(port) for _ in range(50))), 30)
                self.assertEqual({body for _, body in answers}, {b"hi"})
                self.assertEqual(len((await asyncio.wait_for(fetch(port, "/big"), 30))[1]), 3_000_000)
                await asyncio.wait_for(ticks.wait(), 30)
                late = asyncio.create_task(fetch(port, "/late"))
                while not pending:
                    await asyncio.sleep(0.01)
                pending[0].reply(200, "late")
                self.assertEqual((await asyncio.wait_for(late, 30))[1], b"late")
                await asyncio.wait_for(fetch(port, "/fail"), 30)
                self.assertIsInstance(failures[0], ValueError)
                await asyncio.wait_for(aio.drained(m, idle_grace_ms=1), 30)
                self.assertEqual(m.phase, Phase.DONE)


class Wheel(unittest.TestCase):
    def test_the_wheel_carries_the_library_and_works(self):
        with tempfile.TemporaryDirectory() as d:
            out = subprocess.run([sys.executable, HERE / "build_wheel.py", d], capture_output=True, text=True, check=True)
            self.assertRegex(out.stdout, r"^libmongoose-7\.22\.0-py3-none-manylinux_2_\d+_\w+\.whl$")
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", f"{d}/site",
                            f"{d}/{out.stdout.strip()}"], check=True, capture_output=True)
            code = "import libmongoose as m; m.Manager().close(); print(m.__file__, m._ffi.lib._name)"
            env = {"PYTHONPATH": f"{d}/site", "PATH": "/usr/bin:/bin"}
            out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, cwd=d)
            self.assertTrue(all(path.startswith(f"{d}/site") for path in out.stdout.split()), out.stdout)


if __name__ == "__main__":
    result = unittest.main(exit=False, verbosity=0).result
    bad = len(result.failures) + len(result.errors)
    print(f"python package: {result.testsRun - bad} passed, {bad} failed")
    sys.exit(bad > 0)
