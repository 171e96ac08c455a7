//! Types of the extension API, `include/mongoose_ext.h`. No `pub const` here: cbindgen would put it into `mongoose.h`.

use super::*;

/// Shutdown phase of a connection.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mgx_phase {
    /// No shutdown in progress.
    MGX_ACTIVE,
    /// Accepts no new requests; a response is still pending.
    MGX_DRAINING,
    /// Sending the last queued bytes.
    MGX_FLUSHING,
    /// Closed.
    MGX_CLOSED,
}

/// Reason why a connection closed.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum mgx_reason {
    /// The connection is open.
    MGX_REASON_NONE,
    /// Drained: everything was sent.
    MGX_REASON_DRAINED,
    /// The peer closed the connection.
    MGX_REASON_PEER_CLOSED,
    /// The peer reset the connection.
    MGX_REASON_RESET,
    /// The application set is_closing or called mg_close_conn.
    MGX_REASON_CLOSED_BY_USER,
    /// Output made no progress in time.
    MGX_REASON_FLUSH_TIMEOUT,
    /// The application did not complete a response in time.
    MGX_REASON_RESPONSE_TIMEOUT,
    /// The drain deadline of the manager passed, or the manager was freed.
    MGX_REASON_FORCED,
    /// `idle_timeout_ms` of struct mgx_limits expired.
    MGX_REASON_IDLE_TIMEOUT,
    /// `header_timeout_ms` of struct mgx_limits expired.
    MGX_REASON_HEADER_TIMEOUT,
    /// `body_timeout_ms` of struct mgx_limits expired.
    MGX_REASON_BODY_TIMEOUT,
    /// A received message exceeded a size limit.
    MGX_REASON_LIMIT,
    /// Any other error.
    MGX_REASON_ERROR,
}

/// Phases of a manager's graceful shutdown.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum mgx_mgr_phase {
    /// No shutdown in progress.
    #[default]
    MGX_MGR_RUNNING,
    /// Still accepting connections; every reply closes its connection.
    MGX_MGR_LAME_DUCK,
    /// Listeners are closed; idle connections may send one last request.
    MGX_MGR_IDLE_GRACE,
    /// Completing the requests in flight.
    MGX_MGR_FINISHING,
    /// The last server-side connection is closed and no socket lingers, or the deadline has passed. The process may exit without
    /// affecting any client.
    MGX_MGR_DONE,
}

/// Events of the extension, delivered like those of enum mg_event.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum mgx_event {
    /// A drain of the manager has reached this connection, for example to let an event stream or long poll end cleanly. `ev_data`
    /// is a `struct mgx_drain_opts *`; the handler may modify it. Sent again when a response begins while the connection or the
    /// manager drains and does not complete in the same call.
    MGX_EV_DRAIN = 0x4d47_0001,
    /// `c->send` grew above `max_send_queue` of struct mgx_limits. `ev_data` is a `size_t *`: its length in bytes.
    MGX_EV_BACKPRESSURE = 0x4d47_0002,
    /// The peer closed its sending side while output is queued or a response is pending: it half-closed the connection or is
    /// gone. `ev_data` is NULL. The connection closes when everything is sent. A response that does not begin or stalls is given
    /// `half_close_ms` of struct mgx_limits.
    MGX_EV_EOF = 0x4d47_0003,
}

/// Bit fields of struct mg_connection, in the order of their declaration.
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

/// How to drain a connection. Zero-initialise: 0 in a member means its default, -1 means no limit. Times are in milliseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_drain_opts {
    /// Default 1000. How long an idle keep-alive connection may still send one last request; the reply carries `Connection:
    /// close`. -1 waits until it does. Connections that do not speak HTTP drain after this long without input.
    pub idle_grace_ms: c_int,
    /// Default 30000. How long to wait for a pending response to complete, or for an incomplete request to make progress.
    pub response_timeout_ms: c_int,
    /// Default 60000. How long output may make no progress.
    pub flush_timeout_ms: c_int,
    /// Default 10000. How long to keep discarding the peer's input after the last byte was sent.
    pub linger_total_ms: c_int,
    /// Default 1000. How long to keep waiting for the peer's input after the last byte was sent, if nothing arrives.
    pub linger_idle_ms: c_int,
    /// Default: no limit. Maximum number of bytes to discard after the last byte was sent.
    pub linger_bytes: usize,
    /// Default 1001. Status code of the Close frame that a WebSocket sends after its queued frames.
    pub ws_close_code: c_int,
    /// Reason in the Close frame, at most 123 bytes; NULL for none. The library copies it.
    pub ws_close_reason: *const c_char,
    /// Default 2000. How long to wait for the peer's Close frame.
    pub ws_close_timeout_ms: c_int,
}

