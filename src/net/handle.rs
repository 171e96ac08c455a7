//! A copyable handle to a `struct mg_connection`. Each method accesses one field at the moment of the call, because a handler of
//! the application may change anything between two of our instructions.

use super::engine::{ConnState, Engine};
use super::protocol::Protocol;
use crate::abi::*;
use core::ffi::{c_int, c_void};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ConnRef(*mut mg_connection);

macro_rules! fields {
    ($($get:ident $set:ident: $field:ident: $t:ty;)*) => {
        $(
            #[inline]
            #[allow(dead_code)]
            pub(crate) fn $get(self) -> $t {
                // SAFETY: see ConnRef::new.
                unsafe { (*self.0).$field }
            }
            #[inline]
            #[allow(dead_code)]
            pub(crate) fn $set(self, v: $t) {
                // SAFETY: see ConnRef::new.
                unsafe { (*self.0).$field = v }
            }
        )*
    };
}

impl ConnRef {
    /// # Safety
    /// `p` points at a `struct mg_connection` that stays allocated while the handle is used. For a connection of a manager that
    /// means: while a frame of the engine is on the stack (`Engine::enter`), or until the application is called.
    #[inline]
    pub(crate) unsafe fn new(p: *mut mg_connection) -> ConnRef {
        ConnRef(p)
    }

    #[inline]
    pub(crate) fn as_ptr(self) -> *mut mg_connection {
        self.0
    }

    fields! {
        next set_next: next: *mut mg_connection;
        mgr set_mgr: mgr: *mut mg_mgr;
        id set_id: id: core::ffi::c_ulong;
        handler set_handler: r#fn: mg_event_handler_t;
        handler_data set_handler_data: fn_data: *mut c_void;
        pfn set_pfn: pfn: mg_event_handler_t;
        pfn_data set_pfn_data: pfn_data: *mut c_void;
        flags set_flags: flags: Flags;
        tls set_tls: tls: *mut c_void;
        recv_info set_recv_info: recv: mg_iobuf;
        send_info set_send_info: send: mg_iobuf;
    }

    /// The struct sizes that the application was compiled with.
    #[inline]
    pub(crate) fn sizes(self) -> Sizes {
        self.engine().map_or(Sizes::USUAL, |e| e.sizes.get())
    }

    /// `c->data`.
    pub(crate) fn data(self) -> *mut u8 {
        self.0.cast::<u8>().wrapping_add(self.sizes().data)
    }

