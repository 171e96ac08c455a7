//! Declarations of what `src/fmt/*.c` define: variadic functions, functions that applications may replace, and the log
//! level. They are here for the C header.

#![allow(dead_code)]

use crate::abi::*;
use core::ffi::{c_char, c_int, c_void};

unsafe extern "C" {
    /// Allocates `count` * `size` zeroed bytes. Returns NULL if out of memory. All memory that the library hands to the
    /// application, or takes from it to free, comes from here. An application may define its own mg_calloc and mg_free; the
    /// library then uses them.
    pub fn mg_calloc(count: usize, size: usize) -> *mut c_void;

    /// Frees memory allocated by mg_calloc. NULL is a no-op.
    pub fn mg_free(ptr: *mut c_void);

    /// Formats text, calling `fn(character, arg)` for each character. Returns the number of characters.
    ///
    /// `f e g F E G` (double) and `i` (integer) work as in C, with all flags, width, precision and size.
    ///
    /// Any other conversion is `%`, followed by these optional items in this order: `#` (prefix `0x`), `-` (left-justify), `0`
    /// (pad with zeros), a width, `.` and a precision (digits, or `*` for an `int` argument), any number of `h` (ignored), `l` or
    /// `ll` or `z`; then one of `d u x X` (integer, hexadecimal always in lower case), `p` (pointer), `c` (character), `s`
    /// (string; NULL prints nothing), `%` (a percent sign), `M` (calls the printer `mg_pm_t` passed as argument, which takes its
    /// own arguments), `m` (like `M`, in double quotes).
    pub fn mg_xprintf(r#fn: mg_pfn_t, arg: *mut c_void, fmt: *const c_char, ...) -> usize;

    /// Formats text into `buf`, truncated to `len` - 1 characters and NUL-terminated. Returns the length of the whole text. `buf`
    /// may be NULL if `len` is 0. See mg_xprintf for the format.
    pub fn mg_snprintf(buf: *mut c_char, len: usize, fmt: *const c_char, ...) -> usize;

    /// Formats text into allocated memory. Free it with mg_free. Returns NULL if the text is empty or if out of memory. See
    /// mg_xprintf for the format.
    pub fn mg_mprintf(fmt: *const c_char, ...) -> *mut c_char;

    /// Formats a message into a queue. Returns its length, or 0 if the text is empty or does not fit; then nothing is added. A
    /// NUL follows the message in memory and takes one more byte. The arguments are read twice, so printers for `%M` run twice.
    /// Call it only from the writer. See mg_xprintf for the format.
    pub fn mg_queue_printf(q: *mut mg_queue, fmt: *const c_char, ...) -> usize;

    /// Queues formatted text for sending on `c`. Returns its length. If out of memory, raises MG_EV_ERROR, queues nothing and
    /// returns 0. A UDP connection sends everything queued as one datagram in the next poll. See mg_xprintf for the format.
    pub fn mg_printf(c: *mut mg_connection, fmt: *const c_char, ...) -> usize;

    /// Reports an error on a connection: logs the formatted text (at most 63 characters), sets `c->is_closing`, and raises
    /// MG_EV_ERROR with the text as `ev_data`. A handler may clear `is_closing` to keep the connection. See mg_xprintf for the
    /// format.
    pub fn mg_error(c: *mut mg_connection, fmt: *const c_char, ...);

    /// Queues formatted text as a chunk of a message. The caller has already sent the head, with `Transfer-Encoding: chunked`.
    /// Empty text sends the last chunk, which completes the response. Queues nothing in response to a HEAD request. See
    /// mg_xprintf for the format.
    pub fn mg_http_printf_chunk(c: *mut mg_connection, fmt: *const c_char, ...);

    /// Queues a complete HTTP response: status line, `headers` (each terminated by CR LF; NULL for none), Content-Length, and the
    /// formatted body. The response to a HEAD request has the Content-Length but no body. See mg_xprintf for the format.
    pub fn mg_http_reply(c: *mut mg_connection, status_code: c_int, headers: *const c_char, body_fmt: *const c_char, ...);

    /// Opens a WebSocket client connection to a `ws://` or `wss://` URL, see mg_connect, and queues the handshake. `fmt` and its
    /// arguments are additional header lines, each terminated by CR LF; NULL for none. Credentials in the URL are sent as Basic
    /// authentication, unless these lines contain an Authorization header. When the server accepts, raises MG_EV_WS_OPEN with the
    /// response (`struct mg_http_message *`), then MG_EV_WS_MSG and MG_EV_WS_CTL; when it refuses, MG_EV_ERROR with its status.
    /// Data queued before that follows the handshake. Returns NULL in the same cases as mg_connect, and if mg_random fails.
    pub fn mg_ws_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
        fmt: *const c_char,
        ...
    ) -> *mut mg_connection;

    /// Accepts a WebSocket handshake in MG_EV_HTTP_MSG and raises MG_EV_WS_OPEN. From then on the connection gets MG_EV_WS_MSG
    /// and MG_EV_WS_CTL with a `struct mg_ws_message *`. `fmt` and its arguments are additional header lines, each terminated by
    /// CR LF; NULL for none. Selects the first protocol offered by the client, unless these lines select one. Responds 426 and
    /// drains the connection if the request has no WebSocket key.
    pub fn mg_ws_upgrade(c: *mut mg_connection, hm: *mut mg_http_message, fmt: *const c_char, ...);

    /// Queues formatted text as one WebSocket frame. Returns the length of the text. See mg_ws_send for `op` and mg_xprintf for
    /// the format.
    pub fn mg_ws_printf(c: *mut mg_connection, op: c_int, fmt: *const c_char, ...) -> usize;

    /// Prints the JSON-RPC response `{"id":..,"result":..}` from a method handler. The formatted text is the result as JSON;
    /// `fmt` NULL means `null`. Prints nothing if the request has no id. See mg_xprintf for the format.
    pub fn mg_rpc_ok(r: *mut mg_rpc_req, fmt: *const c_char, ...);

    /// Prints the JSON-RPC response `{"id":..,"error":{"code":..,"message":..}}` from a method handler. The formatted text is the
    /// message as JSON (use `%m` for a string); `fmt` NULL means `null`. If the request has no id, neither has the response. See
    /// mg_xprintf for the format.
    pub fn mg_rpc_err(r: *mut mg_rpc_req, code: c_int, fmt: *const c_char, ...);

    /// Logs formatted text and CR LF, regardless of the log level. Applications use MG_INFO and similar macros, which check the
    /// level first. An application may define its own mg_log and mg_log_prefix; the library then uses them.
    pub fn mg_log(fmt: *const c_char, ...);

    /// Logs the 40-character prefix of a message: time, level `ll`, base name of `file`, `line`, and function name `fname`. An
    /// application may define its own mg_log and mg_log_prefix; the library then uses them.
    pub fn mg_log_prefix(ll: c_int, file: *const c_char, line: c_int, fname: *const c_char);

    /// Returns milliseconds since boot, from a monotonic clock. May be called from any thread. An application may define its own;
    /// the library then uses it.
    pub fn mg_millis() -> u64;

    /// Fills `buf` with `len` cryptographically secure random bytes from the operating system. Returns false, with zeros in
    /// `buf`, if none are available. May be called from any thread. An application may define its own; the library then uses it.
    pub fn mg_random(buf: *mut c_void, len: usize) -> bool;

    /// Replaces the content of a file with formatted text, as mg_file_write does. Returns false on failure. See mg_xprintf for
    /// the format.
    pub fn mg_file_printf(fs: *mut mg_fs, path: *const c_char, fmt: *const c_char, ...) -> bool;

    /// Begins a firmware update of `new_firmware_size` bytes. The library's own mg_ota_begin, mg_ota_write and mg_ota_end accept
    /// everything and store nothing; an application may define all three, and the library then uses them.
    pub fn mg_ota_begin(new_firmware_size: usize) -> bool;

    /// Writes the next `len` bytes of a firmware update. See mg_ota_begin.
    pub fn mg_ota_write(buf: *const c_void, len: usize) -> bool;

    /// Ends a firmware update, also after a failure. See mg_ota_begin.
    pub fn mg_ota_end() -> bool;

    /// Writes the device id, sent with update checks, to `buf` of `len` bytes. The library's own id is `0`; an application may
    /// define its own function, and the library then uses it.
    pub fn mg_ota_device_id(buf: *mut c_char, len: usize);

    /// Maximum level of messages to log, MG_LL_NONE to MG_LL_VERBOSE. Initially MG_LL_DEBUG.
    pub static mut mg_log_level: c_int;
}
