use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_tls_opts {
    pub ca: mg_str,
    pub cert: mg_str,
    pub key: mg_str,
    pub name: mg_str,
    pub skip_verification: bool,
}
layout!(mg_tls_opts, 72, ca @ 0, cert @ 16, key @ 32, name @ 48, skip_verification @ 64);

