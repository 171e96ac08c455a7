"""Checks the documentation built by build.py: every link and anchor of the site and of the documents, the spelling of all prose, the man
pages, and the programs in the documents.

usage: check.py OUT      needs hunspell with en_GB, and mandoc; words.txt lists correct words that hunspell does not know
"""

import html.parser
import os
import re
import subprocess
import sys
import urllib.parse

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Page(html.parser.HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.ids, self.text, self.quiet = [], [], [], 0
        with open(path, encoding="utf-8") as f:
            self.feed(f.read())

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.links += [named[k] for k in ("href", "src") if named.get(k)]
        if named.get("id"):
            self.ids.append(named["id"])
        if tag == "img" and not named.get("alt"):
            self.links.append("no-alt-text-of-" + named["src"])
        if tag in ("code", "pre", "script", "style"):
            self.quiet += 1
        elif tag not in ("a", "b", "em", "strong", "small"):
            self.text.append(" ")

    def handle_endtag(self, tag):
        if tag in ("code", "pre", "script", "style"):
            self.quiet -= 1
            self.text.append(" ")

    def handle_data(self, data):
        if not self.quiet:
            self.text.append(data)


def site_links(site):
    pages, bad, count = {}, [], 0
    for dir, _, names in os.walk(site):
        for name in names:
            if name.endswith(".html") and "/files/bindings/" not in dir + "/":
                pages[os.path.join(dir, name)] = Page(os.path.join(dir, name))
    for path, page in pages.items():
        for twice in {i for i in page.ids if page.ids.count(i) > 1}:
            bad.append("%s: id %s twice" % (os.path.relpath(path, site), twice))
        for link in page.links:
            count += 1
            if re.match(r"(https?|mailto|data|wss?):", link):
                continue
            to, _, anchor = urllib.parse.unquote(link).partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(path), to)) if to else path
            target = pages.get(full)
            if not os.path.exists(full) or (anchor and target and anchor not in target.ids):
                bad.append("%s: %s leads nowhere" % (os.path.relpath(path, site), link))
    return pages, bad, count


def document_links():
    """Those of the documents as they lie in the repository."""
    bad, anchors = [], {}
    names = [n for n in os.listdir(ROOT) if n.endswith(".md")] + ["docs/" + n for n in os.listdir(ROOT + "/docs") if n.endswith(".md")]
    slug = lambda title: re.sub(r"[^\w\- ]", "", re.sub(r"[`*]", "", title).lower()).strip().replace(" ", "-")
    texts = {}
    for name in names:
        with open(ROOT + "/" + name, encoding="utf-8") as f:
            texts[name] = f.read()
        anchors[name] = {slug(t) for t in re.findall(r"^#+ (.*)$", texts[name], re.M)}
    for name, text in texts.items():
        text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if re.match(r"\w+:", link):
                continue
            path, _, anchor = link.partition("#")
            full = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
            if not os.path.exists(ROOT + "/" + full) or (anchor and anchor not in anchors.get(full, {anchor})):
                bad.append("%s: %s leads nowhere" % (name, link))
    return bad


def programs():
    """Whole programs in the documents must compile, and functions too, given what they are about."""
    bad, count = [], 0
    around = '#include "mongoose.h"\n#include "mongoose_ext.h"\n#include <poll.h>\n'
    for name in ["README.md"] + ["docs/" + n for n in sorted(os.listdir(ROOT + "/docs")) if n.endswith(".md")]:
        with open(ROOT + "/" + name, encoding="utf-8") as f:
            blocks = re.findall(r"^```c\n(.*?)^```", f.read(), re.M | re.S)
        for block in blocks:
            if "int main" not in block or "..." in block:
                continue
            count += 1
            # A handler that the text has shown before.
            known = "" if "handler(struct" in block else "void handler(struct mg_connection *c, int ev, void *ev_data);\n"
            for language, flags in (("c", ["-std=c99"]), ("c++", ["-std=c++20"])):
                cc = ["cc", "-x", language, *flags, "-fsyntax-only", "-Wall", "-Werror", "-Wno-unused-function", "-I" + ROOT + "/include", "-"]
                done = subprocess.run(cc, input=around + known + block, text=True, capture_output=True)
                if done.returncode:
                    bad.append("%s: does not compile as %s: %s" % (name, language, done.stderr))
    return bad, count


def spelling(pages, site):
    """Words of prose that hunspell does not know. Names of things in code are not prose."""
    found = {}
    for path, page in pages.items():
        if "/files/" in path:
            continue
        for word in re.findall(r"[^\W\d_][^\W_]*(?:['’][a-z]+)?", re.sub(r"\S*[_/\\@=<>~]\S*|\S+\.\w+|\w+::\S*|%\S+", " ", "".join(page.text))):
            if len(word) < 3 or word.isupper() or re.search(r"\d|[a-z][A-Z]", word):
                continue
            found.setdefault(re.sub("['’]s$", "", word).replace("’", "'"), os.path.relpath(path, site))
    done = subprocess.run(["hunspell", "-i", "UTF-8", "-d", "en_GB", "-p", HERE + "/words.txt", "-l"], input="\n".join(found), text=True, capture_output=True, check=True)
    return ["%s: spelling of %r" % (found.get(w, "?"), w) for w in sorted(set(done.stdout.split()))], len(found)


def man_pages(dir):
    paths = sorted(os.path.join(dir, n) for n in os.listdir(dir))
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *paths], text=True, capture_output=True)
    return [os.path.basename(l) if "/" in l else l for l in done.stdout.split("\n") if l], len(paths)


def main(out):
    pages, bad, links = site_links(out + "/html")
    bad += document_links()
    misspelt, words = spelling(pages, out + "/html")
    wrong, man = man_pages(out + "/man/man3")
    faulty, compiled = programs()
    bad += misspelt + wrong + faulty
    for line in bad:
        print(line)
    if bad:
        raise SystemExit("%d errors" % len(bad))
    print("%d pages, %d links, %d words, %d man pages, %d programs: ok" % (len(pages), links, words, man, compiled))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(os.path.abspath(sys.argv[1]))
