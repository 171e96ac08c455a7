//! JSON lookup without a tree.
