"""Handshakes that are odd or wrong, built with tlslite-ng, against https-server: what must be taken is taken, and what must not ends
with the alert of RFC 8446 and RFC 5246 (or one of several that these allow). The finding is what came instead."""

import socket
import sys

from servers import CERTS, Missing, ROOT

ALERTS = {0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow", 40: "handshake_failure", 47: "illegal_parameter",
          50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 80: "internal_error", 86: "inappropriate_fallback",
          100: "no_renegotiation", 109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
          120: "no_application_protocol"}
TAKEN = "server_hello"


def record(kind, body, version=b"\x03\x01"):
    return bytes([kind]) + version + len(body).to_bytes(2, "big") + body


def hello(**change):
    """A ClientHello for TLS 1.3 and 1.2, as bytes of the handshake layer. `change` replaces or adds parts of it."""
    from tlslite import extensions as x
    from tlslite.constants import ExtensionType as E, GroupName as G, SignatureScheme as S
    from tlslite.keyexchange import ECDHKeyExchange
    from tlslite.messages import ClientHello

    group = change.get("share", G.x25519)
    kex = ECDHKeyExchange(group, (3, 4))
    share = x.KeyShareEntry().create(group, kex.calc_public_value(kex.get_random_private_key()))
    exts = {
        "sni": x.SNIExtension().create(b"localhost"),
        "groups": x.SupportedGroupsExtension().create(change.get("groups", [G.x25519, G.secp256r1])),
        "sigs": x.SignatureAlgorithmsExtension().create(change.get("sigs", [S.ecdsa_secp256r1_sha256, S.rsa_pss_rsae_sha256])),
        "versions": x.SupportedVersionsExtension().create(change.get("versions", [(3, 4), (3, 3)])),
        "shares": x.ClientKeyShareExtension().create([share]),
        "modes": x.PskKeyExchangeModesExtension().create([1]),
    }
    for name in change.get("without", []):
        del exts[name]
    list_ = list(exts.values())
    for kind, data in change.get("more", []):
        list_.append(x.TLSExtension(extType=kind).create(bytearray(data)))
    ch = ClientHello()
    ch.create(change.get("version", (3, 3)), bytearray(range(32)), bytearray(change.get("session", bytes(32))), change.get("suites", [0x1301, 0xC02B, 0xC02F]),
              extensions=list_)
    if "compression" in change:
        ch.compression_methods = change["compression"]
    return bytes(ch.write())


def extension_twice(data):
    """Lists the SNI extension once more at the end."""
    sni = b"\0\0\0\x0e\0\x0c\0\0\x09localhost"
    return grown(data, sni, inner=True)


def grown(data, more, inner):
    """A handshake message with `more` behind it; counted by the list of extensions too, if `inner`."""
    body = data[4:]
    if inner:
        at = 34 + 1 + body[34]
        at += 2 + int.from_bytes(body[at:at + 2], "big")
        at += 1 + body[at]
        body = body[:at] + (int.from_bytes(body[at:at + 2], "big") + len(more)).to_bytes(2, "big") + body[at + 2:]
    body += more
    return data[:1] + len(body).to_bytes(3, "big") + body


def outcome(s):
    """The first thing that says how the server took it."""
    data = b""
    s.settimeout(5)
    while True:
        try:
            piece = s.recv(65536)
        except socket.timeout:
            return "silence"
        except ConnectionResetError:
            return "reset"
        if not piece:
            return "closed without an alert" if not data else f"closed after {data[:8].hex()}"
        data += piece
        while len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[3:5], "big"):
            n = int.from_bytes(data[3:5], "big")
            body = data[5:5 + n]
            if data[0] == 21 and n == 2:
                return ALERTS.get(body[1], str(body[1]))
            if data[0] == 22 and body[0] == 2:
                # RFC 8446, 4.1.3: this random says that it asks for another ClientHello.
                return "hello_retry_request" if body[6:10] == bytes.fromhex("cf21ad74") else TAKEN
            data = data[5 + n:]


