//! TLS in the engine: the engine calls `table`; `driver` fills the table and drives rustls.

#[cfg(feature = "tls")]
pub(crate) mod driver;
pub(crate) mod table;
