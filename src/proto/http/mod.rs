//! HTTP/1 messages: heads, where their bodies end, chunks. Pure functions of the bytes; the engine that uses them is
//! `handler/http.rs`.

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod outgoing;
pub(crate) mod strict;

pub(crate) use head::{Malformed, parameter, request_len, request_len_after, status};
