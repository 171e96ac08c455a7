//! The programs of examples-c, used as their first lines say.

use crate::server::{Server, build, client};
use crate::tools::{root, run, scratch, tool};
use libtest_mimic::{Failed, Trial};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

/// What curl prints for these arguments.
fn curl(server: &Server, path: &str, args: &[&str]) -> Result<String, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "30", "--noproxy", "*"]).args(args).arg(server.url(path));
    client(&format!("example{path}"), curl, 30)
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
    let mut python = tool("python3")?;
    python.arg("-B").arg(root("c-tests/scripts/servers.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut servers = Started(python.spawn()?);
    let mut lines = BufReader::new(servers.0.stdout.take().ok_or("no output")?).lines();
    let mut port = || -> Result<u16, Failed> {
        let line = lines.next().ok_or("no port")??;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    };
    let (listing, by_path) = (port()?, port()?);
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

/// A process that ends with the test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn unused_port() -> Result<u16, String> {
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
        ("timers", timers),
    ];
    for &(name, test) in list {
        all.push(Trial::test(format!("examples::{name}"), test));
    }
}
