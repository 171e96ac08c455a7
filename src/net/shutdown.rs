//! State of a manager's graceful shutdown, and requests for it from other threads and signal handlers.

use crate::abi::{mgx_drain_opts, mgx_mgr_drain_opts, mgx_mgr_phase};
use crate::memory::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use crate::memory::prelude::*;
use crate::proto::ws;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

/// How long an idle keep-alive connection may still send a request.
pub(crate) const IDLE_GRACE_MS: u64 = 1_000;
/// How long a dispatched request may take to begin its response.
pub(crate) const RESPONSE_MS: u64 = 30_000;
/// How long output may make no progress.
pub(crate) const FLUSH_MS: u64 = 60_000;
/// After the peer's end of stream: how long to wait for a response that has not begun or stalls.
pub(crate) const HALF_CLOSE_MS: u64 = 5_000;
/// How long a socket lingers without input, and in total.
pub(crate) const LINGER_IDLE_MS: u64 = 1_000;
pub(crate) const LINGER_TOTAL_MS: u64 = 10_000;
/// Maximum number of lingering sockets per manager.
pub(crate) const LINGER_MAX: usize = 1024;

/// Time limits for closing one connection. `u64::MAX`: no limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DrainTimeouts {
    pub(crate) idle_grace_ms: u64,
    pub(crate) response_ms: u64,
    pub(crate) flush_ms: u64,
    pub(crate) linger_total_ms: u64,
    pub(crate) linger_idle_ms: u64,
    pub(crate) linger_bytes: u64,
}

impl DrainTimeouts {
    pub(crate) const DEFAULT: DrainTimeouts = DrainTimeouts {
        idle_grace_ms: IDLE_GRACE_MS,
        response_ms: RESPONSE_MS,
        flush_ms: FLUSH_MS,
        linger_total_ms: LINGER_TOTAL_MS,
        linger_idle_ms: LINGER_IDLE_MS,
        linger_bytes: u64::MAX,
    };
}

/// `mgx_drain_opts` with defaults filled in. `u64::MAX`: no limit.
#[derive(Clone)]
pub(crate) struct DrainConfig {
    pub(crate) terms: DrainTimeouts,
    pub(crate) ws_code: u16,
    pub(crate) ws_reason: Box<[u8]>,
    pub(crate) ws_timeout_ms: u64,
}

/// Milliseconds, where 0 means `default` and -1 no limit.
pub(crate) fn ms(n: c_int, default: u64) -> u64 {
    match n {
        0 => default,
        _ => u64::try_from(n).unwrap_or(u64::MAX),
    }
}

impl DrainConfig {
    /// # Safety
    /// The reason is NULL or a C string.
    pub(crate) unsafe fn new(o: &mgx_drain_opts) -> DrainConfig {
        let d = DrainTimeouts::DEFAULT;
        // SAFETY: guaranteed by the caller.
        let reason = unsafe { crate::ffi_util::bytes::cstr(o.ws_close_reason) };
        DrainConfig {
            terms: DrainTimeouts {
                idle_grace_ms: ms(o.idle_grace_ms, d.idle_grace_ms),
                response_ms: ms(o.response_timeout_ms, d.response_ms),
                flush_ms: ms(o.flush_timeout_ms, d.flush_ms),
                linger_total_ms: ms(o.linger_total_ms, d.linger_total_ms),
                linger_idle_ms: ms(o.linger_idle_ms, d.linger_idle_ms),
                linger_bytes: if o.linger_bytes == 0 { u64::MAX } else { o.linger_bytes as u64 },
            },
            ws_code: if ws::is_code(o.ws_close_code) { o.ws_close_code as u16 } else { 1001 },
            ws_reason: ws::clip(reason).into(),
            ws_timeout_ms: ms(o.ws_close_timeout_ms, 2000),
        }
    }
}

#[derive(Default)]
pub(crate) struct Shutdown {
    pub(crate) phase: Cell<mgx_mgr_phase>,
    pub(crate) began: Cell<u64>,
    /// End of the current phase, and of the whole.
    pub(crate) phase_ends: Cell<u64>,
    pub(crate) deadline: Cell<u64>,
    pub(crate) idle_grace_ms: Cell<u64>,
    pub(crate) spread_ms: Cell<u64>,
    pub(crate) conn: RefCell<Option<DrainConfig>>,
    pub(crate) request: Request,
    /// Counters when the drain began, to tell what it did.
    pub(crate) served_before: Cell<u64>,
    pub(crate) drained_before: Cell<u64>,
    pub(crate) forced_before: Cell<u64>,
}

impl Shutdown {
    /// A drain has begun, or will in the next poll.
    pub(crate) fn is_asked(&self) -> bool {
        !self.is_running() || self.request.is_waiting()
    }

    pub(crate) fn is_running(&self) -> bool {
        self.phase.get() == mgx_mgr_phase::MGX_MGR_RUNNING
    }
}

/// Number of words that hold the longest reason.
const REASON: usize = 123usize.div_ceil(size_of::<usize>());

/// A request for a drain, as plain words: a signal handler can write it, and the polling thread reads it in the next poll. Only
/// the first request is taken whole; later ones can shorten the deadline.
#[derive(Default)]
pub(crate) struct Request {
    /// A caller has begun to write the options.
    claimed: AtomicBool,
    written: AtomicBool,
    words: [AtomicI32; 12],
    linger_bytes: AtomicUsize,
    /// Copied in place: at most 123 bytes.
    reason: [AtomicUsize; REASON],
    /// The nearest deadline of later calls; 0 if there is none.
    nearer: AtomicI32,
    again: AtomicBool,
}

