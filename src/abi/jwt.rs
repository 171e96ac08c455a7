use super::*;

/// Claims and keys of a JSON Web Token. The library keeps no pointers to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_jwt_opts {
    /// Payload, signed as is.
    pub claims: mg_str,
    /// Additional header members: JSON text without the enclosing braces.
    pub header: mg_str,
    /// Key id; empty for none.
    pub kid: mg_str,
    /// HS256: shared key.
    pub secret: mg_str,
    /// ES256: private key, 32 bytes.
    pub private_key: *const u8,
    /// ES256: public key, 64 bytes.
    pub public_key: *const u8,
}
layout!(mg_jwt_opts, 80, claims @ 0, header @ 16, kid @ 32, secret @ 48, private_key @ 64, public_key @ 72);
