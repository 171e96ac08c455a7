"""An HTTP server in Python: what the author of a binding needs of the library, without bit fields and without variadic functions.

usage: binding.py path/to/libmongoose.so
"""
import ctypes as ct
import http.client
import sys
import threading

lib = ct.CDLL(sys.argv[1])

EV_ACCEPT, EV_CLOSE, EV_HTTP_MSG, EV_DRAIN = 5, 9, 11, 0x4D470001
ACTIVE, DRAINING, FLUSHING, CLOSED = range(4)
REASON_DRAINED = 1
RUNNING, DONE = 0, 4
IS_LISTENING, IS_ACCEPTED, IS_DRAINING, IS_RESP, IS_READABLE = 0, 2, 12, 16, 17


class Str(ct.Structure):
    _fields_ = [("buf", ct.POINTER(ct.c_char)), ("len", ct.c_size_t)]

    def __bytes__(self):
        return self.buf[: self.len] if self.len else b""


class Header(ct.Structure):
    _fields_ = [("name", Str), ("value", Str)]


class Message(ct.Structure):
    _fields_ = [("method", Str), ("uri", Str), ("query", Str), ("proto", Str), ("headers", Header * 30)]
    _fields_ += [("body", Str), ("head", Str), ("message", Str)]


class ConnDrain(ct.Structure):
    _fields_ = [(name, ct.c_int) for name in ("idle_grace_ms", "response_ms", "flush_ms", "linger_total_ms", "linger_idle_ms")]
    _fields_ += [("linger_bytes", ct.c_size_t), ("ws_code", ct.c_int), ("ws_reason", ct.c_char_p), ("ws_ms", ct.c_int)]


class Drain(ct.Structure):
    _fields_ = [(name, ct.c_int) for name in ("lame_duck_ms", "idle_grace_ms", "deadline_ms", "spread_ms")]
    _fields_ += [("conn", ConnDrain)]


class Status(ct.Structure):
    _fields_ = [("phase", ct.c_int)]
    _fields_ += [
        (name, ct.c_size_t)
        for name in "listeners idle active pending flushing websockets lingering served drained forced unsent_bytes".split()
    ]
    _fields_ += [("elapsed_ms", ct.c_uint64), ("remaining_ms", ct.c_uint64)]


class Limits(ct.Structure):
    _fields_ = [("max_conns", ct.c_size_t), ("max_conns_per_ip", ct.c_size_t)]
    _fields_ += [(name, ct.c_int) for name in ("header_ms", "body_ms", "idle_ms", "write_ms")]
    _fields_ += [(name, ct.c_size_t) for name in ("header_bytes", "body_bytes", "ws_message", "send_queue")]
    _fields_ += [("max_requests", ct.c_uint), ("half_close_ms", ct.c_int), ("connect_timeout_ms", ct.c_int)]
    _fields_ += [("max_memory", ct.c_size_t)]


class Stats(ct.Structure):
    _fields_ = [
        (name, ct.c_uint64)
        for name in "accepted refused requests bytes_in bytes_out timeouts drained forced resets".split()
    ]
    _fields_ += [("conns", ct.c_size_t)]


HANDLER = ct.CFUNCTYPE(None, ct.c_void_p, ct.c_int, ct.c_void_p)
P, SIZE, INT, BOOL, TEXT = ct.c_void_p, ct.c_size_t, ct.c_int, ct.c_bool, ct.c_char_p


def declare(result, name, *args):
    function = getattr(lib, name)
    function.restype, function.argtypes = result, args
    return function


sizeof = declare(SIZE, "mgx_sizeof", TEXT)
mgr_new = declare(P, "mgx_mgr_new")
mgr_delete = declare(None, "mgx_mgr_delete", P)
mgr_poll = declare(None, "mg_mgr_poll", P, INT)
http_listen = declare(P, "mg_http_listen", P, TEXT, HANDLER, P)
reply = declare(None, "mgx_http_reply", P, INT, TEXT, P, SIZE)
get_flag = declare(BOOL, "mgx_conn_flag", P, INT)
set_flag = declare(BOOL, "mgx_conn_set_flag", P, INT, BOOL)
conn_id = declare(ct.c_ulong, "mgx_conn_id", P)
conn_drain = declare(BOOL, "mgx_conn_drain", P, ct.POINTER(ConnDrain))
conn_phase = declare(INT, "mgx_conn_phase", P)
conn_local = declare(SIZE, "mgx_conn_local", P, TEXT, SIZE)
conn_remote = declare(SIZE, "mgx_conn_remote", P, TEXT, SIZE)
send_queue = declare(SIZE, "mgx_conn_send_queue", P)
user_data = declare(P, "mgx_conn_user_data", P)
set_user_data = declare(None, "mgx_conn_set_user_data", P, P)
close_reason = declare(INT, "mgx_close_reason", P)
mgr_drain = declare(BOOL, "mgx_mgr_drain", P, ct.POINTER(Drain))
mgr_drain_wait = declare(BOOL, "mgx_mgr_drain_wait", P)
mgr_phase = declare(INT, "mgx_mgr_phase", P)
mgr_ready = declare(BOOL, "mgx_mgr_is_ready", P)
mgr_status = declare(None, "mgx_mgr_drain_status", P, ct.POINTER(Status))
mgr_limits = declare(None, "mgx_mgr_limits", P, ct.POINTER(Limits))
mgr_stats = declare(None, "mgx_mgr_stats", P, ct.POINTER(Stats))
send_to = declare(BOOL, "mgx_send_to", P, ct.c_ulong, P, SIZE)
wakeup = declare(BOOL, "mgx_wakeup_mgr", P)
log_set = declare(None, "mgx_log_set", INT)
log_get = declare(INT, "mgx_log_get")
version = declare(TEXT, "mgx_version")
api_version = declare(TEXT, "mgx_api_version")

