//! Verification of valid and invalid certificates between the library and OpenSSL, curl and Python, and the errors reported.

use crate::server::{Server, build, client};
use crate::tools::{root, tool};
use libtest_mimic::{Failed, Trial};
use std::{fs, process::Command};

const PEER: &str = "c-tests/programs/tls_peer.c";
const VERSIONS: [&str; 2] = ["1.2", "1.3"];
const SERVER_KEYS: [&str; 5] = ["p256", "p384", "ed25519", "rsa2048", "rsa4096"];
const CLIENT_KEYS: [&str; 4] = ["p256", "p384", "ed25519", "rsa2048"];
const REQUEST: &str = "GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n";

fn file(name: &str) -> String {
    root("c-tests/certs").join(name).display().to_string()
}

/// Arguments of tls_peer for a certificate with its key, and an authority if it is to be checked against one.
fn own(name: &str, ca: &str) -> Vec<String> {
    let ca = if ca.is_empty() { vec![] } else { vec![format!("ca={}", file(ca))] };
    [vec![format!("cert={}", file(&format!("{name}.pem"))), format!("key={}", file(&format!("{name}.key")))], ca].concat()
}

/// Our server.
fn listen(test: &str, options: &[String]) -> Result<Server, String> {
    let mut args = vec!["listen", "https://127.0.0.1:0"];
    args.extend(options.iter().map(String::as_str));
    Server::start(test, PEER, &args, 1)
}

/// Our client, which prints how it went.
fn connect(test: &str, port: u16, options: &[&str]) -> Result<String, String> {
    let mut command = Command::new(build(PEER)?);
    command.arg("connect").arg(format!("https://127.0.0.1:{port}")).args(options);
    client(test, command, 30)
}

fn has_line(text: &str, line: &str) -> Result<(), String> {
    if text.lines().any(|l| l == line) { Ok(()) } else { Err(format!("no line {line:?} in\n{text}")) }
}

fn s_client(test: &str, port: u16, options: &str) -> Result<String, String> {
    tool("openssl")?;
    let mut shell = tool("sh")?;
    let openssl = format!("openssl s_client -connect 127.0.0.1:{port} -servername localhost {options}");
    shell.arg("-c").arg(format!("printf '{REQUEST}' | {openssl} -ign_eof 2>&1"));
    client(test, shell, 30)
}

/// OpenSSL as a server that answers requests.
fn s_server(test: &str, name: &str, options: &[&str]) -> Result<Server, String> {
    let mut command = tool("openssl")?;
    command.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert", &file(&format!("{name}.pem"))]);
    command.args(["-key", &file(&format!("{name}.key")), "-cert_chain", &file(&format!("{name}.pem"))]).args(options);
    Server::spawn(test, command, 1)
}

fn curl(port: u16, options: &[&str]) -> Result<Command, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "30", "--noproxy", "*", "--resolve", &format!("localhost:{port}:127.0.0.1")]);
    curl.args(["--cacert", &file("ca.pem")]).args(options).arg(format!("https://localhost:{port}/"));
    Ok(curl)
}

/// curl, which must fail.
fn refused_curl(test: &str, port: u16, options: &[&str]) -> Result<(), String> {
    match client(test, curl(port, options)?, 30) {
        Ok(text) => Err(format!("curl {options:?} got a response: {text}")),
        Err(_) => Ok(()),
    }
}

fn openssl_verifies_the_server(test: &str) -> Result<(), Failed> {
    for kind in SERVER_KEYS {
        let server = listen(test, &own(&format!("server-{kind}"), ""))?;
        for version in VERSIONS {
            let ca = file("ca.pem");
            let checks =
                format!("-CAfile {ca} -verify_return_error -verify_hostname localhost -tls{}", version.replace('.', "_"));
            let text = s_client(test, server.port(), &format!("{checks} -brief"))?;
            has_line(&text, "hello")?;
            has_line(&text, &format!("Protocol version: TLSv{version}"))?;
        }
        server.stop()?;
    }
    Ok(())
}

fn curl_verifies_the_server(test: &str) -> Result<(), Failed> {
    for name in ["server-p256", "server-rsa2048", "chain"] {
        let server = listen(test, &own(name, ""))?;
        for version in VERSIONS {
            let options = [&format!("--tlsv{version}"), "--tls-max", version];
            has_line(&client(test, curl(server.port(), &options)?, 30)?, "hello")?;
        }
        server.stop()?;
    }
    for (name, text) in [("expired", "certificate expired"), ("self-leaf", "unknown ca")] {
        let server = listen(test, &own(name, ""))?;
        refused_curl(test, server.port(), &[])?;
        has_line(&server.stop()?, &format!("error tls hs: the peer says: {text}"))?;
    }
    Ok(())
}

