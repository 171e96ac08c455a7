"""Builds the reference: a site of HTML pages and man pages, from the headers, events.md, protocols.md and the documents.

usage: build.py OUT      writes OUT/html and OUT/man/man3; needs the Python package `markdown`
"""

import html
import json
import os
import re
import shutil
import sys

import headers
import markdown

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GUIDES = ["getting-started", "migrating", "embedding", "draining", "tls", "installing", "differences", "not-here", "security", "reliability",
          "performance", "architecture"]
WORD = re.compile(r"\b(?:mgx?_\w+|MGX?_\w+|MQTT_\w+|WEBSOCKET_\w+|LIST_\w+)\b")


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def version():
    return re.search(r"^VERSION = (.*)$", read(ROOT + "/Makefile"), re.M)[1]


class Site:
    def __init__(self, out):
        self.html, self.man = out + "/html", out + "/man/man3"
        for dir in (self.html, self.man):
            shutil.rmtree(dir, ignore_errors=True)
            os.makedirs(dir)
        self.items = headers.both(ROOT + "/include")
        self.by_name = {i.name: i for i in self.items}
        self.explain()
        self.areas = [self.area(*m) for m in re.findall(r"^## (\w+) ([^\n]*)\n(.*?)(?=^## |\Z)", read(HERE + "/protocols.md"), re.M | re.S)]
        self.events = self.read_events()
        self.where = {}
        self.sort()
        self.copied = set()

    def explain(self):
        """Constants that have no comment in the header get theirs from constants.md."""
        known = re.findall(r"^([A-Z_0-9]+)(\*?): (.*)$", read(HERE + "/constants.md"), re.M)
        used, missing = set(), []
        for item in self.items:
            if item.kind not in ("constant", "value") or item.doc:
                continue
            fitting = [k for k in known if k[0] == item.name or (k[1] and item.name.startswith(k[0]))]
            if not fitting:
                missing.append(item.name)
                continue
            best = max(fitting, key=lambda k: len(k[0]))
            item.doc = best[2]
            used.add(best)
        if missing or len(used) < len(known):
            raise SystemExit("constants.md: missing %s, unknown %s" % (missing, [k[0] for k in known if k not in used]))

    @staticmethod
    def area(name, title, body):
        fields = dict(re.findall(r"^(match|events|examples):(.*)$", body, re.M))
        text = re.sub(r"^(match|events|examples):.*\n", "", body, flags=re.M).strip()
        return {"name": "area-" + name, "title": title, "text": text, "match": fields.get("match", "").split(),
                "events": fields.get("events", "").split(), "examples": fields.get("examples", "").split(), "items": []}

    def read_events(self):
        events = {}
        for name, body in re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", read(HERE + "/events.md"), re.M | re.S):
            events[name] = dict(re.findall(r"^(\w+): (.*)$", body, re.M))
        declared = [n for e in ("mg_event", "mgx_event") for n in self.by_name[e].members]
        if list(events) != declared:
            raise SystemExit("events.md and the headers differ: %s" % sorted(set(events) ^ set(declared)))
        for name, fields in events.items():
            if list(fields) != ["raised", "data", "may", "order"]:
                raise SystemExit("events.md: %s has %s" % (name, list(fields)))
        return events

    def sort(self):
        """Gives every name its page: the area with the longest matching beginning of it."""
        for item in self.items:
            if item.name in self.events:
                self.where[item.name] = "%s.html" % item.name
                continue
            if item.kind == "switch":
                self.where[item.name] = "switches.html#" + item.name
                continue
            best, length = self.areas[-1], 0
            for area in self.areas:
                for start in area["match"]:
                    if item.name.startswith(start) and len(start) > length:
                        best, length = area, len(start)
            if item.kind == "value":
                continue
            best["items"].append(item)
            self.where[item.name] = "%s.html#%s" % (best["name"], item.name)
        for item in self.items:
            if item.kind == "value" and item.name not in self.where:
                self.where[item.name] = self.where[item.owner].split("#")[0] + "#" + item.name

    # ---- text

    def link(self, text):
        """Names of the API in escaped text become links."""
        def one(m):
            to = self.where.get(m[0])
            return '<a href="%s">%s</a>' % (to, m[0]) if to else m[0]
        return WORD.sub(one, text)

    def prose(self, text):
        """A comment: paragraphs, lists, `code`."""
        out = []
        for block in re.split(r"\n\s*\n", text.strip()):
            lines = block.split("\n")
            if all(l.startswith(("- ", "  ")) for l in lines) and lines[0].startswith("- "):
                points = re.split(r"^- ", block, flags=re.M)[1:]
                out.append("<ul>%s</ul>" % "".join("<li>%s" % self.inline(p) for p in points))
            elif all(l.startswith("    ") for l in lines):
                out.append("<pre>%s</pre>" % self.link(html.escape(block)))
            else:
                out.append("<p>%s</p>" % self.inline(block))
        return "\n".join(out)

    def inline(self, text):
        parts = re.split(r"`([^`]*)`", text)
        done = []
        for n, part in enumerate(parts):
            escaped = self.link(html.escape(part))
            if n % 2 == 1:
                done.append("<code>%s</code>" % escaped)
            else:
                # Names stand in prose without marks.
                done.append(re.sub(r"(?<![\w>/.#\"])([a-z]+->\w+(?:\.\w+)?|\w+\(\))", r"<code>\1</code>", escaped))
        return "".join(done)

    def markdown(self, text, source):
        """A document of the repository, with its links turned into those of the site."""
        text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
        text = re.sub(r"^```mermaid\n.*?^```\n", "", text, flags=re.M | re.S)  # the drawing in text follows
        page = markdown.markdown(text, extensions=["tables", "fenced_code", "toc", "sane_lists"])
        page = re.sub(r'(href|src)="([^"]*)"', lambda m: '%s="%s"' % (m[1], self.target(m[2], source)), page)
        page = re.sub(r"<code>([^<]*)</code>(?!</a>)", lambda m: "<code>%s</code>" % self.link(m[1]), page)
        page = page.replace("<table>", '<div class="scroll"><table>').replace("</table>", "</table></div>")
        return re.sub(r"<pre><code[^>]*>(.*?)</code></pre>", lambda m: "<pre>%s</pre>" % self.link(re.sub("<[^>]*>", "", m[1])), page, flags=re.S)

    def target(self, link, source):
        """Where a link of a document leads to on the site: another page, or a copy of a file."""
        if re.match(r"\w+:|#", link):
            return link
        path, _, anchor = link.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(source), path))
        anchor = "#" + anchor if anchor else ""
        name = os.path.basename(full)
        if full.startswith("docs/") and name.endswith(".md") and name[:-3] in GUIDES:
            return name[:-3] + ".html" + anchor
        if full == "README.md":
            return "readme.html" + anchor
        if full.startswith("examples-c/") and name.endswith((".c", ".h")):
            return "example-%s.html" % name.replace(".", "-")
        if full == "examples-c":
            return "examples.html"
        return self.copy(full)

    def copy(self, full):
        to = "files/" + full
        if full in self.copied:
            return to + ("/index.html" if os.path.isdir(ROOT + "/" + full) else "")
        self.copied.add(full)
        if os.path.isdir(ROOT + "/" + full):
            os.makedirs(self.html + "/" + to, exist_ok=True)
            names = sorted(n for n in os.listdir(ROOT + "/" + full) if not n.startswith((".", "__")) and n not in ("node_modules", "target"))
            rows = "".join('<li><a href="%s">%s</a>' % (os.path.relpath(self.copy(full + "/" + n), to), n) for n in names)
            page = "<!DOCTYPE html><html lang=en><meta charset=utf-8><title>%s</title><h1>%s</h1><ul>%s</ul></html>\n" % (full, full, rows)
            self.write(to + "/index.html", page)
            return to + "/index.html"
        os.makedirs(os.path.dirname(self.html + "/" + to), exist_ok=True)
        shutil.copyfile(ROOT + "/" + full, self.html + "/" + to)  # a dead link of a document ends here
        return to

    # ---- pages

    def write(self, path, text):
        with open(self.html + "/" + path, "w", encoding="utf-8") as f:
            f.write(text)

    def page(self, path, title, body):
        def nav(name, links):
            rows = "".join('<li><a href="%s"%s>%s</a>' % (to, ' aria-current="page"' if to == path else "", text) for to, text in links)
            return "<h2>%s</h2><ul>%s</ul>" % (name, rows)
        guides = [(g + ".html", self.titles[g]) for g in GUIDES]
        areas = [(a["name"] + ".html", a["title"]) for a in self.areas]
        lists = [("events.html", "Events"), ("structs.html", "Structs and types"), ("constants.html", "Constants"), ("switches.html", "Switches"),
                 ("examples.html", "Examples"), ("names.html", "All names")]
        self.write(path, PAGE % {
            "title": html.escape(title), "body": body, "version": version(),
            "nav": nav("Guides", guides) + nav("Functions", areas) + nav("Lists", lists),
        })

    def entry(self, item, level=3):
        """One name on the page of its area."""
        code = self.link(html.escape(item.text))
        # Its own name is not a link.
        code = code.replace('<a href="%s">%s</a>' % (self.where[item.name], item.name), "<b>%s</b>" % item.name)
        out = ['<section class="entry"><h%d id="%s">%s <span class="kind">%s</span></h%d>' % (level, item.name, item.name, item.kind, level)]
        if item.kind == "enum":
            out.append(self.prose(item.doc))
            rows = []
            for name in item.members:
                value = self.by_name[name]
                shown = self.link(name) if name in self.events else '<span id="%s">%s</span>' % (name, name)
                rows.append("<tr><td><code>%s</code><td>%s<td>%s" % (shown, value.value, self.inline(value.doc)))
            out.append('<div class="scroll"><table><tr><th>Name<th>Value<th>Meaning%s</table></div>' % "".join(rows))
        elif item.kind == "constant":
            out.append("<pre>%s</pre>%s" % (code, self.prose(item.doc)))
        else:
            out.append("<pre>%s</pre>%s" % (code, self.prose(item.doc)))
        if item.kind in ("struct", "type"):
            users = [f.name for f in self.items if f.kind == "function" and re.search(r"\b%s\b" % item.name, f.text)]
            if 0 < len(users) <= 24:
                out.append('<p class="soft">Used by %s.</p>' % ", ".join(self.link(u) for u in users))
        if item.header == "mongoose_ext.h":
            out.append('<p class="soft"><code>#include "mongoose_ext.h"</code></p>')
        return "".join(out) + "</section>\n"

    def area_page(self, area):
        kinds = [("function", "Functions"), ("macro", "Macros"), ("struct", "Structs"), ("enum", "Enums"), ("type", "Types"), ("variable", "Variables")]
        body = ["<h1>%s</h1>" % area["title"], self.markdown(area["text"], "docs/reference/protocols.md")]
        if area["events"]:
            body.append("<p><b>Events:</b> %s</p>" % ", ".join(self.link(e) for e in area["events"]))
        if area["examples"]:
            links = ['<a href="example-%s-c.html">%s</a>' % (e, e) for e in area["examples"]]
            body.append("<p><b>Examples:</b> %s</p>" % ", ".join(links))
        functions = [i for i in area["items"] if i.kind == "function"]
        if functions:
            rows = "".join("<tr><td><code>%s</code><td>%s" % (self.link(i.name), self.inline(first_sentence(i.doc))) for i in functions)
            body.append('<div class="scroll"><table>%s</table></div>' % rows)
        for kind, title in kinds:
            found = [i for i in area["items"] if i.kind == kind]
            if found:
                body.append("<h2>%s</h2>" % title)
                body += [self.entry(i) for i in found]
        constants = [i for i in area["items"] if i.kind == "constant"]
        if constants:
            rows = "".join('<tr><td><code id="%s">%s</code><td><code>%s</code><td>%s' % (i.name, i.name, html.escape(i.value), self.inline(i.doc)) for i in constants)
            body.append('<h2>Constants</h2><div class="scroll"><table><tr><th>Name<th>Value<th>%s</table></div>' % rows)
        self.page(area["name"] + ".html", area["title"], "\n".join(body))

    def event_pages(self):
        rows = []
        for name, e in self.events.items():
            item = self.by_name[name]
            areas = ['<a href="%s.html">%s</a>' % (a["name"], a["title"]) for a in self.areas if name in a["events"]]
            text = lambda key: self.inline(e[key][0].upper() + e[key][1:]) + ("" if e[key].endswith(".") else ".")
            code = html.escape("static void handler(struct mg_connection *c, int ev, void *ev_data) {\n  if (ev == %s) {\n    %s\n  }\n}" % (
                name if name.startswith("MG_") else "(int) " + name, declaration(e["data"])))
            users = [x for x in self.example_names if re.search(r"\b%s\b" % name, read(ROOT + "/examples-c/" + x))]
            body = [
                "<h1>%s</h1><p class=\"lead\">%s</p>" % (name, self.inline(item.doc)),
                '<table class="facts"><tr><th scope="row">Raised by<td>%s<tr><th scope="row"><code>ev_data</code><td>%s'
                '<tr><th scope="row">A handler may<td>%s<tr><th scope="row">Order<td>%s<tr><th scope="row">Number<td>%s</table>'
                % (text("raised"), text("data"), text("may"), text("order"), item.value),
                "<h2>In a handler</h2><pre>%s</pre>" % self.link(code),
            ]
            if areas:
                body.append("<p><b>Belongs to:</b> %s</p>" % ", ".join(areas))
            if users:
                body.append("<p><b>Examples:</b> %s</p>" % ", ".join('<a href="example-%s.html">%s</a>' % (u.replace(".", "-"), u) for u in users))
            self.page(name + ".html", name, "\n".join(body))
            rows.append("<tr><td><code>%s</code><td>%s<td>%s" % (self.link(name), text("raised"), text("data")))
        self.page("events.html", "Events", "<h1>Events</h1><p>A handler is called with the connection, the number of the event, and "
                  "<code>ev_data</code>. What <code>ev_data</code> points to is valid during the call.</p>"
                  '<div class="scroll"><table><tr><th>Event<th>Raised by<th><code>ev_data</code>%s</table></div>' % "".join(rows))

    def lists(self):
        structs = [i for i in self.items if i.kind in ("struct", "enum", "type", "variable")]
        rows = "".join("<tr><td><code>%s</code><td>%s<td>%s" % (self.link(i.name), i.kind, self.inline(first_sentence(i.doc))) for i in sorted(structs, key=lambda i: i.name.lower()))
        self.page("structs.html", "Structs and types", '<h1>Structs and types</h1><div class="scroll"><table>%s</table></div>' % rows)
        constants = sorted((i for i in self.items if i.kind in ("constant", "value")), key=lambda i: i.name)
        rows = "".join("<tr><td><code>%s</code><td><code>%s</code><td>%s" % (self.link(i.name), html.escape(i.value), self.inline(first_sentence(i.doc))) for i in constants)
        self.page("constants.html", "Constants", '<h1>Constants</h1><div class="scroll"><table><tr><th>Name<th>Value<th>Meaning%s</table></div>' % rows)
        groups = {}
        for i in self.items:
            if i.kind == "switch":
                groups.setdefault(i.group, []).append(i)
        body = ["<h1>Switches</h1><p>Set one with <code>-D</code> or in <code>mongoose_config.h</code>, before the header is included. The library is built "
                "before the program: a switch that cannot work is refused by the compiler, with this text.</p>"]
        for group, found in groups.items():
            title, _, rest = group.partition(". ")
            body.append("<h2>%s</h2>%s" % (self.inline(title.rstrip(".")), self.prose(rest) if rest else ""))
            rows = "".join('<tr><td><code id="%s">%s</code><td><code>%s</code><td>%s' % (i.name, i.name, html.escape(i.value), self.inline(i.doc)) for i in found)
            body.append('<div class="scroll"><table><tr><th>Switch<th>Default<th>If set otherwise%s</table></div>' % rows)
        self.page("switches.html", "Switches", "\n".join(body))
        rows = "".join("<li><code>%s</code>" % self.link(n) for n in sorted(self.where, key=str.lower))
        self.page("names.html", "All names", '<h1>All names</h1><ul class="columns">%s</ul>' % rows)
        index = [[i.name, i.kind, self.where[i.name], first_sentence(i.doc)[:110]] for i in sorted(self.items, key=lambda i: i.name.lower())]
        index += [[self.titles[g], "guide", g + ".html", ""] for g in GUIDES] + [[a["title"], "area", a["name"] + ".html", ""] for a in self.areas]
        self.write("names.js", "const names = %s;\n" % json.dumps(index, ensure_ascii=False))

    def example_pages(self):
        rows = []
        for name in self.example_names:
            source = read(ROOT + "/examples-c/" + name)
            about = re.match(r"((?:// ?.*\n)+)", source)[1]
            about = re.sub(r"^// ?", "", about, flags=re.M).split("\n\n")[0].replace("\n", " ")
            self.page("example-%s.html" % name.replace(".", "-"), name, "<h1>%s</h1><p>%s</p><pre>%s</pre>" % (
                name, self.inline(about), self.link(html.escape(source))))
            rows.append('<tr><td><a href="example-%s.html">%s</a><td>%s' % (name.replace(".", "-"), name, self.inline(about)))
        self.page("examples.html", "Examples", "<h1>Examples</h1><p>Programs of the directory <code>examples-c</code>. <code>-h</code> tells the options of "
                  'each.</p><div class="scroll"><table>%s</table></div>' % "".join(rows))

    def guide_pages(self):
        for guide in GUIDES:
            path = "docs/%s.md" % guide
            self.page(guide + ".html", self.titles[guide], self.markdown(read(ROOT + "/" + path), path))
        self.page("readme.html", "libmongoose-rs", self.markdown(read(ROOT + "/README.md"), "README.md"))

    def front_page(self):
        tile = '<a class="tile" href="%s"><b>%s</b><span>%s</span></a>'
        def tiles(rows):
            return '<div class="tiles">%s</div>' % "".join(tile % r for r in rows)
        first = [("getting-started.html", "Getting started", "A first server, a first client, and how a program is built"),
                 ("migrating.html", "Coming from libmongoose", "Vendored or installed, step by step, and how to go back"),
                 ("draining.html", "Draining", "End a connection or a whole server without losing an answer"),
                 ("embedding.html", "Embedding", "Other event loops, threads, processes, signals, other languages")]
        areas = [(a["name"] + ".html", a["title"], "%d functions" % sum(i.kind == "function" for i in a["items"])) for a in self.areas
                 if any(i.kind == "function" for i in a["items"])]
        events = ", ".join(self.link(e) for e in self.events)
        count = lambda *kinds: sum(i.kind in kinds for i in self.items)
        body = """<h1>libmongoose-rs</h1>
<p class="lead">A drop-in replacement for libmongoose, the embedded web server and networking library: the same C API and binary layout, written in Rust.</p>
<pre>%s</pre>
%s
<h2>By area</h2>%s
<h2>Events</h2><p class="names">%s</p>
<p><a href="events.html">Who raises them, and what a handler may do</a></p>
<h2>Lists</h2><p><a href="names.html">%d functions and macros</a>, <a href="structs.html">%d structs and types</a>, <a href="constants.html">%d constants</a>,
<a href="switches.html">%d switches</a>, <a href="examples.html">%d examples</a>. <a href="readme.html">README</a>.</p>
""" % (self.link(html.escape(FIRST_PROGRAM)), tiles(first), tiles(areas), events, count("function", "macro"), count("struct", "enum", "type", "variable"),
            count("constant", "value"), count("switch"), len(self.example_names))
        self.page("index.html", "libmongoose-rs", body)

    # ---- man pages

    def man_pages(self):
        for item in self.items:
            if item.kind in ("function", "macro") and item.name.startswith(("mg", "MG", "LIST")):
                self.man_page(item)
        functions = "\n".join(".TP\n.BR %s (3)\n%s" % (i.name, roff(first_sentence(i.doc))) for i in self.items if i.kind == "function" and i.doc)
        self.man_write("mongoose", ['.SH NAME\nmongoose \\- embedded web server and networking library',
                                    ".SH SYNOPSIS\n.nf\n#include <mongoose.h>\n#include <mongoose_ext.h>\n.fi\n.PP\ncc app.c \\-lmongoose",
                                    ".SH DESCRIPTION\nA drop\\-in replacement for libmongoose, API version 7.22. Functions of it:\n" + functions])

    def man_page(self, item):
        include = "#include <%s>" % item.header
        see = [n for n in dict.fromkeys(WORD.findall(item.doc)) if n != item.name and self.by_name.get(n) and self.by_name[n].kind == "function"]
        doc = item.doc or item.group
        parts = [".SH NAME\n%s \\- %s" % (item.name, roff(first_sentence(doc).rstrip(".") or item.kind).lstrip(".'")),
                 ".SH SYNOPSIS\n.nf\n.B %s\n.PP\n%s\n.fi" % (roff(include), roff(item.text)),
                 ".SH DESCRIPTION\n" + "\n.PP\n".join(man_paragraph(b) for b in re.split(r"\n\s*\n", doc) if b.strip())]
        related = ", ".join(".BR %s (3)" % n for n in see[:12] + ["mongoose"]).replace(", ", " ,\n")
        parts.append(".SH SEE ALSO\n" + related)
        self.man_write(item.name, parts)

    def man_write(self, name, parts):
        with open("%s/%s.3" % (self.man, name), "w", encoding="utf-8") as f:
            f.write('.TH %s 3 2020-09-13 "libmongoose-rs %s"\n%s\n' % (name, version(), "\n".join(parts)))

    def build(self):
        self.titles = {g: re.search(r"^# (.*)$", read(ROOT + "/docs/%s.md" % g), re.M)[1] for g in GUIDES}
        self.example_names = sorted(n for n in os.listdir(ROOT + "/examples-c") if n.endswith((".c", ".h")))
        for name in ("style.css", "search.js"):
            shutil.copyfile(HERE + "/" + name, self.html + "/" + name)
        self.front_page()
        for area in self.areas:
            self.area_page(area)
        self.event_pages()
        self.example_pages()
        self.guide_pages()
        self.lists()
        self.man_pages()
        print("%s: %d pages; %s: %d man pages" % (self.html, sum(n.endswith(".html") for n in os.listdir(self.html)), self.man, len(os.listdir(self.man))))


