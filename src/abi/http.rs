use super::*;

/// A header of an HTTP message.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_header {
    pub name: mg_str,
    pub value: mg_str,
}
layout!(mg_http_header, 32, name @ 0, value @ 16);

/// A parsed HTTP message. All strings point into the buffer that was parsed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_message {
    /// Request: method. Response: protocol version.
    pub method: mg_str,
    /// Request: path, percent-encoded, without the query. Response: status code.
    pub uri: mg_str,
    /// Part of the URI after the first `?`. `{NULL, 0}` if there is no `?`.
    pub query: mg_str,
    /// Request: protocol version. Response: reason phrase.
    pub proto: mg_str,
    /// Headers in order of arrival. Unused entries are zero.
    pub headers: [mg_http_header; MG_MAX_HTTP_HEADERS],
    /// Message body. In MG_EV_HTTP_HDRS `len` is the announced length, and not all of it may have arrived.
    pub body: mg_str,
    /// Start line and headers, including the blank line.
    pub head: mg_str,
    /// `head` and `body` together.
    pub message: mg_str,
}
layout!(mg_http_message, 1072, method @ 0, uri @ 16, query @ 32, proto @ 48, headers @ 64, body @ 1024, head @ 1040, message @ 1056);

/// Options for serving files. Zero-initialise; a zero member means its default. The library keeps no pointers to it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_serve_opts {
    /// Directory to serve, or a list of URI prefixes and directories such as `/dir,/a=dir2`.
    pub root_dir: *const c_char,
    /// Glob pattern of files to process for server-side includes, for example `#.shtml`.
    pub ssi_pattern: *const c_char,
    /// Additional header lines, each terminated by CR LF.
    pub extra_headers: *const c_char,
    /// Additional MIME types: `ext1=type1,ext2=type2`.
    pub mime_types: *const c_char,
    /// File to send when the requested file does not exist.
    pub page404: *const c_char,
    /// File system; NULL means mg_fs_posix.
    pub fs: *mut mg_fs,
}
layout!(mg_http_serve_opts, 48, root_dir @ 0, ssi_pattern @ 8, extra_headers @ 16, mime_types @ 24, page404 @ 32, fs @ 40);

/// A part of a multipart body.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct mg_http_part {
    /// Field name.
    pub name: mg_str,
    /// File name; empty for fields that are not files.
    pub filename: mg_str,
    /// Content of the part.
    pub body: mg_str,
}
layout!(mg_http_part, 48, name @ 0, filename @ 16, body @ 32);
