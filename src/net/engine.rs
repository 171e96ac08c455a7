//! The engine behind a manager, hidden from C. `mgr->tls_ctx` points to it. It holds one record per connection and per lingering
//! socket, the poller, the deadlines and the spare buffers.

use super::buffers::Buffers;
use super::handle::ConnRef;
use super::kept::{FileCache, Source};
use super::lock::Lock;
use super::lookup::{Attempts, Resolver};
use super::mailbox::Wakeup;
use super::protocol::Protocols;
use super::record::{Lazy, Moment, Reset, record};
use super::shutdown::{DrainConfig, DrainTimeouts, Shutdown};
use super::timer::Timers;
use super::tls::table as tls;
use super::walk::{NoPoll, Trail};
use crate::abi::{Sizes, mg_connection, mg_fd, mg_mgr, mgx_limits};
use crate::ffi_util::{heap, iobuf};
use crate::memory;
use crate::memory::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::memory::prelude::*;
use crate::platform::errno;
use crate::platform::error::Error;
use crate::platform::poller::{self, Poller, Ready};
use crate::platform::sock::{Rest, Scratch};
use crate::platform::socket_file::SocketFile;
use crate::platform::thread;
pub(crate) use crate::proto::http::framing::CloseAfter;
use crate::proto::{
    http::{chunked, outgoing::Outgoing},
    ws::Utf8,
};
use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::any::Any;
use core::cell::{Cell, OnceCell, RefCell, UnsafeCell};
use core::ffi::c_int;

