"""Web server and networking library: HTTP, WebSocket, MQTT, TLS, timers, and servers that end without losing an answer.

    from libmongoose import MG_EV_HTTP_MSG, Manager

    def handler(conn, ev, data):
        if ev == MG_EV_HTTP_MSG:
            conn.reply(200, "hello")

    with Manager(handler) as manager:
        manager.listen("http://0.0.0.0:8000")
        manager.run(drain_on=True)

A manager and its connections belong to the thread that polls it. Other threads may call `Manager.wakeup`, `send_to`,
`send_ws_to`, `interrupt` and `drain`. For asyncio see `libmongoose.aio`.
"""
from __future__ import annotations

import ctypes as ct
import signal as _signal
import sys
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional, Union

from . import _ffi
from ._ffi import const, lib, view

__version__ = lib.mgx_version().decode()
Text = Union[str, bytes]
Headers = Union[None, Text, Mapping[str, str], Iterable["tuple[str, str]"]]
Handler = Callable[["Connection", int, Any], None]

_NAMES = """MG_EV_ERROR MG_EV_OPEN MG_EV_POLL MG_EV_RESOLVE MG_EV_CONNECT MG_EV_ACCEPT MG_EV_TLS_HS MG_EV_READ MG_EV_WRITE
MG_EV_CLOSE MG_EV_HTTP_HDRS MG_EV_HTTP_MSG MG_EV_WS_OPEN MG_EV_WS_MSG MG_EV_WS_CTL MG_EV_MQTT_CMD MG_EV_MQTT_MSG MG_EV_MQTT_OPEN
MG_EV_SNTP_TIME MG_EV_WAKEUP MG_EV_USER WEBSOCKET_OP_TEXT WEBSOCKET_OP_BINARY WEBSOCKET_OP_CLOSE WEBSOCKET_OP_PING
WEBSOCKET_OP_PONG MGX_EV_DRAIN MGX_EV_BACKPRESSURE MG_LL_NONE MG_LL_ERROR MG_LL_INFO MG_LL_DEBUG MG_LL_VERBOSE MG_TIMER_ONCE
MG_TIMER_REPEAT MG_TIMER_RUN_NOW""".split()
globals().update({name: const(name) for name in _NAMES})


def __getattr__(name: str) -> int:
    """Every other constant of the C API."""
    if name.startswith(("MG_", "MGX_", "MQTT_", "WEBSOCKET_")):
        return const(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class Phase(IntEnum):
    """Steps of the shutdown of a manager."""

    RUNNING, LAME_DUCK, IDLE_GRACE, FINISHING, DONE = range(5)


class CloseReason(IntEnum):
    """Why a connection ended."""

    (NONE, DRAINED, PEER_CLOSED, RESET, CLOSED_BY_USER, FLUSH_TIMEOUT, RESPONSE_TIMEOUT, FORCED, IDLE_TIMEOUT, HEADER_TIMEOUT,
     BODY_TIMEOUT, LIMIT, ERROR) = range(13)


def _bytes(text: Text | None) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text or b"")


def _header_lines(headers: Headers) -> bytes:
    if headers is None or isinstance(headers, (str, bytes)):
        text = _bytes(headers)
        return text if not text or text.endswith(b"\r\n") else text + b"\r\n"
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = []
    for name, value in pairs:
        line = f"{name}: {value}"
        if "\r" in line or "\n" in line:
            raise ValueError(f"line break in header {name!r}")
        lines.append(line + "\r\n")
    return "".join(lines).encode()


