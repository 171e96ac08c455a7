//! Files: serving, listing, uploading. The servers are examples-c/static-server.c and upload-form.c.

use crate::server::{Server, client, data_file};
use crate::tools::{root, scratch, tool};
use libtest_mimic::{Failed, Trial};
use std::{
    fs::{self, File},
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Allowed growth of a server's peak memory, however much it serves.
const FLAT_KIB: u64 = 4 * 1024;

fn ensure(condition: bool, text: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(text()) }
}

fn curl() -> Result<Command, String> {
    let mut curl = tool("curl")?;
    curl.args(["-q", "-sS", "--max-time", "100", "--noproxy", "*"]);
    Ok(curl)
}

/// A directory to serve, and a server for it.
struct Site {
    dir: PathBuf,
    server: Server,
}

fn serve(test: &str, fill: impl FnOnce(&Path) -> std::io::Result<()>) -> Result<Site, String> {
    let dir = scratch(&format!("clients-{test}-www"));
    fill(&dir).map_err(|e| e.to_string())?;
    let roots = dir.to_str().unwrap();
    let server = Server::start(test, "examples-c/static-server.c", &["-l", "http://127.0.0.1:0", "-r", roots], 1)?;
    Ok(Site { dir, server })
}

/// Bytes in which no two places look alike.
fn noise(len: usize) -> Vec<u8> {
    (0..len).map(|k| ((k * 31) ^ (k >> 7) ^ (k >> 15)) as u8).collect()
}

impl Site {
    /// Head and body that curl gets with these arguments.
    fn get(&self, path: &str, args: &[&str]) -> Result<(String, Vec<u8>), String> {
        let dir = scratch(&format!("clients-{}-get", self.dir.file_name().unwrap().to_str().unwrap()));
        let mut curl = curl()?;
        curl.args(args).arg("-D").arg(dir.join("head")).arg("-o").arg(dir.join("body")).arg(self.server.url(path));
        client(&format!("{}{path}", self.dir.file_name().unwrap().to_str().unwrap()), curl, 110)?;
        let head = fs::read_to_string(dir.join("head")).map_err(|e| e.to_string())?;
        Ok((head, fs::read(dir.join("body")).unwrap_or_default()))
    }
}

fn ranges(test: &str) -> Result<(), Failed> {
    let data = noise(300_000);
    let site = serve(test, |dir| fs::write(dir.join("f.bin"), &data))?;
    for (range, want) in [
        ("0-0", &data[..1]),
        ("100-199999", &data[100..200_000]),
        ("299999-", &data[299_999..]),
        ("-5", &data[299_995..]),
        ("20000-", &data[20_000..]),
    ] {
        let (head, body) = site.get("/f.bin", &["-r", range])?;
        let first = data.len()
            - if range.starts_with('-') { 5 } else { data.len() - range.split('-').next().unwrap().parse::<usize>()? };
        let sent = format!("Content-Range: bytes {first}-{}/300000", first + want.len() - 1);
        ensure(head.starts_with("HTTP/1.1 206") && head.contains(&sent) && body == want, || format!("{range}: {head}"))?;
    }
    let (head, body) = site.get("/f.bin", &["-r", "300000-"])?;
    ensure(head.starts_with("HTTP/1.1 416") && head.contains("bytes */300000") && body.is_empty(), || head.clone())?;
    let (head, body) = site.get("/f.bin", &["-r", "0-1,5-6"])?;
    ensure(head.starts_with("HTTP/1.1 200") && body == data, || head.clone())?;
    site.server.stop()?;
    Ok(())
}

