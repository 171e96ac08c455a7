//! The program on top of the library: a handler that does what the plan says, and writes down what it was told.

use crate::ffi::*;
use crate::plan::{Act, Answer, Limits, Method, Plan};
use crate::{files, message, speak};
use core::cell::RefCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::rc::Rc;

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) c: *mut mg_connection,
    pub(crate) port: u16,
    pub(crate) accepted: bool,
    pub(crate) closed: Option<mgx_reason>,
    pub(crate) heads: Vec<usize>,
    pub(crate) dispatched: Vec<usize>,
    /// Requests whose answer the program has written to its end.
    pub(crate) completed: Vec<usize>,
    /// The program has ended it by is_draining, by is_closing or a reset.
    pub(crate) drained: bool,
    pub(crate) killed: bool,
    /// Which conversation it is, rather than a client's.
    pub(crate) talk: Option<usize>,
    /// A request whose body goes to a file.
    uploads: Option<usize>,
    /// Wakeups under way: what they carry, and the poll after which they were sent.
    /// The handshake is done.
    pub(crate) secured: bool,
    /// For `compare`.
    pub(crate) log: Vec<String>,
    pub(crate) wakes: VecDeque<(usize, u64)>,
}

/// Where the program listens: without and with TLS.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ports {
    pub(crate) http: [u16; 2],
    pub(crate) mqtt: [u16; 2],
}

pub(crate) struct Program {
    pub(crate) mgr: *mut mg_mgr,
    pub(crate) plan: Rc<Plan>,
    pub(crate) ports: Ports,
    pub(crate) polls: u64,
    began_ms: u64,
    /// Called by mg_call.
    called: bool,
    /// An upload is being started.
    starts: bool,
    pub(crate) conns: BTreeMap<Id, Conn>,
    /// The connection that each request came on.
    asked: BTreeMap<usize, Id>,
    pub(crate) findings: Vec<String>,
    pub(crate) freed: bool,
    /// A handler has done that.
    pub(crate) freed_early: bool,
    /// When the drain of the manager must be over.
    pub(crate) drain_ends_ms: Option<u64>,
    pub(crate) was_drained: bool,
    depth: u32,
    pub(crate) computed_us: u64,
}

thread_local! {
    static PROGRAM: RefCell<Option<Program>> = const { RefCell::new(None) };
}

pub(crate) fn with<R>(f: impl FnOnce(&mut Program) -> R) -> R {
    PROGRAM.with(|p| f(p.borrow_mut().as_mut().expect("a program")))
}

/// What fails is reported by the run.
pub(crate) fn find(text: String) {
    crate::wire::say(&format!("FINDING {text}"));
    with(|p| p.findings.push(text));
}

/// How deep handlers may poll inside handlers.
const DEEPEST: u32 = 3;

pub(crate) fn begin(plan: Rc<Plan>) -> *mut mg_mgr {
    let mgr: *mut mg_mgr = Box::into_raw(Box::new(unsafe { core::mem::zeroed() }));
    PROGRAM.with(|p| {
        *p.borrow_mut() = Some(Program {
            mgr,
            plan: plan.clone(),
            ports: Ports::default(),
            polls: 0,
            began_ms: unsafe { mg_millis() },
            called: false,
            starts: false,
            conns: BTreeMap::new(),
            asked: BTreeMap::new(),
            findings: Vec::new(),
            freed: false,
            freed_early: false,
            drain_ends_ms: None,
            was_drained: false,
            depth: 0,
            computed_us: 0,
        });
    });
    unsafe {
        mg_mgr_init(mgr);
        mgx_mgr_limits(mgr, &limits(&plan.limits));
        if plan.wakes() && !mg_wakeup_init(mgr) {
            find("no wakeups".into());
        }
        let mut ports = Ports::default();
        for (i, port) in ports.http.iter_mut().enumerate() {
            *port = listen(mgr, false, i > 0);
        }
        for (i, port) in ports.mqtt.iter_mut().enumerate() {
            *port = listen(mgr, true, i > 0);
        }
        with(|p| p.ports = ports);
        for (t, talk) in plan.talks.iter().enumerate().filter(|(_, talk)| talk.ours_asks) {
            let arg = core::ptr::without_provenance_mut(t);
            mg_timer_add(mgr, talk.start_us / 1000, MG_TIMER_ONCE as u32, Some(speak::start), arg);
        }
        for (i, (us, _)) in plan.acts.iter().enumerate() {
            mg_timer_add(mgr, us / 1000, MG_TIMER_ONCE as u32, Some(timed), core::ptr::without_provenance_mut(i));
        }
    }
    mgr
}

