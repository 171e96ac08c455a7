"""The tests of mosquitto's broker, from its source package, against mqtt-server. Left out are those of what only that program has:
bridges, its TLS settings, plugins, mount points, and its own access control; and a test that ends the broker right behind a packet, so
that chance decides whether the broker still reads it. Tests that need a setting which mqtt-server does not have
say so as their finding."""

import concurrent.futures
import os
import re
import socket
import subprocess
import sys
import threading

from servers import HERE

LEFT_OUT = re.compile(r"(06-bridge|08-|09-|10-listener|14-dynsec|11-persistent-subscription-no-local)")
QUICK = re.compile(r"(01-connect|02-subpub-qos[012]\.|03-publish-qos|13-malformed)")


def tests(servers, quick):
    broker = servers.need("mosquitto/test/broker")
    listed = re.findall(r"^\s*\((\d), '\./(\S+)\.py'\)", (broker / "test.py").read_text(), re.M)
    return broker, [(int(n), t) for n, t in listed
                    if not LEFT_OUT.match(t) and (broker / f"{t}.py").exists() and (not quick or QUICK.match(t))]


def total(servers, quick):
    return len(tests(servers, quick)[1])


# Below those that the kernel gives to clients: nothing else may take a port before the broker that is told to listen on it.
choosing = threading.Lock()
ports_left = iter(range(15000 + os.getpid() % 100 * 100, 32000))


def free_ports(n):
    ports = []
    while len(ports) < n:
        port = next(ports_left)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        ports.append(port)
    return ports


def one(servers, broker, ports, test):
    # They start helpers and write settings where they are.
    with choosing:
        numbers = free_ports(ports)
    args = [sys.executable, HERE / "mosquitto_case.py", servers.bin / "mqtt-server", servers.dir(), test, *numbers]
    p = servers.spawn(args, cwd=broker, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out = p.communicate(timeout=90)[0].decode("utf-8", "replace")
    except subprocess.TimeoutExpired:
        servers.end(p)
        return test, "hangs"
    finally:
        servers.end(p)
    if needs := re.search(r"^NEEDS (\S+)", out, re.M):
        return test, f"needs {needs[1]}"
    if os.environ.get("VERBOSE") and p.returncode:
        print(f"---- {test}\n{out}", flush=True)
    return test, "fails" if p.returncode else None


def run(servers, quick):
    broker, list_ = tests(servers, quick)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(one, servers, broker, *t) for t in list_]
        try:
            for f in concurrent.futures.as_completed(futures):
                yield f.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            servers.stop()
