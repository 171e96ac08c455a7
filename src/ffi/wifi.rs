//! Wi-Fi. Hosted systems have no Wi-Fi driver for the library, so these functions all fail.

use crate::abi::*;

/// Starts a scan for Wi-Fi networks. Always returns false, and sends no MG_TCPIP_EV_WIFI_* event: the library has no Wi-Fi
/// driver.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_scan() -> bool {
    false
}

/// Joins the Wi-Fi network in `wifi`. Always returns false: the library has no Wi-Fi driver.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_connect(wifi: *mut mg_wifi_data) -> bool {
    let _ = wifi;
    false
}

/// Leaves the Wi-Fi network. Always returns false: the library has no Wi-Fi driver.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_disconnect() -> bool {
    false
}

/// Starts a Wi-Fi access point with the settings in `wifi`. Always returns false: the library has no Wi-Fi driver.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_ap_start(wifi: *mut mg_wifi_data) -> bool {
    let _ = wifi;
    false
}

/// Stops the Wi-Fi access point. Always returns false: the library has no Wi-Fi driver.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_ap_stop() -> bool {
    false
}
