//! The states of the interface, their events, and the DHCP client's part. Handlers of the application are called between two steps,
//! while the stack is idle; until then events wait in a queue, each with the state that it reports.

use super::dhcp::{self, Action, Answer, Lease};
use super::link::Link;
use super::netif::Netif;
use super::stack::{self, Log, Stack};
use super::wire::{self, Ip};
use crate::abi::*;
use crate::ffi_util::heap;
use core::cell::RefCell;
use core::ffi::{c_char, c_int};

/// An event for the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    State(u8),
    Timer,
    Dns([u8; 4]),
    Sntp([u8; 4]),
    #[cfg(feature = "tcpip-ipv6")]
    State6(u8),
}

/// The current state of the interface; `ifp->state` follows with the event.
pub(super) struct Life {
    pub(super) state: u8,
    next_second: u64,
    /// The state of the link was reported, up or down.
    told: bool,
    /// The address that smoltcp and TCP use.
    ip: u32,
    mask: u32,
    mtu: u16,
    /// An address was granted: the interface continues after the events have been delivered.
    granted: bool,
}

impl Default for Life {
    fn default() -> Life {
        Life { state: MG_TCPIP_STATE_DOWN as u8, next_second: 0, told: false, ip: 0, mask: 0, mtu: 0, granted: false }
    }
}

const DOWN: u8 = MG_TCPIP_STATE_DOWN as u8;
const UP: u8 = MG_TCPIP_STATE_UP as u8;
const REQ: u8 = MG_TCPIP_STATE_REQ as u8;
const IP: u8 = MG_TCPIP_STATE_IP as u8;
const READY: u8 = MG_TCPIP_STATE_READY as u8;

const ETHERNET_MTU: u16 = 1500;
const ETHERNET_FRAME: u16 = 1540;
const QUEUE: usize = 8192;

/// Attaches a stack to the application's interface: see `mg_tcpip_init`. False: it cannot be used.
///
/// # Safety
/// `ifp` points at an interface that lives, like its driver, as long as the manager.
pub(super) unsafe fn attach(cell: &RefCell<Stack>, mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if, log: Log) -> bool {
    // SAFETY: passed on to the caller.
    let nif = unsafe { Netif::new(ifp) };
    let error = |what: &str| {
        log(MG_LL_ERROR as c_int, format_args!("{what}"));
        false
    };
    if nif.driver().is_null() {
        return error("mg_tcpip_init: no driver");
    }
    if nif.l2type() != mg_l2type::MG_TCPIP_L2_ETH as u32 {
        return error("mg_tcpip_init: only MG_TCPIP_L2_ETH is supported");
    }
    if nif.mac() == [0; 6] {
        let mut mac = [0; 8];
        if !stack::random(&mut mac[1..6]) {
            log(MG_LL_ERROR as c_int, format_args!("mg_random fails: the MAC address is not random"));
        }
        mac[0] = 2;
        nif.set_mac8(mac);
        let m = mac;
        log(
            MG_LL_INFO as c_int,
            format_args!("MAC not set. Generated {:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", m[0], m[1], m[2], m[3], m[4], m[5]),
        );
    }
    let mut name = nif.name();
    if name[0] == 0 {
        for (to, from) in name.iter_mut().zip(*b"mip\0") {
            *to = from as c_char;
        }
    }
    name[name.len() - 1] = 0;
    nif.set_name(name);
    nif.set_l2mtu(ETHERNET_MTU);
    nif.set_mtu(ETHERNET_MTU);
    nif.set_framesize(ETHERNET_FRAME);
    if !nif.driver_init() {
        return error("driver init failed");
    }
    let size = match nif.queue_size() {
        0 if nif.pulls() => ETHERNET_FRAME.into(),
        0 => QUEUE,
        n => n,
    };
    let (tx, rx) = (heap::calloc(ETHERNET_FRAME.into()), heap::calloc(size));
    if tx.is_null() || rx.is_null() {
        // SAFETY: just allocated, or NULL.
        unsafe {
            heap::free(tx);
            heap::free(rx);
        }
        return error("OOM");
    }
    nif.set_tx(mg_str { buf: tx.cast(), len: ETHERNET_FRAME.into() });
    // SAFETY: the interface's own queue; interrupt handlers see it empty until the size is set.
    unsafe {
        let q = nif.queue();
        (*q).size = 0;
        ((*q).tail, (*q).head) = (0, 0);
        (*q).buf = rx.cast();
        core::sync::atomic::fence(core::sync::atomic::Ordering::Release);
        (*q).size = size;
    }
    if nif.ip_word() == 0 {
        nif.set_dhcp_client(true);
    }
    let now = super::clock::millis();
    nif.set_timer(now);
    nif.set_state(DOWN);
    nif.set_gw_ready(false);
    nif.set_mgr(mgr);
    let mut stack = cell.borrow_mut();
    (stack.now, stack.log) = (now, Some(log));
    let port = 32768 | stack.random64() as u16;
    nif.set_eport(port);
    let mut link = Link::new(nif);
    link.now = now;
    stack.link = Some(link);
    stack.life = Life { next_second: now, ..Life::default() };
    stack.reseed();
    true
}

