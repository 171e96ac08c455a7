//! DHCP (RFC 2131): messages, the state of a client, and a server with one address to lease. Pure: bytes in, values out.

#![forbid(unsafe_code)]

use super::wire::{be16, be32};

pub(super) const SERVER_PORT: u16 = 67;
pub(super) const CLIENT_PORT: u16 = 68;

const COOKIE: u32 = 0x6382_5363;
const OPTIONS: usize = 240;
/// Some relays and servers drop messages shorter than a BOOTP message.
const LEAST: usize = 300;
/// Buffer size for any message that we send.
pub(super) const MOST: usize = 360;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// Interval between unanswered messages; it grows after a few.
const RETRY_MS: u64 = 1_000;
const PATIENT: u32 = 10;
const LONG_RETRY_MS: u64 = 10_000;
/// Requests for one offer.
const REQUESTS: u32 = 4;
/// Minimum interval between two attempts to renew.
const RENEW_MS: u64 = 60_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Phase {
    #[default]
    Off,
    Discovering,
    Requesting,
    Bound,
    /// Asks the server that granted the lease.
    Renewing,
    /// Asks any server.
    Rebinding,
}

#[derive(Default)]
pub(super) struct Client {
    pub(super) phase: Phase,
    xid: u32,
    server: [u8; 4],
    address: [u8; 4],
    retry_at: u64,
    tries: u32,
    began: u64,
    t1: u64,
    t2: u64,
    ends: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// Broadcast this message.
    Broadcast,
    /// Send it to the server.
    Unicast([u8; 4]),
    /// The lease of the address has ended.
    Lost,
}

/// What a server grants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Lease {
    pub(super) ip: [u8; 4],
    pub(super) mask: [u8; 4],
    pub(super) router: Option<[u8; 4]>,
    pub(super) dns: Option<[u8; 4]>,
    pub(super) sntp: Option<[u8; 4]>,
    pub(super) ends: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// Request it at once.
    Offer,
    Granted(Lease),
    /// Refused: start over.
    Refused,
}

/// The contents of a client's messages besides their type.
pub(super) struct About<'a> {
    pub(super) mac: [u8; 6],
    pub(super) name: &'a [u8],
    pub(super) dns: bool,
    pub(super) sntp: bool,
}

fn option(msg: &[u8], code: u8) -> Option<&[u8]> {
    let mut rest = msg.get(OPTIONS..)?;
    loop {
        match *rest {
            [255, ..] | [] => return None,
            [0, ref more @ ..] => rest = more,
            [found, len, ref more @ ..] => {
                let (value, more) = more.split_at_checked(len.into())?;
                if found == code {
                    return Some(value);
                }
                rest = more;
            }
            [_] => return None,
        }
    }
}

fn address(msg: &[u8], code: u8) -> Option<[u8; 4]> {
    option(msg, code)?.first_chunk().copied()
}

fn number(msg: &[u8], code: u8) -> Option<u32> {
    address(msg, code).map(u32::from_be_bytes)
}

fn four(msg: &[u8], at: usize) -> [u8; 4] {
    be32(msg, at).to_be_bytes()
}

/// A message under construction.
struct Writer<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn new(buf: &mut [u8], op: u8, xid: u32, mac: [u8; 6]) -> Writer<'_> {
        buf.fill(0);
        buf[..3].copy_from_slice(&[op, 1, 6]);
        buf[4..8].copy_from_slice(&xid.to_be_bytes());
        buf[28..34].copy_from_slice(&mac);
        buf[236..240].copy_from_slice(&COOKIE.to_be_bytes());
        Writer { buf, at: OPTIONS }
    }

    fn option(&mut self, code: u8, value: &[u8]) {
        self.buf[self.at] = code;
        self.buf[self.at + 1] = value.len() as u8;
        self.at += 2;
        self.buf[self.at..self.at + value.len()].copy_from_slice(value);
        self.at += value.len();
    }

    fn end(self) -> usize {
        self.buf[self.at] = 255;
        (self.at + 1).max(LEAST)
    }
}

impl Client {
    /// Starts asking for an address. `xid` is random.
    pub(super) fn start(&mut self, now: u64, xid: u32) {
        *self = Client { phase: Phase::Discovering, xid, began: now, retry_at: now, ..Client::default() };
    }

