#!/usr/bin/env python3
"""Changes the code in one place at a time and sees whether a test notices.

  c-tests/mutants.py [--in proto,net,handler] [--file PART] [--sample N] [--seed S] [--jobs N] [--budget SECONDS] [--unit]
                   [--resume] [--list]

All mutants are compiled into one build of a copy of the tree, target/mutants/tree, each behind a switch: the variable MUTANT turns
one on. Every test (the unit tests, the vectors, the WebSocket cases, the C programs against the shared library, the simulation)
runs once without a mutant, and tells which switches it passes. A mutant then runs only the tests that pass its switch, those first
that are short or noticed others nearby, up to the first that fails. A constant has its switch where it is used. The few places where
Rust allows no switch get a build each, after the others; --switched leaves them out. A mutant that all tests pass is a survivor: it
is printed, and the exit status is 1 unless c-tests/mutants.txt argues for it. Ctrl-C ends the run with the list so far; --resume
goes on from there, and judges again what a smaller --budget left open.
"""

import argparse, bisect, collections, concurrent.futures, glob, hashlib, json, mmap, os, queue, random, re, resource, shutil, signal
import subprocess, sys, threading, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WORK = os.path.join(ROOT, "target", "mutants")
ARGUED = os.path.join(ROOT, "c-tests", "mutants.txt")

# start, end, new: the edit. low, high: the expression or statement that the switch goes around, of this form.
Mutant = collections.namedtuple("Mutant", "path start end new low high form line text nth")
Test = collections.namedtuple("Test", "name command cwd limit")

LEXEMES = r"""//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'|\#!?\[[^\]]*\]"""


def mask(text, blank=False):
    """The text with comments, strings, characters and attributes blanked out, each at its place; `blank`: by spaces if not a value."""
    fill = lambda m: " " if blank and m[0].startswith(("//", "/*", "#")) else "_"
    return re.sub(LEXEMES, lambda m: re.sub(r"[^\n]", fill(m), m[0]), text, flags=re.S)


SWAPS = {"==": "!=", "!=": "==", "<=": "<", ">=": ">", "<": "<=", ">": ">=", "&&": "||", "||": "&&", "+": "-", "-": "+", "*": "+",
         "+=": "-=", "-=": "+=", "|=": "&=", "&=": "|=", "&": "|", "|": "&", "<<": ">>", ">>": "<<"}
BINDS = {"*": 10, "/": 10, "%": 10, "+": 9, "-": 9, "<<": 8, ">>": 8, "&": 7, "^": 6, "|": 5, "==": 4, "!=": 4, "<": 4, ">": 4, "<=": 4,
         ">=": 4, "&&": 3, "||": 2} | {o + "=": 0 for o in ["", "+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>"]}
STATEMENT = re.compile(r"[a-z_*(][\w.:*()]*(\(.*\)|(\[.*\])? [-+|&^*]?= .*)\??;$")
CONSTANT = re.compile(r" *const (\w+): [^=;]+ = [^;]*;$")
NO_STATEMENT = re.compile(r"(let|return|use|break|continue|pub|const|static|type|mod|extern|assert\w*!|debug_assert\w*!)\b")
OPEN, CLOSE = "([{", ")]}"


class Code:
    """Finds the operands of an operator, by rustfmt's spaces around it. A wrong guess does not compile, which drops the switch."""

    def __init__(self, text):
        self.s, self.pair, stack = mask(text, blank=True), {}, []
        for i, c in enumerate(self.s):
            if c in OPEN:
                stack.append(i)
            elif c in CLOSE and stack:
                self.pair[i] = stack.pop()
                self.pair[self.pair[i]] = i

    def binary(self, i):
        """The binary operator that starts at i."""
        m = re.compile(r"(?<=\s)(<<=|>>=|[-+*/%&|^=!<>]=|&&|\|\||<<|>>|[-+*/%&|^<>=])(?=\s)").match(self.s, i)
        return m[1] if m else None

    def left(self, at, level):
        s, i = self.s, at
        while i > 0:
            c = s[i - 1]
            if c == "}" and "\n" in s[i : i + len(s[i:]) - len(s[i:].lstrip())]:
                rest = s[i:].lstrip()
                if not (self.binary(len(s) - len(rest)) or rest[:1] in ".?"):
                    break
            if c in CLOSE:
                if i - 1 not in self.pair:
                    break
                i = self.pair[i - 1]
            elif c in OPEN or c in ",;" or (c == ":" and s[i - 2] != ":" and s[i : i + 1] != ":") or s[i - 2 : i] in ("..", "=>"):
                break
            elif c.isalnum() or c == "_":
                start = re.search(r"\w+$", s[max(0, i - 60) : i]).start() + max(0, i - 60)
                if s[start:i] in ("return", "break", "if", "while", "match", "in", "else", "let", "move"):
                    break
                i = start
            elif s[i : i + 1].isspace() and c in "-+*/%&|^=!<>":
                start = re.search(r"[-+*/%&|^=!<>]+$", s[max(0, i - 4) : i]).start() + max(0, i - 4)
                op = self.binary(start)
                if not op or BINDS.get(op, 0) < level:
                    break
                i = start
            elif c == "|":
                break
            else:
                i -= 1
        return i + len(s[i:]) - len(s[i:].lstrip())

    def right(self, at, level):
        s, i, block = self.s, at, False
        first = re.compile(r"\s*").match(s, at).end()
        while i < len(s):
            c = s[i]
            if c == "{" and not block:
                break
            if c in OPEN:
                i = self.pair.get(i, len(s)) + 1
                block = block and bool(re.compile(r"\s*else\b").match(s, i))
            elif c in CLOSE or c in ",;" or s[i : i + 2] in ("..", "=>"):
                break
            elif c.isalnum() or c == "_":
                word = re.compile(r"\w+").match(s, i)[0]
                if word == "else" and not block or word == "if" and i != first and not block:
                    break
                block = block or word in ("unsafe", "match", "if", "loop") and i == first
                i += len(word)
            elif self.binary(i):
                op = self.binary(i)
                if BINDS.get(op, 0) <= level:
                    break
                i += len(op)
            else:
                i += 1
        return at + len(s[at:i].rstrip())