/// Options set at run time instead of compile time.
pub(crate) struct Options {
    pub(crate) max_recv_size: usize,
    pub(crate) listen_backlog: i32,
    pub(crate) v6only: bool,
    /// Do not list directories without an index page.
    pub(crate) no_dirlist: bool,
    /// Write TLS secrets to the file named by SSLKEYLOGFILE.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) tls_keylog: bool,
    /// Name of index pages.
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
pub(crate) type MakeFrame = fn(ConnRef, u8, &[u8]);

impl Drop for Engine {
    fn drop(&mut self) {
        for block in self.records.get_mut().drain(..) {
            // SAFETY: block_of_records made it with Box::into_raw.
            drop(unsafe { Box::from_raw(block) });
        }
        let wakeup = self.wakeup.swap(core::ptr::null_mut(), Ordering::AcqRel);
        if !wakeup.is_null() {
            // SAFETY: mg_wakeup_init made it with Box::into_raw.
            drop(unsafe { Box::from_raw(wakeup) });
        }
    }
}

/// Why a connection closed; `mgx_close_reason` converts it for C.
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

record! {
    /// The engine's record of a connection or lingering socket. Cells, because handlers may re-enter the library at any point.
    ///
    /// Ordered so that the members that a request uses share few cache lines.
    #[repr(C)]
    pub(crate) struct ConnState {
        conn: Cell<*mut mg_connection> = core::ptr::null_mut(),
        /// Block of `c->recv` that a handler is looking at: it stays unchanged until the handler returns.
        viewed: Cell<*mut u8> = core::ptr::null_mut(),
        /// Offset in the received stream up to which data is consumed when that handler returns.
        done_end: Cell<u64>,
        /// Number of bytes passed to the kernel.
        sent: Cell<u64>,
        /// Total number of bytes put into the receive buffer. Together with its length, tells how much a handler consumed.
        arrived: Cell<u64>,
        /// Maximum fill level of the receive buffer since it was taken from the spare blocks.
        recv_used: Cell<usize>,
        /// When the connection was accepted, and when data last arrived.
        read_at: Cell<u64>,
        /// When the first byte in the receive buffer arrived.
        head_began: Cell<u64>,
        /// When the drain, or the wait after the peer's end of stream, began.
        drain_since: Moment,
        /// When output last made progress.
        progress_at: Cell<u64>,
        /// Received data moved out of `c->recv`, because a protocol handler would otherwise move it too often. It is put back
        /// before the next read.
        aside: Cell<Option<Box<Aside>>>,
        /// Hook to modify the queued output when the connection begins to drain; runs once.
        drain_begins: Cell<Option<DrainBegins>>,
        /// Memory of the connection, for `max_memory` of mgx_limits.
        bytes: Cell<usize>,
        fd: Cell<i32> = -1,
        @keep slot: Cell<u32>,
        /// Counts the uses of this slot, to recognise stale events.
        @keep generation: Cell<u32>,
        /// Size of the peer's last message, if its protocol tells: the next one is read with one call.
        message_size: Cell<u32>,
        /// The library opened or accepted the socket, so it may linger.
        own: Cell<bool>,
        registered: Cell<bool>,
        /// Input may be waiting in the kernel. Set by an event, cleared by EAGAIN, or when nothing is left or what is left will be
        /// reported: `rest`.
        readable: Cell<bool>,
        /// How to learn whether the last read has left anything.
        rest: Cell<Rest>,
        /// The peer has closed its sending side: read until end of stream.
        hup: Cell<bool>,
        eof: Cell<bool>,
        /// The last send was partial; an event reports when to continue.
        blocked: Cell<bool>,
        /// Also registered for writability.
        armed: Cell<bool>,
        /// In the list of connections to check in the next poll even without an event.
        @keep requeued: Cell<bool>,
        /// In the list of connections that got output outside their own service call.
        @keep flush_pending: Cell<bool>,
        lingering: Cell<bool>,
        /// Everything was sent: the socket may linger.
        flushed: Cell<bool>,
        /// A protocol handler has called the application about the receive buffer and must not be re-entered.
        dispatching: Cell<bool>,
        /// How many MG_EV_READ of this connection are being handled, by handlers that poll.
        reading: Cell<u8>,
        /// Data arrived while these were too many for another.
        untold: Cell<bool>,
        /// Buffered messages wait for the next poll of this connection; nothing is read before that.
        batch_pending: Cell<bool>,
        reason: Cell<Reason>,
        /// The handler was told about the peer's end of stream.
        eof_told: Cell<bool>,
        /// The last response announced the close: `Connection: close`.
        close_announced: Cell<bool>,
        /// The library began the drain because the connection was idle: requests that arrive in the meantime are served first.
        last_look: Cell<bool>,
        /// MGX_EV_BACKPRESSURE was delivered and the queue has not shrunk since.
        backpressure_reported: Cell<bool>,
        http: HttpState,
        @keep deadline: Moment,
        /// When the protocol handler wants to be serviced; no deadline is later.
        alarm: Moment,
        tls: tls::State,
        /// The file that is being sent; the connection has a flag for it.
        stream: Cell<Option<Box<Stream>>>,
        /// State of a protocol handler while it occupies `c->fn` or `c->pfn`.
        task: Cell<Option<Box<dyn Any>>>,
        /// State of a drain requested through the extension API.
        drain_state: Cell<DrainState>,
        /// The amount of output at the last check, and when it last grew.
        queued_seen: Cell<u64>,
        queued_at: Cell<u64>,
        /// What the kernel held for the peer at the last check since the socket blocked.
        unacknowledged: Cell<Option<(u64, usize)>>,
        /// Drain options set by the application for this connection.
        terms: RefCell<Option<Box<DrainConfig>>>,
        /// Number of requests dispatched before MGX_EV_DRAIN was delivered.
        told_of_drain: Cell<u32>,
        /// errno of the system call that failed and closed the connection, or 0.
        errno: Cell<i32>,
        /// Peer address at the time of accept; applications may overwrite `c->rem`.
        from: Cell<[u8; 16]>,
        ws: Lazy<WsState>,
        mqtt: Lazy<MqttState>,
        /// Connection attempts of a client connection; for the socket of a further attempt, its owner.
        attempts: Cell<Option<Box<Attempts>>>,
        attempt_of: Cell<*mut mg_connection> = core::ptr::null_mut(),
        /// Socket file of a Unix listener.
        socket_file: Cell<Option<Box<SocketFile>>>,
        /// Offsets in `c->send` at which printed datagrams begin.
        datagrams: Lazy<RefCell<Vec<usize>>>,
        /// Unsent rest of an abandoned file.
        abandoned: Cell<u64>,
        /// A listener that ran out of descriptors does not accept before this time.
        accept_after: Cell<u64>,
        /// A lingering socket is closed at the earlier of these: when nothing arrives, and unconditionally.
        linger_idle: Cell<u64>,
        linger_end: Cell<u64>,
        /// Number of bytes that a lingering socket may still discard.
        linger_bytes: Cell<u64>,
    }
}

/// Received bytes outside the receive buffer; those before `at` have been put back.
#[derive(Default)]
pub(crate) struct Aside {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
}

/// A drain through the extension API, before `is_draining` is set.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum DrainState {
    #[default]
    No,
    /// The drain of the manager reaches the connection at this time.
    Spread(u64),
    /// Idle: one more request may arrive until this time. With the number of requests before it.
    Grace(u64, u32),
    /// A request has been in progress since this time.
    Finish(u64),
    /// A request has been in progress since this time, and it is the last: it arrived during the grace period.
    Last(u64),
    /// Not HTTP, so the end of an exchange is unknown: drains when nothing has arrived for the grace period.
    Quiet(u64),
    /// A Close frame was sent; waits for the peer's until this time.
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
    /// Accepted connections currently open.
    pub(crate) conns: Cell<usize>,
}

