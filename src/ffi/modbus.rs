//! Modbus TCP.

use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::handler::modbus;
use crate::memory::prelude::*;
use crate::net::conn;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::platform::{errno, sock};
use crate::sys::log::log_error;
use core::ffi::{c_char, c_void};
use core::ptr;

/// Opens a Modbus TCP listener on a URL such as `tcp://0.0.0.0:502`; the port is required. `fn` gets MG_EV_MODBUS_REQ with a
/// `struct mg_modbus_req *` for every well-formed request. It reads the `len` values in `u.bits` or `u.regs` of a write request,
/// fills in those of a read request, or sets `error` to an MG_MODBUS_ERR_* value; the response is sent when it returns. The
/// library owns the values: the handler may lower `len` but not replace the pointers (exception 4). The library itself responds
/// to unsupported functions, bad lengths or counts, and addresses above 65535. Malformed input raises MG_EV_ERROR `invalid pdu`
/// and closes the connection. Returns NULL if the address is malformed or in use, and for `udp:` URLs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_modbus_listen(
    mgr: *mut mg_mgr,
    url: *const c_char,
    r#fn: mg_event_handler_t,
    fn_data: *mut c_void,
) -> *mut mg_connection {
    // SAFETY: a C string, as the caller promises.
    let text = unsafe { cstr(url) };
    if text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"udp:")) {
        log_error!("{}: Modbus TCP cannot listen on UDP", String::from_utf8_lossy(text));
        sock::set_errno(errno::EINVAL);
        return ptr::null_mut();
    }
    // SAFETY: a manager and a C string, as the caller promises.
    unsafe {
        let Some(e) = Engine::enter_mgr(mgr) else { return ptr::null_mut() };
        conn::listen(&e, url, r#fn, fn_data).inspect(|c| modbus::install(*c)).map_or(ptr::null_mut(), ConnRef::as_ptr)
    }
}
