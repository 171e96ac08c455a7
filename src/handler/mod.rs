//! The protocol handlers that sit in `c->pfn`.

pub(crate) mod rpc;