    pub(super) fn stop(&mut self) {
        self.phase = Phase::Off;
    }

    /// The action that is due now. After `Lost`, start the client again.
    pub(super) fn due(&mut self, now: u64) -> Option<Action> {
        match self.phase {
            Phase::Off => return None,
            Phase::Bound if now < self.t1 => return None,
            Phase::Bound | Phase::Renewing | Phase::Rebinding if now >= self.ends => {
                self.phase = Phase::Off;
                return Some(Action::Lost);
            }
            Phase::Bound => {
                self.phase = Phase::Renewing;
                self.began = now;
                self.retry_at = now;
            }
            Phase::Renewing if now >= self.t2 => {
                self.phase = Phase::Rebinding;
                self.retry_at = now;
            }
            _ => {}
        }
        if now < self.retry_at {
            return None;
        }
        self.tries = self.tries.saturating_add(1);
        let half = |end: u64| now.saturating_add((end.saturating_sub(now) / 2).max(RENEW_MS)).min(end);
        match self.phase {
            Phase::Discovering => {
                self.retry_at = now.saturating_add(if self.tries <= PATIENT { RETRY_MS } else { LONG_RETRY_MS });
            }
            Phase::Requesting => {
                if self.tries > REQUESTS {
                    self.phase = Phase::Off;
                    return Some(Action::Lost);
                }
                self.retry_at = now.saturating_add(RETRY_MS << self.tries.min(4));
            }
            Phase::Renewing => {
                self.retry_at = half(self.t2);
                return Some(Action::Unicast(self.server));
            }
            Phase::Rebinding => self.retry_at = half(self.ends),
            Phase::Off | Phase::Bound => return None,
        }
        Some(Action::Broadcast)
    }

    /// Writes the message that is due and returns its length.
    pub(super) fn write(&self, now: u64, about: &About, buf: &mut [u8; MOST]) -> usize {
        let mut w = Writer::new(buf, 1, self.xid, about.mac);
        let secs = (now.saturating_sub(self.began) / 1000).min(0xffff) as u16;
        w.buf[8..10].copy_from_slice(&secs.to_be_bytes());
        let renews = matches!(self.phase, Phase::Renewing | Phase::Rebinding);
        if renews {
            w.buf[12..16].copy_from_slice(&self.address);
        } else {
            // A server cannot send a reply to an address that we do not have yet.
            w.buf[10] = 0x80;
        }
        w.option(53, &[if self.phase == Phase::Discovering { DISCOVER } else { REQUEST }]);
        if self.phase == Phase::Requesting {
            w.option(54, &self.server);
            w.option(50, &self.address);
        }
        if !about.name.is_empty() {
            w.option(12, &about.name[..about.name.len().min(63)]);
        }
        let mut wanted = [1, 3, 0, 0];
        let mut n = 2;
        for code in [(about.dns, 6), (about.sntp, 42)].into_iter().filter_map(|(on, code)| on.then_some(code)) {
            wanted[n] = code;
            n += 1;
        }
        w.option(55, &wanted[..n]);
        w.end()
    }