fn head_and_etag(test: &str) -> Result<(), Failed> {
    let site = serve(test, |dir| {
        fs::write(dir.join("large"), noise(100_000))?;
        fs::create_dir(dir.join("d"))
    })?;
    for (path, length) in [("/large", "100000"), ("/nowhere", "10"), ("/d/", "")] {
        let (head, body) = site.get(path, &["-I"])?;
        ensure(head.contains(&format!("Content-Length: {length}")) && body == head.as_bytes(), || format!("{path}: {head}"))?;
    }
    // One connection for all: nothing that does not belong to an answer is sent.
    let mut curl = curl()?;
    curl.args(["-I", "-w", "%{num_connects}"]);
    for path in ["/large", "/nowhere", "/d/", "/d", "/large"] {
        curl.arg(site.server.url(path));
    }
    let text = client(test, curl, 30)?;
    ensure(text.matches("HTTP/1.1 ").count() == 5 && text.matches("\r\n\r\n0").count() == 4, || text.clone())?;
    let (head, _) = site.get("/large", &[])?;
    let etag = head.lines().find_map(|l| l.strip_prefix("Etag: ")).ok_or("no ETag")?;
    let (head, body) = site.get("/large", &["-H", &format!("If-None-Match: {etag}")])?;
    ensure(head.starts_with("HTTP/1.1 304") && body.is_empty(), || head.clone())?;
    // A range of another version is no use.
    let (head, _) = site.get("/large", &["-r", "5-", "-H", "If-Range: \"1.2\""])?;
    ensure(head.starts_with("HTTP/1.1 200"), || head.clone())?;
    let (head, _) = site.get("/large", &["-r", "5-", "-H", &format!("If-Range: {etag}")])?;
    ensure(head.starts_with("HTTP/1.1 206"), || head.clone())?;
    site.server.stop()?;
    Ok(())
}

fn compressed_files(test: &str) -> Result<(), Failed> {
    let text = b"hello, hello, hello\n".repeat(2000);
    let site = serve(test, |dir| {
        fs::write(dir.join("a.txt"), &text)?;
        fs::write(dir.join("old.txt"), b"old")?;
        fs::copy(dir.join("old.txt"), dir.join("old.txt.gz"))?;
        let early = std::time::SystemTime::now() - Duration::from_secs(100);
        File::open(dir.join("old.txt.gz"))?.set_modified(early)
    })?;
    let mut gzip = tool("gzip")?;
    gzip.arg("-k").arg(site.dir.join("a.txt"));
    client(test, gzip, 30)?;
    let (head, body) = site.get("/a.txt", &["--compressed"])?;
    let small = !head.contains(&format!("Content-Length: {}", text.len()));
    ensure(
        head.contains("Content-Encoding: gzip") && head.contains("Content-Type: text/plain") && small && body == text,
        || head,
    )?;
    let (head, body) = site.get("/a.txt", &[])?;
    ensure(!head.contains("gzip") && body == text, || head)?;
    let (head, body) = site.get("/old.txt", &["--compressed"])?;
    ensure(!head.contains("gzip") && body == b"old", || head)?;
    site.server.stop()?;
    Ok(())
}

