//! The engine behind a manager: everything that C must not see. It hangs from `mgr->tls_ctx`, holds one record per connection
//! (and per lingering socket), the poller, the deadlines and the spare buffers.

use super::buffers::Buffers;
use super::handle::Conn;
use super::list::Quiet;
use super::list::Trail;
use super::lookup::Resolver;
use super::mailbox::Wakeup;
use super::poller::{self, Poller, Ready};
use super::shutdown::{ConnTerms, Shutdown, Terms};
use super::tls;
use crate::abi::{mg_connection, mg_fd, mg_mgr, mgx_limits};
use crate::guard::{heap, iobuf};
use crate::proto::{chunked, ws::Utf8};
use crate::sys::fs::Handle;
use core::any::Any;
use core::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::collections::{BTreeSet, HashMap, VecDeque};

/// What the program may set at run time instead of at compile time.
pub(crate) struct Options {
    pub(crate) max_recv_size: usize,
    pub(crate) listen_backlog: i32,
    pub(crate) v6only: bool,
    /// Directories without an index page are not listed.
    pub(crate) no_dirlist: bool,
    /// TLS secrets go to the file that SSLKEYLOGFILE names.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) tls_keylog: bool,
    /// The name of index pages.
    pub(crate) http_index: Vec<u8>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_recv_size: crate::abi::MG_MAX_RECV_SIZE,
            listen_backlog: 128,
            v6only: false,
            no_dirlist: false,
            tls_keylog: false,
            http_index: b"index.html".to_vec(),
        }
    }
}

/// Queues a frame with this first byte and this payload.
pub(crate) type MakeFrame = fn(Conn, u8, &[u8]);

impl Drop for Engine {
    fn drop(&mut self) {
        for block in self.records.get_mut().drain(..) {
            // SAFETY: new_rec made it with Box::into_raw.
            drop(unsafe { Box::from_raw(block) });
        }
        let wakeup = self.wakeup.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if !wakeup.is_null() {
            // SAFETY: mg_wakeup_init made it with Box::into_raw.
            drop(unsafe { Box::from_raw(wakeup) });
        }
    }
}

/// Why a connection ended. The order is that of the extension API's `enum mgx_reason`.
#[allow(dead_code)] // some reasons are reported from later areas
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Reason {
    #[default]
    None,
    Drained,
    PeerClosed,
    Reset,
    ClosedByUser,
    FlushTimeout,
    ResponseTimeout,
    Forced,
    IdleTimeout,
    HeaderTimeout,
    BodyTimeout,
    Limit,
    Error,
}

