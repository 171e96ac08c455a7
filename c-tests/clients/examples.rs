//! The programs of examples-c, used as their first lines describe.

use crate::server::{Server, build, client, data_file};
use crate::tools::{root, run, scratch, tool};
use crate::websocket::script;
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

/// A page in two browsers, and pictures of it.
fn dashboard_in_a_browser() -> Result<(), Failed> {
    let server = Server::start("dashboard_browser", "examples-c/dashboard.c", &["-l", "http://127.0.0.1:0", "-p", "secret"], 1)?;
    let mut command = script("dashboard_browser.py")?;
    command.current_dir(scratch("clients-dashboard_browser-pictures"));
    command.args(["127.0.0.1", &server.port().to_string(), "secret"]);
    client("dashboard_browser", command, 120)?;
    server.stop()?;
    Ok(())
}

/// What people see of an example, in a browser.
fn page_of(name: &str) -> Result<(), Failed> {
    let test = format!("page-{name}");
    let server = Server::start(&test, &format!("examples-c/{name}.c"), &["-l", "http://127.0.0.1:0"], 1)?;
    let mut command = script("pages_browser.py")?;
    command.current_dir(scratch(&format!("clients-{test}-pictures")));
    command.args([name, "127.0.0.1", &server.port().to_string(), &server.pid().to_string()]);
    client(&test, command, 120)?;
    server.ended()?;
    Ok(())
}

/// All programs of examples-c are asked for help in the same way, and servers are told their address in the same way; one that
/// cannot listen says what to do.
fn options() -> Result<(), Failed> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let mut servers = 0;
    for entry in std::fs::read_dir(root("examples-c"))? {
        let path = entry?.path();
        let Some(stem) = path.file_name().and_then(|n| n.to_str()?.strip_suffix(".c")) else { continue };
        if stem == "tap-driver" {
            // For a library with a TCP/IP stack of its own: make tcpip-test.
            continue;
        }
        let ask = |args: &[&str]| -> Result<crate::tools::Outcome, String> {
            let mut program = Command::new(build(&format!("examples-c/{stem}.c"))?);
            program.args(args);
            run(program, &scratch(&format!("clients-options-{stem}")), Duration::from_secs(30))
        };
        let help = ask(&["-h"])?;
        let usage = format!("usage: {stem} ");
        ensure(help.code == 0 && help.stdout.starts_with(&usage) && help.stderr.is_empty(), || {
            format!("{stem} -h: {}", help.text())
        })?;
        let wrong = ask(&["-Z"])?;
        ensure(wrong.code == 2 && wrong.stderr.contains(&usage), || format!("{stem} -Z: {}", wrong.text()))?;
        if !help.stdout.contains("-l URL   where to listen, default ") {
            continue;
        }
        servers += 1;
        let mut args = vec!["-l".to_string(), format!("tcp://127.0.0.1:{port}")];
        match stem {
            "udp-echo" => continue, // the port of this test is one of TCP
            "reverse-proxy" => args.push("http://127.0.0.1:1".into()),
            "rolling-restart" => args.extend(["-c".into(), "control".into()]),
            "https-server" => {
                let certs = root("c-tests/certs");
                args.extend([
                    "-c".into(),
                    format!("{}/server-p256.pem", certs.display()),
                    "-k".into(),
                    format!("{}/server-p256.key", certs.display()),
                ]);
            }
            _ => {}
        }
        let busy = ask(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
        let advice = format!("cannot listen on tcp://127.0.0.1:{port}: another program has this port");
        ensure(busy.code == 1 && busy.stderr.contains(&advice), || format!("{stem} {args:?}: {}", busy.text()))?;
    }
    Ok(ensure(servers >= 15, || format!("only {servers} servers"))?)
}

