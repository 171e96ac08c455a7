//! What handlers are told, copied out of the library's buffers: an event may be kept.

use crate::sys::{self, mg_connection, mg_http_message, mg_mqtt_message, mg_ws_message};
use engine::abi::*;
use std::ffi::{CStr, c_char, c_int, c_long, c_void};

/// What has happened on a connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The connection is there: the first event.
    Open,
    /// A client's host name has an address.
    Resolve,
    /// A client is connected. For TLS call [`tls_init`](crate::Connection::tls_init) here.
    Connect,
    /// A connection came in. For TLS call [`tls_init`](crate::Connection::tls_init) here.
    Accept,
    /// The TLS handshake is done.
    TlsHandshake,
    /// So many bytes have arrived: see [`take`](crate::Connection::take). Not for HTTP, WebSocket and MQTT, whose own events tell.
    Read(usize),
    /// So many bytes were sent.
    Write(usize),
    /// What went wrong. `Close` follows.
    Error(String),
    /// The last event: why the connection ended, and how many bytes were not sent.
    Close {
        /// Why.
        reason: CloseReason,
        /// Bytes that did not reach the kernel.
        unsent: usize,
    },
    /// The head of a message; its body is still to come.
    HttpHeaders(HttpMessage),
    /// A whole request or answer.
    Http(HttpMessage),
    /// The WebSocket handshake is done: the request, or the answer.
    WsOpen(HttpMessage),
    /// A message.
    Ws(WsMessage),
    /// The peer says good-bye, with a code.
    WsClose(u16),
    /// The broker's answer to the login; 0: welcome.
    MqttOpen(u8),
    /// A published message.
    Mqtt {
        /// Where it was published.
        topic: String,
        /// The message.
        payload: Vec<u8>,
        /// 0, 1 or 2.
        qos: u8,
    },
    /// A drain has reached the connection: streams say good-bye here, and are ended by `drain_now`.
    Drain,
    /// The output queue is above the limit.
    Backpressure(usize),
    /// The peer has sent its last byte while an answer is pending.
    Eof,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum CloseReason {
    None,
    Drained,
    PeerClosed,
    Reset,
    ClosedByUser,
    FlushTimeout,
    ResponseTimeout,
    Forced,
    IdleTimeout,
    HeaderTimeout,
    BodyTimeout,
    Limit,
    Error,
}

/// An HTTP request or answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpMessage {
    /// Of a request: GET, POST and so on.
    pub method: String,
    /// Of a request: the path, still percent-encoded.
    pub uri: String,
    /// Of a request: what follows the first `?`.
    pub query: String,
    /// Of a request: the version. Of an answer: the reason.
    pub proto: String,
    /// Of an answer; 0 for requests.
    pub status: u16,
    /// Names and values, in the order of the message.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined. Empty in `HttpHeaders` and `WsOpen`.
    pub body: Vec<u8>,
}

