//! What the platforms share: results of transfers, and readiness.

use core::ffi::c_int;

/// What a transfer came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Io {
    /// So many bytes; from a read, 0 is the end of the stream.
    Done(usize),
    Wait,
    Failed(c_int),
}

#[derive(Clone, Copy)]
pub(crate) struct Ready {
    pub(crate) token: usize,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The peer will send no more, or the connection is gone.
    pub(crate) hup: bool,
    pub(crate) error: bool,
}

/// The token of the engine's own wakeup descriptor.
pub(crate) const WAKER: usize = usize::MAX;

/// Slots take the lower half of an event's token, their generation the upper.
const SLOT_BITS: u32 = usize::BITS / 2 + if usize::BITS == 32 { 4 } else { 0 };

/// Equal for two uses of a slot only after the generation has wrapped around.
pub(crate) fn token(slot: u32, generation: u32) -> usize {
    slot as usize | (generation as usize) << SLOT_BITS & (usize::MAX >> 1)
}

pub(crate) fn split_token(token: usize) -> (u32, u32) {
    ((token & ((1 << SLOT_BITS) - 1)) as u32, (token >> SLOT_BITS) as u32)
}
