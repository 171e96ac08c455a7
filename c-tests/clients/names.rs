//! Names: dnsmasq answers the resolver, the system's files are used, zeroconf works in both directions. Tests that need the
//! usual ports or files run in namespaces, which only root can create.

use crate::server::{Server, build, client};
use crate::tools::{root, run, scratch, tool};
use crate::websocket::peer_package;
use libtest_mimic::{Failed, Trial};
use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// A port that is free for both protocols. One that is free for UDP may still be in use by a TCP connection that closed just now.
fn free_port() -> Result<u16, String> {
    let free_for_both = || {
        let udp = UdpSocket::bind("127.0.0.1:0")?;
        let port = udp.local_addr()?.port();
        std::net::TcpListener::bind(("127.0.0.1", port)).map(|_| port)
    };
    let mut last = String::new();
    for _ in 0..1000 {
        match free_for_both() {
            Ok(port) => return Ok(port),
            Err(e) => last = e.to_string(),
        }
    }
    Err(format!("no port is free for TCP and UDP: {last}"))
}

/// dnsmasq with names in `.test`, once it answers.
fn dnsmasq() -> Result<(Server, u16), String> {
    let mut last = String::new();
    // Somebody else may take the port meanwhile.
    for attempt in 0..5 {
        let port = free_port()?;
        let mut dnsmasq = tool("dnsmasq")?;
        dnsmasq.args([
            "--keep-in-foreground",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
            "--pid-file=",
            "--log-facility=-",
        ]);
        dnsmasq.args(["--bind-interfaces", "--listen-address=127.0.0.1", "--local=/test/", "--cname=alias.test,h.test"]);
        dnsmasq.args(["--host-record=h.test,10.1.2.3,fd00::3", "--host-record=six.test,fd00::6", &format!("--port={port}")]);
        // One that starts as root gives that up, if it may.
        dnsmasq.arg("--user=");
        match Server::spawn(&format!("dnsmasq{attempt}"), dnsmasq, 0) {
            Ok(server) => {
                let end = Instant::now() + Duration::from_secs(20);
                while Instant::now() < end {
                    if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                        return Ok((server, port));
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                last = server.stop().err().unwrap_or_default();
            }
            Err(e) => last = e,
        }
    }
    Err(format!("dnsmasq failed to start: {last}"))
}

fn ask(test: &str, args: &[&str]) -> Result<String, String> {
    let mut program = Command::new(build("examples-c/dns-client.c")?);
    program.args(args);
    // It says what went wrong on its standard output.
    let outcome = run(program, &scratch(&format!("clients-{test}")), Duration::from_secs(60))?;
    Ok(format!("{}{}", outcome.stdout, outcome.code))
}

fn with_dnsmasq() -> Result<(), Failed> {
    let (server, port) = dnsmasq()?;
    for scheme in ["udp", "tcp"] {
        let url = format!("{scheme}://127.0.0.1:{port}");
        let cases: [(&[&str], &str); 3] = [
            (&["h.test", "ALIAS.test.", "six.test"], "h.test 10.1.2.3\nALIAS.test. 10.1.2.3\nsix.test [fd00:0:0:0:0:0:0:6]\n0"),
            (&["no.test", "h.test"], "no.test no.test DNS lookup failed\nh.test 10.1.2.3\n1"),
            (&["-6", "h.test"], "h.test [fd00:0:0:0:0:0:0:3]\n0"),
        ];
        for (args, want) in cases {
            let got = ask(&format!("names-{scheme}"), &[&["-t", "30000", "-s", &url], args].concat())?;
            if got != want {
                return Err(format!("{url} {args:?}\n--- got\n{got}\n--- want\n{want}").into());
            }
        }
    }
    drop(server);
    Ok(())
}

/// A script in its own namespaces; it prints "well" at the end.
fn isolated(
    test: &str,
    kinds: &[&str],
    script: &str,
    mut command: impl FnMut(&mut Command) -> Result<(), String>,
) -> Result<(), Failed> {
    tool("ip")?;
    tool("dnsmasq")?;
    let mut unshare = tool("unshare")?;
    unshare.args(kinds).args(["--net", "--pid", "--fork", "--kill-child", "sh"]).arg(root("c-tests/scripts").join(script));
    command(&mut unshare)?;
    unshare.current_dir(scratch(&format!("clients-{test}-files")));
    let said = client(test, unshare, 180)?;
    if said.ends_with("well\n") { Ok(()) } else { Err(said.into()) }
}

fn system_files() -> Result<(), Failed> {
    isolated("system_files", &["--mount"], "names.sh", |c| {
        c.arg(build("examples-c/dns-client.c")?);
        Ok(())
    })
}

fn zones() -> Result<(), Failed> {
    isolated("zones", &[], "zones.sh", |c| {
        c.arg(build("c-tests/programs/listen_on.c")?);
        Ok(())
    })
}

fn zeroconf() -> Result<(), Failed> {
    let packages = peer_package("python3", "zeroconf")?;
    isolated("zeroconf", &[], "mdns.sh", |c| {
        for program in ["examples-c/mdns-server.c", "examples-c/dns-client.c", "c-tests/programs/mdns_query.c"] {
            c.arg(build(program)?);
        }
        c.arg(root("c-tests/scripts/zeroconf_peer.py")).env("PYTHONPATH", &packages);
        Ok(())
    })
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("names::dnsmasq", with_dnsmasq));
    all.push(Trial::test("names::hosts_and_resolv_conf", system_files));
    all.push(Trial::test("names::zones_of_link_local_addresses", zones));
    all.push(Trial::test("names::zeroconf_in_both_directions", zeroconf));
}
