#!/usr/bin/env python3
"""Measures the release library beside other servers and brokers from Debian packages: the same work, one process on one CPU, and
the load on another. Prints the server's CPU time per request, and requests per second.

usage: benches/peers.py [--readme] [--only NAME,...] [CASE...]
  CASE: keep16 keep64 keep256 pipe16 new64 file4k ws16 ws64k fanout; default: all
  --readme   tables as Markdown, for docs/performance.md and README.md
  --only     these servers alone
environment: ROUNDS=5     interleaved runs of each, of which the median counts
             SECONDS=3    length of a run
A quick look: ROUNDS=1 SECONDS=1 benches/peers.py --only ours,nginx keep64
make deps-bench-peers installs the peers."""
import argparse, os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = ROOT + "/target/bench"
WWW = OUT + "/www"
SERVE = "benches/peers/serve.sh"
WRK = "wrk -t1 -c{conns} -d{seconds} "
URL = "http://127.0.0.1:{port}{path}"

# case: title, connections, path, load, what it needs of a server
CASES = {
    "keep16": ("keep-alive, 16", 16, "/hello", WRK + URL, "http"),
    "keep64": ("keep-alive, 64", 64, "/hello", WRK + URL, "http"),
    "keep256": ("keep-alive, 256", 256, "/hello", WRK + URL, "http"),
    "pipe16": ("16 pipelined, 64", 64, "/hello", WRK + "-s benches/pipeline.lua " + URL + " -- 16", "http"),
    "file4k": ("file of 4 KiB, 64", 64, "/4k", WRK + URL, "file"),
    "ws16": ("WebSocket 16 B, 64", 64, "/", OUT + "/ws_load {port} {conns} {seconds} 16", "ws"),
    "ws64k": ("WebSocket 64 KiB, 64", 64, "/", OUT + "/ws_load {port} {conns} {seconds} 65536", "ws"),
    "fanout": ("to 100 subscribers", 100, "/", OUT + "/mqtt_load {port} {conns} {seconds} 16", "mqtt"),
    # Many short connections come last: they leave the kernel with many ports that are not free for a minute.
    "new64": ("new connections, 64", 64, "/hello", WRK + "-H Connection:close " + URL, "http"),
}
# server: Debian package, how to link it, what it does
PEERS = {
    "nginx": ("nginx-light", "nginx", "http file"),
    "lighttpd": ("lighttpd", "lighttpd", "http file"),
    "h2o": ("libh2o-evloop-dev", ["-lh2o-evloop", "-lssl", "-lcrypto"], "http file"),
    "microhttpd": ("libmicrohttpd-dev", ["-lmicrohttpd"], "http file"),
    "websockets": ("libwebsockets-dev", ["-lwebsockets"], "http file ws"),
    "civetweb": ("libcivetweb-dev", ["-lcivetweb"], "http file ws"),
    "evhttp": ("libevent-dev", ["-levent"], "http file"),
    "mosquitto": ("mosquitto", "mosquitto", "mqtt"),
}
NAMES = {"ours": "this library", "h2o": "libh2o", "microhttpd": "libmicrohttpd", "websockets": "libwebsockets", "civetweb": "CivetWeb",
         "evhttp": "libevent evhttp"}
# The floor is what the kernel costs with nothing around it, and ours is the library.
OWN = {
    "ours": {"http": OUT + "/hello {port} keep", "file": OUT + "/hello {port} file " + WWW, "ws": OUT + "/ws_echo {port}",
             "mqtt": OUT + "/mqtt-server -l mqtt://127.0.0.1:{port}"},
    "floor": {"http": OUT + "/floor {port} keep", "file": OUT + "/file_floor {port} " + WWW, "ws": OUT + "/ws_floor {port}"},
}


def run(*command, **more):
    return subprocess.run(command, cwd=ROOT, check=True, **more)


def build_program(source):
    """One that is linked with the library, which must be built."""
    os.makedirs(OUT, exist_ok=True)
    target = ROOT + "/target/release"
    if os.path.lexists(OUT + "/libmongoose.so.7"):
        os.remove(OUT + "/libmongoose.so.7")
    os.symlink("../release/libmongoose.so", OUT + "/libmongoose.so.7")
    run("gcc", "-O2", "-Iinclude", source + ".c", "-L" + target, "-lmongoose", "-Wl,-rpath," + OUT, "-o", OUT + "/" + os.path.basename(source))


