"""What the servers answer to good and odd requests, read by two independent judges: h11, which takes no framing that RFC 9112
forbids, and httplint (the rules of REDbot), whose warnings and errors are the findings. Each request has a connection of its own, with
a good one before and, where the server keeps the connection, one behind: so every byte belongs to an answer."""

import gzip
import socket
import sys
import time

from servers import Missing, ROOT

HOST = b"Host: localhost\r\n"


def get(path, *fields, method="GET", version="1.1", body=b""):
    lines = "".join(f"{f}\r\n" for f in fields).encode()
    return f"{method} {path} HTTP/{version}\r\n".encode() + HOST + lines + b"\r\n" + body


def good():
    """(server, case, request)"""
    for path in ["/", "/page.html", "/dir", "/dir/", "/empty.txt", "/none", "/sp%20ace.txt", "/data.json", "/packed.js", "/..%2fetc/passwd", "/%00"]:
        for method in ["GET", "HEAD"]:
            yield "static-server", f"{method} {path}", get(path, method=method)
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"]:
        yield "static-server", method, get("/page.html", "Content-Length: 0", method=method)
    for r in ["bytes=0-0", "bytes=1-", "bytes=-1", "bytes=-0", "bytes=9999-", "bytes=5-2", "bytes=0-1,4-5", "bytes=", "lines=1-2",
              "bytes=0-99999999999999999999", "bytes=a-b", "bytes=0-0 ", "BYTES=0-0"]:
        for method in ["GET", "HEAD"]:
            yield "static-server", f"{method} Range {r!r}", get("/page.html", f"Range: {r}", method=method)
    yield "static-server", "Range of empty", get("/empty.txt", "Range: bytes=0-0")
    yield "static-server", "If-Range other", get("/page.html", "Range: bytes=0-1", 'If-Range: "other"')
    yield "static-server", "Accept-Encoding gzip", get("/packed.js", "Accept-Encoding: gzip")
    yield "static-server", "gzip refused", get("/packed.js", "Accept-Encoding: gzip;q=0")
    yield "static-server", "gzip and Range", get("/packed.js", "Accept-Encoding: gzip", "Range: bytes=0-3")
    for name, value in [("If-None-Match", "*"), ("If-None-Match", '"other"'), ("If-None-Match", "ETAG"), ("If-None-Match", "W/ETAG"),
                        ("If-None-Match", '"a", ETAG'), ("If-Match", '"other"'), ("If-Match", "ETAG"), ("If-Match", "*"),
                        ("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT"),
                        ("If-Modified-Since", "yesterday"), ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT")]:
        for method in ["GET", "HEAD"]:
            yield "static-server", f"{method} {name} {value}", get("/page.html", f"{name}: {value}", method=method)
    for path in ["/", "/api/hello", "/api/hello?name=%C3%A9%00", "/api/counter", "/api/stats", "/api/echo/a%0d%0ab", "/none", "/api/none"]:
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]:
            for server in ["http-server", "rest-server"]:
                yield server, f"{method} {path}", get(path, "Content-Length: 2", method=method, body=b"{}")
    for path in ["/api/things", "/api/things/1", "/api/things/999999", "/api/things/x"]:
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]:
            body = b'{"name": "a"}'
            yield "rest-server", f"{method} {path}", get(path, "Content-Type: application/json", f"Content-Length: {len(body)}", method=method,
                                                         body=body)
            yield "rest-server", f"{method} {path} bad JSON", get(path, "Content-Length: 1", method=method, body=b"{")


