"""The shared library through ctypes: prototypes, and the few structs that are passed by pointer."""
from __future__ import annotations

import ctypes as ct
import os
from pathlib import Path

HANDLER = ct.CFUNCTYPE(None, ct.c_void_p, ct.c_int, ct.c_void_p)
TIMER = ct.CFUNCTYPE(None, ct.c_void_p)


class Str(ct.Structure):
    _fields_ = [("buf", ct.c_char_p), ("len", ct.c_size_t)]

    @classmethod
    def of(cls, text: str | bytes | None) -> "Str":
        data = text.encode() if isinstance(text, str) else text or b""
        return cls(data, len(data))


class TlsOpts(ct.Structure):
    _fields_ = [("ca", Str), ("cert", Str), ("key", Str), ("name", Str), ("skip_verification", ct.c_bool)]


class MqttOpts(ct.Structure):
    _fields_ = [(name, Str) for name in ("user", "passw", "client_id", "topic", "message")]
    _fields_ += [("qos", ct.c_uint8), ("version", ct.c_uint8), ("keepalive", ct.c_uint16), ("retransmit_id", ct.c_uint16)]
    _fields_ += [("retain", ct.c_bool), ("clean", ct.c_bool), ("props", ct.c_void_p), ("num_props", ct.c_size_t)]
    _fields_ += [("will_props", ct.c_void_p), ("num_will_props", ct.c_size_t)]


class DrainOpts(ct.Structure):
    _fields_ = [
        (name, ct.c_int)
        for name in ("idle_grace_ms", "response_timeout_ms", "flush_timeout_ms", "linger_total_ms", "linger_idle_ms")
    ]
    _fields_ += [("linger_bytes", ct.c_size_t), ("ws_close_code", ct.c_int), ("ws_close_reason", ct.c_char_p)]
    _fields_ += [("ws_close_timeout_ms", ct.c_int)]


class MgrDrainOpts(ct.Structure):
    _fields_ = [(name, ct.c_int) for name in ("lame_duck_ms", "idle_grace_ms", "deadline_ms", "spread_ms")]
    _fields_ += [("conn", DrainOpts)]


class DrainStatus(ct.Structure):
    _fields_ = [("phase", ct.c_int)]
    _fields_ += [
        (name, ct.c_size_t)
        for name in "listeners idle active pending flushing websockets lingering served drained forced unsent_bytes".split()
    ]
    _fields_ += [("elapsed_ms", ct.c_uint64), ("remaining_ms", ct.c_uint64)]


def _load() -> ct.CDLL:
    """LIBMONGOOSE, the library in this package, or the system's."""
    beside = Path(__file__).with_name("libmongoose.so.7")
    path = os.environ.get("LIBMONGOOSE") or (str(beside) if beside.exists() else "libmongoose.so.7")
    try:
        return ct.CDLL(path)
    except OSError as e:
        raise ImportError(f"cannot load libmongoose ({e}); install the wheel, or name the library in LIBMONGOOSE") from None


lib = _load()

