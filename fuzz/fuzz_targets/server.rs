//! The whole path of a server's input, from the socket to the application: HTTP, WebSocket, uploads, files, dashboard. The
//! application sees the same messages however the input is split, and the connection closes.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use mongoose::abi::*;
use std::cell::RefCell;

#[allow(improper_ctypes)]
unsafe extern "C" {
    fn mg_mgr_init(mgr: *mut mg_mgr);
    fn mg_mgr_poll(mgr: *mut mg_mgr, ms: c_int);
    fn mg_http_listen(mgr: *mut mg_mgr, url: *const c_char, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_wrapfd(mgr: *mut mg_mgr, fd: c_int, f: mg_event_handler_t, data: *mut c_void) -> *mut mg_connection;
    fn mg_iobuf_del(io: *mut mg_iobuf, ofs: usize, len: usize) -> usize;
    fn mg_http_serve_dir(c: *mut mg_connection, hm: *mut mg_http_message, opts: *const mg_http_serve_opts);
    fn mg_http_upload(c: *mut mg_connection, hm: *mut mg_http_message, fs: *mut mg_fs, dir: *const c_char, max: usize) -> isize;
    fn mg_http_start_upload(
        c: *mut mg_connection,
        hm: *mut mg_http_message,
        name: mg_str,
        dir: mg_str,
        fs: *mut mg_fs,
        f: Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>,
    );
    fn mg_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, fmt: *const c_char, ...);
    fn mg_ws_send(c: *mut mg_connection, buf: *const c_void, len: usize, op: c_int) -> usize;
    fn mg_dash_ev_handler(c: *mut mg_connection, ev: c_int, data: *mut c_void);
    fn mgx_http_reply(c: *mut mg_connection, status: c_int, headers: *const c_char, body: *const c_void, len: usize);
    fn mgx_log_set(level: c_int);
    fn mgx_mgr_ws_strict(mgr: *mut mg_mgr, on: bool);
    static mut mg_fs_packed: mg_fs;
    static mut mg_mem_files: *const mg_mem_file;
}

// ---- a file system that keeps nothing

unsafe extern "C" fn st(path: *const c_char, _: *mut usize, _: *mut libc::time_t) -> c_int {
    // SAFETY: a C string.
    if unsafe { *path } == b'd' as c_char { MG_FS_READ | MG_FS_WRITE | MG_FS_DIR } else { 0 }
}
unsafe extern "C" fn op(_: *const c_char, _: c_int) -> *mut c_void {
    ptr::dangling_mut()
}
unsafe extern "C" fn cl(_: *mut c_void) {}
unsafe extern "C" fn wr(_: *mut c_void, _: *const c_void, len: usize) -> usize {
    LOG.with_borrow_mut(|log| log.stored += len);
    len
}
unsafe extern "C" fn sk(_: *mut c_void, offset: usize) -> usize {
    offset
}
unsafe extern "C" fn mv(_: *const c_char, _: *const c_char) -> bool {
    true
}
unsafe extern "C" fn one(_: *const c_char) -> bool {
    true
}
static mut NOWHERE: mg_fs = mg_fs {
    st: Some(st),
    ls: None,
    op: Some(op),
    cl: Some(cl),
    rd: None,
    wr: Some(wr),
    sk: Some(sk),
    mv: Some(mv),
    rm: Some(one),
    mkd: Some(one),
};

// ---- the program

const WAYS: u8 = 7;

#[derive(Default, PartialEq, Debug)]
struct Log {
    messages: Vec<(c_int, Vec<u8>, Vec<u8>)>,
    stored: usize,
}

thread_local! {
    static LOG: RefCell<Log> = RefCell::default();
    static SITE: Site = Site::new();
}

fn bytes(s: mg_str) -> Vec<u8> {
    if s.len == 0 {
        return Vec::new();
    }
    // SAFETY: strings of a message are valid during its event.
    unsafe { core::slice::from_raw_parts(s.buf.cast(), s.len).to_vec() }
}

