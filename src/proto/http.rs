//! HTTP/1 message heads.
