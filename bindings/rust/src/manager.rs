//! The event loop, and the way from the library's calls to closures.
//!
//! What makes it sound: a connection is known by its number. The map from numbers to pointers has an entry from MG_EV_OPEN until
//! MG_EV_CLOSE, which every connection gets exactly once, so no pointer outlives its connection. `fn_data` of every connection is a
//! reference count of its `Entry`: taken in MG_EV_OPEN, given back after MG_EV_CLOSE. No borrow of a cell is held while the library or
//! a closure is called. A panic never passes through the library: it is kept, and goes on in the caller. A manager that is dropped
//! while the library is on the stack is freed when it is not any more.

use crate::connection::{Connection, host_of, mqtt, url};
use crate::event::Event;
use crate::sys::{self, mg_connection, mg_http_message, mg_mgr, mg_timer};
use crate::{DrainStatus, Limits, MqttOptions, Phase, ServerDrain, Stats, header_lines};
use engine::abi::*;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fmt, io, ptr};

/// Something could not be opened.
#[derive(Debug)]
pub struct Error {
    what: String,
    cause: io::Error,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.cause)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

type Handler = dyn Fn(&Connection, Event);
type Task = Box<dyn FnOnce(&Manager) + Send>;

/// What `fn_data` of connections points at.
struct Entry {
    shared: Rc<Shared>,
    handler: Box<Handler>,
}

struct TimerEntry {
    timer: *mut mg_timer,
    run: Rc<dyn Fn(&Manager)>,
    once: bool,
    // What the library calls back with; in a box, so that it stays where it is.
    _arg: Box<TimerArg>,
}

struct TimerArg {
    shared: std::rc::Weak<Shared>,
    number: u64,
}

/// What a manager, its connections and closures have in common.
pub(crate) struct Shared {
    /// NULL once the manager is being freed.
    mgr: Cell<*mut mg_mgr>,
    pub(crate) connections: RefCell<HashMap<u64, *mut mg_connection>>,
    pub(crate) hosts: RefCell<HashMap<u64, String>>,
    /// The messages of the MG_EV_HTTP_MSG handlers that are running, innermost last.
    pub(crate) messages: RefCell<Vec<(u64, *mut mg_http_message)>>,
    timers: RefCell<HashMap<u64, TimerEntry>>,
    next_timer: Cell<u64>,
    polling: Cell<bool>,
    /// How many calls of the library that can call handlers are on the stack.
    inside: Cell<usize>,
    /// Its owner was dropped meanwhile.
    orphaned: Cell<bool>,
    panic: RefCell<Option<Box<dyn Any + Send>>>,
    remote: Remote,
}

impl Shared {
    /// Runs a closure of the program; a panic is kept for the caller of the library.
    fn guarded(&self, f: impl FnOnce()) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(f)) {
            let mut kept = self.panic.borrow_mut();
            if kept.is_none() {
                *kept = Some(panic);
            } else {
                // The first one tells more. Dropping it could run code of the program, which may panic again.
                std::mem::forget(panic);
            }
        }
    }

    /// Calls the library, which may call handlers. It does not unwind.
    pub(crate) fn enter<R>(&self, f: impl FnOnce() -> R) -> R {
        self.inside.set(self.inside.get() + 1);
        let result = f();
        self.inside.set(self.inside.get() - 1);
        if self.inside.get() == 0 && self.orphaned.replace(false) {
            self.free();
        }
        result
    }

    /// Closes everything. The library is not on the stack.
    fn free(&self) {
        let tasks = {
            let mut remote = self.remote.state();
            remote.mgr = ptr::null_mut();
            std::mem::take(&mut remote.tasks)
        };
        self.guarded(|| drop(tasks));
        let mgr = self.mgr.replace(ptr::null_mut());
        // SAFETY: ours, and nobody finds it any more. Handlers get their last events, and find their connections only.
        unsafe { sys::mgx_mgr_delete(mgr) };
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        self.guarded(|| drop(timers));
    }

    fn go_on_panicking(&self) {
        let panic = self.panic.borrow_mut().take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }
}

