//! Protocol code: bytes in, values out. No I/O, no C, no unsafe.

#![forbid(unsafe_code)]

pub(crate) mod accept;
pub(crate) mod chunked;
pub(crate) mod creds;
pub(crate) mod date;
pub(crate) mod glob;
pub(crate) mod http;
pub(crate) mod ip;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod mime;
pub(crate) mod multipart;
pub(crate) mod num;
pub(crate) mod path;
pub(crate) mod range;
pub(crate) mod ssi;
pub(crate) mod strict;
pub(crate) mod url;
pub(crate) mod urlcodec;
pub(crate) mod webroot;
pub(crate) mod ws;