def odd():
    target, ok = "/api/echo", "Content-Length: 3"
    for name, raw in {
        "HTTP/1.0": f"GET {target} HTTP/1.0\r\n\r\n",
        "HTTP/1.0 keep-alive": f"GET {target} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/0.9": f"GET {target}\r\n\r\n",
        "HTTP/1.2": f"GET {target} HTTP/1.2\r\nHost: a\r\n\r\n",
        "HTTP/2.0": f"GET {target} HTTP/2.0\r\nHost: a\r\n\r\n",
        "HTTP/2 preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "no version": "GET\r\n\r\n",
        "lower case version": f"GET {target} http/1.1\r\nHost: a\r\n\r\n",
        "two spaces": f"GET  {target} HTTP/1.1\r\nHost: a\r\n\r\n",
        "tabs": f"GET\t{target}\tHTTP/1.1\r\nHost: a\r\n\r\n",
        "space in target": "GET /api/e cho HTTP/1.1\r\nHost: a\r\n\r\n",
        "absolute target": f"GET http://a{target} HTTP/1.1\r\nHost: a\r\n\r\n",
        "asterisk": "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "authority": "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "no slash": "GET api HTTP/1.1\r\nHost: a\r\n\r\n",
        "fragment": f"GET {target}#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "empty lines before": f"\r\n\r\nGET {target} HTTP/1.1\r\nHost: a\r\n\r\n",
        "bare LF": f"GET {target} HTTP/1.1\nHost: a\n\n",
        "bare CR": f"GET {target} HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        "no Host": f"GET {target} HTTP/1.1\r\n\r\n",
        "two Hosts": f"GET {target} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "empty Host": f"GET {target} HTTP/1.1\r\nHost:\r\n\r\n",
        "bad Host": f"GET {target} HTTP/1.1\r\nHost: a b\r\n\r\n",
        "folded": f"GET {target} HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
        "space before colon": f"GET {target} HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n",
        "space before first field": f"GET {target} HTTP/1.1\r\n Host: a\r\n\r\n",
        "no colon": f"GET {target} HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "empty name": f"GET {target} HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
        "NUL in value": f"GET {target} HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        "bytes above 127": f"GET {target} HTTP/1.1\r\nHost: a\r\nX: \xe9\r\n\r\n",
        "control in name": f"GET {target} HTTP/1.1\r\nHost: a\r\nX\x01: b\r\n\r\n",
        "200 fields": f"GET {target} HTTP/1.1\r\nHost: a\r\n" + "".join(f"X{i}: b\r\n" for i in range(200)) + "\r\n",
        "long target": f"GET /{'a' * 20000} HTTP/1.1\r\nHost: a\r\n\r\n",
        "long field": f"GET {target} HTTP/1.1\r\nHost: a\r\nX: {'a' * 40000}\r\n\r\n",
        "long method": f"{'A' * 5000} {target} HTTP/1.1\r\nHost: a\r\n\r\n",
        "body of GET": f"GET {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\n\r\nabc",
        "Content-Length twice the same": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\n{ok}\r\n\r\nabc",
        "Content-Length 3, 3": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}, 3\r\n\r\nabc",
        "Content-Length 3 and 4": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\nContent-Length: 4\r\n\r\nabc",
        "Content-Length +3": f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
        "Content-Length -1": f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nabc",
        "Content-Length 0x3": f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
        "Content-Length empty": f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc",
        "Content-Length 2^64": f"POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc",
        "both framings": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "chunked": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "chunked with trailers": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: b\r\n\r\n",
        "chunk extension": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n",
        "chunk size bad": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n",
        "chunk size 0x3": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        "chunk size 2^64": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n",
        "chunk without CRLF": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        "chunked, bare LF": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
        "chunked in HTTP/1.0": f"POST {target} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "gzip, chunked": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "chunked, identity": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "chunked twice": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "xchunked": f"POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Expect": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\nExpect: 100-continue\r\n\r\nabc",
        "unknown Expect": f"POST {target} HTTP/1.1\r\nHost: a\r\n{ok}\r\nExpect: tea\r\n\r\nabc",
        "Connection: close": f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "Connection: CLOSE, x": f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n",
        "Upgrade unknown": f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: tea\r\n\r\n",
        "Upgrade h2c": f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "TE": f"GET {target} HTTP/1.1\r\nHost: a\r\nTE: trailers, gzip\r\nConnection: TE\r\n\r\n",
        "TLS hello": "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
    }.items():
        yield "http-server", name, raw.encode("latin-1")


# What RFC 9112 wants of a server for these; whatever is not named here may be answered in any valid way.
MUST_REFUSE = {"no Host", "two Hosts", "bad Host", "space before colon", "space before first field", "no colon", "empty name", "NUL in value", "control in name",
               "Content-Length 3 and 4", "Content-Length +3", "Content-Length -1", "Content-Length 0x3", "Content-Length empty",
               "Content-Length 2^64", "chunk size bad", "chunk size 0x3", "chunk size 2^64", "chunk without CRLF", "xchunked",
               "chunked, identity", "bare CR", "no version", "lower case version"}
# What holds of any answer to whatever request: one case.
ANY = {"DATE_CLOCKLESS", "DATE_CLOCKLESS_BAD_HDR", "NO_DATE_304", "FRESHNESS_HEURISTIC"}


