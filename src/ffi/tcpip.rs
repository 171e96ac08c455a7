//! Networking over a driver of the application's own: `mg_tcpip_*`. Only in a library that was built with the feature `tcpip`.

use crate::abi::*;
use crate::ffi_util::queue;
use crate::fmt::VaArgs;
use crate::fmt::printers;
use crate::fmt::sink::AnySink;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::platform::phy::Registers;
use crate::sys::log::{self, log_error, log_info};
use core::ffi::{c_int, c_void};

fn write_log(level: c_int, what: core::fmt::Arguments) {
    if log::enabled(level) {
        log::message(level, c"tcpip", 0, what);
    }
}

/// Attaches a network interface to the manager. Call it once, after mg_mgr_init and before opening connections; interface, driver and
/// driver data must outlive the manager. Zeros in `ifp` select defaults: a random MAC address, the name `mip`, an address from DHCP.
/// Calls `driver->init`. Sends nothing and raises no event. On failure the reason is logged and `mgr->ifp` is NULL.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_init(mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if) {
    // SAFETY: a manager and an interface, as the caller promises.
    unsafe {
        (*mgr).ifp = core::ptr::null_mut();
        if cfg!(feature = "tcpip-ipv6") {
            // The application was compiled without IPv6, and its struct is shorter.
            return log_error!("this library requires applications compiled with MG_ENABLE_IPV6=1");
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

/// The name of `mg_tcpip_init` in applications compiled with MG_ENABLE_IPV6=1.
///
/// cbindgen:ignore
#[cfg(feature = "tcpip-ipv6")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_init_with_MG_ENABLE_IPV6(mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        (*mgr).ifp = core::ptr::null_mut();
        init(mgr, ifp);
    }
}

/// Detaches the interface and frees what mg_tcpip_init allocated. mg_mgr_free calls it, so applications need not.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_free(ifp: *mut mg_tcpip_if) {
    // SAFETY: an interface that mg_tcpip_init has seen, as the caller promises.
    if let Some(e) = unsafe { Engine::enter_mgr((*ifp).mgr) } {
        e.poller.detach(ifp);
    }
}

/// Puts a received frame into `ifp->recv_queue`, or drops and counts it if the queue is full. The only function here that interrupt
/// handlers may call.
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

/// Sends an ARP request for the IPv4 address `ip`; the answer arrives as MG_TCPIP_EV_ARP. `mac` is the target hardware address of the
/// request; NULL for zeros.
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

/// Resets the PHY at `addr` and logs its type. `config` takes MG_PHY_* bits, which have no effect: the library does not configure
/// clocks and LEDs.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_phy_init(phy: *mut mg_phy, addr: u8, config: u8) {
    let _ = config;
    // SAFETY: a PHY whose functions can be called, as the caller promises.
    let Some(mut registers) = (unsafe { registers(phy, addr) }) else { return };
    match registers.reset() {
        Some(kind) => log_info!("PHY {addr}: {}", kind.name()),
        None => log_error!("PHY {addr} did not complete its reset"),
    }
}

/// Returns true if the PHY at `addr` has a link, and then stores its duplex mode and MG_PHY_SPEED_* value unless a pointer is NULL.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_phy_up(phy: *mut mg_phy, addr: u8, full_duplex: *mut bool, speed: *mut u8) -> bool {
    // SAFETY: a PHY whose functions can be called, as the caller promises.
    let Some(mut registers) = (unsafe { registers(phy, addr) }) else { return false };
    if !registers.is_up() {
        return false;
    }
    if !full_duplex.is_null() && !speed.is_null() {
        if let Some(mode) = registers.mode() {
            // SAFETY: the caller's variables.
            unsafe { (*full_duplex, *speed) = (mode.full, mode.speed) };
        }
    }
    true
}

/// # Safety
/// `phy` is NULL or a PHY whose functions can be called.
#[allow(clippy::type_complexity)]
unsafe fn registers(phy: *mut mg_phy, addr: u8) -> Option<Registers<impl FnMut(u8) -> u16, impl FnMut(u8, u16)>> {
    // SAFETY: as the caller promises.
    let mg_phy { read_reg, write_reg } = unsafe { phy.as_ref() }.copied()?;
    let (read, write) = (read_reg?, write_reg?);
    // SAFETY: functions of the application, called as they expect.
    Some(Registers { read: move |reg| unsafe { read(addr, reg) }, write: move |reg, value| unsafe { write(addr, reg, value) } })
}

/// Printer for `%M` and `%m`. Arguments: `int l2type`, `uint8_t *addr`. Prints MAC addresses like mg_print_mac, other types not at all.
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_print_l2addr(r#fn: mg_pfn_t, arg: *mut c_void, ap: *mut va_list) -> usize {
    // SAFETY: see mg_print_hex: an int, then six bytes.
    unsafe {
        let ethernet = matches!(VaArgs::new(ap).int(), 0 | 2);
        let mac: *const [u8; 6] = VaArgs::new(ap).pointer().cast();
        if !ethernet || mac.is_null() { 0 } else { printers::colon_hex(&mut AnySink::new(r#fn, arg), &*mac) }
    }
}

/// The MAC address of the mDNS group, for driver filters.
///
/// cbindgen:ignore
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub static mut mcast_addr: [u8; 6] = [1, 0, 0x5e, 0, 0, 0xfb];

/// Called by applications that restore a group address by hand; nothing else is needed here.
///
/// cbindgen:ignore
#[cfg(feature = "tcpip")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_tcpip_mapip(c: *mut mg_connection, ip: *mut mg_addr) {
    // SAFETY: a connection and an address, as the caller promises.
    unsafe { ConnRef::new(c).set_rem(*ip) };
}
