//! HTTP with files: serving, server-side includes, uploads. A frame is open meanwhile (`enter!`), so that the connection keeps
//! its memory if a file system of the application, or another of its functions, closes it.

use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::handler::{ssi, static_files, upload};
use crate::net::handle::ConnRef;
use crate::sys::fs::{self, Fs};
use core::ffi::{c_char, c_long};

/// Responds to a request with a file or a directory listing below `opts->root_dir`, which is a directory, or a list such as
/// `www,/a=dir2`: the last item whose prefix matches the URI applies. Refuses paths that lead out of the directory, also through
/// symbolic links. Supports Range, conditional requests (If-None-Match, If-Modified-Since ...), HEAD and compressed files `NAME.gz`;
/// DELETE, PUT and other methods that do not apply to files get 405. The head of the response is in `c->send` on return; the rest
/// of a large file follows as output is sent, and `c->is_resp` stays 1 until then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_serve_dir(c: *mut mg_connection, hm: *mut mg_http_message, opts: *const mg_http_serve_opts) {
    enter!(@raw c);
    require!(hm);
    // SAFETY: a connection, a message and options, as the caller promises.
    unsafe { static_files::serve_dir(ConnRef::new(c), hm, opts) }
}

/// Responds to a request with the file `path`, like mg_http_serve_dir. `path` is not checked. `opts` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_serve_file(
    c: *mut mg_connection,
    hm: *mut mg_http_message,
    path: *const c_char,
    opts: *const mg_http_serve_opts,
) {
    enter!(@raw c);
    require!(hm);
    // SAFETY: a connection, a message, a C string and options, as the caller promises.
    unsafe { static_files::serve_file(ConnRef::new(c), hm, fs::path(path), opts) }
}

/// Responds with the file `fullpath` after processing its server-side includes. `<!--#include file="NAME" -->` is relative to the
/// page, `<!--#include virtual="/NAME" -->` to `root`. Files that cannot be included are omitted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_serve_ssi(c: *mut mg_connection, root: *const c_char, fullpath: *const c_char) {
    enter!(@raw c);
    // SAFETY: a connection and C strings or NULL, as the caller promises.
    unsafe { ssi::serve_path(ConnRef::new(c), cstr(root), fs::path(fullpath).unwrap_or_default()) }
}

/// Stores a piece of an upload according to the query parameters `file` and `offset`, and responds to the request. Offset 0
/// replaces the file; any other offset must equal its size. Returns the new size of the file, or a negative value: -1 no name, -2
/// bad name, -3 bad offset, -4 larger than `max_size`, -5 offset is not the file size, -6 cannot open, -7 cannot write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_upload(
    c: *mut mg_connection,
    hm: *mut mg_http_message,
    fs: *mut mg_fs,
    dir: *const c_char,
    max_size: usize,
) -> c_long {
    enter!(@raw c, -7);
    require!(hm, -7);
    // SAFETY: a connection, a message, a file system and a C string, as the caller promises.
    unsafe { upload::upload(ConnRef::new(c), hm, Fs::new(fs).unwrap_or_else(Fs::posix), cstr(dir), max_size) }
}

/// Streams the body of the current request to the file `name` in `dir`, whatever its size. Call it in MG_EV_HTTP_HDRS. At the end
/// `fn` is called once, with NULL or an error message, and responds to the request; if `fn` is NULL, the library responds `ok` or
/// the message. Until then the library replaces `c->fn`. The file appears, or replaces an older one, when it is complete and on
/// disk (see `no_fsync` of struct mgx_options); a failed upload leaves nothing behind. Meanwhile the file is named
/// `NAME..PID-xxxxxxxxx`; the next upload to the directory removes leftovers of dead processes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_start_upload(
    c: *mut mg_connection,
    hm: *mut mg_http_message,
    name: mg_str,
    dir: mg_str,
    fs: *mut mg_fs,
    r#fn: Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>,
) {
    enter!(@raw c);
    require!(hm);
    // SAFETY: a connection, a message, strings and a file system, as the caller promises.
    unsafe {
        let (c, fs) = (ConnRef::new(c), Fs::new(fs).unwrap_or_else(Fs::posix));
        upload::start_file(c, upload::Body::of(c, hm), name.bytes(), dir.bytes(), fs, r#fn);
    }
}

/// Streams the body of the current request to mg_ota_begin, mg_ota_write and mg_ota_end. Call it in MG_EV_HTTP_HDRS. At the end
/// `fn` is called once, with NULL or an error message, and responds to the request. Until then the library replaces `c->fn`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_http_start_ota(
    c: *mut mg_connection,
    hm: *mut mg_http_message,
    r#fn: Option<unsafe extern "C" fn(*mut mg_connection, *const c_char)>,
) {
    enter!(@raw c);
    require!(hm);
    // SAFETY: a connection and a message, as the caller promises.
    unsafe {
        let c = ConnRef::new(c);
        upload::start_firmware(c, upload::Body::of(c, hm), r#fn);
    }
}
