//! JSON-RPC. The functions with variable arguments are documented in `variadic.rs`.

use crate::{
    abi::{mg_rpc, mg_rpc_req, mg_str, va_list},
    ffi_util::bytes,
    fmt::{
        VaArgs,
        engine::{Out, format},
        sink::AnySink,
    },
    handler::rpc,
};
use core::ffi::{c_char, c_int, c_void};

/// Adds a JSON-RPC handler for the methods that match `method_pattern` (see mg_match) to the front of the list `*head`, initially
/// NULL. Copies the pattern. The handler finds `handler_data` in `r->rpc->fn_data`. Does nothing if out of memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_add(
    head: *mut *mut mg_rpc,
    method_pattern: mg_str,
    handler: Option<unsafe extern "C" fn(*mut mg_rpc_req)>,
    handler_data: *mut c_void,
) {
    // SAFETY: head is the caller's list.
    unsafe { rpc::add(head, method_pattern, handler, handler_data) }
}

/// Removes the entries with this handler from the list and frees them; NULL removes all. A handler may remove itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_del(head: *mut *mut mg_rpc, handler: Option<unsafe extern "C" fn(*mut mg_rpc_req)>) {
    // SAFETY: head is the caller's list.
    unsafe { rpc::delete(head, handler) }
}

/// Calls the first handler in the list `*r->head` that matches the method of the JSON-RPC request `r->frame`. A frame with a
/// result or error and no method goes to the handler of the empty method name. Prints an error response if there is no handler or
/// the frame is invalid. Responses are written to `r->pfn(character, r->pfn_data)`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_process(r: *mut mg_rpc_req) {
    // SAFETY: r is the caller's request.
    unsafe { rpc::process(r) }
}

/// JSON text of a result or message. A NULL format means `null`.
unsafe fn value(out: &mut AnySink<'_>, fmt: *const c_char, ap: *mut va_list) {
    if fmt.is_null() {
        return out.bytes(b"null");
    }
    // SAFETY: the arguments match fmt.
    unsafe { format(out, bytes::cstr(fmt), &mut VaArgs::new(ap)) };
}

/// Like mg_rpc_ok, with the arguments in `*ap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_vok(r: *mut mg_rpc_req, fmt: *const c_char, ap: *mut va_list) {
    // SAFETY: r is the caller's request.
    unsafe { rpc::ok(r, |out| value(out, fmt, ap)) }
}

/// Like mg_rpc_err, with the arguments in `*ap`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_verr(r: *mut mg_rpc_req, code: c_int, fmt: *const c_char, ap: *mut va_list) {
    // SAFETY: r is the caller's request.
    unsafe { rpc::error(r, code, |out| value(out, fmt, ap)) }
}

/// JSON-RPC method handler that responds with an array of the method patterns in the list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_rpc_list(r: *mut mg_rpc_req) {
    // SAFETY: r is the caller's request.
    unsafe { rpc::list(r) }
}
