//! File paths.
