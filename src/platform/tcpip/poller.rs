//! Readiness of sockets, and the stack's part of a poll.

use super::error::Error;
use super::interface;
use super::stack::{self, Socket, Stack};
use super::{frames, waker};
use crate::abi::{MG_TCPIP_EV_ARP, mg_mgr, mg_str, mg_tcpip_if};
pub(crate) use crate::platform::common::{Ready, Rest, WAKER, split_token, token};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;
use core::time::Duration;

/// Whether this platform always has a network.
pub(crate) const ALWAYS_UP: bool = false;

/// Maximum number of events per wait.
pub(crate) const MOST: usize = if cfg!(target_os = "none") { 16 } else { 64 };

/// Maximum number of frames that one poll takes from the queue of a driver that pushes them.
const FRAMES: usize = 7;

pub(crate) struct Poller {
    /// In a separate allocation: sockets find it through the table of stacks.
    stack: *mut RefCell<Stack>,
    wakers: RefCell<Vec<(c_int, usize)>>,
    /// A step is in progress: handlers of the application may poll.
    busy: Cell<bool>,
}

impl Drop for Poller {
    fn drop(&mut self) {
        stack::unregister(self.stack);
        // SAFETY: new created it, and it is no longer in the table.
        drop(unsafe { Box::from_raw(self.stack) });
    }
}

impl Poller {
    pub(crate) fn new() -> Result<Poller, Error> {
        let stack = Box::into_raw(Box::new(RefCell::new(Stack::new())));
        if !stack::register(stack) {
            // SAFETY: just created.
            drop(unsafe { Box::from_raw(stack) });
            return Err(Error::from_raw_os_error(super::errno::EMFILE));
        }
        Ok(Poller { stack, wakers: RefCell::default(), busy: Cell::new(false) })
    }

    pub(super) fn stack(&self) -> &RefCell<Stack> {
        // SAFETY: it lives as long as the poller.
        unsafe { &*self.stack }
    }

    pub(crate) fn renew(&self) -> Result<(), Error> {
        Ok(())
    }

    pub(crate) fn fd(&self) -> c_int {
        -1
    }

    /// See `mg_tcpip_init`. False: the interface cannot be used.
    ///
    /// # Safety
    /// The interface and its driver live as long as the manager.
    pub(crate) unsafe fn attach(&self, mgr: *mut mg_mgr, ifp: *mut mg_tcpip_if, log: fn(c_int, core::fmt::Arguments)) -> bool {
        // SAFETY: passed on to the caller.
        unsafe { interface::attach(self.stack(), mgr, ifp, log) }
    }

    /// See `mg_tcpip_free`.
    pub(crate) fn detach(&self, ifp: *mut mg_tcpip_if) {
        interface::detach(self.stack(), ifp);
    }

    /// See `mg_tcpip_arp_request`.
    pub(crate) fn ask(&self, ip: [u8; 4], mac: [u8; 6]) {
        if let Ok(mut stack) = self.stack().try_borrow_mut() {
            stack.ask(ip, mac);
        }
    }

    /// Whether there is currently a network to send to: for a new connection, or to a peer that `has_reached` us.
    pub(crate) fn is_up(&self, is_ip6: bool, has_reached: bool) -> bool {
        self.stack().try_borrow().is_ok_and(|stack| stack.is_up(is_ip6, has_reached))
    }

    fn watch(&self, fd: c_int, token: usize, writable: bool) -> Result<(), Error> {
        if waker::is_one(fd) {
            self.wakers.borrow_mut().push((fd, token));
            return Ok(());
        }
        let known = stack::with(fd, |stack, index| {
            stack.entry(index).map(|entry| {
                entry.watch.token = Some(token);
                entry.watch.wants_write |= writable;
            })
        });
        match known {
            Ok(Some(())) => Ok(()),
            _ => Err(Error::from_raw_os_error(super::errno::EBADF)),
        }
    }

    /// Adds an accepted stream, for input.
    pub(crate) fn add_stream(&self, fd: c_int, token: usize) -> Result<Rest, Error> {
        self.add(fd, token, false).map(|()| Rest::Unknown)
    }

    pub(crate) fn add(&self, fd: c_int, token: usize, writable: bool) -> Result<(), Error> {
        self.watch(fd, token, writable)
    }

