//! What the crate promises beyond protocols: nothing dangles, nothing is called twice, panics arrive, threads may knock.

use libmongoose::{CloseReason, Connection, Event, Manager, Phase, WsMessage, public_limits};
use std::{
    cell::{Cell, RefCell},
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

fn until(manager: &Manager, what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end, "waited in vain");
        manager.poll(Duration::from_millis(10));
    }
}

fn url(c: &Connection, scheme: &str) -> String {
    format!("{scheme}://{}", c.local().unwrap())
}

/// Counts how often it is dropped.
struct Counted(Rc<Cell<usize>>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn a_closed_connection_is_a_name_without_effect() {
    let m = Manager::new().unwrap();
    let kept: Rc<RefCell<Vec<Connection>>> = Rc::default();
    let seen = kept.clone();
    let listener = m
        .http_listen("http://127.0.0.1:0", move |c, event| match event {
            Event::Accept => seen.borrow_mut().push(c.clone()),
            Event::Http(_) => c.reply(200, &[("X", "a\r\nInjected: yes")], "hello"),
            _ => {}
        })
        .unwrap();
    let answer: Rc<RefCell<Option<libmongoose::HttpMessage>>> = Rc::default();
    let got = answer.clone();
    let client = m
        .http_connect(&url(&listener, "http"), move |c, event| {
            if let Event::Http(message) = event {
                *got.borrow_mut() = Some(message);
                c.close();
            }
        })
        .unwrap();
    client.request("GET", "/", &[], "");
    until(&m, || kept.borrow().len() == 1 && !client.is_open() && !kept.borrow()[0].is_open());
    let answer = answer.borrow().clone().unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"hello"[..]));
    assert_eq!((answer.header("x"), answer.header("injected")), (Some("a  Injected: yes"), None));
    let gone = kept.borrow()[0].clone();
    assert!(!gone.send(b"x") && !gone.ws_text("x") && gone.take().is_empty() && gone.remote().is_none());
    assert!(!gone.drain(&Default::default()) && !gone.ws_upgrade(&[]) && !gone.serve_dir("."));
    gone.close();
    gone.reply(200, &[], "x");
    gone.tls_init(&Default::default());
    assert_eq!(gone.publish("a", "b", 1, false), 0);
    assert!(m.find(gone.id()).is_none() && m.find(listener.id()) == Some(listener.clone()));
    drop(m);
    assert!(!listener.is_open() && !listener.send(b"x"));
    assert!(listener.manager().http_listen("http://127.0.0.1:0", |_, _| {}).is_err());
    assert_eq!(listener.manager().phase(), Phase::MGX_MGR_DONE);
    listener.manager().poll(Duration::ZERO);
}

/// A handler that owns it.
fn holding(what: Counted) -> impl Fn(&Connection, Event) {
    move |_, _| {
        let _ = &what;
    }
}

#[test]
fn closures_are_dropped_once() {
    let drops = Rc::new(Cell::new(0));
    let counted = || Counted(drops.clone());
    let m = Manager::new().unwrap();
    let (a, b, c) = (counted(), counted(), counted());
    let listener = m.listen("tcp://127.0.0.1:0", holding(a)).unwrap();
    let client = m.connect(&url(&listener, "tcp"), holding(b)).unwrap();
    until(&m, || m.connections().len() == 3);
    client.close();
    until(&m, || m.connections().len() == 1);
    assert_eq!(drops.get(), 1, "the client's");
    assert!(m.connect("", holding(c)).is_err());
    assert_eq!(drops.get(), 2, "of what could not be opened");
    let (d, e) = (counted(), counted());
    m.after(Duration::ZERO, move |_| drop(d));
    let ticks = Rc::new(Cell::new(0));
    let t = ticks.clone();
    let timer: Rc<RefCell<Option<libmongoose::Timer>>> = Rc::default();
    let own = timer.clone();
    *timer.borrow_mut() = Some(m.every(Duration::from_millis(1), move |_| {
        let _ = &e;
        t.set(t.get() + 1);
        if t.get() == 3 {
            own.borrow().as_ref().unwrap().cancel();
        }
    }));
    until(&m, || ticks.get() == 3 && drops.get() == 4);
    timer.borrow().as_ref().unwrap().cancel();
    let (f, g) = (counted(), counted());
    m.every(Duration::from_secs(1000), move |_| {
        let _ = &f;
    });
    m.remote().run(move |_| {});
    drop(m);
    assert_eq!(drops.get(), 6, "the listener's and the timer's");
    drop(g);
}

