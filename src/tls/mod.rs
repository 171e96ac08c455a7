//! What `mg_tls_opts` says, as configurations of rustls: certificates and keys in whatever form programs have them, whom to
//! trust, which name to expect. How a connection then speaks TLS is not decided here.

#![forbid(unsafe_code)]
#![allow(dead_code, unused_imports)]

pub(crate) mod config;
mod error;
mod keys;
mod pem;
mod verify;
mod x509;

#[cfg(test)]
mod tests;
