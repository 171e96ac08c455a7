//! Dashboards.

use crate::abi::*;
use crate::handler::dash;
use crate::net::handle::ConnRef;
use core::ffi::{c_int, c_void};

/// Event handler of a dashboard. Pass it to mg_http_listen with a `struct mg_dash *` as `fn_data`; the struct must outlive the
/// listener and its connections. Sessions belong to the process. The callbacks of a dashboard run in the thread that polls its
/// manager. Uses `c->data`: byte 0, and the pointers at offsets 8 (user) and 16 (dashboard).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_ev_handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    enter!(@raw c);
    // SAFETY: a connection of a dashboard and data that fits the event, as the caller promises.
    unsafe { dash::handle(ConnRef::new(c), ev, ev_data) }
}

/// Notifies all open dashboards of a manager that a set changed. For an array, `*index < 0` reports a new size, any other index a
/// changed element. Calls the `fn` of the set with MG_DASH_READ for each client; clients without read access are not notified.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_send_change(mgr: *mut mg_mgr, set: *mut mg_field_set) {
    // SAFETY: a manager and a set, as the caller promises.
    unsafe { dash::send_change(mgr, set) }
}

/// Reads an element of a file list into its fields `name` (MG_VAL_STR) and, if present, `size` (MG_VAL_UINT64 or MG_VAL_INT). If
/// `*index < 0`, stores the number of files in `*index`; beyond the last file, stores -1. Returns false if there is no directory
/// or no `name` field. Used for file lists without an `fn`; an `fn` may call it for MG_DASH_READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_dir_read(set: *mut mg_field_set, u: *mut mg_dash_user) -> bool {
    // SAFETY: a set and a user, as the caller promises.
    unsafe { dash::dir_read(set, u) }
}