#[test]
fn a_panic_in_a_handler_arrives_at_poll() {
    let m = Manager::new().unwrap();
    let listener = m
        .http_listen("http://127.0.0.1:0", |c, event| {
            if let Event::Http(_) = event {
                c.reply(200, &[], "");
                panic!("of the handler");
            }
        })
        .unwrap();
    let status = Rc::new(Cell::new(0));
    let s = status.clone();
    let client = m
        .http_connect(&url(&listener, "http"), move |_, event| {
            if let Event::Http(answer) = event {
                s.set(answer.status);
            }
        })
        .unwrap();
    client.request("GET", "/", &[], "");
    let panic = catch_unwind(AssertUnwindSafe(|| until(&m, || status.get() == 1))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"of the handler"));
    // The loop goes on.
    until(&m, || status.get() == 200);
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let _ = m.listen("tcp://127.0.0.1:0", |_, event| assert!(event != Event::Open, "no"));
    }));
    assert!(opened.is_err());
    let late = m.listen("tcp://127.0.0.1:0", |_, event| assert!(!matches!(event, Event::Close { .. }), "at the end")).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(move || drop(m))).is_err());
    assert!(!late.is_open());
}

#[test]
fn handlers_may_do_everything() {
    // Also open others, close the connection, poll, and drop the manager.
    let owner: Rc<RefCell<Option<Rc<Manager>>>> = Rc::new(RefCell::new(Some(Rc::new(Manager::new().unwrap()))));
    let m = owner.borrow().clone().unwrap();
    let closed = Rc::new(Cell::new(0));
    let (o, n) = (owner.clone(), closed.clone());
    let listener = m
        .listen("tcp://127.0.0.1:0", move |c, event| match event {
            Event::Accept => {
                c.manager().poll(Duration::from_secs(100));
                c.manager().run();
                assert!(c.manager().listen("tcp://127.0.0.1:0", |_, _| {}).is_ok());
                c.close();
                c.send(b"too late");
                drop(o.borrow_mut().take());
            }
            Event::Close { .. } => {
                assert!(!c.is_open() && !c.send(b"x"));
                n.set(n.get() + 1);
            }
            _ => {}
        })
        .unwrap();
    let reason = Rc::new(Cell::new(None));
    let r = reason.clone();
    m.connect(&url(&listener, "tcp"), move |_, event| {
        if let Event::Close { reason, unsent } = event {
            r.set(Some((reason, unsent)));
        }
    })
    .unwrap();
    until(&m, || reason.get().is_some());
    assert!(owner.borrow().is_none());
    assert!(matches!(reason.get(), Some((CloseReason::PeerClosed | CloseReason::Reset, 0))), "{:?}", reason.get());
    drop(m);
    assert_eq!(closed.get(), 2);
}

#[test]
fn a_manager_dropped_in_a_handler_is_freed_afterwards() {
    let owner: Rc<RefCell<Option<Manager>>> = Rc::new(RefCell::new(Some(Manager::new().unwrap())));
    let guest = {
        let owned = owner.borrow();
        owned.as_ref().unwrap().listen("tcp://127.0.0.1:0", |_, _| {}).unwrap().manager()
    };
    let (o, events) = (owner.clone(), Rc::new(RefCell::new(Vec::new())));
    let e = events.clone();
    // The handler is called inside this call, and the manager must be there until it returns.
    let c = guest
        .listen("udp://127.0.0.1:0", move |_, event| {
            e.borrow_mut().push(event.clone());
            drop(o.borrow_mut().take());
        })
        .unwrap();
    assert!(!c.is_open() && guest.connections().is_empty());
    assert!(matches!(events.borrow()[..], [Event::Open, Event::Close { .. }]), "{events:?}");
}

