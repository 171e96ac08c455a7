//! Chunked transfer coding.
