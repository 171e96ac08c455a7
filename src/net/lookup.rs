//! Data structures of name resolution and connection attempts: lookups, DNS queries, attempts. `resolve.rs` and `attempts.rs`
//! operate on them.

use crate::abi::{mg_addr, mg_connection};
use crate::memory;
use crate::memory::prelude::*;
use crate::platform::names::Names;
use crate::platform::sock::OwnedFd;
use alloc::collections::VecDeque;
use core::cell::{Cell, RefCell};
use core::ffi::c_int;

#[derive(Default)]
pub(crate) struct Resolver {
    /// Oldest first.
    pub(super) lookups: RefCell<memory::SortedMap<u64, Lookup>>,
    pub(super) count: Cell<u64>,
    pub(super) names: Names,
}

pub(super) struct Lookup {
    /// The waiting connection. Closing it ends the lookup first.
    pub(super) c: *mut mg_connection,
    /// The connection to which the lookup is attached; compared, never dereferenced.
    pub(super) via: *mut mg_connection,
    /// As in the URL.
    pub(super) host: Vec<u8>,
    pub(super) expires: u64,
    /// Queries further addresses of a name that already has some.
    pub(super) more: bool,
    /// None: queried on the local link.
    pub(super) query: Option<Query>,
}

/// How to query the other address family.
pub(crate) struct Question {
    pub(super) host: Vec<u8>,
    /// In wire format.
    pub(super) name: Vec<u8>,
    pub(super) rtype: u16,
}

/// A query to a DNS server.
pub(super) struct Query {
    /// The names still to be tried, the current one first, in wire format.
    pub(super) names: VecDeque<Vec<u8>>,
    pub(super) rtype: u16,
    pub(super) servers: Vec<mg_addr>,
    /// Number of queries sent, and its maximum.
    pub(super) asked: usize,
    pub(super) most: usize,
    /// How long to wait for a server while others are left, and the resulting deadline.
    pub(super) patience: u64,
    pub(super) next: u64,
    pub(super) message: Vec<u8>,
    pub(super) socket: Option<Socket>,
}

/// The socket of a query, and its record.
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
    /// When to service it even without a reply.
    pub(super) fn due(&self) -> u64 {
        let next = self.query.as_ref().filter(|q| q.can_ask_again()).map_or(u64::MAX, |q| q.next);
        self.expires.min(next)
    }
}

/// Connection attempts of a client connection.
pub(crate) struct Attempts {
    pub(super) began: u64,
    /// Addresses not tried yet.
    pub(super) left: VecDeque<mg_addr>,
    /// In progress besides the connection's own attempt, oldest first.
    pub(super) others: Vec<Attempt>,
    /// When to try the next.
    pub(super) next: u64,
    /// How to query more addresses.
    pub(super) question: Option<Question>,
    pub(super) asking: bool,
    pub(super) failure: Option<Failure>,
}

/// The failed call, or None for an attempt in progress, and errno.
#[derive(Clone, Copy)]
pub(crate) struct Failure(pub(crate) Option<&'static str>, pub(crate) c_int);

/// A connecting socket, and its record.
pub(super) struct Attempt {
    pub(super) fd: OwnedFd,
    pub(super) slot: u32,
    pub(super) addr: mg_addr,
}
