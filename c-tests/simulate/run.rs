//! One run of a plan in the simulated world, and what must be true of it.

use crate::client::{Client, Over};
use crate::ffi::*;
use crate::line::{Line, Secure};
use crate::plan::{Act, Answer, Plan};
use crate::program::{self, Conn, Program};
use crate::speak;
use crate::talk::{Kind, Talk};
use crate::talking::Talking;
use crate::wire;
use core::cell::RefCell;
use std::rc::Rc;

thread_local! {
    static CLIENTS: RefCell<Vec<Client>> = const { RefCell::new(Vec::new()) };
}

/// A peer's turn: its number is that of the client, from 1.
fn hook(token: u64) {
    let (plan, ports) = program::with(|p| (p.plan.clone(), p.ports));
    let i = token as usize - 1;
    match i.checked_sub(plan.clients.len()) {
        None => CLIENTS.with(|all| all.borrow_mut()[i].act(&plan, &plan.clients[i], &ports)),
        Some(t) => speak::with(t, |talking| talking.act(&plan.talks[t], &ports)),
    }
    if peers_are_over(&plan) {
        wire::interrupt();
    }
}

/// Nobody is left who could want something.
fn peers_are_over(plan: &Plan) -> bool {
    let clients = CLIENTS.with(|all| all.borrow().iter().all(|c| c.over.is_some()));
    clients
        && speak::with_all(|all| {
            all.iter().zip(&plan.talks).all(|(t, talk)| t.over.is_some() || talk.ours_asks && t.line.is_none() && t.started)
        })
}

/// What a run came to.
#[derive(Default, Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) polls: u64,
    pub(crate) requests: u64,
    pub(crate) conns: u64,
}

/// So many bytes fit into every buffer on the way.
const FITS: u64 = 16 << 10;

/// What happened to each peer, for `compare`: the events of its connection with their times, and how it ended.
fn record(program: &Program, clients: &[Client], talks: &[Talking]) -> String {
    let mut out = String::new();
    let mut put = |name: String, conn: Option<&Conn>, line: Option<&Line>, how: String| {
        out += &format!("{name}: {how}, {} bytes\n", line.map_or(0, |l| l.received));
        let Some(conn) = conn else { return };
        // How what does not fit is cut depends on when there is room.
        let fits = line.is_some_and(|l| l.sent() <= FITS);
        conn.log.iter().filter(|line| fits || !line.contains(" us READ ")).for_each(|line| out += &format!("  {line}\n"));
        out += &format!("  ended for {:?}\n", conn.closed);
    };
    for (i, c) in clients.iter().enumerate() {
        let conn = program.conns.values().find(|conn| conn.accepted && conn.port == c.port);
        put(format!("client {i}"), conn, c.line.as_ref(), format!("{:?}, answers to {:?}", c.over, c.reader.done));
    }
    for (i, t) in talks.iter().enumerate() {
        let conn = t.conn.and_then(|id| program.conns.get(&id));
        put(format!("talk {i}"), conn, t.line.as_ref(), format!("{:?}, {} heard", t.over, t.heard));
    }
    out
}

thread_local! {
    /// Of the last run of a plan that is compared.
    static RECORD: RefCell<String> = const { RefCell::new(String::new()) };
}

pub(crate) fn take_record() -> String {
    RECORD.with(RefCell::take)
}

/// The longest that a run may take, microseconds of its clock.
const LONGEST_US: u64 = 6_000_000_000;
const MOST_POLLS: u64 = 8_000_000;

/// What the library keeps for the whole process it allocates once.
pub(crate) fn warm_up() {
    for secure in [Secure::No, Secure::V12, Secure::V13] {
        let mut plan = Plan::new(0);
        plan.talks.clear();
        plan.clients.truncate(1);
        plan.clients[0].secure = secure;
        plan.climate = crate::numbers::Climate::CALM;
        _ = run(&Rc::new(plan), false);
    }
}

