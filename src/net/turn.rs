//! One connection's turn in a poll: MG_EV_POLL, then what is due - accept, finish connecting, read, write - and then whether
//! it ends.

use super::conn;
use super::drain::{self, Verdict, View};
use super::engine::{Engine, Reason, Rec, count};
use super::event::{call_count, call_user, error};
use super::handle::Conn;
use super::poller;
use super::sock::{self, Io};
use super::stream;
use super::tls;
use crate::abi::*;
use crate::guard::iobuf;
use crate::sys::log::{hexdump, log_error, log_info};
use core::ffi::c_void;
use core::ptr;

/// Reads of one connection in one turn, so that a fast sender does not starve the others.
pub(crate) const READS: usize = 16;

/// # Safety
/// `c` is on the list of `e`'s manager and a frame is open.
#[inline]
pub(crate) fn turn(e: &Engine, c: Conn) {
    let before = c.flags();
    let resp_before = before.is_resp();
    poll_event(e, c);
    if c.is_closed() {
        return;
    }
    let after = c.flags();
    let answered = resp_before && !after.is_resp();
    // All that most connections ever need: no record is touched.
    if !answered && !before.is_busy() && !after.is_busy() && c.send_len() == 0 {
        return;
    }
    match c.rec() {
        Some(rec) => busy_turn(e, c, rec, answered),
        // A connection that the program linked itself has no socket of ours.
        None if after.is_closing() || after.is_draining() && c.send_len() == 0 => conn::close(c),
        None => {}
    }
}

/// MG_EV_POLL, past a protocol handler that has nothing to do on it.
#[inline]
fn poll_event(e: &Engine, c: Conn) {
    let mut now = e.now.get();
    let data: *mut c_void = (&raw mut now).cast();
    if let Some(pfn) = c.pfn() {
        if !e.quiet_pfns.get().contains(&(pfn as usize)) || c.recv_len() > 0 {
            // SAFETY: a handler that the program or the library installed for this connection.
            unsafe { pfn(c.as_ptr(), MG_EV_POLL, data) };
            if c.is_closed() {
                return;
            }
        }
    }
    if !c.flags().is_quiet() {
        call_user(c, MG_EV_POLL, data);
    }
}

fn busy_turn(e: &Engine, c: Conn, rec: &Rec, answered: bool) {
    e.current.set(c.as_ptr());
    io(e, c, rec, answered);
    if !e.is_dead() && !c.is_closed() {
        c.update(|f| {
            f.set_readable(false);
            f.set_writable(false);
        });
        conclude(e, c, rec);
    }
    if !e.is_dead() {
        e.current.set(ptr::null_mut());
    }
}

fn io(e: &Engine, c: Conn, rec: &Rec, answered: bool) {
    if answered && (e.compat.get() || !c.flags().is_draining()) {
        call_count(c, MG_EV_READ, 0);
    }
    settle(e, c, rec);
    let flags = c.flags();
    if c.is_closed() || flags.is_resolving() && rec.fd.get() < 0 || flags.is_closing() {
        return;
    }
    if flags.is_listening() && !flags.is_udp() {
        if rec.readable.get() {
            conn::accept(e, c, rec);
        }
    } else if flags.is_connecting() {
        if flags.is_readable() || flags.is_writable() {
            rec.blocked.set(false);
            conn::finish_connecting(c);
            if !e.is_dead() && !c.is_closed() && rec.readable.get() {
                // The server spoke first: no other event will tell.
                e.hold(rec);
            }
        }
    } else {
        if c.as_ptr() == e.wakeup_conn.get() {
            rec.readable.set(false);
            super::wakeup::deliver(e);
        } else if flags.is_secure() {
            tls::turn(e, c, rec);
        } else if rec.readable.get() {
            read(e, c, rec);
        }
        if !e.is_dead() && !c.is_closed() {
            flush(e, c, rec);
        }
    }
}

/// What the engine does right after the outermost handler has returned: a drain that it sets takes effect.
pub(crate) fn settle(e: &Engine, c: Conn, rec: &Rec) {
    let flags = c.flags();
    if !flags.is_draining() || c.is_closed() {
        return;
    }
    rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
    if e.compat.get() {
        return;
    }
    super::announce::announce(c, rec);
    if c.recv_len() > 0 && !flags.is_udp() {
        // SAFETY: the connection's own buffer; what was not handled yet is dropped.
        unsafe { iobuf::del(c.recv(), 0, usize::MAX) };
    }
}

