//! The state of one interface: its link, its sockets, its DHCP client. And the table of all stacks, which maps a socket's number to its
//! stack.

use super::dhcp;
use super::errno;
use super::link::{Device, Link};
use super::netif::Netif;
use super::tcp::{Listener, Tcp};
use super::udp::Udp;
use super::wire::Ip;
use crate::abi::mg_addr;
use crate::memory;
use crate::memory::atomic::{AtomicPtr, Ordering};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ffi::{c_int, c_void};
use smoltcp::iface::{Config, Interface, SocketSet, SocketStorage};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

unsafe extern "C" {
    fn mg_random(buf: *mut c_void, len: usize) -> bool;
}

/// Fills a buffer; false if there are no random numbers.
#[must_use]
pub(super) fn random(buf: &mut [u8]) -> bool {
    // SAFETY: the buffer has that many bytes.
    unsafe { mg_random(buf.as_mut_ptr().cast(), buf.len()) }
}

pub(super) type Log = fn(c_int, core::fmt::Arguments);

/// One socket.
pub(super) enum Socket {
    Udp(Udp),
    Tcp(Tcp),
    Listener(Listener),
}

/// The state of a socket's readiness, for the poller.
#[derive(Default)]
pub(super) struct Watch {
    pub(super) token: Option<usize>,
    /// Readability was reported, and no read has found the socket empty since.
    pub(super) told: bool,
    /// A send was partial: report when it can continue.
    pub(super) wants_write: bool,
    pub(super) error: c_int,
    pub(super) error_told: bool,
}

pub(super) struct Entry {
    pub(super) socket: Socket,
    pub(super) watch: Watch,
    /// If several sockets match a packet, the latest gets it.
    pub(super) serial: u64,
}

pub(super) struct Stack {
    /// The upper bits of its sockets' numbers.
    id: usize,
    pub(super) link: Option<Link>,
    pub(super) entries: Vec<Option<Entry>>,
    pub(super) sockets: SocketSet<'static>,
    pub(super) iface: Option<Interface>,
    pub(super) now: u64,
    serial: u64,
    /// Joined multicast groups.
    pub(super) groups: Vec<Ip>,
    pub(super) events: VecDeque<super::interface::Event>,
    pub(super) life: super::interface::Life,
    pub(super) dhcp: dhcp::Client,
    pub(super) log: Option<Log>,
    /// mg_random has failed, and the failure has been logged.
    pub(super) no_random: bool,
    #[cfg(feature = "tcpip-ipv6")]
    pub(super) ip6: super::ip6::State,
}

/// Stacks by number. A stack is in the table as long as its manager exists.
static STACKS: [AtomicPtr<RefCell<Stack>>; 64] = [const { AtomicPtr::new(core::ptr::null_mut()) }; 64];
const INDEX_BITS: u32 = 20;
/// Initial capacity for TCP sockets.
const SOCKETS: usize = if cfg!(target_os = "none") { 2 } else { 4 };

/// Adds a stack to the table. None: too many managers.
pub(super) fn register(stack: *mut RefCell<Stack>) -> bool {
    for (id, place) in STACKS.iter().enumerate() {
        if place.compare_exchange(core::ptr::null_mut(), stack, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            // SAFETY: the caller's, and not shared yet.
            unsafe { (*stack).borrow_mut().id = id };
            return true;
        }
    }
    false
}

