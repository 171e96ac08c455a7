#!/bin/sh
# Link-local addresses with zones in every form. To be run as root by
#   unshare --net --pid --fork --kill-child sh zones.sh LISTEN-ON
# so that the interfaces are those of a network of its own.
set -eu
listen=$1
ip link set lo up
ip link add one type veth peer name two
ip link set one up
ip link set two up
ip addr add fe80::1/64 dev one nodad
index=$(ip -o link show one | cut -d: -f1)
well="scope $index, connected from scope $index"
for url in "tcp://[fe80::1%$index]:0" 'tcp://[fe80::1%one]:0' 'tcp://[fe80::1%25one]:0' "tcp://[fe80::1%25$index]:0"; do
  got=$("$listen" "$url")
  [ "$got" = "$url $well" ] || { echo "$got" >&2; exit 1; }
done
# Another interface, none at all, and an address without the zone that it needs.
got=$("$listen" 'tcp://[fe80::1%two]:0' 'tcp://[fe80::1%three]:0' 'tcp://[fe80::1%25three]:0' 'tcp://[fe80::1%]:0' 'tcp://[fe80::1%25]:0' 'tcp://[fe80::1]:0')
[ "$got" = 'tcp://[fe80::1%two]:0 Cannot assign requested address
tcp://[fe80::1%three]:0 Invalid argument
tcp://[fe80::1%25three]:0 Invalid argument
tcp://[fe80::1%]:0 Invalid argument
tcp://[fe80::1%25]:0 No such device
tcp://[fe80::1]:0 Invalid argument' ] || { echo "$got" >&2; exit 1; }
echo well
