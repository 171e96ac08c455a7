//! Numbers from a seed, and what a network is like.

#[cfg(feature = "sim")]
pub(crate) use mongoose::sim::{Climate, Numbers};

#[cfg(not(feature = "sim"))]
#[allow(unreachable_pub)]
#[path = "../../src/platform/sim/numbers.rs"]
mod shared;
#[cfg(not(feature = "sim"))]
pub(crate) use shared::{Climate, Numbers};