/// Frees what [`attach`] allocated, and detaches from the interface.
pub(super) fn detach(cell: &RefCell<Stack>, ifp: *mut mg_tcpip_if) {
    let Ok(mut stack) = cell.try_borrow_mut() else { return };
    let Some(nif) = stack.nif().filter(|nif| nif.as_ptr() == ifp) else { return };
    // The last chance to send pending output.
    stack.egress();
    stack.link = None;
    stack.iface = None;
    // SAFETY: attach allocated the buffers, and dns4_url is ours or NULL.
    unsafe {
        let q = nif.queue();
        heap::free((*q).buf.cast());
        (*q) = mg_queue { buf: core::ptr::null_mut(), size: 0, tail: 0, head: 0 };
        heap::free(nif.tx().buf.cast());
        nif.set_tx(mg_str { buf: core::ptr::null_mut(), len: 0 });
        free_dns(nif);
    }
}

/// # Safety
/// `dns4_url` is NULL or from the heap.
unsafe fn free_dns(nif: Netif) {
    let url = nif.dns4_url();
    if !url.is_null() {
        // SAFETY: the manager is alive; the text is no longer used.
        unsafe {
            let mgr = nif.mgr();
            if (*mgr).dns4.url == url.cast_const() {
                (*mgr).dns4.url = c"udp://8.8.8.8:53".as_ptr();
            }
            heap::free(url.cast());
        }
        nif.set_dns4_url(core::ptr::null_mut());
    }
}

/// Delivers the queued events. The stack is not borrowed meanwhile: handlers may call anything.
pub(super) fn deliver(cell: &RefCell<Stack>) {
    // A handler may free the interface.
    while let Some((nif, event)) = cell.try_borrow_mut().ok().and_then(|mut s| Some((s.nif()?, s.events.pop_front()?))) {
        match event {
            Event::State(state) => {
                nif.set_state(state);
                nif.event(MG_TCPIP_EV_STATE_CHANGE as c_int, nif.state_ptr());
            }
            Event::Timer => nif.event(MG_TCPIP_EV_TIMER_1S as c_int, core::ptr::null_mut()),
            Event::Dns(ip) => tell_address(nif, MG_TCPIP_EV_DHCP_DNS as c_int, ip),
            Event::Sntp(ip) => tell_address(nif, MG_TCPIP_EV_DHCP_SNTP as c_int, ip),
            #[cfg(feature = "tcpip-ipv6")]
            Event::State6(state) => {
                nif.set_state6(state);
                nif.event(MG_TCPIP_EV_STATE6_CHANGE as c_int, nif.state6_ptr());
            }
        }
    }
}

fn tell_address(nif: Netif, ev: c_int, ip: [u8; 4]) {
    let mut word = u32::from_ne_bytes(ip);
    nif.event(ev, (&raw mut word).cast());
}

impl Stack {
    /// Whether the next second has begun since the last call.
    pub(super) fn is_second(&mut self) -> bool {
        let now = self.now;
        let due = now >= self.life.next_second || self.life.next_second > now.saturating_add(1000);
        if due {
            // Keeps the rhythm, unless the application has not polled for long.
            let next = self.life.next_second.saturating_add(1000);
            self.life.next_second = if next > now && next <= now.saturating_add(1000) { next } else { now.saturating_add(1000) };
            if let Some(nif) = self.nif() {
                nif.set_timer(self.life.next_second);
            }
        }
        due
    }

    fn enter(&mut self, state: u8) {
        self.life.state = state;
        self.events.push_back(Event::State(state));
    }