# A binding finds out at load time whether its own layouts are those of the library.
for name, layout in [
    ("mg_str", Str),
    ("mg_http_header", Header),
    ("mg_http_message", Message),
    ("mgx_drain_opts", ConnDrain),
    ("mgx_mgr_drain_opts", Drain),
    ("mgx_drain_status", Status),
    ("mgx_limits", Limits),
    ("mgx_stats", Stats),
]:
    assert sizeof(name.encode()) == ct.sizeof(layout), name
assert sizeof(b"mg_no_such_thing") == 0
assert api_version() == b"7.22" and version().count(b".") == 2

reasons, drained, ids, failure = [], [], set(), []


def handle(c, event, data):
    if event == EV_ACCEPT:
        assert get_flag(c, IS_ACCEPTED) and not get_flag(c, IS_LISTENING)
        assert not set_flag(c, IS_ACCEPTED, False) and set_flag(c, IS_RESP, False)
        set_user_data(c, 1000 + conn_id(c))
        ids.add(conn_id(c))
    elif event == EV_CLOSE and get_flag(c, IS_ACCEPTED):
        reasons.append(close_reason(c))
        assert conn_phase(c) == CLOSED
    elif event == EV_DRAIN:
        drained.append(ct.cast(data, ct.POINTER(ConnDrain)).contents.idle_grace_ms)
    elif event == EV_HTTP_MSG:
        hm = ct.cast(data, ct.POINTER(Message)).contents
        assert user_data(c) == 1000 + conn_id(c) and send_queue(c) == 0
        uri = bytes(hm.uri)
        if uri == b"/echo":
            body = bytes(hm.method) + b" " + bytes(hm.query) + b" " + bytes(hm.body)
            reply(c, 200, b"X-Python: 1\r\n", body, len(body))
        elif uri == b"/bye":
            assert conn_drain(c, None)
            reply(c, 200, None, None, 0)
        elif uri == b"/thread":
            text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlater"
            threading.Thread(target=send_to, args=(mgr, conn_id(c), text, len(text))).start()
            set_flag(c, IS_RESP, False)
        else:
            reply(c, 404, None, b"\0\xff%s", 4)


@HANDLER
def handler(c, event, data):
    try:
        handle(c, event, data)
    except BaseException as e:  # Python would only print it
        failure.append(e)


log_set(1)
assert log_get() == 1
mgr = mgr_new()
listener = http_listen(mgr, b"http://127.0.0.1:0", handler, None)
assert listener and get_flag(listener, IS_LISTENING) and not get_flag(listener, IS_READABLE)
text = ct.create_string_buffer(50)
conn_local(listener, text, len(text))
port = int(text.value.split(b":")[1])
assert text.value == b"127.0.0.1:%d" % port and conn_remote(listener, None, 0) > 0
mgr_limits(mgr, Limits(max_conns=100, idle_ms=60000))
assert mgr_phase(mgr) == RUNNING and mgr_ready(mgr)


def client():
    try:
        one, two = (http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(2))
        for n in range(100):
            one.request("POST", "/echo?n=%d" % n, body=b"x" * n)
            answer = one.getresponse()
            assert answer.getheader("X-Python") == "1"
            assert answer.read() == b"POST n=%d %s" % (n, b"x" * n)
        two.request("GET", "/nowhere")
        answer = two.getresponse()
        assert (answer.status, answer.read()) == (404, b"\0\xff%s")
        two.request("GET", "/thread")
        assert two.getresponse().read() == b"later"
        two.request("GET", "/bye")
        answer = two.getresponse()
        assert (answer.getheader("Connection"), answer.read()) == ("close", b"")
        # From another thread, as a signal handler would.
        assert mgr_drain(mgr, Drain(lame_duck_ms=100, idle_grace_ms=5000, deadline_ms=20000))
        while True:
            one.request("GET", "/echo")
            answer = one.getresponse()
            assert answer.read() == b"GET  "
            if answer.getheader("Connection") == "close":
                break
        one.close()
    except BaseException as e:
        failure.append(e)
        mgr_drain(mgr, Drain(deadline_ms=1))
        raise


thread = threading.Thread(target=client)
thread.start()
while mgr_phase(mgr) != DONE:
    mgr_poll(mgr, 1000)
thread.join()
assert not failure, failure
assert mgr_drain_wait(mgr) and not mgr_ready(mgr)
status, stats = Status(), Stats()
mgr_status(mgr, status)
mgr_stats(mgr, stats)
assert (status.phase, status.forced, status.listeners) == (DONE, 0, 0)
assert stats.accepted == len(ids) == len(reasons) == 2 and set(reasons) == {REASON_DRAINED}
assert stats.requests >= 104 and stats.bytes_in > 5000 and stats.conns == 0
assert drained in ([], [5000])  # the last connection may have gone in the lame duck phase
mgr_delete(mgr)
