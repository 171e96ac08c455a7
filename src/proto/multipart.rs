//! multipart/form-data.