/// Files of all kinds are packed into a program, and served by it as they were.
fn pack() -> Result<(), Failed> {
    let dir = scratch("clients-pack");
    let files: &[(&str, Vec<u8>)] = &[
        ("web/index.html", b"<h1>packed</h1>".to_vec()),
        ("web/css/style.css", b"body{}\n".to_vec()),
        ("web/all bytes.bin", (0..70_000).map(|k| (k ^ (k >> 8)) as u8).collect()),
        ("web/empty.txt", Vec::new()),
        ("web/what??\"n\\\u{e4}.txt", b"odd name".to_vec()),
        ("web/.hidden", b"secret".to_vec()),
        ("web2/other.txt", b"other".to_vec()),
    ];
    for (name, content) in files {
        std::fs::create_dir_all(dir.join(name).parent().unwrap())?;
        std::fs::write(dir.join(name), content)?;
    }
    let pack = |args: &[&str]| -> Result<crate::tools::Outcome, String> {
        let mut program = Command::new(build("examples-c/mongoose-pack.c")?);
        program.current_dir(&dir).args(args);
        run(program, &scratch("clients-pack-run"), Duration::from_secs(30))
    };
    let args = ["-s", "web", "web", "web2"];
    let first = pack(&args)?;
    ensure(first.code == 0, || first.text())?;
    ensure(pack(&args)?.stdout == first.stdout, || "packing twice gives different output".into())?;
    let to_file = pack(&["-o", "packed.c", "-s", "web", "web", "web2"])?;
    ensure(to_file.code == 0 && to_file.stdout.is_empty(), || to_file.text())?;
    ensure(std::fs::read_to_string(dir.join("packed.c"))? == first.stdout, || "-o gives different output".into())?;
    for (args, want) in [
        (&["-s", "web", "web/index.html", "web"][..], "both become /index.html"),
        (&["no-such-file"], "no-such-file: No such file"),
        (&["-n", "no name", "web"], "usage: mongoose-pack "),
        (&[], "usage: mongoose-pack "),
    ] {
        let bad = pack(args)?;
        ensure(bad.code != 0 && bad.stderr.contains(want), || format!("{args:?}: {}", bad.text()))?;
    }
    for (language, compiler, standard) in [("c", "gcc", "-std=c99"), ("c++", "g++", "-std=c++17")] {
        let object = dir.join(format!("{language}.o"));
        let mut cc = tool(compiler)?;
        cc.args([standard, "-Wall", "-Wextra", "-Werror", "-x", language, "-I"]).arg(root("include"));
        cc.arg("-c").arg(dir.join("packed.c")).arg("-o").arg(&object);
        crate::tools::succeed(cc, &dir)?;
        let program = crate::server::build_with("c-tests/programs/packed.c", &[object.to_str().unwrap()])?;
        let mut command = Command::new(program);
        command.arg("http://127.0.0.1:0");
        let server = Server::spawn(&format!("pack-{language}"), command, 1)?;
        for (path, want) in [
            ("/", &files[0].1[..]),
            ("/css/style.css", &files[1].1),
            ("/all%20bytes.bin", &files[2].1),
            ("/empty.txt", &files[3].1),
            ("/what%3F%3F%22n%5C%C3%A4.txt", &files[4].1),
            ("/web2/other.txt", &files[6].1),
        ] {
            let got = scratch("clients-pack-got").join("file");
            curl(&server, path, &["-f", "-o", got.to_str().unwrap()])?;
            // curl makes no file of an empty body in every version.
            ensure(std::fs::read(&got).unwrap_or_default() == want, || format!("{path} has other content"))?;
        }
        ensure(curl(&server, "/.hidden", &["-f"]).is_err(), || ".hidden was packed".into())?;
        server.stop()?;
    }
    Ok(())
}

