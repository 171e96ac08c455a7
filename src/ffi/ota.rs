//! Firmware updates from the network.

use crate::abi::*;
use crate::ffi_util::bytes;
use crate::handler::ota;
use crate::net::engine::Engine;
use core::ffi::c_char;

/// Looks for a firmware update. `metadata_url` (at most 255 characters, copied) must answer with JSON,
/// `{"version": "...", "url": "...", "size": N}`. If the version is not ours (mgx_ota_set_version), the image is fetched
/// from `url` and given to mg_ota_begin, mg_ota_write and mg_ota_end. `fn` is called once: with NULL after mg_ota_end has returned
/// true, or else with a message, such as `Same version`, which lives for the length of the call. Without `fn`, failures are logged. It may be
/// called before this function returns. There is one check at a time in a process; https needs a CA
/// (mgx_ota_set_ca). What the image contains is for mg_ota_end to verify.
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

/// Ends a check for updates whose time is up. mg_mgr_poll calls it; applications need not.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mg_ota_poll(mgr: *mut mg_mgr) {
    // SAFETY: a manager, as the caller promises.
    unsafe { Engine::enter_mgr(mgr) }.map(|e| ota::poll(&e));
}