/// The engine's record of one connection or lingering socket. Cells, because handlers re-enter the library at any point.
pub(crate) struct Rec {
    pub(crate) conn: Cell<*mut mg_connection>,
    pub(crate) fd: Cell<i32>,
    pub(crate) slot: Cell<u32>,
    /// Counts the uses of this slot, so that an event for an earlier one is told apart.
    pub(crate) generation: Cell<u32>,
    /// The library opened or accepted the socket itself, so it may linger on it.
    pub(crate) own: Cell<bool>,
    pub(crate) registered: Cell<bool>,
    /// Input may wait in the kernel: set by an event, cleared by a read that did not fill its buffer.
    pub(crate) readable: Cell<bool>,
    /// The peer's end of stream is on its way: read on until it has been read.
    pub(crate) hup: Cell<bool>,
    pub(crate) eof: Cell<bool>,
    /// The last send did not take everything; an event says when to go on.
    pub(crate) blocked: Cell<bool>,
    /// Registered for writability as well.
    pub(crate) armed: Cell<bool>,
    /// On the list of connections to look at in the next poll although no event may come.
    pub(crate) held: Cell<bool>,
    /// On the list of connections that got output outside their own turn.
    pub(crate) dirty: Cell<bool>,
    pub(crate) lingering: Cell<bool>,
    /// Bytes handed to the kernel.
    pub(crate) sent: Cell<u64>,
    /// Most bytes the receive buffer has held since it was taken from the spare blocks.
    pub(crate) recv_used: Cell<usize>,
    /// When the drain (or the wait after the peer's end of stream) began, when output last moved, and when it last grew.
    pub(crate) drain_since: Cell<Option<u64>>,
    pub(crate) progress_at: Cell<u64>,
    pub(crate) queued_seen: Cell<u64>,
    pub(crate) queued_at: Cell<u64>,
    pub(crate) deadline: Cell<Option<u64>>,
    /// A lingering socket is closed at the first of these: when nothing comes, and in any case.
    pub(crate) linger_idle: Cell<u64>,
    pub(crate) linger_end: Cell<u64>,
    /// A listener that ran out of descriptors takes no connections before this time.
    pub(crate) accept_after: Cell<u64>,
    pub(crate) reason: Cell<Reason>,
    /// Everything was sent: the socket may linger.
    pub(crate) flushed: Cell<bool>,
    /// Bytes that may still be forgotten on a lingering socket.
    pub(crate) linger_bytes: Cell<u64>,
    /// The program's own time limits for the end of this connection.
    pub(crate) terms: Cell<Option<NonNull<ConnTerms>>>,
    /// Where a drain asked for through the extension API stands.
    pub(crate) leave: Cell<Leave>,
    /// When the connection was accepted, and when something last arrived on it.
    pub(crate) read_at: Cell<u64>,
    /// When the first byte of what is in the receive buffer arrived.
    pub(crate) head_began: Cell<u64>,
    /// The peer's address when it was accepted; programs may replace `c->rem`.
    pub(crate) from: Cell<[u8; 16]>,
    /// MGX_EV_BACKPRESSURE was delivered, and the queue has not fallen since.
    pub(crate) pressed: Cell<bool>,
    /// A protocol handler has called the program about what is in the receive buffer, and must not be called again meanwhile.
    pub(crate) dispatching: Cell<bool>,
    /// The `c->pfn` for which requests wait in the buffer until the peer reads what was answered; 0 when none do.
    pub(crate) choked: Cell<usize>,
    pub(crate) http: HttpRec,
    pub(crate) ws: WsRec,
    pub(crate) mqtt: MqttRec,
    /// The file that is being sent; the connection has a flag for it.
    pub(crate) stream: Cell<Option<Box<Stream>>>,
    /// What was left of a file that was given up.
    pub(crate) abandoned: Cell<u64>,
    /// What a protocol handler keeps while it sits in `c->fn` or `c->pfn`.
    pub(crate) task: Cell<Option<Box<dyn Any>>>,
    pub(crate) tls: tls::State,
}

/// A drain through the extension API, before `is_draining` is set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Leave {
    #[default]
    No,
    /// No request is in progress: one may still come until this time. With the number of those before it.
    Grace(u64, u32),
    /// A request is in progress, since this time.
    Finish(u64),
    /// The same, and it is the last: it came during the grace.
    Last(u64),
    /// Not HTTP, so nobody knows when an exchange ends: until nothing has arrived for the grace.
    Quiet(u64),
    /// A Close frame was sent; the peer's is waited for until this time.
    WebSocket(u64),
}

/// Counters for mgx_mgr_stats.
#[derive(Default)]
pub(crate) struct Stats {
    pub(crate) accepted: Cell<u64>,
    pub(crate) refused: Cell<u64>,
    pub(crate) requests: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) bytes_out: Cell<u64>,
    pub(crate) timeouts: Cell<u64>,
    pub(crate) drained: Cell<u64>,
    pub(crate) forced: Cell<u64>,
    pub(crate) resets: Cell<u64>,
    /// Accepted connections that are open.
    pub(crate) conns: Cell<usize>,
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get().wrapping_add(n));
}