/// The handler of all connections.
///
/// # Safety
/// Called by the library.
unsafe extern "C" fn on_event(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    if ev == MG_EV_POLL {
        return;
    }
    // SAFETY: the connection is alive in its handler. Its fn_data is the entry that it was opened with, or that of its listener, and
    // somebody holds a count of it: the connection itself from MG_EV_OPEN on, before that `Manager::open` or the listener.
    let (id, entry) = unsafe {
        let raw = sys::mgx_conn_user_data(c).cast::<Entry>().cast_const();
        if raw.is_null() {
            return;
        }
        Rc::increment_strong_count(raw);
        if ev == MG_EV_OPEN {
            Rc::increment_strong_count(raw);
        }
        // c_ulong is narrower elsewhere.
        #[allow(clippy::useless_conversion)]
        (u64::from(sys::mgx_conn_id(c)), Rc::from_raw(raw))
    };
    let shared = entry.shared.clone();
    if ev == MG_EV_OPEN {
        shared.connections.borrow_mut().insert(id, c);
    }
    let messages = shared.messages.borrow().len();
    if ev == MG_EV_HTTP_MSG {
        shared.messages.borrow_mut().push((id, data.cast()));
    }
    if ev == MG_EV_CLOSE {
        shared.connections.borrow_mut().remove(&id);
        shared.hosts.borrow_mut().remove(&id);
    }
    shared.guarded(|| {
        // SAFETY: what the library has called us with.
        if let Some(event) = unsafe { Event::read(c, ev, data) } {
            (entry.handler)(&Connection { id, shared: shared.clone() }, event);
        }
    });
    shared.messages.borrow_mut().truncate(messages);
    if ev == MG_EV_CLOSE {
        // SAFETY: the count that MG_EV_OPEN has taken.
        shared.guarded(|| unsafe { Rc::decrement_strong_count(Rc::as_ptr(&entry)) });
    }
    // The closure may end here, and with it what it owns.
    shared.guarded(|| drop(entry));
}

/// # Safety
/// Called by the library, with the argument of a timer that is in the list.
unsafe extern "C" fn on_timer(arg: *mut c_void) {
    // SAFETY: the entry owns it, and removes the timer before it goes.
    let (shared, number) = unsafe {
        let arg = &*arg.cast::<TimerArg>();
        (arg.shared.upgrade(), arg.number)
    };
    let Some(shared) = shared else { return };
    // From here on `arg` may be gone.
    let run = {
        let timers = shared.timers.borrow();
        timers.get(&number).map(|t| (t.run.clone(), t.once))
    };
    let Some((run, once)) = run else { return };
    let done = if once { shared.timers.borrow_mut().remove(&number) } else { None };
    shared.guarded(|| run(&Manager::guest(shared.clone())));
    shared.guarded(|| drop((run, done)));
}

/// An event loop with its connections and timers. Dropping it closes them all.
pub struct Manager {
    shared: Rc<Shared>,
    owner: bool,
}

impl Manager {
    /// Fails when the process has no descriptors or memory left.
    pub fn new() -> Result<Manager, Error> {
        // SAFETY: nothing to promise.
        let mgr = unsafe { sys::mgx_mgr_new() };
        let failed = |what: &str| Error { what: what.to_string(), cause: io::Error::last_os_error() };
        // SAFETY: a manager or NULL, which these take.
        unsafe {
            if !sys::mgx_mgr_ok(mgr) {
                let error = failed("cannot make an event loop");
                sys::mgx_mgr_delete(mgr);
                return Err(error);
            }
            sys::mgx_mgr_drain_init(mgr);
        }
        let remote = Remote { at: Arc::new(Mutex::new(RemoteState { mgr, tasks: Vec::new() })) };
        let shared = Rc::new(Shared {
            mgr: Cell::new(mgr),
            connections: RefCell::default(),
            hosts: RefCell::default(),
            messages: RefCell::default(),
            timers: RefCell::default(),
            next_timer: Cell::new(1),
            polling: Cell::new(false),
            inside: Cell::new(0),
            orphaned: Cell::new(false),
            panic: RefCell::new(None),
            remote,
        });
        Ok(Manager { shared, owner: true })
    }

    /// The same manager, for those who do not own it.
    pub(crate) fn guest(shared: Rc<Shared>) -> Manager {
        Manager { shared, owner: false }
    }

