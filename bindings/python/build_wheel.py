"""PEP 517 backend: a wheel of pure Python with the shared library in it. Needs nothing but Python.

LIBMONGOOSE names the library; without it, target/release or target/debug of this tree is taken.
"""
import base64
import hashlib
import os
import platform
import re
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAME, VERSION = "libmongoose", "7.22.0"
METADATA = f"""Metadata-Version: 2.1
Name: {NAME}
Version: {VERSION}
Summary: Web server and networking library: HTTP, WebSocket, MQTT, TLS, timers, graceful shutdown
License: MIT OR Apache-2.0
Requires-Python: >=3.9
Description-Content-Type: text/markdown

"""


def library() -> Path:
    named = os.environ.get("LIBMONGOOSE")
    built = [HERE.parents[1] / "target" / profile / "libmongoose.so" for profile in ("release", "debug")]
    for path in [Path(named)] if named else built:
        if path.exists():
            return path
    raise SystemExit("no libmongoose.so: run `make build`, or set LIBMONGOOSE to its path")


def tag(lib: bytes) -> str:
    """The oldest glibc whose symbols are enough, as manylinux names it."""
    arch = platform.machine()
    found = [tuple(map(int, v.split(b"."))) for v in re.findall(rb"GLIBC_(\d+\.\d+)", lib)]
    if not found:
        return f"py3-none-linux_{arch}"
    major, minor = max(max(found), (2, 17))
    return f"py3-none-manylinux_{major}_{minor}_{arch}"


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    lib = library().read_bytes()
    info = f"{NAME}-{VERSION}.dist-info"
    wheel = f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: false\nTag: {tag(lib)}\n"
    files = {f"{NAME}/{p.name}": p.read_bytes() for p in sorted((HERE / NAME).iterdir()) if p.suffix in (".py", ".typed") or p.name == "py.typed"}
    files[f"{NAME}/libmongoose.so.7"] = lib
    files[f"{info}/METADATA"] = (METADATA + (HERE / "README.md").read_text()).encode()
    files[f"{info}/WHEEL"] = wheel.encode()
    digest = lambda data: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    record = "".join(f"{name},sha256={digest(data)},{len(data)}\n" for name, data in files.items()) + f"{info}/RECORD,,\n"
    files[f"{info}/RECORD"] = record.encode()
    name = f"{NAME}-{VERSION}-{tag(lib)}.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w", zipfile.ZIP_DEFLATED) as z:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path)  # without a date: the same input gives the same wheel
            entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
            z.writestr(entry, data)
    return name


def build_sdist(sdist_directory, config_settings=None):
    raise SystemExit("build the wheel in the source tree of libmongoose-rs")


if __name__ == "__main__":
    import sys

    print(build_wheel(sys.argv[1] if len(sys.argv) > 1 else "."))
