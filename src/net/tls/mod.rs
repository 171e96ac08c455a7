//! TLS in the engine: `table` is what the engine calls, `driver` fills the table and drives rustls.

#[cfg(feature = "tls")]
pub(crate) mod driver;
pub(crate) mod table;
