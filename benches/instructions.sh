#!/bin/sh
# Counts the user instructions that the release library spends on one keep-alive request of hello.c, in all and by module. Two runs
# of different length are subtracted, so neither start-up nor the end counts. The figure does not depend on the machine's load.
# Counts the atomic read-modify-write instructions among them, too: what threads on other processors could have to wait for.
#
# usage: [FUNCTIONS=1] [CASE=keep] benches/instructions.sh [LIBDIR [INCLUDEDIR]]    default: target/release include
#   FUNCTIONS=1   prints each function too (those that were not inlined)
#   CASE          keep: a reply of 14 bytes; file: a file of 4 KiB; cached: the same with mgx_mgr_file_cache. A valgrind without
#                 openat2 makes file take the way of old kernels, which resolves paths in the process
set -eu

missing=
for tool in gcc:gcc objdump:binutils valgrind:valgrind python3:python3; do
  command -v "${tool%%:*}" > /dev/null || missing="$missing ${tool#*:}"
done
if [ -n "$missing" ]; then
  echo "$0 needs these Debian packages:$missing" >&2
  exit 1
fi

here=$(cd "$(dirname "$0")" && pwd)
lib=$(cd "${1:-$here/../target/release}" && pwd)
include=$(cd "${2:-$here/../include}" && pwd)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
ln -s "$lib/libmongoose.so" "$dir/libmongoose.so"
ln -s "$lib/libmongoose.so" "$dir/libmongoose.so.7"
gcc -O2 -I"$include" "$here/hello.c" -L"$dir" -lmongoose -Wl,-rpath,"$dir" -o "$dir/hello"

python3 - "$dir" <<'PY'
import collections, os, re, signal, socket, subprocess, sys, time

directory = sys.argv[1]
case = os.environ.get('CASE', 'keep')
MODES = {'keep': ['keep'], 'file': ['file', directory], 'cached': ['file', directory, '16']}
if case not in MODES:
    sys.exit(f'no case named {case}')
BODY = b'Hello, World!\n' if case == 'keep' else b'x' * 4096
with open(f'{directory}/4k', 'wb') as f:
    f.write(b'x' * 4096)
REQUEST = b'GET /4k HTTP/1.1\r\nHost: localhost:8000\r\nUser-Agent: wrk\r\nAccept: */*\r\n\r\n'
SHORT, LONG = 1000, 5000


def connect(server, port):
    while server.poll() is None:
        try:
            return socket.create_connection(('127.0.0.1', port))
        except ConnectionRefusedError:
            time.sleep(.05)
    sys.exit('the server has ended: its output is above')


def run(requests):
    """Instructions by function, with `requests` requests on one connection, one after the other."""
    with socket.create_server(('127.0.0.1', 0)) as s:
        port = s.getsockname()[1]
    out = f'{directory}/callgrind.{requests}'
    server = subprocess.Popen(['valgrind', '--quiet', '--tool=callgrind', '--dump-instr=yes', '--compress-pos=no', '--compress-strings=no',
                               f'--callgrind-out-file={out}', f'{directory}/hello', str(port), *MODES[case]], stderr=subprocess.DEVNULL)
    try:
        with connect(server, port) as s:
            for _ in range(requests):
                s.sendall(REQUEST)
                reply = b''
                while not reply.endswith(b'\r\n\r\n' + BODY):
                    more = s.recv(16384)
                    if not more:
                        sys.exit(f'the connection has ended after {reply!r}')
                    reply += more
            server.send_signal(signal.SIGINT)
            server.wait()
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    text = subprocess.run(['callgrind_annotate', '--threshold=100', '--auto=no', out], check=True, capture_output=True, text=True).stdout
    found = collections.Counter()
    for count, name in re.findall(r'^ *([\d,]+) \([^)]*\)  (.+)$', text, re.M):
        found[name] += int(count.replace(',', ''))
    return found, atomics(out)


LOCKED = {}


def locked(path):
    """Addresses of the atomic read-modify-write instructions of a library or program."""
    if path not in LOCKED:
        text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', path], capture_output=True, text=True).stdout
        LOCKED[path] = {int(at, 16) for at in re.findall(r'^ *([0-9a-f]+):\t(?:lock |xchg .*\()', text, re.M)}
    return LOCKED[path]


def atomics(out):
    """Executed atomic instructions by object."""
    found, path, is_call = collections.Counter(), '', False
    with open(out) as f:
        for line in f:
            if line.startswith('ob='):
                path = line[3:].strip()
            elif line.startswith('calls='):
                is_call = True
            elif line.startswith('0x'):
                # The line behind a call has the costs of what was called.
                if not is_call and os.path.isfile(path) and int(line.split()[0], 16) in locked(path):
                    found[os.path.basename(os.path.realpath(path))] += int(line.split()[2])
                is_call = False
    return found


(short, short_atomics), (long, long_atomics) = run(SHORT), run(LONG)
modules = collections.Counter()
total = 0
for name in long:
    n = long[name] - short[name]
    if name == 'PROGRAM TOTALS':
        total = n
        continue
    module = re.search(r'mongoose::(\w+::\w+)', name)
    where = re.search(r'\[.*/([^/]+)\]$', name)
    modules[module[1] if module else where[1] if where else 'other'] += n
per = LONG - SHORT
print(f'{total / per:8.0f}  instructions for a keep-alive request, {case}')
for module, n in modules.most_common():
    if round(n / per) > 0:
        print(f'{n / per:8.0f}  {module}')
print(f'{(long_atomics.total() - short_atomics.total()) / per:8.1f}  atomic instructions')
for name in long_atomics:
    print(f'{(long_atomics[name] - short_atomics[name]) / per:8.1f}  of {name}')
if os.environ.get('FUNCTIONS'):
    print()
    for name in sorted(long, key=lambda name: short[name] - long[name]):
        n = long[name] - short[name]
        if name != 'PROGRAM TOTALS' and round(n / per) > 0:
            print(f'{n / per:8.0f}  {name}')
PY
