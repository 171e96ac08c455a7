use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_jwt_opts {
    pub claims: mg_str,
    pub header: mg_str,
    pub kid: mg_str,
    pub secret: mg_str,
    pub private_key: *const u8,
    pub public_key: *const u8,
}
layout!(mg_jwt_opts, 80, claims @ 0, header @ 16, kid @ 32, secret @ 48, private_key @ 64, public_key @ 72);