pub(super) fn unregister(stack: *mut RefCell<Stack>) {
    for place in &STACKS {
        let _ = place.compare_exchange(stack, core::ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// The stack of a socket's number, unless it is in use further up the call stack, where a driver called the library.
pub(super) fn with<R>(fd: c_int, f: impl FnOnce(&mut Stack, usize) -> R) -> Result<R, c_int> {
    let fd = usize::try_from(fd).map_err(|_| errno::EBADF)?;
    let place = STACKS.get(fd >> INDEX_BITS).ok_or(errno::EBADF)?;
    // SAFETY: the table holds live stacks only, and the engine's lock excludes other threads from this one.
    let stack = unsafe { place.load(Ordering::Acquire).as_ref() }.ok_or(errno::EBADF)?;
    let mut stack = stack.try_borrow_mut().map_err(|_| errno::EAGAIN)?;
    Ok(f(&mut stack, fd & ((1 << INDEX_BITS) - 1)))
}

/// Any stack with an address: applications have only one.
pub(super) fn any<R>(f: impl FnOnce(&mut Stack) -> R) -> Option<R> {
    // SAFETY: as above.
    let mut stacks = STACKS.iter().filter_map(|place| unsafe { place.load(Ordering::Acquire).as_ref() });
    stacks.find_map(|stack| stack.try_borrow_mut().ok().filter(|s| s.nif().is_some())).map(|mut stack| f(&mut stack))
}

impl Stack {
    pub(super) fn new() -> Stack {
        Stack {
            id: 0,
            link: None,
            entries: Vec::new(),
            sockets: SocketSet::new(Vec::with_capacity(SOCKETS)),
            iface: None,
            now: 0,
            serial: 0,
            groups: Vec::new(),
            events: VecDeque::new(),
            life: Default::default(),
            dhcp: Default::default(),
            log: None,
            no_random: false,
            #[cfg(feature = "tcpip-ipv6")]
            ip6: Default::default(),
        }
    }

    pub(super) fn nif(&self) -> Option<Netif> {
        self.link.as_ref().map(|link| link.nif)
    }

    pub(super) fn fd(&self, index: usize) -> c_int {
        (self.id << INDEX_BITS | index) as c_int
    }

    /// Makes room for one more socket. False when out of memory.
    pub(super) fn has_room(&mut self) -> bool {
        // smoltcp's list cannot be asked. It doubles: when it has as many as that, the block that it needs must be there.
        let sockets = self.sockets.iter().count();
        let doubles = sockets >= SOCKETS && sockets.is_power_of_two();
        memory::grow(&mut self.entries, 1) && (!doubles || memory::room::<SocketStorage>(2 * sockets).is_some())
    }

    /// A free slot for a socket.
    pub(super) fn add(&mut self, socket: Socket) -> usize {
        self.serial += 1;
        let entry = Entry { socket, watch: Watch::default(), serial: self.serial };
        match self.entries.iter().position(Option::is_none) {
            Some(at) => {
                self.entries[at] = Some(entry);
                at
            }
            None => {
                self.entries.push(Some(entry));
                self.entries.len() - 1
            }
        }
    }

    pub(super) fn entry(&mut self, index: usize) -> Option<&mut Entry> {
        self.entries.get_mut(index)?.as_mut()
    }

    pub(super) fn tcp(&mut self, index: usize) -> Option<&mut Tcp> {
        match &mut self.entry(index)?.socket {
            Socket::Tcp(t) => Some(t),
            _ => None,
        }
    }

    pub(super) fn say(&self, level: c_int, what: core::fmt::Arguments) {
        if let Some(log) = self.log {
            log(level, what);
        }
    }

    /// Random bits for values that others must not guess. Without random numbers, which is logged once, the clock is used.
    pub(super) fn random64(&mut self) -> u64 {
        let mut bytes = [0; 8];
        if random(&mut bytes) {
            return u64::from_ne_bytes(bytes);
        }
        if !self.no_random {
            self.no_random = true;
            self.say(1, format_args!("mg_random fails: sequence numbers can be guessed"));
        }
        self.serial += 1;
        (self.now << 20).wrapping_add(self.serial).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// A free port for a client.
    pub(super) fn ephemeral(&mut self, udp: bool) -> u16 {
        let mut next = match self.nif() {
            Some(nif) => nif.eport(),
            None => 32768 | self.random64() as u16,
        };
        for _ in 0..32768u32 {
            let port = next.max(32768);
            next = if port == u16::MAX { 32768 } else { port + 1 };
            let taken = self.entries.iter().flatten().any(|entry| match &entry.socket {
                Socket::Udp(u) => udp && u.port == port,
                Socket::Tcp(t) => !udp && t.local.is_some_and(|(_, p)| p == port),
                Socket::Listener(l) => !udp && l.port == port,
            });
            if !taken {
                if let Some(nif) = self.nif() {
                    nif.set_eport(next);
                }
                return port;
            }
        }
        0
    }

    pub(super) fn instant(&self) -> Instant {
        Instant::from_millis(self.now as i64)
    }

    /// smoltcp's interface, with a fresh seed for its sequence numbers: its generator is not cryptographic.
    pub(super) fn reseed(&mut self) {
        let seed = self.random64();
        let now = self.instant();
        let Some(link) = self.link.as_mut() else { return };
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = seed;
        let mut iface = Interface::new(config, &mut Device { link, inbox: None }, now);
        iface.update_ip_addrs(|addrs| {
            for cidr in cidrs(link.nif) {
                let _ = addrs.push(cidr);
            }
        });
        self.iface = Some(iface);
    }

    /// Our own address towards a peer of this kind.
    pub(super) fn own(&self, towards: Ip) -> Option<Ip> {
        let nif = self.nif()?;
        let own = match towards {
            Ip::V4(_) => nif.own(),
            #[cfg(feature = "tcpip-ipv6")]
            Ip::V6(to) => Ip::V6(super::ip6::source(nif, to)),
            #[cfg(not(feature = "tcpip-ipv6"))]
            Ip::V6(_) => return None,
        };
        (!own.is_unspecified()).then_some(own)
    }

    /// The local address of the socket, as applications see it.
    pub(super) fn local(&mut self, index: usize) -> Option<mg_addr> {
        match &self.entries.get(index)?.as_ref()?.socket {
            Socket::Listener(l) => Some(l.bound),
            // Before it connects, the address that it will use.
            Socket::Tcp(t) => t.local.map(|(ip, port)| {
                let ip = if ip.is_unspecified() && !t.is_bound { self.own(ip).unwrap_or(ip) } else { ip };
                ip.with_port(port)
            }),
            Socket::Udp(u) => {
                let any = if u.ip6 { Ip::V6([0; 16]) } else { Ip::V4([0; 4]) };
                let ip = if u.listens { u.bound } else { self.own(any).unwrap_or(any) };
                Some(ip.with_port(u.port))
            }
        }
    }
}

/// The addresses that smoltcp accepts packets for.
pub(super) fn cidrs(nif: Netif) -> impl Iterator<Item = IpCidr> {
    use smoltcp::wire::Ipv4Address;
    let [a, b, c, d] = nif.ip();
    let prefix = u32::from_be(nif.mask_word()).leading_ones() as u8;
    let v4 = (nif.ip_word() != 0).then(|| IpCidr::new(Ipv4Address::new(a, b, c, d).into(), prefix));
    #[cfg(feature = "tcpip-ipv6")]
    let v6 = super::ip6::cidrs(nif);
    #[cfg(not(feature = "tcpip-ipv6"))]
    let v6 = core::iter::empty();
    v4.into_iter().chain(v6)
}