fn rest_server() -> Result<(), Failed> {
    let args = ["-l", "http://127.0.0.1:0", "-u", "ann:secret", "-n", "3"];
    let server = Server::start("rest_server", "examples-c/rest-server.c", &args, 1)?;
    let lamp = "{\"id\":1,\"name\":\"lamp\",\"price\":12.5}";
    let table = "{\"id\":2,\"name\":\"a \\\"table\\\"\",\"price\":100}";
    let long = format!("{{\"name\":\"{}\",\"price\":1}}", "x".repeat(64));
    let huge = format!("@{}", data_file(&scratch("clients-rest_server-data"), 17_000)?.0.display());
    // Path, method, body, status, what follows in the head, body.
    let cases: &[(&str, &str, &str, u16, &str, &str)] = &[
        ("/things", "GET", "", 200, "application/json", "[]\n"),
        ("/things", "POST", "{\"name\":\"lamp\",\"price\":12.5}", 201, "Location: /things/1\r\n", &format!("{lamp}\n")),
        (
            "/things",
            "POST",
            "{\"price\":100,\"name\":\"a \\\"table\\\"\"}",
            201,
            "Location: /things/2\r\n",
            &format!("{table}\n"),
        ),
        ("/things", "GET", "", 200, "", &format!("[{lamp},{table}]\n")),
        ("/things/2", "GET", "", 200, "", &format!("{table}\n")),
        ("/things/1", "PUT", "{\"name\":\"lamp\",\"price\":9}", 200, "", "{\"id\":1,\"name\":\"lamp\",\"price\":9}\n"),
        ("/things/1", "PUT", "{\"name\":\"lamp\"}", 400, "", "{\"error\":\"want a price, 0 to 1e9\"}\n"),
        ("/things", "POST", "{\"price\":1}", 400, "", "{\"error\":\"want a name\"}\n"),
        ("/things", "POST", "{\"name\":1,\"price\":1}", 400, "", "{\"error\":\"want a name\"}\n"),
        ("/things", "POST", "{\"name\":\"\",\"price\":1}", 400, "", "{\"error\":\"want a name of 1 to 63 bytes\"}\n"),
        ("/things", "POST", &long, 400, "", "{\"error\":\"want a name of 1 to 63 bytes\"}\n"),
        ("/things", "POST", "{\"name\":\"x\",\"price\":-1}", 400, "", "{\"error\":\"want a price, 0 to 1e9\"}\n"),
        ("/things", "POST", "[1]", 400, "", "{\"error\":\"want a JSON object\"}\n"),
        ("/things", "POST", "{\"name\":\"x\",", 400, "", "{\"error\":\"want a JSON object\"}\n"),
        ("/things", "POST", "nonsense", 400, "", "{\"error\":\"want a JSON object\"}\n"),
        ("/things", "PUT", "{}", 405, "Allow: GET, POST\r\n", "{\"error\":\"GET or POST\"}\n"),
        ("/things/1", "POST", "{}", 405, "Allow: GET, PUT, DELETE\r\n", "{\"error\":\"GET, PUT or DELETE\"}\n"),
        ("/things/7", "GET", "", 404, "", "{\"error\":\"no such thing\"}\n"),
        ("/things/0", "DELETE", "", 404, "", "{\"error\":\"no such thing\"}\n"),
        ("/things/1x", "GET", "", 404, "", "{\"error\":\"no such thing\"}\n"),
        ("/things/1/2", "GET", "", 404, "", "{\"error\":\"try /things\"}\n"),
        ("/things/1", "DELETE", "", 204, "", ""),
        ("/things/1", "DELETE", "", 404, "", "{\"error\":\"no such thing\"}\n"),
        ("/things", "POST", "{\"name\":\"a\",\"price\":0}", 201, "/things/3", "{\"id\":3,\"name\":\"a\",\"price\":0}\n"),
        ("/things", "POST", "{\"name\":\"b\",\"price\":0}", 201, "/things/4", "{\"id\":4,\"name\":\"b\",\"price\":0}\n"),
        ("/things", "POST", "{\"name\":\"c\",\"price\":0}", 507, "", "{\"error\":\"no room\"}\n"),
        ("/things", "POST", &huge, 413, "Connection: close\r\n", "Payload Too Large\n"),
    ];
    for (path, method, body, status, head, want) in cases {
        let mut args = vec!["-i", "-X", method, "-u", "ann:secret"];
        if !body.is_empty() {
            args.extend(["--data-binary", body]);
        }
        let got = curl(&server, path, &args)?;
        let (got_head, got_body) = got.split_once("\r\n\r\n").ok_or("no head")?;
        let fine = got_head.starts_with(&format!("HTTP/1.1 {status} ")) && format!("{got_head}\r\n").contains(head);
        ensure(fine && got_body == *want, || format!("{method} {path} {body}: {got}"))?;
        ensure(*status != 204 || !got_head.contains("Content-Length"), || got.clone())?;
    }
    for args in [&["-i"][..], &["-i", "-u", "ann:wrong"], &["-i", "-u", "bob:secret"]] {
        let got = curl(&server, "/things", args)?;
        let fine = got.starts_with("HTTP/1.1 401 ") && got.contains("WWW-Authenticate: Basic realm=\"things\"\r\n");
        ensure(fine && got.ends_with("{\"error\":\"who are you?\"}\n"), || got.clone())?;
    }
    // An answer to HEAD has no body, so the next one is where it belongs.
    let (url, head) = (server.url("/things/2"), ["-u", "ann:secret", "-I", "-w", "%{http_code} %{num_connects}\n"]);
    let got = curl(&server, "/things", &[&head[..], &[&url]].concat())?;
    ensure(got.ends_with("405 0\n") && got.matches("HTTP/1.1 405").count() == 2, || got.clone())?;
    server.stop()?;
    Ok(())
}

