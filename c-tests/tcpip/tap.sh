#!/bin/sh
# The stack over a TAP device against the system's own. To be run as root by
#   unshare --net --pid --fork --kill-child sh tap.sh TAP-DRIVER TAP-DRIVER-WITH-IPV6 SIZE
# so that the interfaces are those of a network of its own.
set -eu
program=$1 program6=$2 size=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
fail() { echo "$*" >&2; exit 1; }
ip link set lo up
ip tuntap add dev tap0 mode tap
ip addr add 192.168.77.1/24 dev tap0
ip link set tap0 up

until_true() { # COMMAND...
  n=0
  until "$@" >/dev/null 2>&1; do
    n=$((n + 1))
    [ $n -lt 100 ] || return 1
    sleep 0.1
  done
}
answers() { curl -s -m 2 -o /dev/null "http://$1/"; }
start() { # PROGRAM ARGUMENTS...
  "$@" > "$dir/log" 2>&1 &
  pid=$!
}
stop() { kill $pid; wait $pid 2>/dev/null || true; }

# A fixed address.
head -c 1000000 /dev/urandom > "$dir/file"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tap -keyout "$dir/key" -out "$dir/cert" 2> "$dir/openssl"
start "$program" tap0 192.168.77.2 "dir=$dir" "cert=$dir/cert" "key=$dir/key"
until_true answers 192.168.77.2 || fail "no answer"
[ "$(curl -s -m 5 http://192.168.77.2/hello | cut -d' ' -f1)" = /hello ] || fail "HTTP"
ping -q -c 3 -i 0.2 -W 2 192.168.77.2 | grep -q ' 0% packet loss' || fail "ping"
ping -q -c 2 -i 0.2 -W 2 -s 1400 192.168.77.2 | grep -q ' 0% packet loss' || fail "long ping"
curl -s -m 20 http://192.168.77.2/files/file | cmp - "$dir/file" || fail "file"
curl -s -m 20 -k https://192.168.77.2/files/file | cmp - "$dir/file" || fail "file over TLS"
curl -s -m 20 -r 1000-1999 http://192.168.77.2/files/file > "$dir/range"
dd if="$dir/file" bs=1000 skip=1 count=1 2>/dev/null | cmp - "$dir/range" || fail "range"
curl -s -m 5 -o /dev/null http://192.168.77.2:81/ && fail "a closed port"
[ $? = 7 ] || true
# Several at a time, and one connection after the other.
for i in 1 2 3 4 5 6 7 8; do curl -s -m 20 http://192.168.77.2/files/file | cmp - "$dir/file" > "$dir/cmp.$i" 2>&1 || echo bad > "$dir/cmp.$i" & done
for i in 1 2 3 4 5 6 7 8; do until_true [ -f "$dir/cmp.$i" ]; done
python3 - <<'P' || fail "connections"
import socket, struct, threading
A = ("192.168.77.2", 80)
def ask(s, path):
    s.sendall(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    got = b""
    while not got.endswith(b"\n"): got += s.recv(1000)
    assert path in got, got
for i in range(300):
    s = socket.create_connection(A, 5)
    ask(s, b"/%d" % i)
    s.close()
many = [socket.create_connection(A, 5) for i in range(100)]
for i, s in enumerate(many): ask(s, b"/%d" % i)
# Half-close: the answer still comes, then the end.
for s in many[:10]:
    s.sendall(b"GET /half HTTP/1.1\r\nHost: x\r\n\r\n")
    s.shutdown(socket.SHUT_WR)
    got = b""
    while True:
        more = s.recv(1000)
        if not more: break
        got += more
    assert b"/half" in got, got
# Resets.
for s in many[10:]:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()
# UDP echo, up to the largest datagram.
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.settimeout(5)
for n in (1, 100, 1472):
    u.sendto(b"x" * n, ("192.168.77.2", 7))
    assert u.recv(2000) == b"x" * n
# WebSocket.
s = socket.create_connection(A, 5)
s.sendall(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
got = b""
while b"\r\n\r\n" not in got: got += s.recv(1000)
assert b" 101 " in got
s.sendall(b"\x81\x85\0\0\0\0hello")
assert s.recv(100) == b"\x81\x05hello"
P
answers 192.168.77.2 || fail "after the resets"
stop
cat "$dir"/cmp.* | grep -q . && fail "files at a time"

# A DHCP server and a name server: dnsmasq.
dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --interface=tap0 --bind-interfaces --except-interface=lo \
  --address=/peer.example/192.168.77.1 --dhcp-range=192.168.77.50,192.168.77.50,1h --dhcp-option=42,192.168.77.1 --dhcp-leasefile="$dir/leases" --log-dhcp --pid-file= \
  > "$dir/dnsmasq" 2>&1 &
dns=$!
mkdir "$dir/www"
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
mqtt=
if command -v mosquitto > /dev/null || [ -x /usr/sbin/mosquitto ]; then
  printf 'listener 1883 192.168.77.1\nallow_anonymous true\nuser root\n' > "$dir/mosquitto.conf"
  PATH=$PATH:/usr/sbin mosquitto -c "$dir/mosquitto.conf" > "$dir/mosquitto" 2>&1 &
  mqtt=$!
  until_true python3 -c 'import socket; socket.create_connection(("192.168.77.1", 1883), 1)' || fail "no broker"
fi
start "$program" tap0 ${mqtt:+mqtt=mqtt://192.168.77.1:1883} get=http://peer.example:8080/page
until_true answers 192.168.77.50 || { cat "$dir/log" "$dir/dnsmasq" >&2; fail "DHCP"; }
grep -q 'mip' "$dir/leases" || fail "the name in the lease"
# The name server that DHCP has named knows the peer, which has a page for us.
until_true grep -q 'fetched: from the peer' "$dir/log" || { cat "$dir/log" >&2; fail "a client by name"; }
until_true grep -q 'time: 2000000000' "$dir/log" || { cat "$dir/log" >&2; fail "SNTP"; }
[ -z "$mqtt" ] || until_true grep -q 'message: there and back' "$dir/log" || { cat "$dir/log" >&2; fail "MQTT"; }
stop
kill $dns $web $clock $mqtt

# Frames are lost, repeated and swapped, on both ways.
head -c "$size" /dev/urandom > "$dir/big"
for seed in 1 7; do
  start "$program" tap0 192.168.77.2 "dir=$dir" loss=5 seed=$seed
  until_true answers 192.168.77.2 || fail "no answer with losses"
  curl -s -m 400 http://192.168.77.2/files/big | cmp - "$dir/big" || fail "downloading with losses"
  want=$(python3 -c 'import sys, zlib; n = 0
for b in iter(lambda: sys.stdin.buffer.read(1 << 20), b""): n = zlib.crc32(b, n)
print("%08x" % n)' < "$dir/big")
  [ "$(curl -s -m 400 -H Expect: -T "$dir/big" http://192.168.77.2/sink)" = "$want" ] || fail "uploading with losses"
  stop
done

# IPv6: an address from a router, which is dnsmasq.
ip -6 addr add fd00:77::1/64 dev tap0 nodad
until_true sh -c 'ip -6 addr show dev tap0 scope link | grep -q inet6 && ! ip -6 addr show dev tap0 | grep -q tentative' || fail "the link-local address"
dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --interface=tap0 --bind-interfaces --except-interface=lo \
  --dhcp-range=fd00:77::,ra-only,64,1h --enable-ra --ra-param=tap0,5 --dhcp-leasefile="$dir/leases6" --pid-file= > "$dir/dnsmasq6" 2>&1 &
dns=$!
start "$program6" tap0 192.168.77.2 mac=02:00:00:00:77:02
answers6() { curl -s -g -m 2 "http://[fd00:77::ff:fe00:7702]/six" | grep -q six; }
until_true answers6 || { cat "$dir/log" "$dir/dnsmasq6" >&2; fail "IPv6"; }
ping -6 -q -c 3 -i 0.2 -W 2 fd00:77::ff:fe00:7702 | grep -q ' 0% packet loss' || fail "ping over IPv6"
ping -6 -q -c 3 -i 0.2 -W 2 fe80::ff:fe00:7702%tap0 | grep -q ' 0% packet loss' || fail "ping over the link-local address"
answers 192.168.77.2 || fail "IPv4 beside IPv6"
stop
kill $dns
