//! Third-party MQTT peers: mosquitto as the broker of our client, paho and mosquitto's clients with our broker.

use crate::examples::unused_port;
use crate::server::{Server, build, build_with, client};
use crate::tools::{root, run, scratch, tool};
use crate::websocket::peer_package;
use libtest_mimic::{Failed, Trial};
use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Lines},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const VERSIONS: [&str; 2] = ["311", "5"];

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

/// Our broker on a port for TCP and, as its second, one for WebSocket.
fn our_broker(test: &str, args: &[&str]) -> Result<Server, String> {
    let args = [args, &["mqtt://127.0.0.1:0", "http://127.0.0.1:0"]].concat();
    Server::start(test, "examples-c/mqtt-server.c", &args, 2)
}

fn pem(name: &str) -> String {
    root("c-tests/certs").join(name).display().to_string()
}

/// The same over TLS.
fn our_tls_broker(test: &str) -> Result<Server, String> {
    let (cert, key) = (pem("server-p256.pem"), pem("server-p256.key"));
    let args = ["-c", &cert, "-k", &key, "mqtts://127.0.0.1:0", "https://127.0.0.1:0"];
    Server::start(test, "examples-c/mqtt-server.c", &args, 2)
}

/// The broker mosquitto. What it has to keep is in its directory, and survives a restart.
struct Mosquitto {
    child: Child,
    dir: PathBuf,
    port: u16,
    ws_port: u16,
}

impl Mosquitto {
    fn start(test: &str, more: &str) -> Result<Mosquitto, String> {
        let dir = scratch(&format!("clients-{test}-mosquitto"));
        let (port, ws_port) = (unused_port()?, unused_port()?);
        let here = dir.display();
        let text = format!(
            "user root\nlistener {port} 127.0.0.1\nlistener {ws_port} 127.0.0.1\nprotocol websockets\npersistence true\n\
             persistence_location {here}/\nmax_queued_messages 0\nlog_dest file {here}/log\n{more}\n"
        );
        fs::write(dir.join("conf"), text).map_err(|e| e.to_string())?;
        let child = Mosquitto::spawn(&dir)?;
        let broker = Mosquitto { child, dir, port, ws_port };
        broker.wait()?;
        Ok(broker)
    }

