//! Access to the application's `struct mg_tcpip_if`. The application, its driver and its interrupt handlers change members at any time,
//! so each call reads or writes the member itself, and no reference to the struct exists.

use super::wire::Ip;
use crate::abi::*;
use crate::ffi_util::queue;
use core::ffi::{c_int, c_void};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Netif(*mut mg_tcpip_if);

macro_rules! fields {
    ($($get:ident $set:ident: $field:ident: $t:ty;)*) => {
        $(
            #[inline]
            #[allow(dead_code)]
            pub(super) fn $get(self) -> $t {
                // SAFETY: see Netif::new.
                unsafe { (&raw const (*self.0).$field).read_volatile() }
            }
            #[inline]
            #[allow(dead_code)]
            pub(super) fn $set(self, v: $t) {
                // SAFETY: see Netif::new.
                unsafe { (&raw mut (*self.0).$field).write_volatile(v) }
            }
        )*
    };
}

/// How the driver handled a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    Done,
    /// The hardware is busy.
    Busy,
    /// It accepted only part of the frame.
    Short,
    Failed,
}

impl Netif {
    /// # Safety
    /// `p` points at an interface that lives as long as its manager; its driver, too.
    pub(super) unsafe fn new(p: *mut mg_tcpip_if) -> Netif {
        Netif(p)
    }

    pub(super) fn as_ptr(self) -> *mut mg_tcpip_if {
        self.0
    }

    fields! {
        mac8 set_mac8: mac: [u8; 8];
        ip_word set_ip_word: ip: u32;
        mask_word set_mask_word: mask: u32;
        gw_word set_gw_word: gw: u32;
        tx set_tx: tx: mg_str;
        dhcp_client set_dhcp_client: enable_dhcp_client: bool;
        dhcp_server set_dhcp_server: enable_dhcp_server: bool;
        get_gateway set_get_gateway: enable_get_gateway: bool;
        req_dns set_req_dns: enable_req_dns: bool;
        req_sntp set_req_sntp: enable_req_sntp: bool;
        fcs_check set_fcs_check: enable_fcs_check: bool;
        mac_check set_mac_check: enable_mac_check: bool;
        update_hash set_update_hash: update_mac_hash_table: bool;
        ip_changed set_ip_changed: is_ip_changed: bool;
        driver set_driver: driver: *mut mg_tcpip_driver;
        mgr set_mgr: mgr: *mut mg_mgr;
        pfn set_pfn: pfn: mg_tcpip_event_handler_t;
        handler set_handler: r#fn: mg_tcpip_event_handler_t;
        name set_name: dhcp_name: [core::ffi::c_char; MG_TCPIP_DHCPNAME_SIZE];
        mtu set_mtu: mtu: u16;
        framesize set_framesize: framesize: u16;
        l2mtu set_l2mtu: l2mtu: u16;
        gwmac set_gwmac: gwmac: [u8; 8];
        dns4_url set_dns4_url: dns4_url: *mut core::ffi::c_char;
        now set_now: now: u64;
        timer set_timer: timer_1000ms: u64;
        lease_expire set_lease_expire: lease_expire: u64;
        eport set_eport: eport: u16;
        ndrop set_ndrop: ndrop: u32;
        nrecv set_nrecv: nrecv: u32;
        nsent set_nsent: nsent: u32;
        nerr set_nerr: nerr: u32;
        state set_state: state: u8;
        gw_ready set_gw_ready: gw_ready: bool;
    }

    #[cfg(feature = "tcpip-ipv6")]
    fields! {
        ip6ll_words set_ip6ll_words: ip6ll: [u64; 2];
        ip6_words set_ip6_words: ip6: [u64; 2];
        gw6_words set_gw6_words: gw6: [u64; 2];
        prefix set_prefix: prefix: [u8; 8];
        prefix_len set_prefix_len: prefix_len: u8;
        slaac set_slaac: enable_slaac: bool;
        ip6_changed set_ip6_changed: is_ip6_changed: bool;
        gw6mac set_gw6mac: gw6mac: [u8; 8];
        state6 set_state6: state6: u8;
        gw6_ready set_gw6_ready: gw6_ready: bool;
    }

    pub(super) fn mac(self) -> [u8; 6] {
        let m = self.mac8();
        [m[0], m[1], m[2], m[3], m[4], m[5]]
    }

    pub(super) fn ip(self) -> [u8; 4] {
        self.ip_word().to_ne_bytes()
    }

    pub(super) fn gw(self) -> [u8; 4] {
        self.gw_word().to_ne_bytes()
    }

    /// Whether both addresses are in the interface's subnet.
    pub(super) fn is_on_link(self, ip: [u8; 4]) -> bool {
        (u32::from_ne_bytes(ip) ^ self.ip_word()) & self.mask_word() == 0
    }

    /// The limited broadcast address, and the subnet's.
    pub(super) fn is_broadcast(self, ip: [u8; 4]) -> bool {
        let mask = u32::from_be(self.mask_word());
        ip == [255; 4]
            || mask < u32::MAX - 1
                && mask != 0
                && self.ip_word() != 0
                && u32::from_ne_bytes(ip) == self.ip_word() | !self.mask_word()
    }