/// The file outside the served directory must be unreachable by any name.
fn attacks_never_leave_the_directory(test: &str) -> Result<(), Failed> {
    let dir = scratch(&format!("clients-{test}"));
    let (www, other) = (dir.join("www"), dir.join("www2"));
    fs::create_dir_all(www.join("d"))?;
    fs::create_dir_all(&other)?;
    for secret in [dir.join("secret"), other.join("secret"), www.join("d/fine")] {
        fs::write(secret, "SECRET")?;
    }
    fs::write(www.join("d/fine"), "fine")?;
    fs::write(
        www.join("page.shtml"),
        "<!--#include file=\"out\" --><!--#include virtual=\"/out\" --><!--#include file=\"../secret\" -->.",
    )?;
    symlink("../secret", www.join("out"))?;
    symlink(dir.join("secret"), www.join("out.abs"))?;
    symlink("../www2", www.join("outdir"))?;
    symlink("outdir/secret", www.join("twice"))?;
    symlink("d/fine", www.join("in"))?;
    symlink(www.join("d"), www.join("indir"))?;
    symlink("/dev/zero", www.join("zero"))?;
    symlink("loop", www.join("loop"))?;
    let mut fifo = tool("mkfifo")?;
    fifo.arg(www.join("fifo"));
    client(test, fifo, 30)?;
    // The directory itself may be reached through a link.
    symlink("www", dir.join("link"))?;
    let deep = format!("/{}secret", "../".repeat(30));
    let absolute = dir.join("secret").to_str().unwrap().to_string();
    let attacks = [
        "/../secret",
        "/d/../../secret",
        "/%2e%2e/secret",
        "/%2E%2E%2Fsecret",
        "/..%2fsecret",
        "/.%2e/secret",
        "/d/%2e%2e/%2e%2e/secret",
        "/%252e%252e/secret",
        "/%25%32%65%25%32%65/secret",
        "/..%252fsecret",
        "/..\\secret",
        "/..%5csecret",
        "/d\\..\\..\\secret",
        "/%c0%ae%c0%ae/secret",
        "/%e0%80%ae%e0%80%ae/secret",
        "/..%c0%afsecret",
        "/..%2f..%2f..%2fetc%2fpasswd",
        "/d/%2e%2e%2f%2e%2e%2fsecret",
        "/%f0%80%80%ae%f0%80%80%ae/secret",
        "/%u002e%u002e/secret",
        "/..%u2215secret",
        "/\u{c0}\u{ae}\u{c0}\u{ae}/secret",
        "\\..\\secret",
        "/%5c..%5csecret",
        "/..%255csecret",
        "/d/..%5c../secret",
        "/.%00./secret",
        "/..%01/secret",
        "/..%0d%0a/secret",
        "/..%20/secret",
        "/?/../secret",
        "/..;/secret",
        "/...//secret",
        "/....//secret",
        "/out",
        "/out.abs",
        "/outdir/secret",
        "/outdir/",
        "/outdir",
        "/twice",
        "/./out",
        "//out",
        "/indir/../out",
        "/d/fine%00/../../secret",
        "/..%00/secret",
        "/%00../secret",
        "/../www2/secret",
        "/d/../../www2/secret",
        "2/secret",
        "/~/secret",
        "/~root",
        "/%",
        "/%2",
        "/%zz",
        "/fifo",
        "/zero",
        "/loop",
        "/d/fine/../../out",
        "/out/",
        "/out%2f",
        "/page.shtml",
        "/out.gz/../out",
        "file:///etc/passwd",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/%2e/%2e%2e/secret",
        &deep,
        &absolute,
        &format!("/{absolute}"),
    ];
    for root in ["www", "www/", "link", "/o=www2,www", "www,/x=www/d", "./www"] {
        let source = "examples-c/static-server.c";
        // Roots as a program in that directory would write them.
        let roots: Vec<String> = root
            .split(',')
            .map(|item| match item.split_once('=') {
                Some((prefix, to)) => format!("{prefix}={}", dir.join(to).display()),
                None => format!("{}/{item}", dir.display()),
            })
            .collect();
        let args = ["-l", "http://127.0.0.1:0", "-r", &roots.join(","), "-s", "#.shtml"];
        let server = Server::start(&format!("{test}-{}", root.len()), source, &args, 1)?;
        for attack in attacks {
            for method in ["GET", "POST"] {
                let answer = raw(server.port(), &format!("{method} {attack} HTTP/1.1\r\nConnection: close\r\n\r\n"))?;
                let text = String::from_utf8_lossy(&answer);
                let listed = text.contains("Index of") && text.contains("secret");
                ensure(!text.contains("SECRET") && !text.contains("root:") && !listed && answer.len() < 10_000, || {
                    format!("{root} {attack}: {text}")
                })?;
            }
        }
        for (path, want) in [("/in", "fine"), ("/indir/fine", "fine"), ("/d/fine", "fine")] {
            let text = raw(server.port(), &format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n"))?;
            ensure(text.ends_with(want.as_bytes()), || format!("{root} {path}: {}", text.escape_ascii()))?;
        }
        server.stop()?;
    }
    Ok(())
}

/// All that comes for a request as it is written here.
fn raw(port: u16, request: &str) -> Result<Vec<u8>, String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|e| e.to_string())?;
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(|e| format!("{request}: {e}"))?;
    Ok(answer)
}