/// The port.
fn listen(mgr: *mut mg_mgr, mqtt: bool, tls: bool) -> u16 {
    let data = core::ptr::without_provenance_mut(usize::from(tls));
    let scheme = if mqtt { "mqtt" } else { "http" };
    let url = CString::new(format!("{scheme}://127.0.0.1:0")).expect("no NUL");
    let listen = if mqtt { mg_mqtt_listen } else { mg_http_listen };
    let c = unsafe { listen(mgr, url.as_ptr(), Some(handler), data) };
    if c.is_null() {
        find("cannot listen".into());
        return 0;
    }
    unsafe { u16::from_be((*c).loc.port) }
}

pub(crate) fn end() -> Program {
    let program = PROGRAM.with(|p| p.borrow_mut().take()).expect("a program");
    // SAFETY: made by begin, and freed as a manager.
    drop(unsafe { Box::from_raw(program.mgr) });
    program
}

fn limits(l: &Limits) -> mgx_limits {
    mgx_limits {
        header_timeout_ms: l.header_ms,
        body_timeout_ms: l.body_ms,
        idle_timeout_ms: l.idle_ms,
        write_timeout_ms: l.write_ms,
        half_close_ms: l.half_close_ms,
        max_requests: l.max_requests,
        max_conns: l.max_conns,
        ..Default::default()
    }
}

unsafe extern "C" fn timed(arg: *mut c_void) {
    let (plan, took_ms, computed) = with(|p| (p.plan.clone(), unsafe { mg_millis() } - p.began_ms, p.computed_us / 1000));
    let (us, act) = &plan.acts[arg.addr()];
    let ms = us / 1000;
    if took_ms < ms || took_ms > ms + computed + TIMER_SLACK_MS {
        find(format!("a timer of {ms} ms was called after {took_ms} ms"));
    }
    perform(act, core::ptr::null_mut(), 0);
}

/// What polls and their calls may cost in this world.
const TIMER_SLACK_MS: u64 = 250;

pub(crate) unsafe extern "C" fn handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    unsafe { event(c, ev, data) }
}

/// The same: programs change c->fn.
unsafe extern "C" fn other_handler(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    core::hint::black_box(1);
    unsafe { event(c, ev, data) }
}

#[rustfmt::skip]
const NAMES: [&str; 20] = [
    "ERROR", "OPEN", "POLL", "RESOLVE", "CONNECT", "ACCEPT", "TLS_HS", "READ", "WRITE", "CLOSE", "HTTP_HDRS", "HTTP_MSG", "WS_OPEN",
    "WS_MSG", "WS_CTL", "MQTT_CMD", "MQTT_MSG", "MQTT_OPEN", "SNTP_TIME", "WAKEUP",
];

/// For mg_call.
const CALLED: c_int = MG_EV_USER + 77;

