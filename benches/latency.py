#!/usr/bin/env python3
"""Measures how long requests take at 70 % load, beside nginx: 64 connections, and beside them nothing, uploads of 10 MB, or a
slow reader of a file.

usage: benches/latency.py [--readme]
  --readme   the table as Markdown, for docs/performance.md
environment: ROUNDS=5     interleaved runs of each, of which the median counts
             SECONDS=5    length of a run
The load is open: requests are due at a fixed rate, and each counts from when it was due (latency.c). The full load is what wrk gets from
the slower of the two, so both see the same rate. The last column is p99 with the other traffic over p99 without it."""
import os, re, statistics, subprocess, sys, time
from types import SimpleNamespace

from load import freeport, one
from peers import OUT, ROOT, SERVE, WWW, build

CONNECTIONS = 64
BESIDE = {"none": "nothing", "paced": "uploads of 10 MB, 100 Mbit/s", "upload": "the same, at full speed", "slow": "a slow reader"}


def run(command, rate, seconds, beside):
    port = freeport()
    server = subprocess.Popen(["taskset", "-c", "0", *command.format(port=port).split()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        time.sleep(0.5)
        out = subprocess.run(["taskset", "-c", "1", OUT + "/latency", str(port), str(CONNECTIONS), str(seconds), str(rate), beside],
                             capture_output=True, text=True, check=True, timeout=seconds * 3 + 30).stdout
        return {k: float(v) for k, v in re.findall(r"(\w+) ([\d.]+)", out)}
    finally:
        server.terminate()
        server.wait()


def main():
    readme = "--readme" in sys.argv
    rounds, seconds = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SECONDS", 5))
    here, _ = build()
    subprocess.run(["gcc", "-O2", "benches/latency.c", "-o", OUT + "/latency"], cwd=ROOT, check=True)
    with open(WWW + "/10m", "wb") as f:
        f.write(os.urandom(10000000))
    servers = {"this library": OUT + "/hello {port} mixed " + WWW}
    if "nginx" in here:
        servers["nginx " + here["nginx"]] = "%s nginx {port} %s" % (SERVE, WWW)
    full = SimpleNamespace(c=CONNECTIONS, d=seconds, i=0, p="/hello", load="wrk -t1 -c{conns} -d{seconds} http://127.0.0.1:{port}{path}")
    rate = int(0.7 * min(statistics.median(one(c, full)["rps"] for _ in range(rounds)) for c in servers.values()))
    found = {}
    for _ in range(rounds):
        for beside in BESIDE:
            for name, command in servers.items():
                found.setdefault((name, beside), []).append(run(command, rate, seconds, beside))
    if readme:
        print("| server | besides | p50 | p99 | p99.9 | p99 / p99 without |\n|---|---|---|---|---|---|")
    notes = []
    for name in servers:
        for beside, title in BESIDE.items():
            rows = found[name, beside]
            m = {k: statistics.median(r[k] for r in rows) for k in rows[0]}
            ratio = statistics.median(r["p99"] / q["p99"] for r, q in zip(rows, found[name, "none"]))
            cells = [name, title, *("%.0f µs" % m[p] for p in ("p50", "p99", "p999")), "%.2f" % ratio if beside != "none" else ""]
            print("| %s |" % " | ".join(cells) if readme else "  ".join("%-18s" % c for c in cells))
            if m["rate"] < 0.98 * rate:
                notes.append("%s with %s: only %.0f requests per second were answered." % (name, title, m["rate"]))
            if m["errors"]:
                notes.append("%s with %s: %.0f errors." % (name, title, m["errors"]))
            if beside in ("paced", "upload"):
                notes.append("%s with %s: %.0f complete in %d s." % (name, title, m["uploads"], seconds))
    print("\n%d requests per second, median of %d.\n" % (rate, rounds))
    for note in notes:
        print("- " + note[0].upper() + note[1:])


if __name__ == "__main__":
    main()
