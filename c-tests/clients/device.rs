//! Modbus, time and tokens against third-party programs: pymodbus, chrony, PyJWT.

use crate::server::{Server, build, client};
use crate::tools::{root, scratch, tool};
use crate::websocket::peer_package;
use libtest_mimic::{Failed, Trial};
use std::{
    fs,
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A Python script, with the packages it needs.
fn python(script: &str, packages: &[&str]) -> Result<Command, String> {
    let mut command = tool("python3")?;
    for package in packages {
        command.env("PYTHONPATH", peer_package("python3", package)?);
    }
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts").join(script));
    Ok(command)
}

fn modbus(test: &str, server_args: &[&str], client_args: &[&str]) -> Result<(), Failed> {
    let args = [&["-l", "tcp://127.0.0.1:0"], server_args].concat();
    let server = Server::start(test, "examples-c/modbus-server.c", &args, 1)?;
    let mut command = python("modbus_client.py", &["pymodbus"])?;
    command.args(["127.0.0.1", &server.port().to_string()]).args(client_args);
    client(test, command, 120)?;
    server.stop()?;
    Ok(())
}

fn tokens() -> Result<(), Failed> {
    let mut command = python("jwt_peer.py", &["jwt", "cryptography"])?;
    command.arg(build("c-tests/programs/jwt.c")?).arg(scratch("clients-jwt-keys"));
    client("jwt", command, 120)?;
    Ok(())
}

fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// chrony as a server that serves this machine's own time, and sets nothing.
fn chrony() -> Result<(), Failed> {
    let dir = scratch("clients-chrony-config");
    // chronyd cannot choose a port itself.
    let port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
    let config = dir.join("chrony.conf");
    let pid = dir.join("pid");
    fs::write(
        &config,
        format!("port {port}\ncmdport 0\nbindaddress 127.0.0.1\nallow 127.0.0.1\nlocal stratum 1\npidfile {}\n", pid.display()),
    )?;
    let user = Command::new("id").arg("-un").output()?.stdout;
    let mut chronyd = tool("chronyd")?;
    chronyd.args(["-x", "-d", "-u", String::from_utf8_lossy(&user).trim(), "-f"]).arg(&config);
    let server = Server::spawn("chrony", chronyd, 0)?;

    // It says on no standard output when it is ready.
    let ask = || {
        let mut sync = Command::new(build("examples-c/sntp-sync.c")?);
        sync.args([&format!("udp://127.0.0.1:{port}"), "2"]);
        client("chrony", sync, 60)
    };
    let mut answer = ask();
    for _ in 0..5 {
        if answer.is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(300));
        answer = ask();
    }
    let (text, now) = (answer?, seconds());
    let said: Vec<u64> = text.lines().filter_map(|l| l.split(' ').nth(3)?.parse().ok()).collect();
    server.stop()?;
    if said.len() == 2 && said.iter().all(|s| s.abs_diff(now) <= 10) && said[0] < said[1] { Ok(()) } else { Err(text.into()) }
}

/// Nobody answers: the client says so, after three seconds.
fn no_time_server() -> Result<(), Failed> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let mut sync = Command::new(build("examples-c/sntp-sync.c")?);
    sync.arg(format!("udp://{}", silent.local_addr()?));
    let outcome = crate::tools::run(sync, &scratch("clients-no-time"), Duration::from_secs(60))?;
    if outcome.code == 1 && outcome.stderr.contains("0 of 1 answers") { Ok(()) } else { Err(outcome.text().into()) }
}

pub fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("device::pymodbus", || modbus("pymodbus", &[], &[])));
    all.push(Trial::test("device::pymodbus_read_only", || modbus("pymodbus-ro", &["-r", "-v"], &["read-only"])));
    all.push(Trial::test("device::pyjwt", tokens));
    all.push(Trial::test("device::chrony", chrony));
    all.push(Trial::test("device::no_time_server", no_time_server));
}
