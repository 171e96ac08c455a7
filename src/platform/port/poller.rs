//! What is asked of which socket, and what is told. A socket that was told to be ready is not asked about until a call on it has found
//! nothing more ([`rearm`]).

use super::c::{self, mgx_port_item};
use super::errno;
use super::error::Error;
use super::shared::Guarded;
use crate::memory;
pub(crate) use crate::platform::common::{Ready, Rest, WAKER, split_token, token};
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::ffi::c_int;
use core::time::Duration;

/// Whether there is always a network, as far as this platform knows.
pub(crate) const ALWAYS_UP: bool = true;

/// What one wait reports at most.
pub(crate) const MOST: usize = if cfg!(not(feature = "std")) { 64 } else { 1024 };

/// The library keeps a place for each number below that of a socket.
const HIGHEST: usize = 1 << 20;

/// What is known of a socket.
#[derive(Clone, Copy)]
struct Watch {
    /// Whose it is; 0: nobody's.
    poller: usize,
    token: usize,
    /// What to ask about.
    want: u8,
    /// It has failed or is gone, and that was told: it is not asked about unless something is wanted of it.
    ended: bool,
}

const NOBODYS: Watch = Watch { poller: 0, token: 0, want: 0, ended: false };

/// All sockets of all pollers, by number.
struct Table {
    sockets: Vec<Watch>,
    pollers: usize,
}

static TABLE: Guarded<Table> = Guarded::new(Table { sockets: Vec::new(), pollers: 0 });

fn with<R>(fd: c_int, f: impl FnOnce(&mut Watch) -> R) -> Option<R> {
    let at = usize::try_from(fd).ok()?;
    TABLE.with(|table| table.sockets.get_mut(at).filter(|watch| watch.poller != 0).map(f))
}

/// A call on a socket has found nothing: asks about it again.
pub(super) fn rearm(fd: c_int, want: u8) {
    with(fd, |watch| watch.want |= want);
}

/// Forgets a socket.
pub(super) fn forget(fd: c_int) {
    with(fd, |watch| *watch = NOBODYS);
}

pub(crate) struct Poller {
    /// From 1 on.
    id: usize,
    /// Only for the thread that has set `waiting`.
    items: UnsafeCell<(Vec<mgx_port_item>, Vec<usize>)>,
    waiting: Cell<bool>,
    /// The socket to begin with, so that those with low numbers are not always the first.
    next: Cell<usize>,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller, Error> {
        let id = TABLE.with(|table| {
            table.pollers += 1;
            table.pollers
        });
        Ok(Poller { id, items: UnsafeCell::default(), waiting: Cell::new(false), next: Cell::new(0) })
    }

