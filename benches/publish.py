#!/usr/bin/env python3
"""Puts what the benchmarks print into the documents: the output of a command replaces what stands between `<!-- begin: COMMAND -->`
and `<!-- end -->` in README.md and docs/performance.md. Then the charts of docs/performance/ are drawn anew from the tables there.

usage: benches/publish.py all | charts | COMMAND...
  all      every benchmark, which takes half an hour on a machine that has nothing else to do
  charts   only the charts
  COMMAND  such as 'benches/run.sh --readme'
The environment's ROUNDS and SECONDS go to the commands."""
import datetime, os, platform, re, subprocess, sys
from xml.sax.saxutils import escape

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TEXTS = [ROOT + "/README.md", ROOT + "/docs/performance.md"]
CHARTS = ROOT + "/docs/performance/"
ALL = ["benches/run.sh --readme", "benches/tls.sh --readme", "benches/peers.py --readme", "benches/scale.py --readme", "benches/latency.py --readme",
       "benches/threads.py --readme"]


def insert(command, text):
    """True when a document has a place for it."""
    mark, found = re.compile(r"(<!-- begin: %s -->\n).*?(<!-- end -->)" % re.escape(command), re.S), False
    for path in TEXTS:
        with open(path, encoding="utf-8") as f:
            old = f.read()
        new, n = mark.subn(lambda m: m[1] + text.strip() + "\n" + m[2], old)
        if n:
            found = True
            with open(path, "w", encoding="utf-8") as f:
                f.write(new)
    return found


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^(?:model name|Model)\s*: (.*)$", f.read(), re.M)
    with open("/etc/os-release") as f:
        system = re.search(r'^PRETTY_NAME="?([^"\n]*)', f.read(), re.M)[1]
    u = platform.uname()
    quick = " ".join("%s=%s" % (k, os.environ[k]) for k in ("ROUNDS", "SECONDS") if k in os.environ)
    return "Measured on %s: %s, %d CPUs, %s, kernel %s%s." % (datetime.date.today().strftime("%-d %B %Y"), model[1] if model else u.machine, os.cpu_count(), system, u.release, ", last with " + quick if quick else "")


def table(command):
    """The first table of a command's output in docs/performance.md: its heads and rows. Notes below it are not part of it."""
    with open(TEXTS[1], encoding="utf-8") as f:
        text = re.search(r"<!-- begin: %s -->\n(.*?)<!-- end -->" % re.escape(command), f.read(), re.S)
    tables = []
    for block in re.findall(r"(?:^\|.*\n)+", text[1] if text else "", re.M):
        head, _, *rows = [[c.strip() for c in line.strip("|").split("|")] for line in block.splitlines()]
        tables.append((head, rows))
    return tables


# Works on both backgrounds: the text takes the colour of the reader's scheme where the picture may ask for it.
STYLE = """svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#24292f}.faint{fill:#57606a}line{stroke:#8c959f}
@media (prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.faint{fill:#9198a1}line{stroke:#6e7681}}"""
COLOURS = {"this library": "#0969da", "floor": "#8c959f", "the original": "#bf5b00", "peer": "#8250df"}
WIDTH, LEFT, BAR = 760, 230, 15


def number(text):
    found = re.match(r"[\d,]+(?:\.\d+)?", text)
    return float(found[0].replace(",", "")) if found else None


def bars(name, title, unit, groups, cut=None, mark=None, each=False):
    """Horizontal bars: [(group, [(label, value, colour)])]. A bar above `cut` is cut there and says its value; `mark` is a value with a
    line; with `each`, every group has a scale of its own."""
    values = [v for _, rows in groups for _, v, _ in rows if v is not None]
    if not values:
        return
    top = min(max(values), cut or max(values))
    parts, y = [], 58
    for group, rows in groups:
        rows = [r for r in rows if r[1] is not None]
        if not rows:
            continue
        if group:
            parts.append('<text x="12" y="%d" font-weight="600">%s</text>' % (y + 11, escape(group)))
            y += 20
        if each:
            top = max(v for _, v, _ in rows)
        line = '<line x1="%.1f" y1="%d" x2="%.1f" y2="%d"%s/>'
        first, last = y - 3, y + len(rows) * (BAR + 4) - 1
        parts.append(line % (LEFT, first, LEFT, last, ""))
        for label, value, colour in rows:
            wide = (WIDTH - LEFT - 90) * min(value, top) / top
            shown = "%.2f" % value if value < 10 else "{:,.0f}".format(value)
            parts.append('<text x="%d" y="%d" text-anchor="end" class="faint">%s</text>' % (LEFT - 8, y + 12, escape(label)))
            parts.append('<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>' % (LEFT, y, max(wide, 1), BAR, COLOURS[colour]))
            if value > top:
                parts.append('<path d="M%d %dl5 -%d" stroke="#fff" stroke-width="3"/>' % (LEFT + wide - 14, y + BAR, BAR))
            parts.append('<text x="%.1f" y="%d">%s</text>' % (LEFT + wide + 6, y + 12, shown))
            y += BAR + 4
        if mark:
            x = LEFT + (WIDTH - LEFT - 90) * mark / top
            parts.append(line % (x, first, x, last, ' stroke-dasharray="3 3" style="stroke:#fff;stroke-opacity:.8"'))
        y += 10
    write(name, title, unit, y + 4, parts)