pub(crate) fn run(plan: &Rc<Plan>, trace: bool) -> Result<Sums, String> {
    unsafe { mgx_log_set(0) };
    crate::entropy::seed(plan.seed);
    let memory = crate::memory::held();
    let result = {
        wire::begin(plan.seed, plan.climate.clone(), hook, trace);
        let many = plan.clients.len();
        CLIENTS.with(|all| *all.borrow_mut() = (0..many).map(|i| Client::new(i as u64 + 1)).collect());
        for (i, client) in plan.clients.iter().enumerate() {
            wire::call_in(i as u64 + 1, client.start_us);
        }
        let talking = |(t, talk): (usize, &Talk)| {
            let token = (many + t) as u64 + 1;
            let mut talking = Talking::new(t, token);
            if talk.ours_asks {
                talking.port = wire::listen(token);
            } else {
                wire::call_in(token, talk.start_us);
            }
            talking
        };
        speak::with_all(|all| *all = plan.talks.iter().enumerate().map(talking).collect());
        let result = drive(plan);
        let program = program::end();
        let clients = CLIENTS.with(RefCell::take);
        let talks = speak::with_all(core::mem::take);
        if plan.compared {
            RECORD.with(|r| *r.borrow_mut() = record(&program, &clients, &talks));
        }
        let uploads = crate::files::take_uploads();
        let result = result.and_then(|sums| judge(plan, &program, &clients, &talks).map(|()| sums));
        let leftover = uploads.keys().find(|name| name.contains("..")).map(|name| format!("an upload has left {name}"));
        crate::memory::recover();
        match leftover {
            Some(text) => result.and(Err(text)),
            None => result,
        }
    };
    if trace {
        return result;
    }
    wire::end();
    if plan.compared {
        // The record is among what is held.
        return result;
    }
    result.and_then(|sums| match crate::memory::held() - memory {
        0 => Ok(sums),
        n => Err(format!("{n} blocks of memory are left over")),
    })
}

fn findings() -> Result<(), String> {
    if let Some(wrong) = wire::faults().into_iter().next() {
        return Err(wrong);
    }
    if let Some(wrong) = program::with(|p| p.findings.first().cloned()) {
        return Err(wrong);
    }
    let of_client = |(i, c): (usize, &Client)| c.wrong.as_ref().map(|w| format!("client {i}: {w}"));
    let of_talk = |(i, t): (usize, &Talking)| t.wrong.as_ref().map(|w| format!("talk {i}: {w}"));
    let wrong = CLIENTS.with(|all| all.borrow().iter().enumerate().find_map(of_client));
    let wrong = wrong.or_else(|| speak::with_all(|all| all.iter().enumerate().find_map(of_talk)));
    wrong.map_or(Ok(()), Err)
}

/// Wakeups come with the next poll.
fn check_wakes() -> Result<(), String> {
    program::with(|p| {
        let late = |c: &program::Conn| c.closed.is_none() && c.wakes.front().is_some_and(|w| w.1 + 3 < p.polls);
        match p.conns.iter().find(|(_, c)| late(c)) {
            Some((id, _)) => Err(format!("connection {id} was not woken")),
            None => Ok(()),
        }
    })
}

fn drive(plan: &Rc<Plan>) -> Result<Sums, String> {
    let mgr = program::begin(plan.clone());
    if let Some((from, many)) = plan.famine {
        crate::memory::fail(from, many);
    }
    let result = polls(plan, mgr);
    if !program::with(|p| p.freed) {
        unsafe { mg_mgr_free(mgr) };
        program::with(|p| p.freed = true);
    }
    let sums = result?;
    findings()?;
    let open = program::with(|p| p.conns.iter().find(|(_, c)| c.closed.is_none()).map(|(id, _)| *id));
    if let Some(id) = open {
        return Err(format!("connection {id} had no MG_EV_CLOSE when the manager was freed"));
    }
    match wire::left_open() {
        (0, 0, 0) => Ok(sums),
        left => Err(format!("left open: {} descriptors, {} pollers, {} ends of connections", left.0, left.1, left.2)),
    }
}

