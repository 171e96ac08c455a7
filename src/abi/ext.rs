//! Types of the extension API, `include/mongoose_ext.h`. No `pub const` here: cbindgen would put it into `mongoose.h`.

use super::*;

/// How far the end of a connection has come.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mgx_phase {
    MGX_ACTIVE,
    /// It takes no new requests, but an answer is still to come.
    MGX_DRAINING,
    /// Only its last bytes are being sent.
    MGX_FLUSHING,
    MGX_CLOSED,
}

/// Why a connection ended.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mgx_reason {
    MGX_REASON_NONE,
    /// A drain was completed: everything was sent.
    MGX_REASON_DRAINED,
    MGX_REASON_PEER_CLOSED,
    MGX_REASON_RESET,
    /// The application set is_closing or called mg_close_conn.
    MGX_REASON_CLOSED_BY_USER,
    /// Output did not move.
    MGX_REASON_FLUSH_TIMEOUT,
    /// A request was not answered.
    MGX_REASON_RESPONSE_TIMEOUT,
    /// The manager's drain deadline passed, or the manager was freed.
    MGX_REASON_FORCED,
    MGX_REASON_IDLE_TIMEOUT,
    MGX_REASON_HEADER_TIMEOUT,
    MGX_REASON_BODY_TIMEOUT,
    /// One of struct mgx_limits.
    MGX_REASON_LIMIT,
    MGX_REASON_ERROR,
}

/// The steps of a manager's graceful shutdown.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum mgx_mgr_phase {
    #[default]
    MGX_MGR_RUNNING,
    /// Still accepting; every reply closes its connection.
    MGX_MGR_LAME_DUCK,
    /// Listeners are closed; idle connections may send one last request.
    MGX_MGR_IDLE_GRACE,
    /// What is in flight is being finished.
    MGX_MGR_FINISHING,
    /// The last server-side connection is gone and no socket lingers any more, or the deadline has passed. An application may
    /// exit without harm to any client.
    MGX_MGR_DONE,
}

/// Events of the extension, delivered like those of the mg_* API.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mgx_event {
    /// A drain of the manager has reached this connection: an event stream or a long poll can say good-bye. `ev_data` is a
    /// `struct mgx_drain_opts *`; changes count. Comes once more when an answer begins during the drain, of the connection or of
    /// the manager, and does not end in the same call.
    MGX_EV_DRAIN = 0x4d47_0001,
    /// c->send grew above mgx_limits.max_send_queue. `ev_data` is a `size_t *` with its length.
    MGX_EV_BACKPRESSURE = 0x4d47_0002,
    /// The peer has sent its last byte while output is queued or an answer is pending: it may have half-closed the connection, or
    /// be gone. `ev_data` is NULL. The connection closes when all is sent; an answer that has not begun, or does not go on, is
    /// awaited for `half_close_ms` of struct mgx_limits.
    MGX_EV_EOF = 0x4d47_0003,
}

/// The bit fields of struct mg_connection, in their order.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mgx_flag {
    MGX_IS_LISTENING,
    MGX_IS_CLIENT,
    MGX_IS_ACCEPTED,
    MGX_IS_RESOLVING,
    MGX_IS_ARPLOOKING,
    MGX_IS_CONNECTING,
    MGX_IS_TLS,
    MGX_IS_TLS_HS,
    MGX_IS_UDP,
    MGX_IS_WEBSOCKET,
    MGX_IS_MQTT5,
    MGX_IS_HEXDUMPING,
    MGX_IS_DRAINING,
    MGX_IS_CLOSING,
    MGX_IS_FULL,
    MGX_IS_TLS_THROTTLED,
    MGX_IS_RESP,
    MGX_IS_READABLE,
    MGX_IS_WRITABLE,
}

/// How one connection is drained. Zero-initialise: 0 in a member means its default, -1 means no limit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_drain_opts {
    /// Default 1000. How long a keep-alive connection without a request in progress may still deliver one last request,
    /// which is answered with `Connection: close`. -1: until it does. What is not HTTP: until nothing has arrived for this long.
    pub idle_grace_ms: c_int,
    /// Default 30000. How long an answer that is pending or does not end is waited for, and a request that does not go on.
    pub response_timeout_ms: c_int,
    /// Default 60000. How long output may stand still.
    pub flush_timeout_ms: c_int,
    /// Default 10000. How long what the peer still sends is read and forgotten after the last byte was sent.
    pub linger_total_ms: c_int,
    /// Default 1000. The same, when nothing comes.
    pub linger_idle_ms: c_int,
    /// Default: no limit. Most bytes to read and forget.
    pub linger_bytes: usize,
    /// Default 1001. Code of the Close frame that a WebSocket gets after its queued frames.
    pub ws_close_code: c_int,
    /// Reason text in that frame, at most 123 bytes, copied. NULL: none.
    pub ws_close_reason: *const c_char,
    /// Default 2000. How long to wait for the peer's Close frame.
    pub ws_close_timeout_ms: c_int,
}

