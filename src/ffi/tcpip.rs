//! Networking over a driver of the application's own: `mg_tcpip_*`. Only in a library that was built with the feature `tcpip`.

use crate::abi::*;
use crate::ffi_util::queue;
use crate::net::engine::Engine;
use crate::sys::log::{self, log_error};
use core::ffi::{c_int, c_void};

fn write_log(level: c_int, what: core::fmt::Arguments) {
    if log::enabled(level) {
        log::message(level, c"tcpip", 0, what);
    }
}

/// Puts a network interface under the manager. Call it once, after mg_mgr_init and before anything is opened; interface, driver and
/// driver data must live as long as the manager. Zeros in `ifp` become defaults: a random MAC address, the name `mip`, an address from
/// DHCP. Calls `driver->init`. Nothing is sent and no event fires inside. When it has failed, the reason is in the log and `mgr->ifp` is
/// NULL.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_init(mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if) {
    // SAFETY: a manager and an interface, as the caller promises.
    unsafe {
        (*mgr).ifp = core::ptr::null_mut();
        if cfg!(feature = "tcpip-ipv6") {
            // The application was compiled without IPv6, and its struct is shorter.
            return log_error!("this library wants programs that were compiled with MG_ENABLE_IPV6=1");
        }
        init(mgr, ifp);
    }
}

/// # Safety
/// As `mg_tcpip_init`.
unsafe fn init(mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if) {
    // SAFETY: a manager and an interface, as the caller promises.
    unsafe {
        let Some(e) = Engine::enter_mgr(mgr) else { return };
        if e.poller.attach(mgr, ifp, write_log) {
            (*mgr).ifp = ifp;
        }
    }
}

/// The name under which applications know `mg_tcpip_init` that were compiled with MG_ENABLE_IPV6=1.
///
/// cbindgen:ignore
#[cfg(feature = "tcpip-ipv6")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_init_with_MG_ENABLE_IPV6(mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if) {
    // SAFETY: passed on to the caller.
    unsafe {
        (*mgr).ifp = core::ptr::null_mut();
        init(mgr, ifp);
    }
}

/// Takes the interface away and frees what mg_tcpip_init allocated. mg_mgr_free does this; an application need not.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_free(ifp: *mut mg_tcpip_if) {
    // SAFETY: an interface that mg_tcpip_init has seen, as the caller promises.
    if let Some(e) = unsafe { Engine::enter_mgr((*ifp).mgr) } {
        e.poller.detach(ifp);
    }
}

/// Puts a received frame into `ifp->recv_queue`, or drops and counts it when there is no room. The only function here that an interrupt
/// handler may call.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_qwrite(buf: *mut c_void, len: usize, ifp: *mut mg_tcpip_if) {
    // SAFETY: len bytes and an interface, as the caller promises; one context writes to the queue.
    unsafe {
        let q = &raw mut (*ifp).recv_queue;
        let (room, at) = queue::book(q, len);
        let counter = if len > 0 && room >= len && !(*q).buf.is_null() {
            core::ptr::copy_nonoverlapping(buf.cast(), at, len);
            queue::add(q, len);
            &raw mut (*ifp).nrecv
        } else {
            &raw mut (*ifp).ndrop
        };
        counter.write_volatile(counter.read_volatile().wrapping_add(1));
    }
}

/// Asks the network who has the IPv4 address `ip`; the answer is an MG_TCPIP_EV_ARP. `mac` goes into the target's hardware address; NULL
/// for zeros.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_arp_request(ifp: *mut mg_tcpip_if, ip: u32, mac: *mut u8) {
    // SAFETY: an interface and NULL or six bytes, as the caller promises.
    unsafe {
        let mac = if mac.is_null() { [0; 6] } else { mac.cast::<[u8; 6]>().read() };
        if let Some(e) = Engine::enter_mgr((*ifp).mgr) {
            e.poller.ask(ip.to_ne_bytes(), mac);
        }
    }
}
