use super::*;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_header {
    pub name: mg_str,
    pub value: mg_str,
}
layout!(mg_http_header, 32, name @ 0, value @ 16);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_message {
    pub method: mg_str,
    pub uri: mg_str,
    pub query: mg_str,
    pub proto: mg_str,
    pub headers: [mg_http_header; MG_MAX_HTTP_HEADERS],
    pub body: mg_str,
    pub head: mg_str,
    pub message: mg_str,
}
layout_default!(mg_http_message, 1072, method @ 0, uri @ 16, query @ 32, proto @ 48, headers @ 64, body @ 1024, head @ 1040, message @ 1056);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_serve_opts {
    pub root_dir: *const c_char,
    pub ssi_pattern: *const c_char,
    pub extra_headers: *const c_char,
    pub mime_types: *const c_char,
    pub page404: *const c_char,
    pub fs: *mut mg_fs,
}
layout!(mg_http_serve_opts, 48, root_dir @ 0, ssi_pattern @ 8, extra_headers @ 16, mime_types @ 24, page404 @ 32, fs @ 40);

#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_part {
    pub name: mg_str,
    pub filename: mg_str,
    pub body: mg_str,
}
layout!(mg_http_part, 48, name @ 0, filename @ 16, body @ 32);