/// What the HTTP handler remembers between events.
#[derive(Default)]
pub(crate) struct HttpRec {
    pub(crate) phase: Cell<Phase>,
    /// `recv.len` when the handler left: what was kept is valid only if the buffer has merely grown since.
    pub(crate) left: Cell<usize>,
    /// Head bytes known to hold no blank line.
    pub(crate) scanned: Cell<usize>,
    pub(crate) head_len: Cell<usize>,
    /// Length of the whole message; unknown while chunks are coming.
    pub(crate) need: Cell<Option<usize>>,
    pub(crate) chunks: Cell<chunked::Scanner>,
    /// The whole message never fits into the receive buffer: unless the program takes it over, it is refused.
    pub(crate) too_long: Cell<bool>,
    /// `queued()` when the current request was announced, and when the last one was dispatched, if one was; and the time of that.
    pub(crate) head_mark: Cell<u64>,
    pub(crate) mark: Cell<u64>,
    pub(crate) dispatched: Cell<bool>,
    pub(crate) asked_at: Cell<u64>,
    /// Requests wait in the buffer for the next turn of this connection.
    pub(crate) more: Cell<bool>,
    /// End of the message being dispatched, inside `c->recv`.
    pub(crate) end: Cell<usize>,
    pub(crate) dispatching: Cell<bool>,
    /// A library function completed the answer to the last request.
    pub(crate) answered: Cell<bool>,
    /// The head of that answer says that it is the last.
    pub(crate) announced: Cell<bool>,
    pub(crate) close: Cell<CloseAfter>,
    /// Requests dispatched on this connection.
    pub(crate) requests: Cell<u32>,
    /// Where in the stream of queued bytes the last reply head written by the library begins, and its length.
    pub(crate) head_at: Cell<Option<(u64, usize)>>,
}

/// What the WebSocket handler remembers between events. How much of a fragmented message lies at the front of `c->recv` is in
/// `c->pfn_data`.
#[derive(Default)]
pub(crate) struct WsRec {
    /// What a server must answer to our key.
    pub(crate) accept: Cell<[u8; 28]>,
    /// A handler is at work further up the stack.
    pub(crate) dispatching: Cell<bool>,
    /// The peer broke the protocol: whatever else it sends is not looked at.
    pub(crate) failed: Cell<bool>,
    /// We have sent a Close frame.
    pub(crate) close_sent: Cell<bool>,
    /// The end of the last fragment of a text.
    pub(crate) text: Cell<Utf8>,
    /// Answers to Pings that were queued and perhaps not sent, and where in the stream of queued bytes the last of them ends.
    pub(crate) pongs: Cell<usize>,
    pub(crate) pongs_end: Cell<u64>,
    /// The payload of a Ping that is answered when those have been sent.
    pub(crate) late_pong: Cell<Option<Box<[u8]>>>,
}

/// What the MQTT handler remembers between events.
#[derive(Default)]
pub(crate) struct MqttRec {
    /// Bytes of replies queued since `queued()` was `replies_from`.
    pub(crate) replies: Cell<u64>,
    pub(crate) replies_from: Cell<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Phase {
    #[default]
    Head,
    /// The head cannot be parsed any more, but who sent it may expect to be told: its end is waited for.
    Spoilt,
    /// MG_EV_HTTP_HDRS was delivered, the body is not complete.
    Body,
    /// The message was refused: whatever else arrives is not looked at.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum CloseAfter {
    #[default]
    No,
    /// The request says `Connection: close`.
    Asked,
    /// HTTP/1.0 without keep-alive: after the last request that is in the buffer.
    Http10,
}

pub(crate) type Done = fn(Conn, &Rec, End, last: bool);

/// How a file ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Whole,
    /// It has become shorter, or cannot be read any more.
    Cut,
}

/// An open file and what is left to send of it.
pub(crate) struct Stream {
    pub(super) file: Handle,
    /// For the program, in `c->pfn_data`: a copy.
    pub(super) pair: *mut mg_fd,
    /// The file's descriptor, when the kernel does the copying.
    pub(super) descriptor: Option<i32>,
    pub(super) at: u64,
    pub(super) left: u64,
    /// The answer was announced as the last of its connection.
    pub(super) last: bool,
    /// Called when all of it is queued or sent.
    pub(super) done: Option<Done>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: NULL, or made in begin().
        unsafe { heap::free(self.pair.cast()) };
    }
}

