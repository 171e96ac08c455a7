#!/bin/sh
# Names that the system knows: /etc/hosts, /etc/resolv.conf, and servers at the usual port. To be run as root by
#   unshare --mount --net --pid --fork --kill-child sh names.sh DNS-CLIENT
# in an empty directory: nothing outside is touched, and whatever is started here ends with it.
set -eu
client=$1

expect() { # what the program prints, and its arguments
  want=$1; shift
  got=$("$client" "$@") || true
  if [ "$got" != "$want" ]; then
    printf 'dns-client %s\n--- got\n%s\n--- want\n%s\n' "$*" "$got" "$want" >&2
    exit 1
  fi
}

resolv() { printf '%b' "$1" > resolv.conf; }

mount --make-rprivate /
touch hosts resolv.conf
mount --bind hosts /etc/hosts
mount --bind resolv.conf /etc/resolv.conf
ip link set lo up

# No server at all, then one that is not there.
expect 'nowhere.test DNS error' nowhere.test
resolv 'nameserver 127.0.0.3\n'
expect 'nowhere.test DNS timeout' -t 300 nowhere.test

common='--no-resolv --no-hosts --bind-interfaces --conf-file=/dev/null --pid-file= --user=root --local-ttl=5'
dnsmasq $common --listen-address=127.0.0.2 --listen-address=::1 --local=/test/ --host-record=h.test,10.1.2.3 \
  --host-record=both.test,10.1.2.4,fd00::4 --host-record=six.test,fd00::6 --cname=alias.test,h.test \
  --host-record=short.sub.test,10.1.2.5
dnsmasq $common --listen-address=127.0.0.4 --local=/test/ --address=/h.test/10.9.9.9

# The first server does not answer, or is not there; then the second is asked. Only IPv6; several lines of options.
resolv 'nameserver 127.0.0.3\nnameserver 127.0.0.2\n'
expect 'h.test 10.1.2.3' h.test
resolv '# a comment\nnameserver ::1\noptions timeout:1 attempts:1\n'
expect 'alias.test 10.1.2.3
both.test 10.1.2.4
six.test [fd00:0:0:0:0:0:0:6]
no.test no.test DNS lookup failed' alias.test both.test six.test no.test
expect 'both.test [fd00:0:0:0:0:0:0:4]
h.test h.test DNS lookup failed' -6 both.test h.test

# Short names.
expect 'short short DNS lookup failed' short
resolv 'nameserver 127.0.0.2\nsearch nowhere.test sub.test\n'
expect 'short 10.1.2.5
short. short. DNS lookup failed
h.test 10.1.2.3' short short. h.test
resolv 'nameserver 127.0.0.2\nsearch test\noptions ndots:2\n'
expect 'short.sub 10.1.2.5' short.sub

# A server that the program names is the one that is asked, without search domains; the hosts file counts all the same.
expect 'h.test 10.9.9.9
short.sub short.sub DNS lookup failed' -s udp://127.0.0.4:53 h.test short.sub
expect 'h.test 10.1.2.3' -s tcp://127.0.0.2:53 h.test
printf '# names\n10.7.7.7 mine.test h.test H2\n::5 five\n' > hosts
expect 'h.test 10.7.7.7
h2. 10.7.7.7
five [0:0:0:0:0:0:0:5]
localhost 127.0.0.1' -s udp://127.0.0.4:53 h.test h2. five localhost
expect 'MINE.test 10.7.7.7' MINE.test
echo well