unsafe fn event(c: *mut mg_connection, ev: c_int, data: *mut c_void) {
    let id = unsafe { (*c).id };
    let name = || NAMES.get(ev as usize).map_or_else(|| format!("{ev:#x}"), |s| (*s).to_string());
    if ev != MG_EV_POLL && crate::wire::is_traced() {
        crate::wire::say(&format!("conn {id}: {}", name()));
    }
    let (known, late) = with(|p| {
        let conn = p.conns.get(&id);
        (conn.is_some(), conn.is_some_and(|c| c.closed.is_some()))
    });
    if late {
        return find(format!("event {ev} of connection {id} after MG_EV_CLOSE"));
    }
    if known != (ev != MG_EV_OPEN) {
        return find(format!("event {ev} of connection {id}: {}", if known { "opened twice" } else { "not opened" }));
    }
    let (plan, talk) = with(|p| (p.plan.clone(), p.conns.get(&id).and_then(|c| c.talk)));
    if plan.compared && ev != MG_EV_POLL {
        let detail = match ev {
            MG_EV_HTTP_MSG if talk.is_none() => unsafe { number(data) }.map_or(String::new(), |n| format!(" {n}")),
            MG_EV_READ | MG_EV_WRITE => format!(" {}", unsafe { *data.cast::<c_long>() }),
            _ => String::new(),
        };
        let line = format!("{} us {}{detail}", crate::wire::now_us(), name());
        with(|p| p.conns.get_mut(&id).into_iter().for_each(|c| c.log.push(line.clone())));
    }
    if ev == MG_EV_TLS_HS {
        mark(id, |c| c.secured = true);
    }
    if let Some(t) = talk.filter(|_| !matches!(ev, MG_EV_CLOSE | MG_EV_WAKEUP | CALLED)) {
        if ev == MG_EV_ACCEPT && unsafe { (*c).fn_data.addr() } == 1 {
            unsafe { speak::init_tls(c, true) };
        }
        return unsafe { speak::event(c, ev, data, id, t) };
    }
    match ev {
        MG_EV_OPEN => with(|p| {
            let (port, accepted) = unsafe { (u16::from_be((*c).rem.port), (*c).flags.is_accepted()) };
            let of_client = unsafe { (*c).flags.is_client() }.then(|| unsafe { (*c).fn_data.addr() } - 1);
            let talk = of_client.or_else(|| speak::by_port(&plan, port).filter(|_| accepted));
            if let Some(t) = talk {
                speak::with(t, |t| t.conn = Some(id));
            }
            let conn = Conn {
                c,
                port,
                accepted,
                closed: None,
                heads: Vec::new(),
                dispatched: Vec::new(),
                completed: Vec::new(),
                drained: false,
                killed: false,
                talk,
                uploads: None,
                secured: false,
                log: Vec::new(),
                wakes: VecDeque::new(),
            };
            p.conns.insert(id, conn);
            if accepted && !p.plan.loud {
                unsafe { mgx_conn_poll_events(c, false) };
            }
        }),
        MG_EV_CLOSE => {
            let reason = unsafe { mgx_close_reason(c) };
            if crate::wire::is_traced() {
                crate::wire::say(&format!("conn {id}: {reason:?}"));
            }
            with(|p| p.conns.get_mut(&id).expect("known").closed = Some(reason));
        }
        MG_EV_ACCEPT if unsafe { (*c).fn_data.addr() } == 1 => unsafe { speak::init_tls(c, true) },
        MG_EV_WAKEUP => {
            let got = unsafe { bytes(&*data.cast::<mg_str>()) };
            let due = with(|p| p.conns.get_mut(&id).expect("known").wakes.pop_front());
            if due.is_none_or(|(len, _)| got != message::body(WAKE_KEY, 0, len)) {
                find(format!("connection {id} was woken with {} bytes in place of {due:?}", got.len()));
            }
        }
        CALLED => with(|p| p.called = true),
        MG_EV_HTTP_HDRS => {
            let Some(request) = (unsafe { number(data) }) else { return find("HDRS without a request".into()) };
            let plan = with(|p| {
                p.conns.get_mut(&id).expect("known").heads.push(request);
                p.plan.clone()
            });
            for act in &plan.requests[request].at_head {
                if is_over(id) {
                    return;
                }
                perform(act, c, id);
            }
            if plan.requests[request].upload && !is_over(id) {
                with(|p| p.conns.get_mut(&id).expect("known").uploads = Some(request));
                let name = format!("u{request}");
                let (name, dir) = (text(name.as_bytes()), text(b"/up"));
                with(|p| p.starts = true);
                unsafe { mg_http_start_upload(c, data.cast(), name, dir, files::in_memory(), Some(uploaded)) };
                with(|p| p.starts = false);
            }
        }
        MG_EV_HTTP_MSG => unsafe { message(c, id, data.cast()) },
        _ => {}
    }
}