/// Adds to a counter.
pub(crate) fn count(counter: &Cell<u64>, n: u64) {
    counter.set(counter.get().wrapping_add(n));
}

record! {
    /// State of the HTTP handler between events.
    #[repr(C)]
    pub(crate) struct HttpState {
        /// The offset of the buffer in the received stream when the handler returned, and `recv.len`. Cached state is valid only
        /// if the buffer has merely grown since.
        left_at: Cell<u64>,
        left: Cell<usize>,
        head_len: Cell<usize>,
        /// Number of head bytes known to contain no blank line.
        scanned: Cell<usize>,
        /// Length of the whole message; unknown while chunks arrive.
        need: Cell<Option<usize>>,
        /// End of the message being dispatched, in `c->recv`.
        end: Cell<usize>,
        /// `queued()` when the current request was announced and when the last one was dispatched, and the time of that.
        head_mark: Cell<u64>,
        mark: Cell<u64>,
        asked_at: Cell<u64>,
        /// Number of empty lines skipped before the current message.
        blank: Cell<usize>,
        /// Number of body bytes that may follow a response printed by the application. They are dropped.
        unwanted: Cell<usize>,
        /// Tracks the application's output: requests of a client, responses of a server.
        outgoing: Cell<Option<Box<Outgoing>>>,
        /// Offset in the queued stream, and length, of the last reply head written by the library.
        head_at: Cell<Option<(u64, usize)>>,
        /// Number of requests dispatched on this connection.
        requests: Cell<u32>,
        phase: Cell<Phase>,
        close: Cell<CloseAfter>,
        /// The message can never fit in the receive buffer: it is refused unless the application takes it over.
        too_long: Cell<bool>,
        dispatched: Cell<bool>,
        /// No further request is handled until the peer has read the queued responses.
        write_throttled: Cell<bool>,
        /// The application consumed the body of this message with MG_EV_HTTP_CHUNK of earlier versions.
        chunk_deleted: Cell<bool>,
        /// The current request is HEAD: its response has no body.
        head_only: Cell<bool>,
        /// The current request is of HTTP/1.0 and asks for the connection to be kept, which its answer confirms.
        keep_alive: Cell<bool>,
        /// The last reply head written by the library confirms keep-alive.
        kept: Cell<bool>,
        /// The body of the current message is chunked.
        chunked: Cell<bool>,
        /// A library function completed the response to the last request.
        answered: Cell<bool>,
        chunks: Cell<chunked::Scanner>,
        /// `Authorization: ...` from the URL of a client.
        authorization: Cell<Option<Box<[u8]>>>,
    }
}

record! {
    /// State of the WebSocket handler between events. `c->pfn_data` holds how much of a fragmented message is at the front of
    /// `c->recv`.
    pub(crate) struct WsState {
        /// Sec-WebSocket-Accept value that the server must return for our key.
        accept: Cell<[u8; 28]>,
        /// The peer violated the protocol: its further input is ignored.
        failed: Cell<bool>,
        /// A Close frame was sent.
        close_sent: Cell<bool>,
        /// UTF-8 state at the end of the last text fragment.
        text: Cell<Utf8>,
        /// Number of Pongs queued and possibly not sent, and the offset in the queued stream at which the last one ends.
        pongs: Cell<usize>,
        pongs_end: Cell<u64>,
        /// Payload of a Ping to be answered when those have been sent.
        late_pong: Cell<Option<Box<[u8]>>>,
    }
}

record! {
    /// State of the MQTT handler between events.
    pub(crate) struct MqttState {
        /// Number of reply bytes queued since `queued()` was `replies_from`.
        replies: Cell<u64>,
        replies_from: Cell<u64>,
        /// Keep-alive interval promised to the broker, in milliseconds; 0 if there is none.
        keepalive: Cell<u64>,
        /// The broker accepted the connection.
        open: Cell<bool>,
        /// When data was last sent and received; None until connected.
        said: Cell<Option<u64>>,
        heard: Cell<u64>,
        /// Since when a response of the broker is due.
        asked: Cell<Option<u64>>,
        /// Amount of buffered ciphertext at the last check.
        ciphertext: Cell<usize>,
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Phase {
    #[default]
    Head,
    /// The head is malformed, but its sender may expect a response: wait for its end.
    Malformed,
    /// MG_EV_HTTP_HDRS was delivered, the body is not complete.
    Body,
    /// The message was refused: further input is ignored.
    Refused,
}

pub(crate) type DrainBegins = fn(ConnRef, &ConnState);

pub(crate) type Done = fn(ConnRef, &ConnState, End, last: bool);

/// How sending a file ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Whole,
    /// The file was truncated or became unreadable.
    Cut,
}

/// An open file and how much of it remains to be sent.
pub(crate) struct Stream {
    pub(super) file: Source,
    /// Copy for the application, in `c->pfn_data`.
    pub(super) pair: *mut mg_fd,
    /// It is one of the system, which is read at any place, whoever else reads it.
    pub(super) native: bool,
    /// Descriptor of the file, if the kernel copies it to the socket.
    pub(super) descriptor: Option<i32>,
    pub(super) at: u64,
    pub(super) left: u64,
    /// The response was announced as the last of its connection.
    pub(super) last: bool,
    /// Called when everything is queued or sent.
    pub(super) done: Option<Done>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: NULL, or made in begin().
        unsafe { heap::free(self.pair.cast()) };
    }
}