def exchange(port, data, wait=5):
    """All bytes until the server closes, or has been silent; and whether it closed."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), 5) as s:
        s.sendall(data)
        # Nothing more comes: a server that waits for more of this request closes or answers now.
        s.shutdown(socket.SHUT_WR)
        s.settimeout(wait)
        try:
            while piece := s.recv(65536):
                got += piece
        except socket.timeout:
            return got, False
        except ConnectionResetError:
            pass
    return got, True


def answers(data, methods):
    """The answers in `data`, as h11 reads them: (status line and fields, body)."""
    import h11
    list_ = []
    c = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    c.receive_data(data)
    for method in methods:
        if method == "CONNECT":
            method = "GET"  # nobody makes a tunnel here
        c.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
        c.send(h11.EndOfMessage())
        head, body = None, b""
        while True:
            e = c.next_event()
            if e is h11.NEED_DATA:
                if head is None:
                    return list_, c.trailing_data[0]
                c.receive_data(b"")
            elif isinstance(e, h11.InformationalResponse):
                if e.status_code == 101:
                    raise h11.RemoteProtocolError("101")
            elif isinstance(e, h11.Response):
                head = e
            elif isinstance(e, h11.Data):
                body += bytes(e.data)
            elif isinstance(e, h11.EndOfMessage):
                break
            else:
                raise h11.RemoteProtocolError(f"{type(e).__name__}")
        list_.append((head, body))
        if c.their_state is not h11.DONE or c.our_state is not h11.DONE:
            break
        c.start_next_cycle()
    return list_, c.trailing_data[0]


def lint(head, body, method):
    from httplint import HttpResponseLinter
    l = HttpResponseLinter(start_time=time.time())
    l.is_head_response = method == "HEAD"
    l.process_response_topline(b"HTTP/" + head.http_version, str(head.status_code).encode(), head.reason)
    l.process_headers([(bytes(n), bytes(v)) for n, v in head.headers.raw_items()])
    l.feed_content(body)
    l.finish_content(True)
    for note in l.notes:
        # STATUS_ comments on the request, by way of the status.
        if note.level.value in ("bad", "warning") and not type(note).__name__.startswith("STATUS_"):
            yield type(note).__name__


def total(servers, quick):
    return len(list(good())) + len(list(odd())) + 1  # any answer


def run(servers, quick):
    sys.path.insert(0, str(servers.need("python")))
    try:
        import h11
        import httplint  # noqa: F401
    except ImportError as e:
        raise Missing(e.name) from e
    www = servers.dir()
    (www / "dir").mkdir()
    for name, text in {"page.html": "<!DOCTYPE html><title>t</title>", "empty.txt": "", "sp ace.txt": "x", "data.json": "{}", "dir/a.txt": "a"}.items():
        (www / name).write_text(text)
    (www / "packed.js").write_text("let a;\n")
    (www / "packed.js.gz").write_bytes(gzip.compress(b"let a;\n"))
    ports = {"static-server": servers.start("static-server", "-r", www), "http-server": servers.start("http-server"),
             "rest-server": servers.start("rest-server")}
    etag = next(v for n, v in answers(exchange(ports["static-server"], get("/page.html"))[0], ["GET"])[0][0][0].headers if n == b"etag")
    before = {"static-server": "/empty.txt", "http-server": "/api/stats", "rest-server": "/"}
    for server, name, raw in list(good()) + list(odd()):
        case = f"{server} {name}"
        raw = raw.replace(b"ETAG", etag)
        method = raw.lstrip().split(None, 1)[0].decode("latin-1") if raw.strip() else ""
        data, closed = exchange(ports[server], get(before[server]) + raw + get(before[server]))
        yield case, None
        if not closed:
            yield case, "the connection stays open after the client's end"
        if not (method.isalpha() and len(method) < 100):
            method = "GET"
        try:
            list_, rest = answers(data, ["GET", method, "GET"])
        except h11.RemoteProtocolError as e:
            yield case, f"h11: {e}"
            continue
        if rest:
            yield case, f"{len(rest)} bytes belong to no answer"
        if not list_:
            yield case, "the request before has no answer"
        for head, body in list_[1:2]:
            if name in MUST_REFUSE and server == "http-server" and not 400 <= head.status_code < 600:
                yield case, f"status {head.status_code}"
            for note in sorted(set(lint(head, body, method))):
                yield "any answer" if note in ANY else case, note
        if name in MUST_REFUSE and len(list_) > 2:
            yield case, "the connection goes on after a malformed request"
