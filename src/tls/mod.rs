//! TLS over rustls: configurations from `mg_tls_opts` - certificates and keys in any form applications use, trust anchors, the
//! expected name - and the session of one connection, between ciphertext and plaintext.

#![forbid(unsafe_code)]

#[cfg(all(feature = "std", feature = "aws-lc"))]
use rustls::crypto::aws_lc_rs as crypto;
#[cfg(all(feature = "std", not(feature = "aws-lc")))]
use rustls::crypto::ring as crypto;

pub(crate) mod config;
mod error;
mod keys;
mod pem;
mod provider;
pub(crate) mod session;
mod verify;
mod x509;

#[cfg(test)]
mod tests;
