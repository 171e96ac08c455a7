//! One run of a plan in the simulated world, and what must be true of it.

use crate::client::{Client, Over};
use crate::ffi::*;
use crate::plan::{Act, Answer, Plan};
use crate::program::{self, Program};
use crate::wire;
use core::cell::RefCell;
use mongoose::sim;
use std::rc::Rc;

thread_local! {
    static CLIENTS: RefCell<(Option<Rc<Plan>>, Vec<Client>)> = const { RefCell::new((None, Vec::new())) };
}

/// A peer's turn: its number is that of the client, from 1.
fn hook(token: u64) {
    CLIENTS.with(|all| {
        let (plan, clients) = &mut *all.borrow_mut();
        let (Some(plan), i) = (plan, token as usize - 1) else { return };
        clients[i].act(plan, &plan.clients[i], wire::PORT);
        if clients.iter().all(|c| c.over.is_some()) {
            sim::interrupt();
        }
    });
}

/// What a run came to.
#[derive(Default, Clone, Copy)]
pub(crate) struct Sums {
    pub(crate) polls: u64,
    pub(crate) requests: u64,
    pub(crate) conns: u64,
}

/// The longest that a run may take, microseconds of its clock.
const LONGEST_US: u64 = 1_500_000_000;
const MOST_POLLS: u64 = 2_000_000;

/// What the library keeps for the whole process it allocates once.
pub(crate) fn warm_up() {
    let mut plan = Plan::new(0);
    plan.clients.truncate(1);
    plan.clients[0].steps.clear();
    _ = run(&Rc::new(plan), false);
}

pub(crate) fn run(plan: &Rc<Plan>, trace: bool) -> Result<Sums, String> {
    unsafe { mgx_log_set(0) };
    crate::entropy::seed(plan.seed);
    let memory = crate::memory::held();
    let result = {
        sim::begin(plan.seed, plan.climate.clone(), hook, trace);
        CLIENTS.with(|all| {
            let clients = (0..plan.clients.len()).map(|i| Client::new(i as u64 + 1)).collect();
            *all.borrow_mut() = (Some(plan.clone()), clients);
        });
        for (i, client) in plan.clients.iter().enumerate() {
            sim::call_in(i as u64 + 1, client.start_us);
        }
        let result = drive(plan);
        let program = program::end();
        let clients = CLIENTS.with(|all| core::mem::take(&mut *all.borrow_mut())).1;
        result.and_then(|sums| judge(plan, &program, &clients).map(|()| sums))
    };
    if trace {
        return result;
    }
    sim::end();
    result.and_then(|sums| match crate::memory::held() - memory {
        0 => Ok(sums),
        n => Err(format!("{n} blocks of memory are left over")),
    })
}

fn findings() -> Result<(), String> {
    if let Some(wrong) = sim::faults().into_iter().next() {
        return Err(wrong);
    }
    if let Some(wrong) = program::with(|p| p.findings.first().cloned()) {
        return Err(wrong);
    }
    CLIENTS.with(|all| {
        let wrong = all.borrow().1.iter().enumerate().find_map(|(i, c)| c.wrong.as_ref().map(|w| format!("client {i}: {w}")));
        wrong.map_or(Ok(()), Err)
    })
}

fn drive(plan: &Rc<Plan>) -> Result<Sums, String> {
    let mgr = program::begin(plan.clone());
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
    match sim::left_open() {
        (0, 0, 0) => Ok(sums),
        left => Err(format!("left open: {} descriptors, {} pollers, {} ends of connections", left.0, left.1, left.2)),
    }
}