    fn mgr(&self) -> *mut mg_mgr {
        self.shared.mgr.get()
    }

    fn open(
        &self,
        text: &str,
        handler: impl Fn(&Connection, Event) + 'static,
        f: impl FnOnce(*mut mg_mgr, *const c_char, *mut c_void) -> *mut mg_connection,
    ) -> Result<Connection, Error> {
        let failed = |cause| Error { what: format!("cannot open {text}"), cause };
        let Some(c_url) = url(text).filter(|_| !self.mgr().is_null()) else {
            return Err(failed(io::ErrorKind::InvalidInput.into()));
        };
        let entry = Rc::new(Entry { shared: self.shared.clone(), handler: Box::new(handler) });
        let (id, cause) = self.shared.enter(|| {
            let c = f(self.mgr(), c_url.as_ptr(), Rc::as_ptr(&entry).cast_mut().cast());
            // SAFETY: it was opened just now, or is NULL, which has the number 0.
            (unsafe { sys::mgx_conn_id(c) }, io::Error::last_os_error())
        });
        drop(entry);
        self.shared.go_on_panicking();
        if id == 0 {
            return Err(failed(cause));
        }
        #[allow(clippy::useless_conversion)]
        let id = u64::from(id);
        self.shared.hosts.borrow_mut().insert(id, host_of(text));
        Ok(Connection { id, shared: self.shared.clone() })
    }

    /// Listens at a URL such as `tcp://127.0.0.1:7000`, `udp://...` or `unix:/path`. Port 0: any, see [`Connection::local`].
    pub fn listen(&self, url: &str, handler: impl Fn(&Connection, Event) + 'static) -> Result<Connection, Error> {
        // SAFETY: a manager, a C string, our handler and its entry.
        self.open(url, handler, |m, url, data| unsafe { sys::mg_listen(m, url, Some(on_event), data) })
    }

    /// Listens for HTTP, with TLS when the handler starts it.
    pub fn http_listen(&self, url: &str, handler: impl Fn(&Connection, Event) + 'static) -> Result<Connection, Error> {
        // SAFETY: as above.
        self.open(url, handler, |m, url, data| unsafe { sys::mg_http_listen(m, url, Some(on_event), data) })
    }

    /// Opens a client connection. What goes wrong later arrives as [`Event::Error`].
    pub fn connect(&self, url: &str, handler: impl Fn(&Connection, Event) + 'static) -> Result<Connection, Error> {
        // SAFETY: as above.
        self.open(url, handler, |m, url, data| unsafe { sys::mg_connect(m, url, Some(on_event), data) })
    }

    /// Opens an HTTP client; [`Connection::request`] may follow at once.
    pub fn http_connect(&self, url: &str, handler: impl Fn(&Connection, Event) + 'static) -> Result<Connection, Error> {
        // SAFETY: as above.
        self.open(url, handler, |m, url, data| unsafe { sys::mg_http_connect(m, url, Some(on_event), data) })
    }

    /// Opens a WebSocket client.
    pub fn ws_connect(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        handler: impl Fn(&Connection, Event) + 'static,
    ) -> Result<Connection, Error> {
        let lines = header_lines(headers);
        // SAFETY: as above; the lines are copied.
        self.open(url, handler, |m, url, data| unsafe { sys::mgx_ws_connect(m, url, Some(on_event), data, lines.as_ptr()) })
    }

    /// Opens an MQTT client.
    pub fn mqtt_connect(
        &self,
        url: &str,
        options: &MqttOptions,
        handler: impl Fn(&Connection, Event) + 'static,
    ) -> Result<Connection, Error> {
        let opts = mqtt(options, b"", b"", 0, false);
        // SAFETY: as above; the options are copied.
        self.open(url, handler, |m, url, data| unsafe { sys::mg_mqtt_connect(m, url, &opts, Some(on_event), data) })
    }

    /// The connection with this number, if it is there.
    pub fn find(&self, id: u64) -> Option<Connection> {
        let there = self.shared.connections.borrow().contains_key(&id);
        there.then(|| Connection { id, shared: self.shared.clone() })
    }

