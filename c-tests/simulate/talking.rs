//! Conversations as they go on. The peer follows its script; what it says becomes the list of events that the program must see, and
//! what the program says, with what the protocol answers for it, the list of what the peer must hear: each once, whole and in order.

use crate::client::{Over, PATIENCE_US};
use crate::codec::{self, Item};
use crate::ffi::*;
use crate::line::{Line, Secure};
use crate::message::body;
use crate::program::Ports;
use crate::talk::{Ask, Framing, Kind, Message, PINGREQ, SUBSCRIBE, Say, Talk};
use crate::wire::{self, Read, call_in, now_us};
use core::ffi::c_int;

struct Expected {
    ev: c_int,
    item: Item,
    /// Where in the peer's stream it ends.
    end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Hello,
    Open,
    /// The peer has said goodbye.
    Bye,
}

pub(crate) struct Talking {
    index: usize,
    token: u64,
    /// Of the peer: its own, or where it listens.
    pub(crate) port: u16,
    pub(crate) line: Option<Line>,
    inbox: Vec<u8>,
    phase: Phase,
    step: usize,
    out: Vec<u8>,
    out_at: usize,
    written: u64,
    write_at: u64,
    pause_until: Option<u64>,
    deaf_until: u64,
    waits_since: Option<u64>,
    broken: bool,
    shut: bool,
    is_half: bool,
    /// Heads have been exchanged.
    is_upgraded: bool,
    messages: usize,
    id: u16,
    expected: Vec<Expected>,
    pub(crate) seen: usize,
    said: Vec<Item>,
    pub(crate) heard: usize,
    /// A Close frame: its code.
    pub(crate) close: Option<u16>,
    pub(crate) over: Option<Over>,
    pub(crate) wrong: Option<String>,
    /// Some of what was said may be missing: an allocation has failed.
    pub(crate) is_lossy: bool,
    // The program's side.
    pub(crate) conn: Option<Id>,
    pub(crate) is_open: bool,
    pub(crate) got: usize,
    pub(crate) ticked: usize,
    pub(crate) asked: usize,
    pub(crate) said_bye: bool,
    pub(crate) started: bool,
}

impl Talking {
    pub(crate) fn new(index: usize, token: u64) -> Talking {
        Talking {
            index,
            token,
            port: 0,
            line: None,
            inbox: Vec::new(),
            phase: Phase::Hello,
            step: 0,
            out: Vec::new(),
            out_at: 0,
            written: 0,
            write_at: 0,
            pause_until: None,
            deaf_until: 0,
            waits_since: None,
            broken: false,
            shut: false,
            is_half: false,
            is_upgraded: false,
            messages: 0,
            id: 0,
            expected: Vec::new(),
            seen: 0,
            said: Vec::new(),
            heard: 0,
            close: None,
            over: None,
            wrong: None,
            is_lossy: false,
            conn: None,
            is_open: false,
            got: 0,
            ticked: 0,
            asked: 0,
            said_bye: false,
            started: false,
        }
    }

    /// Bytes of a message, of the peer's or of the program's.
    pub(crate) fn payload(&self, from_program: bool, number: usize, len: usize) -> Vec<u8> {
        body(self.index * 1000 + number * 2 + usize::from(from_program), 0, len)
    }

    fn wrong(&mut self, text: String) {
        self.wrong.get_or_insert(text);
    }

    pub(crate) fn end(&mut self, how: Over) {
        self.over = Some(how);
        if let Some(line) = &mut self.line {
            line.close();
        }
    }

    // ---- what the program sees and says

    /// An event at the program. What it came to be wrong about.
    pub(crate) fn sees(&mut self, ev: c_int, item: &Item) -> Result<(), String> {
        call_in(self.token, 0);
        let next = self.expected.get(self.seen);
        match next.filter(|e| e.ev == ev && e.item == *item) {
            Some(_) => {
                self.seen += 1;
                Ok(())
            }
            None => {
                let next = next.map(|e| (e.ev, &e.item));
                Err(format!("talk {}: event {ev} of {item:?} in place of {next:?}, number {}", self.index, self.seen))
            }
        }
    }