pub(crate) type AtLimit = fn(Conn) -> bool;

const CHUNK: usize = 64;

pub(crate) struct Engine {
    pub(crate) mgr: *mut mg_mgr,
    pub(crate) options: RefCell<Options>,
    /// Step in which buffers grow, and what one read, datagram or wakeup message may take. Other threads read it.
    pub(crate) io_size: AtomicUsize,
    pub(crate) poller: RefCell<Poller>,
    pub(crate) buffers: Buffers,
    /// Messages from other threads; the pointer is what those threads read. Freed with the engine, never before.
    pub(crate) wakeup: AtomicPtr<Wakeup>,
    /// Blocks of records: never moved, freed with the engine. Only `new_rec` adds to the list.
    records: UnsafeCell<Vec<*mut [Rec; CHUNK]>>,
    free_slots: RefCell<Vec<u32>>,
    /// Frames of ours on the stack that may still use a connection's memory.
    frames: Cell<usize>,
    /// Closed connections, freed when no frame is left.
    graveyard: RefCell<Vec<*mut mg_connection>>,
    /// The next connection of each walk over the list that is in progress.
    pub(crate) cursors: RefCell<Vec<*mut mg_connection>>,
    pub(crate) conns: Cell<usize>,
    pub(crate) held: RefCell<Vec<u32>>,
    pub(crate) dirty: RefCell<Vec<u32>>,
    pub(crate) deadlines: RefCell<BTreeSet<(u64, u32)>>,
    /// Oldest first.
    pub(crate) lingering: RefCell<VecDeque<u32>>,
    /// No lingering socket is due before this time.
    pub(crate) linger_check: Cell<u64>,
    /// The connection whose turn it is.
    pub(crate) current: Cell<*mut mg_connection>,
    /// mg_mgr_free is at work: nothing may stay open.
    pub(crate) ending: Cell<bool>,
    /// Every reply is the last of its connection.
    pub(crate) lame: Cell<bool>,
    /// The extension API's part of a poll, once something of it is in use, and when it is due at the latest.
    pub(crate) hook: Cell<Option<fn(&Engine)>>,
    pub(crate) hook_at: Cell<u64>,
    /// Makes a WebSocket frame, with this first byte, of what another thread sent.
    pub(crate) frame: Cell<Option<MakeFrame>>,
    pub(crate) shutdown: Shutdown,
    pub(crate) limits: Cell<mgx_limits>,
    /// mgx_mgr_limits was called: connections are looked at when their deadlines expire.
    pub(crate) limited: Cell<bool>,
    pub(crate) per_ip: RefCell<HashMap<[u8; 16], usize>>,
    pub(crate) expired: RefCell<Vec<u32>>,
    pub(crate) stats: Stats,
    /// SO_REUSEPORT on listeners opened from now on.
    pub(crate) reuseport: Cell<bool>,
    /// What other threads want, whether or not mg_wakeup_init was called.
    pub(crate) door: Wakeup,
    /// mg_mgr_free has been patient enough with handlers that open connections in MG_EV_CLOSE.
    pub(crate) no_more: Cell<bool>,
    /// The manager is gone; the last frame frees the engine.
    pub(crate) dead: Cell<bool>,
    /// WebSocket peers must follow RFC 6455 to the letter (`mgx_mgr_ws_strict`).
    pub(crate) ws_strict: Cell<bool>,
    /// Original behaviour where the two differ visibly (`mgx_mgr_compat`).
    pub(crate) compat: Cell<bool>,
    /// The time of this poll, in milliseconds of mg_millis.
    pub(crate) now: Cell<u64>,
    /// The link that leads to the connection whose turn it is; NULL when not known.
    pub(crate) link: Cell<*mut *mut mg_connection>,
    pub(crate) wakeup_conn: Cell<*mut mg_connection>,
    pub(crate) ready: RefCell<Vec<Ready>>,
    pub(crate) quiet: Quiet,
    pub(crate) trail: RefCell<Trail>,
    pub(crate) resolver: Resolver,
    /// Addresses of protocol handlers that have nothing to do on MG_EV_POLL while `c->recv` is empty.
    pub(crate) quiet_pfns: Cell<[usize; 2]>,
    /// Whom to ask when a receive buffer has reached its limit. True: no error is to be raised.
    pub(crate) at_limit: Cell<Option<AtLimit>>,
    /// What TLS connections share.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) tls: OnceCell<Box<dyn Any>>,
}