/// All streams get the same messages, reconnecting clients the ones they missed, and every stream ends cleanly.
fn event_stream() -> Result<(), Failed> {
    let server = Server::start("event_stream", "examples-c/event-stream.c", &["http://127.0.0.1:0", "100"], 1)?;
    let open = |request: &str| -> Result<BufReader<TcpStream>, Failed> {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(request.as_bytes())?;
        Ok(BufReader::new(stream))
    };
    // All lines until one that ends so.
    let until = |stream: &mut BufReader<TcpStream>, end: &str| -> Result<String, Failed> {
        let mut text = String::new();
        while !text.ends_with(end) {
            ensure(stream.read_line(&mut text)? > 0, || format!("end of stream before {end:?}: {text}"))?;
        }
        Ok(text)
    };
    let mut streams = [
        open("GET /events HTTP/1.1\r\nHost: h\r\n\r\n")?,
        open("GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: x\r\n\r\n")?,
        open("GET /events HTTP/1.0\r\n\r\n")?,
    ];
    for (n, stream) in streams.iter_mut().enumerate() {
        let head = until(stream, "\r\n\r\n")?;
        let kind = if n < 2 { "\r\nTransfer-Encoding: chunked\r\n" } else { "\r\nConnection: close\r\n" };
        ensure(head.contains("\r\nContent-Type: text/event-stream\r\n") && head.contains(kind), || head.clone())?;
    }
    // The timer goes on without anybody saying anything.
    for stream in &mut streams {
        until(stream, ",\"listeners\":3}\n")?;
        until(stream, "event: tick\n")?;
    }
    for (n, text) in ["hello", "two\nlines", "\r\n", "\u{20ac}"].iter().enumerate() {
        let got = curl(&server, "/say", &["--data-binary", text])?;
        ensure(got == format!("{}\n", n + 1), || got)?;
    }
    for text in ["", &"x".repeat(501)] {
        let got = curl(&server, "/say", &["-X", "POST", "--data-binary", text, "-w", "%{http_code}"])?;
        ensure(got.ends_with("\n400"), || got)?;
    }
    let messages = |from: usize| {
        let all = [
            "id: 1\ndata: hello\n\n",
            "id: 2\ndata: two\ndata: lines\n\n",
            "id: 3\ndata: \ndata: \n\n",
            "id: 4\ndata: \u{20ac}\n\n",
        ];
        all[from..].concat()
    };
    let only_messages = |text: &str| -> String {
        // Without chunk sizes and ticks.
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let tick = |n: usize| lines[n].starts_with("event: tick") || n > 0 && lines[n - 1].starts_with("event: tick");
        let blank = |n: usize| n > 1 && lines[n] == "\n" && lines[n - 2].starts_with("event: tick");
        (0..lines.len()).filter(|n| !lines[*n].ends_with("\r\n") && !tick(*n) && !blank(*n)).map(|n| lines[n]).collect()
    };
    for stream in &mut streams {
        let text = until(stream, "data: \u{20ac}\n")? + &until(stream, "\n")?;
        let text = &text[text.find("id: 1\n").ok_or("no first message")?..];
        ensure(only_messages(text) == messages(0), || text.to_string())?;
    }
    let mut late = open("GET /events HTTP/1.1\r\nHost: h\r\nLast-Event-ID: 2\r\n\r\n")?;
    until(&mut late, "\r\n\r\n")?;
    let text = until(&mut late, "data: \u{20ac}\n")? + &until(&mut late, "\n")?;
    ensure(only_messages(&text) == messages(2), || text.clone())?;
    server.terminate();
    for (n, stream) in streams.iter_mut().chain([&mut late]).enumerate() {
        let mut rest = String::new();
        stream.read_to_string(&mut rest)?;
        let bye = "retry: 5000\nevent: bye\ndata:\n\n";
        let end = if n == 2 { bye.to_string() } else { format!("{bye}\r\n0\r\n\r\n") };
        ensure(rest.ends_with(&end), || rest.clone())?;
    }
    let text = server.ended()?;
    Ok(ensure(text.contains("\n4 messages, "), || text)?)
}

