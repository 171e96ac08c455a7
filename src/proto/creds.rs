//! HTTP credentials.