/// Room for the next read. False when there can be none: an error was raised, or the protocol handler knew what to do.
pub(crate) fn make_room(e: &Engine, c: Conn, rec: &Rec) -> bool {
    let (io, max, step) = (c.recv(), e.options.borrow().max_recv_size, e.io_size());
    let now = c.recv_info();
    if now.len >= max {
        if !e.at_limit.get().is_some_and(|handled| handled(c)) {
            error(c, format_args!("MG_MAX_RECV_SIZE"));
        }
        return false;
    }
    if now.size > now.len {
        return true;
    }
    // SAFETY: the connection's own buffer.
    let ok = unsafe {
        if now.buf.is_null() {
            rec.recv_used.set(0);
            e.buffers.lend_recv(io, step)
        } else {
            now.size.checked_add(step).is_some_and(|n| iobuf::resize(io, n))
        }
    };
    if !ok {
        error(c, format_args!("OOM"));
    }
    ok
}

/// Requests that wait behind the one being answered may fill this much; the rest stays with the peer.
const PIPELINE: usize = 64 * 1024;

/// Whether nothing may be read for now.
pub(crate) fn is_paused(e: &Engine, c: Conn) -> bool {
    let flags = c.flags();
    let http = || flags.is_streaming() || c.pfn().map(|f| f as usize) == Some(e.quiet_pfns.get()[0]);
    let piled_up = || c.recv_len() >= PIPELINE.min(e.options.borrow().max_recv_size) && http();
    let choked = || c.rec().is_some_and(|rec| rec.choked.get() != 0 && c.pfn().map(|f| f as usize) == Some(rec.choked.get()));
    flags.is_full()
        || flags.is_draining() && !e.compat.get()
        || flags.is_resp() && piled_up()
        || c.send_len() > 0 && flags.is_accepted() && choked()
}

fn read(e: &Engine, c: Conn, rec: &Rec) {
    let udp = c.flags().is_udp();
    for _ in 0..READS {
        // After an upgrade to TLS in a handler the rest is not for this function.
        if is_paused(e, c) || c.flags().is_closing() || rec.eof.get() || c.flags().is_secure() {
            break;
        }
        // A buffer that is full to the limit is no error before more has come.
        if !udp && c.recv_len() >= e.options.borrow().max_recv_size && !sock::has_input(rec.fd.get()) {
            rec.readable.set(false);
            break;
        }
        if rec.http.more.take() || !make_room(e, c, rec) {
            break;
        }
        let buf = c.recv_info();
        let room = buf.size - buf.len;
        // SAFETY: room bytes behind the data belong to the buffer.
        let got = unsafe {
            let at = buf.buf.add(buf.len);
            if udp {
                let (got, from) = sock::recv_from(rec.fd.get(), at, room);
                if matches!(got, Io::Done(1..)) {
                    c.set_rem(from);
                }
                got
            } else {
                sock::recv(rec.fd.get(), at, room)
            }
        };
        match got {
            Io::Done(0) if udp => continue,
            Io::Done(0) => {
                rec.eof.set(true);
                rec.readable.set(false);
                rec.drain_since.set(rec.drain_since.get().or(Some(e.now.get())));
                c.update(|f| f.set_half_closed());
            }
            Io::Done(n) => {
                // A read that did not fill the buffer has emptied the socket, unless the end of the stream is behind it, or
                // it took one message of several: nobody knows what a program has wrapped.
                rec.readable.set(udp || !rec.own.get() || n == room || rec.hup.get());
                received(e, c, rec, n);
            }
            Io::Wait => rec.readable.set(false),
            Io::Failed(_) => {
                rec.readable.set(false);
                rec.reason.set(Reason::Reset);
                c.update(|f| f.set_closing(true));
            }
        }
        if e.is_dead() || c.is_closed() || !rec.readable.get() {
            break;
        }
        if udp && c.send_len() > 0 {
            // What was printed goes to this sender, not to the next one.
            break;
        }
    }
    if e.is_dead() || c.is_closed() {
        return;
    }
    if rec.readable.get() {
        e.hold(rec);
    }
    if c.recv_len() == 0 {
        // SAFETY: the connection's own buffer, empty.
        unsafe { e.buffers.return_recv(c.recv(), e.io_size(), rec.recv_used.get()) };
    }
}