    /// Interprets a message to us.
    pub(super) fn input(&mut self, now: u64, mac: [u8; 6], msg: &[u8]) -> Option<Answer> {
        let ours = msg.len() > OPTIONS
            && msg[..3] == [2, 1, 6]
            && be32(msg, 4) == self.xid
            && msg[28..34] == mac
            && be32(msg, 236) == COOKIE;
        let kind = *option(msg, 53).filter(|_| ours)?.first()?;
        let ip = four(msg, 16);
        let server = address(msg, 54);
        let usable = ip != [0; 4] && ip[0] != 127 && ip[0] < 224;
        match (self.phase, kind) {
            (Phase::Discovering, OFFER) if usable => {
                (self.server, self.address) = (server?, ip);
                (self.phase, self.tries, self.retry_at) = (Phase::Requesting, 0, now);
                Some(Answer::Offer)
            }
            (Phase::Requesting, ACK) if server.is_some_and(|s| s != self.server) => None,
            (Phase::Requesting | Phase::Renewing | Phase::Rebinding, ACK) if usable => {
                let seconds = number(msg, 51)?;
                let lease = u64::from(seconds) * 1000;
                let ends = if seconds == u32::MAX { u64::MAX } else { now.saturating_add(lease) };
                let at = |code: u8, part: u64| match number(msg, code) {
                    Some(s) if u64::from(s) * 1000 <= lease => now.saturating_add(u64::from(s) * 1000),
                    _ if ends == u64::MAX => u64::MAX,
                    _ => now.saturating_add(part),
                };
                (self.t1, self.t2, self.ends) = (at(58, lease / 2), at(59, lease / 8 * 7), ends);
                self.t2 = self.t2.min(self.ends);
                self.t1 = self.t1.min(self.t2);
                self.server = server.unwrap_or(self.server);
                (self.phase, self.address, self.tries) = (Phase::Bound, ip, 0);
                Some(Answer::Granted(Lease {
                    ip,
                    mask: address(msg, 1).unwrap_or(class_mask(ip)),
                    router: address(msg, 3).filter(|r| *r != [0; 4]),
                    dns: address(msg, 6).filter(|r| *r != [0; 4]),
                    sntp: address(msg, 42).filter(|r| *r != [0; 4]),
                    ends,
                }))
            }
            (Phase::Requesting | Phase::Renewing | Phase::Rebinding, NAK)
                if self.phase == Phase::Rebinding || server.is_none_or(|s| s == self.server) =>
            {
                self.phase = Phase::Off;
                Some(Answer::Refused)
            }
            _ => None,
        }
    }
}

/// The mask of a classful network.
fn class_mask(ip: [u8; 4]) -> [u8; 4] {
    match ip[0] {
        0..128 => [255, 0, 0, 0],
        128..192 => [255, 255, 0, 0],
        _ => [255, 255, 255, 0],
    }
}

/// The reply of a server that leases the address after its own.
pub(super) struct Reply {
    pub(super) len: usize,
    pub(super) to_mac: [u8; 6],
    /// The destination: broadcast, or the given address.
    pub(super) to: [u8; 4],
    /// The client has accepted the address.
    pub(super) granted: Option<[u8; 4]>,
}

