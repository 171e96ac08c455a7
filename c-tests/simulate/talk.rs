//! Conversations: WebSocket and MQTT with the library at either side, and its HTTP clients against servers. What both sides say is
//! drawn from the seed.

use crate::line::Secure;
use crate::numbers::Numbers;
use crate::plan::{Act, acts, idle_ms, parts, size};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ws,
    /// 4 or 5.
    Mqtt(u8),
    /// The library asks a server.
    Http,
}

#[derive(Clone, Debug)]
pub(crate) struct Talk {
    pub(crate) kind: Kind,
    /// The library has connected.
    pub(crate) ours_asks: bool,
    pub(crate) secure: Secure,
    pub(crate) start_us: u64,
    /// The peer.
    pub(crate) steps: Vec<Say>,
    /// It does not wait for the answer to its first words.
    pub(crate) eager: bool,
    pub(crate) read_most: usize,
    pub(crate) read_pause_us: u64,
    pub(crate) piece: usize,
    pub(crate) pause_us: u64,
    /// The program: at once, at each message, and now and then.
    pub(crate) opening: Vec<Message>,
    pub(crate) reactions: Vec<Reaction>,
    pub(crate) ticks: Vec<Message>,
    pub(crate) tick_ms: u64,
    /// It says goodbye at this message.
    pub(crate) bye_at: Option<usize>,
    pub(crate) keepalive: u16,
    /// HTTP: what is asked, and answered.
    pub(crate) asks: Vec<Ask>,
    /// Requests that do not wait for the answer to the one before.
    pub(crate) pipelined: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Reaction {
    pub(crate) before: Vec<Act>,
    pub(crate) says: Vec<Message>,
    pub(crate) after: Vec<Act>,
}

#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// WebSocket: opcode. MQTT: quality of service, or one of the others below.
    pub(crate) kind: u8,
    pub(crate) len: usize,
    /// WebSocket: lengths of fragments before the last, and whether a Ping comes between.
    pub(crate) cuts: Vec<usize>,
    pub(crate) pings: bool,
}

/// Kinds of MQTT messages beside the qualities of service.
pub(crate) const SUBSCRIBE: u8 = 8;
pub(crate) const PINGREQ: u8 = 12;

#[derive(Clone, Debug)]
pub(crate) enum Say {
    Send(Vec<Message>),
    /// A part of a message, and nothing behind it.
    Half(Message, u32),
    Await,
    Pause(u64),
    Deaf(u64),
    HalfClose,
    Close,
    Reset,
}

#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) head: bool,
    /// Of the request.
    pub(crate) body: usize,
    pub(crate) status: u16,
    pub(crate) interim: bool,
    pub(crate) answer: Framing,
    /// How many thousandths of it are sent, before the end.
    pub(crate) cut: Option<u32>,
}

#[derive(Clone, Debug)]
pub(crate) enum Framing {
    None,
    Length(usize),
    Chunks(Vec<usize>),
    /// To the end of the stream.
    Rest(usize),
}

impl Framing {
    pub(crate) fn len(&self) -> usize {
        match self {
            Framing::None => 0,
            Framing::Length(n) | Framing::Rest(n) => *n,
            Framing::Chunks(parts) => parts.iter().sum(),
        }
    }
}

fn message(n: &mut Numbers, kind: Kind, most: u64, from_peer: bool) -> Message {
    let mut m = Message { kind: 0, len: size(n, most), cuts: Vec::new(), pings: false };
    match kind {
        Kind::Ws => {
            m.kind = [1, 1, 2, 2, 2, 9, 10][n.below(7) as usize];
            if m.kind > 2 {
                m.len = n.below(126) as usize;
            } else if from_peer && n.chance(300) {
                let mut left = m.len;
                for _ in 0..1 + n.below(4) {
                    let cut = n.below(left as u64 + 1) as usize;
                    m.cuts.push(cut);
                    left -= cut;
                }
                m.pings = n.chance(300);
            }
        }
        _ => {
            m.kind = [0, 0, 1, 1, 2, 2, SUBSCRIBE, PINGREQ][n.below(8) as usize];
            // Brokers ask for nothing.
            if m.kind > 2 {
                m.len = 0;
            }
        }
    }
    m
}

