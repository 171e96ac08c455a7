//! WebSocket connections of dashboards: server to client only.

use super::fields::{Set, quoted};
use super::users::{self, User};
use crate::abi::*;
use crate::handler::ws;
use crate::net::engine::Engine;
use crate::net::handle::ConnRef;
use crate::net::list;
use crate::proto::ws::TEXT;
use crate::sys::log::log_error;
use core::ptr;

/// A client with this much queued has stopped reading. It gets the current state when it reconnects.
const MAX_QUEUE: usize = 1 << 20;
/// Close frame status: the session has ended.
const POLICY: u16 = 1008;

const USER: usize = 8;
const DASH: usize = 16;

/// A pointer in `c->data`.
fn slot<T>(c: ConnRef, at: usize) -> *mut *mut T {
    c.data().wrapping_add(at).cast()
}

fn user_of(c: ConnRef) -> *mut mg_dash_user {
    // SAFETY: a slot inside c->data; any bytes are a pointer, which is only compared.
    unsafe { slot::<mg_dash_user>(c, USER).read_unaligned() }
}

/// Records the user of a connection that became a WebSocket.
pub(super) fn open(c: ConnRef, user: User, dash: *mut mg_dash) {
    // SAFETY: slots inside c->data.
    unsafe {
        slot::<mg_dash_user>(c, USER).write_unaligned(user.into_ptr());
        slot::<mg_dash>(c, DASH).write_unaligned(dash);
    }
}

/// Handles a closed connection.
pub(super) fn close(c: ConnRef) {
    if c.flags().is_websocket() && users::release(user_of(c)) {
        // SAFETY: a slot inside c->data.
        unsafe { slot::<mg_dash_user>(c, USER).write_unaligned(ptr::null_mut()) };
    }
}

fn is_open(c: ConnRef) -> bool {
    let flags = c.flags();
    flags.is_websocket() && !flags.is_closing() && !flags.is_draining() && !c.is_closed()
}

fn say_goodbye(c: ConnRef, last_words: &[u8]) {
    if !last_words.is_empty() {
        ws::send(c, TEXT, last_words);
    }
    ws::send_close(c, POLICY, b"session ended");
    c.update(|f| f.set_draining(true));
}

/// Ends a session and closes its connections.
pub(super) fn end_session(c: ConnRef, user: &User, last_words: &[u8]) {
    if users::end(user) {
        close_all(c, user.as_ptr(), last_words);
    }
}

/// Ends the expired sessions.
pub(super) fn end_expired(c: ConnRef, dash: *mut mg_dash) {
    users::expired(dash).for_each(|u| end_session(c, &u, b""));
}

/// Ends all sessions of a dashboard.
pub(super) fn end_all(c: ConnRef, dash: *mut mg_dash) {
    users::of_dash(dash, false).iter().for_each(|u| end_session(c, u, b""));
}

/// Closes the connections of a user.
fn close_all(c: ConnRef, user: *mut mg_dash_user, last_words: &[u8]) {
    let Some(e) = c.engine() else { return };
    list::list(e).filter(|c| is_open(*c) && user_of(*c) == user).for_each(|c| say_goodbye(c, last_words));
}

/// Sends the new value of a set to all clients allowed to see it.
pub(super) fn send_change(e: &Engine, set: Set) {
    // Keeps the memory of closed connections until exit().
    e.enter();
    for c in list::list(e).filter(|c| is_open(*c)) {
        let Some(user) = User::at(user_of(c)) else {
            if users::is_ended(user_of(c)) {
                say_goodbye(c, b"");
            }
            continue;
        };
        let change = set.change(&user);
        if e.is_dead() {
            break;
        }
        let Some((name, value)) = change.filter(|_| is_open(c)) else { continue };
        if c.send_len() > MAX_QUEUE {
            log_error!("{} dashboard: client is not reading", c.id());
            c.update(|f| f.set_closing(true));
            continue;
        }
        let mut message = b"{\"method\":\"change\",\"params\":{".to_vec();
        quoted(&mut message, &name);
        message.push(b':');
        message.extend(value);
        message.extend(b"}}");
        ws::send(c, TEXT, &message);
    }
    e.exit();
}
