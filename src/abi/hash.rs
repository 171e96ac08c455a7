/// MD5 state. May be copied to fork a computation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_md5_ctx {
    pub buf: [u32; 4],
    pub bits: [u32; 2],
    pub r#in: [u8; 64],
}
layout!(mg_md5_ctx, 88, buf @ 0, bits @ 16, r#in @ 24);

/// SHA-1 state. May be copied to fork a computation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_sha1_ctx {
    pub state: [u32; 5],
    pub count: [u32; 2],
    pub buffer: [u8; 64],
}
layout!(mg_sha1_ctx, 92, state @ 0, count @ 20, buffer @ 28);

/// SHA-256 state. May be copied to fork a computation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_sha256_ctx {
    pub state: [u32; 8],
    pub bits: u64,
    pub len: u32,
    pub buffer: [u8; 64],
}
layout!(mg_sha256_ctx, 112, state @ 0, bits @ 32, len @ 40, buffer @ 44);

/// SHA-384 state. May be copied to fork a computation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_sha384_ctx {
    pub state: [u64; 8],
    pub buffer: [u8; 128],
    pub bitlen: [u64; 2],
    pub datalen: u32,
}
layout!(mg_sha384_ctx, 216, state @ 0, buffer @ 64, bitlen @ 192, datalen @ 208);
