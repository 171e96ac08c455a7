//! Raw socket I/O behind TLS.