    #[inline]
    pub(crate) fn loc(self) -> mg_addr {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).loc }
    }

    #[inline]
    pub(crate) fn rem(self) -> mg_addr {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).rem }
    }

    #[inline]
    pub(crate) fn set_loc(self, v: mg_addr) {
        // SAFETY: see ConnRef::new.
        unsafe { assign(&raw mut (*self.0).loc, v) }
    }

    #[inline]
    pub(crate) fn set_rem(self, v: mg_addr) {
        // SAFETY: see ConnRef::new.
        unsafe { assign(&raw mut (*self.0).rem, v) }
    }

    #[inline]
    pub(crate) fn fd(self) -> c_int {
        // SAFETY: see ConnRef::new. The descriptor is stored as a pointer-sized integer.
        unsafe { (*self.0).fd as usize as c_int }
    }

    #[inline]
    pub(crate) fn set_fd(self, fd: c_int) {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).fd = fd as isize as *mut c_void }
    }

    /// The id in the width that other threads use for it.
    #[allow(clippy::useless_conversion)] // c_ulong is 32 bits wide on some targets
    pub(crate) fn id64(self) -> u64 {
        self.id().into()
    }

    #[inline]
    pub(crate) fn update(self, f: impl FnOnce(&mut Flags)) {
        let mut flags = self.flags();
        f(&mut flags);
        self.set_flags(flags);
    }

    #[inline]
    pub(crate) fn recv(self) -> *mut mg_iobuf {
        // SAFETY: see ConnRef::new.
        unsafe { &raw mut (*self.0).recv }
    }

    #[inline]
    pub(crate) fn send(self) -> *mut mg_iobuf {
        // SAFETY: see ConnRef::new.
        unsafe { &raw mut (*self.0).send }
    }

    /// Ciphertext that was received and not yet decrypted.
    #[inline]
    pub(crate) fn rtls(self) -> *mut mg_iobuf {
        // SAFETY: see ConnRef::new.
        unsafe { &raw mut (*self.0).rtls }
    }

    #[inline]
    pub(crate) fn recv_len(self) -> usize {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).recv.len }
    }

    #[inline]
    pub(crate) fn send_len(self) -> usize {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).send.len }
    }

    /// The engine of `c->mgr`; None for a connection that the application created itself.
    #[inline]
    pub(crate) fn engine<'e>(self) -> Option<&'e Engine> {
        // SAFETY: c->mgr is NULL or the manager of this connection.
        unsafe { Engine::of(self.mgr()) }
    }

    /// The protocol whose handler is in `c->pfn`.
    #[inline]
    pub(crate) fn protocol(self, e: &Engine) -> Option<&'static Protocol> {
        self.pfn().and_then(|f| e.protocols.find(f))
    }

    /// The engine's own record of this connection, if it has one.
    #[inline]
    pub(crate) fn rec<'e>(self) -> Option<&'e ConnState> {
        // `prof` belongs to a build option that a prebuilt library never enables: its last word holds the slot number plus one.
        // SAFETY: see ConnRef::new.
        let slot = unsafe { (*self.0).prof.align };
        let rec = self.engine()?.rec(slot.checked_sub(1)?)?;
        (rec.conn.get() == self.0).then_some(rec)
    }

    pub(crate) fn set_slot(self, slot: Option<usize>) {
        // SAFETY: see ConnRef::new.
        unsafe { (*self.0).prof.align = slot.map_or(0, |s| s + 1) }
    }

    /// Total number of bytes queued on this connection: sent and waiting.
    pub(crate) fn queued(self, rec: &ConnState) -> u64 {
        rec.sent.get() + self.send_len() as u64
    }

    /// Offset of the receive buffer in the received stream. Changes when data is removed from the buffer, not when data arrives.
    pub(crate) fn recv_at(self, rec: &ConnState) -> u64 {
        rec.arrived.get().wrapping_sub(self.recv_len() as u64)
    }

    /// MG_EV_CLOSE was delivered: no further event may be dispatched.
    #[inline]
    pub(crate) fn is_closed(self) -> bool {
        self.flags().is_closed()
    }

    /// The connection is closed or its manager is gone.
    pub(crate) fn is_gone(self) -> bool {
        self.is_closed() || self.engine().is_none_or(Engine::is_dead)
    }
}

/// Copies the members only: applications compare addresses with memcmp, so the padding must stay zero.
///
/// # Safety
/// `to` is writable.
#[inline]
unsafe fn assign(to: *mut mg_addr, v: mg_addr) {
    // SAFETY: guaranteed by the caller.
    unsafe { ((*to).addr, (*to).port, (*to).scope_id, (*to).is_ip6) = (v.addr, v.port, v.scope_id, v.is_ip6) }
}

/// The word of the bit fields has seven bits that C does not know, the last ones. Applications copy them along but never look at them.
const fn private(bit: u32) -> u32 {
    1 << if cfg!(target_endian = "big") { 31 - bit } else { bit }
}

const CLOSED: u32 = private(25);
/// The peer's end of stream was read and the connection waits for its own last byte.
const HALF_CLOSED: u32 = private(26);
/// The record has a file that is being sent.
const STREAMING: u32 = private(27);
/// The application's handler gets no MG_EV_POLL.
const QUIET: u32 = private(28);
/// TLS was started: `tls/driver.rs` handles input and output.
const SECURE: u32 = private(29);

