"""testssl.sh against https-server, with a certificate of RSA and one of P-256. A case is an item of its report."""

import json
import os
import subprocess
import time

from servers import CERTS, ROOT

KEYS = ["rsa2048", "p256"]
# About the machine, the public name or how long the test took; not about the server. When openssl ends before the ticket has come, the
# check of resumption by ticket has a connect problem; tls_resume.py tests that.
NOT_OURS = {"sessionresumption_ticket", "engine_problem", "scanTime", "scanProblem", "DNS_CAArecord", "cert_notBefore", "cert_expirationStatus"}


def total(servers, quick):
    return None if quick else 2 * 130


def report(path):
    """What is there so far: the closing bracket comes last."""
    try:
        text = path.read_text().rstrip().rstrip(",")
        return json.loads(text if text.endswith("]") else text + "]")
    except (OSError, ValueError):
        return []


def run(servers, quick):
    testssl = servers.tool("testssl")
    dir = servers.dir()
    tests = ["--protocols", "--std", "--server-defaults"] if quick else []
    scans = {}
    for key in KEYS[1:] if quick else KEYS:
        port = servers.start("https-server", "-c", CERTS / f"server-{key}.pem", "-k", CERTS / f"server-{key}.key", "-d", ROOT / "docs",
                             scheme="https")
        args = [testssl, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--add-ca", CERTS / "ca.pem",
                "--jsonfile", dir / f"{key}.json", "--ip", "127.0.0.1", *tests, f"localhost:{port}"]
        scans[key] = servers.spawn(args, cwd=dir, stdout=open(dir / f"{key}.log", "w"), stderr=subprocess.STDOUT,
                                   env=dict(os.environ, TERM="dumb"))
    shown = set()
    while True:
        ended = all(p.poll() is not None for p in scans.values())
        for key in scans:
            for item in report(dir / f"{key}.json"):
                case = f"{key} {item['id']}"
                if item["id"] in NOT_OURS or case in shown and (case, item["finding"]) in shown:
                    continue
                shown |= {case, (case, item["finding"])}
                bad = item["severity"] not in ("OK", "INFO")
                yield case, f"{item['severity']} {' '.join(item['finding'].split())}" if bad else None
        if ended:
            break
        time.sleep(1)
    for key, p in scans.items():
        if not report(dir / f"{key}.json"):
            raise RuntimeError((dir / f"{key}.log").read_text()[-2000:])