def write(name, title, unit, height, parts):
    os.makedirs(CHARTS, exist_ok=True)
    with open(CHARTS + name + ".svg", "w", encoding="utf-8") as f:
        f.write('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">\n<style>%s</style>\n' % (WIDTH, height, WIDTH, height, escape(title), STYLE))
        f.write('<text x="12" y="22" font-size="16" font-weight="600">%s</text>\n<text x="12" y="40" class="faint">%s</text>\n' % (escape(title), escape(unit)))
        f.write("\n".join(parts) + "\n</svg>\n")


def charts():
    original = {r[0]: number(r[1]) for _, rows in table("the original") for r in rows}
    for _, rows in table(ALL[0])[:1]:
        bars("floor", "CPU per request, relative to the floor", "shorter is better; 1 is the floor: the system calls and nothing else", [
            (r[0], [("this library", number(r[1]), "this library"), ("the original", original.get(r[0]), "the original")]) for r in rows], cut=3, mark=1)
    for _, rows in table(ALL[1])[:1]:
        bars("tls", "HTTPS: CPU per request, relative to nginx", "shorter is better; 1 is nginx", [("", [(r[0].replace("handshake and request", "handshake"), number(r[1]), "this library") for r in rows])], mark=1)
    kind = lambda name: name if name in COLOURS else "peer"
    for n, (head, rows) in enumerate(table(ALL[2])[:2]):
        bars(("peers", "brokers")[n], ("CPU per request", "Fan-out to 100 subscribers: CPU per delivery")[n], "µs; shorter is better; one process on one CPU" + ("; each case has a scale of its own", "")[n], [
            (title if n == 0 else "", [(r[0], number(r[column]), kind(r[0])) for r in rows]) for column, title in enumerate(head) if column > 0], each=True)
    for _, rows in table(ALL[3])[:1]:
        bars("scale", "One active connection beside idle ones: CPU per request", "µs; shorter is better", [
            ("MG_EV_POLL " + switch, [(r[0] + " idle", number(r[4]), "this library") for r in rows if r[1] == switch]) for switch in ("on", "off")])
    for _, rows in table(ALL[4])[:1]:
        names = list(dict.fromkeys(r[0] for r in rows))
        besides = list(dict.fromkeys(r[1] for r in rows))
        bars("latency", "p99 at 70 % load, beside other traffic", "µs; shorter is better", [
            ("besides: " + b, [(n, number(r[3]), kind(n)) for n in names for r in rows if r[0] == n and r[1] == b]) for b in besides])


STATES = {"idle": "#0969da", "active": "#1a7f37", "pending": "#bf8700", "flushing": "#bf5b00", "websockets": "#8250df", "lingering": "#8c959f"}


def states(path):
    """Connections by state over time, from the lines of benches/drain_states.c: `ms count...`, and `# ms what` for events.
    The first event is the call, the last one the end."""
    times, counts, events = [], [], []
    with open(path) as f:
        for line in f:
            if line.startswith("# "):
                ms, what = line[2:].strip().split(" ", 1)
                events.append((float(ms), what))
            else:
                ms, *values = line.split()
                times.append(float(ms))
                counts.append([int(v) for v in values])
    # From half a second before the drain, when all clients are there.
    begin = events[0][0] - 500
    kept = [(t - begin, c) for t, c in zip(times, counts) if t >= begin]
    times, counts, events = [t for t, _ in kept], [c for _, c in kept], [(t - begin, what) for t, what in events]
    tall, left, top = 240, 50, 84
    end, most = times[-1], max(max(map(sum, counts)), 1)
    x = lambda ms: left + (WIDTH - left - 20) * ms / end
    y = lambda n: top + tall - tall * n / most
    parts, below = [], [0] * len(times)
    for k, (state, colour) in enumerate(STATES.items()):
        above = [b + c[k] for b, c in zip(below, counts)]
        edge = ["%.1f,%.1f" % (x(t), y(n)) for t, n in zip(times, above)] + ["%.1f,%.1f" % (x(t), y(n)) for t, n in reversed(list(zip(times, below)))]
        parts.append('<polygon points="%s" fill="%s"/>' % (" ".join(edge), colour))
        parts.append('<rect x="%d" y="52" width="11" height="11" rx="2" fill="%s"/><text x="%d" y="62">%s</text>' % (left + k * 108, colour, left + 16 + k * 108, state))
        below = above
    for n in (0, most):
        parts.append('<text x="%d" y="%.1f" text-anchor="end" class="faint">%d</text>' % (left - 6, y(n) + 4, n))
    for s in range(0, int(end) + 1, 500):
        parts.append('<text x="%.1f" y="%d" text-anchor="middle" class="faint">%.1f s</text>' % (x(s), top + tall + 18, s / 1000))
    for ms, what in events:
        right = x(ms) > WIDTH * 0.7
        parts.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke-dasharray="4 3"/><text x="%.1f" y="%d" text-anchor="%s">%s</text>' % (
            x(ms), top - 10, x(ms), top + tall, x(ms) + (-5 if right else 5), top - 2, "end" if right else "start", escape(what)))
    write("drain", "A drain under load: connections by state", "from half a second before the call of mgx_mgr_drain to its end", top + tall + 30, parts)


def main(commands):
    if not commands:
        sys.exit(__doc__)
    if commands[0] == "states":
        return states(commands[1])
    if commands == ["charts"]:
        return charts()
    for command in ALL if commands == ["all"] else commands:
        print(command, flush=True)
        done = subprocess.run(command.split(), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        if done.returncode or "|" not in done.stdout:
            sys.exit("%s has failed: the documents are as they were" % command)
        if not insert(command, done.stdout):
            sys.exit("no document has a place for %s" % command)
    insert("machine", machine())
    charts()


if __name__ == "__main__":
    main(sys.argv[1:])