/// 10 GiB that take no room on the disk, in two goes.
fn ten_gibibytes_with_flat_memory(test: &str) -> Result<(), Failed> {
    const SIZE: u64 = 10 << 30;
    let site = serve(test, |dir| File::create(dir.join("huge"))?.set_len(SIZE))?;
    site.get("/huge", &["-r", "0-9"])?;
    let before = site.server.kib("VmRSS")?;
    // The first client leaves in the middle, the second goes on from there.
    let mut stream = TcpStream::connect(("127.0.0.1", site.server.port()))?;
    stream.write_all(b"GET /huge HTTP/1.1\r\n\r\n")?;
    let (mut got, mut block) = (0, vec![0; 1 << 20]);
    while got < 3 << 30 {
        let n = stream.read(&mut block)?;
        ensure(n > 0, || format!("end of stream after {got} bytes"))?;
        got += n as u64;
    }
    drop(stream);
    let mut curl = curl()?;
    curl.args(["-r", "3221225472-", "-o", "/dev/null", "-w", "%{http_code} %{size_download}"]).arg(site.server.url("/huge"));
    let report = client(test, curl, 110)?;
    ensure(report == format!("206 {}", SIZE - (3 << 30)), || report)?;
    is_flat(&site.server, before, "10 GiB down")?;
    site.server.stop()?;
    Ok(())
}

/// Prints what the server used at its peak, which must be hardly more than before.
fn is_flat(server: &Server, before: u64, what: &str) -> Result<(), Failed> {
    let peak = server.kib("VmHWM")?;
    println!("{what}: VmRSS {before} kB before, VmHWM {peak} kB after");
    Ok(ensure(peak <= before + FLAT_KIB, || format!("memory grew by {} KiB", peak - before))?)
}

/// A file that takes no room on the disk, sent to a program that keeps nothing of it: with its length, and in chunks. As many GiB
/// as `make big` wants, otherwise one.
fn uploads_with_flat_memory(test: &str) -> Result<(), Failed> {
    let gib: u64 = std::env::var("UPLOAD_GIB").map_or(Ok(1), |n| n.parse())?;
    let server = Server::start(test, "c-tests/programs/sink.c", &["http://127.0.0.1:0"], 1)?;
    let file = scratch(&format!("clients-{test}-file")).join("huge");
    for size in [1_000_000, gib << 30] {
        File::create(&file)?.set_len(size)?;
        for (how, header) in [("", "Expect:"), (" in chunks", "Transfer-Encoding: chunked")] {
            let before = server.kib("VmRSS")?;
            let mut curl = tool("curl")?;
            curl.args(["-q", "-sS", "--max-time", "600", "--noproxy", "*", "-H", header, "-T"]).arg(&file).arg(server.url("/x"));
            let text = client(test, curl, 610)?;
            ensure(text == format!("{size}\n"), || text)?;
            if size > 1_000_000 {
                is_flat(&server, before, &format!("{gib} GiB up{how}"))?;
            }
        }
    }
    fs::remove_file(file)?;
    server.stop()?;
    Ok(())
}

/// Waits until the server has at most so many descriptors: the first count may have caught a connection that was ending.
fn falls_to(site: &Site, most: usize) -> Result<(), Failed> {
    let end = Instant::now() + Duration::from_secs(20);
    while site.server.descriptors()? > most && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    ensure(site.server.descriptors()? <= most, || format!("{:?} descriptors, not {most}", site.server.descriptors()))?;
    Ok(())
}