    /// Starts again with nothing registered.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        // A thread that was waiting does not exist in this process.
        self.waiting.set(false);
        self.forget_all();
        Ok(())
    }

    fn forget_all(&self) {
        TABLE.with(|table| table.sockets.iter_mut().filter(|watch| watch.poller == self.id).for_each(|watch| *watch = NOBODYS));
    }

    #[inline]
    pub(crate) fn is_up(&self, _is_ip6: bool, _has_reached: bool) -> bool {
        true
    }

    /// There is no interface of the application's.
    #[inline]
    pub(crate) fn detach(&self, _ifp: *mut crate::abi::mg_tcpip_if) {}

    /// Everything has left already.
    #[inline]
    pub(crate) fn flush(&self) {}

    /// No descriptor that another poller could watch.
    pub(crate) fn fd(&self) -> c_int {
        -1
    }

    fn watch(&self, fd: c_int, token: usize, want: u8) -> Result<(), Error> {
        let at = usize::try_from(fd).ok().filter(|at| *at < HIGHEST).ok_or_else(|| Error::from_raw_os_error(errno::EBADF))?;
        TABLE.with(|table| {
            let sockets = &mut table.sockets;
            if at >= sockets.len() {
                if !memory::grow(sockets, at + 1 - sockets.len()) {
                    return Err(Error::from_raw_os_error(errno::ENOMEM));
                }
                sockets.resize(at + 1, NOBODYS);
            }
            sockets[at] = Watch { poller: self.id, token, want, ended: false };
            Ok(())
        })
    }

    /// Adds an accepted stream, for input.
    pub(crate) fn add_stream(&self, fd: c_int, token: usize) -> Result<Rest, Error> {
        self.add(fd, token, false).map(|()| Rest::Unknown)
    }

    pub(crate) fn add(&self, fd: c_int, token: usize, writable: bool) -> Result<(), Error> {
        self.watch(fd, token, c::MGX_PORT_READ | if writable { c::MGX_PORT_WRITE } else { 0 })
    }

    /// As if just added: what is true already is told again.
    pub(crate) fn arm_writable(&self, fd: c_int, token: usize) -> Result<(), Error> {
        self.add(fd, token, true)
    }

    pub(crate) fn remove(&self, fd: c_int) {
        forget(fd);
    }

    /// True if a thread is in [`Poller::wait`].
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.get()
    }

    /// Waits at most `timeout` (None: no limit) and appends the ready sockets. `sleep` runs the call passed to it.
    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>, sleep: impl FnOnce(&mut dyn FnMut())) {
        if self.waiting.replace(true) {
            return;
        }
        // SAFETY: `waiting` is set by this call alone.
        let (items, tokens) = unsafe { &mut *self.items.get() };
        let complete = self.ask(items, tokens);
        let mut ms = timeout.map_or(-1, |t| c_int::try_from(t.as_millis()).unwrap_or(c_int::MAX));
        if !complete {
            // The others have their turn soon.
            ms = if ms < 0 { TURN_MS } else { ms.min(TURN_MS) };
        }
        // SAFETY: that many items.
        sleep(&mut || unsafe { c::mgx_port_wait(items.as_mut_ptr(), items.len() as c_int, ms) });
        self.waiting.set(false);
        self.tell(items, tokens, ready);
    }

    /// Lists what to ask about. False when there was no memory to list all.
    fn ask(&self, items: &mut Vec<mgx_port_item>, tokens: &mut Vec<usize>) -> bool {
        items.clear();
        tokens.clear();
        TABLE.with(|table| {
            let n = table.sockets.len();
            let begin = if self.next.get() < n { self.next.get() } else { 0 };
            for at in (begin..n).chain(0..begin) {
                let watch = &table.sockets[at];
                if watch.poller != self.id || watch.ended && watch.want == 0 {
                    continue;
                }
                if !(memory::grow(items, 1) && memory::grow(tokens, 1)) {
                    self.next.set(at);
                    return false;
                }
                items.push(mgx_port_item { sock: at as c_int, want: watch.want, got: 0 });
                tokens.push(watch.token);
            }
            true
        })
    }

    /// Reports what was found, up to the limit: the rest is still true in the next wait.
    fn tell(&self, items: &[mgx_port_item], tokens: &[usize], ready: &mut Vec<Ready>) {
        TABLE.with(|table| {
            for (item, token) in items.iter().zip(tokens).filter(|(item, _)| item.got != 0).take(MOST) {
                let Some(watch) = table.sockets.get_mut(item.sock as usize) else { continue };
                if (watch.poller, watch.token) != (self.id, *token) {
                    // Another thread has closed it meanwhile.
                    continue;
                }
                let has = |bit| item.got & bit != 0;
                let ended = has(c::MGX_PORT_FAIL | c::MGX_PORT_GONE);
                // What is gone stays gone, so it would be told for ever.
                watch.want = if has(c::MGX_PORT_GONE) { 0 } else { watch.want & !item.got };
                watch.ended |= ended;
                self.next.set(item.sock as usize + 1);
                ready.push(Ready {
                    token: *token,
                    readable: has(c::MGX_PORT_READ | c::MGX_PORT_GONE),
                    writable: has(c::MGX_PORT_WRITE),
                    hup: has(c::MGX_PORT_GONE),
                    error: has(c::MGX_PORT_FAIL),
                });
            }
        });
    }
}

/// How long a wait may take in which not all sockets are asked about.
const TURN_MS: c_int = 10;

impl Drop for Poller {
    fn drop(&mut self) {
        self.forget_all();
    }
}

/// What is true of a socket at the moment, of what is asked.
pub(super) fn look(fd: c_int, want: u8) -> u8 {
    let mut item = mgx_port_item { sock: fd, want, got: 0 };
    // SAFETY: one item.
    unsafe { c::mgx_port_wait(&mut item, 1, 0) };
    item.got
}
