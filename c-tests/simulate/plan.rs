//! What happens in one run: drawn from a seed, and made smaller when it fails.

use crate::files;
use crate::line::Secure;
use crate::numbers::{Climate, Numbers};
use crate::talk::{Talk, secure};

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) climate: Climate,
    pub(crate) clients: Vec<Client>,
    pub(crate) talks: Vec<Talk>,
    /// By number: what is asked, and how the program answers.
    pub(crate) requests: Vec<Request>,
    /// At a time of their own.
    pub(crate) acts: Vec<(u64, Act)>,
    pub(crate) limits: Limits,
    /// Longest sleep of a poll, milliseconds.
    pub(crate) poll_ms: i32,
    /// MG_EV_POLL is delivered.
    pub(crate) loud: bool,
    /// So many allocations from which on some fail, and how many do.
    pub(crate) famine: Option<(u32, u32)>,
    /// With real sockets: see `compare`.
    pub(crate) compared: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Limits {
    pub(crate) header_ms: i32,
    pub(crate) body_ms: i32,
    pub(crate) idle_ms: i32,
    pub(crate) write_ms: i32,
    pub(crate) half_close_ms: i32,
    pub(crate) max_requests: u32,
    pub(crate) max_conns: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) secure: Secure,
    pub(crate) start_us: u64,
    pub(crate) steps: Vec<Step>,
    /// Bytes of one read, and the pause after it.
    pub(crate) read_most: usize,
    pub(crate) read_pause_us: u64,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Writes requests, one directly behind the other, in pieces of this size with pauses between them.
    Send {
        requests: Vec<usize>,
        piece: usize,
        pause_us: u64,
    },
    /// Writes the first part of a request, and then nothing more of it.
    Half {
        request: usize,
        per_mille: u32,
    },
    /// Until everything is answered.
    Await,
    Pause(u64),
    /// Takes nothing for a while.
    Deaf(u64),
    /// Ends: the sending side, both, or at once.
    HalfClose,
    Close,
    Reset,
    /// Waits for the server to end the connection.
    Stay,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) body: Body,
    /// `Connection: close`, HTTP/1.0, or neither.
    pub(crate) last: bool,
    pub(crate) old: bool,
    pub(crate) expects: bool,
    /// The body goes to a file.
    pub(crate) upload: bool,
    pub(crate) answer: Answer,
    /// What the handler does before and after it answers, or when it has seen the head.
    pub(crate) at_head: Vec<Act>,
    pub(crate) before: Vec<Act>,
    pub(crate) after: Vec<Act>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
}

