"""What mongoose.h and mongoose_ext.h declare, with the comments in front of it. They are generated and regular: a comment of `//` lines
directly above a declaration is its documentation, and that of the declarations which follow without a blank line."""

import re
from dataclasses import dataclass, field


@dataclass
class Item:
    kind: str  # function, macro, constant, switch, struct, enum, value, type, variable
    name: str
    text: str  # the declaration as it stands in the header
    doc: str = ""
    header: str = ""
    group: str = ""  # the `// ----` line above it
    owner: str = ""  # for values: their enum
    value: str = ""
    members: list = field(default_factory=list)


# Helpers of the headers themselves.
PRIVATE = re.compile(r"MGX_(?!IS_|EV_|REASON_|ACTIVE|DRAINING|FLUSHING|CLOSED|MGR_)|mgx_(older|timer_|http_upload|straddr|tls_init|log_set_)|MONGOOSE")
# Programs use them by these names.
PUBLIC = re.compile(r"mgx_timer_cancel|mgx_log_set$|MGX_COMPAT_7$")
COMPAT = re.compile(r"MGX_COMPAT_7 *<")
FUNCTION = re.compile(r"^(?:extern |static inline )*(?P<type>[\w ]+?[ *]*)(?:\b|(?<=[ *]))\(?(?P<name>\w+)\)?\((?P<args>[^;{]*)\)\s*(?:;|\{)", re.S)
SETTING_PREFIXES = ("MG_ENABLE_", "MG_TLS", "MG_OTA", "MG_ARCH")


def parse(path, header):
    lines = open(path).read().split("\n")
    items, comment, group, stack, i = [], [], "", [], 0
    # The names that `#ifndef NAME` guards, so that a program may set them: switches.
    switches = set(re.findall(r"^#ifndef (MG_\w+)\n#define \1\b", "\n".join(lines), re.M))
    switches |= set(re.findall(r"^#ifdef (MG_\w+)\n#define MGX_SET_", "\n".join(lines), re.M)) | {"MGX_COMPAT_7"}
    errors = dict(re.findall(r"^#error (\w+): (.*)$", "\n".join(lines), re.M))

    def add(kind, name, text, **more):
        if PRIVATE.match(name) and not PUBLIC.match(name):
            return None
        if any(COMPAT.search(c) for c in stack):
            return None
        item = Item(kind, name, text, "\n".join(comment), header, group, **more)
        items.append(item)
        return item

    while i < len(lines):
        line = lines[i]
        if re.match(r"#\s*(if|else|elif|endif)", line) is None and any(re.match(r"#if MG_ENABLE_TCPIP$", c) for c in stack):
            # The interface of a network driver is described in docs/firmware.md.
            i += 1
            continue
        if line.startswith("// ----"):
            group, comment = line[7:].strip(), []
        elif line.startswith("//"):
            if i == 0 or not lines[i - 1].startswith("//"):
                comment = []
            comment.append(line[2:].removeprefix(" "))
        elif not line.strip():
            comment = []
        elif re.match(r"#\s*(if|ifdef|ifndef)\b", line):
            stack.append(line)
        elif re.match(r"#\s*(else|elif)", line):
            stack[-1] = line
        elif re.match(r"#\s*endif", line):
            stack.pop()
        elif m := re.match(r"#define (\w+)(\([^)]*\))?(.*)", line):
            text = line
            while text.endswith("\\"):
                i += 1
                text += "\n" + lines[i]
            name = m[1]
            value = m[3].strip()
            if name in switches:
                item = add("switch", name, text, value=value)
                if item and name in errors:
                    item.doc = errors[name]
            elif m[2] or text.count("\n"):
                # A prototype tells more than a macro of the same name.
                add("macro", name, name + (m[2] or ""))
            elif value and name.isupper():
                add("constant", name, line, value=value)
        elif re.match(r"#", line) or line.startswith(("}", "extern \"C\"", "  ")):
            pass
        elif m := re.match(r"(enum|struct|union) (\w+) \{", line):
            start = i
            while not lines[i].startswith("}"):
                i += 1
            body = lines[start + 1 : i]
            item = add({"union": "struct"}.get(m[1], m[1]), m[2], "\n".join(without_compat(lines[start : i + 1])))
            if item and m[1] == "enum":
                members(item, body, items)
        elif line.startswith("typedef"):
            text = line
            while ";" not in text:
                i += 1
                text += "\n" + lines[i]
            # An array is an assertion.
            if m := re.search(r"\(\*(\w+)\)|(\w+);", text):
                add("type", m[1] or m[2], text)
        elif re.match(r"(struct|enum|union) \w+;", line):
            pass
        else:
            text = line
            while not re.search(r"[;{]", text):
                i += 1
                text += "\n" + lines[i]
            if m := FUNCTION.match(text):
                inline = "{" in text
                add("function", m["name"], re.sub(r"^(extern|static inline) ", "", text.split("{")[0].strip().rstrip(";")) + ";")
                if inline and "}" not in text:
                    while lines[i] != "}":
                        i += 1
            elif m := re.match(r"(?:extern )?[\w ]+[ *]+(\w+)(\[\])?;", text):
                add("variable", m[1], text)
            elif not any(COMPAT.search(c) for c in stack):
                raise SystemExit("%s:%d: cannot parse %r" % (path, i + 1, text))
        i += 1
    return items


def without_compat(lines):
    """A struct as programs of today see it: the last branch of each condition."""
    out, stack = [], []
    for line in lines:
        if re.match(r"#\s*if", line):
            stack.append(False)
        elif re.match(r"#\s*else", line):
            stack[-1] = True
        elif re.match(r"#\s*endif", line):
            stack.pop()
        elif all(stack) and not line.startswith("#"):
            out.append(line)
    return out


def members(enum, body, items):
    """The values of an enum are items of their own."""
    doc, next_value = [], 0
    for line in body:
        line = line.strip()
        if line.startswith("//"):
            doc.append(line[2:].strip())
        elif m := re.match(r"(\w+)(?: = (-?\w+))?,", line):
            value = int(m[2], 0) if m[2] else next_value
            next_value = value + 1
            items.append(Item("value", m[1], "%s = %d" % (m[1], value), "\n".join(doc), enum.header, enum.group, enum.name, str(value)))
            enum.members.append(m[1])
            doc = []


def both(include):
    items = parse(include + "/mongoose.h", "mongoose.h") + parse(include + "/mongoose_ext.h", "mongoose_ext.h")
    found = {}
    for item in items:
        old = found.get(item.name)
        # A function is a function even where a macro of the same name calls it.
        if old is None or (old.kind == "macro" and item.kind != "macro") or (not old.doc and item.doc and old.kind == item.kind):
            found[item.name] = item
    return list(found.values())