fn polls(plan: &Plan, mgr: *mut mg_mgr) -> Result<Sums, String> {
    let mut sums = Sums::default();
    let is_freed = || program::with(|p| p.freed);
    let accepted = || program::with(|p| p.conns.values().any(|c| (c.accepted || c.talk.is_some()) && c.closed.is_none()));
    let mut quiet_since = None;
    // Whether the previous turn saw nothing left: a client may have come and gone while the application was busy, and its
    // connection wait to be accepted.
    let mut rested = false;
    // Polls that began after the deadline of a drain.
    let mut late = 0;
    let wakes = plan.wakes();
    loop {
        findings()?;
        if is_freed() {
            break;
        }
        check_drain(plan, mgr, late)?;
        if wakes {
            check_wakes()?;
        }
        if crate::memory::has_failed() {
            CLIENTS.with(|all| all.borrow_mut().iter_mut().for_each(|c| c.is_lossy = true));
            speak::with_all(|all| all.iter_mut().for_each(|t| t.is_lossy = true));
        }
        let clients_over = peers_are_over(plan);
        let lingering = || unsafe {
            let mut status: mgx_drain_status = core::mem::zeroed();
            mgx_mgr_drain_status(mgr, &mut status);
            status.lingering
        };
        let has_timers = unsafe { !(*mgr).timers.is_null() };
        if clients_over && !has_timers {
            let rest = accepted() || lingering() > 0;
            let since = *quiet_since.get_or_insert_with(wire::now_us);
            if !rest && rested {
                break;
            }
            rested = !rest;
            if wire::now_us() > since + 100_000_000 {
                return Err(format!("all clients are gone for 100 s, and connections are not ({} linger)", lingering()));
            }
        } else {
            // A peer of a connection that the library opens may start only now.
            (quiet_since, rested) = (None, false);
        }
        if wire::now_us() > LONGEST_US || sums.polls > MOST_POLLS {
            return Err(format!("no end after {} s and {} polls", wire::now_us() / 1_000_000, sums.polls));
        }
        // Nothing is to come when only the listener is left.
        let ms = if clients_over { 1000 } else { plan.poll_ms };
        let ends = program::with(|p| p.drain_ends_ms);
        late = if ends.is_some_and(|ends| unsafe { mg_millis() } > ends) { late + 1 } else { 0 };
        wire::poll(mgr, ms);
        sums.polls += 1;
        program::with(|p| p.polls = sums.polls);
    }
    if !is_freed() {
        idle(mgr)?;
        let mut stats = mgx_stats::default();
        unsafe { mgx_mgr_stats(mgr, &mut stats) };
        (sums.requests, sums.conns) = (stats.requests, stats.accepted);
        if stats.conns != 0 {
            return Err(format!("{} connections are counted when all are gone", stats.conns));
        }
    }
    Ok(sums)
}

/// With nothing but listeners left, a poll has nothing to wait for.
fn idle(mgr: *mut mg_mgr) -> Result<(), String> {
    if program::with(|p| p.was_drained) || wire::failed_accepts() > 0 {
        return Ok(());
    }
    for _ in 0..3 {
        unsafe { mg_mgr_poll(mgr, 0) };
    }
    match unsafe { mgx_mgr_timeout_ms(mgr) } {
        -1 => Ok(()),
        ms => Err(format!("nothing is left to wait for, and a poll would wait {ms} ms")),
    }
}

/// A drain ends by its deadline: handlers that take their time may delay it, and one poll's rounding. Where system calls take long, the
/// first poll after the deadline may have begun before it: `late` polls have begun after it.
fn check_drain(plan: &Plan, mgr: *mut mg_mgr, late: usize) -> Result<(), String> {
    let Some(ends) = program::with(|p| p.drain_ends_ms) else { return Ok(()) };
    if unsafe { mgx_mgr_phase(mgr) } == mgx_mgr_phase::MGX_MGR_DONE {
        program::with(|p| p.drain_ends_ms = None);
        let mut status: mgx_drain_status = unsafe { core::mem::zeroed() };
        unsafe { mgx_mgr_drain_status(mgr, &mut status) };
        // Before the deadline, done means that a program may exit without harm to a client. What the library has connected is not
        // waited for.
        let asks = plan.talks.iter().any(|t| t.ours_asks);
        return match unsafe { mg_millis() } < ends && status.lingering > 0 && !asks {
            true => Err(format!("the drain is done, and {} sockets linger", status.lingering)),
            false => Ok(()),
        };
    }
    let slack = program::with(|p| p.computed_us) / 1000 + 5;
    match unsafe { mg_millis() } {
        now if now > ends + slack && late >= 2 => Err(format!("the drain is not done {} ms after its deadline", now - ends)),
        _ => Ok(()),
    }
}

/// Whether the program drains connections, or all of them.
fn drains(plan: &Plan) -> bool {
    let is_drain = |a: &Act| matches!(a, Act::ConnDrain { .. } | Act::DrainOther { .. } | Act::MgrDrain { .. });
    plan.all_acts().any(is_drain)
}