/// 500 clients that all begin before any of them goes on.
fn five_hundred_concurrent_downloads(test: &str) -> Result<(), Failed> {
    let data = noise(1_000_000);
    let site = serve(test, |dir| fs::write(dir.join("f"), &data))?;
    site.get("/f", &[])?;
    let (memory, files) = (site.server.kib("VmRSS")?, site.server.descriptors()?);
    let mut streams: Vec<TcpStream> = Vec::new();
    for _ in 0..500 {
        let mut stream = TcpStream::connect(("127.0.0.1", site.server.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.write_all(b"GET /f HTTP/1.1\r\n\r\n")?;
        streams.push(stream);
    }
    let mut heads = vec![Vec::new(); streams.len()];
    for (stream, head) in streams.iter_mut().zip(&mut heads) {
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
    }
    let mut body = vec![0; data.len()];
    for stream in &mut streams {
        stream.read_exact(&mut body)?;
        ensure(body == data, || "the body differs".to_string())?;
    }
    let growth = site.server.kib("VmHWM")?.saturating_sub(memory);
    ensure(growth <= FLAT_KIB, || format!("{growth} KiB more than before"))?;
    // Every file is closed; the connections are still open.
    falls_to(&site, files + streams.len())?;
    drop(streams);
    falls_to(&site, files)?;
    site.server.stop()?;
    Ok(())
}

/// A client that reads a byte per second does not block others, and costs no CPU time.
fn a_reader_of_one_byte_per_second(test: &str) -> Result<(), Failed> {
    let data = noise(20_000_000);
    let site = serve(test, |dir| fs::write(dir.join("f"), &data))?;
    let mut slow = TcpStream::connect(("127.0.0.1", site.server.port()))?;
    slow.write_all(b"GET /f HTTP/1.1\r\n\r\n")?;
    std::thread::sleep(Duration::from_millis(500));
    for _ in 0..3 {
        slow.read_exact(&mut [0])?;
        let start = Instant::now();
        let (head, body) = site.get("/f", &["-r", "1000-2999"])?;
        ensure(body == data[1000..3000] && start.elapsed() < Duration::from_secs(2), || head)?;
        let before = cpu_ticks(&site.server)?;
        std::thread::sleep(Duration::from_secs(1));
        let used = cpu_ticks(&site.server)? - before;
        ensure(used <= 5, || format!("{used} CPU ticks in an idle second"))?;
    }
    site.server.stop()?;
    Ok(())
}

fn cpu_ticks(server: &Server) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{}/stat", server.pid())).map_err(|e| e.to_string())?;
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |n: usize| fields.get(n).and_then(|f| f.parse::<u64>().ok()).ok_or("no CPU time");
    Ok(field(11)? + field(12)?)
}

/// Names that mean something in HTML, in URLs and to shells come back as links that work.
fn listings_link_to_every_name(test: &str) -> Result<(), Failed> {
    let names = ["a b", "x&y<z>\"'", "100%", "plus+", "ünï", "#frag", "q?x=1", "semi;colon", "..twodots"];
    let site = serve(test, |dir| names.iter().try_for_each(|n| fs::write(dir.join(n), n)))?;
    let (_, page) = site.get("/", &[])?;
    let page = String::from_utf8(page)?;
    let links: Vec<&str> = page.lines().filter_map(|l| l.strip_prefix("  <tr><td><a href=\"")?.split('"').next()).collect();
    ensure(links.len() == names.len() + 1 && links[0] == "..", || format!("{links:?}"))?;
    for link in &links[1..] {
        let (head, body) = site.get(&format!("/{link}"), &[])?;
        // A name that begins with two dots is never served.
        let fine = names.iter().any(|n| n.as_bytes() == body) || *link == "..twodots" && head.starts_with("HTTP/1.1 400");
        ensure(fine, || format!("{link}: {head}"))?;
    }
    site.server.stop()?;
    Ok(())
}

/// A file that shrinks while it is sent cannot be sent: the client must notice.
fn a_file_truncated_while_being_sent(test: &str) -> Result<(), Failed> {
    let site = serve(test, |dir| File::create(dir.join("f"))?.set_len(50_000_000))?;
    let mut stream = TcpStream::connect(("127.0.0.1", site.server.port()))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.write_all(b"GET /f HTTP/1.1\r\n\r\n")?;
    stream.read_exact(&mut [0; 1000])?;
    File::options().write(true).open(site.dir.join("f"))?.set_len(10)?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest)?;
    ensure(rest.len() < 49_999_000, || "the whole file arrived".to_string())?;
    site.get("/f", &[])?;
    site.server.stop()?;
    Ok(())
}