impl Engine {
    pub(crate) fn new(mgr: *mut mg_mgr) -> std::io::Result<Box<Engine>> {
        let poller = Poller::new()?;
        let door = Wakeup::new().ok_or_else(std::io::Error::last_os_error)?;
        poller.add(door.fd(), poller::DOOR, false)?;
        Ok(Box::new(Engine {
            mgr,
            options: RefCell::default(),
            io_size: AtomicUsize::new(crate::abi::MG_IO_SIZE),
            poller: RefCell::new(poller),
            buffers: Buffers::default(),
            wakeup: AtomicPtr::default(),
            records: UnsafeCell::default(),
            free_slots: RefCell::default(),
            frames: Cell::new(0),
            graveyard: RefCell::default(),
            cursors: RefCell::default(),
            conns: Cell::new(0),
            held: RefCell::default(),
            dirty: RefCell::default(),
            deadlines: RefCell::default(),
            lingering: RefCell::default(),
            linger_check: Cell::new(u64::MAX),
            current: Cell::new(core::ptr::null_mut()),
            ending: Cell::new(false),
            no_more: Cell::new(false),
            dead: Cell::new(false),
            lame: Cell::new(false),
            hook: Cell::default(),
            hook_at: Cell::new(u64::MAX),
            frame: Cell::default(),
            shutdown: Shutdown::default(),
            limits: Cell::default(),
            limited: Cell::new(false),
            per_ip: RefCell::default(),
            expired: RefCell::default(),
            stats: Stats::default(),
            reuseport: Cell::new(false),
            door,
            ws_strict: Cell::new(false),
            compat: Cell::new(false),
            now: Cell::new(0),
            link: Cell::new(core::ptr::null_mut()),
            wakeup_conn: Cell::new(core::ptr::null_mut()),
            ready: RefCell::default(),
            quiet: Quiet::default(),
            trail: RefCell::default(),
            resolver: Resolver::default(),
            quiet_pfns: Cell::default(),
            at_limit: Cell::default(),
            tls: OnceCell::new(),
        }))
    }

    /// # Safety
    /// `mgr` is NULL, zero-filled or initialised. The reference is good until mg_mgr_free, and beyond it while a frame is open.
    #[inline]
    pub(crate) unsafe fn of<'e>(mgr: *mut mg_mgr) -> Option<&'e Engine> {
        if mgr.is_null() {
            return None;
        }
        // SAFETY: tls_ctx is NULL or the engine that mg_mgr_init made.
        unsafe { (*mgr).tls_ctx.cast::<Engine>().as_ref() }
    }

    #[inline]
    pub(crate) fn rec(&self, slot: usize) -> Option<&Rec> {
        // SAFETY: no other reference to the list is alive: new_rec, which changes it, calls nothing meanwhile. Blocks live as
        // long as the engine.
        unsafe { (&(*self.records.get())).get(slot / CHUNK).map(|block| &(**block)[slot % CHUNK]) }
    }

    pub(crate) fn new_rec(&self) -> &Rec {
        let mut free = self.free_slots.borrow_mut();
        if free.is_empty() {
            // SAFETY: as in rec().
            let records = unsafe { &mut *self.records.get() };
            let first = (records.len() * CHUNK) as u32;
            records.push(Box::into_raw(Box::new(core::array::from_fn(|_| Rec::default()))));
            free.extend((first..first + CHUNK as u32).rev());
        }
        let slot = free.pop().unwrap_or_default();
        drop(free);
        let rec = self.rec(slot as usize).expect("a slot on the free list exists");
        rec.reset(slot);
        rec
    }