    /// Whether the next event carries these bytes and more.
    pub(crate) fn awaits_more(&self, part: &[u8]) -> bool {
        self.expected.get(self.seen).is_some_and(|e| e.item.data.len() > part.len() && e.item.data.starts_with(part))
    }

    pub(crate) fn says(&mut self, item: Item) {
        self.said.push(item);
    }

    pub(crate) fn said(&self) -> usize {
        self.said.len()
    }

    // ---- the peer

    fn expect(&mut self, ev: c_int, item: Item) {
        let end = self.written + (self.out.len() - self.out_at) as u64;
        self.expected.push(Expected { ev, item, end });
    }

    /// Something may have happened.
    pub(crate) fn act(&mut self, talk: &Talk, ports: &Ports) {
        if self.over.is_some() || self.wrong.is_some() {
            return;
        }
        if self.line.is_none() {
            let secure = usize::from(talk.secure != Secure::No);
            self.line = match talk.kind {
                _ if talk.ours_asks => match wire::accept(self.token, self.token) {
                    Some(wire) => Some(Line::accepted(wire, talk.secure)),
                    None => return,
                },
                Kind::Mqtt(_) => Some(Line::connect(self.token, ports.mqtt[secure], talk.secure)),
                _ => Some(Line::connect(self.token, ports.http[secure], talk.secure)),
            };
            self.started = true;
            if !talk.ours_asks {
                self.hello(talk);
            }
        }
        let Some(line) = &mut self.line else { return };
        let wire = line.wire();
        if !talk.ours_asks {
            self.port = wire.local_port();
        }
        if !wire.is_connected() {
            if wire.is_reset() {
                self.end(Over::Refused);
            }
            return;
        }
        line.flush();
        let now = now_us();
        if now >= self.deaf_until && !self.read(talk, now) {
            return;
        }
        while self.wrong.is_none() && self.step(talk, now) {}
    }

    /// A client's first words.
    fn hello(&mut self, talk: &Talk) {
        match talk.kind {
            Kind::Mqtt(version) => {
                let props: &[u8] = if version == 5 { &[0] } else { &[] };
                codec::packet(&mut self.out, 0x10, &[b"\0\x04MQTT", &[version, 2, 0, 60], props, b"\0\x01a"]);
                self.expect(MG_EV_MQTT_CMD, Item::new(0x10, 0, b""));
            }
            _ => {
                let head = "HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n";
                let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
                self.out.extend(format!("GET /t{} {head}{key}", self.index).bytes());
            }
        }
    }

    /// False: the connection is over.
    fn read(&mut self, talk: &Talk, now: u64) -> bool {
        loop {
            let Some(line) = &mut self.line else { return false };
            match line.read(talk.read_most, &mut self.inbox) {
                Read::Nothing => return true,
                Read::End => {
                    self.end(Over::End);
                    return false;
                }
                Read::Reset => {
                    if let Some(e) = line.error.take().filter(|_| !self.is_lossy) {
                        self.wrong(format!("TLS: {e}"));
                    }
                    self.end(Over::Reset);
                    return false;
                }
                // Patience begins anew, as a client's does.
                Read::Bytes(_) => self.waits_since = None,
            }
            if let Err(text) = self.hear_all(talk) {
                self.wrong(text);
                return false;
            }
            if talk.read_pause_us > 0 {
                self.deaf_until = now + talk.read_pause_us;
                call_in(self.token, talk.read_pause_us);
                return true;
            }
        }
    }

