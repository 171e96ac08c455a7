//! Tools for the C boundary: slices from pointers, C memory, growable C buffers.

pub(crate) mod addr;
pub(crate) mod bytes;
pub(crate) mod heap;
pub(crate) mod http_message;
pub(crate) mod iobuf;
pub(crate) mod mqtt;
pub(crate) mod queue;
