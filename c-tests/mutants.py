#!/usr/bin/env python3
"""Changes the code in one place at a time and sees whether a test notices.

  c-tests/mutants.py [--in proto,net,handler] [--file PART] [--sample N] [--seed S] [--resume] [--list]

A mutant that compiles and passes the unit tests gets a second look from the tests of its area: vectors, and C programs against the
shared library. What passes those too is a survivor: it is printed, and the exit status is 1 unless c-tests/mutants.txt argues for
it. Works in a copy of the tree, target/mutants/tree, so the checkout is never changed. Ctrl-C ends the run with the list so far;
--resume goes on from there.
"""

import argparse, collections, hashlib, json, os, random, re, shutil, signal, subprocess, sys, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "target", "mutants")
ARGUED = os.path.join(ROOT, "c-tests", "mutants.txt")
PURE = ("proto", "hash")
WITH = ("memory",)  # what those need beside them

# The second look: a test target and the start of the names of its tests, by area. The first row that fits is taken.
SUITES = [
    ("src/proto/", [("vectors", "")]),
    ("src/net/(resolve|lookup|attempts)", [("c", "dns_"), ("c", "connect_"), ("vectors", "dns")]),
    ("src/net/(secure|tls)", [("c", "tls_")]),
    ("src/net/(drain|ending|announce|linger|shutdown|on_signal)", [("c", "drain_"), ("c", "ext_")]),
    ("src/net/conn", [("c", "usage_"), ("c", "connect_"), ("c", "client_"), ("c", "drain_"), ("c", "ext_"), ("c", "poll_"), ("c", "udp_"), ("c", "unix_")]),
    ("src/net/output", [("c", "usage_"), ("c", "udp_"), ("c", "drain_"), ("c", "mdns_")]),
    ("src/net/", [("c", "usage_"), ("c", "drain_"), ("c", "ext_"), ("c", "poll_"), ("c", "udp_"), ("c", "unix_")]),
    ("src/handler/(ws)", [("ws", ""), ("c", "ws_"), ("c", "ext_plain")]),
    ("src/handler/mqtt", [("c", "mqtt_"), ("vectors", "mqtt")]),
    ("src/handler/(static_files|upload|ssi)", [("c", "files_"), ("vectors", "files")]),
    ("src/handler/(http|reply)", [("c", "http_"), ("c", "client_"), ("c", "drain_"), ("c", "compat_"), ("vectors", "http")]),
    ("src/handler/(drain|limits)", [("c", "ext_"), ("c", "drain_")]),
    ("src/handler/", [("c", "dash"), ("c", "modbus"), ("c", "sntp"), ("c", "ota"), ("c", "mdns"), ("vectors", "")]),
]
# Other builds of the same program tell nothing new here.
SKIP = ["::valgrind", "::asan", "::cxx", "::static", "install::", "example::", "header::", "switch::", "tools::"]

Mutant = collections.namedtuple("Mutant", "path start end new line text nth")


def mask(text):
    """The text with comments, strings and characters blanked out, each at its place."""
    pattern = r"""//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'|\#!?\[[^\]]*\]"""
    return re.sub(pattern, lambda m: re.sub(r"[^\n]", "_", m[0]), text, flags=re.S)