fn note(ev: c_int, name: mg_str, data: mg_str) {
    LOG.with_borrow_mut(|log| log.messages.push((ev, bytes(name), bytes(data))));
}

const NONE: mg_str = mg_str { buf: ptr::null_mut(), len: 0 };

unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    // SAFETY: the library's events; what is called gets what it asks for.
    unsafe {
        let way = (*c).fn_data as usize as u8;
        match ev {
            MG_EV_HTTP_HDRS if way == 2 => {
                let hm = data.cast::<mg_http_message>();
                mg_http_start_upload(c, hm, (*hm).uri, mg_str { buf: c"d".as_ptr().cast_mut(), len: 1 }, &raw mut NOWHERE, None);
            }
            MG_EV_HTTP_HDRS if way == 3 => {
                let hm = data.cast::<mg_http_message>();
                assert_eq!((*hm).head.buf, (*c).recv.buf.cast());
                note(ev, (*hm).uri, NONE);
                mg_iobuf_del(&raw mut (*c).recv, 0, (*hm).head.len);
                (*c).pfn = None;
            }
            MG_EV_READ if way == 3 && (*c).pfn.is_none() => {
                LOG.with_borrow_mut(|log| log.stored += (*c).recv.len);
                (*c).recv.len = 0;
            }
            MG_EV_HTTP_MSG => {
                let hm = data.cast::<mg_http_message>();
                note(ev, (*hm).uri, (*hm).body);
                match way {
                    1 => mg_ws_upgrade(c, hm, ptr::null()),
                    4 => drop(mg_http_upload(c, hm, &raw mut NOWHERE, c"d".as_ptr(), 1 << 20)),
                    5 => {
                        let mut opts: mg_http_serve_opts = core::mem::zeroed();
                        (opts.root_dir, opts.ssi_pattern, opts.fs) =
                            (c"/w,/x=/w/d".as_ptr(), c"#.shtml".as_ptr(), &raw mut mg_fs_packed);
                        mg_http_serve_dir(c, hm, &opts);
                    }
                    _ => mgx_http_reply(c, 200, c"A: b\r\n".as_ptr(), (*hm).body.buf.cast(), (*hm).body.len),
                }
            }
            MG_EV_WS_MSG | MG_EV_WS_CTL => {
                let wm = data.cast::<mg_ws_message>();
                note(ev, NONE, (*wm).data);
                if ev == MG_EV_WS_MSG {
                    mg_ws_send(c, (*wm).data.buf.cast(), (*wm).data.len, 1);
                }
            }
            _ => {}
        }
    }
}

/// A manager that lives as long as the process.
struct Site {
    mgr: *mut mg_mgr,
    pfn: mg_event_handler_t,
    dash: *mut mg_dash,
    /// Where what the peer reads goes.
    sink: *mut u8,
}

const SINK: usize = 65536;

impl Site {
    fn new() -> Site {
        let leak = |size| vec![0u64; size].leak().as_mut_ptr();
        let text = |name: &'static core::ffi::CStr, data: &'static [u8]| mg_mem_file {
            path: name.as_ptr(),
            data: data.as_ptr(),
            size: data.len(),
            mtime: 1,
        };
        let mut files = vec![
            text(c"/w/a.shtml", b"<!--#include file=\"b\" -->-<!--#include virtual=\"/a.shtml\" -->"),
            text(c"/w/b", b"0123456789"),
            text(c"/w/b.gz", b"gz"),
            text(c"/w/big", &[b'x'; 70_000]),
            text(c"/w/d/index.html", b"index"),
        ];
        files.push(mg_mem_file { path: ptr::null(), data: ptr::null(), size: 0, mtime: 0 });
        let field = |name: &'static core::ffi::CStr, t: mg_val_type, value, size| mg_field {
            name: name.as_ptr(),
            r#type: t as c_int,
            value,
            value_size: size,
        };
        let fields = vec![
            field(c"n", mg_val_type::MG_VAL_INT, leak(1).cast(), 4),
            field(c"s", mg_val_type::MG_VAL_STR, leak(2).cast(), 16),
            field(c"d", mg_val_type::MG_VAL_DBL, leak(1).cast(), 8),
            field(c"b", mg_val_type::MG_VAL_BOOL, leak(1).cast(), 1),
            mg_field { name: ptr::null(), r#type: 0, value: ptr::null_mut(), value_size: 0 },
        ];
        // SAFETY: all zero is what these structs start as; everything lives forever.
        unsafe {
            mgx_log_set(0);
            mg_mem_files = files.leak().as_ptr();
            let mut set: mg_field_set = core::mem::zeroed();
            (set.name, set.fields) = (c"set".as_ptr(), fields.leak().as_mut_ptr());
            let mut dash: mg_dash = core::mem::zeroed();
            (dash.sets, dash.upload_fs) = (Box::leak(Box::new(set)), &raw mut NOWHERE);
            let mgr: *mut mg_mgr = leak(size_of::<mg_mgr>() / 8 + 1).cast();
            mg_mgr_init(mgr);
            let listener = mg_http_listen(mgr, c"http://127.0.0.1:0".as_ptr(), Some(handler), ptr::null_mut());
            Site { mgr, pfn: (*listener).pfn, dash: Box::leak(Box::new(dash)), sink: leak(SINK / 8).cast() }
        }
    }

