//! The message ring of `struct mg_queue`.
