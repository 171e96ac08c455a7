//! Connecting to a host name with several addresses (RFC 8305): addresses are tried one after the other, 250 ms apart or as soon
//! as an attempt fails, and the first one that connects becomes the connection. The application sees one connection; `c->rem` is
//! the address that connected.
//!
//! The first attempt uses the connection's own socket. Further attempts have sockets whose records belong to no connection; if
//! one of them wins, its socket replaces the connection's own. Addresses of the other family are looked up only when those of the
//! first do not connect at once, so a name that works costs one DNS query.

use super::conn;
use super::engine::{ConnState, Engine, Reason};
use super::event::os_error;
use super::handle::ConnRef;
use super::lookup::{Attempt, Question};
pub(crate) use super::lookup::{Attempts, Failure};
use super::resolve;
use super::send;
use crate::abi::*;
use crate::memory::prelude::*;
use crate::platform::clock as time;
use crate::platform::errno;
use crate::platform::sock::{self, Io};
use crate::platform::sock::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use core::ffi::c_int;

/// Delay before the next address is tried.
const DELAY_MS: u64 = 250;
/// Maximum number of addresses tried per name.
const MOST: usize = 32;

impl Failure {
    /// The failure is local and not the peer's.
    fn is_local(self) -> bool {
        matches!(self.1, errno::ENETUNREACH | errno::EHOSTUNREACH | errno::EADDRNOTAVAIL | errno::EAFNOSUPPORT)
    }

    pub(crate) fn report(self, c: ConnRef) {
        match self {
            Failure(Some(call), errno) => match sock::message(errno) {
                Some(text) => os_error(c, errno, format_args!("{text}")),
                None => os_error(c, errno, format_args!("{call}: {errno}")),
            },
            Failure(None, errno) => {
                if let Some(rec) = c.rec() {
                    rec.reason.set(Reason::Reset);
                }
                os_error(c, errno, format_args!("{}", sock::message(errno).unwrap_or("socket error")));
            }
        }
    }
}

impl Attempt {
    fn start(e: &Engine, c: ConnRef, addr: mg_addr) -> Result<Attempt, Failure> {
        let fd = sock::open(&e.poller, addr.is_ip6, false).map_err(|errno| Failure(Some("socket()"), errno))?;
        // SAFETY: just opened, and owned by nobody else.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        sock::set_stream_options(fd.as_raw_fd());
        sock::tell_rest(fd.as_raw_fd());
        if c.flags().dscp() > 0 {
            sock::set_tos(fd.as_raw_fd(), addr.is_ip6, c_int::from(c.flags().dscp()) << 2);
        }
        if let Io::Failed(errno) = sock::connect(fd.as_raw_fd(), &addr) {
            return Err(Failure(Some("connect"), errno));
        }
        let Some(rec) = e.new_rec() else { return Err(Failure(Some("socket()"), errno::ENOMEM)) };
        if let Err(err) = e.poller.add(fd.as_raw_fd(), rec.token(), true) {
            e.free_rec(rec);
            return Err(Failure(Some("socket()"), err.raw_os_error().unwrap_or(errno::EMFILE)));
        }
        rec.attempt_of.set(c.as_ptr());
        rec.blocked.set(true);
        Ok(Attempt { fd, slot: rec.slot.get(), addr })
    }

    /// The result of the attempt; `Io::Wait` while it is pending.
    fn outcome(&self, e: &Engine) -> Io {
        let told = e.rec(self.slot as usize).is_some_and(|rec| !rec.blocked.get() || rec.readable.get());
        match told {
            false => Io::Wait,
            true => match sock::take_error(self.fd.as_raw_fd()) {
                0 if sock::peer(self.fd.as_raw_fd()).is_some() => Io::Done(0),
                0 => Io::Wait,
                errno => Io::Failed(errno),
            },
        }
    }

    /// Detaches the socket from its record.
    fn give_up(self, e: &Engine) -> OwnedFd {
        if let Some(rec) = e.rec(self.slot as usize) {
            e.free_rec(rec);
        }
        self.fd
    }
}

impl Attempts {
    fn note(&mut self, failure: Failure) {
        if self.failure.is_none_or(|old| old.is_local() && !failure.is_local()) {
            self.failure = Some(failure);
        }
        // There is nothing to wait for.
        self.next = 0;
    }

    fn has_hope(&self) -> bool {
        !self.others.is_empty() || !self.left.is_empty() || self.question.is_some() || self.asking
    }

    /// Interleaves addresses of the other family with the remaining ones. The last address tried was of this family.
    fn mix(&mut self, more: &[mg_addr]) {
        let mut old = core::mem::take(&mut self.left).into_iter();
        let mut new = more.iter().copied();
        loop {
            let pair = [new.next(), old.next()];
            if pair[0].is_none() && pair[1].is_none() {
                break;
            }
            self.left.extend(pair.into_iter().flatten());
        }
        self.left.truncate(MOST);
    }
}

/// Stores the alternatives to `c->rem`, which is tried first.
pub(crate) fn prepare(c: ConnRef, left: impl IntoIterator<Item = mg_addr>, question: Option<Question>) {
    let Some(rec) = c.rec().filter(|rec| rec.fd.get() < 0) else { return };
    let left = left.into_iter().take(MOST - 1).collect();
    let began = time::millis();
    let next = began.saturating_add(DELAY_MS);
    rec.attempts.set(Some(Box::new(Attempts { began, left, others: Vec::new(), next, question, asking: false, failure: None })));
}