impl Method {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    Length(usize),
    Chunks(Vec<usize>),
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        match self {
            Body::None => 0,
            Body::Length(n) => *n,
            Body::Chunks(parts) => parts.iter().sum(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Whole(usize),
    /// In chunks, all at once.
    Chunks(Vec<usize>),
    /// After some time, by a timer.
    Later {
        ms: u64,
        len: usize,
    },
    /// In chunks, one each time.
    Stream {
        every_ms: u64,
        parts: Vec<usize>,
    },
    /// Written by the program itself.
    Own(usize),
    /// One of `files::SIZES`, of the system or in memory.
    File {
        which: usize,
        real: bool,
    },
}

impl Answer {
    pub(crate) fn len(&self) -> usize {
        match self {
            Answer::File { which, .. } => files::SIZES[*which],
            Answer::Whole(n) | Answer::Own(n) | Answer::Later { len: n, .. } => *n,
            Answer::Chunks(parts) | Answer::Stream { parts, .. } => parts.iter().sum(),
        }
    }
}

/// What a program may do in a handler, or at any time.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Polls inside the handler.
    Poll {
        ms: i32,
        times: u32,
    },
    /// Takes its time.
    Compute(u64),
    /// is_draining, is_closing, mgx_conn_drain, mgx_conn_abort.
    Drain,
    Close,
    ConnDrain {
        idle_ms: i32,
    },
    Abort,
    /// The same with another connection.
    CloseOther,
    DrainOther {
        idle_ms: i32,
    },
    /// Another handler in c->fn, of the same kind.
    Swap,
    MgrDrain {
        lame_ms: i32,
        idle_ms: i32,
        deadline_ms: i32,
        spread_ms: i32,
    },
    Cancel,
    Free,
    /// mg_wakeup and mg_call for this connection.
    Wake(usize),
    Call,
}

pub(crate) fn size(n: &mut Numbers, most: u64) -> usize {
    let most = match n.below(10) {
        0 => 1,
        1..=5 => most.min(200),
        6..=8 => most.min(5_000),
        _ => most,
    };
    n.below(most) as usize
}

pub(crate) fn parts(n: &mut Numbers, many: u64, most: u64) -> Vec<usize> {
    (0..1 + n.below(many)).map(|_| 1 + size(n, most) / 4).collect()
}

pub(crate) fn idle_ms(n: &mut Numbers) -> i32 {
    [0, 1, 50, 300, 1000, 3000][n.below(6) as usize]
}

fn act(n: &mut Numbers, inside: bool) -> Act {
    match n.below(if inside { 27 } else { 14 }) {
        0 => Act::CloseOther,
        1..=2 => Act::DrainOther { idle_ms: idle_ms(n) },
        3..=7 => Act::MgrDrain {
            lame_ms: if n.chance(600) { 0 } else { n.below(2000) as i32 },
            idle_ms: idle_ms(n),
            deadline_ms: [0, 500, 3000, 10_000, 60_000][n.below(5) as usize],
            spread_ms: if n.chance(700) { 0 } else { n.below(1500) as i32 },
        },
        8 => Act::Cancel,
        9..=10 => Act::Compute(n.between((1, 2_000_000))),
        11 if n.chance(300) => Act::Free,
        11..=13 => Act::DrainOther { idle_ms: idle_ms(n) },
        14..=17 => Act::Poll { ms: [0, 0, 1, 20][n.below(4) as usize], times: 1 + n.below(4) as u32 },
        18 => Act::Swap,
        19 => Act::Close,
        20 => Act::Abort,
        21 => Act::Drain,
        24..=25 => Act::Wake(size(n, 16_000)),
        26 => Act::Call,
        _ => Act::ConnDrain { idle_ms: idle_ms(n) },
    }
}

pub(crate) fn acts(n: &mut Numbers, per_mille: u32) -> Vec<Act> {
    let mut list = Vec::new();
    while n.chance(per_mille) && list.len() < 3 {
        list.push(act(n, true));
    }
    list
}

fn answer(n: &mut Numbers, most: u64) -> Answer {
    match n.below(12) {
        0..=4 => Answer::Whole(size(n, most)),
        10..=11 => {
            let fit = files::SIZES.iter().filter(|size| **size as u64 <= most).count() as u64;
            Answer::File { which: n.below(fit) as usize, real: n.chance(500) }
        }
        5 => Answer::Chunks(parts(n, 5, most)),
        6..=7 => Answer::Later { ms: n.between((0, 3000)), len: size(n, most) },
        8 => Answer::Stream { every_ms: n.between((1, 500)), parts: parts(n, 8, most) },
        _ => Answer::Own(size(n, most)),
    }
}

fn request(n: &mut Numbers, wild: u32, most: u64) -> Request {
    let method = [Method::Get, Method::Get, Method::Post, Method::Post, Method::Head][n.below(5) as usize];
    let body = match method {
        Method::Post if n.chance(600) => Body::Length(size(n, most)),
        Method::Post => Body::Chunks(parts(n, 6, most)),
        _ => Body::None,
    };
    let upload = method == Method::Post && body.len() > 0 && n.chance(200);
    let answer = match answer(n, most) {
        // There is no message any more that it could be served for.
        Answer::File { .. } if upload => Answer::Whole(size(n, most)),
        answer => answer,
    };
    Request {
        method,
        expects: method == Method::Post && n.chance(100),
        upload,
        body,
        last: n.chance(70),
        old: false,
        answer,
        at_head: acts(n, wild / 3),
        before: acts(n, wild),
        after: acts(n, wild),
    }
}

fn climate(n: &mut Numbers) -> Climate {
    let mut c = Climate::CALM;
    if n.chance(200) {
        return c;
    }
    c.delay_us = (1, n.between((10, 400_000)));
    c.segment = (1, n.between((1, 20_000)));
    c.room = (1, n.between((200, 200_000)));
    if n.chance(300) {
        c.room.0 = c.room.1;
    }
    if n.chance(300) {
        (c.stalls, c.stall_us) = (n.below(30) as u32, n.between((1000, 3_000_000)));
    }
    c.short = if n.chance(500) { n.below(1000) as u32 } else { 0 };
    c.refuses = if n.chance(300) { n.below(300) as u32 } else { 0 };
    c.accept_fails = if n.chance(200) { n.below(500) as u32 } else { 0 };
    let rest = n.below(3);
    (c.tells_rest, c.reports_again) = (rest > 0, rest > 1);
    c.destroys = n.chance(500);
    c.poll_us = if n.chance(500) { n.below(300) } else { 0 };
    c.call_us = if n.chance(500) { n.between((1, 300)) } else { 0 };
    c.room = (c.room.0.max(64), c.room.1.max(64));
    c
}

/// The largest body that is worth waiting for.
fn largest(c: &Climate) -> u64 {
    let in_time = c.room.0 * (20_000_000 / (c.delay_us.1 + c.stall_us * u64::from(c.stalls) / 1000 + 1)).min(100);
    120_000.min(c.segment.1 * 50).min(in_time).max(2)
}

impl Plan {
    /// One that real sockets follow, too: nothing that depends on the sizes of their buffers or on how long something takes.
    pub(crate) fn predictable(seed: u64) -> Plan {
        let climate = Climate { delay_us: (0, 0), segment: (1 << 20, 1 << 20), room: (1 << 22, 1 << 22), ..Climate::CALM };
        let mut plan = Plan::draw(seed, Some(climate));
        let keep = |a: &Act| !matches!(a, Act::Free);
        for q in &mut plan.requests {
            [&mut q.at_head, &mut q.before, &mut q.after].into_iter().for_each(|list| list.retain(keep));
        }
        for r in plan.talks.iter_mut().flat_map(|t| &mut t.reactions) {
            [&mut r.before, &mut r.after].into_iter().for_each(|list| list.retain(keep));
        }
        plan.acts.retain(|(_, a)| keep(a));
        // How much a slow reader finds at once is chance.
        plan.clients.iter_mut().for_each(|c| (c.read_most, c.read_pause_us) = (usize::MAX, 0));
        plan.talks.iter_mut().for_each(|t| (t.read_most, t.read_pause_us) = (usize::MAX, 0));
        (plan.famine, plan.compared) = (None, true);
        plan
    }