/// False: the manager was freed.
pub(crate) type BeforePoll = fn(&Engine) -> bool;

/// Records are made so many at a time.
const CHUNK: usize = if cfg!(feature = "std") { 64 } else { 2 };

pub(crate) struct Engine {
    pub(crate) mgr: *mut mg_mgr,
    pub(crate) options: RefCell<Options>,
    /// Growth increment of buffers, and the maximum size of a read, datagram or wakeup message. Read by other threads.
    pub(crate) io_size: AtomicUsize,
    pub(crate) poller: Poller,
    pub(crate) lock: Lock,
    /// The process that owns the poller and the wakeup descriptors, by `fork::generation`.
    pub(crate) process: Cell<u32>,
    /// This process has polled the manager.
    pub(crate) polled: Cell<bool>,
    pub(crate) buffers: Buffers,
    pub(crate) scratch: RefCell<Scratch>,
    /// Messages from other threads, which read this pointer. Freed with the engine, never earlier.
    pub(crate) wakeup: AtomicPtr<Wakeup>,
    /// Blocks of records: never moved, freed with the engine. Only `new_rec` adds to the list.
    records: UnsafeCell<Vec<*mut [ConnState; CHUNK]>>,
    free_slots: RefCell<Vec<u32>>,
    /// Memory of a processed list of slots, for reuse.
    spare_slots: RefCell<Vec<u32>>,
    /// Frames of ours on the stack that may still use a connection's memory.
    callback_depth: Cell<usize>,
    /// Closed connections, freed when no frame is left.
    pending_free: RefCell<Vec<*mut mg_connection>>,
    /// Blocks that handlers on the stack may still use, freed with the last frame.
    kept: RefCell<Vec<*mut u8>>,
    /// The next connection of each iteration over the list in progress.
    pub(crate) cursors: RefCell<Vec<*mut mg_connection>>,
    pub(crate) conns: Cell<usize>,
    pub(crate) requeued: RefCell<Vec<u32>>,
    pub(crate) flush_pending: RefCell<Vec<u32>>,
    pub(crate) deadlines: RefCell<memory::SortedSet<(u64, u32)>>,
    /// Oldest first.
    pub(crate) lingering: RefCell<VecDeque<u32>>,
    /// No lingering socket is due before this time.
    pub(crate) linger_check: Cell<u64>,
    /// The connection being serviced.
    pub(crate) current: Cell<*mut mg_connection>,
    /// mg_mgr_free is running: nothing may stay open.
    pub(crate) ending: Cell<bool>,
    /// Every reply closes its connection.
    pub(crate) lame: Cell<bool>,
    /// The extension API's part of a poll - drains and limits - and when it is due. Set when first used: programs that use neither do
    /// not contain it.
    pub(crate) extension_step: Cell<Option<fn(&Engine)>>,
    pub(crate) extension_at: Cell<u64>,
    /// Runs first in a poll: the timeout of a firmware update. False: the manager was freed.
    pub(crate) before_poll: Cell<Option<BeforePoll>>,
    /// Makes a WebSocket frame, with this first byte, of a message from another thread.
    pub(crate) frame: Cell<Option<MakeFrame>>,
    pub(crate) shutdown: Shutdown,
    pub(crate) limits: Cell<mgx_limits>,
    /// mgx_mgr_limits was called: connections are checked when their deadlines expire.
    pub(crate) limited: Cell<bool>,
    /// Memory of all connections, and its limit; 0: no limit.
    pub(crate) bytes: Cell<usize>,
    pub(crate) most_bytes: Cell<usize>,
    pub(crate) per_ip: RefCell<memory::Map<[u8; 16], usize>>,
    pub(crate) expired: RefCell<Vec<u32>>,
    pub(crate) stats: Stats,
    /// SO_REUSEPORT on listeners opened from now on.
    pub(crate) reuseport: Cell<bool>,
    /// Requests of other threads, with or without mg_wakeup_init.
    pub(crate) waker: Wakeup,
    /// mg_mgr_free no longer tolerates handlers that open connections in MG_EV_CLOSE.
    pub(crate) no_more: Cell<bool>,
    /// The manager was freed; the last frame frees the engine.
    pub(crate) dead: Cell<bool>,
    /// Enforce RFC 6455 on WebSocket peers (`mgx_mgr_ws_strict`).
    pub(crate) ws_strict: Cell<bool>,
    /// Accept WebSocket text that is not UTF-8.
    pub(crate) ws_any_text: Cell<bool>,
    /// Behave like the original where the two differ visibly (`mgx_mgr_compat`).
    pub(crate) compat: Cell<bool>,
    /// What the application was compiled with (`mgx_mgr_sizes`).
    pub(crate) sizes: Cell<Sizes>,
    /// API version that the application was written for, if it is an earlier one (`mgx_mgr_written_for`).
    pub(crate) written_for: Cell<c_int>,
    /// The time of this poll, in milliseconds of mg_millis.
    pub(crate) now: Cell<u64>,
    /// The link that points to the connection being serviced; NULL if unknown.
    pub(crate) link: Cell<*mut *mut mg_connection>,
    pub(crate) wakeup_conn: Cell<*mut mg_connection>,
    pub(crate) ready: RefCell<Vec<Ready>>,
    pub(crate) no_poll: NoPoll,
    pub(crate) timers: Timers,
    pub(crate) trail: RefCell<Trail>,
    pub(crate) resolver: Resolver,
    pub(crate) protocols: Protocols,
    /// Files that are kept (`mgx_mgr_file_cache`).
    pub(crate) files: RefCell<Option<Rc<dyn FileCache>>>,
    /// State shared by TLS connections.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) tls: OnceCell<Box<dyn Any>>,
}

