use super::*;

/// One header of an HTTP message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_header {
    pub name: mg_str,
    pub value: mg_str,
}
layout!(mg_http_header, 32, name @ 0, value @ 16);

/// A parsed HTTP message. Every string points into the buffer that was parsed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_message {
    /// Request: the method. Response: the protocol version.
    pub method: mg_str,
    /// Request: the path, still percent-encoded, without the query. Response: the status code.
    pub uri: mg_str,
    /// What follows the first `?` of the URI; the null string when there is none.
    pub query: mg_str,
    /// Request: the protocol version. Response: the reason phrase.
    pub proto: mg_str,
    /// The headers; unused entries are zero.
    pub headers: [mg_http_header; MG_MAX_HTTP_HEADERS],
    /// The body, or the part of it that has arrived.
    pub body: mg_str,
    /// First line, headers and the empty line.
    pub head: mg_str,
    /// `head` and `body` together.
    pub message: mg_str,
}
layout_default!(mg_http_message, 1072, method @ 0, uri @ 16, query @ 32, proto @ 48, headers @ 64, body @ 1024, head @ 1040, message @ 1056);

/// How to serve files. Members left zero take their default; nothing is kept after the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_serve_opts {
    /// Directory to serve, or a list such as `/dir,/a=dir2`.
    pub root_dir: *const c_char,
    /// Files whose names match are run through server-side includes, for example `#.shtml`.
    pub ssi_pattern: *const c_char,
    /// Header lines to add, each ending in CR LF.
    pub extra_headers: *const c_char,
    /// More MIME types: `ext1=type1,ext2=type2`.
    pub mime_types: *const c_char,
    /// Page to send when a file is not found.
    pub page404: *const c_char,
    /// File system; NULL for the machine's own.
    pub fs: *mut mg_fs,
}
layout!(mg_http_serve_opts, 48, root_dir @ 0, ssi_pattern @ 8, extra_headers @ 16, mime_types @ 24, page404 @ 32, fs @ 40);

/// One part of a multipart body.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_part {
    /// Field name.
    pub name: mg_str,
    /// File name; empty for ordinary fields.
    pub filename: mg_str,
    /// The value.
    pub body: mg_str,
}
layout!(mg_http_part, 48, name @ 0, filename @ 16, body @ 32);
