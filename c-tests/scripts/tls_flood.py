"""Clients that begin TLS and do not mean it: usage: tls_flood.py HOST PORT CA."""

import os
import socket
import ssl
import struct
import sys

host, port, ca = sys.argv[1], int(sys.argv[2]), sys.argv[3]
context = ssl.create_default_context(cafile=ca)
ROUNDS, AT_ONCE = 20, 100


def hello():
    """The first flight of a client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=host).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def record(kind, data):
    return struct.pack(">BHH", kind, 0x0303, len(data)) + data


def starts():
    whole = hello()
    yield whole  # and no answer to the server's flight
    yield whole[:-1]
    yield whole[:3]
    yield whole + record(22, os.urandom(500))
    yield whole + record(21, b"\2\50")  # handshake_failure
    yield whole + record(20, b"\1") * 200
    yield os.urandom(2000)
    yield b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    yield record(22, b"\1\xff\xff\xff" + bytes(1000))  # a hello of 16 MiB
    yield record(22, b"") * 1000  # empty records
    yield record(23, os.urandom(100))


def request():
    with context.wrap_socket(socket.create_connection((host, port), 60), server_hostname=host) as s:
        s.sendall(b"GET /data HTTP/1.0\r\n\r\n")
        got = b""
        while data := s.recv(65536):
            got += data
    assert got.startswith(b"HTTP/1.1 200 "), got[:100]


for _ in range(ROUNDS):
    open_ones = []
    for data in starts():
        for _ in range(AT_ONCE // 11):
            s = socket.create_connection((host, port), 60)
            try:
                s.sendall(data)
            except OSError:
                pass  # refused while it was still sending
            open_ones.append(s)
    request()
    for s in open_ones:
        s.close()
    for _ in range(10):
        request()