fn servers_verify_clients(test: &str) -> Result<(), Failed> {
    let server = listen(test, &own("server-p256", "ca.pem"))?;
    let port = server.port();
    let with = |name: &str| ["--cert".into(), file(&format!("{name}.pem")), "--key".into(), file(&format!("{name}.key"))];
    for version in VERSIONS {
        let only = [format!("--tlsv{version}"), "--tls-max".into(), version.into()];
        for name in CLIENT_KEYS.map(|kind| format!("client-{kind}")).iter().chain([&"client-v1".to_string()]) {
            let options = [&only[..], &with(name)].concat();
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            has_line(&client(test, curl(port, &options)?, 30)?, "hello").map_err(|e| format!("{name}: {e}"))?;
        }
        refused_curl(test, port, &only.each_ref().map(|s| s.as_str()))?;
        for name in ["client-other-ca", "client-expired"] {
            let options = [&only[..], &with(name)].concat();
            refused_curl(test, port, &options.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
    }
    let text = server.stop()?;
    assert_eq!(text.lines().filter(|l| *l == "hello").count(), VERSIONS.len() * (CLIENT_KEYS.len() + 1), "{text}");
    for line in ["the peer has no certificate", "peer's certificate: issuer is not in ca", "peer's certificate: expired"] {
        has_line(&text, &format!("error tls hs: {line}"))?;
    }
    Ok(())
}

fn the_client_verifies_openssl(test: &str) -> Result<(), Failed> {
    let (ca, other, itself) =
        (format!("ca={}", file("ca.pem")), format!("ca={}", file("other-ca.pem")), format!("ca={}", file("self.pem")));
    let (ca, other, itself) = (ca.as_str(), other.as_str(), itself.as_str());
    const OK: &str = "status 200";
    let cases: [(&str, &[&str], &str); 16] = [
        ("server-p256", &[ca, "name=localhost"], OK),
        ("server-p256", &[ca, "name=127.0.0.1"], OK),
        ("server-p256", &[ca], OK),
        ("server-p256", &["name=elsewhere.test", "skip"], OK),
        ("server-p256", &["name=elsewhere.test"], "error failed to verify hostname: not for elsewhere.test"),
        ("server-p256", &[ca, "name=elsewhere.test"], "error failed to verify hostname: not for elsewhere.test"),
        ("server-p256", &[other, "name=localhost"], "error tls hs: peer's certificate: issuer is not in ca"),
        ("chain", &[ca, "name=localhost"], OK),
        ("v1", &[ca, "name=localhost"], OK),
        ("cn-only", &[ca, "name=localhost"], OK),
        ("self", &[itself, "name=localhost"], OK),
        ("self", &[ca, "name=localhost"], "error tls hs: peer's certificate: issuer is not in ca"),
        ("expired", &[ca, "name=localhost"], "error tls hs: peer's certificate: expired"),
        ("expired", &[ca, "name=localhost", "skip"], OK),
        ("future", &[ca], "error tls hs: peer's certificate: not valid yet"),
        ("for-clients", &[ca], "error tls hs: peer's certificate: not for this purpose"),
    ];
    for (name, options, line) in cases {
        for version in VERSIONS {
            let server = s_server(test, name, &[&format!("-tls{}", version.replace('.', "_"))])?;
            has_line(&connect(test, server.port(), options)?, line).map_err(|e| format!("{name} {options:?}: {e}"))?;
        }
    }
    for kind in SERVER_KEYS {
        let server = s_server(test, &format!("server-{kind}"), &[])?;
        has_line(&connect(test, server.port(), &[ca, "name=localhost"])?, OK).map_err(|e| format!("{kind}: {e}"))?;
    }
    Ok(())
}

fn openssl_verifies_the_client(test: &str) -> Result<(), Failed> {
    let ca = file("ca.pem");
    for version in VERSIONS {
        let only = format!("-tls{}", version.replace('.', "_"));
        let server = s_server(test, "server-p256", &["-Verify", "3", "-verify_return_error", "-CAfile", &ca, &only])?;
        let with = |name: &str| {
            let options = [own(name, "ca.pem"), vec!["name=localhost".into()]].concat();
            connect(test, server.port(), &options.iter().map(String::as_str).collect::<Vec<_>>())
        };
        for kind in CLIENT_KEYS {
            has_line(&with(&format!("client-{kind}"))?, "status 200").map_err(|e| format!("{kind}: {e}"))?;
        }
        let told = |text: String, what: &str| {
            // With TLS 1.3 this arrives after the handshake, as any end of a connection.
            let text = text.lines().filter(|l| !l.starts_with("status")).collect::<Vec<_>>().join("\n");
            if version == "1.2" { has_line(&text, &format!("error tls hs: the peer says: {what}")) } else { Ok(()) }
        };
        let refused = with("client-other-ca")?;
        assert!(!refused.contains("status"), "{refused}");
        told(refused, "unknown ca")?;
        let refused = connect(test, server.port(), &[&format!("ca={ca}")])?;
        assert!(!refused.contains("status"), "{refused}");
        told(refused, "handshake failure")?;
    }
    Ok(())
}

/// The bundle of all authorities that a system trusts, as programs give it.
fn system_ca_bundle(test: &str) -> Result<(), Failed> {
    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    let bundle = fs::read(BUNDLE).map_err(|e| format!("{BUNDLE}: {e}; install the Debian package ca-certificates"))?;
    let server = listen(test, &own("server-p256", ""))?;
    let text = connect(test, server.port(), &[&format!("ca={BUNDLE}"), "name=localhost"])?;
    has_line(&text, "error tls hs: peer's certificate: issuer is not in ca")?;
    assert!(!text.contains("cannot be read"), "{text}");
    let dir = crate::tools::scratch(&format!("clients-{test}-bundle"));
    let more = dir.join("more.pem");
    fs::write(&more, [bundle, fs::read(file("ca.pem"))?].concat())?;
    let text = connect(test, server.port(), &[&format!("ca={}", more.display()), "name=localhost"])?;
    has_line(&text, "status 200")?;
    server.stop()?;
    // A server with that many sends all their names to clients.
    let mut options = own("server-p256", "");
    options.push(format!("ca={}", more.display()));
    let server = listen(test, &options)?;
    let (cert, key) = (file("client-p256.pem"), file("client-p256.key"));
    has_line(&client(test, curl(server.port(), &["--cert", &cert, "--key", &key])?, 30)?, "hello")?;
    server.stop()?;
    Ok(())
}

/// Anything but TLS 1.2 and 1.3 is refused, and the application gets the reason.
fn other_protocols_are_refused(test: &str) -> Result<(), Failed> {
    let server = listen(test, &own("server-rsa2048", ""))?;
    let old = "-tls1_1 -cipher ALL:@SECLEVEL=0";
    let text = s_client(test, server.port(), old).unwrap_or_else(|e| e);
    assert!(!text.contains("hello"), "{text}");
    let mut clear = tool("curl")?;
    clear.args(["-q", "-sS", "--max-time", "30", "--noproxy", "*"]).arg(server.url("/"));
    assert!(client(test, clear, 30).is_err());
    let text = server.stop()?;
    has_line(&text, "error tls hs: the peer's TLS is older than 1.2")?;
    has_line(&text, "error tls hs: the peer does not speak TLS")?;
    Ok(())
}

fn python_resumes(test: &str) -> Result<(), Failed> {
    for options in [own("server-p256", ""), own("server-p256", "ca.pem")] {
        let server = listen(test, &options)?;
        let mut python = tool("python3")?;
        python.arg(root("c-tests/scripts/tls_resume.py")).arg(server.port().to_string()).arg(root("c-tests/certs"));
        has_line(&client(test, python, 60)?, "resumed")?;
        server.stop()?;
    }
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    type Test = fn(&str) -> Result<(), Failed>;
    let tests: [(&str, Test); 8] = [
        ("openssl verifies the server", openssl_verifies_the_server),
        ("curl verifies the server", curl_verifies_the_server),
        ("servers verify clients", servers_verify_clients),
        ("the client verifies openssl", the_client_verifies_openssl),
        ("openssl verifies the client", openssl_verifies_the_client),
        ("system CA bundle", system_ca_bundle),
        ("other protocols are refused", other_protocols_are_refused),
        ("python resumes", python_resumes),
    ];
    all.extend(tests.map(|(name, test)| Trial::test(format!("tls_verify::{name}"), move || test(name))));
}