def edits(code, text):
    """Start, end and new text of every change; the range and the form of its switch."""
    operands = Code(text)
    for m in re.finditer(r"(?<= )(==|!=|<=|>=|&&|\|\||<<|>>|\+=|-=|\|=|&=|[<>+*&-])(?= )", code):
        if m[0] == "||" and re.search(r"([(,={>]|\bmove)$", code[: m.start()].rstrip()):
            continue  # a closure without arguments
        level = BINDS[m[0]]
        yield m.start(), m.end(), SWAPS[m[0]], operands.left(m.start(), level), operands.right(m.end(), level), "either"
    for m in re.finditer(r"\b(true|false)\b", code):
        yield m.start(), m.end(), "false" if m[0] == "true" else "true", m.start(), m.end(), "either"
    for m in re.finditer(r"(?<![\w.'])\d+(?![\w']|\.\d)", code):
        yield m.start(), m.end(), str(int(m[0]) + 1), m.start(), m.end(), "either"
    for m in re.finditer(r"(?<=[ (])!(?=[a-z(])", code):
        yield m.start(), m.end(), "", m.start(), operands.right(m.end(), 11), "either"
    for m in re.finditer(r"\bif (?!let\b)([^{}\n]+?) (?=\{|=>)", code):
        if " let " not in m[1]:
            yield m.start(1), m.end(1), f"!({{}})", m.start(1), m.end(1), "not"
    at = 0
    for line in code.split("\n"):
        bare = line.strip()
        if STATEMENT.match(bare) and not NO_STATEMENT.match(bare) and bare.count("(") == bare.count(")"):
            start = at + len(line) - len(line.lstrip())
            yield start, at + len(line), "", start, at + len(line), "skip"
        at += len(line) + 1


def without_tests(text):
    """A file up to its unit tests."""
    return re.split(r"#\[cfg\(test\)\]\s*(?:pub\(\w+\) )?mod \w+\b", text, maxsplit=1)[0]


def mutants(path):
    text = without_tests(open(os.path.join(ROOT, path)).read())
    seen = collections.Counter()
    for start, stop, new, low, high, form in sorted(edits(mask(text), text)):
        old = text[start:stop]
        new = new.replace("{}", old)
        first, last = text.rfind("\n", 0, start) + 1, text.find("\n", stop)
        head, tail = text[first:start], text[stop:last]
        if re.search(r"with_capacity\([^;]*$|\bgrow\((\([^()]*\)|[^()])*, $", head):
            continue  # only speed
        macro = mask(head[head.rfind("matches!(") :]) if "matches!(" in head else ""
        if not head.strip() and tail.startswith(" =>"):
            form = "arm"
        elif CONSTANT.match(text[first:last]) and " = " in head:
            form, low, high = "const", first + len(head) - len(head.lstrip()), last
        elif " if " not in head and ("=>" in tail and "=>" not in head or macro.count("(") > macro.count(")") and "," in macro):
            form = "pattern"  # where no switch can be
        what = (text[first:start] + "[" + old + " -> " + new + "]" + text[stop:last]).strip()
        seen[what] += 1
        yield Mutant(path, start, stop, new, low, high, form, text.count("\n", 0, start) + 1, what, seen[what])


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


# Programs that run with transfers cut, too, as in make test.
SHORT = ("client_connections", "http_replies", "usage_http", "mqtt_client", "ws_echo")

# Of the simulation: the first of them, and so many.
SEEDS = ((0, 100), (100, 900), (1000, 5000))

