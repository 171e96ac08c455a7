"""Autobahn's fuzzing client, all but compression (sections 12 and 13), which is not implemented, against websocket-echo."""

import json
import os
import subprocess

ALL = 301
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.1.*", "6.4.*", "7.*", "10.*"]


def total(servers, quick):
    return None if quick else ALL


def run(servers, quick):
    python = servers.need("python2/usr/bin/python2.7")
    servers.need("autobahn/autobahntestsuite")
    dir = servers.dir()
    port = servers.start("websocket-echo")
    spec = {
        "outdir": str(dir / "reports"),
        "options": {"failByDrop": False},
        "servers": [{"agent": "echo", "url": f"ws://127.0.0.1:{port}/websocket"}],
        "cases": QUICK if quick else ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    }
    (dir / "spec.json").write_text(json.dumps(spec))
    root = servers.deps / "python2"
    env = dict(os.environ, PYTHONHOME=str(root / "usr"), PYTHONPATH=str(servers.deps / "autobahn"),
               LD_LIBRARY_PATH=f"{root / 'usr/lib/x86_64-linux-gnu'}:{root / 'lib/x86_64-linux-gnu'}")
    with open(dir / "log", "w") as log:
        p = servers.spawn([python, "-c", "from autobahntestsuite.wstest import run; run()", "-m", "fuzzingclient", "-s", dir / "spec.json"],
                          env=env, cwd=dir, stdout=log, stderr=subprocess.STDOUT)
        p.wait()
    index = dir / "reports" / "index.json"
    if not index.exists():
        raise RuntimeError((dir / "log").read_text()[-2000:])
    for case, result in json.loads(index.read_text())["echo"].items():
        bad = [r for r in (result["behavior"], result["behaviorClose"]) if r not in ("OK", "INFORMATIONAL")]
        yield case, ", close ".join(bad) or None
