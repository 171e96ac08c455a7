#!/bin/sh
# mDNS with another implementation on the same link, both ways. To be run as root by
#   unshare --net --pid --fork --kill-child sh mdns.sh MDNS-SERVER DNS-CLIENT QUERY ZEROCONF.PY
# so that the link is the loopback device of a network of its own, and whatever is started here ends with it.
set -eu
server=$1 client=$2 query=$3 peer=$4
ip link set lo up multicast on
ip route add 224.0.0.0/4 dev lo

"$server" -n demo -p 8123 -t path=/index.html -a 10.4.4.4 > server.log &
python3 -B "$peer" find demo 8123 path=/index.html 10.4.4.4
grep -q '^PTR _http._tcp$' server.log
got=$("$client" demo.local)
[ "$got" = 'demo.local 10.4.4.4' ] || { echo "$got" >&2; exit 1; }

python3 -B "$peer" announce > announced.log &
for i in $(seq 200); do grep -q ready announced.log && break; sleep 0.1; done
# What was announced a moment ago is not said again for a second, and a lookup waits half as long.
for i in $(seq 20); do got=$("$client" peer.local) && break; done
[ "$got" = 'peer.local 10.5.5.5' ] || { echo "$got" >&2; exit 1; }
got=$("$client" nobody.local) && exit 1
[ "$got" = 'nobody.local mDNS timeout' ] || { echo "$got" >&2; exit 1; }
"$query" _ipp._tcp.local > query.log || { cat query.log >&2; exit 1; }
# The address is there when its record came behind the one that names the host.
grep -Eq '^peer.local _ipp._tcp (10.5.5.5|0.0.0.0):631 a=b$' query.log || { cat query.log >&2; exit 1; }
echo well
