#!/usr/bin/env python3
"""sbom.py OUTPUT_DIR: writes mongoose.cdx.json, a CycloneDX bill of materials, and THIRD-PARTY-NOTICES.txt, the licences of all that is
compiled into the library, from Cargo.lock and the sources of the crates. FEATURES and TARGET (environment) narrow both down.
Called by `make sbom`."""
import json, os, subprocess, sys, tomllib, uuid

out = sys.argv[1]
features = os.environ.get("FEATURES")
args = ["cargo", "metadata", "--format-version", "1", "--locked"]
if features:
    args += ["--no-default-features", "--features", "std " + features]
host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout.split("host: ")[1].split()[0]
args += ["--filter-platform", os.environ.get("TARGET") or host]
meta = json.loads(subprocess.run(args, check=True, capture_output=True, text=True).stdout)
packages = {p["id"]: p for p in meta["packages"]}
nodes = {n["id"]: n for n in meta["resolve"]["nodes"]}
root = meta["resolve"]["root"]

# What is linked: ordinary dependencies, and theirs. Not those of build scripts, not procedural macros.
linked, todo = {}, [root]
while todo:
    id = todo.pop()
    if id in linked:
        continue
    linked[id] = sorted(
        d["pkg"] for d in nodes[id]["deps"]
        if any(k["kind"] is None for k in d["dep_kinds"])
        and not any("proc-macro" in t["kind"] for t in packages[d["pkg"]]["targets"]))
    todo += linked[id]

lock = tomllib.load(open("Cargo.lock", "rb"))["package"]
checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock}


def ref(id):
    p = packages[id]
    return f"pkg:cargo/{p['name']}@{p['version']}"


def component(id):
    p = packages[id]
    c = {"type": "library", "bom-ref": ref(id), "name": p["name"], "version": p["version"], "purl": ref(id)}
    if p["description"]:
        c["description"] = " ".join(p["description"].split())
    c["licenses"] = [{"expression": p["license"].replace("/", " OR ")}]
    if checksums.get((p["name"], p["version"])):
        c["hashes"] = [{"alg": "SHA-256", "content": checksums[p["name"], p["version"]]}]
    return c


others = sorted((i for i in linked if i != root), key=ref)
rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
std = {"type": "library", "bom-ref": f"pkg:generic/rust-std@{rustc}", "name": "rust-std", "version": rustc, "purl": f"pkg:generic/rust-std@{rustc}",
       "licenses": [{"expression": "MIT OR Apache-2.0"}]}
content = [component(i) for i in others] + [std]
bom = {
    "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
    # The same input gives the same number.
    "serialNumber": "urn:uuid:" + str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(content))),
    "metadata": {"component": component(root)},
    "components": content,
    "dependencies": [{"ref": ref(i), "dependsOn": [ref(d) for d in linked[i]]} for i in sorted(linked, key=ref)],
}
os.makedirs(out, exist_ok=True)
with open(f"{out}/mongoose.cdx.json", "w") as f:
    json.dump(bom, f, indent=1)
    f.write("\n")

# Equal texts stand there once.
texts, missing = {}, []
for id in others:
    p = packages[id]
    dir = os.path.dirname(p["manifest_path"])
    files = sorted(f for f in os.listdir(dir) if f.upper().startswith(("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")))
    files = [f for f in files if os.path.isfile(f"{dir}/{f}")]
    if not files:
        missing.append(p["name"])
    for f in files:
        text = open(f"{dir}/{f}", encoding="utf-8", errors="replace").read().strip()
        texts.setdefault(text, []).append(f"{p['name']} {p['version']} ({f})")
with open(f"{out}/THIRD-PARTY-NOTICES.txt", "w") as f:
    f.write("libmongoose contains the following software, under the licences given, whose texts follow.\n\n")
    for id in others:
        f.write(f"  {packages[id]['name']} {packages[id]['version']}: {packages[id]['license']}\n")
    f.write(f"  Rust's standard library {rustc}: MIT OR Apache-2.0\n")
    for text, names in texts.items():
        f.write("\n" + "=" * 100 + "\n" + "\n".join(names) + "\n" + "-" * 100 + "\n" + text + "\n")
print(f"{len(others) + 1} components, {len(texts)} licence texts" + (f"; no licence file: {' '.join(missing)}" if missing else ""))
