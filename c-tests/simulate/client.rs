//! The clients: each follows its script, and reads answers as they come.

use crate::line::{Line, Secure};
use crate::message::{self, Reader};
use crate::plan::{self, Plan, Step};
use crate::program::Ports;
use crate::wire::{Read, Wire, call_in, now_us};

/// How a client's connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// The server sent its last byte.
    End,
    Reset,
    /// The client was first, with or without having all answers.
    Left,
    /// Nobody listened.
    Refused,
}

/// Longest wait for something that must come.
pub(crate) const PATIENCE_US: u64 = 300_000_000;
/// How long a client that has all answers waits for the server to end a connection that it would keep.
const STAY_US: u64 = 20_000_000;

pub(crate) struct Client {
    token: u64,
    pub(crate) port: u16,
    pub(crate) line: Option<Line>,
    step: usize,
    out: Vec<u8>,
    out_at: usize,
    piece: usize,
    pause_us: u64,
    write_at: u64,
    written: u64,
    /// The requests of which something was written, and where in the stream each ends.
    pub(crate) begun: Vec<(usize, u64)>,
    pub(crate) reader: Reader,
    pub(crate) over: Option<Over>,
    waits_since: Option<u64>,
    pause_until: Option<u64>,
    deaf_until: u64,
    broken: bool,
    pub(crate) shut: bool,
    /// Something may never come: an allocation has failed.
    pub(crate) is_lossy: bool,
    pub(crate) wrong: Option<String>,
}

impl Client {
    pub(crate) fn new(token: u64) -> Client {
        Client {
            token,
            port: 0,
            line: None,
            step: 0,
            out: Vec::new(),
            out_at: 0,
            piece: usize::MAX,
            pause_us: 0,
            write_at: 0,
            written: 0,
            begun: Vec::new(),
            reader: Reader::default(),
            over: None,
            waits_since: None,
            pause_until: None,
            deaf_until: 0,
            broken: false,
            shut: false,
            is_lossy: false,
            wrong: None,
        }
    }

    fn end(&mut self, how: Over) {
        self.over = Some(how);
        if let Some(line) = &mut self.line {
            line.close();
        }
    }

    pub(crate) fn wire(&self) -> Option<Wire> {
        self.line.as_ref().map(Line::wire)
    }

    /// Something may have happened.
    pub(crate) fn act(&mut self, plan: &Plan, script: &plan::Client, ports: &Ports) {
        if self.over.is_some() || self.wrong.is_some() {
            return;
        }
        let port = ports.http[usize::from(script.secure != Secure::No)];
        let line = self.line.get_or_insert_with(|| Line::connect(self.token, port, script.secure));
        let wire = line.wire();
        self.port = wire.local_port();
        if !wire.is_connected() {
            if wire.is_reset() {
                self.end(Over::Refused);
            }
            return;
        }
        line.flush();
        let now = now_us();
        if now >= self.deaf_until && !self.read(plan, script, now) {
            return;
        }
        while self.step(plan, script, now) {}
    }

    /// False: the connection is over.
    fn read(&mut self, plan: &Plan, script: &plan::Client, now: u64) -> bool {
        loop {
            let Some(line) = &mut self.line else { return false };
            let read = line.read(script.read_most, self.reader.room());
            match read {
                Read::Nothing => return true,
                Read::End => {
                    self.end(Over::End);
                    return false;
                }
                Read::Reset => {
                    // What ran out of memory may have lost records.
                    self.wrong = line.error.take().filter(|_| !self.is_lossy).map(|e| format!("TLS: {e}"));
                    self.end(Over::Reset);
                    return false;
                }
                // Patience begins anew: a network that stalls for seconds again and again is slow, and not dead.
                Read::Bytes(_) => self.waits_since = None,
            }
            let begun = &self.begun;
            if let Err(wrong) = self.reader.go_on(&plan.requests, |n| begun.get(n).map(|b| b.0)) {
                self.wrong = Some(wrong);
                return false;
            }
            if script.read_pause_us > 0 {
                self.deaf_until = now + script.read_pause_us;
                call_in(self.token, script.read_pause_us);
                return true;
            }
        }
    }

