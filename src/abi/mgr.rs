use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_dns {
    pub url: *const c_char,
    pub c: *mut mg_connection,
}
layout!(mg_dns, 16, url @ 0, c @ 8);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_mgr {
    pub conns: *mut mg_connection,
    pub dns4: mg_dns,
    pub dns6: mg_dns,
    pub mdns: *mut mg_connection,
    pub dnstimeout: c_int,
    pub use_dns6: bool,
    pub nextid: c_ulong,
    pub userdata: *mut c_void,
    pub tls_ctx: *mut c_void,
    pub mqtt_id: u16,
    pub active_dns_requests: *mut c_void,
    pub active_mdns_requests: *mut c_void,
    pub timers: *mut mg_timer,
    pub epoll_fd: c_int,
    pub ifp: *mut mg_tcpip_if,
    pub extraconnsize: usize,
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

/// The built-in TCP/IP stack's interface: always NULL in a hosted build.
#[repr(C)]
pub struct mg_tcpip_if {
    _opaque: [u8; 0],
}