SWAPS = {"==": "!=", "!=": "==", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&", "+": "-", "-": "+", "*": "+",
         "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "&": "|", "|": "&", "<<": ">>", ">>": "<<"}
STATEMENT = re.compile(r"[a-z_*(][\w.:*()]*(\(.*\)|(\[.*\])? [-+|&^*]?= .*)\??;$")
NO_STATEMENT = re.compile(r"(let|return|use|break|continue|pub|const|static|type|mod|extern|assert\w*!|debug_assert\w*!)\b")


def edits(code):
    """Start, end and new text of every change."""
    for m in re.finditer(r"(?<= )(==|!=|<=|>=|&&|\|\||<<|>>|\+=|-=|\|=|&=|[<>+*&-])(?= )", code):
        yield m.start(), m.end(), SWAPS[m[0]]
    for m in re.finditer(r"\b(true|false)\b", code):
        yield m.start(), m.end(), "false" if m[0] == "true" else "true"
    for m in re.finditer(r"(?<![\w.'])\d+(?![\w']|\.\d)", code):
        yield m.start(), m.end(), str(int(m[0]) + 1)
    for m in re.finditer(r"(?<=[ (])!(?=[a-z(])", code):
        yield m.start(), m.end(), ""
    for m in re.finditer(r"\bif (?!let\b)([^{}\n]+?) (?=\{|=>)", code):
        if " let " not in m[1]:
            yield m.start(1), m.end(1), f"!({{}})"
    at = 0
    for line in code.split("\n"):
        bare = line.strip()
        if STATEMENT.match(bare) and not NO_STATEMENT.match(bare) and bare.count("(") == bare.count(")"):
            start = at + len(line) - len(line.lstrip())
            yield start, at + len(line), ""
        at += len(line) + 1


def mutants(path):
    text = open(os.path.join(ROOT, path)).read()
    end = re.search(r"#\[cfg\(test\)\]\s*(pub\(\w+\) )?mod \w+\b", text)
    code = mask(text)[: end.start() if end else None]
    seen = collections.Counter()
    for start, stop, new in sorted(edits(code)):
        old = text[start:stop]
        new = new.replace("{}", old)
        first, last = text.rfind("\n", 0, start) + 1, text.find("\n", stop)
        what = (text[first:start] + "[" + old + " -> " + new + "]" + text[stop:last]).strip()
        seen[what] += 1
        yield Mutant(path, start, stop, new, text.count("\n", 0, start) + 1, what, seen[what])


def key(m):
    """Stays the same when other lines move."""
    return f"{m.path}: {m.text}" + (f" #{m.nth}" if m.nth > 1 else "")


def argued():
    """The survivors that are argued for: an entry and, indented below it, why no test can notice."""
    if not os.path.exists(ARGUED):
        return {}
    entries, last = {}, None
    for line in open(ARGUED):
        line = line.rstrip("\n")
        if line.startswith("    ") and last:
            entries[last] += line.strip() + " "
        elif line and not line.startswith("#"):
            last, entries[line] = line, ""
    missing = [k for k, why in entries.items() if not why]
    if missing:
        sys.exit("no reason given for:\n" + "\n".join(missing))
    return entries


class Tree:
    """A copy of the tree, and a smaller one that has only the pure modules and so compiles in no time."""

    def __init__(self, name, pure):
        self.dir, self.pure = os.path.join(WORK, name), pure
        os.makedirs(self.dir, exist_ok=True)
        shutil.copytree(ROOT, self.dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target", ".git", "node_modules"),
                        copy_function=self.copy)
        if pure:
            self.write("src/lib.rs", "#![allow(dead_code, unused)]\n" + "".join(f"mod {m};\n" for m in PURE + WITH))
            manifest = open(os.path.join(ROOT, "Cargo.toml")).read().replace("edition =", "build = false\nedition =", 1)
            manifest = re.sub(r"(?m)^(cbindgen|libloading|libtest-mimic) = .*\n", "", manifest)
            self.write("Cargo.toml", manifest)

    @staticmethod
    def copy(src, dst):
        # An unchanged file keeps its time, so cargo does not build it again.
        if not os.path.exists(dst) or open(src, "rb").read() != open(dst, "rb").read():
            shutil.copy(src, dst)
            os.utime(dst)

    def write(self, path, text):
        full = os.path.join(self.dir, path)
        if not os.path.exists(full) or open(full).read() != text:
            open(full, "w").write(text)

    def run(self, args, limit):
        """True, False, or None when it took too long."""
        env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(WORK, "target-pure" if self.pure else "target"), CARGO_TERM_COLOR="never",
                   CARGO_PROFILE_DEV_DEBUG="0", CARGO_PROFILE_TEST_DEBUG="0", RUSTFLAGS="-Awarnings", PROPTEST_CASES="32")
        p = subprocess.Popen(args, cwd=self.dir, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
                             start_new_session=True)
        try:
            return p.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return None
        finally:
            if p.poll() is None:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()

    def apply(self, m):
        text = open(os.path.join(ROOT, m.path)).read()
        self.write(m.path, text[: m.start] + m.new + text[m.end :])

    def restore(self, m):
        self.write(m.path, open(os.path.join(ROOT, m.path)).read())

    def judge(self, m, seconds):
        """unviable, killed or alive, by the unit tests."""
        self.apply(m)
        if not self.run(self.unit_tests() + ["--no-run"], 900):
            return "unviable"
        return "alive" if self.run(self.unit_tests(), 20 + 5 * seconds) else "killed"

    def unit_tests(self):
        return ["cargo", "test", "--quiet", "--lib"] + (["--no-default-features", "--features", "std ecc"] if self.pure else [])

    def judge_again(self, m):
        self.apply(m)
        suites = next(s for where, s in SUITES if re.match(where, m.path))
        for target, names in suites:
            skip = [a for s in SKIP if target == "c" for a in ("--skip", s)]
            if not self.run(["cargo", "test", "--quiet", "--test", target, "--"] + ([names] if names else []) + skip, 900):
                return "killed"
        return "alive"