# The switch. Deprecated, so that a check prints where it is compiled at all: code for another system has no mutants here.
SWITCH = """
//! The switches of c-tests/mutants.py.
#![allow(unsafe_code, clippy::all)]
use core::{ptr::null_mut, sync::atomic::{AtomicPtr, AtomicUsize, Ordering::Relaxed}};
static ACTIVE: AtomicUsize = AtomicUsize::new(usize::MAX);
static SEEN: AtomicPtr<u8> = AtomicPtr::new(null_mut());
// Declared here, as the simulation builds the library without the crate libc.
unsafe extern "C" {
    fn getenv(name: *const i8) -> *const i8;
    fn atoi(text: *const i8) -> i32;
    fn syscall(number: i64, ...) -> i64;
    fn lseek(fd: i32, by: i64, from: i32) -> i64;
    fn mmap(at: *mut u8, size: usize, access: i32, flags: i32, fd: i32, from: i64) -> *mut u8;
}
#[cfg(target_arch = "x86_64")]
const OPENAT_CLOSE: [i64; 2] = [257, 3];
#[cfg(not(target_arch = "x86_64"))]
const OPENAT_CLOSE: [i64; 2] = [56, 57];
#[cold]
fn start() {
    unsafe {
        let seen = getenv(c"MUTANTS_SEEN".as_ptr().cast());
        if !seen.is_null() {
            // Not by functions that a preload replaces. AT_FDCWD, O_RDWR | O_CLOEXEC; PROT_READ | PROT_WRITE, MAP_SHARED.
            let fd = syscall(OPENAT_CLOSE[0], -100, seen, 0o2000002) as i32;
            let map = mmap(null_mut(), lseek(fd, 0, 2) as usize, 3, 1, fd, 0);
            syscall(OPENAT_CLOSE[1], fd);
            SEEN.store(map, Relaxed);
        }
        let active = getenv(c"MUTANT".as_ptr().cast());
        ACTIVE.store(if active.is_null() { 0 } else { atoi(active) as usize }, Relaxed);
    }
}
#[deprecated]
#[inline(never)]
pub(crate) fn on(n: usize) -> bool {
    if ACTIVE.load(Relaxed) == usize::MAX {
        start();
    }
    let seen = SEEN.load(Relaxed);
    if !seen.is_null() {
        unsafe { *seen.add(n) = 1 };
    }
    n == ACTIVE.load(Relaxed)
}
"""


