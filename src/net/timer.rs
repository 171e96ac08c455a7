//! Timer lists.