/// Replies to a client. None: not for us.
pub(super) fn serve(msg: &[u8], own: [u8; 4], mask: [u8; 4], buf: &mut [u8; MOST]) -> Option<Reply> {
    if msg.len() <= OPTIONS || msg[..3] != [1, 1, 6] || be32(msg, 236) != COOKIE || own == [0; 4] {
        return None;
    }
    let kind = *option(msg, 53)?.first()?;
    let ip = [own[0], own[1], own[2], own[3].wrapping_add(1)];
    let mac: [u8; 6] = msg[28..34].try_into().ok()?;
    let answer = match kind {
        DISCOVER => OFFER,
        REQUEST => {
            if address(msg, 54).is_some_and(|server| server != own) {
                return None;
            }
            let wanted = address(msg, 50).unwrap_or(four(msg, 12));
            if wanted == ip { ACK } else { NAK }
        }
        _ => return None,
    };
    let mut w = Writer::new(buf, 2, be32(msg, 4), mac);
    w.buf[10..12].copy_from_slice(&be16(msg, 10).to_be_bytes());
    w.option(53, &[answer]);
    w.option(54, &own);
    if answer != NAK {
        w.buf[16..20].copy_from_slice(&ip);
        w.buf[20..24].copy_from_slice(&own);
        w.option(1, &mask);
        w.option(12, b"mip");
        w.option(51, &[255; 4]);
    }
    let to = if answer == ACK { ip } else { [255; 4] };
    Some(Reply { len: w.end(), to_mac: mac, to, granted: (answer == ACK).then_some(ip) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 1, 2, 3, 4, 5];
    const ABOUT: About<'static> = About { mac: MAC, name: b"mip", dns: true, sntp: false };

    fn answer(c: &Client, kind: u8, options: &[(u8, &[u8])]) -> Vec<u8> {
        let mut buf = [0; MOST];
        let mut w = Writer::new(&mut buf, 2, c.xid, MAC);
        w.buf[16..20].copy_from_slice(&[10, 0, 0, 7]);
        w.option(53, &[kind]);
        options.iter().for_each(|(code, value)| w.option(*code, value));
        let n = w.end();
        buf[..n].to_vec()
    }

    fn bound(lease: u32) -> Client {
        let mut c = Client::default();
        c.start(0, 0x1234_5678);
        assert_eq!(c.due(0), Some(Action::Broadcast));
        assert_eq!(c.input(5, MAC, &answer(&c, OFFER, &[(54, &[10, 0, 0, 1])])), Some(Answer::Offer));
        assert_eq!(c.due(5), Some(Action::Broadcast));
        let ack = answer(&c, ACK, &[(54, &[10, 0, 0, 1]), (51, &lease.to_be_bytes()), (1, &[255, 255, 255, 0])]);
        assert!(matches!(c.input(10, MAC, &ack), Some(Answer::Granted(l)) if l.router.is_none() && l.ip == [10, 0, 0, 7]));
        c
    }

    #[test]
    fn a_lease_is_renewed_at_half_its_time_then_rebound_then_lost() {
        let mut c = bound(1000);
        assert_eq!(c.due(500_009), None);
        assert_eq!(c.due(500_010), Some(Action::Unicast([10, 0, 0, 1])));
        assert_eq!(c.due(500_011), None);
        assert_eq!(c.due(875_010), Some(Action::Broadcast));
        assert_eq!(c.due(1_000_010), Some(Action::Lost));
    }

    #[test]
    fn a_lost_ack_is_asked_for_again_and_then_all_begins_anew() {
        let mut c = Client::default();
        c.start(0, 1);
        c.due(0);
        c.input(0, MAC, &answer(&c, OFFER, &[(54, &[10, 0, 0, 1])]));
        let mut sent = 0;
        let mut now = 0;
        while c.due(now) != Some(Action::Lost) {
            sent += u32::from(c.retry_at > now);
            now = c.retry_at.max(now + 1);
        }
        assert!(sent >= 3 && now < 120_000, "{sent} {now}");
    }

    #[test]
    fn messages_for_others_are_not_looked_at() {
        let mut c = Client::default();
        c.start(0, 7);
        let offer = answer(&c, OFFER, &[(54, &[10, 0, 0, 1])]);
        assert_eq!(c.input(0, [9; 6], &offer), None);
        let mut other = offer.clone();
        other[7] ^= 1;
        assert_eq!(c.input(0, MAC, &other), None);
        for n in 0..offer.len().min(OPTIONS + 3) {
            assert_eq!(c.input(0, MAC, &offer[..n]), None, "{n}");
        }
        assert_eq!(c.input(0, MAC, &offer), Some(Answer::Offer));
    }

    #[test]
    fn a_refusal_counts_in_every_phase_with_a_lease() {
        let mut c = bound(1000);
        c.due(500_010);
        let nak = answer(&c, NAK, &[(54, &[10, 0, 0, 1])]);
        assert_eq!(c.input(500_020, MAC, &nak), Some(Answer::Refused));
    }

    #[test]
    fn an_endless_lease_is_never_renewed() {
        let mut c = bound(u32::MAX);
        assert_eq!(c.due(u64::MAX - 1), None);
    }

    #[test]
    fn the_server_gives_its_own_address_plus_one_to_our_client() {
        let (own, mask) = ([192, 168, 9, 1], [255, 255, 255, 0]);
        let (mut c, mut ask, mut say) = (Client::default(), [0; MOST], [0; MOST]);
        c.start(0, 77);
        let mut granted = None;
        for _ in 0..2 {
            c.due(0);
            let n = c.write(0, &ABOUT, &mut ask);
            let reply = serve(&ask[..n], own, mask, &mut say).unwrap();
            granted = reply.granted;
            c.input(0, MAC, &say[..reply.len]).unwrap();
        }
        assert_eq!((granted, c.phase), (Some([192, 168, 9, 2]), Phase::Bound));
        assert!(serve(&ask[..239], own, mask, &mut say).is_none());
    }

    #[test]
    fn options_that_do_not_fit_are_none() {
        let mut msg = vec![0; OPTIONS];
        msg.extend([53, 9, 1]);
        assert_eq!(option(&msg, 53), None);
        msg.truncate(OPTIONS);
        msg.extend([0, 0, 53]);
        assert_eq!(option(&msg, 53), None);
        msg.extend([1, 5, 255]);
        assert_eq!(option(&msg, 53), Some(&[5][..]));
    }
}
