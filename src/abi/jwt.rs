use super::*;

/// What to sign, and the keys. Nothing is kept after the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_jwt_opts {
    /// Payload, signed as it is.
    pub claims: mg_str,
    /// More header members: JSON text without braces.
    pub header: mg_str,
    /// Key id.
    pub kid: mg_str,
    /// Key for HS256.
    pub secret: mg_str,
    /// ES256: 32 bytes.
    pub private_key: *const u8,
    /// ES256: 64 bytes.
    pub public_key: *const u8,
}
layout!(mg_jwt_opts, 80, claims @ 0, header @ 16, kid @ 32, secret @ 48, private_key @ 64, public_key @ 72);
