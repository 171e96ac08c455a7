//! Third-party TLS peers: curl, openssl, Python, websockets and wrk against our server, openssl's server for our client.

use crate::server::{Server, build, client, data_file};
use crate::tools::{root, run, scratch, tool};
use crate::websocket::peer_package;
use libtest_mimic::{Failed, Trial};
use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

fn cert(name: &str) -> String {
    root("c-tests/certs").join(name).display().to_string()
}

/// The example server, with more arguments, for the directory of a file of `len` bytes.
fn serve(test: &str, kind: &str, more: &[&str], len: usize) -> Result<(Server, Vec<u8>), String> {
    let dir = scratch(&format!("tls-{test}-files"));
    let (_, data) = data_file(&dir, len)?;
    let (cert, key, dir) = (cert(&format!("server-{kind}.pem")), cert(&format!("server-{kind}.key")), dir.display().to_string());
    let mut args = vec!["-c", &cert, "-k", &key, "-d", &dir];
    args.extend(more);
    args.push("https://127.0.0.1:0");
    Ok((Server::start(&format!("tls-{test}"), "examples-c/https-server.c", &args, 1)?, data))
}

fn curl(server: &Server, path: &str) -> Result<Command, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "60", "--noproxy", "*", "--cacert", &cert("ca.pem")]);
    curl.arg(format!("https://localhost:{}{path}", server.port()));
    Ok(curl)
}

fn with_curl(test: &str, kind: &str, version: &str) -> Result<(), Failed> {
    let (server, data) = serve(test, kind, &[], 5_000_000)?;
    let out = scratch(&format!("tls-{test}-out"));
    let path = |name: &str| out.join(name).display().to_string();
    let mut fetch = curl(&server, "/data")?;
    fetch.args([&format!("--tlsv{version}"), "--tls-max", version, "-o", &path("got"), "-w", "%{http_code} %{http_version}"]);
    let said = run(fetch, &scratch(&format!("tls-{test}-1")), Duration::from_secs(60))?;
    ensure(said.code == 0 && said.stdout == "200 1.1", || said.text())?;
    ensure(fs::read(out.join("got")).map_err(|e| e.to_string())? == data, || "the file differs".to_string())?;
    let mut upload = curl(&server, "/echo")?;
    fs::write(out.join("up"), &data[..2_000_000]).map_err(|e| e.to_string())?;
    upload.args(["--data-binary", &format!("@{}", path("up")), "-H", "Expect:", "-o", &path("back")]);
    // A second request on the same connection.
    upload.arg("--next").args(["-sS", "--cacert", &cert("ca.pem"), "-w", "%{num_connects}", "-o", &path("second")]);
    upload.arg(format!("https://localhost:{}/echo", server.port())).args(["-d", "hello"]);
    let said = run(upload, &scratch(&format!("tls-{test}-2")), Duration::from_secs(60))?;
    ensure(said.code == 0 && said.stdout == "0", || said.text())?;
    ensure(fs::read(out.join("back")).map_err(|e| e.to_string())? == data[..2_000_000], || "the echo differs".to_string())?;
    ensure(server.stop()?.ends_with("3 requests, 2 handshakes\n"), || "unexpected number of handshakes".to_string())?;
    Ok(())
}

fn curl_refuses_another_ca(test: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "p256", &[], 10)?;
    let mut fetch = tool("curl")?;
    fetch.args(["-q", "-sS", "--max-time", "60", "--noproxy", "*", "--cacert", &cert("other-ca.pem")]);
    fetch.arg(format!("https://localhost:{}/data", server.port()));
    let said = run(fetch, &scratch("tls-other-ca"), Duration::from_secs(60))?;
    ensure(said.code == 60, || said.text())?;
    server.stop()?;
    Ok(())
}

fn mutual(test: &str) -> Result<(), Failed> {
    let (server, data) = serve(test, "p256", &["-a", &cert("ca.pem")], 1000)?;
    let mut fetch = curl(&server, "/data")?;
    fetch.args(["--cert", &cert("client-p256.pem"), "--key", &cert("client-p256.key")]);
    fetch.args(["-w", "%{http_code} %{size_download}", "-o", "/dev/null"]);
    let said = run(fetch, &scratch("tls-mutual-1"), Duration::from_secs(60))?;
    ensure(said.code == 0 && said.stdout == format!("200 {}", data.len()), || said.text())?;
    let said = run(curl(&server, "/data")?, &scratch("tls-mutual-2"), Duration::from_secs(60))?;
    ensure(said.code != 0 && said.stdout.is_empty(), || said.text())?;
    server.stop()?;
    Ok(())
}

