#!/usr/bin/env python3
"""sizes.py DIRECTORY: builds c-tests/firmware/sizes.c with one protocol after the other, and prints a table of flash and RAM. Heap and
stack are what the program itself has counted when one client has come and gone."""
import contextlib, os, re, subprocess, sys

from run import Device, curl, wait_for, ws_open, ws_frame, ws_read

ROWS = [("HTTP", "tcpip http", []), ("HTTP, WebSocket", "tcpip http ws", ["-DWITH_WS"]),
        ("HTTP, WebSocket, MQTT", "tcpip http ws mqtt", ["-DWITH_WS", "-DWITH_MQTT"]),
        ("HTTP with TLS", "tcpip http tls ecc", ["-DWITH_TLS", "-Wl,--defsym=HEAP_SIZE=131072", "-Wl,--defsym=STACK_SIZE=32768"])]
directory = sys.argv[1]
here = os.path.dirname(os.path.abspath(__file__))

print("| | flash | data and bss | heap, one client | stack |\n|---|---|---|---|---|")
for name, features, options in ROWS:
    image = "sizes.elf"
    path = os.path.join(directory, image)
    tls = "-DWITH_TLS" in options
    if tls:
        with open(os.path.join(directory, "tls.c"), "w") as f:
            pair = [os.path.join(here, f"../certs/server-p256.{kind}") for kind in ("pem", "key")]
            subprocess.run([os.path.join(here, "../../packaging/firmware-tls.sh"), *pair], check=True, stdout=f)
        options = options + [f.name]
    subprocess.run([os.path.join(here, "../../packaging/firmware.sh"), path, features, *options], check=True,
                   env={**os.environ, "MAIN": "c-tests/firmware/sizes.c"})
    text = subprocess.run(["arm-none-eabi-size", "-A", path], check=True, capture_output=True, text=True).stdout
    size = {m[1]: int(m[2]) for m in re.finditer(r"^(\.\w+)\s+(\d+)", text, re.M)}
    def ready(d):
        if not tls:
            return d.get("/", timeout=2)[0] == 200
        ca = os.path.join(here, "../certs/ca.pem")
        with contextlib.suppress(subprocess.CalledProcessError):
            return curl(d, "/", "--cacert", ca, "-m", "5", port=443, scheme="https", stderr=subprocess.DEVNULL)

    device = Device("mps2-an386", image, 443 if tls else 80, ready=ready)
    try:
        wait_for("the numbers", lambda: "stack=" in device.log())
        if "-DWITH_WS" in options:
            before = device.log().count("stack=")
            with device.connect() as s:
                r = ws_open(s)
                s.sendall(ws_frame(1, b"hello"))
                ws_read(r)
            wait_for("the numbers", lambda: device.log().count("stack=") > before)
        heap, stack = (max(map(int, re.findall(rf"{what}=(\d+)", device.log()))) for what in ("heap", "stack"))
    finally:
        device.close()
    print(f"| {name} | {size['.text'] + size['.data']:,} | {size['.data'] + size['.bss']:,} | {heap:,} | {stack:,} |", flush=True)
