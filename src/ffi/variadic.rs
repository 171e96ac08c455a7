//! Declarations of what `src/fmt/variadic.c` defines: functions with variable arguments, functions that an application may
//! replace, and the log level. They are here for the C header.

#![allow(dead_code)]

use crate::abi::*;
use core::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    /// Allocates `count` * `size` zeroed bytes; NULL when out of memory. All memory that an application gets from the library,
    /// keeps or frees comes from here. An application may define its own mg_calloc and mg_free, which the library then uses.
    pub fn mg_calloc(count: usize, size: usize) -> *mut c_void;

    /// Frees memory of mg_calloc; NULL is fine.
    pub fn mg_free(ptr: *mut c_void);

    /// Formats `fmt` and its arguments, calling `fn(character, arg)` for each character. Returns their number.
    ///
    /// `f e g F E G` (double) and `i` (integer) are as in C, with all flags, width, precision and size.
    ///
    /// Any other conversion is `%`, then in this order and each optional: `#` (prefix `0x`), `-` (fill on the right), `0` (fill
    /// with zeros), a width, `.` and a precision (digits, or `*` for an `int` argument), any number of `h` (ignored), `l` or `ll`
    /// or `z`, then one of
    /// `d u x X` integers (hexadecimal always in lower case), `p` pointer, `c` character, `s` string (NULL prints nothing),
    /// `%` itself, `M` output of a printer `mg_pm_t` that follows with its own arguments, `m` the same between double quotes.
    pub fn mg_xprintf(r#fn: mg_pfn_t, arg: *mut c_void, fmt: *const c_char, ...) -> usize;

    /// Formats into `buf` of `len` bytes, cut to `len` - 1 characters and NUL-terminated. Returns the length of the whole text.
    /// `buf` may be NULL when `len` is 0. For the format see mg_xprintf.
    pub fn mg_snprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ...) -> usize;

    /// Formats into new memory, to be freed with mg_free. Returns NULL when the text is empty or memory ran out. For the format
    /// see mg_xprintf.
    pub fn mg_mprintf(fmt: *const c_char, ...) -> *mut c_char;

    /// Formats one message into the queue, for the thread that writes it. Returns its length, or 0 when the text is empty or
    /// does not fit; then nothing is added. A NUL follows the message in memory, so it needs room for one byte more. The
    /// arguments are read twice: printers for `%M` run twice.
    pub fn mg_queue_printf(q: *mut mg_queue, fmt: *const c_char, ...) -> usize;

    /// Appends formatted text to what `c` is to send. Returns its length. When out of memory, raises MG_EV_ERROR and returns 0
    /// with nothing appended. A UDP connection sends its whole buffer as one datagram in the next poll. For the format see
    /// mg_xprintf.
    pub fn mg_printf(c: *mut mg_connection, fmt: *const c_char, ...) -> usize;

    /// Logs the formatted text (at most 63 characters), sets c->is_closing, and calls the handlers with MG_EV_ERROR, where
    /// `ev_data` is the text. A handler may clear is_closing to keep the connection.
    pub fn mg_error(c: *mut mg_connection, fmt: *const c_char, ...);

    /// Appends one chunk of a chunked HTTP message. The caller has sent the head, with `Transfer-Encoding: chunked`. Empty text
    /// makes the last chunk, which ends the response. In the answer to a HEAD request nothing is appended.
    pub fn mg_http_printf_chunk(c: *mut mg_connection, fmt: *const c_char, ...);

    /// Appends an HTTP response: status line, `headers` (each ends with CR LF; NULL for none), Content-Length, and the formatted
    /// body. The response is then complete. The answer to a HEAD request has no body, but the length that it would have.
    pub fn mg_http_reply(c: *mut mg_connection, status_code: c_int, headers: *const c_char, body_fmt: *const c_char, ...);

    /// Opens a client connection as mg_connect does and queues a WebSocket handshake for the URL, which may be `ws://` or `wss://`.
    /// `fmt` and its arguments give more header lines, each ending in CR LF; NULL for none. Without an Authorization header among
    /// them, user and password of the URL are sent as Basic credentials. MG_EV_WS_OPEN comes, with the response
    /// as a `struct mg_http_message *`, when the server has agreed, MG_EV_ERROR with its status when not; then MG_EV_WS_MSG and MG_EV_WS_CTL. What
    /// is queued before that follows the handshake. Returns NULL as mg_connect does, and when mg_random has no random numbers.
    pub fn mg_ws_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
        fmt: *const c_char,
        ...
    ) -> *mut mg_connection;

    /// In MG_EV_HTTP_MSG: agrees to a WebSocket handshake and delivers MG_EV_WS_OPEN; the connection gets MG_EV_WS_MSG and
    /// MG_EV_WS_CTL from then on, with a `struct mg_ws_message *`. `fmt` and its arguments give more header lines, each ending in
    /// CR LF; NULL for none. The first of the protocols that the client offers is chosen, unless these lines choose one. A request
    /// without a key is answered with status 426 and the connection drained.
    pub fn mg_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, fmt: *const c_char, ...);

    /// Queues formatted text as one WebSocket frame. Returns the length of the text. For `op` see mg_ws_send, for the format
    /// mg_xprintf.
    pub fn mg_ws_printf(c: *mut mg_connection, op: c_int, fmt: *const c_char, ...) -> usize;

    /// In a JSON-RPC handler: prints the response `{"id":..,"result":..}`, where the formatted text is the JSON of the result;
    /// `fmt` NULL means `null`. Prints nothing when the request has no id.
    pub fn mg_rpc_ok(r: *mut mg_rpc_req, fmt: *const c_char, ...);

    /// In a JSON-RPC handler: prints the response `{"id":..,"error":{"code":..,"message":..}}`, where the formatted text is the
    /// JSON of the message (use `%m` for a string); `fmt` NULL means `null`. A request without id gets a response without id.
    pub fn mg_rpc_err(r: *mut mg_rpc_req, code: c_int, fmt: *const c_char, ...);

    /// Writes formatted text and CR LF to the log, whatever the log level. Applications use MG_INFO and its like, which look at
    /// the level first. An application may define its own mg_log and mg_log_prefix, which the library then uses.
    pub fn mg_log(fmt: *const c_char, ...);

    /// Writes the 40 characters before a log message: time, level `ll`, base name of `file`, `line`, and `fname`, the function.
    pub fn mg_log_prefix(ll: c_int, file: *const c_char, line: c_int, fname: *const c_char);

    /// Milliseconds since the machine started, from a clock that never goes back. An application may define its own, which the
    /// library then uses.
    pub fn mg_millis() -> u64;

    /// Fills `buf` with `len` random bytes of the operating system, fit for keys. Returns false, with zeros in `buf`, when it has
    /// none to give. An application may define its own, which the library then uses. May be called from any thread.
    pub fn mg_random(buf: *mut c_void, len: usize) -> bool;

    /// Formats a text and replaces a file's content with it, as mg_file_write does. For the format see mg_xprintf.
    pub fn mg_file_printf(fs: *mut mg_fs, path: *const c_char, fmt: *const c_char, ...) -> bool;

    /// Begins a firmware update. The library's own three functions accept everything and keep nothing; an application may define
    /// its own, which the library then uses.
    pub fn mg_ota_begin(new_firmware_size: usize) -> bool;

    /// Writes the next piece of a firmware update.
    pub fn mg_ota_write(buf: *const c_void, len: usize) -> bool;

    /// Ends a firmware update, a failed one too.
    pub fn mg_ota_end() -> bool;

    /// Puts the device's id, which is sent with the question for updates, into `buf` of `len` bytes. The library's own id is `0`;
    /// an application may define this function itself, which the library then uses.
    pub fn mg_ota_device_id(buf: *mut c_char, len: usize);

    /// Messages above this level (MG_LL_NONE .. MG_LL_VERBOSE) are not logged. MG_LL_DEBUG at the start.
    pub static mut mg_log_level: c_int;
}
