#!/usr/bin/env python3
"""Draws docs/performance/drain.svg: a server with clients of several kinds is told to drain, and its connections are counted by state.
usage: benches/drain_states.py     the library must be built"""
import asyncio, os, random, signal, socket, subprocess, sys

from load import freeport
from peers import OUT, build_program

BIG = 4000000  # bytes of an answer, as in drain_states.c
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


async def dial(port, path, headers="", room=None):
    s = socket.socket()
    if room:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    s.setblocking(False)
    await asyncio.get_running_loop().sock_connect(s, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=s, limit=8192)
    writer.write(("GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n" % (path, headers)).encode())
    return reader, writer


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length:")[1].split()[0]))
    return b"connection: close" not in head.lower()


async def asks(port, path, pause):
    """One request after the other; a connection that has been closed is replaced while there is somebody to connect to."""
    try:
        while True:
            reader, writer = await dial(port, path())
            while await answer(reader):
                await asyncio.sleep(random.uniform(*pause))
                writer.write(("GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path()).encode())
            writer.close()
    except (OSError, asyncio.IncompleteReadError):
        pass


async def downloads(port):
    try:
        while True:
            reader, writer = await dial(port, "/big", room=16384)
            left = BIG
            while left > 0 and (piece := await reader.read(65536)):
                left -= len(piece)
                await asyncio.sleep(random.uniform(0.01, 0.03))
            writer.close()
    except OSError:
        pass


async def listens(port):
    """A WebSocket client that takes a while to answer the Close frame."""
    try:
        reader, writer = await dial(port, "/websocket", UPGRADE)
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
        await asyncio.sleep(random.uniform(0, 0.8))
        writer.write(b"\x88\x80\0\0\0\0")
        await reader.read()
        writer.close()
    except (OSError, asyncio.IncompleteReadError):
        pass


async def clients(port, server):
    work = [asks(port, lambda: "/", (0.1, 1.5)) for _ in range(40)] + [listens(port) for _ in range(20)] + [downloads(port) for _ in range(15)]
    work += [asks(port, lambda: "/after/%d" % random.randrange(200, 1200), (0, 0.2)) for _ in range(25)]
    all = asyncio.gather(*work)
    await asyncio.sleep(1)
    server.send_signal(signal.SIGTERM)
    await asyncio.wait_for(all, 60)


def main():
    build_program("benches/drain_states")
    port = freeport()
    with open(OUT + "/drain.txt", "w") as f:
        server = subprocess.Popen([OUT + "/drain_states", str(port)], stdout=f)
        try:
            asyncio.run(asyncio.wait_for(ready(port), 10))
            asyncio.run(clients(port, server))
            if server.wait(60):
                sys.exit("the server has failed")
        finally:
            server.kill()
    subprocess.run([sys.executable, os.path.dirname(os.path.abspath(__file__)) + "/publish.py", "states", OUT + "/drain.txt"], check=True)


async def ready(port):
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            return writer.close()
        except OSError:
            await asyncio.sleep(0.05)


if __name__ == "__main__":
    main()