    fn has_all(&self) -> bool {
        self.reader.done.len() == self.begun.len()
    }

    /// Waits until `done`. False: not yet.
    fn wait(&mut self, done: bool, most: u64, now: u64) -> bool {
        if done {
            self.waits_since = None;
            return true;
        }
        let since = *self.waits_since.get_or_insert_with(|| {
            call_in(self.token, most);
            now
        });
        if now >= since + most {
            if most == PATIENCE_US && !self.is_lossy {
                self.wrong = Some(format!("waited {} s in vain at step {}", PATIENCE_US / 1_000_000, self.step));
            }
            self.end(Over::Left);
        }
        false
    }

    /// One step further. False: something must happen first.
    fn step(&mut self, plan: &Plan, script: &plan::Client, now: u64) -> bool {
        let Some(line) = &mut self.line else { return false };
        // However often it is called meanwhile.
        if now < self.write_at && !self.broken {
            return false;
        }
        if self.out_at < self.out.len() && !self.broken {
            let end = self.out.len().min(self.out_at.saturating_add(self.piece));
            match line.write(&self.out[self.out_at..end]) {
                None => self.broken = true,
                Some(0) => return false,
                Some(n) => {
                    self.out_at += n;
                    self.written += n as u64;
                    if self.pause_us > 0 {
                        self.write_at = now + self.pause_us;
                        call_in(self.token, self.pause_us);
                        return false;
                    }
                }
            }
            return true;
        }
        let step = script.steps.get(self.step);
        if self.broken {
            // The end of it will be read.
            return false;
        }
        match step {
            Some(Step::Send { requests, piece, pause_us }) => {
                (self.piece, self.pause_us) = (*piece, *pause_us);
                self.out.clear();
                self.out_at = 0;
                for id in requests {
                    self.out.extend(message::request(*id, &plan.requests[*id]));
                    self.begun.push((*id, self.written + self.out.len() as u64));
                }
            }
            Some(Step::Half { request, per_mille }) => {
                let whole = message::request(*request, &plan.requests[*request]);
                let part = (whole.len() * *per_mille as usize / 1000).clamp(1, whole.len() - 1);
                self.begun.push((*request, self.written + whole.len() as u64));
                self.out = whole[..part].to_vec();
                (self.out_at, self.piece, self.pause_us) = (0, usize::MAX, 0);
            }
            Some(Step::Await) => {
                if !self.wait(self.has_all(), PATIENCE_US, now) {
                    return false;
                }
            }
            Some(Step::Pause(us)) => {
                let until = *self.pause_until.get_or_insert_with(|| {
                    call_in(self.token, *us);
                    now + us
                });
                if now < until {
                    return false;
                }
                self.pause_until = None;
            }
            Some(Step::Deaf(us)) => {
                self.deaf_until = now + us;
                call_in(self.token, *us);
            }
            Some(Step::HalfClose) if line.is_shaking_hands() => return false,
            Some(Step::HalfClose) => {
                line.shutdown();
                self.shut = true;
            }
            Some(Step::Close) => {
                self.end(Over::Left);
                return false;
            }
            Some(Step::Reset) => {
                self.over = Some(Over::Left);
                line.reset();
                return false;
            }
            Some(Step::Stay) => {
                if !self.wait(false, STAY_US, now) {
                    return false;
                }
            }
            None if self.shut => {
                // The server must end it.
                _ = self.wait(false, PATIENCE_US, now);
                return false;
            }
            None => {
                let half = matches!(script.steps.last(), Some(Step::Half { .. }));
                if half || self.wait(self.has_all(), PATIENCE_US, now) {
                    self.end(Over::Left);
                }
                return false;
            }
        }
        self.step += 1;
        true
    }
}
