//! TLS on a connection. Ciphertext goes from the socket to `c->rtls`, plaintext from there to `c->recv`; data in `c->send` is
//! encrypted into a block of the session and sent from there. For the rest of the engine the connection is secure (a private
//! flag) and reached through the table [`OPS`].

use super::table::Ops;
use crate::abi::*;
use crate::ffi_util::{bytes, iobuf};
use crate::memory;
use crate::memory::prelude::*;
use crate::net::engine::{ConnState, Engine, Reason};
use crate::net::event::{call, call_count, error};
use crate::net::handle::ConnRef;
use crate::net::recv::{self, READS};
use crate::net::stream;
use crate::net::{ending, send as plain, usage};
use crate::platform::sock::{self, Io};
use crate::sys::log::{log_at, log_error};
use crate::tls::config::{Cache, Options, explain};
use crate::tls::session::KeyLogFile;
use crate::tls::session::{Role, Session, Step};
use alloc::sync::Arc;
use core::any::Any;
use core::cell::{OnceCell, RefCell};
use core::net::IpAddr;
use core::ptr;

/// The step of `c->rtls`. It begins with two: with the default, a whole record and most of the next.
fn step(e: &Engine) -> usize {
    e.io_size().min(IO_SIZE)
}
/// A handshake message may not need more.
const MOST_INPUT: usize = 8 * IO_SIZE;
/// Plaintext encrypted for one send call: with the default, four full records; and how often in one service call.
fn batch(e: &Engine) -> usize {
    4 * step(e)
}
const BATCHES: usize = 16;
/// Number of ciphertext blocks kept for reuse.
const SPARES: usize = 16;
/// Handshake timeout, unless `header_timeout_ms` is set.
const HANDSHAKE_MS: u64 = 60_000;

/// State shared by the connections of a manager.
#[derive(Default)]
struct Shared {
    cache: Cache,
    spares: RefCell<Vec<Vec<u8>>>,
    /// Part of a file on its way into records.
    file: RefCell<Vec<u8>>,
    key_log: OnceCell<Arc<KeyLogFile>>,
}

struct Tls {
    session: Session,
    began: u64,
    /// Bytes at the front of `c->send` that were queued before an upgrade: they go out as they are.
    clear: usize,
}

static OPS: Ops = Ops {
    service,
    send_queued,
    send_file,
    send_close_notify,
    close_notify_if_flushed,
    drop_state,
    may_send_more,
    suppress_close_notify,
    handshake_ends,
    unsent,
};

fn shared(e: &Engine) -> &Shared {
    let any = e.tls.get_or_init(|| Box::<Shared>::default());
    any.downcast_ref().expect("nothing else is put there")
}

fn with<T>(rec: &ConnState, f: impl FnOnce(&mut Tls) -> T) -> Option<T> {
    rec.tls.session.borrow_mut().as_deref_mut().and_then(<dyn Any>::downcast_mut).map(f)
}

