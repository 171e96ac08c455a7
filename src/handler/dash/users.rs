//! Dashboard users and their sessions.

use crate::abi::*;
use crate::ffi_util::bytes::cstr;
use crate::ffi_util::heap;
use crate::memory::prelude::*;
use crate::net::handle::ConnRef;
use crate::platform::clock as time;
use crate::platform::thread::{Mutex, MutexGuard};
use crate::proto::creds;
use crate::sys::log::log_error;
use crate::sys::random;
use core::ffi::{c_char, c_int};

/// Maximum number of sessions per dashboard.
const MOST: usize = 10;
const TOKEN: usize = 19;
const GUEST_LEVEL: c_int = 9;

struct Entry {
    user: *mut mg_dash_user,
    /// Only compared.
    dash: *mut mg_dash,
    guest: bool,
    /// The session has ended. The memory stays allocated until the last hold is released.
    ended: bool,
    /// Requests and WebSocket connections that use it.
    holds: usize,
}

// SAFETY: a user is only looked into by the thread that serves its dashboard; others compare addresses.
unsafe impl Send for Entry {}

/// All users of the process. Several managers may serve dashboards in their own threads, hence the lock; it is never held while
/// the application is called.
static USERS: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

fn users() -> MutexGuard<'static, Vec<Entry>> {
    USERS.lock()
}

/// A user that stays allocated while this is held.
pub(super) struct User(*mut mg_dash_user);

impl User {
    /// The user at this address, which may not be one.
    pub(super) fn at(p: *mut mg_dash_user) -> Option<User> {
        let mut all = users();
        let entry = all.iter_mut().find(|e| e.user == p && !e.ended)?;
        entry.holds += 1;
        Some(User(p))
    }

    pub(super) fn as_ptr(&self) -> *mut mg_dash_user {
        self.0
    }

    /// Transfers the hold to a connection, which releases it with [`release`].
    pub(super) fn into_ptr(self) -> *mut mg_dash_user {
        core::mem::ManuallyDrop::new(self).0
    }

    fn fields(&self) -> mg_dash_user {
        // SAFETY: held, and the application's callbacks are not running.
        unsafe { *self.0 }
    }

    pub(super) fn name(&self) -> Vec<u8> {
        text(&self.fields().name)
    }

    pub(super) fn token(&self) -> Vec<u8> {
        text(&self.fields().token)
    }

    pub(super) fn level(&self) -> c_int {
        self.fields().level
    }

    fn refresh(&self, seconds: c_int) {
        let seconds = u64::try_from(seconds).ok().filter(|s| *s > 0).unwrap_or(3600);
        // SAFETY: held.
        unsafe { (*self.0).expire = time::millis().saturating_add(seconds * 1000) };
    }
}

impl Drop for User {
    fn drop(&mut self) {
        release(self.0);
    }
}

/// Releases a hold. True if the user exists.
pub(super) fn release(p: *mut mg_dash_user) -> bool {
    let mut all = users();
    let Some(at) = all.iter().position(|e| e.user == p) else { return false };
    all[at].holds = all[at].holds.saturating_sub(1);
    let gone = all[at].ended && all[at].holds == 0;
    if gone {
        all.swap_remove(at);
    }
    drop(all);
    if gone {
        // SAFETY: a block of create(), off the list, that nobody holds.
        unsafe { heap::free(p.cast()) };
    }
    true
}

/// True if this is a user whose session has ended.
pub(super) fn is_ended(p: *mut mg_dash_user) -> bool {
    users().iter().any(|e| e.user == p && e.ended)
}

/// The text in a C array, which need not be terminated.
fn text(s: &[c_char]) -> Vec<u8> {
    s.iter().take_while(|c| **c != 0).map(|c| *c as u8).collect()
}

/// Puts a text into a zeroed C array, truncated to leave a NUL.
fn put(to: &mut [c_char], s: &[u8]) {
    let room = to.len() - 1;
    to[..room].iter_mut().zip(s).for_each(|(to, c)| *to = *c as c_char);
}

/// Compares in time independent of where two texts of the same length differ.
fn same_secret(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |d, (a, b)| core::hint::black_box(d | (a ^ b)));
    a.len() == b.len() && differ == 0
}

/// The users of a dashboard, all held.
pub(super) fn of_dash(dash: *mut mg_dash, guest: bool) -> Vec<User> {
    let mut all = users();
    let mine = all.iter_mut().filter(|e| e.dash == dash && e.guest == guest && !e.ended);
    mine.map(|e| {
        e.holds += 1;
        User(e.user)
    })
    .collect()
}

