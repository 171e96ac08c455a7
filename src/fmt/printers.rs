//! The `%M` printers.