fn s_client(server: &Server, args: &[&str], dir: &str) -> Result<(i32, String), String> {
    let mut command = tool("sh")?;
    // The request comes through a pipe; the answer ends the connection.
    command.arg("-c").arg(format!(
        "printf 'GET /data HTTP/1.0\\r\\n\\r\\n' | openssl s_client -ign_eof -connect localhost:{} -CAfile {} {}",
        server.port(),
        cert("ca.pem"),
        args.join(" ")
    ));
    let said = run(command, &scratch(dir), Duration::from_secs(60))?;
    Ok((said.code, format!("{}{}", said.stdout, said.stderr)))
}

fn openssl_client(test: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "rsa2048", &[], 100)?;
    let sessions = scratch("tls-sessions").join("session").display().to_string();
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let (_, text) = s_client(&server, &[version, "-sess_out", &sessions], "tls-s_client-1")?;
        let fine = text.contains("Verify return code: 0 (ok)") && text.contains("HTTP/1.1 200 OK");
        ensure(fine && text.contains(&format!("New, {name}")), || text)?;
        let (_, text) = s_client(&server, &[version, "-sess_in", &sessions], "tls-s_client-2")?;
        ensure(text.contains(&format!("Reused, {name}")) && text.contains("HTTP/1.1 200 OK"), || text)?;
    }
    let (code, text) = s_client(&server, &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"], "tls-s_client-3")?;
    ensure(code != 0 && text.contains("sslv3 alert") && text.contains("Cipher is (NONE)"), || text)?;
    let (_, text) = s_client(&server, &["-tls1_3", "-groups", "P-384:P-256"], "tls-s_client-4")?;
    ensure(text.contains("HTTP/1.1 200 OK"), || text)?;
    let (_, text) = s_client(&server, &["-alpn", "h2,http/1.1"], "tls-s_client-5")?;
    ensure(text.contains("ALPN protocol: http/1.1") && text.contains("HTTP/1.1 200 OK"), || text)?;
    let (code, text) = s_client(&server, &["-alpn", "h2"], "tls-s_client-6")?;
    ensure(code != 0 && text.contains("no application protocol"), || text)?;
    server.stop()?;
    Ok(())
}

/// The answer of `openssl s_server` to our client.
fn openssl_server(test: &str, args: &[&str]) -> Result<(), Failed> {
    let mut command = tool("openssl")?;
    command.args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", &cert("server-p256.pem")]);
    command.args(["-key", &cert("server-p256.key")]).args(args);
    let server = Server::spawn(&format!("tls-{test}"), command, 1)?;
    for round in 0..2 {
        let mut fetch = Command::new(build("examples-c/https-client.c")?);
        fetch.args(["-a", &cert("ca.pem"), &format!("https://localhost:{}/", server.port())]);
        let said = run(fetch, &scratch(&format!("tls-{test}-{round}")), Duration::from_secs(60))?;
        ensure(said.code == 0 && said.stdout.contains("s_server"), || said.text())?;
    }
    let mut fetch = Command::new(build("examples-c/https-client.c")?);
    fetch.args(["-a", &cert("other-ca.pem"), &format!("https://localhost:{}/", server.port())]);
    let said = run(fetch, &scratch(&format!("tls-{test}-bad")), Duration::from_secs(60))?;
    ensure(said.code == 1 && said.stderr.contains("issuer is not in ca"), || said.text())?;
    Ok(())
}

fn python(test: &str) -> Result<(), Failed> {
    let (server, data) = serve(test, "p384", &[], 5_000_000)?;
    let mut command = tool("python3")?;
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts/tls_client.py"));
    command.args(["localhost", &server.port().to_string(), &cert("ca.pem")]).arg(data.len().to_string());
    client(&format!("tls-{test}"), command, 120)?;
    server.stop()?;
    Ok(())
}