/// Reasons for which a connection may end.
fn is_possible(plan: &Plan, conn: &Conn, reason: mgx_reason, left_early: bool) -> bool {
    use mgx_reason::*;
    let l = &plan.limits;
    match reason {
        MGX_REASON_IDLE_TIMEOUT => l.idle_ms > 0,
        // A drain has a limit of its own for requests that do not go on.
        MGX_REASON_HEADER_TIMEOUT => l.header_ms > 0 || drains(plan),
        MGX_REASON_BODY_TIMEOUT => l.body_ms > 0 || drains(plan),
        MGX_REASON_ERROR => left_early,
        MGX_REASON_NONE => false,
        MGX_REASON_CLOSED_BY_USER => conn.killed,
        _ => true,
    }
}

/// Whether close_notify may have to wait for room, or takes a while.
fn may_wait(plan: &Plan) -> bool {
    let w = &plan.climate;
    w.call_us > 0 || w.short > 0 || w.refuses > 0 || w.room.0 < 4096
}

fn judge_talk(plan: &Plan, program: &Program, index: usize, talking: &Talking) -> Result<(), String> {
    use mgx_reason::*;
    let talk = &plan.talks[index];
    let Some(conn) = talking.conn.and_then(|id| program.conns.get(&id)) else {
        return if talking.heard == 0 { Ok(()) } else { Err("words without a connection".into()) };
    };
    let (Some(reason), Some(line)) = (conn.closed, &talking.line) else { return Ok(()) };
    let Some(over) = talking.over else { return if program.freed_early { Ok(()) } else { Err("has not come to an end".into()) } };
    let Some(story) = line.wire().other_side() else { return Ok(()) };
    if crate::memory::has_failed() || conn.killed || program.freed_early || matches!(over, Over::Left | Over::Refused) {
        return Ok(());
    }
    let cut = talk.asks.last().is_some_and(|ask| ask.cut.is_some());
    if !is_possible(plan, conn, reason, talk.keepalive > 0 || cut) {
        return Err(format!("its connection ended for {reason:?}"));
    }
    if !matches!(reason, MGX_REASON_DRAINED | MGX_REASON_PEER_CLOSED) {
        return Ok(());
    }
    if story.rude {
        return Err(format!("its connection ended for {reason:?} with input unread, which resets it"));
    }
    if story.late_us.is_some() {
        return Ok(());
    }
    if over == Over::Reset {
        return Err(format!("was reset, and its connection ended for {reason:?}"));
    }
    if line.is_truncated && conn.secured {
        return Err("the end came without close_notify".into());
    }
    // Behind close_notify, which waits for room, nothing can follow.
    let is_late = conn.secured && may_wait(plan);
    if let (None, Some(text), false) = (talking.close, talking.unheard(), is_late) {
        return Err(text);
    }
    if talk.kind == Kind::Ws && reason == MGX_REASON_DRAINED && talking.is_open && talking.close.is_none() {
        return Err("ended without a Close frame".into());
    }
    if conn.drained || talking.said_bye || drains(plan) || talking.close.is_some_and(|code| code != 1000) {
        return Ok(());
    }
    // The time for a half-closed peer also limits how long its messages wait for a handler that polls, and the handler computes in it.
    let half_close_ms = if plan.limits.half_close_ms > 0 { plan.limits.half_close_ms as u64 } else { 5000 };
    let polls = || talk.acts().any(|act| matches!(act, Act::Poll { .. }));
    if reason == MGX_REASON_PEER_CLOSED && program.computed_us / 1000 >= half_close_ms && polls() {
        return Ok(());
    }
    let arrived = story.arrived_before.unwrap_or(story.arrived);
    talking.missing(arrived).map_or(Ok(()), Err)
}

fn judge(plan: &Plan, program: &Program, clients: &[Client], talks: &[Talking]) -> Result<(), String> {
    for (i, talking) in talks.iter().enumerate() {
        judge_talk(plan, program, i, talking).map_err(|wrong| format!("talk {i}: {wrong}"))?;
    }
    for (i, client) in clients.iter().enumerate() {
        judge_client(plan, program, client).map_err(|wrong| format!("client {i}: {wrong}"))?;
    }
    Ok(())
}

