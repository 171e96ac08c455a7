#!/usr/bin/env python3
"""Measures the release library in several threads: examples-c/threads-server with one thread, with two, and as two processes of one
thread each, which share no memory. All CPUs are the server's and the load's together, so compare the CPU time per request.

usage: benches/threads.py [--readme]
  --readme   the table as Markdown, for docs/performance.md
environment: ROUNDS=5     interleaved runs of each, of which the median counts
             SECONDS=3    length of a run"""
import os, re, signal, statistics, subprocess, sys

from load import freeport, sched_ns
from peers import OUT, build_program

KINDS = [("one thread", 1, 1), ("two threads", 1, 2), ("two processes", 2, 1)]


def run(processes, threads, seconds):
    url = "http://127.0.0.1:%d/" % freeport()
    servers = []
    try:
        for _ in range(processes):
            server = subprocess.Popen([OUT + "/threads-server", "-l", url, "-n", str(threads)], stdout=subprocess.PIPE, text=True)
            servers.append(server)
            for line in server.stdout:
                if line.endswith("threads\n"):
                    break
            else:
                sys.exit("the server does not start")
        before = [sched_ns(s.pid) for s in servers]
        load = ["wrk", "-t2", "-c64", "-d%d" % seconds, url]
        out = subprocess.run(load, capture_output=True, text=True).stdout
        used = [sched_ns(s.pid) - ns for s, ns in zip(servers, before)]
        requests = int(re.search(r"(\d+) requests in", out)[1])
        return sum(used) / 1000 / max(requests, 1), requests / seconds
    finally:
        for s in servers:
            s.send_signal(signal.SIGKILL)
            s.wait()


def main():
    if sys.argv[1:] not in ([], ["--readme"]):
        sys.exit(__doc__)
    rounds, seconds = int(os.environ.get("ROUNDS", 5)), int(os.environ.get("SECONDS", 3))
    subprocess.run(["cargo", "build", "--release", "--quiet"], check=True)
    build_program("examples-c/threads-server")
    found = {name: [] for name, *_ in KINDS}
    for _ in range(rounds):
        for name, processes, threads in KINDS:
            found[name].append(run(processes, threads, seconds))
    cpu = {name: statistics.median(us for us, _ in runs) for name, runs in found.items()}
    rate = {name: statistics.median(rps for _, rps in runs) for name, runs in found.items()}
    one = KINDS[0][0]
    rows = [(name, "%.2f µs" % cpu[name], "%.2f" % (cpu[name] / cpu[one]), "{:,.0f}".format(rate[name])) for name in found]
    head = ("server", "CPU per request", "against one thread", "requests per second")
    if sys.argv[1:]:
        print("| %s |\n|%s" % (" | ".join(head), "---|" * len(head)))
        print("\n".join("| %s |" % " | ".join(row) for row in rows))
    else:
        for row in [head] + rows:
            print("%-16s %-18s %-20s %s" % row)


if __name__ == "__main__":
    main()
