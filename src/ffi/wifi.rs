//! Wi-Fi, which the boards' own drivers would provide: a hosted system has none of them.

use crate::abi::*;

/// Starts a scan for Wi-Fi networks. False: there is no driver for that in this library, and no MG_TCPIP_EV_WIFI_* event follows.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_scan() -> bool {
    false
}

/// Joins the Wi-Fi network in `wifi`. False, as for mg_wifi_scan.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_connect(wifi: *mut mg_wifi_data) -> bool {
    let _ = wifi;
    false
}

/// Leaves the Wi-Fi network. False, as for mg_wifi_scan.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_disconnect() -> bool {
    false
}

/// Starts an access point with the settings in `wifi`. False, as for mg_wifi_scan.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_ap_start(wifi: *mut mg_wifi_data) -> bool {
    let _ = wifi;
    false
}

/// Stops the access point. False, as for mg_wifi_scan.
#[unsafe(no_mangle)]
pub extern "C" fn mg_wifi_ap_stop() -> bool {
    false
}