fn polls(plan: &Plan, mgr: *mut mg_mgr) -> Result<Sums, String> {
    let mut sums = Sums::default();
    let is_freed = || program::with(|p| p.freed);
    let accepted = || program::with(|p| p.conns.values().any(|c| c.accepted && c.closed.is_none()));
    let mut quiet_since = None;
    loop {
        findings()?;
        if is_freed() {
            break;
        }
        check_drain(mgr)?;
        let clients_over = CLIENTS.with(|all| all.borrow().1.iter().all(|c| c.over.is_some()));
        let lingering = || unsafe {
            let mut status: mgx_drain_status = core::mem::zeroed();
            mgx_mgr_drain_status(mgr, &mut status);
            status.lingering
        };
        let has_timers = unsafe { !(*mgr).timers.is_null() };
        if clients_over && !has_timers {
            let rest = accepted() || lingering() > 0;
            let since = *quiet_since.get_or_insert_with(sim::now_us);
            if !rest {
                break;
            }
            if sim::now_us() > since + 100_000_000 {
                return Err(format!("all clients are gone for 100 s, and connections are not ({} linger)", lingering()));
            }
        }
        if sim::now_us() > LONGEST_US || sums.polls > MOST_POLLS {
            return Err(format!("no end after {} s and {} polls", sim::now_us() / 1_000_000, sums.polls));
        }
        // Nothing is to come when only the listener is left.
        let ms = if clients_over { 1000 } else { plan.poll_ms };
        unsafe { mg_mgr_poll(mgr, ms) };
        sums.polls += 1;
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
    if program::with(|p| p.was_drained) || sim::failed_accepts() > 0 {
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

/// A drain ends by its deadline: handlers that take their time may delay it, and one poll's rounding.
fn check_drain(mgr: *mut mg_mgr) -> Result<(), String> {
    let Some(ends) = program::with(|p| p.drain_ends_ms) else { return Ok(()) };
    if unsafe { mgx_mgr_phase(mgr) } == mgx_mgr_phase::MGX_MGR_DONE {
        program::with(|p| p.drain_ends_ms = None);
        let mut status: mgx_drain_status = unsafe { core::mem::zeroed() };
        unsafe { mgx_mgr_drain_status(mgr, &mut status) };
        // Before the deadline, done means that a program may exit without harm to a client.
        return match unsafe { mg_millis() } < ends && status.lingering > 0 {
            true => Err(format!("the drain is done, and {} sockets linger", status.lingering)),
            false => Ok(()),
        };
    }
    let slack = program::with(|p| p.computed_us) / 1000 + 5;
    match unsafe { mg_millis() } {
        now if now > ends + slack => Err(format!("the drain is not done {} ms after its deadline", now - ends)),
        _ => Ok(()),
    }
}

/// Whether the program drains connections, or all of them.
fn drains(plan: &Plan) -> bool {
    let is_drain = |a: &Act| matches!(a, Act::ConnDrain { .. } | Act::DrainOther { .. } | Act::MgrDrain { .. });
    let in_handlers = plan.requests.iter().flat_map(|q| [&q.at_head, &q.before, &q.after]).flatten();
    in_handlers.chain(plan.acts.iter().map(|a| &a.1)).any(is_drain)
}

fn judge(plan: &Plan, program: &Program, clients: &[Client]) -> Result<(), String> {
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
    let Some(story) = client.other.and_then(|end| end.other_side()) else { return Ok(()) };
    let orderly = matches!(reason, MGX_REASON_DRAINED | MGX_REASON_PEER_CLOSED);
    let l = &plan.limits;
    let possible = match reason {
        MGX_REASON_IDLE_TIMEOUT => l.idle_ms > 0,
        // A drain has a limit of its own for requests that do not go on.
        MGX_REASON_HEADER_TIMEOUT => l.header_ms > 0 || drains(plan),
        MGX_REASON_BODY_TIMEOUT => l.body_ms > 0 || drains(plan),
        MGX_REASON_NONE | MGX_REASON_ERROR => false,
        MGX_REASON_CLOSED_BY_USER => conn.killed,
        _ => true,
    };
    if !possible && !conn.killed {
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
        let excused = sim::failed_accepts() > 0 || program.was_drained || waited >= 999_000 || client.shut;
        return if excused { Ok(()) } else { Err(format!("the server waited {waited} us for its last byte")) };
    }
    if over == Over::Reset {
        return Err(format!("was reset, and its connection ended for {reason:?}"));
    }
    if let Some(id) = conn.completed.iter().find(|id| !client.reader.done.contains(id)) {
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
    let lost = client.begun.iter().find(|(id, end)| *end <= arrived && !conn.dispatched.contains(id));
    match lost {
        Some((id, _)) if !client.reader.last => Err(format!("request {id} had arrived whole and was not looked at")),
        _ => Ok(()),
    }
}
