"""Sessions of a TLS server: with each version a second connection resumes the first, and one with other certificates does not.
usage: tls_resume.py PORT DIRECTORY-OF-CERTIFICATES
"""

import socket
import ssl
import sys

port, certs = int(sys.argv[1]), sys.argv[2]


def context(version):
    ctx = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    ctx.minimum_version = ctx.maximum_version = version
    ctx.load_cert_chain(f"{certs}/client-p256.pem", f"{certs}/client-p256.key")
    return ctx


def request(ctx, session=None):
    """One request on a connection of its own: the session that it leaves, and whether it was resumed."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as raw:
        with ctx.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = b""
            while part := tls.recv(4096):
                answer += part
            assert answer.endswith(b"hello\n"), answer
            return tls.session, tls.session_reused


for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
    ctx = context(version)
    session, reused = request(ctx)
    assert not reused
    for _ in range(3):
        session, reused = request(ctx, session)
        assert reused, version
    assert not request(ctx)[1]
print("resumed")