/// See `mg_tls_init`.
pub(crate) fn init(c: ConnRef, o: &Options) {
    let flags = c.flags();
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else {
        return error(c, format_args!("TLS needs a connection of a manager"));
    };
    if flags.is_listening() && flags.is_udp() {
        return log_error!("{} TLS needs a stream", c.id());
    }
    if flags.is_listening() {
        // TLS does not run on the listener itself, but report invalid options now instead of at the first accept.
        if let Err(err) = shared(e).cache.server(o) {
            log_error!("{} {err}: {}", c.id(), err.detail());
        }
        return c.update(|f| f.set_tls(true));
    }
    if flags.is_udp() {
        return error(c, format_args!("TLS needs a stream"));
    }
    if with(rec, |t| t.session.is_started()) == Some(true) {
        return log_error!("{} mg_tls_init: TLS is already active", c.id());
    }
    // Many allocations of a handshake are infallible: memory must be available.
    let is_over = if flags.is_accepted() { usage::is_over_without(e, rec) } else { usage::is_over(e) };
    if !memory::recovered() || is_over {
        return error(c, format_args!("OOM"));
    }
    let helped = memory::helped();
    let role = if flags.is_client() {
        let named = o.name.first().is_some_and(|b| *b != 0);
        // The address may not be known yet.
        shared(e).cache.client(o, ip(c.rem())).map(|(config, name)| Role::Client(config, Some(name).filter(|_| named)))
    } else {
        shared(e).cache.server(o).map(Role::Server)
    };
    let role = match role {
        Ok(role) if e.options.borrow().tls_keylog => {
            role.with_key_log(shared(e).key_log.get_or_init(|| Arc::new(KeyLogFile::new())).clone())
        }
        Ok(role) => role,
        Err(err) => {
            log_error!("{} {err}: {}", c.id(), err.detail());
            return error(c, format_args!("{err}"));
        }
    };
    // Only an upgrade has clear-text output: a client may queue its first request before it has connected.
    let upgrade = rec.sent.get() > 0 || rec.head_began.get() > 0;
    let clear = if upgrade { c.send_len() } else { 0 };
    let mut tls = Box::new(Tls { session: Session::new(role), began: 0, clear });
    if memory::helped() != helped {
        drop(tls);
        return error(c, format_args!("OOM"));
    }
    c.set_tls((&raw mut *tls).cast());
    rec.tls.session.replace(Some(tls));
    rec.tls.ops.set(Some(&OPS));
    c.update(|f| {
        f.set_tls(true);
        f.set_tls_hs(true);
        f.set_secure(true);
    });
    if !flags.is_connecting() && !flags.is_resolving() && rec.fd.get() >= 0 {
        // An upgrade continues automatically.
        rec.readable.set(!rec.eof.get());
        e.requeue(rec);
    }
}

fn ip(a: mg_addr) -> IpAddr {
    if a.is_ip6 { a.ip().into() } else { <[u8; 4]>::try_from(&a.ip()[..4]).unwrap_or_default().into() }
}

/// See `mg_tls_free`.
pub(crate) fn free(c: ConnRef) {
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else { return };
    if with(rec, |t| t.session.is_started()) == Some(false) {
        // As if mg_tls_init had not been called. Later a return to clear text is impossible.
        c.update(|f| {
            f.set_tls_hs(false);
            f.set_secure(false);
        });
    }
    drop_state(e, c, rec);
}

/// Drops the TLS state of a connection.
fn drop_state(e: &Engine, c: ConnRef, rec: &ConnState) {
    c.set_tls(ptr::null_mut());
    let tls = rec.tls.session.take();
    if let Some(Ok(mut tls)) = tls.map(<Box<dyn Any>>::downcast::<Tls>) {
        tls.session.out.sent(usize::MAX);
        keep_block(e, &mut tls);
    }
}

fn keep_block(e: &Engine, tls: &mut Tls) {
    let mut spares = shared(e).spares.borrow_mut();
    if let Some(block) = tls.session.out.release().filter(|_| spares.len() < SPARES) {
        spares.push(block);
    }
}

/// Number of ciphertext bytes not yet taken by the socket.
fn unsent(rec: &ConnState) -> usize {
    with(rec, |t| t.session.out.bytes().len()).unwrap_or(0)
}

/// Number of decrypted bytes not yet delivered.
pub(crate) fn pending(rec: &ConnState) -> usize {
    with(rec, |t| t.session.pending()).unwrap_or(0)
}

/// When an unfinished handshake times out.
fn handshake_ends(e: &Engine, rec: &ConnState) -> Option<u64> {
    let limit = match e.limits.get().header_timeout_ms {
        0 => HANDSHAKE_MS,
        ms => u64::try_from(ms).unwrap_or(HANDSHAKE_MS),
    };
    with(rec, |t| (t.session.is_started() && t.session.is_handshaking()).then(|| t.began.saturating_add(limit))).flatten()
}