class HttpMessage:
    """A request or response. Valid in the handler; what its attributes return is a copy."""

    def __init__(self, at: int, whole: bool):
        self._at, self._whole = at, whole

    def _part(self, name: str) -> str:
        return (view(getattr(lib, f"mgx_http_{name}"), self._at) or b"").decode("utf-8", "replace")

    method = property(lambda self: self._part("method"), doc="Request: the method.")
    uri = property(lambda self: self._part("uri"), doc="Request: the path, percent-encoded.")
    query = property(lambda self: self._part("query"), doc="What follows the `?`.")
    proto = property(lambda self: self._part("proto"), doc="Request: the protocol version.")

    @property
    def status(self) -> int:
        """Response: the status code."""
        return lib.mgx_http_status(self._at)

    @property
    def body(self) -> bytes:
        """The body, in MG_EV_HTTP_MSG. Elsewhere empty: the length is the one that was announced, and the bytes have not arrived."""
        return (self._whole and view(lib.mgx_http_body, self._at)) or b""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    def header(self, name: str, default: Optional[str] = None) -> Optional[str]:
        """The first header of this name, in any case."""
        value = view(lib.mgx_http_header, self._at, name.encode())
        return default if value is None else value.decode("utf-8", "replace")

    @property
    def headers(self) -> "list[tuple[str, str]]":
        name, value, n, v = ct.c_void_p(), ct.c_void_p(), ct.c_size_t(), ct.c_size_t()
        found: list[tuple[str, str]] = []
        while lib.mgx_http_header_at(self._at, len(found), ct.byref(name), ct.byref(n), ct.byref(value), ct.byref(v)):
            parts = [ct.string_at(p.value, size.value) if p.value else b"" for p, size in ((name, n), (value, v))]
            found.append((parts[0].decode("utf-8", "replace"), parts[1].decode("utf-8", "replace")))
        return found


@dataclass(frozen=True)
class WsMessage:
    """A WebSocket message or control frame."""

    data: bytes
    op: int

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class MqttMessage:
    """A published message."""

    topic: str
    data: bytes
    qos: int
    id: int

    @property
    def text(self) -> str:
        return self.data.decode("utf-8", "replace")


@dataclass(frozen=True)
class TlsOptions:
    """PEM texts. A client checks the server against `ca`; a server needs `cert` and `key`."""

    ca: Text = b""
    cert: Text = b""
    key: Text = b""
    name: Text = b""
    skip_verification: bool = False


@dataclass
class DrainOptions:
    """See struct mgx_drain_opts. 0: the default; -1: no limit."""

    idle_grace_ms: int = 0
    response_timeout_ms: int = 0
    flush_timeout_ms: int = 0
    linger_total_ms: int = 0
    linger_idle_ms: int = 0
    linger_bytes: int = 0
    ws_close_code: int = 0
    ws_close_reason: Text = b""
    ws_close_timeout_ms: int = 0

    def _c(self) -> _ffi.DrainOpts:
        values = {k: v for k, v in vars(self).items() if k != "ws_close_reason"}
        return _ffi.DrainOpts(**values, ws_close_reason=_bytes(self.ws_close_reason) or None)


class Timer:
    """What `Manager.timer` returns."""

    def __init__(self, manager: "Manager", ms: int, repeat: bool, run_now: bool, fn: Callable[[], None]):
        self._manager, self._repeat, self._fn = manager, repeat, fn
        self._c = _ffi.TIMER(self._call)
        flags = (const("MG_TIMER_REPEAT") if repeat else 0) | (const("MG_TIMER_RUN_NOW") if run_now else 0)
        manager._timers.add(self)
        self._at = lib.mg_timer_add(manager._at, ms, flags, self._c, None)
        manager._touched()

    def _call(self, _arg: int) -> None:
        if not self._repeat:
            self._manager._timers.discard(self)
            self._at = None  # the library frees it after this call
            self._manager._retired.append(self)
        self._manager._guard(self._fn)

    def cancel(self) -> None:
        """Does nothing when it is over."""
        if self._at and self in self._manager._timers:
            lib.mgx_timer_cancel(self._manager._m(), self._at)
            self._manager._timers.discard(self)
            self._manager._retired.append(self)
        self._at = None


