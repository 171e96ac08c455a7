//! The programs of examples-c, used as their first lines say.

use crate::server::{Server, build, client};
use crate::tools::{root, run, scratch, tool};
use libtest_mimic::{Failed, Trial};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub(crate) fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

/// What curl prints for these arguments.
fn curl(server: &Server, path: &str, args: &[&str]) -> Result<String, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "30", "--noproxy", "*"]).args(args).arg(server.url(path));
    // A directory of its own for each server: tests run side by side.
    client(&format!("example-{}{}", server.port(), path.replace('/', "_")), curl, 30)
}

fn http_server() -> Result<(), Failed> {
    let server = Server::start("http_server", "examples-c/http-server.c", &["http://127.0.0.1:0"], 1)?;
    let cases: &[(&str, &[&str], &str)] = &[
        ("/api/hello", &[], "{\"hello\":\"World\"}\n"),
        ("/api/hello?name=J%C3%B6rg+%22x%22", &[], "{\"hello\":\"J\u{f6}rg \\\"x\\\"\"}\n"),
        ("/api/counter", &[], "{\"counter\":0}\n"),
        ("/api/counter", &["-d", "{\"add\": 5}"], "{\"counter\":5}\n"),
        ("/api/counter", &["-d", "{\"add\": -2}"], "{\"counter\":3}\n"),
        (
            "/api/counter",
            &["-d", "five", "-w", "%{http_code}"],
            "{\"error\":\"want {\\\"add\\\": NUMBER}, at most a million\"}\n400",
        ),
        ("/api/counter", &["-X", "DELETE", "-w", "%{http_code}"], "{\"error\":\"GET or POST\"}\n405"),
        ("/api/echo?a=b", &["-d", "x\ty"], "{\"method\":\"POST\",\"uri\":\"/api/echo\",\"query\":\"a=b\",\"body\":\"x\\ty\"}\n"),
        ("/api/echo/more", &[], "{\"method\":\"GET\",\"uri\":\"/api/echo/more\",\"query\":\"\",\"body\":\"\"}\n"),
        ("/api/stats", &[], "{\"accepted\":10,\"open\":1,\"requests\":10}\n"),
        ("/nowhere", &["-w", "%{http_code}"], "{\"error\":\"not found\"}\n404"),
    ];
    for (path, args, want) in cases {
        let got = curl(&server, path, args)?;
        ensure(got == *want, || format!("{path} {args:?}: {got}"))?;
    }
    ensure(curl(&server, "/", &[])?.contains("/api/hello"), || "no help".to_string())?;
    let text = server.stop()?;
    Ok(ensure(text.ends_with("12 requests on 12 connections\n"), || text)?)
}

fn dashboard() -> Result<(), Failed> {
    let server = Server::start("dashboard", "examples-c/dashboard.c", &["-l", "http://127.0.0.1:0", "-p", "secret"], 1)?;
    ensure(curl(&server, "/", &[])?.contains("<h1>Dashboard</h1>"), || "no page".to_string())?;
    let cases: &[(&str, &[&str], &str)] = &[
        ("/api/get", &[], "Not Authorised\n"),
        ("/api/login", &["-u", "user:secret"], "{\"user\":\"user\",\"level\":7}\n"),
        ("/api/set", &["-u", "user:secret", "-d", "{\"led\":{\"on\":true,\"level\":142}}"], "2\n"),
        ("/api/get/led", &["-u", "user:secret"], "{\"on\":true,\"level\":100}\n"),
        ("/api/get/status", &["-u", "user:wrong"], "Not Authorised\n"),
    ];
    for (path, args, want) in cases {
        let got = curl(&server, path, args)?;
        ensure(got == *want, || format!("{path} {args:?}: {got}"))?;
    }
    server.stop()?;
    Ok(())
}

fn http_client() -> Result<(), Failed> {
    let server = Server::start("http_client", "examples-c/http-server.c", &["http://127.0.0.1:0"], 1)?;
    let mut program = Command::new(build("examples-c/http-client.c")?);
    program.arg(format!("http://localhost:{}/api/hello?name=C", server.port()));
    let body = client("http_client", program, 30)?;
    ensure(body == "{\"hello\":\"C\"}\n", || body.clone())?;
    for (url, want) in [
        (server.url("/nowhere"), "404"),
        (format!("http://127.0.0.1:{}/", unused_port()?), "socket error"),
        ("nonsense".to_string(), "nonsense"),
    ] {
        let mut program = Command::new(build("examples-c/http-client.c")?);
        program.arg(&url);
        match client("http_client_fails", program, 30) {
            Err(e) if e.contains("exit code 1\n") && e.contains(want) => {}
            other => return Err(format!("{url}: {other:?}").into()),
        }
    }
    server.stop()?;
    Ok(())
}

