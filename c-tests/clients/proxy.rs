//! examples-c/reverse-proxy.c between clients and servers of all kinds.

use crate::examples::{ensure, other_servers, unused_port};
use crate::server::{Server, client};
use crate::tools::{root, scratch, tool};
use crate::websocket::script;
use libtest_mimic::{Failed, Trial};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

/// Allowed growth of the proxy's peak memory, however much passes.
const FLAT_KIB: u64 = 4 * 1024;

fn proxy_to(test: &str, port: u16, args: &[&str]) -> Result<Server, String> {
    let to = format!("http://127.0.0.1:{port}");
    Server::start(
        &format!("{test}-proxy"),
        "examples-c/reverse-proxy.c",
        &[&["-l", "http://127.0.0.1:0"], args, &[&to]].concat(),
        1,
    )
}

fn curl(proxy: &Server, path: &str, args: &[&str]) -> Result<String, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "100", "--noproxy", "*"]).args(args).arg(proxy.url(path));
    client(&format!("proxy-{}{path}", proxy.port()), curl, 110)
}

fn python(name: &str, proxy: &Server, args: &[&str]) -> Result<Command, String> {
    let mut command = tool(if name.ends_with(".js") { "node" } else { "python3" })?;
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts").join(name));
    command.arg("127.0.0.1").arg(proxy.port().to_string()).args(args);
    Ok(command)
}

/// Requests and answers of all sizes, on kept connections, pipelined, late.
fn all_kinds_of_requests(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let proxy = proxy_to(test, server.port(), &[])?;
    for (path, args, want) in [
        ("/hello", &["-w", "%{http_code}"][..], "hello\n200"),
        ("/nowhere", &["-w", "%{http_code}"], "not found\n404"),
        ("/hello", &["-I", "-w", "%{http_code}"], "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n200"),
        ("/echo", &["-d", "x=y"], "x=y"),
        ("/echo", &["-d", "x=y", "-H", "Transfer-Encoding: chunked"], "x=y"),
        ("/echo", &["-d", "x=y", "-H", "Expect: 100-continue"], "x=y"),
        ("/chunked?n=2", &["-0", "-w", "%{http_version}"], "chunk 2\nchunk 1\n1.1"),
    ] {
        let got = curl(&proxy, path, args)?;
        ensure(got == want, || format!("{path} {args:?}: {got}"))?;
    }
    client(&format!("{test}-pipeline"), python("pipeline.py", &proxy, &[])?, 60)?;
    client(&format!("{test}-browsers"), python("browsers.js", &proxy, &["4", "40"])?, 60)?;
    let mut wrk = tool("wrk")?;
    wrk.args(["-t", "1", "-c", "64", "-d", "2"]).arg(proxy.url("/hello"));
    let report = client(&format!("{test}-wrk"), wrk, 60)?;
    let failed = report.contains("Socket errors") || report.contains("Non-2xx") || !report.contains("requests in");
    ensure(!failed, || report)?;
    proxy.stop()?;
    server.stop()?;
    Ok(())
}

fn heads(test: &str) -> Result<(), Failed> {
    let mut mirror = tool("python3")?;
    mirror.arg("-B").arg(root("c-tests/scripts/mirror.py"));
    let server = Server::spawn(test, mirror, 1)?;
    let proxy = proxy_to(test, server.port(), &[])?;
    client(test, python("proxy_heads.py", &proxy, &[])?, 60)?;
    proxy.stop()?;
    server.stop()?;
    Ok(())
}

/// A gibibyte down, one up, and one in chunks: none of it stays in the proxy. A client that reads nothing holds up the server.
fn flat_memory(test: &str) -> Result<(), Failed> {
    const SIZE: u64 = 1 << 30;
    let server = Server::of_tests(test)?;
    let proxy = proxy_to(test, server.port(), &[])?;
    let file = scratch(&format!("clients-{test}-file")).join("f");
    File::create(&file)?.set_len(SIZE)?;
    curl(&proxy, "/download?n=1000000", &["-o", "/dev/null"])?;
    let before = proxy.kib("VmRSS")?;
    let mut lazy = TcpStream::connect(("127.0.0.1", proxy.port()))?;
    lazy.write_all(b"GET /download?n=100000000 HTTP/1.1\r\n\r\n")?;
    let got = curl(&proxy, &format!("/download?n={SIZE}"), &["-o", "/dev/null", "-w", "%{size_download}"])?;
    ensure(got == SIZE.to_string(), || got)?;
    let got = curl(&proxy, "/upload", &["-T", file.to_str().unwrap()])?;
    ensure(got == "0 0\n", || got)?;
    // What is uploaded in chunks is not known to be too long before it is: the answer comes in the middle.
    let got = curl(
        &proxy,
        "/echo",
        &["-H", "Transfer-Encoding: chunked", "-H", "Expect:", "-T", file.to_str().unwrap(), "-w", "%{http_code}"],
    );
    ensure(matches!(&got, Ok(text) if text.ends_with("413")), || format!("{got:?}"))?;
    let growth = proxy.kib("VmHWM")?.saturating_sub(before);
    ensure(growth <= FLAT_KIB, || format!("memory grew by {growth} KiB"))?;
    // It goes on when it is read.
    let (mut got, mut block) = (0, vec![0; 1 << 20]);
    lazy.set_read_timeout(Some(Duration::from_secs(20)))?;
    while got < 100_000_000 {
        let n = lazy.read(&mut block)?;
        ensure(n > 0, || format!("end of stream after {got} bytes"))?;
        got += n;
    }
    fs::remove_file(file)?;
    proxy.stop()?;
    server.stop()?;
    Ok(())
}

