//! Lock-free message queue between two contexts.