/// Servers that are not ours, with answers of all shapes.
fn http_client_and_other_servers() -> Result<(), Failed> {
    let (_servers, [listing, by_path]) = other_servers()?;
    let body = "0123456789".repeat(5000);
    for (port, path, code, want) in [
        (listing, "/", 0, body.as_str()),
        (by_path, "/length", 0, &body),
        (by_path, "/chunked", 0, &body),
        (by_path, "/until-close", 0, &body),
        (by_path, "/interim", 0, "hi"),
        (by_path, "/no-content", 0, ""),
        (by_path, "/bytewise", 0, "abc"),
        (by_path, "/nothing", 1, ""),
        (by_path, "/garbage", 1, ""),
        (by_path, "/never", 1, ""),
    ] {
        let mut program = Command::new(build("examples-c/http-client.c")?);
        program.arg(format!("http://localhost:{port}{path}")).arg("2");
        let got = run(program, &scratch(&format!("clients-http_client{path}")), Duration::from_secs(30))?;
        let said = got.code == 0 || !got.stderr.is_empty();
        ensure(got.code == code && got.stdout == want && said, || format!("{path}: {}", got.text()))?;
    }
    Ok(())
}

/// c-tests/scripts/servers.py and the ports of its two servers.
pub(crate) fn other_servers() -> Result<(Started, [u16; 2]), Failed> {
    let mut python = tool("python3")?;
    python.arg("-B").arg(root("c-tests/scripts/servers.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut servers = Started(python.spawn()?);
    let mut lines = BufReader::new(servers.0.stdout.take().ok_or("no output")?).lines();
    let mut port = || -> Result<u16, Failed> {
        let line = lines.next().ok_or("no port")??;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    };
    let ports = [port()?, port()?];
    Ok((servers, ports))
}

/// A process that ends with the test.
pub(crate) struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn unused_port() -> Result<u16, String> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(socket.local_addr().map_err(|e| e.to_string())?.port())
}

fn tcp_echo() -> Result<(), Failed> {
    let server = Server::start("tcp_echo", "examples-c/tcp-echo.c", &["0"], 1)?;
    let data: Vec<u8> = (0..20_000_000u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut sender = stream.try_clone()?;
    let to_send = data.clone();
    // Nothing is read for a while: the program must hold back, not collect it all.
    let sending = thread::spawn(move || sender.write_all(&to_send).and_then(|()| sender.shutdown(Shutdown::Write)));
    thread::sleep(Duration::from_millis(300));
    let memory = server.kib("VmHWM")?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got)?;
    sending.join().map_err(|_| "the sender panicked")??;
    ensure(got == data, || format!("{} bytes came back", got.len()))?;
    ensure(memory < 15_000, || format!("the program used {memory} KiB"))?;
    let text = server.stop()?;
    Ok(ensure(text.contains("2 connected\n2 closed\n"), || text)?)
}

fn udp_echo() -> Result<(), Failed> {
    let server = Server::start("udp_echo", "examples-c/udp-echo.c", &["0"], 1)?;
    let sockets = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
    for socket in &sockets {
        socket.connect(("127.0.0.1", server.port()))?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    }
    for size in [1, 5, 1000, 9000] {
        for (n, socket) in sockets.iter().enumerate() {
            let data = vec![n as u8 + 1; size];
            socket.send(&data)?;
            let mut got = [0; 20000];
            let len = socket.recv(&mut got)?;
            ensure(got[..len] == data, || format!("{len} bytes of {size}"))?;
        }
    }
    let from = format!("5 bytes from {}\n", sockets[1].local_addr()?);
    let text = server.stop()?;
    Ok(ensure(text.contains(&from), || text)?)
}

/// A stop in the middle of two answers: both arrive whole, nobody new gets in, and the program leaves.
fn drain() -> Result<(), Failed> {
    let server = Server::start("drain", "examples-c/drain.c", &["http://127.0.0.1:0"], 1)?;
    let once = curl(&server, "/once", &["-i"])?;
    ensure(once.contains("\r\nConnection: close\r\n") && once.ends_with("\r\n\r\nGood-bye\n"), || once.clone())?;
    let port = server.port();
    let ask = move |path: &str| -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())?;
        Ok(stream)
    };
    let (mut big, mut later, mut idle) = (ask("/big")?, ask("/later")?, ask("/")?);
    let mut start = [0; 1000];
    // All three requests have arrived.
    big.read_exact(&mut start)?;
    idle.read_exact(&mut start[..10])?;
    thread::sleep(Duration::from_millis(200));
    server.terminate();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest)?;
    ensure(rest.ends_with(b"\r\n\r\nHello\n"), || String::from_utf8_lossy(&rest).into_owned())?;
    // The listener closes in the same poll, a moment later.
    let mut refused =
        (0..100).map(|_| thread::sleep(Duration::from_millis(5))).map(|()| TcpStream::connect(("127.0.0.1", port)).is_err());
    ensure(refused.any(|r| r), || "somebody new got in".to_string())?;
    rest.clear();
    later.read_to_end(&mut rest)?;
    let answer = String::from_utf8_lossy(&rest).into_owned();
    ensure(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("\r\n\r\nHere it is\n"), || answer.clone())?;
    rest.clear();
    big.read_to_end(&mut rest)?;
    let head = 1000 - start.iter().filter(|b| **b == b'x').count();
    ensure(start.len() + rest.len() == head + 10_000_000, || format!("{} bytes of the big answer", rest.len()))?;
    let text = server.ended()?;
    Ok(ensure(text.ends_with("all answered\n"), || text)?)
}

