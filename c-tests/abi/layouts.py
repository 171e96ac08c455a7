#!/usr/bin/env python3
"""Writes src/abi/layout32.rs: sizes and offsets on 32-bit machines, as C compilers lay include/mongoose.h out. The names come from
layout-x86_64-linux.tsv. `make layouts` calls this; it needs the cross compilers of `make deps-cross`."""
import csv, os, re, subprocess, sys, tempfile

# RISC-V lays out like ARM.
LIKE = {"arm": ["riscv32"]}
COMPILERS = {"arm": "arm-linux-gnueabihf-gcc", "x86": "i686-linux-gnu-gcc", "powerpc": "powerpc-linux-gnu-gcc"}
RESERVED = {"fn", "type", "in"}
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def structs():
    rows = [l for l in open(os.path.join(root, "c-tests/abi/layout-x86_64-linux.tsv")) if not l.startswith("#")]
    out = {}
    for row in csv.DictReader(rows, delimiter="\t"):
        if row["field"] == "(sizeof)":
            kind = "" if row["type"].startswith("typedef") else row["type"] + " "
            out[kind + row["struct"]] = fields = []
        if re.fullmatch(r"\w+", row["field"]) and not row["bit_width"]:
            fields.append(row["field"])
    return out


def measure(compiler, all):
    """The size of an array, less one, says the number: nothing has to run."""
    lines, names = ['#include <stddef.h>\n#include "mongoose.h"'], []
    for tag, fields in all.items():
        for field in [None] + fields:
            value = f"sizeof({tag})" if field is None else f"offsetof({tag}, {field})"
            lines.append(f"char v{len(names)}[{value} + 1] = {{1}};")
            names.append((tag, field))
    with tempfile.TemporaryDirectory() as dir:
        open(f"{dir}/l.c", "w").write("\n".join(lines))
        subprocess.run([compiler, "-I", f"{root}/include", "-c", f"{dir}/l.c", "-o", f"{dir}/l.o"], check=True)
        text = subprocess.run(["readelf", "-sW", f"{dir}/l.o"], check=True, capture_output=True, text=True).stdout
    sizes = {m[2]: int(m[1], 0) for m in re.finditer(r"\s(\w+)\s+OBJECT\s.*\s(v\d+)$", text, re.M)}
    return {name: sizes[f"v{i}"] - 1 for i, name in enumerate(names)}


def main():
    all = structs()
    out = ["//! Layouts on 32-bit machines, written by c-tests/abi/layouts.py (`make layouts`) from what C compilers make of the header.", ""]
    out += ["use super::*;", ""]
    for arch, compiler in COMPILERS.items():
        found = measure(compiler, all)
        names = [f'target_arch = "{a}"' for a in [arch] + LIKE.get(arch, [])]
        out.append(f"#[cfg({names[0] if len(names) == 1 else f'any({", ".join(names)})'})]")
        out.append("const _: () = {")
        for tag, fields in all.items():
            struct = tag.split()[-1]
            parts = [f"{'r#' if f in RESERVED else ''}{f} @ {found[tag, f]}" for f in fields]
            cfg = "#[cfg(not(mg_time64))]\n    " if struct == "mg_mem_file" else ""
            out.append(f"    {cfg}{macro}!({', '.join([struct, str(found[tag, None])] + parts)});")
        out.append("};")
    path = os.path.join(root, "src/abi/layout32.rs")
    open(path, "w").write("\n".join(out) + "\n")
    subprocess.run(["rustfmt", "--edition", "2024", "--config-path", root, path], check=True)


main()