/// Clients that do not finish their handshakes do not affect others, and leak nothing.
fn flood(test: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "p256", &[], 1000)?;
    let script = |name: &str| -> Result<(), String> {
        let mut command = tool("python3")?;
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts/tls_flood.py"));
        command.args(["localhost", &server.port().to_string(), &cert("ca.pem")]);
        client(name, command, 240).map(drop)
    };
    script("tls-flood-1")?;
    let before = server.kib("VmRSS")?;
    script("tls-flood-2")?;
    let growth = server.kib("VmRSS")?.saturating_sub(before);
    println!("TLS flood: VmRSS {before} kB before, {growth} kB more after");
    ensure(growth < 2000, || format!("{growth} kB more"))?;
    // Sockets may linger for a moment.
    let end = Instant::now() + Duration::from_secs(30);
    while server.descriptors()? > 20 && Instant::now() < end {
        thread::sleep(Duration::from_millis(50));
    }
    ensure(server.descriptors()? <= 20, || format!("{:?} descriptors", server.descriptors()))?;
    server.stop()?;
    Ok(())
}

fn no_renegotiation(test: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "p256", &[], 10)?;
    let mut command = tool("sh")?;
    command.arg("-c").arg(format!(
        "(sleep 1; echo R; sleep 2) | openssl s_client -tls1_2 -connect localhost:{} -CAfile {}",
        server.port(),
        cert("ca.pem")
    ));
    let said = run(command, &scratch(&format!("tls-{test}")), Duration::from_secs(60))?.text();
    ensure(said.contains("Verify return code: 0 (ok)") && said.contains("RENEGOTIATING"), || said.clone())?;
    ensure(said.contains("no renegotiation"), || said.clone())?;
    server.stop()?;
    Ok(())
}

fn websockets(test: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "ed25519", &[], 10)?;
    let mut command = tool("python3")?;
    command.env("PYTHONPATH", peer_package("python3", "websockets")?).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("no_proxy", "localhost").arg(root("c-tests/scripts/wss_client.py"));
    command.args(["localhost", &server.port().to_string(), &cert("ca.pem")]);
    client(&format!("tls-{test}"), command, 120)?;
    server.stop()?;
    Ok(())
}

fn wrk(test: &str, path: &str, len: usize, connections: &str) -> Result<(), Failed> {
    let (server, _) = serve(test, "p256", &[], len)?;
    let mut wrk = tool("wrk")?;
    wrk.args(["-t", "1", "-c", connections, "-d", "10"]).arg(format!("https://127.0.0.1:{}{path}", server.port()));
    let report = client(&format!("tls-{test}"), wrk, 60)?;
    if !report.contains(" requests in ") || report.contains("Socket errors") || report.contains("Non-2xx") {
        return Err(report.into());
    }
    server.stop()?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("tls::wrk_small", || wrk("wrk_small", "/echo", 10, "64")));
    all.push(Trial::test("tls::wrk_files", || wrk("wrk_files", "/data", 300_000, "16")));
    all.push(Trial::test("tls::flood", || flood("flood")));
    all.push(Trial::test("tls::no_renegotiation", || no_renegotiation("no_renegotiation")));
    all.push(Trial::test("tls::curl_12", || with_curl("curl_12", "rsa2048", "1.2")));
    all.push(Trial::test("tls::curl_13", || with_curl("curl_13", "p256", "1.3")));
    all.push(Trial::test("tls::curl_other_ca", || curl_refuses_another_ca("curl_other_ca")));
    all.push(Trial::test("tls::mutual", || mutual("mutual")));
    all.push(Trial::test("tls::openssl_client", || openssl_client("openssl_client")));
    all.push(Trial::test("tls::openssl_server_12", || openssl_server("openssl_server_12", &["-tls1_2"])));
    all.push(Trial::test("tls::openssl_server_13", || openssl_server("openssl_server_13", &["-tls1_3"])));
    all.push(Trial::test("tls::openssl_server_retry", || openssl_server("openssl_server_retry", &["-groups", "P-384"])));
    all.push(Trial::test("tls::python", || python("python")));
    all.push(Trial::test("tls::websockets", || websockets("websockets")));
}