/// A connection that keeps asking over HTTP/1.1.
struct Asking(BufReader<TcpStream>);

impl Asking {
    fn new(port: u16) -> Result<Asking, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|e| e.to_string())?;
        Ok(Asking(BufReader::new(stream)))
    }

    fn send(&mut self, path: &str) -> Result<(), String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).map_err(|e| e.to_string())
    }

    /// The head and the body of the next answer.
    fn answer(&mut self) -> Result<(String, String), String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).map_err(|e| format!("{head}{e}"))? == 0 {
                return Err(format!("the end instead of an answer: {head}"));
            }
        }
        let length = head.split("Content-Length: ").nth(1).and_then(|l| l.split_whitespace().next()?.parse().ok());
        let mut body = vec![0; length.ok_or(head.clone())?];
        self.0.read_exact(&mut body).map_err(|e| e.to_string())?;
        Ok((head, String::from_utf8_lossy(&body).into_owned()))
    }

    fn ask(&mut self, path: &str) -> Result<(String, String), String> {
        self.send(path)?;
        self.answer()
    }

    /// What comes until the end of the stream, which must not be a reset.
    fn rest(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).map_err(|e| e.to_string()).map(|_| text)
    }
}

const LAST: &str = "\r\nConnection: close\r\n";

/// One busy and one idle connection are drained, a third one goes on.
fn drain_one() -> Result<(), Failed> {
    let server = Server::start("drain_one", "examples-c/drain-one.c", &["http://127.0.0.1:0"], 1)?;
    let mut all = (0..3).map(|_| Asking::new(server.port())).collect::<Result<Vec<_>, _>>()?;
    let mut ids = Vec::new();
    for c in &mut all {
        ids.push(c.ask("/")?.1.trim_matches(|c: char| !c.is_ascii_digit()).to_string());
    }
    let [busy, idle, other] = &mut all[..] else { unreachable!() };
    busy.send("/later")?;
    ensure(other.ask("/drain?id=77")?.0.starts_with("HTTP/1.1 404 "), || "found 77".to_string())?;
    for id in &ids[..2] {
        ensure(other.ask(&format!("/drain?id={id}"))?.0.starts_with("HTTP/1.1 200 "), || format!("did not find {id}"))?;
    }
    let list = other.ask("/connections")?.1;
    ensure(list.matches("\"draining\"").count() == 2 && list.matches("\"active\"").count() == 1, || list)?;
    let (head, body) = busy.answer()?;
    ensure(head.contains(LAST) && body == format!("{{\"id\":{}}}\n", ids[0]), || head + &body)?;
    ensure(busy.rest()?.is_empty() && idle.rest()?.is_empty(), || "more came".to_string())?;
    ensure(!other.ask("/")?.0.contains(LAST), || "the third one ends, too".to_string())?;
    let text = server.stop()?;
    let drained = |id: &str| text.contains(&format!("connection {id}: drained, 0 bytes unsent\n"));
    Ok(ensure(drained(&ids[0]) && drained(&ids[1]) && !drained(&ids[2]), || text.clone())?)
}