/// A connection with any of these flags needs more than an MG_EV_POLL when it is serviced.
const BUSY: u32 = {
    let mut f = Flags(CLOSED | HALF_CLOSED | STREAMING);
    f.set_readable(true);
    f.set_writable(true);
    f.set_draining(true);
    f.set_closing(true);
    f.set_resolving(true);
    f.set_connecting(true);
    f.set_tls_hs(true);
    f.0
};

/// Without any of these flags, the connection is always read from.
const MAY_PAUSE: u32 = {
    let mut f = Flags(0);
    f.set_full(true);
    f.set_draining(true);
    f.set_resp(true);
    f.0
};

impl Flags {
    #[inline]
    pub(crate) fn may_be_paused(self) -> bool {
        self.0 & MAY_PAUSE != 0
    }
    #[inline]
    pub(crate) fn is_busy(self) -> bool {
        self.0 & BUSY != 0
    }
    /// Forgets what the poller reported.
    #[inline]
    pub(crate) fn clear_ready(&mut self) {
        self.set_readable(false);
        self.set_writable(false);
    }
    #[inline]
    pub(crate) fn is_half_closed(self) -> bool {
        self.0 & HALF_CLOSED != 0
    }
    pub(crate) fn is_no_poll(self) -> bool {
        self.0 & QUIET != 0
    }
    pub(crate) fn set_no_poll(&mut self, on: bool) {
        self.0 = if on { self.0 | QUIET } else { self.0 & !QUIET };
    }
    pub(crate) fn set_half_closed(&mut self) {
        self.0 |= HALF_CLOSED;
    }
    #[inline]
    pub(crate) fn is_streaming(self) -> bool {
        self.0 & STREAMING != 0
    }
    pub(crate) fn set_streaming(&mut self, on: bool) {
        self.0 = if on { self.0 | STREAMING } else { self.0 & !STREAMING };
    }
    #[inline]
    pub(crate) fn is_secure(self) -> bool {
        cfg!(feature = "tls") && self.0 & SECURE != 0
    }
    #[cfg(feature = "tls")]
    pub(crate) fn set_secure(&mut self, on: bool) {
        self.0 = if on { self.0 | SECURE } else { self.0 & !SECURE };
    }
    #[inline]
    pub(crate) fn is_closed(self) -> bool {
        self.0 & CLOSED != 0
    }
    pub(crate) fn set_closed(&mut self) {
        self.0 |= CLOSED;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_flags_are_apart_from_those_of_c() {
        let known = if cfg!(target_endian = "big") { !0 << 7 } else { (1 << 25) - 1 };
        let ours = [CLOSED, HALF_CLOSED, STREAMING, QUIET, SECURE];
        assert!(ours.iter().all(|f| f.count_ones() == 1 && f & known == 0));
        assert_eq!(ours.iter().fold(0, |all, f| all | f).count_ones(), 5);
        assert_eq!((BUSY | MAY_PAUSE) & (QUIET | SECURE), 0);
    }

    #[test]
    fn flags_that_a_service_call_looks_at() {
        type Set = fn(&mut Flags, bool);
        for (set, busy, may_pause) in [
            (Flags::set_readable as Set, true, false),
            (Flags::set_writable, true, false),
            (Flags::set_draining, true, true),
            (Flags::set_closing, true, false),
            (Flags::set_resolving, true, false),
            (Flags::set_connecting, true, false),
            (Flags::set_tls_hs, true, false),
            (Flags::set_streaming, true, false),
            (|f, _| f.set_half_closed(), true, false),
            (|f, _| f.set_closed(), true, false),
            (Flags::set_full, false, true),
            (Flags::set_resp, false, true),
            (Flags::set_no_poll, false, false),
            (Flags::set_listening, false, false),
            (|f, _| f.set_dscp(63), false, false),
            (Flags::set_accepted, false, false),
        ] {
            let mut f = Flags(0);
            set(&mut f, true);
            assert_eq!((f.is_busy(), f.may_be_paused()), (busy, may_pause), "{:#x}", f.0);
        }
    }
}