/// Runs the session on the available ciphertext. Plaintext goes to `room`.
fn advance(c: ConnRef, rec: &ConnState, room: &mut [u8]) -> Option<Step> {
    // SAFETY: the connection's own buffer; the session does not call the application.
    unsafe {
        let io = c.rtls();
        let (used, step) = with(rec, |t| t.session.advance(bytes::slice_mut((*io).buf, (*io).len), room))?;
        // Moving leaves zeros behind, so no plaintext stays.
        iobuf::del(io, 0, used);
        Some(step)
    }
}

/// Sends pending ciphertext. False if some is left.
fn push(e: &Engine, c: ConnRef, rec: &ConnState, more: bool) -> bool {
    let sent = with(rec, |t| {
        let out = t.session.out.bytes();
        if out.is_empty() {
            return Io::Done(0);
        }
        // SAFETY: a slice of the session's block.
        let (n, sent) = unsafe { plain::offer(rec, out.as_ptr(), out.len(), more, usize::MAX) };
        if n > 0 {
            rec.progress_at.set(e.now.get());
            t.session.out.sent(n);
        }
        sent
    });
    if let Some(Io::Failed(errno)) = sent {
        rec.errno.set(errno);
        rec.reason.set(Reason::Reset);
        if c.flags().is_client() && !c.flags().is_closing() && with(rec, |t| t.session.is_handshaking()) == Some(true) {
            error(c, format_args!("socket error"));
        }
        c.update(|f| f.set_closing(true));
        return false;
    }
    let done = with(rec, |t| {
        keep_block(e, t);
        t.session.out.is_empty()
    });
    let done = done == Some(true);
    if done == c.flags().is_tls_throttled() {
        c.update(|f| f.set_tls_throttled(!done));
    }
    if !done {
        plain::block(e, c, rec);
    }
    done
}

/// Sends data queued before an upgrade, starts the handshake, and sends pending ciphertext. True when nothing blocks application
/// data.
fn drive(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    let flags = c.flags();
    if c.is_gone() || flags.is_closing() || flags.is_connecting() || flags.is_resolving() || rec.blocked.get() {
        return false;
    }
    let Some((clear, started)) = with(rec, |t| (t.clear.min(c.send_len()), t.session.is_started())) else {
        log_error!("{} TLS state was freed, closing", c.id());
        c.update(|f| f.set_closing(true));
        return false;
    };
    if clear > 0 && !send_clear(e, c, rec, clear) {
        return false;
    }
    if !started {
        take_early_input(c);
        let peer = ip(c.rem());
        let started = with(rec, |t| {
            t.began = e.now.get();
            t.session.start(peer)
        });
        if let Some(Err(err)) = started {
            fail(e, c, rec, &err);
            return false;
        }
        if let Some(Step::Failed(err)) = advance(c, rec, &mut []) {
            fail(e, c, rec, &err);
            return false;
        }
        e.set_deadline(rec, handshake_ends(e, rec));
    }
    push(e, c, rec, false)
}

fn send_clear(e: &Engine, c: ConnRef, rec: &ConnState, clear: usize) -> bool {
    // SAFETY: clear-text bytes at the front of the connection's own buffer.
    let (n, io) = unsafe { plain::offer(rec, c.send_info().buf, clear, false, usize::MAX) };
    if n > 0 {
        plain::moved(e, rec, n);
        // SAFETY: as above.
        unsafe { iobuf::del(c.send(), 0, n) };
        with(rec, |t| t.clear = clear - n);
    }
    match io {
        Io::Done(_) => true,
        Io::Wait => {
            plain::block(e, c, rec);
            false
        }
        Io::Failed(errno) => {
            rec.errno.set(errno);
            rec.reason.set(Reason::Reset);
            c.update(|f| f.set_closing(true));
            false
        }
    }
}