#[test]
fn other_threads_send_run_and_drain() {
    let m = Manager::new().unwrap();
    m.limits(&public_limits());
    let ids: Rc<RefCell<Vec<u64>>> = Rc::default();
    let opened = ids.clone();
    let listener = m
        .http_listen("http://127.0.0.1:0", move |c, event| match event {
            Event::Http(_) => assert!(c.ws_upgrade(&[]) && !c.ws_upgrade(&[])),
            Event::WsOpen(_) => opened.borrow_mut().push(c.id()),
            _ => {}
        })
        .unwrap();
    let got: Rc<RefCell<Vec<WsMessage>>> = Rc::default();
    let messages = got.clone();
    let left = Rc::new(Cell::new(None));
    let l = left.clone();
    m.ws_connect(&(url(&listener, "ws") + "/"), &[("X-Test", "1")], move |_, event| match event {
        Event::Ws(message) => messages.borrow_mut().push(message),
        Event::WsClose(code) => l.set(Some(code)),
        _ => {}
    })
    .unwrap();
    until(&m, || ids.borrow().len() == 1);
    let (id, remote, ran) = (ids.borrow()[0], m.remote(), Arc::new(AtomicUsize::new(0)));
    let r = ran.clone();
    let other = thread::spawn(move || {
        for n in 0..100 {
            assert!(remote.ws_text(id, &n.to_string()));
        }
        assert!(remote.ws_binary(id, b"\0\x01"));
        remote.run(move |m| {
            assert!(m.find(id).is_some());
            r.fetch_add(1, Ordering::SeqCst);
        });
        remote
    });
    until(&m, || got.borrow().len() == 101 && ran.load(Ordering::SeqCst) == 1);
    assert_eq!(got.borrow()[99], WsMessage::Text("99".into()));
    assert_eq!(got.borrow()[100], WsMessage::Binary(vec![0, 1]));
    let remote = other.join().unwrap();
    assert!(m.stats().requests >= 1 && m.drain_status().websockets == 1);
    assert!(remote.drain(&Default::default()));
    m.run();
    until(&m, || left.get() == Some(1001));
    drop(m);
    assert!(!remote.ws_text(id, "x") && !remote.run(|_| {}) && !remote.drain(&Default::default()) && !remote.send(id, b"x"));
}

#[test]
fn raw_bytes_and_errors() {
    let m = Manager::new().unwrap();
    let listener = m
        .listen("tcp://127.0.0.1:0", |c, event| {
            if let Event::Read(_) = event {
                c.send(&c.take());
            }
        })
        .unwrap();
    let got: Rc<RefCell<Vec<u8>>> = Rc::default();
    let bytes = got.clone();
    let sent: Vec<u8> = (0..300_000).map(|n| (n % 251) as u8).collect();
    let client = m
        .connect(&url(&listener, "tcp"), move |c, event| {
            if let Event::Read(_) = event {
                bytes.borrow_mut().extend(c.take());
            }
        })
        .unwrap();
    client.send(&sent);
    until(&m, || *got.borrow() == sent);
    assert_eq!(client.remote(), listener.local());
    let error = m.listen(&url(&listener, "tcp"), |_, _| {}).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    assert!(m.listen("tcp://127.0.0.1:0\0", |_, _| {}).is_err());
    let refused = Rc::new(RefCell::new(String::new()));
    let r = refused.clone();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    m.connect(&format!("tcp://{free}"), move |_, event| {
        if let Event::Error(text) = event {
            *r.borrow_mut() = text;
        }
    })
    .unwrap();
    until(&m, || !refused.borrow().is_empty());
}

#[test]
fn another_loop_waits_for_it() {
    let m = Manager::new().unwrap();
    assert!(m.fd() >= 0);
    m.after(Duration::from_millis(50), |_| {});
    assert!(m.timeout().unwrap() <= Duration::from_millis(50));
}