impl Engine {
    pub(crate) fn new(mgr: *mut mg_mgr) -> Result<Box<Engine>, Error> {
        let poller = Poller::new()?;
        let waker = Wakeup::new().ok_or_else(Error::last_os_error)?;
        poller.add(waker.fd(), poller::WAKER, false)?;
        // Edge-triggered events are reported once, so there must be room for all of them.
        let ready = memory::room(poller::MOST).ok_or_else(|| Error::from_raw_os_error(errno::ENOMEM))?;
        Ok(Box::new(Engine {
            mgr,
            options: RefCell::default(),
            io_size: AtomicUsize::new(crate::abi::IO_SIZE),
            poller,
            lock: Lock::default(),
            process: Cell::new(thread::generation()),
            polled: Cell::new(false),
            buffers: Buffers::default(),
            scratch: RefCell::default(),
            wakeup: AtomicPtr::default(),
            records: UnsafeCell::default(),
            free_slots: RefCell::default(),
            spare_slots: RefCell::default(),
            callback_depth: Cell::new(0),
            pending_free: RefCell::default(),
            kept: RefCell::default(),
            cursors: RefCell::default(),
            conns: Cell::new(0),
            requeued: RefCell::default(),
            flush_pending: RefCell::default(),
            deadlines: RefCell::default(),
            lingering: RefCell::default(),
            linger_check: Cell::new(u64::MAX),
            current: Cell::new(core::ptr::null_mut()),
            ending: Cell::new(false),
            no_more: Cell::new(false),
            dead: Cell::new(false),
            lame: Cell::new(false),
            extension_step: Cell::default(),
            extension_at: Cell::new(u64::MAX),
            before_poll: Cell::default(),
            frame: Cell::default(),
            shutdown: Shutdown::default(),
            limits: Cell::default(),
            limited: Cell::new(false),
            bytes: Cell::new(0),
            most_bytes: Cell::new(0),
            per_ip: RefCell::default(),
            expired: RefCell::default(),
            stats: Stats::default(),
            reuseport: Cell::new(false),
            waker,
            ws_strict: Cell::new(false),
            ws_any_text: Cell::new(false),
            compat: Cell::new(false),
            sizes: Cell::new(Sizes::USUAL),
            written_for: Cell::new(722),
            now: Cell::new(0),
            link: Cell::new(core::ptr::null_mut()),
            wakeup_conn: Cell::new(core::ptr::null_mut()),
            ready: RefCell::new(ready),
            no_poll: NoPoll::default(),
            timers: Timers::default(),
            trail: RefCell::default(),
            resolver: Resolver::default(),
            protocols: Protocols::default(),
            files: RefCell::default(),
            tls: OnceCell::new(),
        }))
    }

    /// # Safety
    /// `mgr` is NULL, zero-filled or initialised. The reference is valid until mg_mgr_free, and beyond it while a call is in progress.
    #[inline]
    pub(crate) unsafe fn of<'e>(mgr: *mut mg_mgr) -> Option<&'e Engine> {
        if mgr.is_null() {
            return None;
        }
        // SAFETY: tls_ctx is NULL or the engine that mg_mgr_init made.
        unsafe { (*mgr).tls_ctx.cast::<Engine>().as_ref() }
    }