    /// The record an event is meant for; None when the slot has been given to another connection since.
    pub(crate) fn rec_for(&self, token: usize) -> Option<&Rec> {
        let (slot, generation) = poller::split_token(token);
        self.rec(slot as usize)
            .filter(|rec| poller::token(rec.slot.get(), rec.generation.get()) == poller::token(slot, generation))
    }

    pub(crate) fn free_rec(&self, rec: &Rec) {
        self.set_deadline(rec, None);
        let slot = rec.slot.get();
        rec.reset(slot);
        self.free_slots.borrow_mut().push(slot);
    }

    pub(crate) fn set_deadline(&self, rec: &Rec, at: Option<u64>) {
        if rec.deadline.get() == at {
            return;
        }
        let mut deadlines = self.deadlines.borrow_mut();
        if let Some(old) = rec.deadline.replace(at) {
            deadlines.remove(&(old, rec.slot.get()));
        }
        if let Some(new) = at {
            deadlines.insert((new, rec.slot.get()));
        }
    }

    /// Looks at this record again in the next poll, whether or not an event comes.
    pub(crate) fn hold(&self, rec: &Rec) {
        if !rec.held.replace(true) {
            self.held.borrow_mut().push(rec.slot.get());
        }
    }

    /// Remembers that output was queued outside the connection's own turn.
    #[inline]
    pub(crate) fn touch(&self, rec: &Rec) {
        if self.current.get() != rec.conn.get() && !rec.dirty.replace(true) {
            self.dirty.borrow_mut().push(rec.slot.get());
        }
    }

    #[inline]
    pub(crate) fn enter(&self) {
        self.frames.set(self.frames.get() + 1);
    }

    /// Ends a frame. When it was the last, closed connections are freed, and so is the engine if its manager is gone.
    #[inline]
    pub(crate) fn leave(&self) {
        let n = self.frames.get() - 1;
        self.frames.set(n);
        if n == 0 {
            self.reap();
            if self.is_dead() {
                // SAFETY: mg_mgr_free took the engine out of the manager and left it to the last frame, which is this one.
                drop(unsafe { Box::from_raw(core::ptr::from_ref(self).cast_mut()) });
            }
        }
    }

    #[inline]
    pub(crate) fn io_size(&self) -> usize {
        self.io_size.load(Ordering::Relaxed)
    }

    pub(crate) fn frames(&self) -> usize {
        self.frames.get()
    }

    /// The manager was freed by a handler further up the stack.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.get()
    }

    pub(crate) fn bury(&self, c: *mut mg_connection) {
        self.graveyard.borrow_mut().push(c);
    }

    /// Frees closed connections. Call only when no frame but the caller's own is open and it holds none of them.
    pub(crate) fn reap(&self) {
        loop {
            let Some(c) = self.graveyard.borrow_mut().pop() else { return };
            // SAFETY: closed, off the list, and no frame uses it. Its buffers went with MG_EV_CLOSE, but its handlers may have
            // written to it since.
            unsafe {
                iobuf::free(&raw mut (*c).recv);
                iobuf::free(&raw mut (*c).send);
                heap::free(c.cast());
            }
        }
    }
}