/// Data received before the upgrade was not protected and must never look as if it had been: the start of a handshake goes to the
/// session, anything else is discarded.
fn take_early_input(c: ConnRef) {
    // SAFETY: the connection's own buffers; nothing is called.
    unsafe {
        let early = (*c.recv()).data();
        if early.is_empty() {
            return;
        }
        if early.starts_with(&[0x16, 0x03]) {
            let io = c.rtls();
            iobuf::add(io, (*io).len, early.as_ptr(), early.len());
        } else {
            log_error!("{} discarding {} bytes received in clear text before TLS", c.id(), early.len());
        }
        iobuf::del(c.recv(), 0, usize::MAX);
    }
}

/// Closes a connection whose session failed, after sending the alert.
fn fail(e: &Engine, c: ConnRef, rec: &ConnState, err: &rustls::Error) {
    push(e, c, rec, false);
    rec.flushed.set(unsent(rec) == 0);
    log_at!(MG_LL_DEBUG, "{} TLS: {err}", c.id());
    if c.flags().is_closing() {
        return;
    }
    error(c, format_args!("{}", explain(err)));
}

/// The reading part of a service call.
fn service(e: &Engine, c: ConnRef, rec: &ConnState) {
    if with(rec, |t| t.session.has_failed()) == Some(true) {
        // A handler cleared the error, but the session cannot continue.
        return c.update(|f| f.set_closing(true));
    }
    drive(e, c, rec);
    if c.is_gone() || c.flags().is_closing() || with(rec, |t| t.session.is_started()) != Some(true) {
        return;
    }
    if rec.readable.get() {
        read(e, c, rec);
    }
    if c.is_gone() || c.flags().is_closing() {
        return;
    }
    if handshake_ends(e, rec).is_none_or(|at| e.now.get() < at) {
        return;
    }
    rec.reason.set(Reason::HeaderTimeout);
    error(c, format_args!("TLS handshake timeout"));
}

fn read(e: &Engine, c: ConnRef, rec: &ConnState) {
    for _ in 0..READS {
        if !read_once(e, c, rec) || c.is_gone() || c.flags().is_closing() {
            break;
        }
    }
    if c.is_gone() {
        return;
    }
    // Input that is, or could be, decrypted raises no further event.
    let unread = with(rec, |t| t.session.has_unread()) == Some(true);
    rec.readable.set(rec.readable.get() || unread && !rec.eof.get());
    if rec.readable.get() {
        e.requeue(rec);
    }
    recv::return_empty(e, c, rec);
    // SAFETY: the connection's own buffer, zero after its data.
    unsafe {
        if (*c.rtls()).len == 0 {
            e.buffers.return_send(c.rtls());
        }
    }
}

/// Reads from the socket at most once and delivers at most one MG_EV_READ. False if there is no more for now.
fn read_once(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    let Some((handshaking, unread, pending)) =
        with(rec, |t| (t.session.is_handshaking(), t.session.has_unread(), t.session.pending()))
    else {
        return false;
    };
    if rec.eof.get() || !handshaking && (recv::is_paused(e, c) || rec.batch_pending.take()) {
        return false;
    }
    if !unread && !fill(e, c, rec) {
        return false;
    }
    // A full buffer is an error only when more arrives.
    let has_limit = pending > 0 || c.recv_len() < e.options.borrow().max_recv_size;
    if !handshaking && has_limit && !recv::make_room(e, c, rec) {
        return false;
    }
    let (n, step) = decrypt(c, rec, !handshaking && has_limit);
    if handshaking {
        if let Some(false) = with(rec, |t| t.session.is_handshaking()) {
            established(e, c, rec);
        } else if !rec.blocked.get() && !matches!(step, Step::Failed(_)) {
            push(e, c, rec, false);
        }
    } else if n > 0 {
        recv::received(e, c, rec, n);
    }
    if c.is_gone() {
        return false;
    }
    match step {
        Step::Blocked => rec.readable.get(),
        Step::Data(_) => true,
        Step::Closed => {
            ended(e, c, rec);
            false
        }
        Step::Failed(err) => {
            fail(e, c, rec, &err);
            false
        }
    }
}