    pub(crate) fn arm_writable(&self, fd: c_int, token: usize) -> Result<(), Error> {
        self.watch(fd, token, true)
    }

    pub(crate) fn remove(&self, fd: c_int) {
        self.wakers.borrow_mut().retain(|(other, _)| *other != fd);
        let _ = stack::with(fd, |stack, index| {
            if let Some(entry) = stack.entry(index) {
                entry.watch.token = None;
            }
        });
    }

    pub(crate) fn is_waiting(&self) -> bool {
        false
    }

    /// Runs the stack and appends the ready sockets. It never waits: the application's loop may, if it can.
    pub(crate) fn wait(&self, _timeout: Option<Duration>, ready: &mut Vec<Ready>, _sleep: impl FnOnce(&mut dyn FnMut())) {
        if !self.busy.replace(true) {
            self.step();
            self.busy.set(false);
        }
        self.collect(ready);
    }

    /// The end of a poll: transmits what handlers have sent.
    pub(crate) fn flush(&self) {
        if let Ok(mut stack) = self.stack().try_borrow_mut() {
            stack.egress();
        }
    }

    fn step(&self) {
        let cell = self.stack();
        let (nif, second) = {
            let Ok(mut stack) = cell.try_borrow_mut() else { return };
            let Some(nif) = stack.nif() else { return };
            stack.set_time(super::clock::millis());
            stack.sync_address();
            stack.egress();
            (nif, stack.is_second())
        };
        let up = nif.driver_poll(second);
        if second {
            cell.borrow_mut().second(up);
            interface::deliver(cell);
        }
        let still = |cell: &RefCell<Stack>| cell.borrow().nif() == Some(nif);
        if !still(cell) {
            return;
        }
        cell.borrow_mut().dhcp_step();
        interface::deliver(cell);
        for _ in 0..if nif.pulls() { 1 } else { FRAMES } {
            if !still(cell) {
                return;
            }
            let Some(frame) = nif.next_frame() else { break };
            let len = frame.len();
            if let Some(at) = frames::check(nif, frame) {
                if at.kind == super::wire::TYPE_ARP && cell.borrow().wants_arp_event() {
                    let mut whole = mg_str { buf: frame.as_mut_ptr().cast(), len };
                    nif.event(MG_TCPIP_EV_ARP as c_int, (&raw mut whole).cast());
                }
                if still(cell) {
                    cell.borrow_mut().frame(frame, &at);
                }
            }
            if !still(cell) {
                return;
            }
            nif.forget(len);
            interface::deliver(cell);
            cell.borrow_mut().dhcp_step();
            interface::deliver(cell);
        }
        let mut stack = cell.borrow_mut();
        stack.egress();
        stack.tcp_scan();
        stack.udp_scan();
    }

    fn collect(&self, ready: &mut Vec<Ready>) {
        for (fd, token) in self.wakers.borrow().iter().filter(|(fd, _)| waker::is_rung(*fd)) {
            let _ = fd;
            ready.push(Ready { token: *token, readable: true, writable: false, hup: false, error: false });
        }
        let Ok(mut stack) = self.stack().try_borrow_mut() else { return };
        for index in 0..stack.entries.len() {
            let Some(entry) = &stack.entries[index] else { continue };
            let Some(token) = entry.watch.token else { continue };
            let (readable, writable) = match &entry.socket {
                Socket::Udp(u) => (!u.queue.is_empty(), u.awaits.is_none()),
                Socket::Listener(l) => (l.has_one(), false),
                Socket::Tcp(_) => stack.tcp_ready(index),
            };
            let Some(entry) = stack.entry(index) else { continue };
            let w = &mut entry.watch;
            let error = w.error != 0 && !w.error_told;
            let told = readable && !w.told;
            let writes = writable && w.wants_write;
            if !error && !told && !writes {
                continue;
            }
            w.error_told |= error;
            w.told |= readable;
            w.wants_write &= !writable;
            ready.push(Ready { token, readable: told, writable: writes, hup: false, error });
        }
    }
}

impl Stack {
    fn set_time(&mut self, now: u64) {
        self.now = now;
        if let Some(link) = self.link.as_mut() {
            link.now = now;
            link.nif.set_now(now);
        }
    }
}
