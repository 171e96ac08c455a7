//! JSON-RPC frames: the response to a JSON object is JSON, and its length is bounded by the frame's.

use crate::peer::view;
use core::ffi::{c_char, c_int, c_void};
use core::ptr;
use mongoose::abi::*;

unsafe extern "C" {
    fn mg_rpc_add(head: *mut *mut mg_rpc, method: mg_str, f: Option<unsafe extern "C" fn(*mut mg_rpc_req)>, data: *mut c_void);
    fn mg_rpc_del(head: *mut *mut mg_rpc, f: Option<unsafe extern "C" fn(*mut mg_rpc_req)>);
    fn mg_rpc_process(r: *mut mg_rpc_req);
    fn mg_rpc_list(r: *mut mg_rpc_req);
    fn mg_rpc_ok(r: *mut mg_rpc_req, fmt: *const c_char, ...);
    fn mg_rpc_err(r: *mut mg_rpc_req, code: c_int, fmt: *const c_char, ...);
    fn mg_json_get_num(json: mg_str, path: *const c_char, v: *mut f64) -> bool;
}

unsafe extern "C" fn sum(r: *mut mg_rpc_req) {
    let (mut a, mut b) = (0.0, 0.0);
    // SAFETY: the request's frame, C strings and numbers.
    unsafe {
        mg_json_get_num((*r).frame, c"$.params[0]".as_ptr(), &mut a);
        mg_json_get_num((*r).frame, c"$.params[1]".as_ptr(), &mut b);
        if a.is_finite() && b.is_finite() && (a + b).is_finite() {
            mg_rpc_ok(r, c"%g".as_ptr(), a + b);
        } else {
            mg_rpc_ok(r, ptr::null());
        }
    }
}

unsafe extern "C" fn fail(r: *mut mg_rpc_req) {
    // SAFETY: a format and what it asks for.
    unsafe { mg_rpc_err(r, -7, c"\"%s\"".as_ptr(), c"no".as_ptr()) };
}

unsafe extern "C" fn put(c: c_char, to: *mut c_void) {
    // SAFETY: the request's buffer.
    unsafe { (*to.cast::<Vec<u8>>()).push(c as u8) };
}

fuzz_target!(|data: &[u8]| {
    let frame: Box<[u8]> = data.into();
    let (mut head, mut out) = (ptr::null_mut(), Vec::new());
    // SAFETY: a list of its own, and a request that lives as long as the calls.
    unsafe {
        mg_rpc_add(&mut head, view(b"sum"), Some(sum), ptr::null_mut());
        mg_rpc_add(&mut head, view(b"f*"), Some(fail), ptr::null_mut());
        mg_rpc_add(&mut head, view(b"rpc.list"), Some(mg_rpc_list), ptr::null_mut());
        mg_rpc_add(&mut head, view(b""), Some(fail), ptr::null_mut());
        let mut r = mg_rpc_req {
            head: &mut head,
            rpc: ptr::null_mut(),
            pfn: Some(put),
            pfn_data: (&raw mut out).cast(),
            req_data: ptr::null_mut(),
            frame: view(&frame),
        };
        mg_rpc_process(&mut r);
        mg_rpc_del(&mut head, None);
    }
    assert!(head.is_null() && out.len() <= 6 * data.len() + 200);
    if let Ok(serde_json::Value::Object(_)) = serde_json::from_slice(data) {
        assert!(out.is_empty() || serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "{}", String::from_utf8_lossy(&out));
    }
});
