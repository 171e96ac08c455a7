#!/usr/bin/env python3
"""Runs third-party conformance suites against the example servers: run.py BIN DEPS [--quick] [SUITE...]

BIN has the examples, DEPS what `make deps-conformance` installed. Each suite yields (case, finding), where the finding is None for a
case that conforms; a case may have several. The findings must be those of expected/SUITE.txt, no more and no fewer:

    # the reason
    CASE: FINDING
"""

import importlib
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE))

from servers import Missing, Servers  # noqa: E402

# Ordered by duration, shortest first.
SUITES = ["handshakes", "http", "autobahn", "mosquitto", "slowhttptest", "testssl"]


class Progress:
    def __init__(self, suite, total):
        self.suite, self.total = suite, total
        self.start = self.last = time.monotonic()
        self.cases, self.findings = set(), set()

    def took(self, case, finding):
        self.cases.add(case)
        if finding is not None:
            self.findings.add((case, finding))
        now = time.monotonic()
        if now - self.last >= 5:
            self.last = now
            self.show()

    def show(self):
        done, seconds = len(self.cases), time.monotonic() - self.start
        left = f", {max(0, self.total - done) * seconds / done:.0f} s left" if self.total and done else ""
        of = f" of {self.total}" if self.total else ""
        print(f"{self.suite}: {done}{of} cases, {done / max(seconds, 0.001):.1f}/s{left}, {len(self.findings)} findings", flush=True)


def expected(suite):
    lines = (HERE / "expected" / f"{suite}.txt").read_text().splitlines()
    return [tuple(x.split(": ", 1)) for x in lines if x.strip() and not x.startswith("#")]


def run(name, servers, quick):
    """Returns the cases and findings, what differs from the expected ones, and whether Ctrl-C ended it."""
    suite = importlib.import_module(f"suites.{name}")
    progress = Progress(name, suite.total(servers, quick))
    interrupted = False
    try:
        for case, finding in suite.run(servers, quick):
            progress.took(case, finding)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        servers.stop()
    progress.show()
    found = progress.findings
    known = {(c, f) for c, f in expected(name) if c in progress.cases}
    # A case that the suite no longer has would go unnoticed.
    lost = set() if quick or interrupted else {(c, f) for c, f in expected(name) if c not in progress.cases}
    new, gone = found - known, known - found | lost
    for case, finding in sorted(new):
        print(f"{name}: NEW    {case}: {finding}")
    for case, finding in sorted(gone):
        print(f"{name}: GONE   {case}: {finding}     remove it from expected/{name}.txt")
    differs = sorted({case for case, _ in new | gone})
    if not progress.cases and not interrupted:
        print(f"{name}: no case was run")
        differs = ["no case"]
    return progress, differs, interrupted


def main(args):
    quick = "--quick" in args
    bin_dir, deps, *names = [a for a in args if a != "--quick"]
    if unknown := set(names) - set(SUITES):
        sys.exit(f"no such suite: {' '.join(sorted(unknown))}; available: {' '.join(SUITES)}")
    suites = cases = deviations = 0
    failed, interrupted = [], False
    for name in [s for s in SUITES if not names or s in names]:
        try:
            progress, differs, interrupted = run(name, Servers(pathlib.Path(bin_dir), pathlib.Path(deps)), quick)
        except Missing as e:
            print(f"{name}: {e} is missing: make deps-conformance")
            failed.append(name)
            continue
        suites += 1
        cases += len(progress.cases)
        deviations += len(progress.findings)
        if differs:
            failed.append(f"{name} ({', '.join(differs)})")
        if interrupted:
            break
    verdict = f"not as expected: {' '.join(failed)}" if failed else "all expected"
    print(f"conformance: {suites} suites, {cases} cases, {deviations} deviations, {verdict}{', interrupted' if interrupted else ''}")
    return 130 if interrupted else bool(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
