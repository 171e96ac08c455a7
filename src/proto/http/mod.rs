//! HTTP/1 messages: heads, body framing, chunks. Pure functions of the bytes; `handler/http.rs` uses them.

pub(crate) mod chunked;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod outgoing;
pub(crate) mod strict;

pub(crate) use head::{Malformed, parameter, request_len, request_len_after, status};