fn many_requests_on_one_connection(test: &str) -> Result<(), Failed> {
    let data = noise(3_000_000);
    let site = serve(test, |dir| {
        fs::write(dir.join("large"), &data)?;
        fs::write(dir.join("small"), &data[..4096])
    })?;
    let order = ["large", "small", "small", "large", "nowhere", "large", "small"];
    let requests: String = order.iter().map(|n| format!("GET /{n} HTTP/1.1\r\n\r\n")).collect();
    let answer = raw(site.server.port(), &format!("{requests}GET /small HTTP/1.1\r\nConnection: close\r\n\r\n"))?;
    let mut rest = &answer[..];
    for name in order.iter().chain(&["small"]) {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").ok_or("no head")? + 4;
        let body = match *name {
            "large" => &data[..],
            "small" => &data[..4096],
            _ => b"Not found\n",
        };
        ensure(rest[end..].starts_with(body), || format!("{name}: {}", rest[..end].escape_ascii()))?;
        rest = &rest[end + body.len()..];
    }
    ensure(rest.is_empty(), || format!("{} unexpected bytes", rest.len()))?;
    site.server.stop()?;
    Ok(())
}

// ---- uploads

fn upload_server(test: &str) -> Result<(Server, PathBuf), String> {
    let dir = scratch(&format!("clients-{test}-up"));
    let server = Server::start(test, "examples-c/upload-form.c", &["http://127.0.0.1:0", dir.to_str().unwrap()], 1)?;
    Ok((server, dir))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn uploads(test: &str) -> Result<(), Failed> {
    let (server, dir) = upload_server(test)?;
    let (file, data) = data_file(&scratch(&format!("clients-{test}")), 20_000_000)?;
    let before = server.kib("VmRSS")?;
    for args in [&["-H", "Expect:"][..], &["-H", "Transfer-Encoding: chunked"], &[]] {
        let _ = fs::remove_file(dir.join("a b.bin"));
        let mut curl = curl()?;
        curl.args(args).arg("-T").arg(&file).arg(server.url("/upload/a%20b.bin"));
        let text = client(test, curl, 60)?;
        ensure(text == "stored\n" && fs::read(dir.join("a b.bin"))? == data, || format!("{args:?}: {text}"))?;
    }
    let growth = server.kib("VmHWM")?.saturating_sub(before);
    ensure(growth <= 2 * FLAT_KIB, || format!("{growth} KiB more than before"))?;
    // Two requests on one connection, the second one for what the first has stored.
    let mut curl = curl()?;
    curl.args(["-w", "%{num_connects}"])
        .arg("-T")
        .arg(root("LICENSE-MIT"))
        .arg(server.url("/upload/x"))
        .arg(server.url("/files/x"));
    let text = client(test, curl, 60)?;
    ensure(text.starts_with("stored\n1") && text.ends_with('0'), || text)?;
    // In pieces.
    for (offset, part) in [(0, &data[..1_000_000]), (1_000_000, &data[1_000_000..1_500_000])] {
        fs::write(dir.with_extension("part"), part)?;
        let mut curl = self::curl()?;
        curl.arg("--data-binary").arg(format!("@{}", dir.with_extension("part").display()));
        curl.arg(server.url(&format!("/chunk?file=pieces&offset={offset}")));
        let text = client(test, curl, 60)?;
        ensure(text == (offset + part.len()).to_string(), || text)?;
    }
    ensure(fs::read(dir.join("pieces"))? == data[..1_500_000], || "the stored file differs".to_string())?;
    let mut curl = self::curl()?;
    curl.arg("-F").arg(format!("f=@{};filename=form.txt", root("LICENSE-MIT").display())).arg(server.url("/form"));
    let text = client(test, curl, 60)?;
    ensure(text == "1 stored\n" && fs::read(dir.join("form.txt"))? == fs::read(root("LICENSE-MIT"))?, || text)?;
    ensure(names(&dir) == ["a b.bin", "form.txt", "pieces", "x"], || format!("{:?}", names(&dir)))?;
    server.stop()?;
    Ok(())
}

fn uploads_that_fail_leave_nothing(test: &str) -> Result<(), Failed> {
    let (server, dir) = upload_server(test)?;
    fs::write(dir.join("old"), "old")?;
    for name in
        ["../evil", "..%2fevil", "%2e%2e", "a%00b", "~x", "x%2f", "%zz", "", "no%2fdirectory", &"x".repeat(190), &"x".repeat(300)]
    {
        let answer =
            raw(server.port(), &format!("PUT /upload/{name} HTTP/1.1\r\nContent-Length: 4\r\nConnection: close\r\n\r\nevil"))?;
        let text = String::from_utf8_lossy(&answer);
        let fine = if name.len() == 190 { text.starts_with("HTTP/1.1 201") } else { text.starts_with("HTTP/1.1 4") };
        ensure(fine, || format!("{name}: {text}"))?;
    }
    fs::remove_file(dir.join("x".repeat(190)))?;
    for name in ["old", "new"] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port()))?;
        stream.write_all(format!("PUT /upload/{name} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n").as_bytes())?;
        stream.write_all(&[b'x'; 300_000])?;
        std::thread::sleep(Duration::from_millis(200));
        drop(stream);
    }
    let end = Instant::now() + Duration::from_secs(10);
    while names(&dir) != ["old"] && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    ensure(names(&dir) == ["old"] && fs::read(dir.join("old"))? == b"old", || format!("{:?}", names(&dir)))?;
    ensure(!dir.with_file_name("evil").exists(), || "outside".to_string())?;
    server.stop()?;
    Ok(())
}