def raw_cases():
    """(case, bytes, outcomes that are right)"""
    ccs = record(20, b"\1", b"\x03\x03")
    h = hello()
    one = record(22, h)
    grease = [(0x0A0A, b""), (0xFAFA, b"\0")]
    early = hello(more=[(42, b""), (41, b"\0\x26\0\x20" + bytes(32) + b"\0\0\0\0" + b"\0\x21\x20" + bytes(32))])
    yield "plain", one, [TAKEN]
    yield "one byte in a record", b"".join(record(22, h[i:i + 1]) for i in range(len(h))), [TAKEN]
    yield "header of the message cut", record(22, h[:2]) + record(22, h[2:]), [TAKEN]
    yield "record version 3.0", record(22, h, b"\x03\x00"), [TAKEN]
    yield "record version 3.4", record(22, h, b"\x03\x04"), [TAKEN]
    yield "record version 5.5", record(22, h, b"\x05\x05"), [TAKEN, "protocol_version", "decode_error", "unexpected_message"]
    yield "unknown extensions", record(22, hello(more=[(k, b"x" * 20) for k in range(5000, 5100)])), [TAKEN]
    yield "GREASE", record(22, hello(more=grease, suites=[0x0A0A, 0x1301, 0xDADA], groups=[0x2A2A, 29, 23],
                                     versions=[(0x3A, 0x3A), (3, 4)], sigs=[(0x4A, 0x4A), (4, 3), (8, 4)])), [TAKEN]
    yield "padding to 10,000 bytes", record(22, hello(more=[(21, bytes(10000))])), [TAKEN]
    yield "no session id", record(22, hello(session=b"")), [TAKEN]
    yield "no SNI", record(22, hello(without=["sni"])), [TAKEN]
    yield "empty record first", record(22, b"") + one, ["unexpected_message", "decode_error"]
    yield "change_cipher_spec first", ccs + one, [TAKEN, "unexpected_message"]
    yield "change_cipher_spec behind", one + ccs, [TAKEN]
    yield "100 change_cipher_spec first", ccs * 100 + one, ["unexpected_message"]
    yield "change_cipher_spec of 2", record(20, b"\2") + one, ["unexpected_message", "illegal_parameter", "decode_error"]
    yield "group without a share", record(22, hello(groups=[24, 23], share=24)), [TAKEN, "hello_retry_request"]
    yield "share of an unknown group only", record(22, hello(groups=[30, 29], share=30)), ["hello_retry_request"]
    yield "0-RTT of an unknown key", record(22, early) + record(23, bytes(300), b"\x03\x03") * 3, [TAKEN]
    yield "0-RTT of 2^14 bytes", record(22, early) + record(23, bytes(16384), b"\x03\x03"), [TAKEN]
    yield "TLS 1.2 only", record(22, hello(without=["versions", "shares", "modes"])), [TAKEN]
    yield "TLS 1.2, no groups", record(22, hello(without=["versions", "shares", "modes", "groups"])), [TAKEN, "handshake_failure", "missing_extension"]
    yield "TLS 1.1 only", record(22, hello(without=["versions", "shares", "modes"], version=(3, 2))), ["protocol_version"]
    yield "TLS 1.0 only", record(22, hello(without=["versions", "shares", "modes"], version=(3, 1))), ["protocol_version"]
    yield "SSL 3 only", record(22, hello(without=["versions", "shares", "modes"], version=(3, 0)), b"\x03\x00"), ["protocol_version"]
    yield "versions of the future only", record(22, hello(versions=[(3, 9)])), ["protocol_version"]
    yield "SSL 2 hello", bytes.fromhex("802e0100020015000000100100800700c0030080060040020080") + bytes(30), \
        ["protocol_version", "handshake_failure", "unexpected_message", "decode_error", "record_overflow", "closed without an alert"]
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ["unexpected_message", "decode_error", "protocol_version", "record_overflow", "closed without an alert"]
    yield "no common suite", record(22, hello(suites=[0x1399, 0x0035])), ["handshake_failure"]
    yield "no suite", record(22, hello(suites=[])), ["decode_error", "illegal_parameter", "handshake_failure"]
    yield "fallback SCSV to TLS 1.2", record(22, hello(without=["versions", "shares", "modes"], suites=[0xC02B, 0xC02F, 0x5600])), ["inappropriate_fallback"]
    yield "no signature we have", record(22, hello(sigs=[(2, 1)], without=["versions", "shares", "modes"])), ["handshake_failure"]
    yield "no signature_algorithms", record(22, hello(without=["sigs"], versions=[(3, 4)])), ["missing_extension"]
    yield "no groups", record(22, hello(without=["groups"], versions=[(3, 4)])), ["missing_extension"]
    yield "no shares", record(22, hello(without=["shares"], versions=[(3, 4)])), ["missing_extension"]
    yield "no group we have", record(22, hello(groups=[30], share=30, versions=[(3, 4)])), ["handshake_failure"]
    yield "share of 31 bytes", record(22, hello(without=["shares"], more=[(51, b"\0\x23\0\x1d\0\x1f" + bytes(31))])), ["illegal_parameter"]
    yield "share of zeros", record(22, hello(without=["shares"], more=[(51, b"\0\x24\0\x1d\0\x20" + bytes(32))])), ["illegal_parameter"]
    yield "two shares of a group", record(22, hello(without=["shares"], more=[(51, b"\0\x48" + (b"\0\x1d\0\x20" + bytes(range(32))) * 2)])), ["illegal_parameter"]
    yield "share of no offered group", record(22, hello(groups=[23], versions=[(3, 4)])), ["illegal_parameter", "hello_retry_request"]
    yield "compression", record(22, hello(compression=[1, 0], versions=[(3, 4)])), ["illegal_parameter"]
    yield "no null compression", record(22, hello(compression=[1])), ["illegal_parameter", "decode_error"]
    yield "extension twice", record(22, extension_twice(h)), ["illegal_parameter", "decode_error"]
    yield "key not last", record(22, hello(more=[(41, b"\0\x26\0\x20" + bytes(32) + b"\0\0\0\0" + b"\0\x21\x20" + bytes(32)), (5001, b"")])), ["illegal_parameter"]
    yield "key without modes", record(22, hello(without=["modes"], more=[(41, b"\0\x26\0\x20" + bytes(32) + b"\0\0\0\0" + b"\0\x21\x20" + bytes(32))])), \
        ["missing_extension"]
    yield "bytes behind the extensions", record(22, grown(h, b"\0\0\0", inner=False)), ["decode_error"]
    yield "half an extension", record(22, grown(h, b"\0\x33\0", inner=True)), ["decode_error"]
    yield "empty message", record(22, b"\1\0\0\0"), ["decode_error"]
    yield "session id of 33 bytes", record(22, hello(session=bytes(33))), ["decode_error", "illegal_parameter"]
    yield "empty server name", record(22, hello(without=["sni"], more=[(0, b"\0\x03\0\0\0")])), ["decode_error", "illegal_parameter", "unrecognized_name"]
    yield "message of 2^24 bytes", record(22, b"\1\xff\xff\xff" + bytes(16000)) * 2, ["decode_error", "illegal_parameter", "record_overflow", "unexpected_message"]
    yield "record of 2^14 + 257 bytes", bytes.fromhex("1703034101") + bytes(16641), ["record_overflow", "unexpected_message"]
    yield "plain record of 2^14 + 1 bytes", record(22, h + bytes(16385 - len(h))), ["record_overflow"]
    yield "ServerHello first", record(22, b"\2" + h[1:]), ["unexpected_message", "decode_error"]
    yield "Finished first", record(22, b"\x14\0\0\x20" + bytes(32)), ["unexpected_message"]
    yield "application data first", record(23, b"x" * 20), ["unexpected_message"]
    yield "heartbeat first", record(24, b"\1\x40\0" + bytes(16)), ["unexpected_message"]
    yield "unknown record type", record(99, b"abc"), ["unexpected_message"]
    yield "alert cut short", record(21, b"\2"), ["decode_error", "unexpected_message", "closed without an alert"]
    yield "ALPN empty", record(22, hello(more=[(16, b"\0\0")])), ["decode_error", "illegal_parameter"]