fn event_stream_in_browsers() -> Result<(), Failed> {
    let server = Server::start("events_browser", "examples-c/event-stream.c", &["http://127.0.0.1:0", "200"], 1)?;
    let mut command = script("events_browser.py")?;
    command.current_dir(scratch("clients-events_browser-pictures"));
    command.args(["127.0.0.1", &server.port().to_string(), &server.pid().to_string()]);
    client("events_browser", command, 120)?;
    let text = server.ended()?;
    Ok(ensure(text.contains("\n2 messages, "), || text)?)
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
    ensure(got == data, || format!("only {} bytes were echoed", got.len()))?;
    ensure(memory < 15_000, || format!("the process used {memory} KiB"))?;
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

/// A stop during two responses: both arrive completely, no new connection is accepted, and the program exits.
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
    ensure(refused.any(|r| r), || "a new connection was accepted".to_string())?;
    rest.clear();
    later.read_to_end(&mut rest)?;
    let answer = String::from_utf8_lossy(&rest).into_owned();
    ensure(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("\r\n\r\nHere it is\n"), || answer.clone())?;
    rest.clear();
    big.read_to_end(&mut rest)?;
    let head = 1000 - start.iter().filter(|b| **b == b'x').count();
    ensure(start.len() + rest.len() == head + 10_000_000, || format!("{} bytes of the large response", rest.len()))?;
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
                return Err(format!("end of stream instead of a response: {head}"));
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

    fn websocket(port: u16) -> Result<Asking, String> {
        let mut c = Asking::new(port)?;
        let request = "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        c.0.get_mut().write_all(request.as_bytes()).map_err(|e| e.to_string())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if c.0.read_line(&mut head).map_err(|e| e.to_string())? == 0 {
                break;
            }
        }
        ensure(head.starts_with("HTTP/1.1 101 "), || head)?;
        Ok(c)
    }

    /// The next frame of a WebSocket, a short one.
    fn frame(&mut self) -> Result<Vec<u8>, String> {
        let mut frame = vec![0; 2];
        self.0.read_exact(&mut frame).map_err(|e| e.to_string())?;
        frame.resize(2 + usize::from(frame[1] & 127), 0);
        self.0.read_exact(&mut frame[2..]).map_err(|e| e.to_string())?;
        Ok(frame)
    }

    /// What comes until the end of the stream, which must not be a reset.
    fn rest(&mut self) -> Result<String, String> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).map_err(|e| e.to_string()).map(|_| text)
    }
}

const LAST: &str = "\r\nConnection: close\r\n";

