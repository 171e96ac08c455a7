use super::*;

/// A DNS server.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns {
    /// URL of the server, for example `udp://8.8.8.8:53`.
    pub url: *const c_char,
    /// Connection to the server, opened on first use.
    pub c: *mut mg_connection,
}
layout!(mg_dns, 16, url @ 0, c @ 8);

/// Event manager: owns connections and timers. One thread polls it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mgr {
    /// List of all connections, newest first, linked by `next`.
    pub conns: *mut mg_connection,
    /// DNS server reached over IPv4.
    pub dns4: mg_dns,
    /// DNS server reached over IPv6.
    pub dns6: mg_dns,
    /// Listener used to resolve `.local` names; see mg_mdns_listen.
    pub mdns: *mut mg_connection,
    /// Name resolution timeout, in milliseconds.
    pub dnstimeout: c_int,
    /// Query `dns6` first.
    pub use_dns6: bool,
    /// Last connection id assigned.
    pub nextid: c_ulong,
    /// User data. Set it after mg_mgr_init.
    pub userdata: *mut c_void,
    /// Internal.
    pub tls_ctx: *mut c_void,
    /// Last MQTT packet id assigned.
    pub mqtt_id: u16,
    /// Internal: pending DNS lookups.
    pub active_dns_requests: *mut c_void,
    /// Internal: pending mDNS lookups.
    pub active_mdns_requests: *mut c_void,
    /// List of timers that mg_mgr_poll runs.
    pub timers: *mut mg_timer,
    /// Descriptor of the poller; -1 if there is none.
    pub epoll_fd: c_int,
    /// The interface given to mg_tcpip_init; NULL where the sockets of the operating system are used.
    pub ifp: *mut mg_tcpip_if,
    /// Number of extra bytes to allocate after each struct mg_connection, for the application.
    pub extraconnsize: usize,
    /// Internal: used by mg_wakeup.
    pub pipe: mg_pipe,
}
layout!(mg_mgr, 144, conns @ 0, dns4 @ 8, dns6 @ 24, mdns @ 40, dnstimeout @ 48, use_dns6 @ 52, nextid @ 56, userdata @ 64, tls_ctx @ 72, mqtt_id @ 80, active_dns_requests @ 88, active_mdns_requests @ 96, timers @ 104, epoll_fd @ 112, ifp @ 120, extraconnsize @ 128, pipe @ 136);

/// Write end of the channel used by mg_wakeup.
#[repr(C)]
#[derive(Clone, Copy)]
pub union mg_pipe {
    pub fd: c_int,
    pub q: *mut c_void,
}

/// A network interface of the application's, in a library that was built for them.
///
/// cbindgen:ignore
#[cfg(not(feature = "tcpip"))]
#[repr(C)]
pub struct mg_tcpip_if {
    _opaque: [u8; 0],
}
