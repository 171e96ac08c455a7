//! TLS over rustls: what `mg_tls_opts` says, as configurations - certificates and keys in whatever form applications have them,
//! whom to trust, which name to expect - and the session of one connection, between ciphertext and plaintext.

#![forbid(unsafe_code)]

pub(crate) mod config;
mod error;
mod keys;
mod pem;
pub(crate) mod session;
mod verify;
mod x509;

#[cfg(test)]
mod tests;
