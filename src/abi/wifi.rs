use super::*;

/// Wi-Fi settings, for boards with Wi-Fi hardware.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_wifi_data {
    pub ssid: *mut c_char,
    pub pass: *mut c_char,
    pub apssid: *mut c_char,
    pub appass: *mut c_char,
    pub apip: u32,
    pub apmask: u32,
    pub security: u8,
    pub apsecurity: u8,
    pub apchannel: u8,
    pub apmode: bool,
}
layout!(mg_wifi_data, 48, ssid @ 0, pass @ 8, apssid @ 16, appass @ 24, apip @ 32, apmask @ 36, security @ 40, apsecurity @ 41, apchannel @ 42, apmode @ 43);

/// cbindgen:ignore
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_wifi_scan_bss_data {
    pub SSID: mg_str,
    pub BSSID: *mut c_char,
    pub RSSI: i16,
    pub security: u8,
    pub channel: u8,
    /// `band:2, has_n:1, has_ac:1, has_ax:1`
    pub flags: c_uint,
}
layout!(mg_wifi_scan_bss_data, 32, SSID @ 0, BSSID @ 16, RSSI @ 24, security @ 26, channel @ 27, flags @ 28);
