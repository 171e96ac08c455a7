"""The websockets package over TLS: usage: wss_client.py HOST PORT CA."""

import asyncio
import random
import ssl
import sys

import websockets

host, port, ca = sys.argv[1], sys.argv[2], sys.argv[3]


async def main():
    context = ssl.create_default_context(cafile=ca)
    async with websockets.connect(f"wss://{host}:{port}/websocket", ssl=context, max_size=None) as ws:
        for size in (0, 1, 125, 126, 65535, 65536, 1000000):
            message = bytes(n % 251 for n in range(size))
            await ws.send(message)
            assert await ws.recv() == message, size
        for n in range(500):
            await ws.send(f"message {n}")
        for n in range(500):
            assert await ws.recv() == f"message {n}"
        pong = await ws.ping()
        await pong
    assert ws.close_code == 1000, ws.close_code


async def both_ways_at_once():
    """100 MiB there, while they come back."""
    context = ssl.create_default_context(cafile=ca)
    message = random.randbytes(1 << 20)
    async with websockets.connect(f"wss://{host}:{port}/websocket", ssl=context, max_size=None, ping_interval=None) as ws:

        async def send():
            for n in range(100):
                await ws.send(message[n:] + message[:n])

        sending = asyncio.create_task(send())
        for n in range(100):
            assert await ws.recv() == message[n:] + message[:n], n
        await sending


asyncio.run(main())
asyncio.run(both_ways_at_once())
