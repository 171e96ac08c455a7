//! What the header declares and this build does not export yet. A function moves from here to `ffi` when it is written; the
//! test `exports_match_header` fails as long as it stands in both places, or in none.

#![allow(dead_code, unreachable_pub)]

use super::*;

// ---- keys; declared for programs that set MG_TLS to MG_TLS_BUILTIN
#[cfg(mg_tls_builtin)]
unsafe extern "C" {
    /// The curve P-256.
    pub fn mg_uecc_secp256r1() -> MG_UECC_Curve;

    /// The curve P-384.
    pub fn mg_uecc_secp384r1() -> MG_UECC_Curve;

    /// Computes the public key of a private one. 1 on success, 0 on failure.
    pub fn mg_uecc_compute_public_key(private_key: *const u8, public_key: *mut u8, curve: MG_UECC_Curve) -> c_int;

    /// Makes a pair of keys. 1 on success, 0 on failure.
    pub fn mg_uecc_make_key(public_key: *mut u8, private_key: *mut u8, curve: MG_UECC_Curve) -> c_int;

    /// Checks that a public key is a point of the curve. 1 if so, else 0.
    pub fn mg_uecc_valid_public_key(public_key: *const u8, curve: MG_UECC_Curve) -> c_int;

    /// Computes an ECDH secret. 1 on success, 0 on failure.
    pub fn mg_uecc_shared_secret(public_key: *const u8, private_key: *const u8, secret: *mut u8, curve: MG_UECC_Curve) -> c_int;

    /// Signs a hash. 1 on success, 0 on failure.
    pub fn mg_uecc_sign(
        private_key: *const u8,
        hash: *const u8,
        hash_size: c_uint,
        signature: *mut u8,
        curve: MG_UECC_Curve,
    ) -> c_int;

    /// Checks a signature. 1 if it is good, else 0.
    pub fn mg_uecc_verify(
        public_key: *const u8,
        hash: *const u8,
        hash_size: c_uint,
        signature: *const u8,
        curve: MG_UECC_Curve,
    ) -> c_int;

    /// Size of a private key in bytes.
    pub fn mg_uecc_curve_private_key_size(curve: MG_UECC_Curve) -> c_int;

    /// Size of a public key in bytes.
    pub fn mg_uecc_curve_public_key_size(curve: MG_UECC_Curve) -> c_int;

    /// Takes the private key out of PEM or DER text. Returns its size, or 0.
    pub fn mg_uecc_parse_private_key(key: mg_str, buf: *mut u8, len: usize) -> usize;
}

// ---- SNTP
unsafe extern "C" {
    /// Asks a time server, NULL for a public one; MG_EV_SNTP_TIME brings the answer.
    pub fn mg_sntp_connect(
        mgr: *mut mg_mgr,
        url: *const c_char,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
    ) -> *mut mg_connection;

    /// Sends an SNTP request.
    pub fn mg_sntp_request(c: *mut mg_connection);

    /// Milliseconds since 1970 from a server's answer, or -1. Sets mg_boot_timestamp_ms.
    pub fn mg_sntp_parse(buf: *const u8, len: usize) -> i64;
}

// ---- Modbus, JWT, OTA, Wi-Fi
unsafe extern "C" {
    /// Listens for Modbus requests. NULL on failure.
    pub fn mg_modbus_listen(
        mgr: *mut mg_mgr,
        url: *const c_char,
        r#fn: mg_event_handler_t,
        fn_data: *mut c_void,
    ) -> *mut mg_connection;

    /// Makes a token signed with HMAC-SHA-256. Returns its length, 0 on failure.
    pub fn mg_jwt_sign_hs256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;

    /// Checks a token against `opts->secret` and puts its claims into `buf`. Returns their length, 0 on failure. Expiry is the
    /// program's to check.
    pub fn mg_jwt_verify_hs256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;

    /// Makes a token signed with ECDSA P-256. Returns its length, 0 on failure.
    pub fn mg_jwt_sign_es256(opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;

    /// Checks a token against `opts->public_key` and puts its claims into `buf`. Returns their length, 0 on failure. Expiry is
    /// the program's to check.
    pub fn mg_jwt_verify_es256(jwt: mg_str, opts: *const mg_jwt_opts, buf: *mut c_char, len: usize) -> usize;

    /// Looks for a firmware update. `fn` is called with NULL or an error message.
    pub fn mg_ota_url_check(
        mgr: *mut mg_mgr,
        metadata_url: *const c_char,
        r#fn: Option<unsafe extern "C" fn(error_message: *const c_char)>,
    );

    /// Puts the device's id into `buf`.
    pub fn mg_ota_device_id(buf: *mut c_char, len: usize);

    /// Called by mg_mgr_poll.
    pub fn mg_ota_poll(mgr: *mut mg_mgr);

    /// Starts a scan for Wi-Fi networks.
    pub fn mg_wifi_scan() -> bool;

    /// Joins a Wi-Fi network.
    pub fn mg_wifi_connect(wifi: *mut mg_wifi_data) -> bool;

    /// Leaves the Wi-Fi network.
    pub fn mg_wifi_disconnect() -> bool;

    /// Starts an access point.
    pub fn mg_wifi_ap_start(wifi: *mut mg_wifi_data) -> bool;

    /// Stops the access point.
    pub fn mg_wifi_ap_stop() -> bool;
}