    pub(crate) fn new(seed: u64) -> Plan {
        Plan::draw(seed, None)
    }

    fn draw(seed: u64, given: Option<Climate>) -> Plan {
        let mut n = Numbers(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x51);
        let n = &mut n;
        let drawn = climate(n);
        let most = if given.is_some() { 10_000 } else { largest(&drawn) };
        let climate = given.unwrap_or(drawn);
        let wild = [0, 0, 60, 150, 300][n.below(5) as usize];
        let mut requests = Vec::new();
        let mut clients = Vec::new();
        let talks: u64 = [0, 0, 0, 1, 1, 2, 3][n.below(7) as usize];
        let many = if talks > 0 { n.below(3) } else { n.between((1, 6)) };
        let talks = (0..talks).map(|_| Talk::new(n, wild, most)).collect();
        for _ in 0..many {
            let mut steps = Vec::new();
            for _ in 0..1 + n.below(5) {
                match n.below(12) {
                    // Half of the time about as long as a grace, so that both end at the same moment.
                    0 if n.chance(500) => {
                        steps.push(Step::Await);
                        steps.push(Step::Pause((idle_ms(n) as u64 * 1000 + n.below(1500)).saturating_sub(500)));
                        requests.push(request(n, wild, most));
                        steps.push(Step::Send { requests: vec![requests.len() - 1], piece: usize::MAX, pause_us: 0 });
                    }
                    0 => steps.push(Step::Pause(n.between((1, 3_000_000)))),
                    1 => steps.push(Step::Deaf(n.between((1, 1_000_000)))),
                    2..=4 => steps.push(Step::Await),
                    _ => {
                        let many = if n.chance(500) { 1 } else { 1 + n.below(5) };
                        let list = (0..many).map(|_| {
                            requests.push(request(n, wild, most));
                            requests.len() - 1
                        });
                        let list: Vec<usize> = list.collect();
                        let piece = if n.chance(500) { usize::MAX } else { n.between((1, 3000)) as usize };
                        let pause_us = if n.chance(500) { 0 } else { n.between((1, 100_000)) };
                        let piece = if pause_us == 0 { piece } else { piece.max(most as usize / 20) };
                        steps.push(Step::Send { requests: list, piece, pause_us });
                    }
                }
            }
            match n.below(20) {
                0 => steps.push(Step::Close),
                1 => steps.push(Step::Reset),
                2..=5 => steps.push(Step::HalfClose),
                6..=8 => steps.push(Step::Stay),
                9 => {
                    requests.push(request(n, wild, most));
                    let per_mille = n.below(1000) as u32;
                    steps.push(Step::Half { request: requests.len() - 1, per_mille });
                    if n.chance(500) {
                        steps.push(Step::Stay);
                    }
                }
                _ => {}
            }
            let slow = n.chance(150);
            clients.push(Client {
                secure: secure(n),
                start_us: if n.chance(400) { 0 } else { n.below(2_000_000) },
                steps,
                read_most: if slow { n.between((100, 20_000)) as usize } else { usize::MAX },
                read_pause_us: if slow { n.between((100, 20_000)) } else { 0 },
            });
        }
        let mut acts = Vec::new();
        while n.chance(350) && acts.len() < 3 {
            acts.push((n.below(4_000_000), act(n, false)));
        }
        let pick = |n: &mut Numbers, per_mille, low, high| if n.chance(per_mille) { n.between((low, high)) as i32 } else { 0 };
        let limits = match n.chance(250) {
            false => Limits::default(),
            true => Limits {
                header_ms: pick(n, 500, 200, 5000),
                body_ms: pick(n, 500, 200, 5000),
                idle_ms: pick(n, 500, 200, 5000),
                write_ms: pick(n, 300, 2000, 20_000),
                half_close_ms: pick(n, 500, 100, 20_000),
                max_requests: pick(n, 300, 1, 5) as u32,
                max_conns: pick(n, 200, 1, 5) as usize,
            },
        };
        let poll_ms = [-1, 1, 10, 1000, 100_000][n.below(5) as usize];
        let loud = n.chance(700);
        let famine = n.chance(50).then(|| (n.between((1, 2000)) as u32, n.between((1, 100)) as u32));
        Plan { seed, climate, clients, talks, requests, acts, limits, poll_ms, loud, famine, compared: false }
    }