    #[inline]
    pub(crate) fn rec(&self, slot: usize) -> Option<&ConnState> {
        // SAFETY: no other reference to the list is alive: new_rec, which changes it, calls nothing while it does. Blocks live
        // as long as the engine.
        unsafe { (&(*self.records.get())).get(slot / CHUNK).map(|block| &(**block)[slot % CHUNK]) }
    }

    /// All records, including unused ones.
    pub(crate) fn recs(&self) -> impl Iterator<Item = &ConnState> {
        // SAFETY: as in rec().
        let n = unsafe { (&(*self.records.get())).len() } * CHUNK;
        (0..n).filter_map(|slot| self.rec(slot))
    }

    /// The queue created by mg_wakeup_init.
    pub(crate) fn wakeup(&self) -> Option<&Wakeup> {
        // SAFETY: lives as long as the engine.
        unsafe { self.wakeup.load(Ordering::Acquire).as_ref() }
    }

    /// A fresh record. None when out of memory.
    pub(crate) fn new_rec(&self) -> Option<&ConnState> {
        if self.free_slots.borrow().is_empty() && !self.add_records() {
            return None;
        }
        let slot = self.free_slots.borrow_mut().pop()?;
        let rec = self.rec(slot as usize)?;
        rec.renew(slot);
        Some(rec)
    }

    /// Makes records, and room for them in each list that a record may be on: nothing is allocated when it gets there.
    #[cold]
    fn add_records(&self) -> bool {
        // SAFETY: as in rec().
        let records = unsafe { &mut *self.records.get() };
        let first = records.len() * CHUNK;
        let room = |list: &RefCell<Vec<u32>>| {
            let mut list = list.borrow_mut();
            let more = (first + CHUNK).saturating_sub(list.len());
            memory::grow(&mut list, more)
        };
        let mut lingering = self.lingering.borrow_mut();
        let more = (first + CHUNK).saturating_sub(lingering.len()).min(super::shutdown::LINGER_MAX);
        let room_for_all = memory::grow(records, 1)
            && [&self.free_slots, &self.requeued, &self.flush_pending, &self.expired, &self.spare_slots].into_iter().all(room)
            && memory::grow(&mut self.pending_free.borrow_mut(), first + CHUNK)
            && memory::fallibly(|| lingering.try_reserve(more).is_ok());
        match if room_for_all { block_of_records() } else { None } {
            Some(block) => {
                records.push(block);
                self.free_slots.borrow_mut().extend((first as u32..(first + CHUNK) as u32).rev());
                true
            }
            None => false,
        }
    }

    /// Takes the contents of a list, which continues with the memory of the list returned last.
    pub(crate) fn take_slots(&self, list: &RefCell<Vec<u32>>) -> Vec<u32> {
        if list.borrow().is_empty() { Vec::new() } else { list.replace(self.spare_slots.take()) }
    }

    /// Returns a processed list, to reuse its memory.
    pub(crate) fn give_slots(&self, mut list: Vec<u32>) {
        if list.capacity() > 0 {
            list.clear();
            self.spare_slots.replace(list);
        }
    }

    /// The record an event is meant for; None if the slot was reused since.
    pub(crate) fn rec_for(&self, token: usize) -> Option<&ConnState> {
        let (slot, generation) = poller::split_token(token);
        self.rec(slot as usize).filter(|rec| rec.token() == poller::token(slot, generation))
    }

    pub(crate) fn free_rec(&self, rec: &ConnState) {
        rec.alarm.set(None);
        self.set_deadline(rec, None);
        let slot = rec.slot.get();
        rec.renew(slot);
        self.free_slots.borrow_mut().push(slot);
    }