/// SIGTERM in the middle of everything: a stream, an answer that is due, idle connections, and requests that keep coming.
fn graceful_server() -> Result<(), Failed> {
    let server = Server::start("graceful", "examples-c/graceful-server.c", &["http://127.0.0.1:0", "1000", "20000"], 1)?;
    let port = server.port();
    let mut all = (0..4).map(|_| Asking::new(port)).collect::<Result<Vec<_>, _>>()?;
    for c in &mut all {
        ensure(c.ask("/healthz")?.1 == "ready\n", || "not ready".to_string())?;
    }
    let [stream, later, idle, status] = &mut all[..] else { unreachable!() };
    stream.send("/events")?;
    later.send("/later")?;
    ensure(status.ask("/drain")?.1.starts_with("{\"phase\":\"running\",\"listeners\":1,"), || "no status".to_string())?;
    let asked_until_the_end = thread::spawn(move || -> Result<(usize, usize), String> {
        let (mut answered, mut connections) = (0, 0);
        while let Ok(mut c) = Asking::new(port) {
            connections += 1;
            for n in 0.. {
                let (head, body) = match c.ask("/") {
                    // In the kernel's queue, a moment too late for the last accept.
                    Err(_) if n == 0 => return Ok((answered, connections)),
                    other => other?,
                };
                ensure(body == "Hello\n", || head.clone())?;
                answered += 1;
                if head.contains(LAST) {
                    ensure(c.rest()?.is_empty(), || "more came".to_string())?;
                    break;
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        Ok((answered, connections))
    });
    let began = Instant::now();
    server.terminate();
    // The lame duck phase: it still takes connections, and says that it should not be sent any.
    let leaving = loop {
        let (head, body) = Asking::new(port)?.ask("/healthz")?;
        if body == "leaving\n" {
            break head;
        }
    };
    ensure(leaving.starts_with("HTTP/1.1 503 ") && leaving.contains(LAST), || leaving)?;
    let (head, body) = status.ask("/drain")?;
    ensure(head.contains(LAST) && body.contains("\"phase\":\"lame duck\",\"listeners\":1,"), || head + &body)?;
    let (head, body) = later.answer()?;
    ensure(head.contains(LAST) && body == "Here it is\n", || head + &body)?;
    let events = stream.rest()?;
    ensure(events.ends_with("event: bye\ndata:\n\n\r\n00000000\r\n\r\n"), || events.clone())?;
    ensure(idle.rest()?.is_empty(), || "more came".to_string())?;
    drop(all);
    let (answered, connections) = asked_until_the_end.join().map_err(|_| "the client panicked")??;
    ensure(answered > 10 && connections > 10, || format!("{answered} answers on {connections} connections"))?;
    let text = server.ended()?;
    ensure(began.elapsed() < Duration::from_secs(20), || format!("left after {:?}", began.elapsed()))?;
    Ok(ensure(text.ends_with(" connections drained, 0 closed by force\n"), || text)?)
}

/// The second signal makes it hurry.
fn graceful_server_in_a_hurry() -> Result<(), Failed> {
    let server = Server::start("hurry", "examples-c/graceful-server.c", &["http://127.0.0.1:0", "60000", "120000"], 1)?;
    server.terminate();
    while Asking::new(server.port())?.ask("/healthz")?.1 != "leaving\n" {}
    server.terminate();
    let text = server.ended()?;
    Ok(ensure(text.ends_with(" 0 closed by force\n"), || text)?)
}

fn timers() -> Result<(), Failed> {
    let mut program = Command::new(build("examples-c/timers.c")?);
    program.arg("2");
    let text = client("timers", program, 30)?;
    // RUN_NOW means the first poll, and missed periods are not made up for.
    let count = |what: &str| text.matches(what).count();
    let found = (count("RUN_NOW"), count("a tick"), count("no more ticks"), count("another 700"), count("time is up"));
    ensure(found == (2, 4, 1, 2, 1) || found == (3, 4, 1, 2, 1), || format!("{found:?}\n{text}"))?;
    Ok(ensure(text.lines().next().is_some_and(|l| l.contains("RUN_NOW")) && text.ends_with("4 ticks\n"), || text)?)
}

type Test = fn() -> Result<(), Failed>;

pub(crate) fn trials(all: &mut Vec<Trial>) {
    let list: &[(&str, Test)] = &[
        ("http_server", http_server),
        ("dashboard", dashboard),
        ("http_client", http_client),
        ("http_client_and_other_servers", http_client_and_other_servers),
        ("tcp_echo", tcp_echo),
        ("udp_echo", udp_echo),
        ("drain", drain),
        ("drain_one", drain_one),
        ("graceful_server", graceful_server),
        ("graceful_server_in_a_hurry", graceful_server_in_a_hurry),
        ("timers", timers),
    ];
    for &(name, test) in list {
        all.push(Trial::test(format!("examples::{name}"), test));
    }
}
