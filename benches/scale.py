#!/usr/bin/env python3
"""Measures the release library with very many idle connections: memory for each, the CPU time of a poll that finds nothing, requests
on one active connection beside them, and the drain of all; with MG_EV_POLL for each connection and without (mgx_conn_poll_events).

usage: benches/scale.py [--readme] [COUNT...]     COUNT: idle connections; default: 0 10000 100000
  --readme   the table as Markdown, for docs/performance.md
environment: ROUNDS=3     runs of each, of which the median counts
             SECONDS=3    length of the load on the active connection
The server and the clients have a process each, and need a descriptor for each connection: as root with CAP_SYS_RESOURCE the limit is
raised as needed; otherwise fewer connections are made, and the table says how many. The memory is the process's, not the kernel's."""
import os, re, resource, statistics, subprocess, sys

from load import freeport, rss, sched_ns
from peers import OUT, ROOT, build_program

SPARE = 200  # descriptors for everything else


def limit(wanted):
    """The most connections that a process may have, of those wanted."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if wanted + SPARE > hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted + SPARE, wanted + SPARE))
            return wanted
        except (ValueError, PermissionError):
            pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(wanted, hard - SPARE)


def run(count, events, seconds):
    port = freeport()
    server = subprocess.Popen(["taskset", "-c", "0", OUT + "/scale", str(port), events], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    idle = None

    def ask(line):
        server.stdin.write(line + "\n")
        server.stdin.flush()
        return [float(x) for x in server.stdout.readline().split()]

    try:
        ask("poll 100")
        before = rss(server.pid)
        if count:
            idle = subprocess.Popen(["taskset", "-c", "1", OUT + "/idle", str(port), str(count)], stdout=subprocess.PIPE, text=True)
            if idle.stdout.readline() != "ready\n":
                sys.exit("the idle connections could not be made")
        ask("poll 10")
        found = {"memory": (rss(server.pid) - before) / count if count else 0, "poll": ask("poll 200")[0]}
        cpu = sched_ns(server.pid)
        out = subprocess.run(["taskset", "-c", "1", "wrk", "-t1", "-c1", "-d%d" % seconds, "http://127.0.0.1:%d/" % port], capture_output=True, text=True).stdout
        found["request"] = (sched_ns(server.pid) - cpu) / 1000 / max(int(re.search(r"(\d+) requests in", out)[1]), 1)
        found["drain"], found["drain_cpu"], found["forced"] = ask("drain")
        if idle and idle.stdout.readline() != "ended\n":
            sys.exit("the idle connections have not ended")
        return found
    finally:
        for p in (server, idle):
            if p:
                p.kill()
                p.wait()


def main():
    readme = "--readme" in sys.argv
    wanted = [int(x) for x in sys.argv[1:] if x != "--readme"] or [0, 10000, 100000]
    rounds, seconds = int(os.environ.get("ROUNDS", 3)), int(os.environ.get("SECONDS", 3))
    most = limit(max(wanted))
    counts = sorted({min(n, most) for n in wanted})
    build_program("benches/scale")
    subprocess.run(["gcc", "-O2", "benches/idle.c", "-o", OUT + "/idle"], cwd=ROOT, check=True)
    if readme:
        print("| idle connections | MG_EV_POLL | memory for each | a poll | a request on one active connection | against none idle | drain of all |\n|---|---|---|---|---|---|---|")
    for events in ("on", "off"):
        none = None
        for n in counts:
            rows = [run(n, events, seconds) for _ in range(rounds)]
            m = {k: statistics.median(r[k] for r in rows) for k in rows[0]}
            none = m["request"] if none is None else none
            memory = "%.2f KiB" % m["memory"] if n else "-"
            drain = "%.0f ms, %.0f of them CPU%s" % (m["drain"], m["drain_cpu"], ", %.0f by force" % m["forced"] if m["forced"] else "")
            cells = ["{:,}".format(n), events, memory, "%.1f µs" % m["poll"], "%.1f µs" % m["request"], "%.2f" % (m["request"] / none), drain]
            print("| %s |" % " | ".join(cells) if readme else "  ".join("%-12s" % c for c in cells), flush=True)
    if max(wanted) > most:
        note = "At most {:,} connections: a process may open {:,} files here.".format(most, most + SPARE)
        print("\n" + note)


if __name__ == "__main__":
    main()
