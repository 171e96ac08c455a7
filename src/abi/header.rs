//! The header's view of what Rust spells differently: bit fields, enum-typed members, opaque types, data that C defines. Only
//! cbindgen reads this file. It takes these items in place of those marked `cbindgen:ignore`; `c-tests/abi.c` checks that both agree.

use super::*;

/// Defined with MG_ENABLE_TCPIP only; otherwise `mgr->ifp` is always NULL.
pub struct mg_tcpip_if;

/// Defined with MG_ENABLE_TCPIP only.
pub struct mg_phy;

/// A connection: listener, accepted, client or wrapped descriptor. The application reads and writes its members, in the thread
/// that polls the manager.
#[repr(C)]
pub struct mg_connection {
    /// Next connection in the list `mgr->conns`.
    pub next: *mut mg_connection,
    /// Manager that owns the connection.
    pub mgr: *mut mg_mgr,
    /// Local address.
    pub loc: mg_addr,
    /// Peer address. UDP: sender of the last datagram received.
    pub rem: mg_addr,
    /// Socket descriptor, cast to a pointer.
    pub fd: *mut c_void,
    /// Unique id. Ids are never reused.
    pub id: c_ulong,
    /// Received data. The handler removes what it consumes.
    pub recv: mg_iobuf,
    /// Data waiting to be sent.
    pub send: mg_iobuf,
    /// Unused.
    pub prof: mg_iobuf,
    /// TLS: received data that is not decrypted yet.
    pub rtls: mg_iobuf,
    /// Event handler of the application. May be replaced at any time.
    pub r#fn: mg_event_handler_t,
    /// User data of the event handler.
    pub fn_data: *mut c_void,
    /// Protocol handler, called before `fn`.
    pub pfn: mg_event_handler_t,
    /// User data of the protocol handler.
    pub pfn_data: *mut c_void,
    /// Storage for the application, initially zero.
    pub data: [c_char; MG_DATA_SIZE],
    /// TLS state.
    pub tls: *mut c_void,
    /// Differentiated services code point, set by mg_dscp.
    ///
    /// cbindgen:bitfield=6
    pub dscp: c_uint,
    /// Listener, or UDP socket that receives from any peer.
    ///
    /// cbindgen:bitfield=1
    pub is_listening: c_uint,
    /// Created by mg_connect.
    ///
    /// cbindgen:bitfield=1
    pub is_client: c_uint,
    /// Accepted by a listener.
    ///
    /// cbindgen:bitfield=1
    pub is_accepted: c_uint,
    /// Waiting for name resolution.
    ///
    /// cbindgen:bitfield=1
    pub is_resolving: c_uint,
    /// UDP over a network driver: a neighbour was asked for its address.
    ///
    /// cbindgen:bitfield=1
    pub is_arplooking: c_uint,
    /// connect() is in progress.
    ///
    /// cbindgen:bitfield=1
    pub is_connecting: c_uint,
    /// Uses TLS.
    ///
    /// cbindgen:bitfield=1
    pub is_tls: c_uint,
    /// TLS handshake in progress.
    ///
    /// cbindgen:bitfield=1
    pub is_tls_hs: c_uint,
    /// UDP socket.
    ///
    /// cbindgen:bitfield=1
    pub is_udp: c_uint,
    /// WebSocket connection.
    ///
    /// cbindgen:bitfield=1
    pub is_websocket: c_uint,
    /// MQTT 5 connection.
    ///
    /// cbindgen:bitfield=1
    pub is_mqtt5: c_uint,
    /// Set by the application: log all traffic in hex. Accepted connections inherit it from their listener.
    ///
    /// cbindgen:bitfield=1
    pub is_hexdumping: c_uint,
    /// Set by the application: send the queued data, then close.
    ///
    /// cbindgen:bitfield=1
    pub is_draining: c_uint,
    /// Set by the application or the library: close, discarding queued data.
    ///
    /// cbindgen:bitfield=1
    pub is_closing: c_uint,
    /// Set and cleared by the application: stop reading from the socket while set.
    ///
    /// cbindgen:bitfield=1
    pub is_full: c_uint,
    /// TLS output is blocked until the socket is writable.
    ///
    /// cbindgen:bitfield=1
    pub is_tls_throttled: c_uint,
    /// An HTTP response is in progress.
    ///
    /// cbindgen:bitfield=1
    pub is_resp: c_uint,
    /// The socket is readable in this poll.
    ///
    /// cbindgen:bitfield=1
    pub is_readable: c_uint,
    /// The socket is writable in this poll.
    ///
    /// cbindgen:bitfield=1
    pub is_writable: c_uint,
}

/// A variable that a dashboard displays and edits.
#[repr(C)]
pub struct mg_field {
    pub name: *const c_char,
    pub r#type: mg_val_type,
    /// Pointer to the application's variable.
    pub value: *mut c_void,
    /// Size of the variable in bytes; 0 makes it read-only.
    pub value_size: usize,
}

/// A Wi-Fi network found by a scan.
#[repr(C)]
pub struct mg_wifi_scan_bss_data {
    pub SSID: mg_str,
    pub BSSID: *mut c_char,
    pub RSSI: i16,
    /// Combination of MG_WIFI_SECURITY_* bits.
    pub security: u8,
    pub channel: u8,
    /// MG_WIFI_BAND_* value.
    ///
    /// cbindgen:bitfield=2
    pub band: c_uint,
    /// cbindgen:bitfield=1
    pub has_n: c_uint,
    /// cbindgen:bitfield=1
    pub has_ac: c_uint,
    /// cbindgen:bitfield=1
    pub has_ax: c_uint,
}

/// An elliptic curve of the mg_uecc_* functions.
pub struct MG_UECC_Curve_t;

pub type MG_UECC_Curve = *const MG_UECC_Curve_t;

/// Maximum level of messages to log, MG_LL_NONE to MG_LL_VERBOSE. Initially MG_LL_DEBUG.
#[unsafe(no_mangle)]
pub static mut mg_log_level: c_int = ();

/// Wall-clock time at which mg_millis was 0, in milliseconds since 1970. Initially 0; set by SNTP or the application, used by
/// mg_now.
#[unsafe(no_mangle)]
pub static mut mg_boot_timestamp_ms: u64 = ();