impl Default for Rec {
    fn default() -> Rec {
        Rec {
            conn: Cell::new(core::ptr::null_mut()),
            fd: Cell::new(-1),
            slot: Cell::default(),
            generation: Cell::default(),
            own: Cell::default(),
            registered: Cell::default(),
            readable: Cell::default(),
            hup: Cell::default(),
            eof: Cell::default(),
            blocked: Cell::default(),
            armed: Cell::default(),
            held: Cell::default(),
            dirty: Cell::default(),
            lingering: Cell::default(),
            sent: Cell::default(),
            recv_used: Cell::default(),
            drain_since: Cell::default(),
            progress_at: Cell::default(),
            queued_seen: Cell::default(),
            queued_at: Cell::default(),
            deadline: Cell::default(),
            linger_idle: Cell::default(),
            linger_end: Cell::default(),
            accept_after: Cell::default(),
            reason: Cell::default(),
            flushed: Cell::default(),
            linger_bytes: Cell::default(),
            terms: Cell::default(),
            leave: Cell::default(),
            read_at: Cell::default(),
            head_began: Cell::default(),
            from: Cell::default(),
            pressed: Cell::default(),
            dispatching: Cell::default(),
            choked: Cell::default(),
            http: HttpRec::default(),
            ws: WsRec::default(),
            mqtt: MqttRec::default(),
            stream: Cell::default(),
            abandoned: Cell::default(),
            task: Cell::default(),
            tls: tls::State::default(),
        }
    }
}

impl Drop for Rec {
    fn drop(&mut self) {
        self.set_terms(None);
    }
}

impl Rec {
    pub(crate) fn terms(&self) -> Terms {
        // SAFETY: a box of ours, replaced only by set_terms.
        self.terms.get().map_or(Terms::DEFAULT, |p| unsafe { p.as_ref() }.terms)
    }

    /// A protocol handler is in the middle of something, such as an upload.
    pub(crate) fn has_task(&self) -> bool {
        let task = self.task.take();
        let has = task.is_some();
        self.task.set(task);
        has
    }

    /// All that the program said about the end of this connection, if it did.
    pub(crate) fn conn_terms(&self) -> Option<ConnTerms> {
        // SAFETY: as above.
        self.terms.get().map(|p| unsafe { p.as_ref() }.clone())
    }

    pub(crate) fn set_terms(&self, terms: Option<ConnTerms>) {
        let new = terms.map(|t| NonNull::from(Box::leak(Box::new(t))));
        if let Some(old) = self.terms.replace(new) {
            // SAFETY: made by Box::leak above, and nobody else has it.
            drop(unsafe { Box::from_raw(old.as_ptr()) });
        }
    }

    /// Ready for a new connection. `held`, `dirty` and `deadline` stay: they say which lists the slot is on.
    fn reset(&self, slot: u32) {
        macro_rules! reset {
            ($($field:ident)*) => { $(self.$field.take();)* };
        }
        reset!(own registered readable hup eof blocked armed lingering sent recv_used drain_since progress_at queued_seen queued_at
            linger_idle linger_end linger_bytes accept_after reason flushed leave read_at head_began from pressed dispatching choked stream abandoned task tls);
        self.set_terms(None);
        self.conn.set(core::ptr::null_mut());
        self.fd.set(-1);
        self.slot.set(slot);
        self.generation.set(self.generation.get().wrapping_add(1));
        self.http.reset();
        self.ws.reset();
        self.mqtt.replies.set(0);
        self.mqtt.replies_from.set(0);
    }
}

impl WsRec {
    pub(crate) fn reset(&self) {
        let WsRec { accept, dispatching, failed, close_sent, text, pongs, pongs_end, late_pong } = self;
        accept.set([0; 28]);
        dispatching.set(false);
        failed.set(false);
        close_sent.set(false);
        text.take();
        pongs.set(0);
        pongs_end.set(0);
        late_pong.take();
    }
}

impl HttpRec {
    pub(crate) fn reset(&self) {
        self.next_message();
        self.mark.set(0);
        self.head_mark.set(0);
        self.dispatched.set(false);
        self.asked_at.set(0);
        self.more.set(false);
        self.end.set(0);
        self.dispatching.set(false);
        self.answered.set(false);
        self.announced.set(false);
        self.close.set(CloseAfter::No);
        self.requests.set(0);
        self.head_at.set(None);
    }

    /// Forgets what is known of the message at the start of the buffer.
    pub(crate) fn next_message(&self) {
        self.phase.set(Phase::Head);
        self.left.set(0);
        self.scanned.set(0);
        self.head_len.set(0);
        self.need.set(None);
        self.too_long.set(false);
        self.chunks.set(chunked::Scanner::default());
    }
}