    fn hear_all(&mut self, talk: &Talk) -> Result<(), String> {
        while !self.inbox.is_empty() {
            let taken = match talk.kind {
                Kind::Http => self.hear_request(talk)?,
                Kind::Mqtt(version) => match codec::take_packet(&self.inbox, version)? {
                    Some((item, n)) => {
                        self.hear_packet(talk, version, item)?;
                        n
                    }
                    None => 0,
                },
                Kind::Ws if !self.is_upgraded => self.hear_head(talk)?,
                Kind::Ws if self.close.is_some() => return Ok(()),
                Kind::Ws => match codec::take_frame(&self.inbox, talk.ours_asks)? {
                    Some((first, payload, n)) => {
                        self.hear_frame(talk, first, payload)?;
                        n
                    }
                    None => 0,
                },
            };
            if taken == 0 {
                break;
            }
            self.inbox.drain(..taken);
        }
        Ok(())
    }

    fn hear(&mut self, item: Item) -> Result<(), String> {
        loop {
            let next = self.said.get(self.heard);
            self.heard += 1;
            match next {
                Some(said) if *said == item => return Ok(()),
                Some(_) if self.is_lossy => {}
                next => return Err(format!("heard {item:?} in place of {next:?}, number {}", self.heard - 1)),
            }
        }
    }