/// Decrypts into the free part of `c->recv` until it is full or no ciphertext is left. Returns the number of bytes added.
fn decrypt(c: ConnRef, rec: &ConnState, has_room: bool) -> (usize, Step) {
    let buf = c.recv_info();
    // SAFETY: the free part of the connection's own buffer.
    let room = unsafe { bytes::slice_mut(buf.buf.wrapping_add(buf.len), if has_room { buf.size - buf.len } else { 0 }) };
    let io = c.rtls();
    // SAFETY: another buffer of the connection; the session does not call the application.
    let input = unsafe { bytes::slice_mut((*io).buf, (*io).len) };
    let (mut used, mut total) = (0, 0);
    let step = with(rec, |t| {
        loop {
            let (n, step) = t.session.advance(&mut input[used..], &mut room[total..]);
            used += n;
            let Step::Data(n) = step else { return step };
            total += n;
            if n == 0 || total == room.len() {
                return Step::Data(total);
            }
        }
    });
    // SAFETY: as above. One move for all records.
    unsafe { iobuf::del(io, 0, used) };
    (total, step.unwrap_or(Step::Blocked))
}

/// Reads ciphertext. False if there was none.
fn fill(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    if !rec.readable.get() {
        return false;
    }
    let io = c.rtls();
    // SAFETY: the connection's own buffer; room bytes after the data belong to it.
    let (got, emptied) = unsafe {
        if (*io).len == (*io).size {
            let more = if (*io).len == 0 { 2 * step(e) } else { step(e).max(((*io).len / 2).min(IO_SIZE)) };
            if (*io).len + more > MOST_INPUT {
                error(c, format_args!("TLS input is too long"));
                return false;
            }
            if usage::is_full(e) || !e.buffers.grow(io, more, true) {
                error(c, format_args!("OOM"));
                return false;
            }
            usage::count(e, c, rec);
        }
        let room = (*io).size - (*io).len;
        sock::recv_stream(rec.fd.get(), (*io).buf.add((*io).len), room, rec.rest.get())
    };
    match got {
        Io::Done(0) => {
            ended(e, c, rec);
            false
        }
        Io::Done(n) => {
            // SAFETY: as above.
            unsafe { (*io).len += n };
            rec.readable.set(!emptied || rec.hup.get());
            true
        }
        Io::Wait => {
            rec.readable.set(false);
            false
        }
        Io::Failed(errno) => {
            rec.errno.set(errno);
            rec.readable.set(false);
            rec.reason.set(Reason::Reset);
            if c.flags().is_client() && with(rec, |t| t.session.is_handshaking()) == Some(true) {
                error(c, format_args!("socket error"));
            }
            c.update(|f| f.set_closing(true));
            false
        }
    }
}

/// The peer's end of stream, authenticated by TLS or not.
fn ended(e: &Engine, c: ConnRef, rec: &ConnState) {
    rec.readable.set(false);
    if with(rec, |t| t.session.is_handshaking()) == Some(true) {
        if c.flags().is_client() {
            return error(c, format_args!("TLS handshake: closed by the peer"));
        }
        rec.reason.set(Reason::PeerClosed);
        return c.update(|f| f.set_closing(true));
    }
    rec.eof.set(true);
    rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
    if !may_send_more(rec) && rec.reason.get() == Reason::None {
        // The data may have been truncated.
        rec.reason.set(Reason::Reset);
    }
    c.update(|f| f.set_half_closed());
}

fn established(e: &Engine, c: ConnRef, rec: &ConnState) {
    c.update(|f| f.set_tls_hs(false));
    // The timeouts of the connection start now.
    rec.read_at.set(e.now.get());
    e.set_deadline(rec, e.limited.get().then_some(e.now.get()));
    if !rec.blocked.get() {
        push(e, c, rec, false);
    }
    call(c, MG_EV_TLS_HS, ptr::null_mut());
    if !c.is_gone() {
        ending::settle(e, c, rec);
    }
}

