//! A TLS connection: rustls' state machine between ciphertext in, ciphertext out and plaintext.

use super::provider;
pub(crate) use super::provider::KeyLogFile;
use crate::memory;
use crate::memory::prelude::*;
use alloc::sync::Arc;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, Error, ServerConfig};

/// Configuration of a connection.
pub(crate) enum Role {
    /// With the server's name, unless it is to be the peer's address.
    Client(Arc<ClientConfig>, Option<ServerName<'static>>),
    Server(Arc<ServerConfig>),
}

impl Role {
    /// The same role, logging its secrets.
    pub(crate) fn with_key_log(self, log: Arc<KeyLogFile>) -> Role {
        match self {
            Role::Client(mut config, name) => {
                Arc::make_mut(&mut config).key_log = log;
                Role::Client(config, name)
            }
            Role::Server(mut config) => {
                Arc::make_mut(&mut config).key_log = log;
                Role::Server(config)
            }
        }
    }
}

enum Peer {
    Waiting(Role),
    Server(Box<UnbufferedClientConnection>),
    Client(Box<UnbufferedServerConnection>),
    /// It failed; nothing is decrypted or encrypted any more.
    Gone,
}

/// Result of [`Session::advance`].
#[derive(Debug)]
pub(crate) enum Step {
    /// All complete records were processed.
    Blocked,
    /// Number of plaintext bytes stored; the rest waits in the session.
    Data(usize),
    /// The peer sent close_notify.
    Closed,
    Failed(Error),
}

/// Ciphertext to be sent. All of `buf` is initialised; `buf[from..to]` is pending.
#[derive(Default)]
pub(crate) struct Output {
    buf: Vec<u8>,
    from: usize,
    to: usize,
}

impl Output {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buf[self.from..self.to]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to
    }

    /// The first `n` bytes were sent.
    pub(crate) fn sent(&mut self, n: usize) {
        self.from = self.from.saturating_add(n).min(self.to);
    }

    /// Starts with a block of another connection.
    pub(crate) fn reuse(&mut self, block: Vec<u8>) {
        if self.buf.is_empty() {
            self.buf = block;
        }
    }

    /// The block, if it is empty.
    pub(crate) fn release(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.buf.is_empty() {
            return None;
        }
        (self.from, self.to) = (0, 0);
        Some(core::mem::take(&mut self.buf))
    }

    pub(crate) fn has_block(&self) -> bool {
        !self.buf.is_empty()
    }

    /// Appends the bytes that `write` stores in the given space, initially `n` bytes.
    fn put(&mut self, done: Pass, mut n: usize, mut write: impl FnMut(&mut [u8]) -> Written) -> Pass {
        loop {
            let Some(room) = self.room(n) else { return Pass::Failed(out_of_memory()) };
            match write(room) {
                Ok(n) => {
                    self.to += n;
                    return done;
                }
                Err(Ok(required)) => n = required,
                Err(Err(e)) => return Pass::Failed(Error::General(e)),
            }
        }
    }

    fn room(&mut self, n: usize) -> Option<&mut [u8]> {
        if self.is_empty() {
            (self.from, self.to) = (0, 0);
        }
        let more = (self.to + n).saturating_sub(self.buf.len());
        if more > 0 {
            if !memory::grow(&mut self.buf, more) {
                return None;
            }
            self.buf.resize(self.to + n, 0);
        }
        Some(&mut self.buf[self.to..])
    }
}

/// Purpose of a pass over the state machine.
enum Want<'a> {
    Input,
    Encrypt(&'a [u8]),
    CloseNotify,
}

enum Pass {
    Again,
    Blocked,
    Data,
    /// The requested data is in the output.
    Written,
    Closed,
    Failed(Error),
}

pub(crate) struct Session {
    peer: Peer,
    pub(crate) out: Output,
    /// Plaintext that did not fit into its destination; `plain[plain_at..]` remains.
    plain: Vec<u8>,
    plain_at: usize,
    /// Input that was given back by the last [`Session::advance`] and must be there again.
    kept: usize,
    /// Complete records may be among it.
    unread: bool,
    handshaking: bool,
    closed: bool,
    close_sent: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Session {
    pub(crate) fn new(role: Role) -> Session {
        Session {
            peer: Peer::Waiting(role),
            out: Output::default(),
            plain: Vec::new(),
            plain_at: 0,
            kept: 0,
            unread: false,
            handshaking: true,
            closed: false,
            close_sent: false,
        }
    }

    /// True while application data cannot be sent.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.handshaking
    }

