//! Data structures of name resolution and connection attempts: lookups, DNS queries, attempts. `resolve.rs` and `attempts.rs`
//! operate on them.

use crate::abi::{mg_addr, mg_connection};
use crate::memory::prelude::*;
use crate::platform::names::Names;
use crate::platform::sock::OwnedFd;
use alloc::collections::{BTreeMap, VecDeque};
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

#[derive(Default)]
pub(crate) struct Resolver {
    /// By age.
    pub(super) lookups: RefCell<BTreeMap<u64, Lookup>>,
    pub(super) count: Cell<u64>,
    pub(super) names: Names,
}

pub(super) struct Lookup {
    /// Who waits. Closing it ends the lookup first.
    pub(super) c: *mut mg_connection,
    /// What the lookup hangs on; compared, never followed.
    pub(super) via: *mut mg_connection,
    /// As the URL has it.
    pub(super) host: Vec<u8>,
    pub(super) expires: u64,
    /// For more addresses of a name that has some already.
    pub(super) more: bool,
    /// None: the local link was asked.
    pub(super) query: Option<Query>,
}

/// How to ask for addresses of the other kind.
pub(crate) struct Question {
    pub(super) host: Vec<u8>,
    /// In wire form.
    pub(super) name: Vec<u8>,
    pub(super) rtype: u16,
}

/// A question to a DNS server.
pub(super) struct Query {
    /// The names still to be tried, the current one first, in wire form.
    pub(super) names: VecDeque<Vec<u8>>,
    pub(super) rtype: u16,
    pub(super) servers: Vec<mg_addr>,
    /// How often servers were asked, and how often they may be.
    pub(super) asked: usize,
    pub(super) most: usize,
    /// How long one is waited for while others could be asked, and until when.
    pub(super) patience: u64,
    pub(super) next: u64,
    pub(super) message: Vec<u8>,
    pub(super) socket: Option<Socket>,
}

/// A socket for one question, and its record.
pub(super) struct Socket {
    pub(super) fd: OwnedFd,
    pub(super) slot: u32,
}

impl Query {
    pub(super) fn server(&self) -> mg_addr {
        self.servers[self.asked.saturating_sub(1) % self.servers.len()]
    }

    pub(super) fn can_ask_again(&self) -> bool {
        self.asked < self.most
    }
}

impl Lookup {
    /// When there is something to do for it, whether or not a reply comes.
    pub(super) fn due(&self) -> u64 {
        let next = self.query.as_ref().filter(|q| q.can_ask_again()).map_or(u64::MAX, |q| q.next);
        self.expires.min(next)
    }
}

/// What a client connection tries until it is connected.
pub(crate) struct Attempts {
    pub(super) began: u64,
    /// Not tried yet.
    pub(super) left: VecDeque<mg_addr>,
    /// Under way beside the connection's own, oldest first.
    pub(super) others: Vec<Attempt>,
    /// When the next is tried.
    pub(super) next: u64,
    /// How to ask for more addresses.
    pub(super) question: Option<Question>,
    pub(super) asking: bool,
    pub(super) failure: Option<Failure>,
}

/// The call that failed, or None for a socket whose attempt was under way, and errno.
#[derive(Clone, Copy)]
pub(crate) struct Failure(pub(crate) Option<&'static str>, pub(crate) c_int);

/// A socket that connects, and its record.
pub(super) struct Attempt {
    pub(super) fd: OwnedFd,
    pub(super) slot: u32,
    pub(super) addr: mg_addr,
}