    /// All connections, in the order in which they were opened.
    pub fn connections(&self) -> Vec<Connection> {
        let mut ids: Vec<u64> = self.shared.connections.borrow().keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| Connection { id, shared: self.shared.clone() }).collect()
    }

    // ---- timers

    fn timer(&self, period: Duration, once: bool, run: Rc<dyn Fn(&Manager)>) -> Timer {
        let number = self.shared.next_timer.replace(self.shared.next_timer.get() + 1);
        let arg = Box::new(TimerArg { shared: Rc::downgrade(&self.shared), number });
        let flags = if once { MG_TIMER_ONCE | MG_TIMER_AUTODELETE } else { MG_TIMER_REPEAT | MG_TIMER_AUTODELETE };
        let ms = u64::try_from(period.as_millis()).unwrap_or(u64::MAX);
        let at = ptr::from_ref(&*arg).cast_mut().cast();
        if !self.mgr().is_null() {
            // SAFETY: a manager, our function and its argument, which lives as long as the entry.
            let timer = unsafe { sys::mg_timer_add(self.mgr(), ms, flags as _, Some(on_timer), at) };
            if !timer.is_null() {
                self.shared.timers.borrow_mut().insert(number, TimerEntry { timer, run, once, _arg: arg });
            }
        }
        Timer { shared: Rc::downgrade(&self.shared), number }
    }

    /// Calls a closure once, after this time.
    pub fn after(&self, delay: Duration, f: impl FnOnce(&Manager) + 'static) -> Timer {
        let f = Cell::new(Some(f));
        self.timer(
            delay,
            true,
            Rc::new(move |m| {
                if let Some(f) = f.take() {
                    f(m)
                }
            }),
        )
    }

    /// Calls a closure again and again.
    pub fn every(&self, period: Duration, f: impl Fn(&Manager) + 'static) -> Timer {
        self.timer(period, false, Rc::new(f))
    }

    // ---- the loop

    /// One round of the loop: waits at most this long for something to do. Does nothing inside a handler, and on what
    /// [`Connection::manager`] returns.
    pub fn poll(&self, wait: Duration) {
        if !self.owner || self.shared.polling.replace(true) {
            return;
        }
        let ms = wait.as_millis().min(c_int::MAX as u128) as c_int;
        // SAFETY: the manager is alive: we own it.
        self.shared.enter(|| unsafe { sys::mg_mgr_poll(self.mgr(), ms) });
        let tasks = std::mem::take(&mut self.shared.remote.state().tasks);
        for task in tasks {
            self.shared.guarded(|| task(self));
        }
        self.shared.polling.set(false);
        self.shared.go_on_panicking();
    }

    /// Polls until a drain is done.
    pub fn run(&self) {
        while self.owner && !self.shared.polling.get() && self.phase() != Phase::MGX_MGR_DONE {
            self.poll(Duration::from_secs(1));
        }
    }

    /// A descriptor for another event loop: readable when `poll(Duration::ZERO)` has something to do.
    pub fn fd(&self) -> i32 {
        // SAFETY: a manager or NULL.
        unsafe { sys::mgx_mgr_fd(self.mgr()) }
    }

    /// How long another event loop may wait for it. `None`: without limit.
    pub fn timeout(&self) -> Option<Duration> {
        // SAFETY: a manager or NULL.
        u64::try_from(unsafe { sys::mgx_mgr_timeout_ms(self.mgr()) }).ok().map(Duration::from_millis)
    }

    // ---- ending in order, and numbers

    /// Starts the drain of the whole server; `run` returns at its end.
    pub fn drain(&self, how: &ServerDrain) -> bool {
        // SAFETY: a manager or NULL; the options are copied.
        unsafe { sys::mgx_mgr_drain(self.mgr(), &how.to_c()) }
    }

    /// Has a signal start it.
    pub fn drain_on_signal(&self, signal: i32, how: &ServerDrain) -> bool {
        // SAFETY: a manager or NULL; the options are copied.
        unsafe { sys::mgx_mgr_drain_on_signal(self.mgr(), signal, &how.to_c()) }
    }

    /// The step that the drain has reached.
    pub fn phase(&self) -> Phase {
        // SAFETY: a manager or NULL.
        unsafe { sys::mgx_mgr_phase(self.mgr()) }
    }

    /// The drain in numbers, and the connections by state.
    pub fn drain_status(&self) -> DrainStatus {
        // SAFETY: all members may be 0; a manager or NULL.
        unsafe {
            let mut status = std::mem::zeroed();
            sys::mgx_mgr_drain_status(self.mgr(), &mut status);
            status
        }
    }

    /// Counters since the manager was made.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        // SAFETY: a manager or NULL.
        unsafe { sys::mgx_mgr_stats(self.mgr(), &mut stats) };
        stats
    }

    /// Sets limits on what peers may do; see [`public_limits`](crate::public_limits).
    pub fn limits(&self, limits: &Limits) {
        // SAFETY: a manager or NULL; copied.
        unsafe { sys::mgx_mgr_limits(self.mgr(), limits) };
    }

    /// For other threads.
    pub fn remote(&self) -> Remote {
        self.shared.remote.clone()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        if !self.owner {
            return;
        }
        if self.shared.inside.get() > 0 {
            self.shared.orphaned.set(true);
            return;
        }
        self.shared.free();
        if !std::thread::panicking() {
            self.shared.go_on_panicking();
        }
    }
}

