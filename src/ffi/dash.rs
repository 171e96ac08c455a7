//! Dashboards.

use crate::abi::*;
use crate::handler::dash;
use crate::net::handle::ConnRef;
use core::ffi::{c_int, c_void};

/// Event handler of a dashboard: for mg_http_listen, with a `struct mg_dash` as fn_data, which stays where it is as long as the
/// listener and its connections. Sessions are in a list of the process; a dashboard's callbacks are called in the thread that
/// polls its manager. Uses `c->data`: byte 0, and the pointers at offsets 8 (user) and 16 (dashboard).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_ev_handler(c: *mut mg_connection, ev: c_int, ev_data: *mut c_void) {
    enter!(@raw c);
    // SAFETY: a connection of a dashboard and data that fits the event, as the caller promises.
    unsafe { dash::handle(ConnRef::new(c), ev, ev_data) }
}

/// Tells all open dashboards of a manager that a set has changed: an array with `*index < 0` its size, with another index that
/// element. The set's `fn` is called for each client with MG_DASH_READ; who may not read it is not told.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_send_change(mgr: *mut mg_mgr, set: *mut mg_field_set) {
    // SAFETY: a manager and a set, as the caller promises.
    unsafe { dash::send_change(mgr, set) }
}

/// Reads an element of a file list into its fields `name` (MG_VAL_STR) and, if there is one, `size` (MG_VAL_UINT64 or
/// MG_VAL_INT). With `*index < 0` the number of files is stored in `*index`; behind the last file -1 is. False when there is no
/// directory or no field for the name. A file list without `fn` is read so; a set's own `fn` calls this for MG_DASH_READ.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_dash_dir_read(set: *mut mg_field_set, u: *mut mg_dash_user) -> bool {
    // SAFETY: a set and a user, as the caller promises.
    unsafe { dash::dir_read(set, u) }
}
