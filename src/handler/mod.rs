//! The protocol handlers that sit in `c->pfn`.