class Tree:
    """A copy of the tree with a target directory of its own."""

    def __init__(self, name, edited=()):
        self.dir, self.target = os.path.join(WORK, name), os.path.join(WORK, "target-" + name)
        os.makedirs(self.dir, exist_ok=True)
        shutil.copytree(ROOT, self.dir, dirs_exist_ok=True, ignore=shutil.ignore_patterns("target", ".git", "node_modules", "src"))
        for d, _, files in os.walk(os.path.join(ROOT, "src")):
            for f in files:
                path = os.path.relpath(os.path.join(d, f), ROOT)
                if path not in edited:
                    self.write(path, open(os.path.join(ROOT, path), newline="").read())

    def write(self, path, text):
        """An unchanged file keeps its time, so cargo does not build it again."""
        full = os.path.join(self.dir, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        if not os.path.exists(full) or open(full, newline="").read() != text:
            open(full, "w", newline="").write(text)

    def cargo(self, *args, target="", optimised="1"):
        env = dict(os.environ, CARGO_TARGET_DIR=self.target + target, CARGO_PROFILE_DEV_DEBUG="0", CARGO_PROFILE_TEST_DEBUG="0",
                   CARGO_PROFILE_DEV_OPT_LEVEL=optimised, CARGO_PROFILE_TEST_OPT_LEVEL=optimised, CARGO_INCREMENTAL="1")
        p = subprocess.run(["cargo", *args, "--message-format=json"], cwd=self.dir, env=env, text=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return p.returncode == 0, [json.loads(line) for line in p.stdout.splitlines() if line.startswith("{")]

    def tests(self):
        """Builds all tests and lists them; None if that fails."""
        others = () if self.unit_only else ("vectors", "ws")
        programs = () if self.unit_only else ("c",)
        done, messages = self.cargo("test", "--no-run", "--lib", *(a for t in others + programs for a in ("--test", t)))
        if not done:
            return None
        self.bins = bins = {m["target"]["name"]: m["executable"] for m in messages if m.get("executable") and m["profile"]["test"]}
        deps, out = os.path.dirname(bins["mongoose"]), os.path.join(WORK, "programs")
        self.env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(deps, "linked"), LIBRARY_BUILD="debug", PROPTEST_CASES="32")
        tests = []
        for target in ("mongoose", *others):
            listed = subprocess.run([bins[target], "--list"], cwd=self.dir, env=self.env, text=True, stdout=subprocess.PIPE).stdout
            for line in listed.splitlines():
                if line.endswith(": test"):
                    tests.append(Test(f"{target}::{line[:-6].strip()}", (bins[target], "--exact", line[:-6]), self.dir, 120))
        if self.unit_only:
            return tests
        # Links the shared library, and generates headers.
        subprocess.run([bins["c"], "--exact", "c::values::shared"], cwd=self.dir, env=self.env, check=True, stdout=subprocess.DEVNULL)
        os.makedirs(out, exist_ok=True)
        for source in sorted(glob.glob(os.path.join(self.dir, "c-tests", "*.c"))):
            tests += self.program(source, out)
        # With transfers cut, and with system calls and allocations that fail: see run/torture.rs.
        adverse = [("preload/victim.c", "faults", []), ("preload/starved.c", "starve", [])]
        adverse += [(f"{stem}.c", "short_io", [f"SHORT_IO={n}"]) for stem in SHORT for n in (1, 7)]
        for source, preload, env in adverse:
            library = os.path.join(out, preload + ".so")
            code = os.path.join(self.dir, "c-tests", "preload", preload + ".c")
            subprocess.run(["gcc", "-shared", "-fPIC", "-O1", code, "-o", library, "-ldl"], check=True)
            env = ["/usr/bin/env", "LD_PRELOAD=" + library, *env]
            for t in self.program(os.path.join(self.dir, "c-tests", source), out, ["-D_GNU_SOURCE", "-ldl"]):
                tests.append(t._replace(name=f"{t.name} {' '.join(env[1:])}", command=(*env, *t.command), limit=300))
        simulated = ("--no-default-features", "--features", "sim protocols tls ecc")
        done, messages = self.cargo("test", "--no-run", "--test", "simulate", *simulated, target="-sim")
        if not done:
            return None
        self.simulate = next(m["executable"] for m in messages if m.get("executable"))
        for first, seeds in SEEDS:
            command = (self.simulate, "--jobs", "1", "--first", str(first), "--seeds", str(seeds))
            tests.append(Test(f"simulate::{first}+{seeds}", command, self.dir, 120))
        return tests

    def program(self, source, out, more=[]):
        """A C program, once for each line of flags."""
        head = [line[2:].strip() for line in open(source) if line.startswith("//")]
        marks = lambda name: [line[len(name) :].split() for line in head if line.startswith(name)]
        for n, flags in enumerate([f + more for f in marks("flags:") or [[]]]):
            name = os.path.basename(source)[:-2] + (f"[{' '.join(flags)}]" if flags else "")
            binary, tmp = os.path.join(out, f"{os.path.basename(source)}-{n}" + ("x" if more else "")), os.path.join(self.target, "tmp", "c-generated")
            include = [f"-I{os.path.join(self.dir, d)}" for d in ("include", "c-tests")] + [f"-I{tmp}"]
            command = ["gcc", "-std=gnu11", "-O1", *flags, *include, source, "-L" + self.env["LD_LIBRARY_PATH"], "-lmongoose", "-lpthread"]
            if not os.path.exists(binary) or os.path.getmtime(binary) < os.path.getmtime(source):
                command += [f for f in flags if f.startswith("-l")]
                if subprocess.run(command + ["-o", binary], cwd=self.dir, stderr=subprocess.DEVNULL).returncode:
                    print(f"not compiled: {name}")
                    continue
            yield Test("c::" + name, (binary, *sum(marks("args:"), [])), None, int(sum(marks("timeout:"), ["60"])[-1]))

    def run(self, test, limit, cpu=None, **env):
        """Whether it passes, in so many seconds, and so many of a processor."""
        scratch = os.path.join(WORK, f"cwd-{threading.get_ident()}")
        cwd = test.cwd or scratch
        if not test.cwd:
            shutil.rmtree(cwd, ignore_errors=True)
        os.makedirs(scratch, exist_ok=True)
        if not test.cwd:
            # run.rs has its output there, and files_fs.c counts the files.
            for name in ("stdout", "stderr"):
                open(os.path.join(cwd, name), "w").close()
        p = subprocess.Popen(test.command, cwd=cwd, env=dict(self.env, SCRATCH=scratch, **env), stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, start_new_session=True)
        # A mutant may eat all memory.
        resource.prlimit(p.pid, resource.RLIMIT_AS, (8 << 30, 8 << 30))
        resource.prlimit(p.pid, resource.RLIMIT_CORE, (0, 0))
        if cpu:
            resource.prlimit(p.pid, resource.RLIMIT_CPU, (cpu, cpu))
        try:
            return p.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(p.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            p.wait()


def heads(text):
    """Where each function starts."""
    return [m.start() for m in re.finditer(r"(?m)^ *(pub(\(\w+\))? )?((const|unsafe|extern \"C\") )*fn ", text)]


class Switched(Tree):
    """All mutants in one build."""

    def __init__(self, found, unit_only):
        super().__init__("tree", {m.path for m in found} | {"src/lib.rs"})
        self.unit_only = unit_only
        library = open(os.path.join(ROOT, "src/lib.rs")).read()
        library = library.replace("\nextern crate alloc;", "#![allow(arithmetic_overflow, unconditional_panic)]\nextern crate alloc;", 1)
        self.write("src/lib.rs", library.replace("\npub mod abi;", "\nmod mutants;\npub mod abi;", 1))
        self.write("src/mutants.rs", SWITCH)
        self.number, self.heads, self.named = {m: n for n, m in enumerate(found, 1)}, {}, {}
        self.files = collections.defaultdict(list)
        for m in found:
            self.files[m.path].append(m)
        self.copies, self.uses, self.whole = {}, {}, {}
        for path in self.files:
            self.constants(path)
        # Those of the last run are a good guess, which saves builds.
        known = os.path.join(WORK, "without.json")
        last = set(json.load(open(known))) if os.path.exists(known) else set()
        unused = {m for m in found if m.form == "const"}.difference(*self.uses.values())
        self.without, self.compiled = unused | {m for m in found if m.form == "pattern" or key(m) in last}, set()
        while True:
            errors, messages = self.check()
            with open(known, "w") as f:
                json.dump(sorted(last | {key(m) for m in self.without if m in self.number}), f)
            if not errors:
                break
            before = len(self.without)
            for e in errors:
                self.drop(e)
            print(f"{len(self.without)} without a switch", flush=True)
            if len(self.without) == before:
                sys.exit("the tree does not build:\n" + "".join(e["rendered"] for e in errors))
        messages = self.retry() or messages
        self.without &= set(found)
        with open(known, "w") as f:
            json.dump(sorted(last - {key(m) for m in found} | {key(m) for m in self.without}), f)
        for m in messages:
            code = m["reason"] == "compiler-message" and (m["message"]["code"] or {}).get("code")
            if code == "deprecated":
                for path, at, _ in self.spans(m["message"], True):
                    if path in self.files:
                        number = re.compile(r"on\((\d+)").match(self.text[path], at)
                        self.compiled.add(int(number[1]))

    def constants(self, path):
        """A private constant gets a copy for each of its mutants, and a switch between them wherever it is used."""
        text = without_tests(open(os.path.join(ROOT, path), newline="").read())
        code = mask(text, blank=True)
        owners = collections.defaultdict(list)
        for m in self.files[path]:
            if m.form == "const":
                owners[m.low, m.high].append(m)
        for (low, high), ms in owners.items():
            name = CONSTANT.match(text[low:high])[1]
            named = [n for n in re.finditer(rf"\b{name}\b", code) if not low <= n.start() < high]
            if any(re.search(r"(const |::)$", code[: n.start()]) for n in named):
                continue  # another one, or one of a type
            made = [Mutant(path, *n.span(), name, *n.span(), "use", 0, name, 0) for n in named]
            self.uses |= {m: ms for m in made}
            made.append(Mutant(path, low, high, name, low, high, "copies", 0, name, 0))
            self.copies[made[-1]] = ms
            self.whole |= {m: {*made, *ms} for m in made}

    def check(self):
        """Writes all switches; the compiler's errors, or none and what else it said."""
        for path in self.files:
            self.write(path, self.switches(path))
        done, messages = self.cargo("check", "--lib")
        errors = [m["message"] for m in messages if m["reason"] == "compiler-message" and m["message"]["level"] == "error"]
        if not done and not errors:
            sys.exit("cargo check fails")
        return errors, messages

    def retry(self):
        """Some of those without a switch only stood in a function with an error. Tries them again, fewer of a function each time."""
        file = os.path.join(WORK, "refused.json")
        refused = set(json.load(open(file))) if os.path.exists(file) else set()
        messages, most = None, collections.defaultdict(lambda: 64)
        while True:
            chosen = collections.defaultdict(set)
            for m in sorted(self.without & set(self.number), key=lambda m: self.number[m]):
                constant = m.form == "const" or re.match(r"(pub(\(\w+\))? )?(const|static) ", m.text)
                f = self.function(m)
                if m.form != "pattern" and key(m) not in refused and not constant and len(chosen[f]) < most[f]:
                    chosen[f].add(m)
            if not any(chosen.values()):
                return messages
            self.without -= set().union(*chosen.values())
            while True:
                errors, said = self.check()
                # Two switches may not overlap without one being within the other.
                wrong, halved = {m for ms in chosen.values() for m in ms if m in self.without}, set()
                for e in errors:
                    places = [s for s in self.spans(e, False) if s[0] in self.places]
                    at = [(e - b, m) for path, low, high in places for b, e, m in self.places[path] if b <= low and high <= e]
                    at = [(size, m) for size, m in at if m in chosen[self.function(m)]]
                    if at:
                        wrong.add(min(at, key=lambda a: a[0])[1])
                    else:
                        halved |= {(path, bisect.bisect_right(heads(self.text[path]), low)) for path, low, _ in places}
                if not errors:
                    messages = said
                halved = {f for f in halved if chosen[f]}
                if errors and not wrong and not halved:
                    halved = {f for f in chosen if chosen[f]}
                    if not halved:
                        sys.exit("the tree does not build:\n" + "".join(e["rendered"] for e in errors))
                for f in halved:
                    most[f] = max(1, len(chosen[f]) // 2)
                    if len(chosen[f]) == 1:
                        wrong |= chosen[f]
                    self.without |= chosen.pop(f)
                for m in wrong:
                    self.without.add(m)
                    chosen[self.function(m)].discard(m)
                refused |= {key(m) for m in wrong}
                with open(file, "w") as f:
                    json.dump(sorted(refused), f)
                if not errors:
                    break
            print(f"{len(self.without)} without a switch", flush=True)

    def switches(self, path):
        """The file with its switches; remembers where each is."""
        text = open(os.path.join(ROOT, path), newline="").read()
        out, self.places = [], getattr(self, "places", {})
        inner = [m for m in [*self.files[path], *self.whole] if m.path == path and m not in self.without and m.form != "const"]
        inner.sort(key=lambda m: (m.low, -m.high, self.number.get(m, 0)))
        places, size = [], 0

        def emit(s):
            nonlocal size
            out.append(s)
            size += len(s)

        def render(low, high, ms):
            at = low
            while ms:
                m = ms[0]
                within = [x for x in ms[1:] if x.low < m.high]
                ms = ms[1 + len(within) :]
                crossing = [x for x in within if x.high > m.high]
                self.without.update(crossing)
                within = [x for x in within if x.high <= m.high]
                emit(text[at : m.low])
                begin, on = size, f"crate::mutants::on({self.number.get(m)})"
                if m.form == "use":
                    use = m.new
                    for n in [self.number[o] for o in self.uses[m] if o not in self.without]:
                        use = f"(if crate::mutants::on({n}) {{ {m.new}__{n} }} else {{ {use} }})"
                    emit(use)
                elif m.form == "copies":
                    emit(text[m.low : m.high])
                    for o in self.copies[m]:
                        if o not in self.without:
                            copy = size
                            head = re.sub(r"\w+(?=:)", f"{m.new}__{self.number[o]}", text[m.low : o.start], count=1)
                            emit(f" {head}{o.new}{text[o.end : m.high]}")
                            places.append((copy, size, o))
                elif m.form == "either":
                    emit(f"(if {on} {{ {text[m.low:m.start]}{m.new}{text[m.end:m.high]} }} else {{ ")
                    render(m.low, m.high, within)
                    emit(" })")
                elif m.form == "arm":
                    emit(f"n if n == (if {on} {{ {m.new} }} else {{ {text[m.start:m.end]} }})")
                elif m.form == "not":
                    emit(f"{on} ^ (")
                    render(m.low, m.high, within)
                    emit(")")
                else:
                    emit(f"if !{on} {{ ")
                    render(m.low, m.high, within)
                    emit(" }")
                places.append((begin, size, m))
                at = m.high
            emit(text[at:high])

        render(0, len(text), inner)
        self.places[path] = places
        self.text = getattr(self, "text", {})
        self.text[path] = "".join(out)
        return self.text[path]

    def spans(self, message, primary):
        for s in message["spans"]:
            while s.get("expansion"):
                s = s["expansion"]["span"]
            if s["is_primary"] or not primary:
                data = self.text.get(s["file_name"], "").encode()
                yield s["file_name"], len(data[: s["byte_start"]].decode()), len(data[: s["byte_end"]].decode())

    def drop(self, message):
        """Takes the switch out that an error is about: the innermost around it, or else all of the function."""
        # A variable that is no longer set everywhere is reported where it is read, with the places where it is set.
        everywhere = (message["code"] or {}).get("code") in ("E0381", "E0382", "E0505")
        spans = [s for s in self.spans(message, not everywhere) if s[0] in self.places]
        dropped = False
        for path, low, high in spans:
            around = [(e - b, m) for b, e, m in self.places[path] if b <= low and high <= e and m not in self.without]
            if not around:
                around = [(e - b, m) for b, e, m in self.places[path] if low <= b and e <= high and m not in self.without]
            if around:
                inmost = min(around, key=lambda a: a[0])[1]
                self.without |= self.whole.get(inmost, {inmost})
                dropped = True
        for path, low, _ in [] if dropped else spans:
            starts = heads(self.text[path])
            i = bisect.bisect_right(starts, low)
            b, e = starts[i - 1] if i else 0, starts[i] if i < len(starts) else len(self.text[path])
            for m in [m for x, y, m in self.places[path] if b <= x < e]:
                self.without |= self.whole.get(m, {m})

    def measure(self, jobs):
        """Runs every test without a mutant: how long it takes, and which switches it passes."""
        tests = self.tests()
        if tests is None:
            sys.exit("the tests do not build")
        self.passes, self.took, self.kills = collections.defaultdict(list), {}, collections.Counter()
        # What was measured is good until something is built again.
        cache = os.path.join(WORK, "measured.json")
        built = [[t.name, os.path.getmtime(t.command[0])] for t in tests]
        old = json.load(open(cache)) if os.path.exists(cache) else {}
        if old.get("built") == built:
            measured = old["measured"]
        else:
            with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
                measured = list(pool.map(self.measure_one, tests))
            with open(cache, "w") as f:
                json.dump({"built": built, "measured": measured}, f)
        for test, (took, passed) in zip(tests, measured):
            if took is None:
                print(f"fails without a mutant: {test.name}", flush=True)
                continue
            self.took[test] = took
            for n in passed:
                self.passes[n].append(test)

    def measure_one(self, test):
        seen = os.path.join(WORK, f"seen-{threading.get_ident()}")
        with open(seen, "wb") as f:
            f.truncate(len(self.number) + 1)
        began = time.time()
        if not self.run(test, 10 * test.limit, MUTANTS_SEEN=seen):
            return None, []
        return time.time() - began, [n for n, b in enumerate(open(seen, "rb").read()) if b]

    def judge(self, m, budget):
        """killed, alive, unreached, which is alive too, or open, which the budget's tests passed; and by which test."""
        n = self.number[m]
        tests = list(self.passes[n])
        if not tests:
            return "unreached", ""
        spent = 0
        while tests:
            # Those first that noticed others in the same file, and in the same function above all.
            worth = lambda t: 1 + self.kills[m.path, t.name] + 10 * self.kills[self.function(m), t.name]
            tests.sort(key=lambda t: (self.took[t] + 0.05) / worth(t))
            t = tests.pop(0)
            spent += self.took[t]
            if budget and spent > budget:
                return "open", ""
            if not self.run(t, *allowed(self.took[t]), MUTANT=str(n)):
                return "killed", t.name
        return "alive", ""

    def function(self, m):
        if m.path not in self.heads:
            self.heads[m.path] = heads(open(os.path.join(ROOT, m.path), newline="").read())
        return m.path, bisect.bisect_right(self.heads[m.path], m.start)

    def around(self, name):
        """The functions in whose code a name stands."""
        if name not in self.named:
            self.named[name] = set()
            for d, _, files in os.walk(os.path.join(ROOT, "src")) if name else []:
                for f in [f for f in files if f.endswith(".rs")]:
                    path = os.path.relpath(os.path.join(d, f), ROOT)
                    text = without_tests(open(os.path.join(ROOT, path), newline="").read())
                    starts = heads(text)
                    self.named[name] |= {(path, bisect.bisect_right(starts, n.start())) for n in re.finditer(rf"\b{name}\b", text)}
        return set(self.named[name])

    def count(self, m, name):
        self.kills[m.path, name] += 1
        self.kills[self.function(m), name] += 1


class Single(Tree):
    """A build for each mutant: of the library, and of the unit tests if the others pass."""

    def __init__(self, switched, n):
        super().__init__(f"single-{n}")
        self.switched, self.linked = switched, os.path.join(self.target, "bins", "linked")
        os.makedirs(self.linked, exist_ok=True)
        self.env = dict(switched.env, LD_LIBRARY_PATH=self.linked)
        # They take the library from their own directory.
        self.moved = {}
        for name in {"vectors", "ws"} & switched.bins.keys():
            self.moved[switched.bins[name]] = shutil.copy(switched.bins[name], os.path.join(self.target, "bins", name))

    def cargo(self, *args):
        return super().cargo(*args, optimised="0")

    def link(self):
        library = os.path.join(self.linked, "libmongoose.so")
        archive = os.path.join(self.target, "debug", "libmongoose.a")
        link = [os.path.join(self.dir, "packaging", "link.sh"), archive, library, "libmongoose.so.7"]
        subprocess.run(link, check=True, env=dict(os.environ, STRIP_FLAG=""))
        if not os.path.exists(library + ".7"):
            os.symlink("libmongoose.so", library + ".7")

    def near(self, m):
        """The tests to run, those first that pass the code around, or where the item around is named."""
        text = without_tests(open(os.path.join(ROOT, m.path), newline="").read())
        item = None
        for item in re.finditer(r"(?m)^ *(?:pub(?:\(\w+\))? )?(?:(?:const|unsafe) )*(?:const|static|fn|enum|struct) (\w+)", text[: m.end]):
            pass
        within, passes = self.switched.around(item[1] if item else ""), collections.Counter()
        within.add(self.switched.function(m))
        for other, n in self.switched.number.items():
            if (close := self.switched.function(other) in within) or other.path == m.path:
                for t in self.switched.passes.get(n, ()):
                    passes[t] += 20 if close else 1
        kills, took = self.switched.kills, self.switched.took
        worth = lambda t: passes[t] * (1 + kills[m.path, t.name] + 10 * kills[self.switched.function(m), t.name])
        return sorted((t for t in passes if not t.name.startswith("simulate::")), key=lambda t: (took[t] + 0.05) / worth(t))

    def judge(self, m, budget):
        """killed, alive, open or unviable, and by which test."""
        text, took = open(os.path.join(ROOT, m.path), newline="").read(), self.switched.took
        self.write(m.path, text[: m.start] + m.new + text[m.end :])
        try:
            tests, unit, spent = self.near(m), self.switched.bins["mongoose"], 0
            others = [t for t in tests if t.command[0] != unit]
            if others:  # with --unit there are none
                if not self.cargo("rustc", "--lib", "--crate-type", "staticlib")[0]:
                    return "unviable", ""
                self.link()
            for t in others:
                spent += took[t]
                if budget and spent > budget:
                    break
                if not self.passed(t, self.moved.get(t.command[0], t.command[0])):
                    return "killed", t.name
            built, messages = self.cargo("test", "--no-run", "--lib")
            if not built:
                return "unviable", ""
            binary = next(x["executable"] for x in messages if x.get("executable"))
            for t in [t for t in tests if t.command[0] == unit]:
                if not self.passed(t, binary):
                    return "killed", t.name
            # Whether it is compiled at all.
            self.write(m.path, text[: m.start] + " not_compiled " + text[m.end :])
            if self.cargo("check", "--lib")[0]:
                return "unviable", ""
            return ("open" if budget and spent > budget else "alive"), ""
        finally:
            self.write(m.path, text)

    def passed(self, t, binary):
        command = [binary if part == t.command[0] else part for part in t.command]
        # This build is not optimised.
        return self.run(t._replace(command=command), *allowed(4 * self.switched.took[t]))


def allowed(took):
    """The time for a test, and of a processor: a mutant that waits for nothing turns in circles."""
    return 10 + 10 * took, int(5 + 2 * took)


REMARKS = {"unreached": "   (no test comes here)", "open": "   (so far)"}


def span(seconds):
    return f"{seconds // 3600:.0f}:{seconds // 60 % 60:02.0f}:{seconds % 60:02.0f}"


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--in", dest="modules", default="proto,net,handler", help="modules of src, separated by commas")
    ap.add_argument("--file", default="", help="only files whose path contains this")
    ap.add_argument("--sample", type=int, default=0, help="so many of them, chosen by --seed")
    ap.add_argument("--seed", type=int, default=0)
    ap.add_argument("--jobs", type=int, default=os.cpu_count(), help="so many tests at the same time")
    ap.add_argument("--switched", action="store_true", help="leave out those that need a build of their own")
    ap.add_argument("--single", action="store_true", help="leave out the others")
    ap.add_argument("--unit", action="store_true", help="run only the unit tests, which takes seconds")
    ap.add_argument("--budget", type=float, default=0, help="give up a mutant after tests of so many seconds, and list it as open")
    ap.add_argument("--resume", action="store_true", help="keep the results of an interrupted run")
    ap.add_argument("--list", action="store_true", help="print the mutants and stop")
    a = ap.parse_args()

    everything, found = [], []
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
    results, noticed, log = {}, {}, os.path.join(WORK, "results.jsonl")
    digest = {p: hashlib.sha256(open(os.path.join(ROOT, p), "rb").read()).hexdigest()[:16] for p in {m.path for m in found}}
    if a.resume and os.path.exists(log):
        for line in open(log):
            r = json.loads(line)
            if digest.get(r["path"]) == r["digest"] and (r["result"] != "open" or 0 < a.budget <= r.get("budget", 0)):
                results[r["key"]], noticed[r["key"]] = r["result"], r["by"]
    elif os.path.exists(log):
        os.remove(log)
    excuses, survivors = argued(), []
    tally, began, fresh, total = collections.Counter(), time.time(), 0, len(found)

    def report(m, result, by=""):
        nonlocal fresh
        if key(m) not in results:
            fresh += 1
            with open(log, "a") as f:
                line = {"key": key(m), "path": m.path, "digest": digest[m.path], "result": result, "by": by, "budget": a.budget}
                f.write(json.dumps(line) + "\n")
        if result in ("alive", "unreached", "open") and key(m) in excuses:
            result = "argued"
        tally[result] += 1
        if result in ("alive", "unreached", "open"):
            survivors.append((m, result))
            print(("\r\033[K" if sys.stdout.isatty() else "") + f"SURVIVOR {m.path}:{m.line}: {m.text}{REMARKS.get(result, '')}", flush=True)
        n = sum(tally.values())
        rate = fresh / max(time.time() - began, 1e-9)
        line = (f"{n} of {total}  {100 * n // max(total, 1)}%  {60 * rate:.1f}/min  {span((total - n) / rate) if rate else '?'} "
                f"left  killed {tally['killed']}  unviable {tally['unviable']}  argued {tally['argued']}  survivors {len(survivors)}")
        if sys.stdout.isatty() or n % 20 == 0 or n == total:
            print("\r\033[K" + line if sys.stdout.isatty() else line, end="" if sys.stdout.isatty() else "\n", flush=True)

    def judge_all(ms, jobs, judge):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            work = {}
            for m in ms:
                if key(m) in results or key(m) in excuses:
                    report(m, results.get(key(m), "alive"))
                else:
                    work[pool.submit(judge, m)] = m
            try:
                for done in concurrent.futures.as_completed(work):
                    result, by = done.result()
                    switched.count(work[done], by)
                    report(work[done], result, by)
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        print("building all mutants ...", flush=True)
        switched = Switched(found, a.unit)
        for m in found:
            if m not in switched.without and switched.number[m] not in switched.compiled:
                results.setdefault(key(m), "unviable")
        print("running all tests without a mutant ...", flush=True)
        switched.measure(a.jobs)
        for m in found:
            if noticed.get(key(m)):
                switched.count(m, noticed[key(m)])
        print(f"{len(switched.took)} tests take {span(sum(switched.took.values()))}", flush=True)
        began = time.time()
        todo = [] if a.single else [m for m in found if m not in switched.without]
        alone = [] if a.switched else [m for m in found if m in switched.without]
        total = len(todo) + len(alone)
        # In no order, so that a run that ends early has seen something of each file.
        judge_all(random.Random(a.seed).sample(todo, len(todo)), a.jobs, lambda m: switched.judge(m, a.budget))
        trees = queue.SimpleQueue()
        builders = min(a.jobs, os.cpu_count(), sum(key(m) not in results and key(m) not in excuses for m in alone))
        for n in range(builders):
            trees.put(Single(switched, n))

        def build_and_judge(m):
            tree = trees.get()
            try:
                return tree.judge(m, a.budget)
            finally:
                trees.put(tree)

        judge_all(alone, max(builders, 1), build_and_judge)
    except KeyboardInterrupt:
        print("\ninterrupted; --resume continues")
    print(f"\n{len(survivors)} survivors without an argument in c-tests/mutants.txt:")
    for m, result in survivors:
        print("  " + key(m) + REMARKS.get(result, ""))
    keys = {key(m) for m in found}
    for k in excuses:
        if not a.sample and not a.file and k.split("/")[1] in a.modules.split(",") and k not in keys:
            print(f"  stale entry in c-tests/mutants.txt: {k}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
