use super::*;

/// TLS options. Nothing is kept after mg_tls_init has returned.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tls_opts {
    /// Certificates to check the peer against, PEM or DER. Empty: the peer is not checked.
    pub ca: mg_str,
    /// Own certificate, PEM (a chain has the leaf first) or DER.
    pub cert: mg_str,
    /// Its private key.
    pub key: mg_str,
    /// Client: server name to ask for and to check the certificate against.
    pub name: mg_str,
    /// Do not check the peer at all.
    pub skip_verification: bool,
}
layout!(mg_tls_opts, 72, ca @ 0, cert @ 16, key @ 32, name @ 48, skip_verification @ 64);

/// cbindgen:ignore
#[repr(C)]
pub struct MG_UECC_Curve_t {
    _opaque: [u8; 0],
}

/// cbindgen:ignore
pub type MG_UECC_Curve = *const MG_UECC_Curve_t;
