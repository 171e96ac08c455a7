//! Firmware updates from the network.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::ota;
use crate::net::engine::Engine;
use core::ffi::c_char;

/// Checks for a firmware update. `metadata_url` (at most 255 characters, copied) must return JSON: `{"version": "...", "url":
/// "...", "size": N}`. If the version differs from the running one (see mgx_ota_set_version), downloads the image from `url` and
/// passes it to mg_ota_begin, mg_ota_write and mg_ota_end; mg_ota_end must verify the image. Calls `fn` once, possibly before
/// this function returns: with NULL after mg_ota_end returned true, otherwise with a message such as `Same version`, valid during
/// the call. If `fn` is NULL, failures are logged. Only one check can run at a time per process. https requires a CA; see
/// mgx_ota_set_ca.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ota_url_check(
    mgr: *mut mg_mgr,
    metadata_url: *const c_char,
    r#fn: Option<unsafe extern "C" fn(error_message: *const c_char)>,
) {
    // SAFETY: a manager and a C string, as the caller promises.
    if let Some(e) = unsafe { Engine::enter_mgr(mgr) } {
        // SAFETY: as above.
        ota::start(&e, unsafe { bytes::cstr(metadata_url) }, r#fn);
    }
}

/// Aborts a firmware update check that has timed out. mg_mgr_poll calls it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ota_poll(mgr: *mut mg_mgr) {
    // SAFETY: a manager, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.map(|e| ota::poll(&e));
}