def span(seconds):
    return f"{seconds // 3600:.0f}:{seconds // 60 % 60:02.0f}:{seconds % 60:02.0f}"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--in", dest="modules", default="proto,net,handler", help="modules of src, separated by commas")
    ap.add_argument("--file", default="", help="only files whose path contains this")
    ap.add_argument("--sample", type=int, default=0, help="so many of them, chosen by --seed")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--unit-only", action="store_true", help="no second look")
    ap.add_argument("--resume", action="store_true", help="keep the results of an interrupted run")
    ap.add_argument("--list", action="store_true", help="print the mutants and stop")
    a = ap.parse_args()

    found = []
    for module in a.modules.split(","):
        for d, _, files in sorted(os.walk(os.path.join(ROOT, "src", module))):
            for f in sorted(files):
                path = os.path.relpath(os.path.join(d, f), ROOT)
                if f.endswith(".rs") and f != "tests.rs" and "/tests/" not in path and a.file in path:
                    found += mutants(path)
    if a.sample and a.sample < len(found):
        found = random.Random(a.seed).sample(found, a.sample)
    if a.list:
        print("\n".join(f"{m.path}:{m.line}: {m.text}" for m in found))
        return 0

    os.makedirs(WORK, exist_ok=True)
    results, log = {}, os.path.join(WORK, "results.jsonl")
    digest = {p: hashlib.sha256(open(os.path.join(ROOT, p), "rb").read()).hexdigest()[:16] for p in {m.path for m in found}}
    if a.resume and os.path.exists(log):
        for line in open(log):
            r = json.loads(line)
            if digest.get(r["path"]) == r["digest"]:
                results[r["key"]] = r["result"]
    elif os.path.exists(log):
        os.remove(log)

    trees, taken = {}, {}

    def tree(pure):
        if pure not in trees:
            trees[pure] = t = Tree("pure" if pure else "tree", pure)
            print(f"building {'the pure modules' if pure else 'the library'} without a change ...", flush=True)
            if not t.run(t.unit_tests() + ["--no-run"], 3600):
                sys.exit("the tree does not build")
            began = time.time()
            if not t.run(t.unit_tests(), 3600):
                sys.exit("the unit tests fail without a change")
            taken[pure] = time.time() - began
        return trees[pure]

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    excuses, survivors, used = argued(), [], set()
    tally, began, fresh = collections.Counter(), time.time(), 0

    def progress(n):
        rate = fresh / max(time.time() - began, 1e-9)
        left = span((len(found) - n) / rate) if rate else "?"
        line = (f"{n} of {len(found)}  {100 * n // max(len(found), 1)}%  {60 * rate:.1f}/min  {left} left  "
                f"killed {tally['killed']}  unviable {tally['unviable']}  argued {tally['argued']}  survivors {len(survivors)}")
        print("\r\033[K" + line if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)

    try:
        for n, m in enumerate(found):
            result = results.get(key(m))
            if result is None:
                pure = m.path.split("/")[1] in PURE
                t = tree(pure)
                try:
                    result = t.judge(m, taken[pure])
                finally:
                    t.restore(m)
                if result == "alive" and not a.unit_only and key(m) not in excuses:
                    t = tree(False)
                    try:
                        result = t.judge_again(m)
                    finally:
                        t.restore(m)
                fresh += 1
                with open(log, "a") as f:
                    f.write(json.dumps({"key": key(m), "path": m.path, "digest": digest[m.path], "result": result}) + "\n")
            if result == "alive" and key(m) in excuses:
                result = "argued"
                used.add(key(m))
            tally[result] += 1
            if result == "alive":
                survivors.append(m)
                print(("\r\033[K" if sys.stdout.isatty() else "") + f"SURVIVOR {m.path}:{m.line}: {m.text}", flush=True)
            if sys.stdout.isatty() or n % 10 == 9:
                progress(n + 1)
    except KeyboardInterrupt:
        print("\ninterrupted; --resume continues")
    progress(sum(tally.values()))
    print(f"\n{len(survivors)} survivors without an argument in c-tests/mutants.txt:")
    for m in survivors:
        print("  " + key(m))
    keys = {key(m) for m in found}
    for k in excuses:
        if not a.sample and not a.file and k.split("/")[1] in a.modules.split(",") and k not in keys:
            print(f"  stale entry in c-tests/mutants.txt: {k}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
