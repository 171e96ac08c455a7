#!/bin/sh
# Installs the tools of `make conformance` into the directory $1, as root on Debian; otherwise lists what is missing. Downloads use apt
# and pip, as configured.
set -eu
dir=$1
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
missing=
say_missing() { missing="$missing $1"; }

# Programs, with their packages, which are installed on the system because testssl.sh needs its own data files.
packages=
for t in testssl:testssl.sh slowhttptest:slowhttptest; do
  command -v "${t%%:*}" >/dev/null || packages="$packages ${t#*:}"
done
echo '#include <sqlite3.h>' | ${CC:-cc} -E - >/dev/null 2>&1 || packages="$packages libsqlite3-dev"
if [ -n "$packages" ]; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update && apt-get install -y --no-install-recommends $packages
  else
    say_missing "the Debian packages$packages;"
  fi
fi

# Python packages, in the versions that produced the lists of expected deviations.
if [ ! -d "$dir/python/httplint" ] || [ ! -d "$dir/python/h11" ] || [ ! -d "$dir/python/tlslite" ]; then
  python3 -m pip install --quiet --target "$dir/python" httplint==2026.10.4 h11==0.16.0 tlslite-ng==0.8.2 || say_missing "httplint, h11, tlslite-ng of PyPI;"
fi

# The mirror that apt uses.
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 2>/dev/null | grep -v security | head -n 1; }
fetch() { /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file "$1" "$2" >/dev/null; }

# Python 2, which Autobahn's testsuite needs, from the last Debian release that has it, and its pip.
if [ ! -x "$dir/python2/usr/bin/python2.7" ]; then
  if m=$(mirror) && [ -n "$m" ]; then
    for p in p/python2.7/python2.7-minimal_2.7.18-8+deb11u1_amd64 p/python2.7/libpython2.7-minimal_2.7.18-8+deb11u1_amd64 \
             p/python2.7/libpython2.7-stdlib_2.7.18-8+deb11u1_amd64 p/python2.7/libpython2.7-dev_2.7.18-8+deb11u1_amd64 \
             o/openssl/libssl1.1_1.1.1w-0+deb11u1_amd64 libf/libffi/libffi7_3.3-6_amd64; do
      fetch "${m%/}/pool/main/$p.deb" "$dir/package.deb" && dpkg-deb -x "$dir/package.deb" "$dir/python2.part" || { say_missing "${p##*/} of Debian 11;"; break; }
    done
    rm -f "$dir/package.deb"
    [ ! -x "$dir/python2.part/usr/bin/python2.7" ] || [ -n "$missing" ] || mv "$dir/python2.part" "$dir/python2"
  else
    say_missing "Python 2.7 of Debian 11;"
  fi
fi
if [ -x "$dir/python2/usr/bin/python2.7" ] && [ ! -f "$dir/autobahn/zope/__init__.py" ]; then
  python3 -m pip download --quiet --no-deps --python-version 2.7 --only-binary=:all: --implementation py --abi none --platform any -d "$dir/pip2" \
    pip==20.3.4 setuptools==44.1.1 wheel==0.37.1
  for w in "$dir"/pip2/*.whl; do python3 -m zipfile -e "$w" "$dir/pip2"; done
  python2() {
    PYTHONHOME="$dir/python2/usr" LD_LIBRARY_PATH="$dir/python2/usr/lib/x86_64-linux-gnu:$dir/python2/lib/x86_64-linux-gnu" \
      C_INCLUDE_PATH="$dir/python2/usr/include:$dir/python2/usr/include/python2.7" PYTHONPATH="$dir/pip2" "$dir/python2/usr/bin/python2.7" "$@"
  }
  python2 -m pip install --quiet --target "$dir/autobahn" autobahntestsuite==25.10.1 &&
    touch "$dir/autobahn/zope/__init__.py" || say_missing "autobahntestsuite of PyPI;"
fi

# The broker tests from mosquitto's source package.
if [ ! -f "$dir/mosquitto/test/broker/test.py" ]; then
  if m=$(mirror) && [ -n "$m" ] && fetch "${m%/}/pool/main/m/mosquitto/mosquitto_2.0.11.orig.tar.gz" "$dir/mosquitto.tar.gz"; then
    mkdir -p "$dir/mosquitto"
    tar xzf "$dir/mosquitto.tar.gz" -C "$dir/mosquitto" --strip-components=1 --wildcards '*/test/broker/*' '*/test/*.py'
    rm "$dir/mosquitto.tar.gz"
  else
    say_missing "the source of mosquitto 2.0.11 of Debian 12;"
  fi
fi

[ -z "$missing" ] || { echo "make conformance needs$missing"; exit 1; }
