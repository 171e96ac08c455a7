//! How a program drives the simulated world, and acts as the library's peers. Public with the feature `sim`.

pub use super::numbers::{Climate, Numbers};
use super::world;
pub use super::world::Story;

/// One end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End(usize);

/// The result of a read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    Bytes(usize),
    Nothing,
    /// The other side has shut down.
    End,
    Reset,
}

/// Creates a new world on this thread. The library must have no objects left from the old one. `hook` is called during sleeps with the
/// number of a peer that has an event; it must not call the library.
pub fn begin(seed: u64, climate: Climate, hook: fn(u64), trace: bool) {
    // Clears failures of the old world.
    _ = crate::memory::recovered();
    world::reset(seed, climate, hook, trace);
}

/// Frees the world's memory.
pub fn end() {
    world::with(|w| *w = world::World::new(0, Climate::CALM));
}

/// Ends the current sleep, or the next one, without events, as a signal does.
pub fn interrupt() {
    world::with(|w| w.interrupted = true);
}

pub fn now_us() -> u64 {
    world::with(|w| w.now_us())
}

/// Advances the clock outside of sleeps.
pub fn pass(us: u64) {
    world::pass(us);
}

/// Calls the hook for this peer after the given time.
pub fn call_in(token: u64, us: u64) {
    world::with(|w| w.plan_peer(token, us));
}

pub fn connect(token: u64, port: u16) -> End {
    End(world::with(|w| w.peer_connect(token, port)))
}

/// Directs connections to this port to peers: the hook is called with this number, and [`accept`] returns them.
pub fn listen(token: u64, port: u16) {
    world::with(|w| w.peer_listen(token, port));
}

pub fn accept(listener: u64, token: u64) -> Option<End> {
    world::with(|w| w.peer_accept(listener, token)).map(End)
}

impl End {
    pub fn is_connected(self) -> bool {
        world::with(|w| w.is_connected(self.0))
    }

    pub fn is_reset(self) -> bool {
        world::with(|w| w.is_reset(self.0))
    }

    pub fn local_port(self) -> u16 {
        world::with(|w| w.port_of(self.0))
    }

    /// The history of the other side.
    pub fn other_side(self) -> Option<Story> {
        world::with(|w| w.other_story(self.0))
    }

    pub fn read(self, most: usize, into: &mut Vec<u8>) -> Read {
        match world::with(|w| w.peer_recv(self.0, most, into)) {
            Ok(0) => Read::End,
            Ok(n) => Read::Bytes(n),
            Err(libc::EAGAIN) => Read::Nothing,
            Err(_) => Read::Reset,
        }
    }

    /// The number of bytes written; None if the connection is gone.
    pub fn write(self, bytes: &[u8]) -> Option<usize> {
        match world::with(|w| w.peer_send(self.0, bytes)) {
            Ok(n) => Some(n),
            Err(libc::EAGAIN) => Some(0),
            Err(_) => None,
        }
    }

    pub fn shutdown(self) {
        world::with(|w| w.peer_shutdown(self.0));
    }

    pub fn close(self) {
        world::with(|w| w.peer_close(self.0, false));
    }

    pub fn reset(self) {
        world::with(|w| w.peer_close(self.0, true));
    }
}

/// Whether the allocation in progress may fail.
pub fn may_fail() -> bool {
    crate::memory::may_fail()
}

/// Leaks of the library: descriptors, pollers, ends of connections.
pub fn left_open() -> (usize, usize, usize) {
    world::with(|w| (w.open_descriptors(), w.open_pollers(), w.held_ends()))
}

/// Violations: polls that spin or never end, descriptors closed twice.
pub fn faults() -> Vec<String> {
    world::with(|w| w.faults.clone())
}

/// The number of failed accept calls.
pub fn failed_accepts() -> usize {
    world::with(|w| w.failed_accepts())
}

pub fn say(text: &str) {
    world::with(|w| w.say(text));
}

pub fn is_traced() -> bool {
    world::with(|w| w.trace.is_some())
}

pub fn trace() -> Vec<String> {
    world::with(|w| w.trace.take().unwrap_or_default())
}