/// Which request a message is.
unsafe fn number(data: *mut c_void) -> Option<usize> {
    let hm: &mg_http_message = unsafe { &*data.cast() };
    let uri = unsafe { bytes(&hm.uri) };
    let number = std::str::from_utf8(uri.strip_prefix(b"/")?).ok()?.parse().ok()?;
    with(|p| number < p.plan.requests.len()).then_some(number)
}

/// The body of a request is in its file.
unsafe extern "C" fn uploaded(c: *mut mg_connection, error: *const c_char) {
    let id = unsafe { (*c).id };
    let (plan, request) = with(|p| (p.plan.clone(), p.conns.get_mut(&id).and_then(|c| c.uploads.take())));
    let Some(request) = request else { return find(format!("connection {id}: an upload ended twice")) };
    if is_over(id) {
        // It ends with its connection.
        return;
    }
    let q = &plan.requests[request];
    let file = files::uploaded(&format!("/up/u{request}"));
    let error = if error.is_null() { None } else { Some(unsafe { CStr::from_ptr(error) }) };
    if error.is_some() && with(|p| p.starts) || error == Some(c"connection closed") {
        // The message will come, or nobody is there.
        return;
    }
    if error.is_none() && file.as_ref() != Some(&message::body(request, 0, q.body.len())) {
        return find(format!("upload {request} is stored as {:?} bytes", file.map(|f| f.len())));
    }
    if !dispatched(id, request) {
        return;
    }
    answer(c, id, request, &plan, core::ptr::null_mut());
    for act in &q.after {
        if is_over(id) {
            return;
        }
        perform(act, c, id);
    }
}

/// Nothing more can be done with the connection.
pub(crate) fn is_over(id: Id) -> bool {
    with(|p| p.freed || p.conns.get(&id).is_none_or(|c| c.closed.is_some()))
}

unsafe fn message(c: *mut mg_connection, id: Id, hm: *mut mg_http_message) {
    let Some(request) = (unsafe { number(hm.cast()) }) else { return find("MSG without a request".into()) };
    let plan = with(|p| p.plan.clone());
    let q = &plan.requests[request];
    let is_whole = || unsafe {
        let want = message::body(request, 0, q.body.len());
        let method = q.method.name().as_bytes();
        number(hm.cast()) == Some(request) && bytes(&(*hm).method) == method && bytes(&(*hm).body) == want
    };
    if !is_whole() {
        let method = String::from_utf8_lossy(unsafe { bytes(&(*hm).method) });
        return find(format!("request {request} came as {method:?}, or with another body than was sent"));
    }
    if !dispatched(id, request) {
        return;
    }
    for act in &q.before {
        perform(act, c, id);
        if is_over(id) {
            return;
        }
    }
    if !is_whole() {
        return find(format!("the message of request {request} has changed under its handler"));
    }
    answer(c, id, request, &plan, hm);
    for act in &q.after {
        if is_over(id) {
            return;
        }
        perform(act, c, id);
    }
}

/// False: for the second time.
fn dispatched(id: Id, request: usize) -> bool {
    let again = with(|p| {
        let again = p.asked.insert(request, id).is_some();
        p.conns.get_mut(&id).expect("known").dispatched.push(request);
        again
    });
    if again {
        find(format!("request {request} was dispatched twice"));
    }
    !again
}

fn headers(request: usize) -> CString {
    CString::new(format!("X-Id: {request}\r\n")).unwrap()
}

fn whole(c: *mut mg_connection, id: Id, request: usize, len: usize) {
    let body = message::body(message::answer_key(request), 0, len);
    unsafe { mgx_http_reply(c, 200, headers(request).as_ptr(), body.as_ptr().cast(), body.len()) };
    completed(id, request);
}

