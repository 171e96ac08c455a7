//! A manager of the library under test, with event handlers written as closures.

// Every block calls a C function with what its prototype asks for, or looks at a connection of a manager that is alive.
#![allow(clippy::undocumented_unsafe_blocks)]

use crate::lib::function;
use mongoose::abi::*;
use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_uint, c_ulong, c_void};
use std::ops::{Deref, DerefMut};
use std::ptr::null_mut;
use std::rc::Rc;
use std::time::{Duration, Instant};

macro_rules! api {
    ($($name:ident($($arg:ident: $t:ty),*) $(-> $ret:ty)?;)*) => {
        $(
            pub unsafe fn $name($($arg: $t),*) $(-> $ret)? {
                type F = unsafe extern "C" fn($($t),*) $(-> $ret)?;
                static SYMBOL: std::sync::LazyLock<libloading::Symbol<'static, F>> =
                    std::sync::LazyLock::new(|| crate::lib::function(stringify!($name)));
                unsafe { SYMBOL($($arg),*) }
            }
        )*
    };
}

api! {
    mg_mgr_init(mgr: *mut mg_mgr);
    mg_mgr_free(mgr: *mut mg_mgr);
    mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int);
    mg_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_http_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_connect(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_connect_svc(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void, pfn: mg_event_handler_t,
        pfn_data: *mut c_void) -> *mut mg_connection;
    mg_http_connect(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_wrapfd(mgr: *mut mg_mgr, fd: c_int, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_alloc_conn(mgr: *mut mg_mgr) -> *mut mg_connection;
    mg_close_conn(c: *mut mg_connection);
    mg_call(c: *mut mg_connection, ev: c_int, data: *mut c_void);
    mg_send(c: *mut mg_connection, buf: *const c_void, len: usize) -> bool;
    mg_http_write_chunk(c: *mut mg_connection, buf: *const c_char, len: usize);
    mg_http_bauth(c: *mut mg_connection, user: *const c_char, pass: *const c_char);
    mg_ws_send(c: *mut mg_connection, buf: *const c_void, len: usize, op: c_int) -> usize;
    mg_ws_wrap(c: *mut mg_connection, len: usize, op: c_int) -> usize;
    mg_mqtt_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    mg_mqtt_login(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    mg_mqtt_pub(c: *mut mg_connection, opts: *const mg_mqtt_opts) -> u16;
    mg_mqtt_sub(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    mg_mqtt_unsub(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    mg_mqtt_parse(buf: *const u8, len: usize, version: u8, m: *mut mg_mqtt_message) -> c_int;
    mg_mqtt_send_header(c: *mut mg_connection, cmd: u8, flags: u8, len: u32);
    mg_mqtt_ping(c: *mut mg_connection);
    mg_mqtt_pong(c: *mut mg_connection);
    mg_mqtt_disconnect(c: *mut mg_connection, opts: *const mg_mqtt_opts);
    mg_mqtt_next_prop(m: *mut mg_mqtt_message, prop: *mut mg_mqtt_prop, ofs: usize) -> usize;
    mg_wakeup_init(mgr: *mut mg_mgr) -> bool;
    mg_wakeup(mgr: *mut mg_mgr, id: c_ulong, buf: *const c_void, len: usize) -> bool;
    mg_timer_add(mgr: *mut mg_mgr, ms: u64, flags: c_uint, f: Option<unsafe extern "C" fn(*mut c_void)>, arg: *mut c_void) -> *mut mg_timer;
    mg_iobuf_add(io: *mut mg_iobuf, ofs: usize, buf: *const c_void, len: usize) -> usize;
    mg_iobuf_free(io: *mut mg_iobuf);
    mg_iobuf_resize(io: *mut mg_iobuf, size: usize) -> bool;
    mg_iobuf_del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize;
}

/// A connection as a handler gets it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conn(pub *mut mg_connection);

impl Deref for Conn {
    type Target = mg_connection;
    fn deref(&self) -> &mg_connection {
        unsafe { &*self.0 }
    }
}

impl DerefMut for Conn {
    fn deref_mut(&mut self) -> &mut mg_connection {
        unsafe { &mut *self.0 }
    }
}

impl Conn {
    pub fn send(self, data: &[u8]) -> bool {
        unsafe { mg_send(self.0, data.as_ptr().cast(), data.len()) }
    }

    /// mg_printf: on UDP too, the text waits in the send buffer.
    pub fn print(self, text: &[u8]) {
        let f = *function::<unsafe extern "C" fn(*mut mg_connection, *const c_char, ...) -> usize>("mg_printf");
        unsafe { f(self.0, c"%.*s".as_ptr(), text.len() as c_int, text.as_ptr()) };
    }

    pub fn reply(self, code: c_int, body: &[u8]) {
        self.reply_with(code, c"".as_ptr(), body);
    }

    pub fn reply_with(self, code: c_int, headers: *const c_char, body: &[u8]) {
        let f = *function::<unsafe extern "C" fn(*mut mg_connection, c_int, *const c_char, *const c_char, ...)>("mg_http_reply");
        unsafe { f(self.0, code, headers, c"%.*s".as_ptr(), body.len() as c_int, body.as_ptr()) };
    }

    pub fn print_chunk(self, text: &[u8]) {
        let f = *function::<unsafe extern "C" fn(*mut mg_connection, *const c_char, ...)>("mg_http_printf_chunk");
        let fmt = if text.is_empty() { c"" } else { c"%.*s" };
        unsafe { f(self.0, fmt.as_ptr(), text.len() as c_int, text.as_ptr()) };
    }

    /// Agrees to a WebSocket handshake.
    pub fn upgrade(self, hm: *mut c_void, fmt: Option<&CString>) {
        type F = unsafe extern "C" fn(*mut mg_connection, *mut mg_http_message, *const c_char, ...);
        let f = *function::<F>("mg_ws_upgrade");
        unsafe { f(self.0, hm.cast(), fmt.map_or(std::ptr::null(), |f| f.as_ptr())) };
    }

    pub fn ws_send(self, op: c_int, data: &[u8]) -> usize {
        unsafe { mg_ws_send(self.0, data.as_ptr().cast(), data.len(), op) }
    }

    pub fn ws_print(self, op: c_int, text: &[u8]) -> usize {
        let f = *function::<unsafe extern "C" fn(*mut mg_connection, c_int, *const c_char, ...) -> usize>("mg_ws_printf");
        unsafe { f(self.0, op, c"%.*s".as_ptr(), text.len() as c_int, text.as_ptr()) }
    }

    pub fn error(self, text: &str) {
        let (f, text) =
            (*function::<unsafe extern "C" fn(*mut mg_connection, *const c_char, ...)>("mg_error"), CString::new(text).unwrap());
        unsafe { f(self.0, c"%s".as_ptr(), text.as_ptr()) };
    }

    pub fn close_now(self) {
        unsafe { mg_close_conn(self.0) }
    }

    pub fn received(self) -> Vec<u8> {
        bytes_at(self.recv.buf, self.recv.len)
    }

    /// Takes everything that was received.
    pub fn take(mut self) -> Vec<u8> {
        let data = self.received();
        self.recv.len = 0;
        data
    }

    /// The local port.
    pub fn port(self) -> u16 {
        u16::from_be(self.loc.port)
    }

    pub fn set(mut self, f: impl FnOnce(&mut Flags)) {
        f(&mut self.flags)
    }

    /// The other connections of the manager, newest first.
    pub fn others(self) -> Vec<Conn> {
        list(self.mgr).into_iter().filter(|c| *c != self).collect()
    }
}

pub fn list(mgr: *mut mg_mgr) -> Vec<Conn> {
    let mut conns = Vec::new();
    let mut next = unsafe { (*mgr).conns };
    while !next.is_null() {
        conns.push(Conn(next));
        next = Conn(next).next;
    }
    conns
}

pub fn bytes_at(p: *const u8, len: usize) -> Vec<u8> {
    if len == 0 { Vec::new() } else { unsafe { std::slice::from_raw_parts(p, len) }.to_vec() }
}

pub fn text(s: mg_str) -> Vec<u8> {
    bytes_at(s.buf.cast(), s.len)
}

/// The byte count of MG_EV_READ and MG_EV_WRITE.
pub fn count(data: *mut c_void) -> i64 {
    #[allow(clippy::useless_conversion)] // c_long is 32 bits wide on some targets
    unsafe { *data.cast::<std::ffi::c_long>() }.into()
}

/// The message of MG_EV_HTTP_HDRS and MG_EV_HTTP_MSG.
pub fn message<'m>(data: *mut c_void) -> &'m mg_http_message {
    unsafe { &*data.cast() }
}

/// The text of MG_EV_ERROR and of a client's MG_EV_OPEN.
pub fn c_text(data: *mut c_void) -> String {
    if data.is_null() { "NULL".into() } else { unsafe { std::ffi::CStr::from_ptr(data.cast()) }.to_string_lossy().into_owned() }
}

struct Handler<'a>(Box<dyn Fn(Conn, c_int, *mut c_void) + 'a>);

/// The function that `c->fn` points to: `c->fn_data` is the closure.
pub unsafe extern "C" fn run(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    unsafe { ((*(*c).fn_data.cast::<Handler>()).0)(Conn(c), ev, data) }
}

/// The same for `c->pfn`.
pub unsafe extern "C" fn run_pfn(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    unsafe { ((*(*c).pfn_data.cast::<Handler>()).0)(Conn(c), ev, data) }
}

/// A manager, freed on drop together with its handlers.
pub struct Manager<'a> {
    pub raw: *mut mg_mgr,
    /// How many polls there have been, the current one included.
    pub polls: Rc<Cell<i32>>,
    handlers: RefCell<Vec<*mut Handler<'a>>>,
}

impl<'a> Manager<'a> {
    pub fn new() -> Manager<'a> {
        Manager::counting(Rc::default())
    }

    pub fn counting(polls: Rc<Cell<i32>>) -> Manager<'a> {
        let raw: *mut mg_mgr = Box::into_raw(Box::new(unsafe { std::mem::zeroed() }));
        unsafe { mg_mgr_init(raw) };
        Manager { raw, polls, handlers: RefCell::default() }
    }

    /// A handler argument that lives as long as the manager.
    pub fn handler(&self, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> *mut c_void {
        let p = Box::into_raw(Box::new(Handler(Box::new(f))));
        self.handlers.borrow_mut().push(p);
        p.cast()
    }

    pub fn listen(&self, url: &str, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        let url = CString::new(url).unwrap();
        Conn(unsafe { mg_listen(self.raw, url.as_ptr(), Some(run), self.handler(f)) })
    }

    pub fn http_listen(&self, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        Conn(unsafe { mg_http_listen(self.raw, c"http://127.0.0.1:0".as_ptr(), Some(run), self.handler(f)) })
    }

    pub fn connect(&self, url: &str, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        let url = CString::new(url).unwrap();
        Conn(unsafe { mg_connect(self.raw, url.as_ptr(), Some(run), self.handler(f)) })
    }

    pub fn http_connect(&self, port: u16, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        let url = CString::new(format!("http://127.0.0.1:{port}")).unwrap();
        Conn(unsafe { mg_http_connect(self.raw, url.as_ptr(), Some(run), self.handler(f)) })
    }

    pub fn ws_connect(&self, url: &str, headers: Option<&CString>, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        type F = unsafe extern "C" fn(
            *mut mg_mgr,
            *const c_char,
            mg_event_handler_t,
            *mut c_void,
            *const c_char,
            ...
        ) -> *mut mg_connection;
        let connect = *function::<F>("mg_ws_connect");
        let (url, fmt) = (CString::new(url).unwrap(), headers.map_or(std::ptr::null(), |f| f.as_ptr()));
        Conn(unsafe { connect(self.raw, url.as_ptr(), Some(run), self.handler(f), fmt) })
    }

    pub fn wrap(&self, socket: impl std::os::fd::IntoRawFd, f: impl Fn(Conn, c_int, *mut c_void) + 'a) -> Conn {
        Conn(unsafe { mg_wrapfd(self.raw, socket.into_raw_fd(), Some(run), self.handler(f)) })
    }

    pub fn poll(&self, ms: c_int) {
        self.polls.set(self.polls.get() + 1);
        unsafe { mg_mgr_poll(self.raw, ms) }
    }

    /// Polls until `done`; returns how many polls it took.
    pub fn until(&self, what: &str, done: impl Fn() -> bool) -> i32 {
        let (start, before) = (Instant::now(), self.polls.get());
        while !done() {
            assert!(start.elapsed() < Duration::from_secs(10), "timed out waiting for: {what}");
            self.poll(1);
        }
        self.polls.get() - before
    }

    pub fn free(&self) {
        unsafe { mg_mgr_free(self.raw) }
    }

    pub fn conns(&self) -> Vec<Conn> {
        list(self.raw)
    }
}

impl Drop for Manager<'_> {
    fn drop(&mut self) {
        self.free();
        unsafe {
            drop(Box::from_raw(self.raw));
            self.handlers.take().into_iter().for_each(|f| drop(Box::from_raw(f)));
        }
    }
}

/// A port that refuses connections as long as the descriptor is open: bound, but not listening.
pub fn refused_port() -> (std::os::fd::OwnedFd, u16) {
    use std::os::fd::FromRawFd;
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        let mut addr: libc::sockaddr_in = std::mem::zeroed();
        addr.sin_family = libc::AF_INET as _;
        addr.sin_addr.s_addr = u32::from_ne_bytes([127, 0, 0, 1]);
        let mut len = size_of_val(&addr) as libc::socklen_t;
        assert_eq!(libc::bind(fd, (&raw const addr).cast(), len), 0);
        assert_eq!(libc::getsockname(fd, (&raw mut addr).cast(), &mut len), 0);
        (std::os::fd::OwnedFd::from_raw_fd(fd), u16::from_be(addr.sin_port))
    }
}

/// An all-zero connection, as programs put one on their stack.
pub fn blank() -> mg_connection {
    unsafe { std::mem::zeroed() }
}

pub const NO_DATA: *mut c_void = null_mut();