fn create(dash: *mut mg_dash, guest: bool, name: &[u8], token: &[u8], level: c_int) -> Option<User> {
    let p: *mut mg_dash_user = heap::new_zeroed();
    if p.is_null() {
        return None;
    }
    // SAFETY: a new block, zeroed.
    unsafe {
        put(&mut (*p).name, name);
        put(&mut (*p).token, token);
        (*p).level = level;
        (*p).dash = dash;
    }
    users().push(Entry { user: p, dash, guest, ended: false, holds: 1 });
    Some(User(p))
}

/// Ends a session and invalidates its token. False if it had ended or does not exist.
pub(super) fn end(user: &User) -> bool {
    users().iter_mut().find(|e| e.user == user.0 && !e.guest).map(|e| e.ended = true).is_some()
}

/// The credentials in a request.
pub(super) struct Claim {
    user: [u8; 100],
    pass: [u8; 100],
    /// From an Authorization header, not from a cookie or the query.
    authorization: bool,
}

impl Claim {
    /// # Safety
    /// `hm` is a parsed message.
    pub(super) unsafe fn of(hm: *const mg_http_message) -> Claim {
        let mut claim = Claim { user: [0; 100], pass: [0; 100], authorization: false };
        // SAFETY: as the caller promises.
        unsafe {
            let hm = &*hm;
            let header = hm.header(b"Authorization");
            claim.authorization = header.is_some();
            creds::creds(header, hm.header_lines(b"Cookie"), hm.query.bytes(), &mut claim.user, &mut claim.pass);
        }
        claim
    }
}

/// Expired sessions.
pub(super) fn expired(dash: *mut mg_dash) -> impl Iterator<Item = User> {
    let now = time::millis();
    of_dash(dash, false).into_iter().filter(move |user| user.fields().expire < now)
}

/// The user who sent a request: the guest if there is no authentication, otherwise an existing session, or a new one if the
/// application accepts the login.
///
/// # Safety
/// `dash` is a dashboard of the application.
pub(super) unsafe fn find(c: ConnRef, dash: *mut mg_dash, mut claim: Claim) -> Option<User> {
    // SAFETY: as the caller promises.
    let mg_dash { authenticate, session_auto_expiration_seconds: seconds, .. } = unsafe { *dash };
    let Some(authenticate) = authenticate else {
        let guest = of_dash(dash, true).into_iter().next();
        let guest = guest.or_else(|| create(dash, true, b"guest", b"", GUEST_LEVEL))?;
        // SAFETY: as above. Guests stay allocated as long as the process: the application may look at this at any time.
        unsafe { (*dash).guest = guest.as_ptr() };
        return Some(guest);
    };
    let pass = claim.pass.split(|b| *b == 0).next().unwrap_or_default();
    if pass.is_empty() {
        return None;
    }
    if !claim.authorization {
        // Compare with all of them, in constant time.
        let mut found = None;
        for user in of_dash(dash, false) {
            if same_secret(&user.token(), pass) {
                found = Some(user);
            }
        }
        if let Some(user) = found {
            user.refresh(seconds);
            return Some(user);
        }
    }
    // SAFETY: the application's function, and buffers of ours with a NUL in them.
    let level = unsafe { authenticate(claim.user.as_mut_ptr().cast(), claim.user.len(), claim.pass.as_ptr().cast()) };
    if level <= 0 {
        return None;
    }
    claim.user[MG_DASH_MAX_USER_NAME - 1] = 0;
    // SAFETY: the line above has put a NUL.
    let name = unsafe { cstr(claim.user.as_ptr().cast()) };
    let mut others = of_dash(dash, false);
    // Sessions with the same name but another level keep their own rights.
    let user = match others.iter().position(|u| u.name() == name && u.level() == level) {
        Some(at) => others.swap_remove(at),
        None if others.len() >= MOST => {
            log_error!("{} dashboard: login refused, {MOST} users are logged in", c.id());
            return None;
        }
        None => {
            let mut token = [0; TOKEN];
            if !random::text(&mut token) {
                log_error!("{} dashboard: login refused, no random numbers for a session", c.id());
                return None;
            }
            create(dash, false, name, &token, level)?
        }
    };
    user.refresh(seconds);
    Some(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_in_full() {
        assert!(same_secret(b"", b"") && same_secret(b"abc", b"abc"));
        assert!(!same_secret(b"abc", b"abd") && !same_secret(b"abc", b"abcd") && !same_secret(b"abc", b""));
    }
}