    pub(crate) fn is_started(&self) -> bool {
        !matches!(self.peer, Peer::Waiting(_))
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.peer, Peer::Gone)
    }

    /// The peer sent close_notify.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// True if the next [`Session::advance`] may produce something without more input.
    pub(crate) fn has_unread(&self) -> bool {
        self.unread || self.plain_at < self.plain.len()
    }

    /// Plaintext that waits for room.
    pub(crate) fn pending(&self) -> usize {
        self.plain.len() - self.plain_at
    }

    /// Starts the handshake. `peer` is the address of a server without a name.
    pub(crate) fn start(&mut self, peer: core::net::IpAddr) -> Result<(), Error> {
        let Peer::Waiting(role) = core::mem::replace(&mut self.peer, Peer::Gone) else { return Ok(()) };
        self.peer = match role {
            Role::Client(config, name) => {
                let name = name.unwrap_or_else(|| provider::address(peer));
                Peer::Server(Box::new(UnbufferedClientConnection::new(config, name)?))
            }
            Role::Server(config) => Peer::Client(Box::new(UnbufferedServerConnection::new(config)?)),
        };
        Ok(())
    }

    /// Processes `input`, the ciphertext so far, decrypting in place, up to the first application data or its end. Returns the
    /// number of bytes consumed; the rest must be at the front of the next input.
    pub(crate) fn advance(&mut self, input: &mut [u8], room: &mut [u8]) -> (usize, Step) {
        if self.pending() > 0 {
            let n = self.take(room);
            return (0, Step::Data(n));
        }
        if input.len() < self.kept {
            return (input.len(), Step::Failed(self.fail(Error::General("received data was removed".into()))));
        }
        let mut used = 0;
        let step = loop {
            let mut placed = 0;
            let pass = self.pass(&mut input[used..], Want::Input, room, &mut placed, &mut used);
            match pass {
                Pass::Again | Pass::Written => {}
                Pass::Blocked => break Step::Blocked,
                Pass::Data => break Step::Data(placed),
                Pass::Closed => {
                    used = input.len();
                    break Step::Closed;
                }
                Pass::Failed(e) => break Step::Failed(e),
            }
        };
        self.kept = input.len() - used;
        self.unread = self.kept > 0 && matches!(step, Step::Data(_));
        (used, step)
    }

    /// Moves waiting plaintext to `room`.
    pub(crate) fn take(&mut self, room: &mut [u8]) -> usize {
        let n = room.len().min(self.pending());
        room[..n].copy_from_slice(&self.plain[self.plain_at..self.plain_at + n]);
        self.plain_at += n;
        if self.pending() == 0 {
            self.forget();
        }
        n
    }

    fn forget(&mut self) {
        self.plain.fill(0);
        core::hint::black_box(&mut self.plain);
        self.plain.clear();
        self.plain_at = 0;
    }

    /// Encrypts all of `data`. `input` is the input left by the last [`Session::advance`].
    pub(crate) fn encrypt(&mut self, input: &mut [u8], data: &[u8]) -> Result<(), Error> {
        self.write(input, || Want::Encrypt(data))
    }

    /// Sends close_notify. No effect before the end of the handshake, and if already sent.
    pub(crate) fn close(&mut self, input: &mut [u8]) {
        if !self.handshaking && !self.close_sent && !self.has_failed() {
            self.close_sent = true;
            // Nothing can be sent after an error.
            let _ = self.write(input, || Want::CloseNotify);
        }
    }

    /// close_notify has been queued: nothing can follow.
    pub(crate) fn is_ending(&self) -> bool {
        self.close_sent
    }

    /// Prevents close_notify.
    pub(crate) fn suppress_close_notify(&mut self) {
        self.close_sent = true;
    }

    fn write<'a>(&mut self, input: &mut [u8], want: impl Fn() -> Want<'a>) -> Result<(), Error> {
        // Unprocessed records stay unprocessed; the received part of a handshake message must still be present.
        if input.len() < self.kept {
            return Err(self.fail(Error::General("received data was removed".into())));
        }
        let input = if self.unread { &mut [] } else { &mut input[..self.kept] };
        let mut used = 0;
        loop {
            match self.pass(input, want(), &mut [], &mut 0, &mut used) {
                Pass::Written => return Ok(()),
                Pass::Again | Pass::Data | Pass::Closed => {}
                Pass::Failed(e) => return Err(e),
                Pass::Blocked => return Err(Error::HandshakeNotComplete),
            }
        }
    }

    /// Runs one step of the state machine and stores its results.
    fn pass(&mut self, input: &mut [u8], want: Want, room: &mut [u8], placed: &mut usize, used: &mut usize) -> Pass {
        let mut sink = Sink { out: &mut self.out, plain: &mut self.plain, room, placed };
        let (discard, pass, busy) = match &mut self.peer {
            Peer::Server(c) => {
                let (discard, pass) = handle(c.process_tls_records(input), want, &mut sink);
                (discard, pass, c.is_handshaking())
            }
            Peer::Client(c) => {
                let (discard, pass) = handle(c.process_tls_records(input), want, &mut sink);
                (discard, pass, c.is_handshaking())
            }
            Peer::Waiting(_) => return Pass::Blocked,
            Peer::Gone => return Pass::Failed(Error::General("the TLS session has failed".into())),
        };
        *used += discard;
        self.handshaking &= busy;
        match pass {
            Pass::Failed(e) => Pass::Failed(self.fail(e)),
            Pass::Closed => {
                self.closed = true;
                pass
            }
            _ => pass,
        }
    }

    /// Fails the session, with an alert in the output. Not when out of memory: a record that found no room is lost, and none may
    /// follow it.
    fn fail(&mut self, e: Error) -> Error {
        let mut sink = Sink { out: &mut self.out, plain: &mut Vec::new(), room: &mut [], placed: &mut 0 };
        let is_lost = |pass: &Pass| matches!(pass, Pass::Failed(e) if is_out_of_memory(e));
        let mut lost = is_out_of_memory(&e);
        // Input is not processed while output is pending.
        match &mut self.peer {
            Peer::Server(c) => {
                while !lost && c.wants_write() {
                    lost = is_lost(&handle(c.process_tls_records(&mut []), Want::Input, &mut sink).1);
                }
            }
            Peer::Client(c) => {
                while !lost && c.wants_write() {
                    lost = is_lost(&handle(c.process_tls_records(&mut []), Want::Input, &mut sink).1);
                }
            }
            Peer::Waiting(_) | Peer::Gone => {}
        }
        self.peer = Peer::Gone;
        (self.kept, self.unread) = (0, false);
        e
    }
}