/// One busy and one idle connection are drained, a third one stays open.
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
        ensure(other.ask(&format!("/drain?id={id}"))?.0.starts_with("HTTP/1.1 200 "), || {
            format!("connection {id} was not found")
        })?;
    }
    let list = other.ask("/connections")?.1;
    ensure(list.matches("\"draining\"").count() == 2 && list.matches("\"active\"").count() == 1, || list)?;
    let (head, body) = busy.answer()?;
    ensure(head.contains(LAST) && body == format!("{{\"id\":{}}}\n", ids[0]), || head + &body)?;
    ensure(busy.rest()?.is_empty() && idle.rest()?.is_empty(), || "more came".to_string())?;
    ensure(!other.ask("/")?.0.contains(LAST), || "the third connection closes too".to_string())?;
    let text = server.stop()?;
    let drained = |id: &str| text.contains(&format!("connection {id}: drained, 0 bytes unsent\n"));
    Ok(ensure(drained(&ids[0]) && drained(&ids[1]) && !drained(&ids[2]), || text.clone())?)
}

/// All threads serve one port, and one signal drains them all.
fn threads_server() -> Result<(), Failed> {
    let server = Server::start("threads", "examples-c/threads-server.c", &["-l", "http://127.0.0.1:0", "-n", "3"], 1)?;
    let port = server.port();
    let mut all = (0..40).map(|_| Asking::new(port)).collect::<Result<Vec<_>, _>>()?;
    for c in &mut all {
        let (head, body) = c.ask("/")?;
        ensure(head.starts_with("HTTP/1.1 200 ") && body.starts_with("thread "), || head + &body)?;
    }
    let (late, idle) = all.split_at_mut(20);
    for c in late.iter_mut() {
        c.0.get_mut().write_all(b"GET /late HTTP/1.1\r\nHo")?;
    }
    server.terminate();
    for c in late {
        c.0.get_mut().write_all(b"st: a\r\n\r\n")?;
        let (head, body) = c.answer()?;
        ensure(head.contains(LAST) && body.starts_with("thread "), || head.clone() + &body)?;
    }
    for c in idle {
        ensure(c.rest()?.is_empty(), || "more came".to_string())?;
    }
    let text = server.stop()?;
    Ok(ensure(text.contains("3 threads\n") && text.ends_with("drained\n"), || text.clone())?)
}

/// SIGTERM in the middle of everything: a stream, an answer that is due, idle connections, and requests that keep coming.
fn graceful_server() -> Result<(), Failed> {
    let server = Server::start("graceful", "examples-c/graceful-server.c", &["http://127.0.0.1:0", "1000", "20000"], 1)?;
    let port = server.port();
    let mut all = (0..4).map(|_| Asking::new(port)).collect::<Result<Vec<_>, _>>()?;
    for c in &mut all {
        let (head, body) = c.ask("/healthz")?;
        ensure(head.starts_with("HTTP/1.1 200 ") && body.starts_with("{\"ready\":true,"), || head + &body)?;
    }
    let [stream, later, idle, status] = &mut all[..] else { unreachable!() };
    stream.send("/events")?;
    let (mut polite, mut rude) = (Asking::websocket(port)?, Asking::websocket(port)?);
    let body = status.ask("/drain")?.1;
    ensure(
        body.starts_with("{\"ready\":true,\"phase\":\"running\",\"listeners\":1,") && body.contains("\"websockets\":2,"),
        || body,
    )?;
    let ask_until_the_end = move || -> Result<(usize, usize), String> {
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
    };
    let load: Vec<_> = (0..4).map(|_| thread::spawn(ask_until_the_end)).collect();
    thread::sleep(Duration::from_millis(200));
    later.send("/later")?;
    let began = Instant::now();
    server.terminate();
    // The lame duck phase: it still takes connections, and says that it should not be sent any.
    let leaving = loop {
        let (head, body) = Asking::new(port)?.ask("/healthz")?;
        if body.starts_with("{\"ready\":false,\"phase\":\"lame duck\",\"listeners\":1,") {
            break head;
        }
        ensure(body.starts_with("{\"ready\":true,"), || body)?;
    };
    ensure(leaving.starts_with("HTTP/1.1 503 ") && leaving.contains(LAST), || leaving)?;
    let (head, body) = status.ask("/drain")?;
    ensure(head.contains(LAST) && body.starts_with("{\"ready\":false,\"phase\":\"lame duck\","), || head + &body)?;
    let (head, body) = later.answer()?;
    ensure(head.contains(LAST) && body == "Here it is\n", || head + &body)?;
    let events = stream.rest()?;
    ensure(events.ends_with("event: bye\ndata:\n\n\r\n00000000\r\n\r\n"), || events.clone())?;
    ensure(idle.rest()?.is_empty(), || "more came".to_string())?;
    // 1001, going away. One client answers the Close frame, the other does not and is closed soon.
    ensure(polite.frame()? == b"\x88\x02\x03\xe9" && rude.frame()? == b"\x88\x02\x03\xe9", || {
        "no Close frame with code 1001".to_string()
    })?;
    polite.0.get_mut().write_all(b"\x88\x82\0\0\0\0\x03\xe9").map_err(|e| e.to_string())?;
    ensure(polite.rest()?.is_empty() && rude.rest()?.is_empty(), || "more came".to_string())?;
    drop((all, polite, rude));
    for client in load {
        let (answered, connections) = client.join().map_err(|_| "the client panicked")??;
        ensure(answered > 10 && connections > 10, || format!("only {answered} responses on {connections} connections"))?;
    }
    let text = server.ended()?;
    ensure(began.elapsed() < Duration::from_secs(20), || format!("the shutdown took {:?}", began.elapsed()))?;
    Ok(ensure(text.ends_with(" connections drained, 0 closed by force\n"), || text)?)
}