    /// Replaces the engine's own next look at the connection. What must outlast that is an alarm.
    pub(crate) fn set_deadline(&self, rec: &ConnState, at: Option<u64>) {
        let at = at.into_iter().chain(rec.alarm.get()).min();
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

    /// Delivers MG_EV_POLL to the protocol handler at this time at the latest. An earlier alarm stays; when it expires, the
    /// handler sets a new one.
    pub(crate) fn set_alarm(&self, rec: &ConnState, at: u64) {
        rec.alarm.set(Some(at));
        if rec.deadline.get().is_none_or(|old| old > at) {
            self.set_deadline(rec, Some(at));
        }
    }

    /// Checks this record again in the next poll, with or without an event.
    pub(crate) fn requeue(&self, rec: &ConnState) {
        if !rec.requeued.replace(true) {
            self.requeued.borrow_mut().push(rec.slot.get());
        }
    }

    /// Records that output was queued outside the connection's own service call.
    #[inline]
    pub(crate) fn touch(&self, rec: &ConnState) {
        if self.current.get() != rec.conn.get() && !rec.flush_pending.replace(true) {
            self.flush_pending.borrow_mut().push(rec.slot.get());
        }
    }

    /// Schedules the connection for service, even if the walk would skip it.
    pub(crate) fn wake(&self, c: ConnRef, rec: &ConnState) {
        if self.no_poll.used.get() && c.flags().is_no_poll() {
            self.no_poll.wake(c.id64(), rec.slot.get());
        }
    }

    #[inline]
    pub(crate) fn enter(&self) {
        self.callback_depth.set(self.callback_depth.get() + 1);
    }

    /// Closes a frame. The last one frees closed connections, and the engine if its manager is gone.
    #[inline]
    pub(crate) fn exit(&self) {
        let n = self.callback_depth.get() - 1;
        self.callback_depth.set(n);
        if n == 0 {
            self.end_callbacks();
        }
    }

    #[inline(never)]
    fn end_callbacks(&self) {
        self.reap();
        if self.is_dead() {
            // SAFETY: mg_mgr_free detached the engine from the manager; the outermost call frees it, and this is that call.
            drop(unsafe { Box::from_raw(core::ptr::from_ref(self).cast_mut()) });
        }
    }

    #[inline]
    pub(crate) fn io_size(&self) -> usize {
        self.io_size.load(Ordering::Relaxed)
    }

    pub(crate) fn callback_depth(&self) -> usize {
        self.callback_depth.get()
    }

    /// A handler further up the stack freed the manager.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.dead.get()
    }

    /// Keeps a block of C's heap until no handler is on the stack.
    pub(crate) fn keep(&self, block: *mut u8) {
        self.kept.borrow_mut().push(block);
    }

    pub(crate) fn defer_free(&self, c: *mut mg_connection) {
        self.pending_free.borrow_mut().push(c);
    }

    /// Frees closed connections. To be called only if no other call is in progress and the caller uses none of them.
    pub(crate) fn reap(&self) {
        while let Some(block) = self.kept.borrow_mut().pop() {
            // SAFETY: no longer in use.
            unsafe { heap::free(block) };
        }
        loop {
            let Some(c) = self.pending_free.borrow_mut().pop() else { return };
            // SAFETY: closed, off the list, and unused by any call in progress. Its buffers were freed after MG_EV_CLOSE, but its
            // handlers may have written to it since.
            unsafe {
                iobuf::free(&raw mut (*c).recv);
                iobuf::free(&raw mut (*c).send);
                heap::free(c.cast());
            }
        }
    }
}

/// Made where it stays: it is too large for the stack of a small thread.
fn block_of_records() -> Option<*mut [ConnState; CHUNK]> {
    let mut block = memory::room(CHUNK)?;
    for _ in 0..CHUNK {
        block.push(ConnState::default());
    }
    Some(Box::into_raw(block.into_boxed_slice()).cast())
}

impl ConnState {
    /// Resets the record for a new connection.
    fn renew(&self, slot: u32) {
        self.reset();
        self.slot.set(slot);
        self.generation.set(self.generation.get().wrapping_add(1));
    }

    /// The connection; None for a lingering socket, a lookup, and an unused record.
    #[inline]
    pub(crate) fn connection(&self) -> Option<ConnRef> {
        let c = self.conn.get();
        // SAFETY: the connection of a record in use.
        (!c.is_null()).then(|| unsafe { ConnRef::new(c) })
    }

    /// What the poller reports for its socket.
    pub(crate) fn token(&self) -> usize {
        poller::token(self.slot.get(), self.generation.get())
    }

    pub(crate) fn drain_timeouts(&self) -> DrainTimeouts {
        self.terms.borrow().as_ref().map_or(DrainTimeouts::DEFAULT, |t| t.terms)
    }

    /// A protocol handler is in the middle of an operation such as an upload.
    pub(crate) fn has_task(&self) -> bool {
        let task = self.task.take();
        let has = task.is_some();
        self.task.set(task);
        has
    }

    /// How many bytes wait outside the receive buffer.
    pub(crate) fn aside_len(&self) -> usize {
        let aside = self.aside.take();
        let len = aside.as_ref().map_or(0, |a| a.bytes.len() - a.at);
        self.aside.set(aside);
        len
    }

    /// The drain options that the application set for this connection, if any.
    pub(crate) fn drain_config(&self) -> Option<DrainConfig> {
        self.terms.borrow().as_deref().cloned()
    }

    pub(crate) fn set_drain_config(&self, terms: Option<DrainConfig>) {
        self.terms.replace(terms.map(Box::new));
    }
}

