//! Formats into a sink from a source of arguments.
