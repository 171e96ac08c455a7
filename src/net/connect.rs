//! Client connections by URL: resolves the host first.

use super::conn::{self, Client};
use super::engine::Engine;
use super::handle::ConnRef;
use super::resolve;
use crate::ffi_util::bytes::cstr;
use crate::platform::poller;
use crate::proto::url;
use crate::sys::log::log_error;

/// See `mg_connect_svc`.
///
/// # Safety
/// `client.url` is NULL or a C string.
pub(crate) unsafe fn connect(e: &Engine, client: Client) -> Option<ConnRef> {
    // SAFETY: NULL or the caller's C string.
    let text = unsafe { cstr(client.url) };
    if text.is_empty() {
        log_error!("connect: empty URL");
        return None;
    }
    if !poller::ALWAYS_UP && !e.poller.is_up(url::host(text).starts_with(b"["), false) {
        log_error!("Network is down");
        return None;
    }
    e.enter();
    // SAFETY: guaranteed by the caller.
    let c = unsafe { conn::open_client(e, &client, text) };
    if let Some(c) = c.filter(|c| !c.is_closed()) {
        resolve::start(c, text);
    }
    let c = c.filter(|c| !c.is_closed());
    e.exit();
    c
}