/// The next address, if the first attempt could not be started.
pub(crate) fn instead(rec: &ConnState) -> Option<mg_addr> {
    let mut a = rec.attempts.take()?;
    let next = a.left.pop_front();
    rec.attempts.set(Some(a));
    next
}

/// Schedules the connection's next service call.
pub(crate) fn set_alarm(e: &Engine, rec: &ConnState) {
    let Some(a) = rec.attempts.take() else { return };
    let next = (!a.left.is_empty() || a.question.is_some()).then_some(a.next);
    if let Some(at) = next.into_iter().chain(limit(e, &a)).min() {
        e.set_deadline(rec, Some(at));
    }
    rec.attempts.set(Some(a));
}

fn limit(e: &Engine, a: &Attempts) -> Option<u64> {
    let ms = e.limits.get().connect_timeout_ms;
    u64::try_from(ms).ok().filter(|ms| *ms > 0).map(|ms| a.began.saturating_add(ms))
}

/// Handles the failure of the connection's own attempt.
pub(crate) fn failed(e: &Engine, c: ConnRef, rec: &ConnState, failure: Failure) {
    let Some(mut a) = rec.attempts.take() else { return failure.report(c) };
    a.note(failure);
    if !a.has_hope() || c.flags().is_closing() {
        return a.failure.unwrap_or(failure).report(c);
    }
    let fd = rec.fd.replace(-1);
    rec.registered.set(false);
    sock::close(fd);
    c.set_fd(-1);
    c.update(|f| f.set_connecting(true));
    rec.attempts.set(Some(a));
    step(e, c, rec);
}

/// Services a connecting connection: checks its attempts and timeouts.
pub(crate) fn step(e: &Engine, c: ConnRef, rec: &ConnState) {
    let Some(mut a) = rec.attempts.take() else { return };
    let mut at = 0;
    while let Some(other) = a.others.get(at) {
        match other.outcome(e) {
            Io::Wait => at += 1,
            Io::Failed(errno) => {
                a.others.remove(at).give_up(e);
                a.note(Failure(None, errno));
            }
            Io::Done(_) => {
                let won = a.others.remove(at);
                let ok = adopt(e, c, rec, won);
                rec.attempts.set(Some(a));
                return if ok { conn::finish_connecting(c) } else { end(e, rec) };
            }
        }
    }
    let now = time::millis();
    if limit(e, &a).is_some_and(|at| now >= at) {
        rec.attempts.set(Some(a));
        resolve::cancel(e, c);
        return os_error(c, errno::ETIMEDOUT, format_args!("connect timeout"));
    }
    let mut ask = None;
    while now >= a.next {
        // Query further addresses while the next one is tried.
        ask = ask.or(a.question.take());
        let Some(addr) = a.left.pop_front() else { break };
        match Attempt::start(e, c, addr) {
            Ok(other) => {
                a.others.push(other);
                a.next = now.saturating_add(DELAY_MS);
            }
            Err(failure) => a.note(failure),
        }
    }
    if rec.fd.get() < 0 && !a.others.is_empty() {
        let oldest = a.others.remove(0);
        if !adopt(e, c, rec, oldest) {
            rec.attempts.set(Some(a));
            return end(e, rec);
        }
    }
    a.asking |= ask.is_some();
    if rec.fd.get() < 0 && !a.has_hope() {
        return a.failure.unwrap_or(Failure(None, 0)).report(c);
    }
    rec.attempts.set(Some(a));
    set_alarm(e, rec);
    if let Some(question) = ask {
        resolve::ask_more(e, c, question);
    }
}

/// Makes the socket of an attempt the connection's own. False if that failed the connection.
fn adopt(e: &Engine, c: ConnRef, rec: &ConnState, attempt: Attempt) -> bool {
    if let old @ 0.. = rec.fd.get() {
        sock::close(old);
    }
    let addr = attempt.addr;
    let fd = attempt.give_up(e).into_raw_fd();
    // Discard the state of the old socket, and events that the poller may still report for it.
    rec.generation.set(rec.generation.get().wrapping_add(1));
    rec.readable.set(false);
    rec.hup.set(false);
    rec.fd.set(fd);
    c.set_fd(fd);
    c.set_rem(addr);
    c.update(|f| f.clear_ready());
    rec.registered.set(true);
    send::watch_both_ways(e, c, rec)
}

/// Adds the addresses found by an additional lookup, possibly none.
pub(crate) fn more(e: &Engine, c: ConnRef, addrs: &[mg_addr]) {
    let Some(rec) = c.rec() else { return };
    let Some(mut a) = rec.attempts.take() else { return };
    a.asking = false;
    a.mix(addrs);
    rec.attempts.set(Some(a));
    if !c.flags().is_closing() {
        step(e, c, rec);
    }
}

/// An attempt's socket is ready: schedules its connection for service.
pub(crate) fn ready(e: &Engine, attempt: &ConnState) {
    // SAFETY: attempts end before their connection does.
    let c = unsafe { ConnRef::new(attempt.attempt_of.get()) };
    if let Some(rec) = c.rec() {
        e.wake(c, rec);
    }
}

/// Cancels the other attempts: one has won, or the connection closes.
pub(crate) fn end(e: &Engine, rec: &ConnState) {
    let Some(a) = rec.attempts.take() else { return };
    for other in a.others {
        other.give_up(e);
    }
    e.set_deadline(rec, None);
}