/// `n` bytes were put behind the data of the receive buffer.
pub(crate) fn received(e: &Engine, c: Conn, rec: &Rec, n: usize) {
    let io = c.recv();
    // SAFETY: the connection's own buffer; the bytes lie inside its capacity.
    unsafe {
        let old = (*io).len;
        if old == 0 {
            rec.head_began.set(e.now.get());
        }
        rec.read_at.set(e.now.get());
        count(&e.stats.bytes_in, n as u64);
        (*io).len += n;
        rec.recv_used.set(rec.recv_used.get().max((*io).len));
        if (*io).len < (*io).size {
            // Handlers scan past the data with atoi, strtol, strstr.
            *(*io).buf.add((*io).len) = 0;
            rec.recv_used.set(rec.recv_used.get().max((*io).len + 1).min((*io).size));
        }
        if c.flags().is_hexdumping() {
            // A copy: the log may go where it moves the buffer.
            let bytes = (*io).data()[old..].to_vec();
            dump(c, "<-", &bytes);
        }
    }
    call_count(c, MG_EV_READ, n);
    if !e.is_dead() {
        settle(e, c, rec);
    }
}

pub(crate) fn dump(c: Conn, arrow: &str, data: &[u8]) {
    log_info!("{} {} {arrow} {} {}", c.id(), Addr(c.loc()), Addr(c.rem()), data.len());
    hexdump(data);
}

/// An address as `mg_print_ip_port` shows it.
pub(crate) struct Addr(pub(crate) mg_addr);

impl core::fmt::Display for Addr {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (ip, port) = (self.0.ip(), u16::from_be(self.0.port));
        if !self.0.is_ip6 {
            return write!(f, "{}.{}.{}.{}:{port}", ip[0], ip[1], ip[2], ip[3]);
        }
        f.write_str("[")?;
        for (i, pair) in ip.chunks_exact(2).enumerate() {
            write!(f, "{}{:x}", if i > 0 { ":" } else { "" }, u16::from_be_bytes([pair[0], pair[1]]))?;
        }
        write!(f, "]:{port}")
    }
}

/// Whether this kind of connection, in this state, can send at all. What programs write to a listener stays where it is.
pub(crate) fn can_send(flags: Flags) -> bool {
    !flags.is_connecting() && !flags.is_resolving() && !flags.is_tls_hs() && (!flags.is_listening() || flags.is_udp())
}

/// Tells the program once when more output is queued than it wanted, and again after it fell below half.
fn press(e: &Engine, c: Conn, rec: &Rec) {
    let most = e.limits.get().max_send_queue;
    let mut queued = c.send_len();
    if most == 0 || rec.pressed.get() && queued >= most / 2 {
        return;
    }
    rec.pressed.set(queued > most);
    if queued > most {
        super::event::call(c, mgx_event::MGX_EV_BACKPRESSURE as i32, (&raw mut queued).cast());
    }
}

/// Sends what is queued, and goes on with a file.
pub(crate) fn flush(e: &Engine, c: Conn, rec: &Rec) {
    if e.limited.get() && !c.is_closed() {
        press(e, c, rec);
        if e.is_dead() {
            return;
        }
    }
    send_queued(e, c, rec);
    if !e.is_dead() && !c.is_closed() && c.flags().is_streaming() {
        stream::go_on(e, c, rec);
    }
}

/// One send, and MG_EV_WRITE for what it took.
pub(crate) fn send_queued(e: &Engine, c: Conn, rec: &Rec) {
    let flags = c.flags();
    if flags.is_secure() {
        return tls::send_queued(e, c, rec);
    }
    let out = c.send_info();
    if out.len == 0 || rec.blocked.get() || flags.is_closed() || flags.is_closing() || !can_send(flags) {
        return;
    }
    if c.as_ptr() == e.wakeup_conn.get() {
        // A program wrote to every connection on the list.
        // SAFETY: the connection's own buffer.
        return unsafe { e.buffers.return_send(c.send()) };
    }
    // What MG_EV_WRITE queues waits for the next poll.
    rec.dirty.set(false);
    // SAFETY: len bytes at buf are the connection's output.
    let sent = unsafe {
        if flags.is_udp() {
            sock::send_to(rec.fd.get(), out.buf, out.len, &c.rem())
        } else {
            sock::send(rec.fd.get(), out.buf, out.len, flags.is_streaming())
        }
    };
    match sent {
        Io::Done(n) => {
            // A datagram goes whole or not at all.
            let n = if flags.is_udp() { out.len } else { n };
            moved(e, rec, n);
            // SAFETY: n bytes at buf were just sent.
            let shown = flags.is_hexdumping().then(|| unsafe { crate::guard::bytes::slice(out.buf, n) }.to_vec());
            if n < out.len {
                // SAFETY: the rest lies inside the buffer; nobody was called since its length was read.
                unsafe {
                    ptr::copy(out.buf.add(n), out.buf, out.len - n);
                    (*c.send()).len -= n;
                }
                block(e, c, rec);
            } else {
                // SAFETY: all of it was sent.
                unsafe { e.buffers.return_send(c.send()) };
            }
            if let Some(bytes) = shown {
                dump(c, "->", &bytes);
            }
            call_count(c, MG_EV_WRITE, n);
            if !e.is_dead() && !c.is_closed() {
                settle(e, c, rec);
            }
        }
        Io::Wait => block(e, c, rec),
        Io::Failed(_) => {
            rec.reason.set(Reason::Reset);
            c.update(|f| f.set_closing(true));
        }
    }
}