    /// The work of each second. `up` is the state of the link according to the driver.
    pub(super) fn second(&mut self, up: bool) {
        let Some(nif) = self.nif() else { return };
        let was_up = self.life.state != DOWN;
        if !up {
            if was_up || !self.life.told {
                self.say(MG_LL_ERROR as c_int, format_args!("Link down"));
                self.dhcp.stop();
                if let Some(link) = self.link.as_mut() {
                    link.reset();
                }
                nif.set_gw_ready(false);
                self.enter(DOWN);
                #[cfg(feature = "tcpip-ipv6")]
                self.link6_down();
            }
        } else if !was_up {
            if nif.dhcp_client() {
                self.start_dhcp();
            } else if nif.ip_word() != 0 {
                self.enter_ip();
            } else {
                self.enter(UP);
            }
            #[cfg(feature = "tcpip-ipv6")]
            self.link6_up();
        } else {
            match self.life.state {
                UP if !nif.dhcp_client() && nif.ip_word() != 0 => {
                    self.dhcp.stop();
                    self.enter_ip();
                }
                UP if nif.dhcp_client() && self.dhcp.phase == dhcp::Phase::Off => self.start_dhcp_quietly(),
                IP => self.ready(),
                READY if !nif.gw_ready() && nif.gw_word() != 0 => {
                    if let Some(link) = self.link.as_mut() {
                        link.ask_gateway();
                    }
                }
                _ => {}
            }
            #[cfg(feature = "tcpip-ipv6")]
            self.second6();
        }
        self.life.told = true;
        if let Some(link) = self.link.as_mut() {
            link.tick();
        }
        self.events.push_back(Event::Timer);
    }

    /// The address is set; checks for the gateway.
    fn enter_ip(&mut self) {
        self.sync_address();
        let Some(link) = self.link.as_mut() else { return };
        if link.nif.gw_word() != 0 {
            link.ask_gateway();
        }
        self.enter(IP);
    }

    fn ready(&mut self) {
        if let Some(nif) = self.nif() {
            nif.set_ip_changed(false);
        }
        self.enter(READY);
    }

    /// The gateway has replied.
    pub(super) fn gateway_known(&mut self) {
        if self.life.state == IP {
            if let Some(link) = self.link.as_mut() {
                // Updates neighbours that have another host's MAC for this address.
                let (ip, mac) = (link.nif.ip(), link.nif.mac());
                link.arp_request(ip, mac);
            }
            self.ready();
        }
    }

    /// Applies what the application, or DHCP, has written to the address fields.
    pub(super) fn sync_address(&mut self) {
        let Some(nif) = self.nif() else { return };
        let now = (nif.ip_word(), nif.mask_word(), nif.mtu());
        if now == (self.life.ip, self.life.mask, self.life.mtu) {
            return;
        }
        let new_mtu = now.2 != self.life.mtu;
        (self.life.ip, self.life.mask, self.life.mtu) = now;
        self.sync_smoltcp();
        if new_mtu {
            self.reseed();
        }
        if now.0 != 0 {
            self.tcp_moved(Ip::V4(nif.ip()));
        }
    }

    pub(super) fn sync_smoltcp(&mut self) {
        let (Some(nif), Some(iface)) = (self.nif(), self.iface.as_mut()) else { return };
        iface.update_ip_addrs(|addrs| {
            addrs.clear();
            for cidr in stack::cidrs(nif) {
                let _ = addrs.push(cidr);
            }
        });
    }

    fn start_dhcp(&mut self) {
        self.start_dhcp_quietly();
        self.enter(UP);
    }

    fn start_dhcp_quietly(&mut self) {
        let xid = self.random64() as u32;
        let now = self.now;
        self.dhcp.start(now, xid);
    }

    /// Sends what is due for the DHCP client.
    pub(super) fn dhcp_step(&mut self) {
        let Some(nif) = self.nif() else { return };
        if core::mem::take(&mut self.life.granted) {
            self.enter_ip();
        }
        if !nif.dhcp_client() || self.life.state == DOWN {
            return;
        }
        let now = self.now;
        match self.dhcp.due(now) {
            None => {}
            Some(Action::Lost) => self.lost_lease(),
            Some(Action::Broadcast) => self.dhcp_send(None),
            Some(Action::Unicast(server)) => self.dhcp_send(Some(server)),
        }
    }

    fn dhcp_send(&mut self, server: Option<[u8; 4]>) {
        let Some(nif) = self.nif() else { return };
        let name = nif.name().map(|c| c as u8);
        let len = name.iter().position(|c| *c == 0).unwrap_or(name.len());
        let about = dhcp::About { mac: nif.mac(), name: &name[..len], dns: nif.req_dns(), sntp: nif.req_sntp() };
        let mut buf = [0; dhcp::MOST];
        let n = self.dhcp.write(self.now, &about, &mut buf);
        // A previous address is not ours until it is granted again.
        let bound = matches!(self.dhcp.phase, dhcp::Phase::Renewing | dhcp::Phase::Rebinding);
        let from = if bound { nif.own() } else { Ip::V4([0; 4]) };
        let to = Ip::V4(server.unwrap_or([255; 4]));
        let Some(link) = self.link.as_mut() else { return };
        if let Some(room) = link.packet(wire::IP4 + wire::UDP + n) {
            let len = wire::put_udp(room, from, dhcp::CLIENT_PORT, to, dhcp::SERVER_PORT, 0, 64, &buf[..n]);
            link.send(to, len, true);
        }
    }