fn judge_client(plan: &Plan, program: &Program, client: &Client) -> Result<(), String> {
    use mgx_reason::*;
    let Some(over) = client.over else { return if program.freed_early { Ok(()) } else { Err("has not come to an end".into()) } };
    let Some(conn) = program.conns.values().find(|c| c.accepted && c.port == client.port) else {
        return if client.reader.done.is_empty() { Ok(()) } else { Err("answers without a connection".into()) };
    };
    let order: Vec<usize> = client.begun.iter().map(|b| b.0).collect();
    if !order.starts_with(&conn.dispatched) {
        return Err(format!("sent {order:?}, dispatched {:?}", conn.dispatched));
    }
    if !conn.dispatched.starts_with(&client.reader.done) {
        return Err(format!("dispatched {:?}, answered {:?}", conn.dispatched, client.reader.done));
    }
    let Some(reason) = conn.closed else { return Ok(()) };
    let Some(story) = client.wire().and_then(|end| end.other_side()) else { return Ok(()) };
    if crate::memory::has_failed() {
        return Ok(());
    }
    let orderly = matches!(reason, MGX_REASON_DRAINED | MGX_REASON_PEER_CLOSED);
    let l = &plan.limits;
    // A client that leaves in the handshake is an error.
    let in_handshake = over == Over::Left && client.line.as_ref().is_some_and(Line::is_shaking_hands);
    if !is_possible(plan, conn, reason, in_handshake) && !conn.killed {
        return Err(format!("its connection ended for {reason:?}"));
    }
    // Nobody is owed anything who went away, or whom the program has put out.
    let gone = over == Over::Left || conn.killed || program.freed_early || !orderly;
    if orderly && story.rude && !conn.killed {
        return Err(format!("its connection ended for {reason:?} with input unread, which resets it"));
    }
    if gone {
        return Ok(());
    }
    if let Some(late) = story.late_us {
        // It sent something when the server had stopped waiting for that.
        let waited = story.closed_us.unwrap_or(late) - story.shut_us.unwrap_or(late);
        let excused = wire::failed_accepts() > 0 || program.was_drained || waited >= 999_000 || client.shut;
        return if excused { Ok(()) } else { Err(format!("the server waited {waited} us for its last byte")) };
    }
    if over == Over::Reset {
        return Err(format!("was reset, and its connection ended for {reason:?}"));
    }
    // At the deadline of a drain there may be no room for it.
    let in_time = !(program.was_drained && reason == MGX_REASON_PEER_CLOSED);
    if client.line.as_ref().is_some_and(|l| l.is_truncated) && conn.secured && in_time {
        return Err("the end came without close_notify".into());
    }
    // Behind close_notify, which waits for room, nothing can follow: the answer came after the drain had nothing left to send, or after
    // the time for a half-closed client.
    let is_late = conn.secured && (conn.drained || reason == MGX_REASON_PEER_CLOSED && client.shut) && may_wait(plan);
    if let (Some(id), false) = (conn.completed.iter().find(|id| !client.reader.done.contains(id)), is_late) {
        return Err(format!("the answer to {id} was written and did not arrive whole"));
    }
    if reason == MGX_REASON_PEER_CLOSED || conn.drained {
        return Ok(());
    }
    if let Some(id) = conn.dispatched.iter().find(|id| !conn.completed.contains(id)) {
        return Err(format!("request {id} was dispatched and not waited for"));
    }
    let asked = |id: &usize| plan.requests[*id].last;
    // A head that the program writes itself cannot be made to say that it is the last.
    let own = |id: &usize| l.max_requests > 0 && matches!(plan.requests[*id].answer, Answer::Own(_));
    if conn.dispatched.iter().any(asked) || conn.dispatched.last().is_some_and(own) {
        return Ok(());
    }
    let arrived = story.arrived_before.unwrap_or(story.arrived);
    let has_come = |end: u64| client.line.as_ref().is_some_and(|l| l.wire_end(end) <= arrived);
    let lost = client.begun.iter().find(|(id, end)| has_come(*end) && !conn.dispatched.contains(id));
    match lost {
        // TLS says goodbye between the last look and the end: what comes meanwhile is late.
        Some(_) if conn.secured && may_wait(plan) => Ok(()),
        Some((id, _)) if !client.reader.last => Err(format!("request {id} had arrived whole and was not looked at")),
        _ => Ok(()),
    }
}