    /// The address of a member, for events.
    pub(super) fn state_ptr(self) -> *mut c_void {
        // SAFETY: see Netif::new.
        unsafe { (&raw mut (*self.0).state).cast() }
    }

    #[cfg(feature = "tcpip-ipv6")]
    pub(super) fn state6_ptr(self) -> *mut c_void {
        // SAFETY: see Netif::new.
        unsafe { (&raw mut (*self.0).state6).cast() }
    }

    /// The layer 2 that the application selected, as a number, because it may be an unknown value.
    pub(super) fn l2type(self) -> u32 {
        // SAFETY: see Netif::new; the size is that of the member.
        unsafe {
            let p = &raw const (*self.0).l2type;
            match size_of::<mg_l2type>() {
                1 => p.cast::<u8>().read().into(),
                _ => p.cast::<u32>().read_unaligned(),
            }
        }
    }

    pub(super) fn vlan(self) -> u16 {
        // SAFETY: see Netif::new; both members of the union are this number.
        unsafe { (&raw const (*self.0).l2data).cast::<u16>().read_unaligned() }
    }

    pub(super) fn queue(self) -> *mut mg_queue {
        // SAFETY: see Netif::new.
        unsafe { &raw mut (*self.0).recv_queue }
    }

    pub(super) fn queue_size(self) -> usize {
        // SAFETY: see Netif::new.
        unsafe { (*self.queue()).size }
    }

    /// The driver's current functions.
    fn calls(self) -> Option<mg_tcpip_driver> {
        // SAFETY: NULL or the application's driver.
        unsafe { self.driver().as_ref().copied() }
    }

    /// True if the driver lacks the function.
    pub(super) fn driver_init(self) -> bool {
        // SAFETY: the driver's function, called as it expects.
        self.calls().is_some_and(|d| d.init.is_none_or(|init| unsafe { init(self.0) }))
    }

    pub(super) fn driver_poll(self, once_a_second: bool) -> bool {
        // SAFETY: as above.
        self.calls().is_some_and(|d| d.poll.is_none_or(|poll| unsafe { poll(self.0, once_a_second) }))
    }

    pub(super) fn pulls(self) -> bool {
        self.calls().is_some_and(|d| d.rx.is_some())
    }

    /// Transmits the first `len` bytes of the transmit buffer.
    pub(super) fn driver_tx(self, len: usize) -> Sent {
        let Some(tx) = self.calls().and_then(|d| d.tx) else { return Sent::Failed };
        // SAFETY: as above; the buffer has len bytes.
        match unsafe { tx(self.tx().buf.cast(), len, self.0) } {
            0 => Sent::Busy,
            usize::MAX => Sent::Failed,
            n => {
                self.set_nsent(self.nsent().wrapping_add(1));
                if n == len { Sent::Done } else { Sent::Short }
            }
        }
    }

    /// The next received frame, which stays in place until [`Netif::forget`].
    pub(super) fn next_frame<'a>(self) -> Option<&'a mut [u8]> {
        let q = self.queue();
        // SAFETY: the receive buffer is ours and has the size passed to the driver; mg_queue_add wrote the queue's contents.
        let (len, at) = unsafe {
            match self.calls().and_then(|d| d.rx) {
                Some(rx) => {
                    let (buf, size) = ((*q).buf, (*q).size);
                    let n = rx(buf.cast(), size, self.0);
                    (if n <= size { n } else { 0 }, buf.cast::<u8>())
                }
                None => {
                    let (n, at) = queue::next(q);
                    (n, at)
                }
            }
        };
        if len == 0 || at.is_null() {
            return None;
        }
        if self.pulls() {
            self.set_nrecv(self.nrecv().wrapping_add(1));
        }
        // SAFETY: len bytes there are the frame, and they are not overwritten before it is removed.
        Some(unsafe { core::slice::from_raw_parts_mut(at, len) })
    }

    /// Removes the frame from the queue.
    pub(super) fn forget(self, len: usize) {
        if !self.pulls() {
            // SAFETY: the oldest frame, as next_frame gave it.
            unsafe { queue::del(self.queue(), len) }
        }
    }

    /// `len` bytes of the transmit buffer; empty if it is smaller.
    pub(super) fn tx_bytes<'a>(self, len: usize) -> &'a mut [u8] {
        let tx = self.tx();
        if tx.buf.is_null() || len > tx.len {
            return &mut [];
        }
        // SAFETY: the buffer is ours and initialised, and no other reference to it exists: nothing is called while one is used.
        unsafe { core::slice::from_raw_parts_mut(tx.buf.cast(), len) }
    }

    /// Calls both handlers.
    pub(super) fn event(self, ev: c_int, data: *mut c_void) {
        for f in [Netif::pfn, Netif::handler] {
            if let Some(f) = f(self) {
                // SAFETY: a handler of the application.
                unsafe { f(self.0, ev, data) };
            }
        }
    }

    pub(super) fn own(self) -> Ip {
        Ip::V4(self.ip())
    }
}