/// The kernel took `n` bytes.
pub(crate) fn moved(e: &Engine, rec: &Rec, n: usize) {
    rec.sent.set(rec.sent.get() + n as u64);
    count(&e.stats.bytes_out, n as u64);
    rec.progress_at.set(e.now.get());
}

/// The kernel takes no more: an event will say when it does.
pub(crate) fn block(e: &Engine, c: Conn, rec: &Rec) {
    if !rec.blocked.replace(true) {
        // From now on it stands still.
        rec.progress_at.set(e.now.get());
    }
    if !rec.armed.replace(true) {
        let token = poller::token(rec.slot.get(), rec.generation.get());
        if let Err(err) = e.poller.borrow().arm_writable(rec.fd.get(), token) {
            log_error!("{} cannot watch descriptor {}: {err}", c.id(), rec.fd.get());
            c.update(|f| f.set_closing(true));
        }
    }
}

/// Whether bytes wait to be sent.
pub(crate) fn has_output(c: Conn, rec: &Rec) -> bool {
    c.send_len() > 0 || c.flags().is_secure() && tls::unsent(rec) > 0
}

/// What is known about the end of this connection.
pub(crate) fn view(e: &Engine, c: Conn, rec: &Rec) -> View {
    let flags = c.flags();
    let queued = c.queued(rec);
    if queued != rec.queued_seen.get() {
        rec.queued_seen.set(queued);
        rec.queued_at.set(e.now.get());
    }
    View {
        draining: flags.is_draining(),
        eof: rec.eof.get(),
        pending: has_output(c, rec) || flags.is_streaming() && rec.blocked.get(),
        responding: flags.is_resp() && flags.is_accepted(),
        begun: queued > rec.http.mark.get(),
        streaming: flags.is_streaming(),
        since: rec.drain_since.get().unwrap_or(e.now.get()),
        progress_at: rec.progress_at.get(),
        queued_at: rec.queued_at.get(),
        now: e.now.get(),
        terms: rec.terms(),
    }
}

/// The end of a turn: closes the connection, or says when to look again.
fn conclude(e: &Engine, c: Conn, rec: &Rec) {
    let flags = c.flags();
    if flags.is_closing() {
        return conn::close(c);
    }
    if flags.is_draining() && (flags.is_listening() || flags.is_udp() && c.send_len() == 0) {
        rec.reason.set(Reason::Drained);
        return conn::close(c);
    }
    if !flags.is_draining() && !rec.eof.get() {
        // Perhaps a drain was taken back.
        rec.drain_since.set(None);
        return;
    }
    settle(e, c, rec);
    let mut verdict = drain::judge(view(e, c, rec));
    if flags.is_secure() && matches!(verdict, Verdict::Close(Reason::Drained | Reason::PeerClosed)) && !tls::farewell(e, c, rec) {
        verdict = drain::judge(view(e, c, rec));
    }
    match verdict {
        Verdict::Live => {}
        Verdict::Wait(at) => e.set_deadline(rec, Some(at)),
        Verdict::Close(reason) => {
            rec.flushed.set(matches!(reason, Reason::Drained | Reason::PeerClosed));
            // A limit or a time-out that began the drain is what the program wants to hear of.
            if rec.reason.get() == Reason::None || !rec.flushed.get() {
                rec.reason.set(reason);
            }
            conn::close(c);
        }
    }
}

/// Whether the connection has something to do although no event came for it: then the poll does not sleep.
pub(crate) fn is_due(e: &Engine, c: Conn) -> bool {
    let flags = c.flags();
    if flags.is_closing() {
        return true;
    }
    if c.send_len() == 0 && !flags.is_draining() && !flags.is_half_closed() && !flags.is_streaming() {
        return false;
    }
    let Some(rec) = c.rec() else { return false };
    let ends = || flags.is_listening() || matches!(drain::judge(view(e, c, rec)), Verdict::Close(_));
    if (flags.is_draining() || rec.eof.get()) && ends() {
        return true;
    }
    (c.send_len() > 0 || flags.is_streaming()) && !rec.blocked.get() && can_send(flags)
}