/// Destination of a step's results.
struct Sink<'a> {
    out: &'a mut Output,
    plain: &'a mut Vec<u8>,
    room: &'a mut [u8],
    placed: &'a mut usize,
}

impl Sink<'_> {
    /// False when out of memory.
    fn plaintext(&mut self, data: &[u8]) -> bool {
        let free = if self.plain.is_empty() { &mut self.room[*self.placed..] } else { &mut [] };
        let n = free.len().min(data.len());
        free[..n].copy_from_slice(&data[..n]);
        *self.placed += n;
        memory::append(self.plain, &data[n..])
    }
}

fn out_of_memory() -> Error {
    Error::General(OOM.into())
}

fn is_out_of_memory(e: &Error) -> bool {
    matches!(e, Error::General(text) if text == OOM)
}

/// The text of an error not caused by the peer.
pub(crate) const OOM: &str = "OOM";

/// Room for a handshake message of common size.
const MESSAGE: usize = 4096;
/// Maximum overhead of a record.
const OVERHEAD: usize = 64;

fn handle<D>(status: UnbufferedStatus<'_, '_, D>, want: Want, sink: &mut Sink) -> (usize, Pass) {
    let UnbufferedStatus { discard, state } = status;
    let pass = match state {
        Err(e) => Pass::Failed(e),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) if sink.plaintext(record.payload) => {}
                Some(Ok(_)) => break Pass::Failed(out_of_memory()),
                Some(Err(e)) => break Pass::Failed(e),
                None => break Pass::Data,
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => sink.out.put(Pass::Again, MESSAGE, |room| match data.encode(room) {
            Err(EncodeError::InsufficientSize(e)) => Err(Ok(e.required_size)),
            other => other.map_err(|e| Err(e.to_string())),
        }),
        Ok(ConnectionState::TransmitTlsData(data)) => {
            data.done();
            Pass::Again
        }
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match want {
            Want::Input => Pass::Blocked,
            Want::Encrypt(data) => {
                let records = data.len() / 16384 + 1;
                sink.out.put(Pass::Written, data.len() + records * OVERHEAD, |room| encrypted(traffic.encrypt(data, room)))
            }
            Want::CloseNotify => sink.out.put(Pass::Written, OVERHEAD, |room| encrypted(traffic.queue_close_notify(room))),
        },
        Ok(ConnectionState::PeerClosed) => Pass::Closed,
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Pass::Blocked,
        // Early data is neither offered nor accepted.
        Ok(_) => Pass::Failed(Error::General("unexpected state".into())),
    };
    (discard, pass)
}

/// So many bytes were written; or so many are needed; or it is impossible.
type Written = Result<usize, Result<usize, String>>;

fn encrypted(r: Result<usize, EncryptError>) -> Written {
    match r {
        Err(EncryptError::InsufficientSize(e)) => Err(Ok(e.required_size)),
        other => other.map_err(|e| Err(e.to_string())),
    }
}

#[cfg(test)]
mod tests;