fn messages(n: &mut Numbers, kind: Kind, most: u64, many: u64, asks: bool) -> Vec<Message> {
    let list = (0..n.below(many + 1)).map(|_| message(n, kind, most, false));
    list.filter(|m| kind == Kind::Ws || m.kind <= 2 || asks && m.kind == SUBSCRIBE).collect()
}

fn ask(n: &mut Numbers, most: u64, is_last: bool) -> Ask {
    let head = n.chance(100);
    let status = [200, 200, 200, 404, 204, 304, 500][n.below(7) as usize];
    let answer = match n.below(10) {
        _ if status == 204 || status == 304 => Framing::None,
        0..=5 => Framing::Length(size(n, most)),
        6..=8 => Framing::Chunks(parts(n, 6, most)),
        _ if is_last && !head => Framing::Rest(size(n, most)),
        _ => Framing::Length(0),
    };
    let may_cut = is_last && !head && matches!(answer, Framing::Length(_) | Framing::Chunks(_));
    let cut = if may_cut && n.chance(150) { Some(n.below(1000) as u32) } else { None };
    Ask { head, body: if n.chance(300) { size(n, most) } else { 0 }, status, interim: n.chance(100), answer, cut }
}

impl Talk {
    pub(crate) fn new(n: &mut Numbers, wild: u32, most: u64) -> Talk {
        let kind = [Kind::Ws, Kind::Ws, Kind::Mqtt(4), Kind::Mqtt(5), Kind::Http][n.below(5) as usize];
        let ours_asks = kind == Kind::Http || n.chance(500);
        let mut steps = Vec::new();
        for _ in 0..n.below(6) {
            let step = match n.below(10) {
                0 => Say::Pause(n.between((1, 3_000_000))),
                1 => Say::Deaf(n.between((1, 1_000_000))),
                2 => {
                    steps.push(Say::Await);
                    Say::Pause((idle_ms(n) as u64 * 1000 + n.below(1500)).saturating_sub(500))
                }
                3 => Say::Await,
                _ => {
                    let list = (0..1 + n.below(6)).map(|_| message(n, kind, most, true));
                    // Brokers neither subscribe nor ping.
                    Say::Send(list.filter(|m| kind == Kind::Ws || m.kind <= 2 || !ours_asks).collect())
                }
            };
            steps.push(step);
        }
        match n.below(16) {
            0 => steps.push(Say::Close),
            1 => steps.push(Say::Reset),
            2..=3 => steps.push(Say::HalfClose),
            4 => steps.push(Say::Half(message(n, Kind::Ws, most, false), n.below(1000) as u32)),
            5..=6 => steps.push(Say::Await),
            _ => {}
        }
        let reaction = |n: &mut Numbers| Reaction {
            before: acts(n, wild),
            says: messages(n, kind, most, 2, ours_asks),
            after: acts(n, wild),
        };
        let slow = n.chance(150);
        let asks = if kind == Kind::Http { 1 + n.below(4) } else { 0 };
        let hasty = n.chance(600);
        Talk {
            kind,
            ours_asks,
            secure: secure(n),
            start_us: if n.chance(400) { 0 } else { n.below(2_000_000) },
            steps: if kind == Kind::Http { Vec::new() } else { steps },
            eager: n.chance(150),
            read_most: if slow { n.between((100, 20_000)) as usize } else { usize::MAX },
            read_pause_us: if slow { n.between((100, 20_000)) } else { 0 },
            piece: if hasty { usize::MAX } else { n.between((1, 3000)).max(most / 20) as usize },
            pause_us: if hasty { 0 } else { n.between((1, 50_000)) },
            opening: messages(n, kind, most, 3, ours_asks),
            reactions: (0..n.below(4)).map(|_| reaction(n)).collect(),
            ticks: if n.chance(300) { messages(n, kind, most, 6, ours_asks) } else { Vec::new() },
            tick_ms: n.between((1, 500)),
            bye_at: if n.chance(150) { Some(n.below(4) as usize) } else { None },
            keepalive: if n.chance(300) { 1 + n.below(3) as u16 } else { 0 },
            asks: (0..asks).map(|i| ask(n, most, i + 1 == asks)).collect(),
            pipelined: if n.chance(700) { 1 } else { 1 + n.below(4) as usize },
        }
    }

