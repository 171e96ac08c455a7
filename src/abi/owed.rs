//! Functions that the header declares and this build does not export yet.