/// A timer. Dropping it lets it run.
#[derive(Clone)]
pub struct Timer {
    shared: std::rc::Weak<Shared>,
    number: u64,
}

impl Timer {
    /// Ends it, also in its own closure. Nothing when it is over.
    pub fn cancel(&self) {
        let Some(shared) = self.shared.upgrade() else { return };
        let entry = shared.timers.borrow_mut().remove(&self.number);
        if let Some(entry) = entry.as_ref().filter(|_| !shared.mgr.get().is_null()) {
            // SAFETY: it is in the list of the manager as long as there is the entry.
            unsafe { sys::mgx_timer_cancel(shared.mgr.get(), entry.timer) };
        }
    }
}

/// A manager for other threads. When the manager is gone, methods return false.
#[derive(Clone)]
pub struct Remote {
    at: Arc<Mutex<RemoteState>>,
}

struct RemoteState {
    mgr: *mut mg_mgr,
    tasks: Vec<Task>,
}

// SAFETY: the functions that are called with it may be called in any thread while the manager lives, which the lock sees to: `Drop`
// takes the pointer away under it.
unsafe impl Send for RemoteState {}

impl Remote {
    fn state(&self) -> MutexGuard<'_, RemoteState> {
        self.at.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Queues bytes on the connection with this number.
    pub fn send(&self, id: u64, bytes: &[u8]) -> bool {
        let at = self.state();
        // SAFETY: see RemoteState; the bytes are copied. A NULL manager is tolerated.
        unsafe { sys::mgx_send_to(at.mgr, id as _, bytes.as_ptr().cast(), bytes.len()) }
    }

    fn ws(&self, id: u64, op: c_int, bytes: &[u8]) -> bool {
        let at = self.state();
        // SAFETY: as above.
        unsafe { sys::mgx_send_ws_to(at.mgr, id as _, op, bytes.as_ptr().cast(), bytes.len()) }
    }

    /// Queues a text message on the WebSocket with this number.
    pub fn ws_text(&self, id: u64, text: &str) -> bool {
        self.ws(id, WEBSOCKET_OP_TEXT, text.as_bytes())
    }

    /// Queues a binary message on it.
    pub fn ws_binary(&self, id: u64, bytes: &[u8]) -> bool {
        self.ws(id, WEBSOCKET_OP_BINARY, bytes)
    }

    /// Starts the drain of the whole server.
    pub fn drain(&self, how: &ServerDrain) -> bool {
        let at = self.state();
        // SAFETY: as above.
        unsafe { sys::mgx_mgr_drain(at.mgr, &how.to_c()) }
    }

    /// Has a closure called in the thread of the manager.
    pub fn run(&self, f: impl FnOnce(&Manager) + Send + 'static) -> bool {
        let mut at = self.state();
        if at.mgr.is_null() {
            return false;
        }
        at.tasks.push(Box::new(f));
        // SAFETY: as above.
        unsafe { sys::mgx_wakeup_mgr(at.mgr) }
    }
}