/// Encrypts and sends queued data, with one MG_EV_WRITE for the bytes accepted.
fn send_queued(e: &Engine, c: ConnRef, rec: &ConnState) {
    if !drive(e, c, rec) || with(rec, |t| t.session.is_handshaking()) != Some(false) || c.send_len() == 0 {
        return;
    }
    rec.flush_pending.set(false);
    let flags = c.flags();
    let out = c.send_info();
    // SAFETY: the connection's own buffer; nothing is called while the slice is in use.
    let data = unsafe { out.data() };
    // Nothing can follow close_notify, which may be waiting for buffer space: output that a handler adds meanwhile is dropped.
    let too_late = with(rec, |t| t.session.is_ending()) == Some(true);
    let mut taken = if too_late { data.len() } else { 0 };
    for _ in 0..BATCHES {
        let batch = &data[taken..data.len().min(taken + batch(e))];
        if batch.is_empty() {
            break;
        }
        if let Err(err) = encrypt(e, c, rec, batch) {
            fail(e, c, rec, &err);
            return;
        }
        taken += batch.len();
        if !push(e, c, rec, flags.is_streaming()) {
            break;
        }
    }
    if !too_late {
        plain::moved(e, rec, taken);
    }
    let shown = (flags.is_hexdumping() && !too_late).then(|| memory::copy(&data[..taken])).flatten();
    // SAFETY: as above; the removed bytes are overwritten, by the rest or by zeros.
    unsafe {
        iobuf::del(c.send(), 0, taken);
        if c.send_len() == 0 {
            e.buffers.return_send(c.send());
        }
    }
    if too_late {
        return;
    }
    if let Some(bytes) = shown {
        plain::dump(c, "->", &bytes);
    }
    call_count(c, MG_EV_WRITE, taken);
    if !c.is_gone() {
        ending::settle(e, c, rec);
    }
}

fn encrypt(e: &Engine, c: ConnRef, rec: &ConnState, data: &[u8]) -> Result<(), rustls::Error> {
    // SAFETY: the connection's own buffer; the session does not call the application.
    let input = unsafe { bytes::slice_mut((*c.rtls()).buf, (*c.rtls()).len) };
    let done = with(rec, |t| {
        if !t.session.out.has_block() {
            t.session.out.reuse(shared(e).spares.borrow_mut().pop().unwrap_or_default());
        }
        t.session.encrypt(input, data)
    });
    done.unwrap_or(Err(rustls::Error::HandshakeNotComplete))
}

/// Sends up to `len` bytes of a file. Like `sock::send_file`, in bytes of the file.
fn send_file(e: &Engine, c: ConnRef, rec: &ConnState, file: i32, at: u64, len: usize) -> Io {
    if !drive(e, c, rec) {
        return Io::Wait;
    }
    let mut block = shared(e).file.borrow_mut();
    let batch = batch(e);
    if block.len() != batch {
        let Some(new) = memory::zeroed(batch) else {
            drop(block);
            error(c, format_args!("OOM"));
            return Io::Wait;
        };
        *block = new;
    }
    let mut taken = 0;
    let end = loop {
        let want = batch.min(len - taken);
        if want == 0 {
            break Io::Done(taken);
        }
        match sock::read_at(file, at + taken as u64, &mut block[..want]) {
            Io::Done(n @ 1..) => {
                if let Err(err) = encrypt(e, c, rec, &block[..n]) {
                    log_at!(MG_LL_DEBUG, "{} TLS: {err}", c.id());
                    c.update(|f| f.set_closing(true));
                    break Io::Done(taken);
                }
                taken += n;
                if !push(e, c, rec, taken < len) {
                    break Io::Done(taken);
                }
            }
            _ if taken > 0 => break Io::Done(taken),
            other => break other,
        }
    };
    block.fill(0);
    end
}