pub(crate) fn trials(all: &mut Vec<Trial>) {
    type Test = fn(&str) -> Result<(), Failed>;
    let list: [(&'static str, Test); 14] = [
        ("ten_gibibytes_with_flat_memory", ten_gibibytes_with_flat_memory),
        ("uploads_with_flat_memory", uploads_with_flat_memory),
        ("five_hundred_concurrent_downloads", five_hundred_concurrent_downloads),
        ("a_reader_of_one_byte_per_second", a_reader_of_one_byte_per_second),
        ("attacks_never_leave_the_directory", attacks_never_leave_the_directory),
        ("ranges", ranges),
        ("head_and_etag", head_and_etag),
        ("compressed_files", compressed_files),
        ("listings_link_to_every_name", listings_link_to_every_name),
        ("a_file_truncated_while_being_sent", a_file_truncated_while_being_sent),
        ("many_requests_on_one_connection", many_requests_on_one_connection),
        ("uploads", uploads),
        ("uploads_that_fail_leave_nothing", uploads_that_fail_leave_nothing),
        ("huge_response", huge_response),
    ];
    for (name, test) in list {
        all.push(Trial::test(format!("files::{name}"), move || test(name)));
    }
}

/// examples-c/huge-response.c: made on the way, in memory that stays small.
fn huge_response(test: &str) -> Result<(), Failed> {
    let server = Server::start(test, "examples-c/huge-response.c", &["http://127.0.0.1:0"], 1)?;
    let before = server.kib("VmRSS")?;
    let mut curl = curl()?;
    curl.args(["-o", "/dev/null", "-w", "%{size_download} %{num_connects}\n"]).arg(server.url("/bytes/500000000"));
    curl.args(["-o", "/dev/null"]).arg(server.url("/lines/100000"));
    let report = client(test, curl, 110)?;
    let growth = server.kib("VmHWM")?.saturating_sub(before);
    ensure(report == "500000000 1\n1088890 0\n" && growth <= FLAT_KIB, || format!("{report}{growth} KiB more"))?;
    server.stop()?;
    Ok(())
}