def client(port, version):
    from tlslite.api import HandshakeSettings, TLSConnection
    s = socket.create_connection(("127.0.0.1", port), 5)
    settings = HandshakeSettings()
    settings.minVersion = settings.maxVersion = version
    return TLSConnection(s), settings


def alert_of(call):
    """What the server's alert says while `call` runs."""
    from tlslite.errors import TLSAbruptCloseError, TLSError, TLSRemoteAlert
    try:
        return call() or "no alert"
    except TLSRemoteAlert as e:
        return ALERTS.get(e.description, str(e.description))
    except TLSAbruptCloseError:
        return "closed without an alert"
    except socket.timeout:
        return "silence"
    except ConnectionError:
        return "reset"
    except TLSError as e:
        return type(e).__name__


def handshake(port, version, before=None):
    c, settings = client(port, version)
    if before is not None:
        before(c)
    c.handshakeClientCert(settings=settings, serverName="localhost")
    return c


def answered(c):
    c.write(b"GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n")
    return "answered" if c.read(min=12, max=12) == b"HTTP/1.1 404" else "another answer"


def session_cases(port):
    """(case, function that returns the outcome, outcomes that are right)"""
    from tlslite.constants import ContentType
    from tlslite.messages import Message

    def spoil_finished(c):
        send = c._sendMsg

        def spoilt(msg, *args, **more):
            if type(msg).__name__ == "Finished":
                msg.verify_data[0] ^= 1
            return send(msg, *args, **more)

        c._sendMsg = spoilt
        sends = c._sendMsgs
        c._sendMsgs = lambda msgs: (x for m in msgs for x in c._sendMsg(m)) if msgs else sends(msgs)

    def after(version, kind, body, times=1):
        def run():
            c = handshake(port, version)
            for _ in range(times):
                for _ in c._recordLayer.sendRecord(Message(kind, bytearray(body))):
                    pass
            return answered(c)
        return run

    def bad_finished(version):
        def run():
            c = handshake(port, version, spoil_finished)
            return answered(c)
        return run

    def spoilt_record(version):
        def run():
            c = handshake(port, version)
            c.sock.socket.sendall(record(23, bytes(range(100)), b"\x03\x03"))
            return answered_later(c)
        return run

    def plain(version, kind, body):
        def run():
            c = handshake(port, version)
            c.sock.socket.sendall(record(kind, body, b"\x03\x03"))
            return answered(c)
        return run

    def answered_later(c):
        return "answered" if c.read(min=1, max=1) else "closed"

    hs, alert, data = ContentType.handshake, ContentType.alert, ContentType.application_data
    for v in [(3, 3), (3, 4)]:
        t = f"TLS 1.{v[1] - 1}"
        yield f"{t} request", after(v, data, b"", 0), ["answered"]
        yield f"{t} bad Finished", bad_finished(v), ["decrypt_error"]
        yield f"{t} spoilt record", spoilt_record(v), ["bad_record_mac"]
        yield f"{t} empty application data", after(v, data, b""), ["answered"]
        yield f"{t} empty handshake record", after(v, hs, b""), ["unexpected_message", "decode_error"]
        yield f"{t} unknown record type", after(v, 99, b"abc"), ["unexpected_message"]
        yield f"{t} heartbeat", after(v, 24, b"\1\x40\0" + bytes(16)), ["unexpected_message"]
        yield f"{t} unknown handshake message", after(v, hs, b"\x63\0\0\0"), ["unexpected_message"]
        yield f"{t} alert of one byte", after(v, alert, b"\1"), ["decode_error", "unexpected_message", "closed without an alert"]
        yield f"{t} 1000 warnings", after(v, alert, b"\1\x5a", 1000), ["unexpected_message", "decode_error", "no_renegotiation", "reset"]
        yield f"{t} ClientHello again", after(v, hs, hello()), ["no_renegotiation", "unexpected_message"]
        yield f"{t} change_cipher_spec later", plain(v, 20, b"\1"), ["unexpected_message", "bad_record_mac"]
    v = (3, 4)
    yield "TLS 1.3 KeyUpdate", after(v, hs, b"\x18\0\0\1\0", 0), ["answered"]
    yield "TLS 1.3 KeyUpdate of 2", after(v, hs, b"\x18\0\0\1\2"), ["illegal_parameter", "decode_error"]
    yield "TLS 1.3 KeyUpdate of two bytes", after(v, hs, b"\x18\0\0\2\0\0"), ["decode_error"]
    yield "TLS 1.3 KeyUpdate with more behind", after(v, hs, b"\x18\0\0\1\0\x18\0\0\1\0"), ["unexpected_message"]
    yield "TLS 1.3 plain alert", plain(v, 21, b"\1\0"), ["unexpected_message", "bad_record_mac", "decode_error"]
    yield "TLS 1.3 plain data", plain(v, 22, b"\x18\0\0\1\0"), ["unexpected_message", "bad_record_mac"]


def total(servers, quick):
    return None


def run(servers, quick):
    sys.path.insert(0, str(servers.need("python")))
    try:
        import tlslite  # noqa: F401
    except ImportError as e:
        raise Missing(f"tlslite-ng ({e})") from e
    port = servers.start("https-server", "-c", CERTS / "server-p256.pem", "-k", CERTS / "server-p256.key", "-d", ROOT / "docs", scheme="https")
    for case, data, right in raw_cases():
        with socket.create_connection(("127.0.0.1", port), 5) as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass  # what it said is there still
            got = outcome(s)
        yield case, None if got in right else got
    for case, call, right in session_cases(port):
        got = alert_of(call)
        yield case, None if got in right else got
