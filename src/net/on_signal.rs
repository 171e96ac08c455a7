//! Signals that start the drain of a manager. One table per process, because signals belong to the process. Signal handlers read
//! it, so it allocates no memory, and its lock is held with signals blocked.

use super::engine::Engine;
use super::mailbox::Guarded;
use crate::abi::{mgx_drain_opts, mgx_mgr_drain_opts};
use crate::platform::signal::{self, Previous};
use crate::proto::ws;
use core::ffi::c_int;
use core::ptr;

/// None on systems without signals.
const ENTRIES: usize = if cfg!(feature = "std") { 64 } else { 0 };
/// Size of the longest reason of a Close frame, with a NUL.
const REASON: usize = 124;

#[derive(Clone, Copy)]
struct Entry {
    signo: c_int,
    /// NULL: free.
    engine: *const Engine,
    opts: mgx_mgr_drain_opts,
    reason: [u8; REASON],
    /// 0 or 1. Not a `bool`, whose niche would encode None: this way the empty table is all zero and takes no space in the file.
    has_reason: u8,
    /// The application's disposition of this signal before its first entry; the same in all entries of a signal.
    before: Previous,
}

struct Table([Option<Entry>; ENTRIES]);

// SAFETY: engines are only followed with the lock held, and leave the table before they are freed.
unsafe impl Send for Table {}

static TABLE: Guarded<Table> = Guarded::new(Table([None; ENTRIES]));

/// The signal handler.
extern "C" fn drain_all(signo: c_int) {
    signal::keeping_errno(|| {
        TABLE.with(|table| {
            for entry in table.0.iter().flatten().filter(|entry| entry.signo == signo) {
                let mut opts = entry.opts;
                opts.conn.ws_close_reason = if entry.has_reason != 0 { entry.reason.as_ptr().cast() } else { ptr::null() };
                // SAFETY: an engine leaves the table before it is freed; the reason is a C string of the entry.
                unsafe {
                    (*entry.engine).shutdown.request.post(&opts);
                    (*entry.engine).waker.wake();
                }
            }
        });
    });
}

/// See `mgx_mgr_drain_on_signal`.
///
/// # Safety
/// The reason in `opts` is NULL or a C string.
pub(crate) unsafe fn add(e: &Engine, signo: c_int, opts: Option<&mgx_mgr_drain_opts>) -> bool {
    // SAFETY: numbers and a pointer, for which zero is NULL.
    let mut opts = opts.copied().unwrap_or_else(|| unsafe { core::mem::zeroed() });
    // SAFETY: guaranteed by the caller.
    let text = ws::clip(unsafe { crate::ffi_util::bytes::cstr(opts.conn.ws_close_reason) });
    let mut reason = [0; REASON];
    reason[..text.len()].copy_from_slice(text);
    let has_reason = u8::from(!opts.conn.ws_close_reason.is_null());
    opts.conn = mgx_drain_opts { ws_close_reason: ptr::null(), ..opts.conn };
    TABLE.with(|table| {
        let same = |entry: &Entry| entry.signo == signo && ptr::eq(entry.engine, e);
        let old = table.0.iter().position(|slot| slot.as_ref().is_some_and(same));
        let Some(at) = old.or_else(|| table.0.iter().position(Option::is_none)) else { return false };
        let known = table.0.iter().flatten().find(|entry| entry.signo == signo).map(|entry| entry.before);
        let Some(before) = known.or_else(|| signal::catch(signo, drain_all)) else { return false };
        table.0[at] = Some(Entry { signo, engine: e, opts, reason, has_reason, before });
        true
    })
}

/// Removes a manager from the table before its engine is freed.
pub(crate) fn forget(e: &Engine) {
    TABLE.with(|table| {
        for at in 0..ENTRIES {
            let Some(entry) = table.0[at].filter(|entry| ptr::eq(entry.engine, e)) else { continue };
            table.0[at] = None;
            if table.0.iter().flatten().any(|other| other.signo == entry.signo) {
                continue;
            }
            signal::restore(entry.signo, drain_all, &entry.before);
        }
    });
}