    fn hear_head(&mut self, talk: &Talk) -> Result<usize, String> {
        let Some(end) = self.inbox.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(0) };
        let head = String::from_utf8_lossy(&self.inbox[..end]).into_owned();
        let value = |name: &str| head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        if talk.ours_asks {
            let accept = codec::ws_accept(value("Sec-WebSocket-Key").unwrap_or(""));
            let answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade";
            self.out.extend(format!("{answer}\r\nSec-WebSocket-Accept: {accept}\r\n\r\n").bytes());
            self.expect(MG_EV_WS_OPEN, Item::new(0, 0, b""));
        } else if head.starts_with("HTTP/1.1 101 ") {
            if value("Sec-WebSocket-Accept") != Some(&codec::ws_accept("dGhlIHNhbXBsZSBub25jZQ==")) {
                return Err(format!("not the answer to the key: {head:?}"));
            }
        } else if head.starts_with("HTTP/1.1 503 ") || head.starts_with("HTTP/1.1 408 ") {
            // A drain, or a limit. The end follows.
            self.phase = Phase::Bye;
            self.close = Some(0);
            return Ok(end + 4);
        } else {
            return Err(format!("no upgrade: {head:?}"));
        }
        self.is_upgraded = true;
        if self.phase == Phase::Hello {
            self.phase = Phase::Open;
        }
        Ok(end + 4)
    }

    fn hear_frame(&mut self, talk: &Talk, first: u8, payload: Vec<u8>) -> Result<(), String> {
        match first & 15 {
            codec::CLOSE => {
                let code = payload.get(..2).map_or(1005, |b| u16::from_be_bytes([b[0], b[1]]));
                self.close = Some(code);
                if self.phase == Phase::Open && !self.shut {
                    self.put_frame(talk, codec::FIN | codec::CLOSE, &payload);
                    self.expect(MG_EV_WS_CTL, Item::new(u16::from(codec::CLOSE), 0, &payload));
                }
                self.phase = Phase::Bye;
            }
            codec::PING => {
                self.hear(Item::new(u16::from(codec::PING), 0, &payload))?;
                if self.phase == Phase::Open && !self.shut {
                    self.put_frame(talk, codec::FIN | codec::PONG, &payload);
                    self.expect(MG_EV_WS_CTL, Item::new(u16::from(codec::PONG), 0, &payload));
                }
            }
            op => self.hear(Item::new(u16::from(op), 0, &payload))?,
        }
        Ok(())
    }

    fn hear_packet(&mut self, talk: &Talk, version: u8, item: Item) -> Result<(), String> {
        let (kind, id) = (item.kind, item.id);
        if kind != 0xc0 {
            self.hear(item)?;
        }
        let id_bytes = id.to_be_bytes();
        let is_5 = version == 5;
        let answer: (u8, &[u8]) = match kind {
            0x10 => (0x20, if is_5 { b"\0\0\0" } else { b"\0\0" }),
            0x32 => (0x40, &id_bytes),
            0x34 => (0x50, &id_bytes),
            0x50 => (0x62, &id_bytes),
            0x62 => (0x70, &id_bytes),
            0x82 if is_5 => (0x90, &[id_bytes[0], id_bytes[1], 0, 0]),
            0x82 => (0x90, &[id_bytes[0], id_bytes[1], 0]),
            0xc0 => (0xd0, b""),
            0x20 => {
                if self.phase == Phase::Hello {
                    self.phase = Phase::Open;
                }
                return Ok(());
            }
            _ => return Ok(()),
        };
        if self.phase == Phase::Bye || self.shut {
            return Ok(());
        }
        codec::packet(&mut self.out, answer.0, &[answer.1]);
        if kind == 0x10 && talk.ours_asks {
            self.phase = Phase::Open;
            self.expect(MG_EV_MQTT_OPEN, Item::new(0, 0, b""));
        }
        let id = if matches!(answer.0, 0x20 | 0xd0) { 0 } else { id };
        self.expect(MG_EV_MQTT_CMD, Item::new(u16::from(answer.0), id, b""));
        Ok(())
    }

    fn hear_request(&mut self, talk: &Talk) -> Result<usize, String> {
        let Some(said) = self.said.get(self.heard) else { return Err("more than was asked".into()) };
        let n = said.data.len().min(self.inbox.len());
        if said.data[..n] != self.inbox[..n] {
            return Err(format!("request {} came with other bytes", self.heard));
        }
        if n < said.data.len() {
            return Ok(0);
        }
        let ask = &talk.asks[self.heard];
        self.heard += 1;
        self.phase = Phase::Open;
        self.put_answer(ask, self.heard - 1, self.heard == talk.asks.len());
        Ok(n)
    }

    fn put_answer(&mut self, ask: &Ask, number: usize, is_last: bool) {
        let from = self.out.len();
        if ask.interim {
            self.out.extend(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        }
        self.out.extend(format!("HTTP/1.1 {} Some\r\nX-Id: {number}\r\n", ask.status).bytes());
        if is_last {
            self.out.extend(b"Connection: close\r\n");
        }
        let body = self.payload(false, number, ask.answer.len());
        match &ask.answer {
            Framing::Length(n) => self.out.extend(format!("Content-Length: {n}\r\n\r\n").bytes()),
            Framing::Chunks(_) => self.out.extend(b"Transfer-Encoding: chunked\r\n\r\n"),
            Framing::None | Framing::Rest(_) => self.out.extend(b"\r\n"),
        }
        match &ask.answer {
            _ if ask.head => {}
            Framing::Chunks(parts) => {
                let mut at = 0;
                for n in parts {
                    self.out.extend(format!("{n:x}\r\n").bytes());
                    self.out.extend(&body[at..at + n]);
                    self.out.extend(b"\r\n");
                    at += n;
                }
                self.out.extend(b"0\r\n\r\n");
            }
            _ => self.out.extend(&body),
        }
        if let Some(cut) = ask.cut {
            let len = self.out.len() - from;
            self.out.truncate(from + (len * cut as usize / 1000).min(len - 1));
        } else {
            let body: &[u8] = if ask.head { b"" } else { &body };
            self.expect(MG_EV_HTTP_MSG, Item::new(ask.status, number as u16, body));
        }
        if is_last {
            self.phase = Phase::Bye;
        }
    }

    fn put_frame(&mut self, talk: &Talk, first: u8, payload: &[u8]) {
        let mask = (!talk.ours_asks).then_some([7, 99, first, payload.len() as u8]);
        codec::frame(&mut self.out, first, payload, mask);
    }

    fn put(&mut self, talk: &Talk, m: &Message) {
        let payload = self.payload(false, self.messages, m.len);
        self.messages += 1;
        match talk.kind {
            Kind::Ws if m.cuts.is_empty() => {
                self.put_frame(talk, codec::FIN | m.kind, &payload);
                let ev = if m.kind > codec::BINARY { MG_EV_WS_CTL } else { MG_EV_WS_MSG };
                self.expect(ev, Item::new(u16::from(m.kind), 0, &payload));
            }
            Kind::Ws => {
                let mut at = 0;
                let lens = m.cuts.iter().copied().chain([m.len - m.cuts.iter().sum::<usize>()]);
                for (i, len) in lens.enumerate() {
                    let part = &payload[at..at + len];
                    at += len;
                    let fin = if i == m.cuts.len() { codec::FIN } else { 0 };
                    self.put_frame(talk, fin | if i == 0 { m.kind } else { codec::CONTINUE }, part);
                    if i > 0 {
                        self.expect(MG_EV_WS_CTL, Item::new(u16::from(codec::CONTINUE), 0, part));
                    }
                    if i == 0 && m.pings {
                        self.put_frame(talk, codec::FIN | codec::PING, b"in between");
                        self.expect(MG_EV_WS_CTL, Item::new(u16::from(codec::PING), 0, b"in between"));
                    }
                }
                self.expect(MG_EV_WS_MSG, Item::new(u16::from(m.kind), 0, &payload));
            }
            Kind::Mqtt(version) => match m.kind {
                SUBSCRIBE => {
                    self.id += 1;
                    let props: &[u8] = if version == 5 { &[0] } else { &[] };
                    codec::packet(&mut self.out, 0x82, &[&self.id.to_be_bytes(), props, b"\0\x01t\0"]);
                    self.expect(MG_EV_MQTT_CMD, Item::new(0x82, self.id, b""));
                }
                PINGREQ => {
                    codec::packet(&mut self.out, 0xc0, &[]);
                    self.expect(MG_EV_MQTT_CMD, Item::new(0xc0, 0, b""));
                }
                qos => {
                    self.id += u16::from(qos > 0);
                    let id = if qos > 0 { self.id } else { 0 };
                    codec::publish(&mut self.out, version, qos, id, &payload);
                    let item = Item::new(0x30 | u16::from(qos) << 1, id, &payload);
                    self.expect(MG_EV_MQTT_MSG, item.clone());
                    self.expect(MG_EV_MQTT_CMD, item);
                }
            },
            Kind::Http => {}
        }
    }

    fn put_bye(&mut self, talk: &Talk) {
        self.phase = Phase::Bye;
        match talk.kind {
            Kind::Ws => {
                self.put_frame(talk, codec::FIN | codec::CLOSE, b"\x03\xe8bye");
                self.expect(MG_EV_WS_CTL, Item::new(u16::from(codec::CLOSE), 0, b"\x03\xe8bye"));
            }
            Kind::Mqtt(version) if !talk.ours_asks => {
                codec::packet(&mut self.out, 0xe0, &[if version == 5 { b"\0\0" } else { b"" }]);
                self.expect(MG_EV_MQTT_CMD, Item::new(0xe0, 0, b""));
            }
            _ => {}
        }
    }

    fn is_quiet(&self) -> bool {
        self.heard >= self.said.len() && self.seen >= self.expected.len()
    }

    /// Waits until `done`. False: not yet.
    fn wait(&mut self, done: bool, now: u64) -> bool {
        if done {
            self.waits_since = None;
            return true;
        }
        let since = *self.waits_since.get_or_insert_with(|| {
            call_in(self.token, PATIENCE_US);
            now
        });
        if now >= since + PATIENCE_US {
            if !self.is_lossy {
                let (seen, expected, heard, said) = (self.seen, self.expected.len(), self.heard, self.said.len());
                self.wrong(format!("waited in vain at step {}: {seen} of {expected} seen, {heard} of {said} heard", self.step));
            }
            self.end(Over::Left);
        }
        false
    }

    fn write(&mut self, talk: &Talk, now: u64) -> bool {
        let end = self.out.len().min(self.out_at.saturating_add(talk.piece));
        let Some(line) = &mut self.line else { return false };
        match line.write(&self.out[self.out_at..end]) {
            None => self.broken = true,
            Some(0) => return false,
            Some(n) => {
                self.out_at += n;
                self.written += n as u64;
                if self.out_at == self.out.len() {
                    self.out.clear();
                    self.out_at = 0;
                }
                if talk.pause_us > 0 {
                    self.write_at = now + talk.pause_us;
                    call_in(self.token, talk.pause_us);
                    return false;
                }
            }
        }
        true
    }

    fn shutdown(&mut self) {
        self.shut = true;
        if let Some(line) = &mut self.line {
            line.shutdown();
        }
    }

    /// One step further. False: something must happen first.
    fn step(&mut self, talk: &Talk, now: u64) -> bool {
        if self.broken {
            // The end of it will be read.
            return false;
        }
        if now < self.write_at {
            return false;
        }
        if self.out_at < self.out.len() {
            return self.write(talk, now);
        }
        if self.phase == Phase::Hello && !talk.eager || talk.ours_asks && self.phase == Phase::Hello {
            return false;
        }
        if talk.kind == Kind::Http {
            if self.phase == Phase::Bye && !self.shut {
                self.shutdown();
            }
            return false;
        }
        if self.is_half {
            self.end(Over::Left);
            return false;
        }
        if self.phase == Phase::Bye {
            // A server is the first to end what was bidden farewell to.
            if talk.ours_asks && !self.shut && (self.close.is_some() || talk.kind != Kind::Ws) {
                self.shutdown();
            }
            _ = self.wait(false, now);
            return false;
        }
        match talk.steps.get(self.step) {
            Some(Say::Send(list)) => list.iter().for_each(|m| self.put(talk, m)),
            Some(Say::Half(m, per_mille)) => {
                let before = (self.out.len(), self.expected.len());
                self.put(talk, m);
                let len = self.out.len() - before.0;
                self.out.truncate(before.0 + len * *per_mille as usize / 1000);
                self.expected.truncate(before.1);
                (self.phase, self.is_half) = (Phase::Bye, true);
            }
            Some(Say::Await) => {
                if !self.wait(self.is_quiet(), now) {
                    return false;
                }
            }
            Some(Say::Pause(us)) => {
                let until = *self.pause_until.get_or_insert_with(|| {
                    call_in(self.token, *us);
                    now + us
                });
                if now < until {
                    return false;
                }
                self.pause_until = None;
            }
            Some(Say::Deaf(us)) => {
                self.deaf_until = now + us;
                call_in(self.token, *us);
            }
            Some(Say::HalfClose) if self.line.as_ref().is_some_and(Line::is_shaking_hands) => return false,
            Some(Say::HalfClose) => self.shutdown(),
            Some(Say::Close) => {
                self.end(Over::Left);
                return false;
            }
            Some(Say::Reset) => {
                self.over = Some(Over::Left);
                if let Some(line) = &mut self.line {
                    line.reset();
                }
                return false;
            }
            None if self.shut => {
                _ = self.wait(false, now);
                return false;
            }
            None => {
                if !self.wait(self.is_quiet(), now) {
                    return false;
                }
                self.put_bye(talk);
                return true;
            }
        }
        self.step += 1;
        true
    }

    // ---- afterwards

    /// Events that are missing although all that makes them had arrived.
    pub(crate) fn missing(&self, arrived: u64) -> Option<String> {
        let line = self.line.as_ref()?;
        let next = self.expected.get(self.seen).filter(|e| line.wire_end(e.end) <= arrived)?;
        Some(format!("event {} of {:?} had arrived whole and was not seen", next.ev, next.item))
    }

    /// What was said and not heard.
    pub(crate) fn unheard(&self) -> Option<String> {
        let next = self.said.get(self.heard)?;
        Some(format!("{next:?} was sent and did not arrive"))
    }
}