/// The second signal makes it hurry.
/// The configurations that docs/draining.md recommends.
fn behind_proxy(proxy: &str, config: &str) -> Result<(), Failed> {
    let name = format!("behind-{proxy}");
    let server = build("examples-c/graceful-server.c")?;
    tool(proxy)?;
    let mut python = tool("python3")?;
    python.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts/behind_proxies.py"));
    python.arg(server).arg(proxy).arg(root(config));
    client(&name, python, 180)?;
    Ok(())
}

fn graceful_server_with_two_signals() -> Result<(), Failed> {
    let server = Server::start("hurry", "examples-c/graceful-server.c", &["http://127.0.0.1:0", "60000", "120000"], 1)?;
    server.terminate();
    while Asking::new(server.port())?.ask("/healthz")?.1.starts_with("{\"ready\":true,") {}
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
        ("dashboard_in_a_browser", dashboard_in_a_browser),
        ("event_stream", event_stream),
        ("event_stream_in_browsers", event_stream_in_browsers),
        ("page_of_http_server", || page_of("http-server")),
        ("page_of_graceful_server", || page_of("graceful-server")),
        ("page_of_drain", || page_of("drain")),
        ("page_of_drain_one", || page_of("drain-one")),
        ("page_of_websocket_broadcast", || page_of("websocket-broadcast")),
        ("page_of_websocket_echo", || page_of("websocket-echo")),
        ("page_of_upload_form", || page_of("upload-form")),
        ("page_of_dashboard", || page_of("dashboard")),
        ("options", options),
        ("pack", pack),
        ("rest_server", rest_server),
        ("http_client", http_client),
        ("http_client_and_other_servers", http_client_and_other_servers),
        ("tcp_echo", tcp_echo),
        ("udp_echo", udp_echo),
        ("drain", drain),
        ("drain_one", drain_one),
        ("graceful_server", graceful_server),
        ("threads_server", threads_server),
        ("graceful_server_with_two_signals", graceful_server_with_two_signals),
        ("restarts_behind_nginx", || behind_proxy("nginx", "docs/proxies/nginx.conf")),
        ("restarts_behind_haproxy", || behind_proxy("haproxy", "docs/proxies/haproxy.cfg")),
        ("timers", timers),
    ];
    for &(name, test) in list {
        all.push(Trial::test(format!("examples::{name}"), test));
    }
}