fn completed(id: Id, request: usize) {
    with(|p| p.conns.get_mut(&id).expect("known").completed.push(request));
}

fn chunk(c: *mut mg_connection, request: usize, from: usize, len: usize) {
    let body = message::body(message::answer_key(request), from, len);
    unsafe { mgx_http_chunk(c, body.as_ptr().cast(), len) };
}

fn answer(c: *mut mg_connection, id: Id, request: usize, plan: &Plan, hm: *mut mg_http_message) {
    let q = &plan.requests[request];
    match &q.answer {
        Answer::File { which, real } => unsafe {
            let path = CString::new(files::path(*which, *real)).expect("no NUL");
            let headers = headers(request);
            let mut opts: mg_http_serve_opts = core::mem::zeroed();
            opts.extra_headers = headers.as_ptr();
            if !*real {
                opts.fs = files::in_memory();
            }
            mg_http_serve_file(c, hm, path.as_ptr(), &opts);
            completed(id, request);
        },
        Answer::Whole(len) => whole(c, id, request, *len),
        Answer::Chunks(parts) => unsafe {
            mgx_http_begin(c, 200, headers(request).as_ptr());
            let mut at = 0;
            for n in parts {
                chunk(c, request, at, *n);
                at += n;
            }
            mgx_http_chunk(c, core::ptr::null(), 0);
            completed(id, request);
        },
        Answer::Own(len) => unsafe {
            let mut text = message::own_head(request, &q.answer);
            if q.method != Method::Head {
                text.extend(message::body(message::answer_key(request), 0, *len));
            }
            if mg_send(c, text.as_ptr().cast(), text.len()) {
                (*c).flags.set_resp(false);
                completed(id, request);
            } else {
                mark(id, |c| c.killed = true);
                (*c).flags.set_closing(true);
            }
        },
        Answer::Later { ms, .. } => after(*ms, request, 0),
        Answer::Stream { every_ms, .. } => {
            unsafe { mgx_http_begin(c, 200, headers(request).as_ptr()) };
            after(*every_ms, request, 0);
        }
    }
}

/// Goes on with an answer, at its part number `part`.
fn after(ms: u64, request: usize, part: usize) {
    let mgr = with(|p| p.mgr);
    let arg = core::ptr::without_provenance_mut(request << 8 | part);
    if unsafe { mg_timer_add(mgr, ms, MG_TIMER_ONCE as u32, Some(go_on), arg) }.is_null() {
        // No memory: the answer cannot go on, and nobody else would end the connection.
        let id = with(|p| p.asked[&request]);
        if !is_over(id) {
            mark(id, |c| c.killed = true);
            unsafe { (*with(|p| p.conns[&id].c)).flags.set_closing(true) };
        }
    }
}

unsafe extern "C" fn go_on(arg: *mut c_void) {
    let (request, part) = (arg.addr() >> 8, arg.addr() & 255);
    let (plan, id, c) = with(|p| {
        let id = p.asked[&request];
        (p.plan.clone(), id, p.conns[&id].c)
    });
    if is_over(id) {
        return;
    }
    match &plan.requests[request].answer {
        Answer::Stream { every_ms, parts } => match parts.get(part) {
            Some(n) => {
                chunk(c, request, parts[..part].iter().sum(), *n);
                after(*every_ms, request, part + 1);
            }
            None => unsafe {
                mgx_http_chunk(c, core::ptr::null(), 0);
                completed(id, request);
            },
        },
        other => whole(c, id, request, other.len()),
    }
}

/// Another connection that was accepted, if there is one: the oldest.
fn other(id: Id) -> Option<(Id, *mut mg_connection)> {
    with(|p| p.conns.iter().find(|(i, c)| **i != id && c.accepted && c.closed.is_none()).map(|(i, c)| (*i, c.c)))
}

fn drain_opts(idle_ms: i32) -> mgx_drain_opts {
    mgx_drain_opts { idle_grace_ms: idle_ms, ..unsafe { core::mem::zeroed() } }
}

