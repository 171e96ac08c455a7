//! `include/mongoose_port.h` in Rust: `cargo test --test header` compares the two.

use crate::abi::{mg_addr, mg_addr_bytes};
use core::ffi::{c_int, c_void};

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct mgx_port_addr {
    pub(super) ip: [u8; 16],
    pub(super) port: u16,
    pub(super) scope: u8,
    pub(super) is_ip6: u8,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct mgx_port_item {
    pub(super) sock: c_int,
    pub(super) want: u8,
    pub(super) got: u8,
}

const _: () = assert!(size_of::<mgx_port_addr>() == 20 && core::mem::offset_of!(mgx_port_addr, is_ip6) == 19);
const _: () = assert!(size_of::<mgx_port_item>() == 8 && core::mem::offset_of!(mgx_port_item, got) == 5);

impl mgx_port_addr {
    pub(super) fn new(a: &mg_addr) -> mgx_port_addr {
        let mut ip = a.ip();
        if !a.is_ip6 {
            ip[4..].fill(0);
        }
        mgx_port_addr { ip, port: u16::from_be(a.port), scope: a.scope_id, is_ip6: a.is_ip6.into() }
    }

    pub(super) fn to_addr(self) -> mg_addr {
        let mut ip = self.ip;
        let is_ip6 = self.is_ip6 != 0;
        if !is_ip6 {
            ip[4..].fill(0);
        }
        mg_addr { addr: mg_addr_bytes { ip }, port: self.port.to_be(), scope_id: self.scope, is_ip6 }
    }
}

pub(super) const MGX_PORT_AGAIN: c_int = -1;
pub(super) const MGX_PORT_INVALID: c_int = -3;
pub(super) const MGX_PORT_NO_MEMORY: c_int = -4;
pub(super) const MGX_PORT_TOO_MANY: c_int = -5;
pub(super) const MGX_PORT_UNSUPPORTED: c_int = -6;
pub(super) const MGX_PORT_IN_USE: c_int = -7;
pub(super) const MGX_PORT_NO_SUCH_ADDRESS: c_int = -8;
pub(super) const MGX_PORT_NO_NETWORK: c_int = -9;
pub(super) const MGX_PORT_NO_HOST: c_int = -10;
pub(super) const MGX_PORT_REFUSED: c_int = -11;
pub(super) const MGX_PORT_RESET: c_int = -12;
pub(super) const MGX_PORT_TIMEOUT: c_int = -13;
pub(super) const MGX_PORT_NOT_CONNECTED: c_int = -14;
pub(super) const MGX_PORT_TOO_LONG: c_int = -15;
pub(super) const MGX_PORT_DENIED: c_int = -16;

pub(super) const MGX_PORT_STREAM: c_int = 1;
pub(super) const MGX_PORT_REUSE_ADDR: c_int = 2;
pub(super) const MGX_PORT_REUSE_PORT: c_int = 3;
pub(super) const MGX_PORT_V6ONLY: c_int = 4;
pub(super) const MGX_PORT_TOS: c_int = 5;
pub(super) const MGX_PORT_JOIN: c_int = 6;
pub(super) const MGX_PORT_MULTICAST_TTL: c_int = 7;
pub(super) const MGX_PORT_ABORT: c_int = 8;

pub(super) const MGX_PORT_READ: u8 = 1;
pub(super) const MGX_PORT_WRITE: u8 = 2;
pub(super) const MGX_PORT_FAIL: u8 = 4;
pub(super) const MGX_PORT_GONE: u8 = 8;

// What takes no memory of the caller but addresses is safe to call, with any number.
unsafe extern "C" {
    pub(super) safe fn mgx_port_open(ip6: c_int, udp: c_int) -> c_int;
    pub(super) safe fn mgx_port_close(sock: c_int);
    pub(super) safe fn mgx_port_set(sock: c_int, option: c_int, value: c_int) -> c_int;
    pub(super) safe fn mgx_port_bind(sock: c_int, addr: &mgx_port_addr) -> c_int;
    pub(super) safe fn mgx_port_listen(sock: c_int, backlog: c_int) -> c_int;
    pub(super) safe fn mgx_port_accept(sock: c_int, peer: &mut mgx_port_addr) -> c_int;
    pub(super) safe fn mgx_port_connect(sock: c_int, addr: &mgx_port_addr) -> c_int;
    pub(super) fn mgx_port_send(sock: c_int, buf: *const c_void, len: usize, more: c_int) -> c_int;
    pub(super) fn mgx_port_recv(sock: c_int, buf: *mut c_void, len: usize) -> c_int;
    pub(super) fn mgx_port_send_to(sock: c_int, buf: *const c_void, len: usize, to: &mgx_port_addr) -> c_int;
    pub(super) fn mgx_port_recv_from(sock: c_int, buf: *mut c_void, len: usize, from: &mut mgx_port_addr) -> c_int;
    pub(super) safe fn mgx_port_shutdown(sock: c_int) -> c_int;
    pub(super) safe fn mgx_port_local(sock: c_int, addr: &mut mgx_port_addr) -> c_int;
    pub(super) safe fn mgx_port_peer(sock: c_int, addr: &mut mgx_port_addr) -> c_int;
    pub(super) safe fn mgx_port_error(sock: c_int) -> c_int;
    pub(super) safe fn mgx_port_unsent(sock: c_int) -> c_int;
    pub(super) fn mgx_port_wait(items: *mut mgx_port_item, count: c_int, ms: c_int);
    pub(super) safe fn mgx_port_doorbell() -> c_int;
    pub(super) safe fn mgx_port_ring(doorbell: c_int) -> c_int;
    pub(super) safe fn mgx_port_quiet(doorbell: c_int);
    pub(super) safe fn mgx_port_thread() -> usize;
    pub(super) safe fn mgx_port_sleep(ms: u32);
}
