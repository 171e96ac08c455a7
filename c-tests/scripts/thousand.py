"""A thousand connections opened at once, each served, several times."""

import asyncio
import sys

from wire import HOST, PORT, check, get

COUNT = int(sys.argv[3])


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().split(b"content-length:")[1].split()[0])
    return await reader.readexactly(size)


async def main():
    pairs = await asyncio.gather(*(asyncio.open_connection(HOST, PORT) for _ in range(COUNT)))
    for _ in range(3):
        for _, writer in pairs:
            writer.write(get("/hello"))
        answers = await asyncio.gather(*(answer(reader) for reader, _ in pairs))
        check(answers == [b"hello\n"] * COUNT)
    for _, writer in pairs:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for _, writer in pairs))


asyncio.run(asyncio.wait_for(main(), 30))