/// Of what wakeups carry.
const WAKE_KEY: usize = 11;

pub(crate) fn mark(id: Id, f: impl FnOnce(&mut Conn)) {
    with(|p| f(p.conns.get_mut(&id).expect("known")));
}

/// `c` is NULL outside a handler.
pub(crate) fn perform(act: &Act, c: *mut mg_connection, id: Id) {
    if with(|p| p.freed) {
        return;
    }
    if crate::wire::is_traced() {
        crate::wire::say(&format!("program, conn {id}: {act:?}"));
    }
    let mgr = with(|p| p.mgr);
    unsafe {
        match act {
            Act::Poll { ms, times } => {
                if with(|p| p.depth) >= DEEPEST {
                    return;
                }
                with(|p| p.depth += 1);
                for _ in 0..*times {
                    if with(|p| p.freed) {
                        break;
                    }
                    crate::wire::poll(mgr, *ms);
                }
                with(|p| p.depth -= 1);
            }
            Act::Compute(us) => {
                with(|p| p.computed_us += us);
                crate::wire::pass(*us);
            }
            Act::Cancel => {
                if mgx_mgr_drain_cancel(mgr) {
                    with(|p| p.drain_ends_ms = None);
                }
            }
            Act::MgrDrain { lame_ms, idle_ms, deadline_ms, spread_ms } => {
                let opts = mgx_mgr_drain_opts {
                    lame_duck_ms: *lame_ms,
                    idle_grace_ms: *idle_ms,
                    deadline_ms: *deadline_ms,
                    spread_ms: *spread_ms,
                    conn: core::mem::zeroed(),
                };
                let ms = if *deadline_ms == 0 { 30_000 } else { *deadline_ms as u64 };
                let ends = mg_millis() + ms;
                with(|p| {
                    p.was_drained = true;
                    p.drain_ends_ms = Some(p.drain_ends_ms.map_or(ends, |old| old.min(ends)));
                });
                mgx_mgr_drain(mgr, &opts);
            }
            Act::Free => {
                with(|p| p.freed_early = true);
                mg_mgr_free(mgr);
                with(|p| p.freed = true);
            }
            Act::CloseOther => {
                if let Some((id, c)) = other(id) {
                    mark(id, |c| c.killed = true);
                    (*c).flags.set_closing(true);
                }
            }
            Act::DrainOther { idle_ms } => {
                if let Some((_, c)) = other(id) {
                    mgx_conn_drain(c, &drain_opts(*idle_ms));
                }
            }
            _ if c.is_null() || is_over(id) => {}
            Act::Wake(len) => {
                let bytes = message::body(WAKE_KEY, 0, *len);
                let polls = with(|p| p.polls);
                mark(id, |c| c.wakes.push_back((*len, polls)));
                if !mg_wakeup(mgr, id, bytes.as_ptr().cast(), *len) {
                    find(format!("connection {id} cannot be woken"));
                }
            }
            Act::Call => {
                with(|p| p.called = false);
                mg_call(c, CALLED, core::ptr::null_mut());
                if !with(|p| p.called) {
                    find("mg_call has called nobody".into());
                }
            }
            Act::Drain => {
                mark(id, |c| c.drained = true);
                (*c).flags.set_draining(true);
            }
            Act::Close => {
                mark(id, |c| c.killed = true);
                (*c).flags.set_closing(true);
            }
            Act::ConnDrain { idle_ms } => _ = mgx_conn_drain(c, &drain_opts(*idle_ms)),
            Act::Abort => {
                mark(id, |c| c.killed = true);
                mgx_conn_abort(c);
            }
            // An upload occupies it until it ends.
            Act::Swap if with(|p| p.conns[&id].uploads.is_some()) => {}
            Act::Swap => {
                let now = (*c).r#fn.map(|f| f as usize);
                (*c).r#fn = Some(if now == Some(handler as *const () as usize) { other_handler } else { handler });
            }
        }
    }
}