/// How a manager is drained. Zero-initialise: 0 in a member means its default, -1 means no limit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_mgr_drain_opts {
    /// Default 0. First step: still accepting, because a load balancer needs time to notice; every reply closes.
    pub lame_duck_ms: c_int,
    /// Default 1000. Second step, after the listeners are closed: idle keep-alive connections may send one last request.
    pub idle_grace_ms: c_int,
    /// Default 30000, from the call. Last step: whatever is left is closed by force.
    pub deadline_ms: c_int,
    /// Default 0. The drain reaches connections spread over this time, WebSockets and other long-lived ones too, so that clients
    /// do not all reconnect at once.
    pub spread_ms: c_int,
    /// For each connection that is drained.
    pub conn: mgx_drain_opts,
}

/// A drain in numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_drain_status {
    pub phase: mgx_mgr_phase,
    /// Connections by state, now. `idle` to `websockets` are accepted ones, each counted once.
    pub listeners: usize,
    pub idle: usize,
    pub active: usize,
    /// A request was dispatched and its answer has not begun.
    pub pending: usize,
    pub flushing: usize,
    pub websockets: usize,
    /// Sockets whose connection is gone and that only wait for the peer's last byte.
    pub lingering: usize,
    /// Since the drain began: requests dispatched, connections ended in order, connections ended by force.
    pub served: usize,
    pub drained: usize,
    pub forced: usize,
    /// Bytes still queued, now, with the rest of files that are being served.
    pub unsent_bytes: usize,
    pub elapsed_ms: u64,
    pub remaining_ms: u64,
}

/// Limits on what peers may do. Zero-initialise: 0 in a member means off.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mgx_limits {
    /// Accepted connections of this manager; one more is accepted and closed at once.
    pub max_conns: usize,
    /// The same for one peer address.
    pub max_conns_per_ip: usize,
    /// From accept, or the first byte of a request, to the end of its head: 408 and drain.
    pub header_timeout_ms: c_int,
    /// No progress of a request body: 408 and drain.
    pub body_timeout_ms: c_int,
    /// No request in progress, and nothing received or sent: drain.
    pub idle_timeout_ms: c_int,
    /// No write progress while output is queued: close.
    pub write_timeout_ms: c_int,
    /// 431 and drain.
    pub max_header_bytes: usize,
    /// 413 and drain.
    pub max_body_bytes: usize,
    /// WebSocket message, fragments joined: Close 1009 and drain.
    pub max_ws_message: usize,
    /// c->send above this: MGX_EV_BACKPRESSURE once, and again after it fell below half.
    pub max_send_queue: usize,
    /// Requests of one keep-alive connection; the last reply says `Connection: close`.
    pub max_requests: c_uint,
    /// How long an answer that has not begun, or does not go on, is awaited after the peer's half-close. 0: 5 s. -1: the end of
    /// stream means that the peer is gone: close at once.
    pub half_close_ms: c_int,
    /// How long a client connection may take from the first attempt to reach one of its addresses to MG_EV_CONNECT: MG_EV_ERROR.
    /// 0: as long as the system tries.
    pub connect_timeout_ms: c_int,
    /// Bytes that connections hold: structs, records, buffers and TLS sessions, not what the application allocates. Above it no
    /// connection is accepted, those who come wait until others have gone, and mg_tls_init fails; an eighth above it, a
    /// connection that needs a buffer to receive ends. Both with MG_EV_ERROR `OOM`.
    pub max_memory: usize,
}

/// Counters of a manager, since mg_mgr_init.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mgx_stats {
    pub accepted: u64,
    /// Closed at once because of mgx_limits.
    pub refused: u64,
    pub requests: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Connections ended by a time-out.
    pub timeouts: u64,
    pub drained: u64,
    pub forced: u64,
    pub resets: u64,
    /// Accepted connections, now.
    pub conns: usize,
}
