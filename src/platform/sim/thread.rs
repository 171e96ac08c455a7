//! Threads and processes are the system's; sleeping advances the world's clock.

use super::world;
pub(crate) use crate::platform::common::threads::*;
pub(crate) use crate::platform::unix::thread::{Mutex, MutexGuard, current_generation, generation, id, process_id, retry_for};

pub(crate) fn sleep_ms(ms: u64) {
    world::sleep(ms.saturating_mul(1000));
}