/// Servers that answer in strange ways, or not at all.
fn misbehaving_servers(test: &str) -> Result<(), Failed> {
    let (_servers, [listing, by_path]) = other_servers()?;
    let body = "0123456789".repeat(5000);
    for (port, path, want, status) in [
        (listing, "/", body.as_str(), "200"),
        (by_path, "/length", &body, "200"),
        (by_path, "/chunked", &body, "200"),
        (by_path, "/until-close", &body, "200"),
        (by_path, "/interim", "hi", "200"),
        (by_path, "/no-content", "", "204"),
        (by_path, "/bytewise", "abc", "200"),
        (by_path, "/nothing", "the server has hung up\n", "502"),
        (by_path, "/garbage", "the server makes no sense\n", "502"),
        (by_path, "/never", "the server is silent\n", "504"),
        (unused_port()?, "/", "cannot reach the server\n", "502"),
    ] {
        let proxy = proxy_to(&format!("{test}{}", path.replace('/', "-")), port, &["-t", "1"])?;
        for version in ["-0", "--http1.1"] {
            let got = curl(&proxy, path, &[version, "-w", "%{http_code}"])?;
            ensure(got == format!("{want}{status}"), || format!("{path} {version}: {got}"))?;
        }
        // The same connection is good for another request, or was ended in order.
        let url = proxy.url(path);
        let got = curl(&proxy, path, &["-w", "%{http_code}", "-o", "/dev/null", &url])?;
        ensure(got.ends_with(status), || format!("{path}: {got}"))?;
        proxy.stop()?;
    }
    Ok(())
}

fn websockets(test: &str) -> Result<(), Failed> {
    let server = Server::start(test, "examples-c/websocket-echo.c", &["http://127.0.0.1:0"], 1)?;
    let proxy = proxy_to(test, server.port(), &[])?;
    for name in ["ws_client.py", "ws_client.js"] {
        let mut command = script(name)?;
        command.args(["127.0.0.1", &proxy.port().to_string()]);
        client(&format!("{test}-{name}"), command, 60)?;
    }
    proxy.stop()?;
    server.stop()?;
    Ok(())
}

/// SIGTERM in the middle of a response: it is passed on to its end, and nobody new gets in.
fn graceful_shutdown(test: &str) -> Result<(), Failed> {
    let server = Server::of_tests(test)?;
    let proxy = proxy_to(test, server.port(), &[])?;
    let mut streams = Vec::new();
    for path in ["/download?n=20000000", "/later?ms=1000"] {
        let mut stream = TcpStream::connect(("127.0.0.1", proxy.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes())?;
        streams.push(stream);
    }
    streams[0].read_exact(&mut [0; 1000])?;
    std::thread::sleep(Duration::from_millis(300));
    proxy.terminate();
    let mut late = String::new();
    streams[1].read_to_string(&mut late)?;
    ensure(late.contains("\r\nConnection: close\r\n") && late.ends_with("later\n"), || late.clone())?;
    let mut rest = Vec::new();
    streams[0].read_to_end(&mut rest)?;
    ensure((20_000_000 - 1000..20_000_000).contains(&rest.len()), || format!("{} bytes", rest.len()))?;
    proxy.ended()?;
    server.stop()?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    type Test = fn(&str) -> Result<(), Failed>;
    let list: [(&'static str, Test); 6] = [
        ("flat_memory", flat_memory),
        ("all_kinds_of_requests", all_kinds_of_requests),
        ("heads", heads),
        ("misbehaving_servers", misbehaving_servers),
        ("websockets", websockets),
        ("graceful_shutdown", graceful_shutdown),
    ];
    for (name, test) in list {
        all.push(Trial::test(format!("proxy::{name}"), move || test(&format!("proxy-{name}"))));
    }
}
