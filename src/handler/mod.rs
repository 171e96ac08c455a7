//! The protocol handlers that sit in `c->pfn`.

pub(crate) mod http;
pub(crate) mod reply;
