//! Percent encoding and form variables.
