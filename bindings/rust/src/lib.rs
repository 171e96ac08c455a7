#![doc = include_str!("../README.md")]

mod connection;
mod event;
mod manager;
mod sys;

pub use connection::Connection;
pub use engine::abi::{mgx_drain_status as DrainStatus, mgx_limits as Limits, mgx_mgr_phase as Phase, mgx_stats as Stats};
pub use event::{CloseReason, Event, HttpMessage, WsMessage};
pub use manager::{Error, Manager, Remote, Timer};

use engine::abi::{mg_str, mgx_drain_opts, mgx_mgr_drain_opts};
use std::ffi::{CString, c_int};
use std::time::Duration;

/// The signal that asks a process to end.
pub const SIGTERM: i32 = 15;
/// The signal of Ctrl-C.
pub const SIGINT: i32 = 2;

/// Certificates and keys, in PEM or DER. Empty: none.
#[derive(Clone, Default)]
pub struct TlsOptions {
    /// Certificates to check the peer against. Empty: a client believes any certificate that has `name`, which anybody can make.
    pub ca: Vec<u8>,
    /// The own certificate, and those that lead to the CA.
    pub cert: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// Client: the name of the server, which its certificate must have.
    pub name: String,
    /// Do not check the peer at all.
    pub skip_verification: bool,
}

/// How an MQTT client logs in.
#[derive(Clone)]
pub struct MqttOptions {
    /// Empty: a random one.
    pub client_id: String,
    /// Empty: none.
    pub user: String,
    /// Of the user.
    pub password: String,
    /// The broker forgets an earlier session of this client.
    pub clean: bool,
    /// Seconds; 0: none.
    pub keepalive: u16,
    /// MQTT 5 instead of 3.1.1.
    pub version5: bool,
}

impl Default for MqttOptions {
    fn default() -> Self {
        MqttOptions {
            client_id: String::new(),
            user: String::new(),
            password: String::new(),
            clean: true,
            keepalive: 30,
            version5: false,
        }
    }
}

/// How one connection is drained. `None`: the default of the library, see `struct mgx_drain_opts`. `Duration::MAX`: no limit.
#[derive(Clone, Copy, Default, Debug)]
pub struct Drain {
    /// How long an idle client may still ask once more. Default: a second.
    pub idle_grace: Option<Duration>,
    /// How long an answer is waited for. Default: 30 seconds.
    pub response_timeout: Option<Duration>,
    /// How long output may stand still. Default: a minute.
    pub flush_timeout: Option<Duration>,
}

/// How a whole server is drained.
#[derive(Clone, Copy, Default, Debug)]
pub struct ServerDrain {
    /// How long it still accepts, because a load balancer needs time to notice. Default: 0.
    pub lame_duck: Option<Duration>,
    /// How long idle clients may still ask once more. Default: a second.
    pub idle_grace: Option<Duration>,
    /// When whatever is left is closed by force. Default: 30 seconds.
    pub deadline: Option<Duration>,
    /// The time over which the drain reaches connections.
    pub spread: Option<Duration>,
    /// For each connection.
    pub connection: Drain,
}

/// Limits for a server that strangers can reach.
pub fn public_limits() -> Limits {
    // SAFETY: a constant of the library.
    unsafe { *sys::mgx_limits_public() }
}

/// What is logged: 0 nothing, 1 errors, 2 information, 3 and 4 for debugging. Of the whole process.
pub fn log_set(level: i32) {
    // SAFETY: takes a number.
    unsafe { sys::mgx_log_set(level) }
}

/// 0 is the library's default, so that no time at all is a millisecond.
fn ms(time: Option<Duration>) -> c_int {
    match time {
        None => 0,
        Some(Duration::MAX) => -1,
        Some(t) => t.as_millis().clamp(1, c_int::MAX as u128) as c_int,
    }
}

impl Drain {
    fn to_c(self) -> mgx_drain_opts {
        mgx_drain_opts {
            idle_grace_ms: ms(self.idle_grace),
            response_timeout_ms: ms(self.response_timeout),
            flush_timeout_ms: ms(self.flush_timeout),
            linger_total_ms: 0,
            linger_idle_ms: 0,
            linger_bytes: 0,
            ws_close_code: 0,
            ws_close_reason: std::ptr::null(),
            ws_close_timeout_ms: 0,
        }
    }
}

impl ServerDrain {
    fn to_c(self) -> mgx_mgr_drain_opts {
        mgx_mgr_drain_opts {
            lame_duck_ms: ms(self.lame_duck),
            idle_grace_ms: ms(self.idle_grace),
            deadline_ms: ms(self.deadline),
            spread_ms: ms(self.spread),
            conn: self.connection.to_c(),
        }
    }
}

/// A view of these bytes for the duration of a call.
fn view(bytes: &[u8]) -> mg_str {
    mg_str { buf: if bytes.is_empty() { std::ptr::null_mut() } else { bytes.as_ptr().cast_mut().cast() }, len: bytes.len() }
}

/// What follows a NUL is left out: C would not see it.
fn c_string(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or("")).unwrap_or_default()
}

/// Header lines. Line ends inside a header would begin another one.
fn header_lines(headers: &[(&str, &str)]) -> CString {
    let clean = |s: &str| s.replace(['\r', '\n', '\0'], " ");
    let lines: String = headers.iter().map(|(name, value)| format!("{}: {}\r\n", clean(name), clean(value))).collect();
    c_string(&lines)
}
