use super::*;

/// TLS options. The library keeps no pointers to them after mg_tls_init returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tls_opts {
    /// Trusted certificates to verify the peer against, PEM or DER. Empty disables verification.
    pub ca: mg_str,
    /// Own certificate, PEM or DER. In a PEM chain the leaf comes first.
    pub cert: mg_str,
    /// Private key of `cert`.
    pub key: mg_str,
    /// Client: server name to send (SNI) and to verify the certificate against.
    pub name: mg_str,
    /// Disable certificate verification.
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