impl Request {
    /// Stores a request. Any thread and signal handlers may call it; it takes no lock and allocates no memory.
    ///
    /// # Safety
    /// The reason is NULL or a C string.
    pub(crate) unsafe fn post(&self, o: &mgx_mgr_drain_opts) {
        if self.claimed.swap(true, Ordering::AcqRel) {
            let ms = if o.deadline_ms == 0 { 30_000 } else { o.deadline_ms };
            if ms > 0 {
                let _ = self.nearer.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old == 0 || ms < old).then_some(ms));
            }
            self.again.store(true, Ordering::Release);
            return;
        }
        let words = [
            o.lame_duck_ms,
            o.idle_grace_ms,
            o.deadline_ms,
            o.spread_ms,
            o.conn.idle_grace_ms,
            o.conn.response_timeout_ms,
            o.conn.flush_timeout_ms,
            o.conn.linger_total_ms,
            o.conn.linger_idle_ms,
            o.conn.ws_close_code,
            o.conn.ws_close_timeout_ms,
            c_int::from(!o.conn.ws_close_reason.is_null()),
        ];
        for (to, from) in self.words.iter().zip(words) {
            to.store(from, Ordering::Relaxed);
        }
        self.linger_bytes.store(o.conn.linger_bytes, Ordering::Relaxed);
        // SAFETY: guaranteed by the caller.
        let reason = ws::clip(unsafe { crate::ffi_util::bytes::cstr(o.conn.ws_close_reason) });
        let mut text = [0; REASON * size_of::<usize>()];
        text[..reason.len()].copy_from_slice(reason);
        for (to, from) in self.reason.iter().zip(text.chunks_exact(size_of::<usize>())) {
            to.store(usize::from_ne_bytes(from.try_into().unwrap_or_default()), Ordering::Relaxed);
        }
        self.written.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.written.load(Ordering::Relaxed) || self.again.load(Ordering::Relaxed)
    }

    /// Passes the options of the first call to `use_it`, once, while their reason text is valid. False if there are none.
    pub(crate) fn take(&self, use_it: impl FnOnce(&mgx_mgr_drain_opts)) -> bool {
        if !self.written.swap(false, Ordering::Acquire) {
            return false;
        }
        let w: [c_int; 12] = core::array::from_fn(|i| self.words[i].load(Ordering::Relaxed));
        let mut text = [0u8; (REASON + 1) * size_of::<usize>()];
        for (to, from) in text.chunks_exact_mut(size_of::<usize>()).zip(&self.reason) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
        }
        use_it(&mgx_mgr_drain_opts {
            lame_duck_ms: w[0],
            idle_grace_ms: w[1],
            deadline_ms: w[2],
            spread_ms: w[3],
            conn: mgx_drain_opts {
                idle_grace_ms: w[4],
                response_timeout_ms: w[5],
                flush_timeout_ms: w[6],
                linger_total_ms: w[7],
                linger_idle_ms: w[8],
                linger_bytes: self.linger_bytes.load(Ordering::Relaxed),
                ws_close_code: w[9],
                ws_close_reason: if w[11] != 0 { text.as_ptr().cast() } else { core::ptr::null() },
                ws_close_timeout_ms: w[10],
            },
        });
        true
    }

    /// The nearest deadline of later calls, in milliseconds from those calls.
    pub(crate) fn take_nearer(&self) -> Option<u64> {
        if !self.again.swap(false, Ordering::Acquire) {
            return None;
        }
        u64::try_from(self.nearer.swap(0, Ordering::AcqRel)).ok().filter(|ms| *ms > 0)
    }

    /// A drain was cancelled: the next request counts as the first.
    pub(crate) fn reset(&self) {
        self.again.store(false, Ordering::Release);
        self.nearer.store(0, Ordering::Release);
        self.claimed.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_requests_only_shorten_the_deadline() {
        let request = Request::default();
        // SAFETY: all-zero options are valid.
        let mut o: mgx_mgr_drain_opts = unsafe { core::mem::zeroed() };
        (o.lame_duck_ms, o.deadline_ms, o.conn.linger_bytes) = (7, 5000, 99);
        o.conn.ws_close_reason = c"bye".as_ptr();
        // SAFETY: the reason is a C string.
        unsafe { request.post(&o) };
        (o.deadline_ms, o.lame_duck_ms) = (9000, 1);
        // SAFETY: as above.
        unsafe { request.post(&o) };
        o.deadline_ms = 300;
        // SAFETY: as above.
        unsafe { request.post(&o) };
        assert!(request.is_waiting());
        let mut seen = 0;
        request.take(|o| {
            assert_eq!((o.lame_duck_ms, o.deadline_ms, o.conn.linger_bytes), (7, 5000, 99));
            // SAFETY: the text lives during this call.
            assert_eq!(unsafe { crate::ffi_util::bytes::cstr(o.conn.ws_close_reason) }, b"bye");
            seen += 1;
        });
        request.take(|_| seen += 1);
        assert_eq!((seen, request.take_nearer(), request.take_nearer()), (1, Some(300), None));
        assert!(!request.is_waiting());
    }

    #[test]
    fn zero_means_default_and_minus_one_means_no_limit() {
        assert_eq!((ms(0, 5), ms(-1, 5), ms(8, 5)), (5, u64::MAX, 8));
    }
}
