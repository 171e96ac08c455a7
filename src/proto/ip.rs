//! IP addresses and access lists in text.
