use super::*;

/// A DNS server.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns {
    /// Its address, for example `udp://8.8.8.8:53`.
    pub url: *const c_char,
    /// The connection to it, opened when first needed.
    pub c: *mut mg_connection,
}
layout!(mg_dns, 16, url @ 0, c @ 8);

/// Event manager: holds connections and timers, polled by one thread.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mgr {
    /// All connections, newest first, linked by `next`.
    pub conns: *mut mg_connection,
    /// DNS server for names, over IPv4.
    pub dns4: mg_dns,
    /// The same over IPv6.
    pub dns6: mg_dns,
    /// mDNS connection, see mg_mdns_listen.
    pub mdns: *mut mg_connection,
    /// How long a name may take to resolve, milliseconds.
    pub dnstimeout: c_int,
    /// Ask `dns6` first.
    pub use_dns6: bool,
    /// The id handed out last.
    pub nextid: c_ulong,
    /// The application's own; set it after mg_mgr_init.
    pub userdata: *mut c_void,
    /// Of the TLS layer.
    pub tls_ctx: *mut c_void,
    /// MQTT packet id used last.
    pub mqtt_id: u16,
    /// Of the resolver.
    pub active_dns_requests: *mut c_void,
    /// Of the mDNS resolver.
    pub active_mdns_requests: *mut c_void,
    /// Timers that mg_mgr_poll runs.
    pub timers: *mut mg_timer,
    /// Descriptor that the poll waits on; -1 when there is none.
    pub epoll_fd: c_int,
    /// The interface given to mg_tcpip_init; NULL where the sockets of the operating system are used.
    pub ifp: *mut mg_tcpip_if,
    /// Bytes to allocate behind each struct mg_connection, for the application.
    pub extraconnsize: usize,
    /// Of mg_wakeup.
    pub pipe: mg_pipe,
}
layout!(mg_mgr, 144, conns @ 0, dns4 @ 8, dns6 @ 24, mdns @ 40, dnstimeout @ 48, use_dns6 @ 52, nextid @ 56, userdata @ 64, tls_ctx @ 72, mqtt_id @ 80, active_dns_requests @ 88, active_mdns_requests @ 96, timers @ 104, epoll_fd @ 112, ifp @ 120, extraconnsize @ 128, pipe @ 136);

/// The write end of the wakeup pair.
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