    /// Plans that are a little smaller, those that leave out most first.
    pub(crate) fn smaller(&self) -> Vec<Plan> {
        let mut all = Vec::new();
        let mut push = |change: &dyn Fn(&mut Plan)| {
            let mut plan = self.clone();
            change(&mut plan);
            all.push(plan);
        };
        for i in 0..self.talks.len() {
            push(&|p| _ = p.talks.remove(i));
        }
        if self.clients.len() + self.talks.len() > 1 {
            for i in 0..self.clients.len() {
                push(&|p| _ = p.clients.remove(i));
            }
        }
        for i in 0..self.acts.len() {
            push(&|p| _ = p.acts.remove(i));
        }
        for (i, client) in self.clients.iter().enumerate() {
            for j in 0..client.steps.len() {
                push(&|p| _ = p.clients[i].steps.remove(j));
            }
        }
        for (i, client) in self.clients.iter().enumerate() {
            for (j, step) in client.steps.iter().enumerate() {
                if let Step::Send { requests, piece, pause_us } = step {
                    if requests.len() > 1 {
                        for k in 0..requests.len() {
                            push(&|p| {
                                if let Step::Send { requests, .. } = &mut p.clients[i].steps[j] {
                                    requests.remove(k);
                                }
                            });
                        }
                    }
                    if *pause_us > 0 || *piece < usize::MAX {
                        push(&|p| {
                            if let Step::Send { piece, pause_us, .. } = &mut p.clients[i].steps[j] {
                                (*piece, *pause_us) = (usize::MAX, 0);
                            }
                        });
                    }
                }
            }
            if client.read_most < usize::MAX {
                push(&|p| (p.clients[i].read_most, p.clients[i].read_pause_us) = (usize::MAX, 0));
            }
            push(&|p| p.clients[i].secure = Secure::No);
            if client.start_us > 0 {
                push(&|p| p.clients[i].start_us = 0);
            }
        }
        for (i, talk) in self.talks.iter().enumerate() {
            for smaller in talk.smaller() {
                push(&|p| p.talks[i] = smaller.clone());
            }
        }
        let used: Vec<usize> = self.clients.iter().flat_map(|c| c.requests()).collect();
        for r in used {
            let q = &self.requests[r];
            for list in 0..3 {
                for k in 0..[&q.at_head, &q.before, &q.after][list].len() {
                    push(&|p| {
                        let q = &mut p.requests[r];
                        [&mut q.at_head, &mut q.before, &mut q.after][list].remove(k);
                    });
                }
            }
            if !matches!(q.answer, Answer::Whole(_)) {
                push(&|p| p.requests[r].answer = Answer::Whole(5));
            } else if q.answer.len() > 5 {
                push(&|p| p.requests[r].answer = Answer::Whole(5));
                push(&|p| p.requests[r].answer = Answer::Whole(q.answer.len() / 2));
            }
            if q.method != Method::Get {
                push(&|p| {
                    let q = &mut p.requests[r];
                    (q.method, q.body, q.expects, q.upload) = (Method::Get, Body::None, false, false);
                });
                push(&|p| (p.requests[r].body, p.requests[r].expects) = (Body::Length(q.body.len() / 2), false));
            }
            push(&|p| p.requests[r].upload = false);
            if q.last || q.old {
                push(&|p| (p.requests[r].last, p.requests[r].old) = (false, false));
            }
        }
        let calm = Climate::CALM;
        push(&|p| p.climate = calm.clone());
        push(&|p| (p.climate.stalls, p.climate.stall_us) = (0, 0));
        push(&|p| (p.climate.short, p.climate.refuses) = (0, 0));
        push(&|p| p.climate.accept_fails = 0);
        push(&|p| p.climate.poll_us = 0);
        push(&|p| p.climate.call_us = 0);
        push(&|p| p.climate.room = calm.room);
        push(&|p| p.climate.segment = calm.segment);
        push(&|p| p.climate.delay_us = calm.delay_us);
        push(&|p| p.climate.destroys = false);
        push(&|p| p.limits = Limits::default());
        push(&|p| p.famine = None);
        if let Some((from, many)) = self.famine {
            push(&|p| p.famine = Some((from, 1)));
            push(&|p| p.famine = Some((from, many / 2)));
            push(&|p| p.famine = Some((from + many / 2, many - many / 2)));
        }
        push(&|p| p.poll_ms = 1000);
        push(&|p| p.loud = true);
        // What changes nothing would be taken forever.
        let own = format!("{self:?}");
        all.retain(|p| format!("{p:?}") != own);
        all
    }
}

impl Plan {
    /// What the program may do.
    pub(crate) fn all_acts(&self) -> impl Iterator<Item = &Act> {
        let in_handlers = self.requests.iter().flat_map(|q| [&q.at_head, &q.before, &q.after]).flatten();
        in_handlers.chain(self.acts.iter().map(|a| &a.1)).chain(self.talks.iter().flat_map(Talk::acts))
    }

    pub(crate) fn wakes(&self) -> bool {
        self.all_acts().any(|a| matches!(a, Act::Wake(_)))
    }
}

impl Client {
    pub(crate) fn requests(&self) -> Vec<usize> {
        let of = |s: &Step| match s {
            Step::Send { requests, .. } => requests.clone(),
            Step::Half { request, .. } => vec![*request],
            _ => Vec::new(),
        };
        self.steps.iter().flat_map(of).collect()
    }
}