def first_sentence(doc):
    text = re.split(r"\n\s*\n", doc.strip())[0].replace("\n", " ")
    m = re.match(r".*?(?:[.:](?= [A-Z`])|[.:]$|$)", text)
    return (m[0] if m else text).rstrip(":")


def declaration(data):
    """A line that shows how ev_data is used."""
    m = re.search(r"`((?:struct \w+|\w+) \*)`", data)
    if not m:
        return "(void) ev_data;"
    kind = m[1]
    names = {"struct mg_http_message *": "hm", "struct mg_ws_message *": "wm", "struct mg_mqtt_message *": "mm", "struct mg_str *": "text", "char *": "text"}
    if kind.startswith("struct") or kind == "char *":
        return "%s%s = (%s) ev_data;" % (kind, names.get(kind, "data"), kind)
    return "%s n = *(%s) ev_data;" % (kind[:-2], kind)


def roff(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def man_paragraph(block):
    if all(l.startswith("    ") for l in block.split("\n")):
        return ".nf\n%s\n.fi" % roff(block)
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fP", roff(block))


FIRST_PROGRAM = '''#include "mongoose.h"

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "Hello\\n");
}

int main(void) {
  struct mg_mgr mgr;
  mg_mgr_init(&mgr);
  mg_http_listen(&mgr, "http://0.0.0.0:8000", handler, NULL);
  for (;;) mg_mgr_poll(&mgr, 1000);
}'''

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>%(title)s - libmongoose-rs</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css"><script src="names.js" defer></script><script src="search.js" defer></script></head><body>
<a class="skip" href="#content">To the content</a>
<header><a class="home" href="index.html">libmongoose-rs <small>%(version)s</small></a>
<div class="search" role="search"><input id="search" type="search" placeholder="Search ( / )" aria-label="Search for a name" autocomplete="off"
role="combobox" aria-expanded="false" aria-controls="found"><ul id="found" role="listbox" aria-label="Names" hidden></ul></div></header>
<div class="page"><details class="nav"><summary>Contents</summary><nav aria-label="Contents">%(nav)s</nav></details>
<main id="content">
%(body)s
</main></div></body></html>
"""

if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    Site(os.path.abspath(sys.argv[1])).build()