    /// What the program sees of these bytes, whose sender then goes away.
    fn run(&self, way: u8, strict: bool, pieces: &[&[u8]]) -> Log {
        let mut ends = [0; 2];
        // SAFETY: descriptors and connections of this function.
        unsafe {
            mgx_mgr_ws_strict(self.mgr, strict);
            assert_eq!(libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0, ends.as_mut_ptr()), 0);
            let c = if way == 6 {
                mg_wrapfd(self.mgr, ends[0], Some(mg_dash_ev_handler), self.dash.cast())
            } else {
                mg_wrapfd(self.mgr, ends[0], Some(handler), way as usize as *mut c_void)
            };
            assert!(!c.is_null());
            (*c).pfn = self.pfn;
            (*c).flags.set_accepted(true);
            for piece in pieces {
                let mut rest = *piece;
                while !rest.is_empty() {
                    let n = libc::send(ends[1], rest.as_ptr().cast(), rest.len(), libc::MSG_NOSIGNAL);
                    self.poll(ends[1]);
                    // A connection that ended takes no more.
                    let Ok(n) = usize::try_from(n) else { break };
                    rest = &rest[n..];
                }
                self.poll(ends[1]);
            }
            libc::shutdown(ends[1], libc::SHUT_WR);
            for _ in 0..1000 {
                self.poll(ends[1]);
                if (*(*self.mgr).conns).flags.is_listening() {
                    libc::close(ends[1]);
                    return LOG.take();
                }
            }
            panic!("the connection did not close");
        }
    }

    fn poll(&self, peer: c_int) {
        // SAFETY: the manager, and room for what is read.
        unsafe {
            mg_mgr_poll(self.mgr, 0);
            while libc::recv(peer, self.sink.cast(), SINK, libc::MSG_DONTWAIT) == SINK as isize {}
        }
    }
}

fuzz_target!(|input: (u8, bool, u16, &[u8])| {
    let (way, strict, cut, data) = (input.0 % WAYS, input.1, usize::from(input.2) % (input.3.len() + 1), input.3);
    SITE.with(|site| {
        // A WebSocket's handshake is the same every time.
        let hello = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let data = if way == 1 { [hello, data].concat() } else { data.to_vec() };
        let whole = site.run(way, strict, &[&data]);
        let cut = site.run(way, strict, &[&data[..cut], &data[cut..]]);
        assert!(whole.stored <= 2 * data.len());
        // What came behind an HTTP/1.0 request is handled only if it came with it.
        let is_old = |v: &[u8]| v[..5].eq_ignore_ascii_case(b"HTTP/") && &v[5..] != b"1.1";
        if data.windows(8).any(is_old) && whole.messages.len() > cut.messages.len() {
            assert!(whole.messages.starts_with(&cut.messages));
        } else {
            assert_eq!(whole, cut);
        }
    });
});
