//! A C program running as a server: built once, started on free ports, monitored, and stopped as its user would stop it.

use crate::tools::{root, scratch, shared_dir, succeed, tool};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

const START: Duration = Duration::from_secs(20);
const STOP: Duration = Duration::from_secs(20);

/// The program built from a C file against the shared library of this run.
pub(crate) fn build(source: &str) -> Result<PathBuf, String> {
    build_with(source, &[])
}

/// The same with more options for the compiler and the linker.
pub(crate) fn build_with(source: &str, flags: &[&str]) -> Result<PathBuf, String> {
    static BUILT: Mutex<Option<HashMap<String, Result<PathBuf, String>>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap();
    let name = format!("{source}{}", flags.concat());
    built.get_or_insert_default().entry(name.clone()).or_insert_with(|| compile(source, &name, flags)).clone()
}

fn compile(source: &str, name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    let dir = scratch(&format!("clients-build-{name}"));
    let program = dir.join("program");
    let mut cc = tool("gcc")?;
    cc.args(["-std=gnu11", "-g", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"]).arg(root("include"));
    cc.arg(root(source)).arg("-L").arg(shared_dir()).arg("-lmongoose").arg("-lpthread").arg("-o").arg(&program);
    cc.arg(format!("-Wl,-rpath,{}", shared_dir().display())).args(flags);
    succeed(cc, &dir)?;
    Ok(program)
}

pub(crate) struct Server {
    child: Child,
    dir: PathBuf,
    ports: Vec<u16>,
}

impl Server {
    /// Starts the program and waits until it has printed a line that ends with a port for each of `listeners`.
    pub(crate) fn start(test: &str, source: &str, args: &[&str], listeners: usize) -> Result<Server, String> {
        let mut command = Command::new(build(source)?);
        command.args(args);
        Server::spawn(test, command, listeners)
    }

    /// The same for a program that need not be built.
    pub(crate) fn spawn(test: &str, mut command: Command, listeners: usize) -> Result<Server, String> {
        let dir = scratch(&format!("clients-{test}-server"));
        let file = |name: &str| fs::File::create(dir.join(name)).map_err(|e| e.to_string());
        command.current_dir(&dir).stdin(Stdio::null()).stdout(file("stdout")?).stderr(file("stderr")?);
        let child = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
        let mut server = Server { child, dir, ports: Vec::new() };
        let end = Instant::now() + START;
        while server.ports.len() < listeners {
            if let Some(status) = server.child.try_wait().map_err(|e| e.to_string())? {
                return Err(format!("{command:?} exited immediately: {status}\n{}", server.output()));
            }
            if Instant::now() > end {
                return Err(format!("{command:?} printed no port\n{}", server.output()));
            }
            thread::sleep(Duration::from_millis(5));
            let text = fs::read_to_string(server.dir.join("stdout")).map_err(|e| e.to_string())?;
            let whole = &text[..text.rfind('\n').map_or(0, |n| n + 1)];
            server.ports = whole.lines().filter_map(|l| l.rsplit([':', ' ']).next()?.parse().ok()).collect();
        }
        Ok(server)
    }

    /// The server of these tests, on 127.0.0.1 and, as its second port, on [::1].
    pub(crate) fn of_tests(test: &str) -> Result<Server, String> {
        Server::start(test, "c-tests/programs/server.c", &["http://127.0.0.1:0", "http://[::1]:0"], 2)
    }

    pub(crate) fn port(&self) -> u16 {
        self.ports[0]
    }

    pub(crate) fn second_port(&self) -> u16 {
        self.ports[1]
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.ports[0])
    }

    pub(crate) fn url6(&self, path: &str) -> String {
        format!("http://[::1]:{}{path}", self.ports[1])
    }

    /// A line of /proc/PID/status that counts KiB: VmRSS is what the process uses now, VmHWM the most it ever used.
    pub(crate) fn kib(&self, name: &str) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')?.split_whitespace().next()?.parse().ok());
        value.ok_or(format!("{path} has no {name}"))
    }

    pub(crate) fn descriptors(&self) -> Result<usize, String> {
        let path = format!("/proc/{}/fd", self.pid());
        Ok(fs::read_dir(&path).map_err(|e| format!("{path}: {e}"))?.count())
    }

    fn output(&self) -> String {
        let read = |name: &str| String::from_utf8_lossy(&fs::read(self.dir.join(name)).unwrap_or_default()).into_owned();
        format!("--- server's stdout\n{}--- server's stderr\n{}", read("stdout"), read("stderr"))
    }

    /// Asks the program to end, without waiting for it.
    pub(crate) fn terminate(&self) {
        // SAFETY: no pointers; the child has not been waited for, so the number is its own.
        unsafe { libc::kill(self.pid() as i32, libc::SIGTERM) };
    }

    fn wait(&mut self) -> Result<ExitStatus, String> {
        let end = Instant::now() + STOP;
        loop {
            match self.child.try_wait().map_err(|e| e.to_string())? {
                Some(status) => return Ok(status),
                None if Instant::now() > end => return Err(format!("the server did not exit\n{}", self.output())),
                None => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Stops the program, which must still be running and must exit successfully. Returns its output.
    pub(crate) fn stop(mut self) -> Result<String, String> {
        if let Some(status) = self.child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the server died: {status}\n{}", self.output()));
        }
        self.terminate();
        self.ended()
    }

    /// Waits for a program that was told to exit.
    pub(crate) fn ended(mut self) -> Result<String, String> {
        let status = self.wait()?;
        let text = fs::read_to_string(self.dir.join("stdout")).map_err(|e| e.to_string())?;
        if status.success() { Ok(text) } else { Err(format!("the server failed: {status}\n{}", self.output())) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a client, which must succeed in time. Returns its output.
pub(crate) fn client(test: &str, command: Command, limit: u64) -> Result<String, String> {
    let shown = format!("{command:?}");
    let outcome = crate::tools::run(command, &scratch(&format!("clients-{test}-client")), Duration::from_secs(limit))?;
    if outcome.code == 0 { Ok(outcome.stdout) } else { Err(format!("{shown}\n{}", outcome.text())) }
}

/// A file of `len` bytes in which no two neighbouring places look alike.
pub(crate) fn data_file(dir: &Path, len: usize) -> Result<(PathBuf, Vec<u8>), String> {
    let data: Vec<u8> = (0..len).map(|k| ((k * 31) ^ (k >> 7) ^ (k >> 15)) as u8).collect();
    let path = dir.join("data");
    fs::write(&path, &data).map_err(|e| e.to_string())?;
    Ok((path, data))
}
