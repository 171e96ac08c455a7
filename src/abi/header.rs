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
    /// Next in `mgr->conns`.
    pub next: *mut mg_connection,
    /// The manager that owns it.
    pub mgr: *mut mg_mgr,
    /// Local address.
    pub loc: mg_addr,
    /// Peer address. UDP: of the datagram received last.
    pub rem: mg_addr,
    /// Socket descriptor.
    pub fd: *mut c_void,
    /// Unique id, never used again.
    pub id: c_ulong,
    /// Received bytes. The handler removes what it has used.
    pub recv: mg_iobuf,
    /// Bytes waiting to be sent.
    pub send: mg_iobuf,
    /// Profiling data; unused.
    pub prof: mg_iobuf,
    /// TLS: received bytes that are still encrypted.
    pub rtls: mg_iobuf,
    /// The application's event handler; may be replaced at any time.
    pub r#fn: mg_event_handler_t,
    /// Its argument.
    pub fn_data: *mut c_void,
    /// Protocol handler, called before `fn`.
    pub pfn: mg_event_handler_t,
    /// Its argument.
    pub pfn_data: *mut c_void,
    /// Free for the application; zero at the start.
    pub data: [c_char; MG_DATA_SIZE],
    /// TLS state.
    pub tls: *mut c_void,
    /// Differentiated services code point, set by mg_dscp.
    ///
    /// cbindgen:bitfield=6
    pub dscp: c_uint,
    /// Listens for connections or datagrams.
    ///
    /// cbindgen:bitfield=1
    pub is_listening: c_uint,
    /// Made by mg_connect.
    ///
    /// cbindgen:bitfield=1
    pub is_client: c_uint,
    /// Came in through a listener.
    ///
    /// cbindgen:bitfield=1
    pub is_accepted: c_uint,
    /// The host name is being looked up.
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
    /// TLS is wanted or running.
    ///
    /// cbindgen:bitfield=1
    pub is_tls: c_uint,
    /// TLS handshake in progress.
    ///
    /// cbindgen:bitfield=1
    pub is_tls_hs: c_uint,
    /// UDP.
    ///
    /// cbindgen:bitfield=1
    pub is_udp: c_uint,
    /// Speaks WebSocket.
    ///
    /// cbindgen:bitfield=1
    pub is_websocket: c_uint,
    /// Speaks MQTT 5.
    ///
    /// cbindgen:bitfield=1
    pub is_mqtt5: c_uint,
    /// Set by the application: log all traffic. Accepted connections take it over from their listener.
    ///
    /// cbindgen:bitfield=1
    pub is_hexdumping: c_uint,
    /// Set by the application: send what is queued, then close.
    ///
    /// cbindgen:bitfield=1
    pub is_draining: c_uint,
    /// Close when this connection has been serviced.
    ///
    /// cbindgen:bitfield=1
    pub is_closing: c_uint,
    /// Set and cleared by the application: while set nothing is read from the socket.
    ///
    /// cbindgen:bitfield=1
    pub is_full: c_uint,
    /// The TLS layer waits for room to send.
    ///
    /// cbindgen:bitfield=1
    pub is_tls_throttled: c_uint,
    /// An HTTP answer is not finished yet.
    ///
    /// cbindgen:bitfield=1
    pub is_resp: c_uint,
    /// Ready for reading in this poll.
    ///
    /// cbindgen:bitfield=1
    pub is_readable: c_uint,
    /// Ready for writing in this poll.
    ///
    /// cbindgen:bitfield=1
    pub is_writable: c_uint,
}

/// A variable that a dashboard shows and changes.
#[repr(C)]
pub struct mg_field {
    pub name: *const c_char,
    pub r#type: mg_val_type,
    /// The application's variable.
    pub value: *mut c_void,
    /// Its size in bytes; 0 makes it read-only.
    pub value_size: usize,
}

/// A Wi-Fi network found by a scan.
#[repr(C)]
pub struct mg_wifi_scan_bss_data {
    pub SSID: mg_str,
    pub BSSID: *mut c_char,
    pub RSSI: i16,
    /// MG_WIFI_SECURITY_* bits.
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

/// An elliptic curve of the key helpers.
pub struct MG_UECC_Curve_t;

pub type MG_UECC_Curve = *const MG_UECC_Curve_t;

/// Messages above this level are not logged; MG_LL_DEBUG at the start.
#[unsafe(no_mangle)]
pub static mut mg_log_level: c_int = ();

/// Wall clock time at which mg_millis was 0, in milliseconds since 1970; mg_now adds it. 0 until SNTP or the application sets it.
#[unsafe(no_mangle)]
pub static mut mg_boot_timestamp_ms: u64 = ();
