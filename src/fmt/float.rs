//! `%f` and `%g`.
