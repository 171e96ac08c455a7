//! Strings and numbers in text.