_P, _S, _I, _Z, _B, _L = ct.c_void_p, ct.c_char_p, ct.c_int, ct.c_size_t, ct.c_bool, ct.c_ulong
_LEN = ct.POINTER(ct.c_size_t)
_PROTOTYPES = {
    "mgx_mgr_new": (_P,),
    "mgx_mgr_delete": (None, _P),
    "mg_mgr_poll": (None, _P, _I),
    "mg_listen": (_P, _P, _S, HANDLER, _P),
    "mg_http_listen": (_P, _P, _S, HANDLER, _P),
    "mg_connect": (_P, _P, _S, HANDLER, _P),
    "mg_http_connect": (_P, _P, _S, HANDLER, _P),
    "mgx_ws_connect": (_P, _P, _S, HANDLER, _P, _S),
    "mg_mqtt_connect": (_P, _P, _S, ct.POINTER(MqttOpts), HANDLER, _P),
    "mg_mqtt_pub": (ct.c_uint16, _P, ct.POINTER(MqttOpts)),
    "mg_mqtt_sub": (None, _P, ct.POINTER(MqttOpts)),
    "mg_mqtt_disconnect": (None, _P, ct.POINTER(MqttOpts)),
    "mg_tls_init": (None, _P, ct.POINTER(TlsOpts)),
    "mg_timer_add": (_P, _P, ct.c_uint64, ct.c_uint, TIMER, _P),
    "mgx_timer_cancel": (None, _P, _P),
    "mgx_conn_user_data": (_P, _P),
    "mg_wakeup_init": (_B, _P),
    "mg_wakeup": (_B, _P, _L, _S, _Z),
    "mgx_send": (_B, _P, _S, _Z),
    "mgx_http_reply": (None, _P, _I, _S, _S, _Z),
    "mgx_http_begin": (None, _P, _I, _S),
    "mgx_http_chunk": (None, _P, _S, _Z),
    "mgx_ws_upgrade": (None, _P, _P, _S),
    "mgx_ws_send": (_Z, _P, _I, _S, _Z),
    "mgx_ws_close": (None, _P, _I, _S),
    "mgx_http_status": (_I, _P),
    "mgx_http_header": (_P, _P, _S, _LEN),
    "mgx_http_header_at": (_B, _P, _Z, ct.POINTER(_P), _LEN, ct.POINTER(_P), _LEN),
    "mgx_ws_flags": (_I, _P),
    "mgx_mqtt_qos": (_I, _P),
    "mgx_mqtt_id": (_I, _P),
    "mgx_conn_consume": (_Z, _P, _Z),
    "mgx_conn_id": (_L, _P),
    "mgx_conn_flag": (_B, _P, _I),
    "mgx_conn_set_flag": (_B, _P, _I, _B),
    "mgx_conn_send_queue": (_Z, _P),
    "mgx_conn_remote": (_Z, _P, _S, _Z),
    "mgx_conn_local": (_Z, _P, _S, _Z),
    "mgx_conn_drain": (_B, _P, ct.POINTER(DrainOpts)),
    "mgx_conn_close": (None, _P),
    "mgx_conn_abort": (None, _P),
    "mgx_conn_phase": (_I, _P),
    "mgx_close_reason": (_I, _P),
    "mgx_close_unsent": (_Z, _P),
    "mgx_error": (None, _P, _S),
    "mgx_mgr_first": (_P, _P),
    "mgx_conn_next": (_P, _P),
    "mgx_mgr_drain": (_B, _P, ct.POINTER(MgrDrainOpts)),
    "mgx_mgr_drain_cancel": (_B, _P),
    "mgx_mgr_drain_wait": (_B, _P),
    "mgx_mgr_drain_on_signal": (_B, _P, _I, ct.POINTER(MgrDrainOpts)),
    "mgx_mgr_drain_status": (None, _P, ct.POINTER(DrainStatus)),
    "mgx_mgr_phase": (_I, _P),
    "mgx_mgr_fd": (_I, _P),
    "mgx_mgr_timeout_ms": (_I, _P),
    "mgx_wakeup_mgr": (_B, _P),
    "mgx_send_to": (_B, _P, _L, _S, _Z),
    "mgx_send_ws_to": (_B, _P, _L, _I, _S, _Z),
    "mgx_log": (None, _I, _S),
    "mgx_log_set": (None, _I),
    "mgx_log_get": (_I,),
    "mgx_const": (_I, _S),
    "mgx_sizeof": (_Z, _S),
    "mgx_version": (_S,),
}
_PROTOTYPES.update({f"mgx_http_{part}": (_P, _P, _LEN) for part in ("method", "uri", "query", "proto", "body")})
_PROTOTYPES.update(
    {name: (_P, _P, _LEN) for name in ("mgx_ws_data", "mgx_mqtt_topic", "mgx_mqtt_payload", "mgx_str_data", "mgx_conn_recv")}
)
for _name, (_result, *_args) in _PROTOTYPES.items():
    _f = getattr(lib, _name)
    _f.restype, _f.argtypes = _result, _args

for _type, _struct in ((Str, "mg_str"), (TlsOpts, "mg_tls_opts"), (MqttOpts, "mg_mqtt_opts"), (DrainOpts, "mgx_drain_opts"),
                       (MgrDrainOpts, "mgx_mgr_drain_opts"), (DrainStatus, "mgx_drain_status")):
    if ct.sizeof(_type) != lib.mgx_sizeof(_struct.encode()):
        raise ImportError(f"struct {_struct}: this package and libmongoose {lib.mgx_version().decode()} disagree")


def const(name: str) -> int:
    value = lib.mgx_const(name.encode())
    if value == -(2**31):
        raise AttributeError(f"libmongoose has no constant {name}")
    return value


def view(f, source: int | None, *args) -> bytes | None:
    """What an accessor with a length returns; None for NULL."""
    n = ct.c_size_t()
    at = f(source, *args, ct.byref(n))
    return None if not at else ct.string_at(at, n.value)