impl HttpState {
    /// Resets the state of the message at the start of the buffer.
    pub(crate) fn next_message(&self) {
        self.phase.set(Phase::Head);
        self.left.set(0);
        self.left_at.set(0);
        self.scanned.set(0);
        self.head_len.set(0);
        self.need.set(None);
        self.too_long.set(false);
        self.blank.set(0);
        self.unwanted.set(0);
        self.chunked.set(false);
        self.chunks.set(chunked::Scanner::default());
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::probe::{Boxed, Probe, Sample, samples};
    use super::*;

    samples! {
        bool = true;
        u8 = 7;
        i32 = 7;
        u32 = 7;
        u64 = 7;
        usize = 7;
        Option<u64> = Some(7);
        Option<usize> = Some(7);
        Option<(u64, usize)> = Some((7, 7));
        [u8; 16] = [7; 16];
        [u8; 28] = [7; 28];
        Vec<usize> = vec![7];
        Reason = Reason::Limit;
        DrainState = DrainState::Quiet(7);
        Phase = Phase::Body;
        CloseAfter = CloseAfter::Http10;
        Rest = Rest::Polled;
        Utf8 = {
            let mut begun = Utf8::default();
            begun.feed(b"\xe2");
            begun
        };
    }

    impl Sample for chunked::Scanner {
        fn sample() -> Option<Self> {
            let mut scanner = chunked::Scanner::default();
            scanner.scan(b"5\r\nab");
            Some(scanner)
        }
        fn is_like(&self, other: &Self) -> bool {
            format!("{self:?}") == format!("{other:?}")
        }
    }

    impl Sample for Option<&'static tls::Ops> {
        fn sample() -> Option<Self> {
            None
        }
        fn is_like(&self, other: &Self) -> bool {
            self.is_some() == other.is_some()
        }
    }

    impl Sample for Option<DrainBegins> {
        fn sample() -> Option<Self> {
            Some(Some(|_, _| {}))
        }
        fn is_like(&self, other: &Self) -> bool {
            self.is_some() == other.is_some()
        }
    }

    impl Boxed for Box<Attempts> {}
    impl Boxed for Box<SocketFile> {}
    impl Boxed for Box<Stream> {}
    impl Boxed for Box<Aside> {
        fn boxed() -> Option<Self> {
            Some(Box::default())
        }
    }
    impl Boxed for Box<Outgoing> {}
    impl Boxed for Box<[u8]> {
        fn boxed() -> Option<Self> {
            Some(Box::default())
        }
    }
    impl Boxed for Box<dyn Any> {
        fn boxed() -> Option<Self> {
            Some(Box::new(7))
        }
    }
    impl Boxed for Box<DrainConfig> {
        fn boxed() -> Option<Self> {
            // SAFETY: all-zero options are valid, and have no reason.
            Some(Box::new(unsafe { DrainConfig::new(&core::mem::zeroed()) }))
        }
    }

    #[test]
    fn stale_events_of_a_reused_slot_are_dropped() {
        let e = Engine::new(core::ptr::null_mut()).unwrap();
        let first = e.new_rec().unwrap();
        let slot = first.slot.get();
        let token = poller::token(slot, first.generation.get());
        assert!(e.rec_for(token).is_some());
        e.free_rec(first);
        assert!(e.rec_for(token).is_none());
        let second = e.new_rec().unwrap();
        assert_eq!(second.slot.get(), slot);
        assert!(e.rec_for(token).is_none());
        assert!(e.rec_for(poller::token(slot, second.generation.get())).is_some());
    }

    #[test]
    fn nothing_of_a_message_is_left_for_the_next() {
        let (used, fresh) = (HttpState::default(), HttpState::default());
        used.dirty();
        used.next_message();
        let mut stale = Vec::new();
        used.stale(&fresh, &mut stale);
        for member in
            ["phase", "left", "left_at", "scanned", "head_len", "need", "too_long", "blank", "unwanted", "chunked", "chunks"]
        {
            assert!(!stale.contains(&member), "{member}");
        }
    }

    #[test]
    fn a_reused_record_equals_a_fresh_one() {
        let (used, fresh) = (ConnState::default(), ConnState::default());
        used.dirty();
        let mut stale = Vec::new();
        used.stale(&fresh, &mut stale);
        for member in
            ["readable", "flushed", "write_throttled", "http", "requests", "ws", "close_sent", "mqtt", "replies", "task", "tls"]
        {
            assert!(stale.contains(&member), "{member} was not made dirty");
        }
        let generation = used.generation.get();
        used.renew(3);
        stale.clear();
        used.stale(&fresh, &mut stale);
        assert_eq!(stale, Vec::<&str>::new());
        assert_eq!((used.slot.get(), used.generation.get()), (3, generation + 1));
    }
}