    pub(super) fn dhcp_answer(&mut self, msg: &[u8]) {
        let Some(nif) = self.nif() else { return };
        let now = self.now;
        match self.dhcp.input(now, nif.mac(), msg) {
            None => {}
            Some(Answer::Offer) => {
                self.dhcp_step();
                if self.life.state == UP {
                    self.enter(REQ);
                }
            }
            Some(Answer::Refused) => self.lost_lease(),
            Some(Answer::Granted(lease)) => self.granted(nif, lease),
        }
    }

    fn granted(&mut self, nif: Netif, lease: Lease) {
        let ip = u32::from_ne_bytes(lease.ip);
        let first = matches!(self.life.state, UP | REQ);
        if self.life.ip != ip && nif.ip_word() != ip {
            nif.set_ip_changed(true);
        }
        nif.set_ip_word(ip);
        nif.set_mask_word(u32::from_ne_bytes(lease.mask));
        let gw = u32::from_ne_bytes(lease.router.unwrap_or_default());
        if nif.gw_word() != gw {
            nif.set_gw_ready(false);
        }
        nif.set_gw_word(gw);
        nif.set_lease_expire(lease.ends);
        if !first {
            return self.sync_address();
        }
        if let Some(dns) = lease.dns.filter(|_| nif.req_dns()) {
            self.set_dns(nif, dns);
            self.events.push_back(Event::Dns(dns));
        }
        if let Some(sntp) = lease.sntp.filter(|_| nif.req_sntp()) {
            self.events.push_back(Event::Sntp(sntp));
        }
        self.life.granted = true;
    }

    /// Sets the manager's DNS server. The engine closes a connection to another one when it notices.
    fn set_dns(&mut self, nif: Netif, [a, b, c, d]: [u8; 4]) {
        let text = alloc::format!("udp://{a}.{b}.{c}.{d}:53");
        let url = heap::dup(text.as_bytes());
        if url.is_null() {
            return;
        }
        // SAFETY: the manager is alive, and the old text is ours or NULL.
        unsafe {
            free_dns(nif);
            nif.set_dns4_url(url.cast());
            let mgr = nif.mgr();
            (*mgr).dns4.url = url.cast();
            if let Some(c) = (*mgr).dns4.c.as_mut() {
                c.flags.set_closing(true);
            }
        }
    }

    fn lost_lease(&mut self) {
        if let Some(nif) = self.nif() {
            nif.set_ip_word(0);
        }
        self.sync_address();
        self.start_dhcp_quietly();
        self.enter(UP);
    }

    pub(super) fn dhcp_serve(&mut self, msg: &[u8]) {
        let Some(link) = self.link.as_mut() else { return };
        let nif = link.nif;
        let mut buf = [0; dhcp::MOST];
        let Some(reply) = dhcp::serve(msg, nif.ip(), nif.mask_word().to_ne_bytes(), &mut buf) else { return };
        if let Some(room) = link.packet(wire::IP4 + wire::UDP + reply.len) {
            let (from, to) = (nif.own(), Ip::V4(reply.to));
            let len = wire::put_udp(room, from, dhcp::SERVER_PORT, to, dhcp::CLIENT_PORT, 0, 64, &buf[..reply.len]);
            link.send_to_mac(reply.to_mac, false, len);
        }
        if let Some(ip) = reply.granted {
            link.learn(Ip::V4(ip), reply.to_mac);
            if nif.get_gateway() {
                nif.set_gw_word(u32::from_ne_bytes(ip));
                link.learn(Ip::V4(ip), reply.to_mac);
            }
        }
    }

    /// Whether there is a network to send to by this version of IP. A peer that `has_reached` us needs no gateway that is known.
    pub(super) fn is_up(&self, is_ip6: bool, has_reached: bool) -> bool {
        let Some(nif) = self.nif() else { return false };
        #[cfg(feature = "tcpip-ipv6")]
        if is_ip6 {
            return nif.state6() != DOWN;
        }
        let _ = is_ip6;
        nif.state() == READY || nif.state() == IP && has_reached
    }

    pub(super) fn wants_arp_event(&self) -> bool {
        self.life.state >= UP
    }

    /// For `mg_tcpip_arp_request`.
    pub(super) fn ask(&mut self, ip: [u8; 4], mac: [u8; 6]) {
        if let Some(link) = self.link.as_mut() {
            link.arp_request(ip, mac);
        }
    }
}
