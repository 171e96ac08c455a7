#!/bin/sh
# A program on lwIP against the system's own network, through a TAP device. To be run as root by
#   unshare --net --pid --fork --kill-child sh tap.sh SERVER SIZE
# so that the interfaces are those of a network of its own. SIZE bytes are transferred each way.
set -eu
program=$1 size=$2
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; cat "$dir/log" >&2; exit 1; }
ip link set lo up
ip tuntap add dev tap0 mode tap
ip addr add 192.168.77.1/24 dev tap0
ip link set tap0 up
export LWIP_TAP=192.168.77.2
host=192.168.77.2

until_true() { # COMMAND...
  n=0
  until "$@" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 100 ] || return 1
    sleep 0.1
  done
}
answers() { curl -s -m 2 -o /dev/null "http://$host/"; }
start() { # ARGUMENTS...
  "$program" "$@" > "$dir/log" 2>&1 &
  pid=$!
}

mkdir "$dir/www"
head -c "$size" /dev/urandom > "$dir/www/file"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tap -keyout "$dir/key" -out "$dir/cert" 2> "$dir/openssl"

# Clients find their servers.
echo "from the peer" > "$dir/www/page"
python3 -m http.server --bind 192.168.77.1 --directory "$dir/www" 8080 > /dev/null 2>&1 &
web=$!
# 2033-05-18 03:33:20, in seconds since 1900.
python3 - > /dev/null 2>&1 <<'P' &
import socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("192.168.77.1", 123))
while True:
    ask, peer = s.recvfrom(100)
    t = struct.pack("!II", 2000000000 + 2208988800, 0)
    s.sendto(b"\x24\x01\0\0" + bytes(12) + t + ask[40:48] + t + t, peer)
P
clock=$!
printf 'listener 1883 192.168.77.1\nallow_anonymous true\nuser root\n' > "$dir/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$dir/mosquitto.conf" > "$dir/mosquitto" 2>&1 &
mqtt=$!
until_true python3 -c 'import socket; [socket.create_connection(("192.168.77.1", p), 1) for p in (1883, 8080)]' || fail "no broker or web server"
start "dir=$dir/www" "cert=$dir/cert" "key=$dir/key" get=http://192.168.77.1:8080/page mqtt=mqtt://192.168.77.1:1883 time=udp://192.168.77.1:123
until_true answers || fail "no answer"
until_true grep -q 'fetched: from the peer' "$dir/log" || fail "an HTTP client"
until_true grep -q 'time: 2000000000' "$dir/log" || fail "SNTP"
until_true grep -q 'message: there and back' "$dir/log" || fail "MQTT"
kill $web $clock $mqtt

# A server.
[ "$(curl -s -m 5 http://$host/hello)" = "/hello 192.168.77.1" ] || fail "HTTP"
curl -s -m 100 http://$host/files/file | cmp - "$dir/www/file" || fail "a file"
curl -s -m 100 -k https://$host/files/file | cmp - "$dir/www/file" || fail "a file over TLS"
curl -s -m 20 -r 1000-1999 http://$host/files/file > "$dir/range"
dd if="$dir/www/file" bs=1000 skip=1 count=1 2>/dev/null | cmp - "$dir/range" || fail "a range"
want=$(python3 -c 'import sys, zlib; n = 0
for b in iter(lambda: sys.stdin.buffer.read(1 << 20), b""): n = zlib.crc32(b, n)
print("%08x" % n)' < "$dir/www/file")
[ "$(curl -s -m 100 -H Expect: -T "$dir/www/file" http://$host/sink)" = "$want" ] || fail "an upload"
status=0
curl -s -m 5 -o /dev/null http://$host:81/ || status=$?
[ $status = 7 ] || fail "a closed port"
[ "$(curl -s -m 5 http://$host/wake)" = "woken from a thread" ] || fail "mg_wakeup"
for i in 1 2 3 4 5 6 7 8; do curl -s -m 100 http://$host/files/file | cmp - "$dir/www/file" > "$dir/cmp.$i" 2>&1 || echo bad >> "$dir/cmp.$i" & done
python3 - <<'P' || fail "connections"
import socket, struct
A = ("192.168.77.2", 80)
def get(path): return b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path
def ask(s, path):
    s.sendall(get(path))
    got = b""
    while not got.endswith(b"\n"): got += s.recv(1000)
    assert path in got, got
def rest(s):
    got = b""
    while True:
        more = s.recv(65536)
        if not more: return got
        got += more
for i in range(300):
    s = socket.create_connection(A, 5)
    ask(s, b"/%d" % i)
    s.close()
many = [socket.create_connection(A, 5) for i in range(100)]
for i, s in enumerate(many): ask(s, b"/%d" % i)
# Half-close: the answer still comes, then the end.
for s in many[:10]:
    s.sendall(get(b"/half"))
    s.shutdown(socket.SHUT_WR)
    assert b"/half" in rest(s)
# Resets.
for s in many[10:]:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
# Pipelining: answers in order, all of them.
s = socket.create_connection(A, 20)
n = 2000
s.sendall(b"".join(get(b"/n%d" % i) for i in range(n)))
s.shutdown(socket.SHUT_WR)
got = rest(s)
at = 0
for i in range(n):
    at = got.index(b"\r\n\r\n/n%d " % i, at)
assert got.count(b"HTTP/1.1 200") == n
# UDP echo, up to the largest datagram in one packet, and one that is fragmented.
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
for n in (1, 100, 1472, 4000):
    u.sendto(b"x" * n, ("192.168.77.2", 7))
    assert u.recv(9000) == b"x" * n, n
# WebSocket, with a message that fills the windows.
s = socket.create_connection(A, 20)
s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
got = b""
while b"\r\n\r\n" not in got: got += s.recv(1000)
assert b" 101 " in got
s.sendall(b"\x81\x85\0\0\0\0hello")
assert s.recv(100) == b"\x81\x05hello"
n = 1000000
s.sendall(b"\x81\xff" + struct.pack("!Q", n) + b"\0\0\0\0" + b"w" * n)
got = b""
while len(got) < n + 10: got += s.recv(65536)
assert got == b"\x81\x7f" + struct.pack("!Q", n) + b"w" * n
P
for i in 1 2 3 4 5 6 7 8; do until_true [ -f "$dir/cmp.$i" ]; done
until_true sh -c '! pgrep -x curl' || fail "files at a time"
cat "$dir"/cmp.* | grep -q . && fail "files at a time"
answers || fail "after all that"

# A drain: what was begun is finished, every byte of it, nothing new is accepted, and the program ends by itself.
curl -s -m 60 --limit-rate 2M http://$host/files/file > "$dir/slow" &
slow=$!
until_true [ -s "$dir/slow" ] || fail "a slow client"
[ "$(curl -s -m 5 http://$host/drain)" = draining ] || fail "the drain did not begin"
wait $slow || fail "a client was cut off: $?"
cmp "$dir/slow" "$dir/www/file" || fail "a client got less"
status=0
wait $pid || status=$?
[ $status = 0 ] && grep -q '^drained' "$dir/log" || fail "the drain did not end: $status"
