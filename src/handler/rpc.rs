//! JSON-RPC: the method list, request dispatch, and the two kinds of response.

use crate::{
    abi::{mg_rpc, mg_rpc_req, mg_str},
    ffi_util::heap,
    fmt::{engine::Out, printers, sink::AnySink},
    proto::{glob, json},
};
use core::ffi::c_void;
use core::ptr;

pub(crate) type Handler = Option<unsafe extern "C" fn(*mut mg_rpc_req)>;

/// See `mg_rpc_add`.
///
/// # Safety
/// `head` points at the list, `pattern` is readable.
pub(crate) unsafe fn add(head: *mut *mut mg_rpc, pattern: mg_str, handler: Handler, data: *mut c_void) {
    let entry: *mut mg_rpc = heap::new_zeroed();
    // SAFETY: the caller vouches for its arguments; both blocks are new.
    unsafe {
        let copy = heap::dup(pattern.bytes());
        if entry.is_null() || copy.is_null() {
            heap::free(entry.cast());
            return heap::free(copy);
        }
        let method = mg_str { buf: copy.cast(), len: pattern.len };
        *entry = mg_rpc { next: *head, method, r#fn: handler, fn_data: data };
        *head = entry;
    }
}

/// See `mg_rpc_del`.
///
/// # Safety
/// `head` points at a list of [`add`].
pub(crate) unsafe fn delete(mut head: *mut *mut mg_rpc, handler: Handler) {
    let address = |f: Handler| f.map(|f| f as usize);
    // SAFETY: the caller vouches for the list, whose entries and patterns are blocks of their own.
    unsafe {
        while let Some(&entry) = (*head).as_ref() {
            if handler.is_none() || address(handler) == address(entry.r#fn) {
                heap::free(entry.method.buf.cast());
                heap::free((*head).cast());
                *head = entry.next;
            } else {
                head = &raw mut (**head).next;
            }
        }
    }
}

/// See `mg_rpc_process`.
///
/// # Safety
/// `r` is a consistent request. Its handler may do anything with the list of methods.
pub(crate) unsafe fn process(r: *mut mg_rpc_req) {
    // SAFETY: the caller vouches for r; nothing of the list is used after the handler was called.
    unsafe {
        let frame = (*r).frame.bytes();
        let method = match json::text(frame, b"$.method") {
            Some(name) => name,
            None if json::token(frame, b"$.result").is_some() || json::token(frame, b"$.error").is_some() => b"",
            None => {
                // Like mg_print_esc: a NUL ends the text.
                let frame = frame.split(|&c| c == 0).next().unwrap_or_default();
                return error(r, -32700, |out| {
                    out.bytes(b"\"");
                    printers::json(out, frame);
                    out.bytes(b"\"");
                });
            }
        };
        let mut entry = if (*r).head.is_null() { ptr::null_mut() } else { *(*r).head };
        while !entry.is_null() && !glob::matches(method, (*entry).method.bytes(), |_| {}) {
            entry = (*entry).next;
        }
        if entry.is_null() {
            return error(r, -32601, |out| {
                out.bytes(b"\"");
                out.bytes(method);
                out.bytes(b" not found\"");
            });
        }
        (*r).rpc = entry;
        if let Some(handler) = (*entry).r#fn {
            handler(r);
        }
    }
}

/// Prints a success response with the output of `result`, unless the frame has no id.
///
/// # Safety
/// `r` is a consistent request.
pub(crate) unsafe fn ok(r: *mut mg_rpc_req, result: impl FnOnce(&mut AnySink<'_>)) {
    // SAFETY: the caller vouches for r.
    unsafe {
        let Some(id) = json::token((*r).frame.bytes(), b"$.id") else { return };
        let out = &mut AnySink::new((*r).pfn, (*r).pfn_data);
        out.bytes(b"{\"id\":");
        out.bytes(id);
        out.bytes(b",\"result\":");
        result(out);
        out.bytes(b"}");
    }
}

/// Prints an error response with the output of `message`.
///
/// # Safety
/// `r` is a consistent request.
pub(crate) unsafe fn error(r: *mut mg_rpc_req, code: i32, message: impl FnOnce(&mut AnySink<'_>)) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        error_object(r, |out| {
            out.bytes(b"{\"code\":");
            printers::integer(out, code.into());
            out.bytes(b",\"message\":");
            message(out);
            out.bytes(b"}");
        });
    }
}

/// Prints an error response with the error object printed by `error`.
///
/// # Safety
/// `r` is a consistent request.
pub(crate) unsafe fn error_object(r: *mut mg_rpc_req, error: impl FnOnce(&mut AnySink<'_>)) {
    // SAFETY: the caller vouches for r.
    unsafe {
        let id = json::token((*r).frame.bytes(), b"$.id");
        let out = &mut AnySink::new((*r).pfn, (*r).pfn_data);
        out.bytes(b"{");
        if let Some(id) = id {
            out.bytes(b"\"id\":");
            out.bytes(id);
            out.bytes(b",");
        }
        out.bytes(b"\"error\":");
        error(out);
        out.bytes(b"}");
    }
}

/// Responds with the patterns of all methods.
///
/// # Safety
/// `r` is a consistent request.
pub(crate) unsafe fn list(r: *mut mg_rpc_req) {
    // SAFETY: the caller vouches for r; printing does not change the list.
    unsafe {
        ok(r, |out| {
            let mut separator: &[u8] = b"[";
            let mut entry = if (*r).head.is_null() { ptr::null_mut() } else { *(*r).head };
            while let Some(method) = entry.as_ref() {
                let pattern = method.method.bytes();
                if !pattern.is_empty() {
                    out.bytes(separator);
                    out.bytes(b"\"");
                    printers::json(out, pattern);
                    out.bytes(b"\"");
                    separator = b",";
                }
                entry = method.next;
            }
            out.bytes(if separator == b"[" { b"[]" } else { b"]" });
        })
    }
}