/// How to drain a manager. Zero-initialise: 0 in a member means its default, -1 means no limit. Times are in milliseconds.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_mgr_drain_opts {
    /// Default 0. How long to keep accepting connections, so that load balancers notice the shutdown; every reply closes its
    /// connection.
    pub lame_duck_ms: c_int,
    /// Default 1000. How long idle keep-alive connections may send one last request after the listeners close.
    pub idle_grace_ms: c_int,
    /// Default 30000, from the call. When it passes, the remaining connections are closed by force.
    pub deadline_ms: c_int,
    /// Default 0. Spreads the drain of the connections over this time, WebSockets and other long-lived ones included, so that
    /// clients do not all reconnect at once.
    pub spread_ms: c_int,
    /// Options for each connection.
    pub conn: mgx_drain_opts,
}

/// Progress of a manager's drain.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mgx_drain_status {
    pub phase: mgx_mgr_phase,
    /// Open listeners.
    pub listeners: usize,
    /// Idle accepted connections. Every accepted connection is counted in exactly one of `idle`, `active`, `pending`, `flushing`
    /// and `websockets`.
    pub idle: usize,
    /// Accepted connections in no other state: receiving a request or sending a response.
    pub active: usize,
    /// Accepted connections with a request dispatched and no response begun.
    pub pending: usize,
    /// Accepted connections sending their last bytes.
    pub flushing: usize,
    /// Accepted WebSocket connections.
    pub websockets: usize,
    /// Sockets without a connection that only wait for the peer's last byte.
    pub lingering: usize,
    /// Requests dispatched since the drain began.
    pub served: usize,
    /// Connections closed gracefully since the drain began.
    pub drained: usize,
    /// Connections closed by force since the drain began.
    pub forced: usize,
    /// Bytes still to be sent, including the rest of files being served.
    pub unsent_bytes: usize,
    /// Time since the drain began.
    pub elapsed_ms: u64,
    /// Time until the deadline.
    pub remaining_ms: u64,
}

/// Limits on what peers may do. Zero-initialise: 0 in a member disables the limit unless noted. Times are in milliseconds.
/// "Drain" means to send the error response and close gracefully.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mgx_limits {
    /// Accepted connections of the manager. A connection above the limit is accepted and closed at once.
    pub max_conns: usize,
    /// Accepted connections from one peer address. A connection above the limit is accepted and closed at once.
    pub max_conns_per_ip: usize,
    /// Time to receive a complete request head, from accept or the first byte of the request. Expiry: 408 and drain.
    pub header_timeout_ms: c_int,
    /// Time without progress of a request body. Expiry: 408 and drain.
    pub body_timeout_ms: c_int,
    /// Time without a request in progress and without traffic. Expiry: drain.
    pub idle_timeout_ms: c_int,
    /// Time without write progress while output is queued. Expiry: close, with a reset.
    pub write_timeout_ms: c_int,
    /// Size of a request head. Excess: 431 and drain.
    pub max_header_bytes: usize,
    /// Size of a request body. Excess: 413 and drain.
    pub max_body_bytes: usize,
    /// Size of a WebSocket message, fragments included. Excess: Close frame with code 1009 and drain.
    pub max_ws_message: usize,
    /// Length of `c->send` that triggers MGX_EV_BACKPRESSURE; triggers again after the length fell below half.
    pub max_send_queue: usize,
    /// Requests on one keep-alive connection. The last reply carries `Connection: close`.
    pub max_requests: c_uint,
    /// After the peer's half-close: how long to wait for a response that has not begun or stalls. 0 means 5000. -1 treats end of
    /// stream as a disconnect and closes at once.
    pub half_close_ms: c_int,
    /// Time for a client connection from its first connection attempt to MG_EV_CONNECT. Expiry: MG_EV_ERROR. 0 leaves it to the
    /// operating system.
    pub connect_timeout_ms: c_int,
    /// Memory of connections in bytes: structs, records, buffers and TLS sessions, but not allocations of the application. Above
    /// it new connections wait to be accepted until others have closed, and mg_tls_init fails; an eighth above it, connections
    /// that need a receive buffer close. Both with MG_EV_ERROR `OOM`.
    pub max_memory: usize,
}

/// Counters of a manager since mg_mgr_init.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct mgx_stats {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because of `max_conns` or `max_conns_per_ip` of struct mgx_limits.
    pub refused: u64,
    /// HTTP requests received.
    pub requests: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Connections closed by a timeout.
    pub timeouts: u64,
    /// Connections closed gracefully.
    pub drained: u64,
    /// Connections closed by force.
    pub forced: u64,
    /// Connections reset by the peer.
    pub resets: u64,
    /// Accepted connections currently open.
    pub conns: usize,
}
