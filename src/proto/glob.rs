//! `mg_match` patterns.