    fn spawn(dir: &Path) -> Result<Child, String> {
        // Where Debian puts it is not on everybody's path.
        const SBIN: &str = "/usr/sbin/mosquitto";
        let mut command = if Path::new(SBIN).is_file() { Command::new(SBIN) } else { tool("mosquitto")? };
        command.arg("-c").arg(dir.join("conf")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().map_err(|e| format!("{command:?}: {e}"))
    }

    /// Until it listens on both ports.
    fn wait(&self) -> Result<(), String> {
        let end = Instant::now() + Duration::from_secs(20);
        while [self.port, self.ws_port].iter().any(|p| TcpStream::connect(("127.0.0.1", *p)).is_err()) {
            if Instant::now() > end {
                return Err(format!(
                    "mosquitto is not listening: {}",
                    fs::read_to_string(self.dir.join("log")).unwrap_or_default()
                ));
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Ends it as a service manager does, and starts it anew.
    fn restart(&mut self) -> Result<(), String> {
        // SAFETY: no pointers; the child has not been waited for, so the number is its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.child.wait().map_err(|e| e.to_string())?;
        self.child = Mosquitto::spawn(&self.dir)?;
        self.wait()
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ours(args: &[&str], url: &str) -> Result<Command, String> {
    let mut command = Command::new(build("examples-c/mqtt-client.c")?);
    command.args(args).arg(url);
    Ok(command)
}

/// Our client as a subscriber that runs beside the test.
struct Subscriber {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    // Open, so that the program can write to it.
    _errors: BufReader<ChildStderr>,
}

impl Subscriber {
    /// Returns when the broker has confirmed the subscription.
    fn start(args: &[&str], url: &str) -> Result<Subscriber, String> {
        let mut command = ours(args, url)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| e.to_string())?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut errors = BufReader::new(child.stderr.take().ok_or("no output")?);
        let mut line = String::new();
        errors.read_line(&mut line).map_err(|e| e.to_string())?;
        let subscriber = Subscriber { child, lines, _errors: errors };
        if line.starts_with("subscribed to ") { Ok(subscriber) } else { Err(line) }
    }

    fn line(&mut self) -> Result<String, String> {
        self.lines.next().ok_or("the subscriber exited")?.map_err(|e| e.to_string())
    }

    fn ends_well(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|e| e.to_string())?;
        ensure(status.success(), || format!("the subscriber failed: {status}"))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Our client publishes to our client, in all versions and qualities.
fn exchange(test: &str, more: &[&str], url: &str) -> Result<(), String> {
    for version in [&[][..], &["-5"]] {
        for qos in ["0", "1", "2"] {
            let common = [version, more, &["-q", qos, "-t", "a/b", "-n", "100"]].concat();
            let mut subscriber =
                Subscriber::start(&[&common[..], &["-i", &format!("there{}{qos}", version.concat())]].concat(), url)?;
            client(test, ours(&[&common[..], &["-m", "hello"]].concat(), url)?, 60)?;
            for i in 1..=100 {
                let line = subscriber.line()?;
                ensure(line == format!("a/b hello {i}"), || format!("version {version:?}, QoS {qos}, message {i}: {line}"))?;
            }
            subscriber.ends_well()?;
        }
    }
    Ok(())
}

fn our_client_and_mosquitto() -> Result<(), Failed> {
    let broker = Mosquitto::start("mqtt-exchange", "allow_anonymous true")?;
    Ok(exchange("mqtt-exchange", &[], &broker.url())?)
}

fn our_client_and_our_broker() -> Result<(), Failed> {
    let broker = our_broker("mqtt-own", &[])?;
    exchange("mqtt-own", &[], &format!("mqtt://127.0.0.1:{}", broker.port()))?;
    broker.stop()?;
    Ok(())
}

/// A client without anything to say is not thrown out.
fn idle_client_and_mosquitto() -> Result<(), Failed> {
    let broker = Mosquitto::start("mqtt-idle", "allow_anonymous true")?;
    let mut program = Command::new(build("c-tests/programs/mqtt_idle.c")?);
    program.args([&broker.url(), "1", "4"]);
    let said = client("mqtt-idle", program, 60)?;
    Ok(ensure(said == "open, code 0\nstill open\n", || said.clone())?)
}

fn over_tls() -> Result<(), Failed> {
    let port = unused_port()?;
    let (file, cert, key) = (pem, pem("server-p256.pem"), pem("server-p256.key"));
    let tls = format!("allow_anonymous true\nlistener {port} 127.0.0.1\ncertfile {cert}\nkeyfile {key}");
    let _broker = Mosquitto::start("mqtt-tls", &tls)?;
    let url = format!("mqtts://localhost:{port}");
    exchange("mqtt-tls", &["-c", &file("ca.pem")], &url)?;
    // An authority that has not signed the broker's certificate.
    match Subscriber::start(&["-c", &file("other-ca.pem")], &url) {
        Err(line) if line.starts_with(&url) => Ok(()),
        Err(line) => Err(line.into()),
        Ok(_) => Err("an untrusted broker was accepted".into()),
    }
}

/// Who does not know the password is told so, by either broker.
fn passwords() -> Result<(), Failed> {
    let file = scratch("clients-mqtt-passwords").join("passwords");
    let mut tool = tool("mosquitto_passwd")?;
    tool.args(["-b", "-c"]).arg(&file).args(["me", "secret"]);
    client("mqtt-passwd", tool, 30)?;
    let theirs = Mosquitto::start("mqtt-passwords", &format!("allow_anonymous false\npassword_file {}", file.display()))?;
    let own = our_broker("mqtt-passwords", &["-u", "me", "-P", "secret"])?;
    for (url, codes) in [(theirs.url(), ["5", "135"]), (format!("mqtt://127.0.0.1:{}", own.port()), ["4", "134"])] {
        for (version, code) in [("-q1", codes[0]), ("-5", codes[1])] {
            client("mqtt-right", ours(&[version, "-u", "me", "-P", "secret", "-m", "x"], &url)?, 30)?;
            let wrong = ours(&[version, "-u", "me", "-P", "Secret", "-m", "x"], &url)?;
            let got = run(wrong, &scratch("clients-mqtt-wrong"), Duration::from_secs(30))?;
            ensure(got.code == 1 && got.stderr.contains(&format!("CONNECT: code {code}\n")), || got.text())?;
        }
    }
    own.stop()?;
    Ok(())
}

/// A broker that is restarted in the middle of a stream: every message whose publication was confirmed arrives.
fn restart_during_a_stream(version: &[&str]) -> Result<(), Failed> {
    const COUNT: usize = 20000;
    let test = format!("mqtt-restart{}", version.concat());
    let mut broker = Mosquitto::start(&test, "allow_anonymous true")?;
    let common = [version, &["-q", "1", "-t", "stream"]].concat();
    let mut subscriber = Subscriber::start(&[&common[..], &["-i", "reader"]].concat(), &broker.url())?;
    let count = COUNT.to_string();
    let mut publisher = ours(&[&common[..], &["-i", "writer", "-m", "number", "-n", &count]].concat(), &broker.url())?;
    let mut publisher = publisher.stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let mut seen = BTreeSet::new();
    let mut read = |subscriber: &mut Subscriber| -> Result<bool, String> {
        let line = subscriber.line()?;
        match line.strip_prefix("stream number ").and_then(|n| n.parse::<usize>().ok()) {
            Some(n) => seen.insert(n),
            None => return Ok(line == "stream end 1"),
        };
        Ok(false)
    };
    for _ in 0..2 {
        for _ in 0..1000 {
            read(&mut subscriber)?;
        }
        ensure(publisher.try_wait()?.is_none(), || "the publisher exited too early".into())?;
        broker.restart()?;
    }
    let status = publisher.wait()?;
    ensure(status.success(), || format!("the publisher failed: {status}"))?;
    client(&test, ours(&[&common[..], &["-m", "end"]].concat(), &broker.url())?, 60)?;
    while !read(&mut subscriber)? {}
    Ok(ensure(seen.len() == COUNT, || format!("{} of {COUNT} messages", seen.len()))?)
}

fn over_websocket() -> Result<(), Failed> {
    let theirs = Mosquitto::start("mqtt-ws", "allow_anonymous true")?;
    let own = our_broker("mqtt-ws", &[])?;
    for port in [theirs.ws_port, own.second_port()] {
        for version in ["4", "5"] {
            let mut program = Command::new(build("c-tests/programs/mqtt_ws_client.c")?);
            program.args([&format!("ws://127.0.0.1:{port}/mqtt"), version]);
            let said = client("mqtt-ws", program, 60)?;
            // The acknowledgement comes when it comes.
            let rest = said.replace("acknowledged\n", "");
            ensure(rest == "open 0\nsubscribed\nws/test: hello\nws/test: hello\n", || said.clone())?;
        }
    }
    own.stop()?;
    Ok(())
}

const SANITIZED: &[&str] = &["-DWITH_SQLITE", "-lsqlite3", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"];

fn with_paho(mut python: Command) -> Result<Command, String> {
    python.env("PYTHONPATH", peer_package("python3", "paho-mqtt")?).env("no_proxy", "127.0.0.1,localhost");
    Ok(python)
}

/// Every rule of the protocol that a broker can show, one packet at a time. The broker must end without a leak.
fn scenarios() -> Result<(), Failed> {
    let mut broker = Command::new(build_with("examples-c/mqtt-server.c", SANITIZED)?);
    broker.args(["-n", "denied", "mqtt://127.0.0.1:0"]);
    let broker = Server::spawn("mqtt-scenarios", broker, 1)?;
    client("mqtt-scenarios", with_paho(crate::scripts::command("mqtt_scenarios.py", &broker, &[])?)?, 100)?;
    broker.stop()?;
    Ok(())
}

/// A broker with a database that is killed, again and again.
fn broker_killed_during_delivery() -> Result<(), Failed> {
    let mut python = tool("python3")?;
    python.env("PYTHONDONTWRITEBYTECODE", "1").arg(root("c-tests/scripts/mqtt_restart.py"));
    python.arg(build_with("examples-c/mqtt-server.c", SANITIZED)?).arg(scratch("clients-mqtt-killed").join("database"));
    if std::env::var_os("SHORT_IO").is_some() {
        // Delivery is slower then than publishing, and a session queues at most 1,000 messages.
        python.arg("200");
    }
    client("mqtt-killed", with_paho(python)?, 100)?;
    Ok(())
}

fn paho(test: &str, broker: Server, more: &[&str]) -> Result<(), Failed> {
    let port = broker.second_port().to_string();
    let args = [&[port.as_str()], more].concat();
    client(test, with_paho(crate::scripts::command("mqtt_clients.py", &broker, &args)?)?, 240)?;
    broker.stop()?;
    Ok(())
}

fn mosquitto_clients() -> Result<(), Failed> {
    let broker = our_broker("mqtt-mosquitto", &[])?;
    let port = broker.port().to_string();
    let their = |name: &str, args: &[&str]| -> Result<String, String> {
        let mut command = tool(name)?;
        command.args(["-h", "127.0.0.1", "-p", &port]).args(args);
        client(&format!("mqtt-{name}"), command, 60)
    };
    for version in VERSIONS {
        let (topic, id) = (format!("live{version}"), format!("id{version}"));
        let v = ["-V", version];
        for qos in ["0", "1", "2"] {
            their("mosquitto_pub", &[&v[..], &["-q", qos, "-r", "-t", &format!("kept{version}/{qos}"), "-m", qos]].concat())?;
        }
        let got = their("mosquitto_sub", &[&v[..], &["-v", "-q", "2", "-C", "3", "-t", &format!("kept{version}/+")]].concat())?;
        let lines: BTreeSet<&str> = got.lines().collect();
        let want: Vec<String> = (0..3).map(|qos| format!("kept{version}/{qos} {qos}")).collect();
        ensure(lines.iter().eq(want.iter()), || got.clone())?;
        // Somebody who is away gets what was published meanwhile.
        let session = [&v[..], &["-i", &id, "-c", "-x", "100", "-q", "1", "-t", &topic]].concat();
        let session: Vec<&str> = session.into_iter().filter(|a| version == "5" || !["-x", "100"].contains(a)).collect();
        their("mosquitto_sub", &[&session[..], &["-E"]].concat())?;
        let publish = [&v[..], &["-t", &topic, "-m", "line", "--repeat", "200", "-q"]].concat();
        their("mosquitto_pub", &[&publish[..], &["1"]].concat())?;
        their("mosquitto_pub", &[&publish[..], &["2"]].concat())?;
        let got = their("mosquitto_sub", &[&session[..], &["-C", "400"]].concat())?;
        ensure(got == "line\n".repeat(400), || got.clone())?;
    }
    broker.stop()?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    all.push(Trial::test("mqtt::restart_during_a_stream", || restart_during_a_stream(&[])));
    all.push(Trial::test("mqtt::restart_during_a_version_5_stream", || restart_during_a_stream(&["-5"])));
    all.push(Trial::test("mqtt::scenarios", scenarios));
    all.push(Trial::test("mqtt::broker_killed_during_delivery", broker_killed_during_delivery));
    all.push(Trial::test("mqtt::paho_and_our_broker", || paho("mqtt-paho", our_broker("mqtt-paho", &[])?, &[])));
    all.push(Trial::test("mqtt::paho_and_our_broker_over_tls", || {
        paho("mqtt-paho-tls", our_tls_broker("mqtt-paho-tls")?, &[&pem("ca.pem")])
    }));
    all.push(Trial::test("mqtt::mosquitto_clients_and_our_broker", mosquitto_clients));
    all.push(Trial::test("mqtt::our_client_and_mosquitto", our_client_and_mosquitto));
    all.push(Trial::test("mqtt::idle_client_and_mosquitto", idle_client_and_mosquitto));
    all.push(Trial::test("mqtt::our_client_and_our_broker", our_client_and_our_broker));
    all.push(Trial::test("mqtt::over_websocket", over_websocket));
    all.push(Trial::test("mqtt::over_tls", over_tls));
    all.push(Trial::test("mqtt::passwords", passwords));
}