class Connection:
    """A listener, an accepted or a client connection. After MG_EV_CLOSE its methods raise `ConnectionError`."""

    def __init__(self, manager: "Manager", at: int, handler: Optional[Handler]):
        self.manager, self._at, self.handler = manager, at, handler
        self.id: int = lib.mgx_conn_id(at)
        self.user_data: Any = None

    def __repr__(self) -> str:
        return f"<Connection {self.id}{'' if self._at else ' closed'}>"

    def _c(self) -> int:
        if self._at is None:
            raise ConnectionError(f"connection {self.id} is closed")
        self.manager._touched()
        return self._at

    def send(self, data: Text) -> bool:
        """Queues bytes. False when out of memory."""
        data = _bytes(data)
        return lib.mgx_send(self._c(), data, len(data))

    def reply(self, status: int, body: Text = b"", headers: Headers = None) -> None:
        """Queues a whole HTTP answer."""
        body = _bytes(body)
        lib.mgx_http_reply(self._c(), status, _header_lines(headers), body, len(body))

    def reply_json(self, value: Any, status: int = 200) -> None:
        import json

        self.reply(status, json.dumps(value) + "\n", {"Content-Type": "application/json"})

    def begin(self, status: int = 200, headers: Headers = None) -> None:
        """Begins an answer in chunks; `chunk` goes on, `end` ends it."""
        lib.mgx_http_begin(self._c(), status, _header_lines(headers))

    def chunk(self, data: Text) -> None:
        data = _bytes(data)
        if data:
            lib.mgx_http_chunk(self._c(), data, len(data))

    def end(self) -> None:
        lib.mgx_http_chunk(self._c(), None, 0)

    def request(self, method: str, uri: str, headers: Headers = None, body: Text = b"", host: str = "localhost") -> None:
        """Queues an HTTP request, on a client."""
        body = _bytes(body)
        lines = _header_lines(headers)
        if not any(line.lower().startswith(b"host:") for line in lines.split(b"\r\n")):
            lines += f"Host: {host}\r\n".encode()
        self.send(f"{method} {uri} HTTP/1.1\r\n".encode() + lines + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    def ws_upgrade(self, message: HttpMessage, headers: Headers = None) -> None:
        """In MG_EV_HTTP_MSG: makes a WebSocket of the connection."""
        lib.mgx_ws_upgrade(self._c(), message._at, _header_lines(headers))

    def ws_send(self, data: Text, op: Optional[int] = None) -> int:
        """One message: `str` as text, `bytes` as binary, unless `op` says otherwise."""
        op = const("WEBSOCKET_OP_TEXT" if isinstance(data, str) else "WEBSOCKET_OP_BINARY") if op is None else op
        data = _bytes(data)
        return lib.mgx_ws_send(self._c(), op, data, len(data))

    def ws_close(self, code: int = 1000, reason: str = "") -> None:
        lib.mgx_ws_close(self._c(), code, reason.encode() or None)

    def mqtt_subscribe(self, topic: str, qos: int = 0) -> None:
        lib.mg_mqtt_sub(self._c(), _ffi.MqttOpts(topic=_ffi.Str.of(topic), qos=qos))

    def mqtt_publish(self, topic: str, message: Text, qos: int = 0, retain: bool = False) -> int:
        """Returns the packet id."""
        opts = _ffi.MqttOpts(topic=_ffi.Str.of(topic), message=_ffi.Str.of(message), qos=qos, retain=retain)
        return lib.mg_mqtt_pub(self._c(), opts)

    def mqtt_disconnect(self) -> None:
        lib.mg_mqtt_disconnect(self._c(), _ffi.MqttOpts())

    def tls_init(self, options: TlsOptions) -> None:
        """In MG_EV_ACCEPT on a server, after `Manager.connect` on a client."""
        o = _ffi.TlsOpts(*(_ffi.Str.of(getattr(options, name)) for name in ("ca", "cert", "key", "name")), options.skip_verification)
        lib.mg_tls_init(self._c(), o)

    def drain(self, options: Optional[DrainOptions] = None) -> bool:
        """Ends the connection in order: answers what was asked, sends what is queued, closes."""
        return lib.mgx_conn_drain(self._c(), options._c() if options else None)

    def close(self) -> None:
        """Closes in the next poll and discards what was not sent. Fine on a closed connection."""
        if self._at is not None:
            lib.mgx_conn_close(self._c())

    def abort(self) -> None:
        """Closes with a reset."""
        lib.mgx_conn_abort(self._c())

    def error(self, text: str) -> None:
        """Raises MG_EV_ERROR and closes."""
        lib.mgx_error(self._c(), text.encode())

    @property
    def recv(self) -> bytes:
        """Received bytes that nobody has consumed."""
        return view(lib.mgx_conn_recv, self._c()) or b""

    def consume(self, n: Optional[int] = None) -> bytes:
        """Takes received bytes, all of them without `n`."""
        data = self.recv if n is None else self.recv[:n]
        lib.mgx_conn_consume(self._c(), len(data))
        return data

    def _address(self, f) -> str:
        buf = ct.create_string_buffer(80)
        f(self._c(), buf, len(buf))
        return buf.value.decode()

    @property
    def remote(self) -> str:
        """`1.2.3.4:80` or `[::1]:80`."""
        return self._address(lib.mgx_conn_remote)

    @property
    def local(self) -> str:
        return self._address(lib.mgx_conn_local)

    @property
    def port(self) -> int:
        """The local port."""
        return int(self.local.rpartition(":")[2])

    @property
    def send_queue(self) -> int:
        """Bytes waiting to be sent."""
        return lib.mgx_conn_send_queue(self._c())

    @property
    def close_reason(self) -> CloseReason:
        """In MG_EV_CLOSE."""
        return CloseReason(lib.mgx_close_reason(self._c()))

    @property
    def unsent(self) -> int:
        """In MG_EV_CLOSE: bytes that did not reach the kernel."""
        return lib.mgx_close_unsent(self._c())


def _flag(name: str, settable: bool) -> property:
    number = const(f"MGX_{name.upper()}")

    def get(self: Connection) -> bool:
        return lib.mgx_conn_flag(self._at, number)

    def put(self: Connection, on: bool) -> None:
        lib.mgx_conn_set_flag(self._c(), number, bool(on))

    return property(get, put if settable else None)


for _name in "listening client accepted resolving connecting tls tls_hs udp websocket readable writable".split():
    setattr(Connection, f"is_{_name}", _flag(f"is_{_name}", False))
for _name in "draining closing full resp hexdumping".split():
    setattr(Connection, f"is_{_name}", _flag(f"is_{_name}", True))


class Manager:
    """Owns connections and timers. `handler(conn, ev, data)` is for all that have none of their own."""

    def __init__(self, handler: Optional[Handler] = None):
        self._at = lib.mgx_mgr_new()
        if not self._at:
            raise MemoryError("mgx_mgr_new")
        self.handler = handler
        self._conns: dict[int, Connection] = {}
        self._timers: set[Timer] = set()
        self._retired: list[Timer] = []
        # Handlers by the number in fn_data, which accepted connections inherit.
        self._handlers: dict[int, Handler] = {}
        self._failure: Optional[BaseException] = None
        self._polling = 0
        self.on_touched: Optional[Callable[[], None]] = None
        self._c = _ffi.HANDLER(self._event)
        self._kinds = {const(f"MG_EV_{n}"): make for n, make in _DATA.items()}
        self._close, self._poll = const("MG_EV_CLOSE"), const("MG_EV_POLL")
        lib.mg_wakeup_init(self._at)
        self._pipe = lib.mgx_mgr_first(self._at)  # of the wakeups: no connection of the program's

    def __enter__(self) -> "Manager":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _m(self) -> int:
        if self._at is None:
            raise RuntimeError("the manager is closed")
        return self._at

    def _touched(self) -> None:
        """Something happened between two polls: a loop that this manager is a guest of must look at it again."""
        if self.on_touched and not self._polling:
            self.on_touched()

    def _guard(self, fn: Callable[..., None], *args: Any) -> None:
        """Exceptions cannot pass through C: the first comes out of `poll`."""
        try:
            fn(*args)
        except BaseException as e:
            self._failure = self._failure or e

    def _event(self, c: int, ev: int, data: int) -> None:
        conn = self._conns.get(c)
        if conn is None:
            conn = self._conns[c] = Connection(self, c, self._handlers.get(lib.mgx_conn_user_data(c) or 0))
        handler = conn.handler or self.handler
        if handler and (ev != self._poll or getattr(handler, "wants_poll", True)):
            make = self._kinds.get(ev)
            self._guard(handler, conn, ev, make(data) if make and data else None)
        if ev == self._close:
            self._conns.pop(c, None)
            conn._at = None

    def _open(self, f, url: str, handler: Optional[Handler], *args: Any) -> Connection:
        key = None
        if handler is not None:
            key = next((k for k, h in self._handlers.items() if h is handler), len(self._handlers) + 1)
            self._handlers[key] = handler
        at = f(self._m(), url.encode(), *args, self._c, key)
        if not at:
            raise OSError(f"cannot open {url}; the log says why")
        conn = self._conns.get(at)
        if conn is None:
            conn = self._conns[at] = Connection(self, at, handler)
        self._touched()
        return conn

    def listen(self, url: str, handler: Optional[Handler] = None, http: Optional[bool] = None) -> Connection:
        """A listener; for HTTP when the URL's scheme, or `http`, says so. Port 0: any; see `Connection.port`."""
        http = url.split(":")[0] in ("http", "https", "ws", "wss") if http is None else http
        return self._open(lib.mg_http_listen if http else lib.mg_listen, url, handler)

    def connect(self, url: str, handler: Optional[Handler] = None, http: Optional[bool] = None) -> Connection:
        """A client; MG_EV_CONNECT says when it is up. Send with `Connection.request` or `send`, at once if you like."""
        http = url.split(":")[0] in ("http", "https") if http is None else http
        return self._open(lib.mg_http_connect if http else lib.mg_connect, url, handler)

    def ws_connect(self, url: str, handler: Optional[Handler] = None, headers: Headers = None) -> Connection:
        lines = _header_lines(headers)
        return self._open(lambda at, url, fn, key: lib.mgx_ws_connect(at, url, fn, key, lines), url, handler)

    def mqtt_connect(self, url: str, handler: Optional[Handler] = None, *, client_id: str = "", username: str = "",
                     password: str = "", keepalive: int = 0, clean: bool = True, version: int = 4) -> Connection:
        o = _ffi.MqttOpts(_ffi.Str.of(username), _ffi.Str.of(password), _ffi.Str.of(client_id), version=version)
        o.keepalive, o.clean = keepalive, clean
        return self._open(lib.mg_mqtt_connect, url, handler, o)

    def timer(self, ms: int, fn: Callable[[], None], *, repeat: bool = False, run_now: bool = False) -> Timer:
        """Calls `fn()` in `ms` milliseconds, or every `ms`."""
        self._m()
        return Timer(self, ms, repeat, run_now, fn)

    @property
    def connections(self) -> "list[Connection]":
        """All of them, newest first."""
        found, at = [], lib.mgx_mgr_first(self._m())
        while at:
            if at != self._pipe:
                found.append(self._conns.get(at) or self._conns.setdefault(at, Connection(self, at, None)))
            at = lib.mgx_conn_next(at)
        return found

    def poll(self, ms: int = 1000) -> None:
        """One round of the event loop. What a handler raises comes out here."""
        self._polling += 1
        try:
            lib.mg_mgr_poll(self._m(), ms)
        finally:
            self._polling -= 1
            self._retired.clear()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def run(self, *, drain_on: Union[bool, Iterable[int]] = False, **options: Any) -> None:
        """Polls until a drain is done. `drain_on` names the signals that start one; True: SIGTERM and SIGINT."""
        signals = (_signal.SIGTERM, _signal.SIGINT) if drain_on is True else drain_on or ()
        for signo in signals:
            self.drain_on_signal(signo, **options)
        while self.phase != Phase.DONE:
            self.poll(1000)

    def _drain_options(self, lame_duck_ms=0, idle_grace_ms=0, deadline_ms=0, spread_ms=0, conn: Optional[DrainOptions] = None):
        return _ffi.MgrDrainOpts(lame_duck_ms, idle_grace_ms, deadline_ms, spread_ms, (conn or DrainOptions())._c())

    def drain(self, **options: Any) -> bool:
        """Starts the graceful shutdown; `poll` does the rest. Options: those of struct mgx_mgr_drain_opts. From any thread."""
        return lib.mgx_mgr_drain(self._m(), self._drain_options(**options))

    def drain_on_signal(self, signo: int, **options: Any) -> None:
        """Has a signal start the drain. It replaces a Python handler of that signal until the manager is closed."""
        if not lib.mgx_mgr_drain_on_signal(self._m(), signo, self._drain_options(**options)):
            raise OSError(f"signal {signo} cannot be caught")

    def drain_cancel(self) -> bool:
        """Goes back to normal work, in the lame duck phase."""
        return lib.mgx_mgr_drain_cancel(self._m())

    @property
    def phase(self) -> Phase:
        return Phase(lib.mgx_mgr_phase(self._m()))

    @property
    def drain_status(self) -> "dict[str, int]":
        s = _ffi.DrainStatus()
        lib.mgx_mgr_drain_status(self._m(), s)
        return {name: getattr(s, name) for name, *_ in s._fields_}

    def wakeup(self, conn_id: int, data: Text = b"") -> bool:
        """From any thread: MG_EV_WAKEUP with these bytes on the connection with this id."""
        data = _bytes(data)
        return lib.mg_wakeup(self._m(), conn_id, data, len(data))

    def send_to(self, conn_id: int, data: Text) -> bool:
        """From any thread: queues bytes on the connection with this id."""
        data = _bytes(data)
        return lib.mgx_send_to(self._m(), conn_id, data, len(data))

    def send_ws_to(self, conn_id: int, data: Text, op: Optional[int] = None) -> bool:
        """From any thread: `Connection.ws_send` on the connection with this id."""
        op = const("WEBSOCKET_OP_TEXT" if isinstance(data, str) else "WEBSOCKET_OP_BINARY") if op is None else op
        data = _bytes(data)
        return lib.mgx_send_ws_to(self._m(), conn_id, op, data, len(data))

    def interrupt(self) -> bool:
        """From any thread: ends the wait of `poll`."""
        return lib.mgx_wakeup_mgr(self._m())

    def fileno(self) -> int:
        """Readable when `poll(0)` has something to do: for select and other loops."""
        return lib.mgx_mgr_fd(self._m())

    def timeout_ms(self) -> int:
        """How long another loop may wait for `fileno`; -1: without limit."""
        return lib.mgx_mgr_timeout_ms(self._m())

    def close(self) -> None:
        """Closes everything at once; each connection gets MG_EV_CLOSE. See `drain` for the polite way."""
        if self._at is None:
            return
        at, self._polling = self._at, self._polling + 1
        lib.mgx_mgr_delete(at)
        self._at = None
        self._timers.clear()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure


def _ws(at: int) -> WsMessage:
    return WsMessage(view(lib.mgx_ws_data, at) or b"", lib.mgx_ws_flags(at) & 15)


def _mqtt(at: int) -> MqttMessage:
    topic = (view(lib.mgx_mqtt_topic, at) or b"").decode("utf-8", "replace")
    return MqttMessage(topic, view(lib.mgx_mqtt_payload, at) or b"", lib.mgx_mqtt_qos(at), lib.mgx_mqtt_id(at))


def _number(kind) -> Callable[[int], int]:
    return lambda at: kind.from_address(at).value


_DATA: "dict[str, Callable[[int], Any]]" = {
    "ERROR": lambda at: ct.string_at(at).decode("utf-8", "replace"),
    "POLL": _number(ct.c_uint64),
    "READ": _number(ct.c_long),
    "WRITE": _number(ct.c_long),
    "HTTP_HDRS": lambda at: HttpMessage(at, False),
    "HTTP_MSG": lambda at: HttpMessage(at, True),
    "WS_OPEN": lambda at: HttpMessage(at, False),
    "WS_MSG": _ws,
    "WS_CTL": _ws,
    "MQTT_MSG": _mqtt,
    "MQTT_OPEN": _number(ct.c_int),
    "SNTP_TIME": _number(ct.c_uint64),
    "WAKEUP": lambda at: view(lib.mgx_str_data, at) or b"",
}


def log_set(level: int) -> None:
    """What the library logs: MG_LL_NONE to MG_LL_VERBOSE."""
    lib.mgx_log_set(level)


def log(level: int, text: str) -> None:
    """Writes to the library's log."""
    sys.stdout.flush()
    lib.mgx_log(level, text.encode())
