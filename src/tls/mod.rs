//! TLS over rustls: what a connection goes through, and the configurations that connections share. No I/O, no C memory.

#![forbid(unsafe_code)]

pub(crate) mod config;
pub(crate) mod session;
