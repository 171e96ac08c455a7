//! Random frames, most of them valid: the result does not depend on how they are split.

use crate::script::{Form, Frame, Mode, Side, Stage, collect, echo, frame, unmasked};
use libtest_mimic::{Failed, Trial};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// xorshift: the same cases every time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % n
    }

    fn frame(&mut self) -> Frame {
        // No unknown opcodes: those drop what is queued, so that it matters what was sent before.
        let op = [0, 0, 0, 1, 1, 2, 2, 9, 10][self.below(9) as usize];
        let fin = if op >= 8 || self.below(2) == 0 { 128 } else { 0 };
        let damage = if self.below(40) == 0 { 1 << (4 + self.below(4)) } else { 0 };
        let len = [0, 1, 2, 7, 60, 125, 126, 127, 300, 70000][self.below(10) as usize].min(if op >= 8 { 125 } else { 70000 });
        let payload: Vec<u8> = (0..len).map(|_| if self.below(2000) == 0 { 0xff } else { b'a' + self.below(26) as u8 }).collect();
        let form = if self.below(30) == 0 { Form::WrongMask } else { Form::Proper };
        frame(fin ^ damage | op, payload).form(form)
    }
}

/// What comes back for these bytes, sent in pieces of `chop`.
fn answer(stage: &Stage, bytes: &[u8], chop: usize) -> Result<Vec<u8>, String> {
    let mut peer = stage.connect_open();
    let (mut rest, mut got) = (bytes, Vec::new());
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        if Instant::now() > end {
            return Err("no end".into());
        }
        if !rest.is_empty() {
            match peer.write(&rest[..chop.min(rest.len())]) {
                Ok(n) => rest = &rest[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => rest = &[],
            }
            if rest.is_empty() {
                let _ = peer.shutdown(Shutdown::Write);
            }
        }
        stage.m.poll(i32::from(rest.is_empty()));
        if collect(&mut peer, &mut got) {
            break;
        }
    }
    drop(peer);
    stage.finish();
    unmasked(stage.mode.side, &got)
}

fn cuts(mode: Mode) -> Result<(), Failed> {
    let stage = Stage::new(mode, echo);
    let mut seen = 0;
    for seed in 1..=150u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut bytes: Vec<u8> =
            (0..2 + random.below(12)).flat_map(|_| random.frame().encode(mode.side == Side::Server)).collect();
        if random.below(4) == 0 {
            bytes.truncate(bytes.len() - random.below(bytes.len() as u64) as usize);
        }
        let whole = answer(&stage, &bytes, bytes.len())?;
        seen += whole.len();
        let small = if bytes.len() < 2000 { 1 } else { 97 };
        for chop in [small, 1 + random.below(3000) as usize, 16384] {
            let got = answer(&stage, &bytes, chop)?;
            if got != whole {
                return Err(
                    format!("seed {seed}, chop {chop}: {} bytes were echoed instead of {}", got.len(), whole.len()).into()
                );
            }
        }
    }
    if seen > 100_000 { Ok(()) } else { Err(format!("only {seen} bytes were echoed in all").into()) }
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    for mode in Mode::ALL {
        all.push(Trial::test(format!("random frames, cut anywhere: {}", mode.name()), move || cuts(mode)));
    }
}