/// Sends close_notify. True once it was sent, or cannot be.
fn send_close_notify(e: &Engine, c: ConnRef, rec: &ConnState) -> bool {
    close_notify(c, rec);
    push(e, c, rec, false) || c.flags().is_closing()
}

fn close_notify(c: ConnRef, rec: &ConnState) {
    // SAFETY: the connection's own buffer; the session does not call the application.
    let input = unsafe { bytes::slice_mut((*c.rtls()).buf, (*c.rtls()).len) };
    with(rec, |t| t.session.close(input));
}

/// The connection is about to be closed: sends close_notify if all output was sent.
fn close_notify_if_flushed(c: ConnRef, rec: &ConnState) {
    let fine = !matches!(rec.reason.get(), Reason::Reset | Reason::Error) && rec.fd.get() >= 0;
    if fine && stream::unsent(c) == 0 {
        close_notify(c, rec);
        with(rec, |t| {
            let out = t.session.out.bytes();
            if !out.is_empty() {
                // SAFETY: a slice of the session's block.
                unsafe { plain::offer(rec, out.as_ptr(), out.len(), false, usize::MAX) };
            }
        });
    }
}

/// Prevents close_notify, because not everything was sent.
fn suppress_close_notify(rec: &ConnState) {
    with(rec, |t| t.session.suppress_close_notify());
}

/// The peer has ended the TLS session but not the TCP stream, so more data may come.
fn may_send_more(rec: &ConnState) -> bool {
    with(rec, |t| t.session.is_closed()) == Some(true)
}

/// See `mg_tls_send`.
pub(crate) fn send(c: ConnRef, data: &[u8]) -> Io {
    let (Some(e), Some(rec)) = (c.engine(), c.rec()) else { return Io::Failed(0) };
    if !c.flags().is_secure() || c.is_gone() || c.flags().is_closing() || with(rec, |t| t.session.has_failed()) != Some(false) {
        return Io::Failed(0);
    }
    let ready = with(rec, |t| !t.session.is_handshaking()) == Some(true);
    if !ready || !drive(e, c, rec) {
        return if c.flags().is_closing() { Io::Failed(0) } else { Io::Wait };
    }
    let data = &data[..data.len().min(batch(e))];
    if encrypt(e, c, rec, data).is_err() {
        return Io::Failed(0);
    }
    push(e, c, rec, false);
    Io::Done(data.len())
}

/// See `mg_tls_recv`. Raises no event. `room` is not empty.
pub(crate) fn recv(c: ConnRef, room: &mut [u8]) -> Io {
    let Some(rec) = c.rec().filter(|_| c.flags().is_secure()) else { return Io::Failed(0) };
    if with(rec, |t| t.session.is_handshaking()) == Some(true) {
        return Io::Wait;
    }
    match advance(c, rec, room) {
        Some(Step::Data(n)) => Io::Done(n),
        Some(Step::Blocked) if with(rec, |t| t.session.is_closed()) == Some(false) => Io::Wait,
        _ => Io::Failed(0),
    }
}

/// See `mg_tls_flush` and `mg_tls_handshake`.
pub(crate) fn flush(c: ConnRef) {
    if let (Some(e), Some(rec)) = (c.engine(), c.rec()) {
        // The handshake begins when the handler has returned: until then it may read the clear-text input.
        if c.flags().is_secure() && with(rec, |t| t.session.is_started()) == Some(true) {
            drive(e, c, rec);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_all_its_bytes() {
        let bytes = [32, 1, 13, 184, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];
        let a = mg_addr { addr: mg_addr_bytes { ip: bytes }, ..mg_addr::ZERO };
        assert_eq!(ip(a), IpAddr::from([32, 1, 13, 184]));
        assert_eq!(ip(mg_addr { is_ip6: true, ..a }), IpAddr::from(bytes));
    }
}
