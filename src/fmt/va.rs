//! Arguments from a `va_list`.
