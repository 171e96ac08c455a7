//! Digests, signatures, base64 and checksums, on maintained crates.

#![forbid(unsafe_code)]

pub(crate) mod base64;
pub(crate) mod crc;
#[cfg(feature = "ecc")]
pub(crate) mod ecc;
pub(crate) mod md;