def build():
    """Our programs, and the peers that are here: their names with versions. The others are named with a reason."""
    for tool, package in (("gcc", "gcc"), ("wrk", "wrk"), ("taskset", "util-linux")):
        if not shutil.which(tool):
            sys.exit("%s needs the Debian package %s" % (sys.argv[0], package))
    if os.cpu_count() < 2:
        sys.exit("%s needs two CPUs: one for the server, one for the load" % sys.argv[0])
    os.makedirs(OUT + "/peers", exist_ok=True)
    os.makedirs(WWW, exist_ok=True)
    run("cargo", "build", "--release", "--quiet")
    for source in ("benches/hello", "benches/ws_echo", "examples-c/mqtt-server"):
        build_program(source)
    for source in ("floor", "file_floor", "ws_floor", "ws_load", "mqtt_load"):
        run("gcc", "-O2", "benches/%s.c" % source, "-o", OUT + "/" + source)
    with open(WWW + "/hello", "w") as f:
        f.write("Hello, World!\n")
    with open(WWW + "/4k", "wb") as f:
        f.write(os.urandom(4096))
    here, missing = {}, []
    for name, (package, how, _) in PEERS.items():
        if isinstance(how, str):
            ok = shutil.which(how, path=os.environ["PATH"] + ":/usr/sbin")
        else:
            ok = subprocess.run(["gcc", "-O2", "benches/peers/%s.c" % name, *how, "-o", OUT + "/peers/" + name], cwd=ROOT, stderr=subprocess.DEVNULL).returncode == 0
        if ok:
            found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True).stdout
            here[name] = re.sub(r"^\d+:|[-+].*", "", found)
        else:
            missing.append(NAMES.get(name, name))
    return here, missing


def measure(case, servers, rounds, seconds):
    """(CPU time in us, requests per second, errors) of each server."""
    _, conns, path, load, kind = CASES[case]
    commands = [OWN[s][kind] if s in OWN else "%s %s {port} %s" % (SERVE, s, WWW) for s in servers]
    done = run(sys.executable, "benches/load.py", "-n", str(rounds), "-d", str(seconds), "-c", str(conns), "-p", path, "--load", load, *commands,
               capture_output=True, text=True).stdout
    lines = re.findall(r"([\d.]+) us CPU/req +(\d+) req/s *(.*)", done)
    if len(lines) != len(servers):
        sys.exit("%s: no figures from benches/load.py:\n%s" % (case, done))
    return {s: (float(us), float(rps), errors.strip()) for s, (us, rps, errors) in zip(servers, lines)}


def main():
    ap = argparse.ArgumentParser(usage=__doc__)
    ap.add_argument("--readme", action="store_true")
    ap.add_argument("--only")
    ap.add_argument("cases", nargs="*")
    a = ap.parse_args()
    rounds, seconds = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SECONDS", 3))
    cases = a.cases or list(CASES)
    for case in cases:
        if case not in CASES:
            sys.exit("%s: no case named %s" % (sys.argv[0], case))
    os.environ.pop("LD_LIBRARY_PATH", None)  # nothing else may name another library
    here, missing = build()
    servers = ["ours", "floor", *here]
    if a.only:
        servers = [s for s in servers if s in a.only.split(",")]
    results, notes = {}, []
    for case in cases:
        kind = CASES[case][4]
        able = [s for s in servers if kind in (OWN[s] if s in OWN else PEERS[s][2].split())]
        found = measure(case, able, rounds, seconds) if able else {}
        for s, (us, rps, errors) in found.items():
            results[s, case] = "%.2f / %.1f" % (us, rps / 1000) if rps >= 1 else "does not answer"
            if errors:
                notes.append("%s, %s: %s" % (NAMES.get(s, s), CASES[case][0], errors))
            if not a.readme:
                print("%-22s %-16s %8.2f us %10.0f req/s  %s" % (CASES[case][0], NAMES.get(s, s), us, rps, errors), flush=True)
    if not a.readme:
        return
    for kinds, what in (("http file ws", "server"), ("mqtt", "broker")):
        columns = [c for c in cases if CASES[c][4] in kinds.split()]
        rows = [s for s in servers if any((s, c) in results for c in columns)]
        if not rows:
            continue
        print("| %s | %s |\n|%s" % (what, " | ".join(CASES[c][0] for c in columns), "---|" * (len(columns) + 1)))
        for s in rows:
            name = NAMES.get(s, s) + (" " + here[s] if here.get(s) else "")
            print("| %s | %s |" % (name, " | ".join(results.get((s, c), "-") for c in columns)))
        print()
    print("Each cell: CPU time per request in µs / thousands of requests per second%s. Median of %d." % (" (deliveries for brokers)" if "fanout" in cases else "", rounds))
    print("-: not among its abilities, or not without another package." + (" Not installed: %s." % ", ".join(missing) if missing else " No peer is missing."))
    for note in notes:
        print(note[0].upper() + note[1:] + ".")


if __name__ == "__main__":
    main()