impl HttpMessage {
    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WsMessage {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

/// A copy of what an accessor of the library returns.
///
/// # Safety
/// `f` is an accessor for what `p` points at.
unsafe fn bytes<T>(f: unsafe extern "C" fn(*const T, *mut usize) -> *const c_char, p: *const T) -> Vec<u8> {
    let mut len = 0;
    // SAFETY: as the caller promises; the accessor returns `len` readable bytes or NULL.
    unsafe { slice(f(p, &mut len), len).to_vec() }
}

/// # Safety
/// `at` is NULL or has `len` bytes, for as long as the result is used.
pub(crate) unsafe fn slice<'a>(at: *const c_char, len: usize) -> &'a [u8] {
    // SAFETY: as the caller promises.
    if at.is_null() { &[] } else { unsafe { std::slice::from_raw_parts(at.cast(), len) } }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

impl HttpMessage {
    /// Only a `whole` message has its body in memory; otherwise the length is the one that was announced.
    ///
    /// # Safety
    /// A message of the library, of MG_EV_HTTP_MSG when it is `whole`.
    unsafe fn read(hm: *const mg_http_message, whole: bool) -> HttpMessage {
        // SAFETY: as the caller promises.
        unsafe {
            let mut headers = Vec::new();
            let (mut name, mut name_len, mut value, mut value_len) = (std::ptr::null(), 0, std::ptr::null(), 0);
            while sys::mgx_http_header_at(hm, headers.len(), &mut name, &mut name_len, &mut value, &mut value_len) {
                headers.push((text(slice(name, name_len).to_vec()), text(slice(value, value_len).to_vec())));
            }
            HttpMessage {
                method: text(bytes(sys::mgx_http_method, hm)),
                uri: text(bytes(sys::mgx_http_uri, hm)),
                query: text(bytes(sys::mgx_http_query, hm)),
                proto: text(bytes(sys::mgx_http_proto, hm)),
                status: sys::mgx_http_status(hm).clamp(0, 999) as u16,
                headers,
                body: if whole { bytes(sys::mgx_http_body, hm) } else { Vec::new() },
            }
        }
    }
}

impl Event {
    /// `None` for what handlers are not told.
    ///
    /// # Safety
    /// What the library calls a handler with.
    pub(crate) unsafe fn read(c: *mut mg_connection, ev: c_int, data: *mut c_void) -> Option<Event> {
        // SAFETY: ev_data is of the type that the header names for each event; the connection is alive.
        unsafe {
            Some(match ev {
                MG_EV_ERROR => Event::Error(text(CStr::from_ptr(data.cast()).to_bytes().to_vec())),
                MG_EV_OPEN => Event::Open,
                MG_EV_RESOLVE => Event::Resolve,
                MG_EV_CONNECT => Event::Connect,
                MG_EV_ACCEPT => Event::Accept,
                MG_EV_TLS_HS => Event::TlsHandshake,
                MG_EV_READ => Event::Read((*data.cast::<c_long>()).max(0) as usize),
                MG_EV_WRITE => Event::Write((*data.cast::<c_long>()).max(0) as usize),
                MG_EV_CLOSE => {
                    Event::Close { reason: CloseReason::read(sys::mgx_close_reason(c)), unsent: sys::mgx_close_unsent(c) }
                }
                MG_EV_HTTP_HDRS => Event::HttpHeaders(HttpMessage::read(data.cast(), false)),
                MG_EV_HTTP_MSG => Event::Http(HttpMessage::read(data.cast(), true)),
                MG_EV_WS_OPEN => Event::WsOpen(HttpMessage::read(data.cast(), false)),
                MG_EV_WS_MSG => {
                    let message = bytes::<mg_ws_message>(sys::mgx_ws_data, data.cast());
                    if sys::mgx_ws_flags(data.cast()) & 15 == WEBSOCKET_OP_TEXT {
                        Event::Ws(WsMessage::Text(text(message)))
                    } else {
                        Event::Ws(WsMessage::Binary(message))
                    }
                }
                MG_EV_WS_CTL if sys::mgx_ws_flags(data.cast()) & 15 == WEBSOCKET_OP_CLOSE => {
                    let payload = bytes::<mg_ws_message>(sys::mgx_ws_data, data.cast());
                    Event::WsClose(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code)))
                }
                MG_EV_MQTT_OPEN => Event::MqttOpen((*data.cast::<c_int>()).clamp(0, 255) as u8),
                MG_EV_MQTT_MSG => Event::Mqtt {
                    topic: text(bytes::<mg_mqtt_message>(sys::mgx_mqtt_topic, data.cast())),
                    payload: bytes::<mg_mqtt_message>(sys::mgx_mqtt_payload, data.cast()),
                    qos: sys::mgx_mqtt_qos(data.cast()).clamp(0, 2) as u8,
                },
                _ if ev == mgx_event::MGX_EV_DRAIN as c_int => Event::Drain,
                _ if ev == mgx_event::MGX_EV_BACKPRESSURE as c_int => Event::Backpressure(*data.cast()),
                _ if ev == mgx_event::MGX_EV_EOF as c_int => Event::Eof,
                _ => return None,
            })
        }
    }
}

impl CloseReason {
    fn read(reason: mgx_reason) -> CloseReason {
        match reason {
            mgx_reason::MGX_REASON_NONE => CloseReason::None,
            mgx_reason::MGX_REASON_DRAINED => CloseReason::Drained,
            mgx_reason::MGX_REASON_PEER_CLOSED => CloseReason::PeerClosed,
            mgx_reason::MGX_REASON_RESET => CloseReason::Reset,
            mgx_reason::MGX_REASON_CLOSED_BY_USER => CloseReason::ClosedByUser,
            mgx_reason::MGX_REASON_FLUSH_TIMEOUT => CloseReason::FlushTimeout,
            mgx_reason::MGX_REASON_RESPONSE_TIMEOUT => CloseReason::ResponseTimeout,
            mgx_reason::MGX_REASON_FORCED => CloseReason::Forced,
            mgx_reason::MGX_REASON_IDLE_TIMEOUT => CloseReason::IdleTimeout,
            mgx_reason::MGX_REASON_HEADER_TIMEOUT => CloseReason::HeaderTimeout,
            mgx_reason::MGX_REASON_BODY_TIMEOUT => CloseReason::BodyTimeout,
            mgx_reason::MGX_REASON_LIMIT => CloseReason::Limit,
            mgx_reason::MGX_REASON_ERROR => CloseReason::Error,
        }
    }
}