    /// A little smaller, in all ways there are.
    pub(crate) fn smaller(&self) -> Vec<Talk> {
        let mut all = Vec::new();
        let mut push = |change: &dyn Fn(&mut Talk)| {
            let mut talk = self.clone();
            change(&mut talk);
            all.push(talk);
        };
        for i in 0..self.steps.len() {
            push(&|t| _ = t.steps.remove(i));
        }
        for i in 0..self.reactions.len() {
            push(&|t| _ = t.reactions.remove(i));
        }
        for i in 0..self.opening.len() {
            push(&|t| _ = t.opening.remove(i));
        }
        for i in 0..self.ticks.len() {
            push(&|t| _ = t.ticks.remove(i));
        }
        if self.asks.len() > 1 {
            for i in 0..self.asks.len() {
                push(&|t| _ = t.asks.remove(i));
            }
        }
        for (i, ask) in self.asks.iter().enumerate() {
            push(&|t| t.asks[i].body = 0);
            push(&|t| t.asks[i].interim = false);
            push(&|t| t.asks[i].cut = None);
            if ask.answer.len() > 5 {
                push(&|t| t.asks[i].answer = Framing::Length(5));
            }
        }
        for (i, r) in self.reactions.iter().enumerate() {
            for k in 0..r.before.len() {
                push(&|t| _ = t.reactions[i].before.remove(k));
            }
            for k in 0..r.says.len() {
                push(&|t| _ = t.reactions[i].says.remove(k));
            }
            for k in 0..r.after.len() {
                push(&|t| _ = t.reactions[i].after.remove(k));
            }
        }
        for (i, step) in self.steps.iter().enumerate() {
            let Say::Send(list) = step else { continue };
            for k in 0..list.len() {
                let change = |t: &mut Talk, f: &dyn Fn(&mut Vec<Message>)| {
                    if let Say::Send(list) = &mut t.steps[i] {
                        f(list);
                    }
                };
                push(&|t| change(t, &|l| _ = l.remove(k)));
                push(&|t| change(t, &|l| (l[k].cuts, l[k].pings) = (Vec::new(), false)));
                push(&|t| change(t, &|l| (l[k].cuts, l[k].len) = (Vec::new(), l[k].len / 2)));
            }
        }
        push(&|t| t.secure = Secure::No);
        push(&|t| t.eager = false);
        push(&|t| t.start_us = 0);
        push(&|t| (t.piece, t.pause_us) = (usize::MAX, 0));
        push(&|t| (t.read_most, t.read_pause_us) = (usize::MAX, 0));
        push(&|t| t.bye_at = None);
        push(&|t| t.keepalive = 0);
        push(&|t| t.pipelined = 1);
        all
    }

    /// What the program may do at its messages.
    pub(crate) fn acts(&self) -> impl Iterator<Item = &Act> {
        self.reactions.iter().flat_map(|r| r.before.iter().chain(&r.after))
    }
}

pub(crate) fn secure(n: &mut Numbers) -> Secure {
    match n.below(20) {
        0 => Secure::V12,
        1 | 2 => Secure::V13,
        _ => Secure::No,
    }
}
