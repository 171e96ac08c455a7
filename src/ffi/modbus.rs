//! Modbus TCP.

use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::handler::modbus;
use crate::net::conn;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::platform::{errno, sock};
use crate::sys::log::log_error;
use core::ffi::{c_char, c_void};
use core::ptr;

/// Listens for Modbus TCP clients at `url`, such as `tcp://0.0.0.0:502`; the port must be given. `fn` gets MG_EV_MODBUS_REQ with a
/// `struct mg_modbus_req *` for each request that is well-formed: it reads the `len` values at `u.bits` or `u.regs` of a request that
/// writes, fills those of one that reads, or sets `error` to an MG_MODBUS_ERR_* value; the answer is sent afterwards. The values are
/// the library's; the handler may lower `len`, but not replace the pointers (exception 4). Requests for other functions than those
/// with an MG_MODBUS_FUNC_* name, with bad lengths or counts, or with addresses beyond 65535 are answered without the handler.
/// Anything else ends the connection with MG_EV_ERROR `invalid pdu`. Returns NULL when the address is malformed or taken, and for a
/// `udp` URL: Modbus TCP needs a stream.
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
