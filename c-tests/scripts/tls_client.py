"""Python's ssl module as a client: usage: tls_client.py HOST PORT CA LENGTH, where /data has LENGTH bytes."""

import http.client
import socket
import ssl
import sys
import time

host, port, ca, length = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
context = ssl.create_default_context(cafile=ca)


def connect():
    return socket.create_connection((host, port), timeout=60)


def one_connection_many_requests():
    client = http.client.HTTPSConnection(host, port, timeout=60, context=context)
    for n in range(50):
        body = bytes(range(256)) * (n * 40)
        client.request("POST", "/echo", body)
        answer = client.getresponse()
        assert answer.status == 200 and answer.read() == body, n
    client.close()


def resumption(version):
    limited = ssl.create_default_context(cafile=ca)
    limited.minimum_version = limited.maximum_version = version
    session = None
    for n in range(4):
        with limited.wrap_socket(connect(), server_hostname=host, session=session) as s:
            assert s.session_reused == (n > 0), n
            s.sendall(b"GET /nothing HTTP/1.0\r\n\r\n")
            while s.recv(65536):
                pass
            session = s.session


class Raw:
    """TLS whose bytes pass through our hands."""

    def __init__(self):
        self.sock = connect()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=host)

    def flush(self, step=None):
        data = self.outgoing.read()
        step = step or max(1, len(data))
        for at in range(0, len(data), step):
            self.sock.sendall(data[at:at + step])
            if step < 100:
                time.sleep(0.0002)

    def run(self, call, step=None):
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.flush(step)
                data = self.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
            finally:
                self.flush(step)

    def rest(self):
        got = b""
        while True:
            try:
                data = self.run(lambda: self.tls.read(65536))
            except ssl.SSLZeroReturnError:
                return got
            if not data:
                return got
            got += data


def half_close(notify, fin):
    """close_notify, FIN or both right behind the request: the whole answer still comes, and then the server's own close_notify."""
    raw = Raw()
    raw.run(raw.tls.do_handshake)
    raw.tls.write(b"GET /data HTTP/1.1\r\nHost: a\r\n\r\n")
    if notify:
        try:
            raw.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
    raw.flush()
    if fin:
        raw.sock.shutdown(socket.SHUT_WR)
    got = raw.rest()
    head, body = got.split(b"\r\n\r\n", 1)
    assert len(body) == length, (len(body), head)


def byte_by_byte():
    raw = Raw()
    raw.run(raw.tls.do_handshake, 1)
    raw.tls.write(b"POST /echo HTTP/1.0\r\nContent-Length: 3000\r\n\r\n" + b"x" * 3000)
    raw.flush(3)
    got = b""
    while not got.endswith(b"\r\n\r\n" + b"x" * 3000):
        got += raw.run(lambda: raw.tls.read(65536))


def silence_after_the_end():
    """The server does not wait for a peer's close_notify, nor is it held by one that stays."""
    stays = [Raw() for _ in range(20)]
    for raw in stays:
        raw.run(raw.tls.do_handshake)
        raw.tls.write(b"GET /nothing HTTP/1.0\r\n\r\n")
        raw.flush()
        assert b" 404 " in raw.rest()
    # All ended with close_notify and FIN, although nobody here has said good-bye.
    for raw in stays:
        raw.sock.settimeout(60)
        assert raw.sock.recv(100) == b""


one_connection_many_requests()
resumption(ssl.TLSVersion.TLSv1_2)
resumption(ssl.TLSVersion.TLSv1_3)
half_close(True, False)
half_close(False, True)
half_close(True, True)
byte_by_byte()
silence_after_the_end()
