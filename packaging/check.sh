#!/bin/sh
# check.sh BUILD_DIR: builds and uses each kind of package from an empty directory. What cannot run on this machine is checked for
# syntax, and said so. Called by `make packages`.
set -eu
cd "$(dirname "$0")/.."
source=$(pwd) build=$1
work=$source/target/packages
rm -rf "$work"
mkdir -p "$work"
for tool in cmake meson ninja pkg-config python3; do
  command -v $tool >/dev/null || { echo "$tool is missing: make deps-packages"; exit 1; }
done

# A user's project: main.c and what $2... copies into it.
project() {
  mkdir -p "$work/$1"
  cat > "$work/$1/main.c" <<'END'
#include "mongoose.h"
int main(void) {
  struct mg_mgr mgr;
  char text[32];
  mg_mgr_init(&mgr);
  mg_snprintf(text, sizeof(text), "%m", MG_ESC("hello"));
  mg_mgr_free(&mgr);
  return strcmp(text, "\"hello\"");
}
END
  cd "$work/$1"
}

prefix=$work/prefix
make -s -C "$source" install-files PREFIX="$prefix" BUILD_DIR="$(cd "$build" && pwd)" >"$work/install.log"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"

project pkg-config
cc main.c $(pkg-config --cflags --libs mongoose) -Wl,-rpath,"$prefix/lib" -o shared && ./shared
cc main.c $(pkg-config --cflags --libs mongoose-static) -o archive && ./archive
cc -static main.c $(pkg-config --static --cflags --libs mongoose) -o static 2>static.log && ./static
echo 'pkg-config: shared, archive, static: works'

project cmake
cat > CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.13)
project(user C)
find_package(mongoose 7.22 REQUIRED)
find_package(unofficial-mongoose REQUIRED)
foreach(target mongoose::mongoose mongoose::static unofficial::mongoose::mongoose)
  string(REPLACE ":" "_" name ${target})
  add_executable(${name} main.c)
  target_link_libraries(${name} ${target})
endforeach()
END
cmake -S . -B b -DCMAKE_PREFIX_PATH="$prefix" >log && cmake --build b >>log
for program in b/mongoose__mongoose b/mongoose__static b/unofficial__mongoose__mongoose; do $program; done
echo 'CMake find_package: works'

project fetch
cat > CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.14)
project(user C)
include(FetchContent)
FetchContent_Declare(mongoose SOURCE_DIR ${MONGOOSE_SOURCE})
FetchContent_MakeAvailable(mongoose)
add_executable(app main.c)
target_link_libraries(app unofficial::mongoose::mongoose)
END
for shared in OFF ON; do
  cmake -S . -B b -DMONGOOSE_SOURCE="$source" -DBUILD_SHARED_LIBS=$shared >log && cmake --build b >>log 2>&1 || { cat log; exit 1; }
  b/app
done
echo 'CMake FetchContent, static and shared: works'

project meson
mkdir -p subprojects
ln -s "$source" subprojects/mongoose
cp "$source/packaging/mongoose.wrap" subprojects/
cat > meson.build <<'END'
project('user', 'c')
executable('app', 'main.c', dependencies: dependency('mongoose', fallback: ['mongoose', 'mongoose_dep']))
END
PKG_CONFIG_PATH= meson setup b --wrap-mode=forcefallback >log && ninja -C b >>log 2>&1 || { cat log; exit 1; }
b/app
meson setup system >>log && ninja -C system >>log
LD_LIBRARY_PATH=$prefix/lib system/app
echo 'Meson, subproject and installed: works'

project dropin
cp "$source/packaging/dropin/mongoose.c" "$source/include/mongoose.h" .
cc -std=c99 -Wall -Wextra -Wpedantic -Werror main.c mongoose.c -L"$prefix/lib" -lmongoose -Wl,-rpath,"$prefix/lib" -o app && ./app
echo 'two-file drop-in: works'

cd "$source"
# Without cargo: how to get it.
! env -i HOME=/nowhere PATH=/usr/bin:/bin packaging/no-cargo.sh 2>"$work/no-cargo" && grep -q 'sh.rustup.rs' "$work/no-cargo"
echo 'cargo missing: the message tells how to install it'
cargo package --list --allow-dirty >"$work/crate.list"
# All that the README links to or names is in the package.
for file in $(grep -o '](\([^)#:]*\))' README.md | tr -d '()]'); do
  grep -q "^$file\(/\|\$\)" "$work/crate.list" || { echo "the package lacks $file"; exit 1; }
done
echo 'cargo package: complete'

if command -v cargo-deny >/dev/null; then
  ${MAKE:-make} --no-print-directory deny
else
  cargo metadata --format-version 1 | python3 -c '
import json, re, sys, tomllib
allowed = tomllib.load(open("deny.toml", "rb"))["licenses"]["allow"]
for p in json.load(sys.stdin)["packages"]:
    if not any(all(l in allowed for l in re.findall(r"[A-Z0-9][\w.-]+", a) if l != "AND") for a in re.split(r" OR |/", p["license"] or "none")):
        sys.exit("%s: licence %s" % (p["name"], p["license"]))'
  echo 'cargo deny: not installed; deny.toml is well-formed, and all licences are on its list'
fi

if command -v cargo-cbuild >/dev/null; then
  cargo cinstall --release --prefix "$work/cargo-c" --libdir "$work/cargo-c/lib"
  project cargo-c-user
  cp "$work/cmake/CMakeLists.txt" . && sed -i '/unofficial-mongoose/d' CMakeLists.txt
  cmake -S . -B b -DCMAKE_PREFIX_PATH="$work/cargo-c" >log && cmake --build b >>log && b/mongoose__static
  echo 'cargo-c: works'
else
  python3 - <<'END'
import os, tomllib
capi = tomllib.load(open("Cargo.toml", "rb"))["package"]["metadata"]["capi"]
for asset in capi["install"]["include"]["asset"] + capi["install"]["data"]["asset"]:
    assert os.path.exists(asset["from"]), asset
END
  echo 'cargo-c: not installed; the files that it would install exist'
fi

# One protocol: it works, others do not link, and the printer of backtraces is out.
make -s small FEATURES=http >"$work/small.log" 2>&1 || { cat "$work/small.log"; exit 1; }
project small
cat > server.c <<'END'
#include "mongoose.h"
static int status;
static void server(struct mg_connection *c, int ev, void *ev_data) {
  (void) ev_data;
  if (ev == MG_EV_HTTP_MSG) mg_http_reply(c, 200, "", "hi");
}
static void client(struct mg_connection *c, int ev, void *ev_data) {
  (void) c;
  if (ev == MG_EV_HTTP_MSG) status = mg_http_status((struct mg_http_message *) ev_data);
}
int main(void) {
  struct mg_mgr mgr;
  char url[64];
  int i;
  mg_mgr_init(&mgr);
  mg_snprintf(url, sizeof(url), "http://127.0.0.1:%d", mg_ntohs(mg_http_listen(&mgr, "http://127.0.0.1:0", server, NULL)->loc.port));
  mg_printf(mg_http_connect(&mgr, url, client, NULL), "GET / HTTP/1.0\r\n\r\n");
  for (i = 0; i < 1000 && status == 0; i++) mg_mgr_poll(&mgr, 10);
  mg_mgr_free(&mgr);
  return status != 200;
}
END
cat > mqtt.c <<'END'
#include "mongoose.h"
int main(void) {
  mg_mqtt_ping(NULL);
  return 0;
}
END
small=$source/target/small/lib
cc server.c -I"$source/include" "$small/libmongoose.a" -lm -Wl,--gc-sections -o static && ./static
cc server.c -I"$source/include" -L"$small" -lmongoose -Wl,-rpath,"$small" -o shared && ./shared
for library in "$small/libmongoose.a" "$small/libmongoose.so"; do
  if cc mqtt.c -I"$source/include" "$library" -lm -o mqtt 2>log; then echo 'a library without MQTT has mg_mqtt_ping'; exit 1; fi
  grep -q 'undefined reference to .mg_mqtt_ping' log
done
if grep -q 'stack backtrace' static "$small/libmongoose.so"; then echo 'the small library contains the backtrace printer'; exit 1; fi
cd "$source"
echo 'small library, HTTP only: works, and contains nothing else'

packaging/sbom.py "$work/sbom"
python3 - "$work/sbom" <<'END'
import json, sys
bom = json.load(open(sys.argv[1] + "/mongoose.cdx.json"))
refs = {c["bom-ref"] for c in bom["components"]} | {bom["metadata"]["component"]["bom-ref"]}
assert {"rustls", "mio", "ring"} <= {c["name"] for c in bom["components"]}
assert all(d["ref"] in refs and set(d["dependsOn"]) <= refs for d in bom["dependencies"])
assert not {"cbindgen", "proptest", "cc"} & {c["name"] for c in bom["components"]}, "not part of the library"
notices = open(sys.argv[1] + "/THIRD-PARTY-NOTICES.txt").read()
assert all(f"{c['name']} {c['version']}: " in notices for c in bom["components"] if c["name"] != "rust-std")
END
echo 'bill of materials and notices: consistent'

if command -v dpkg-buildpackage >/dev/null && command -v lintian >/dev/null && command -v dh >/dev/null; then
  packaging/debian.sh "$build" "$work/deb"
  for deb in "$work"/deb/*.deb; do dpkg -x "$deb" "$work/debian-root"; done
  project debian-user
  libdir=usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
  export PKG_CONFIG_PATH="$work/debian-root/$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$work/debian-root"
  for name in mongoose mongoose-rs; do
    cc main.c $(pkg-config --cflags --libs $name) -o app && LD_LIBRARY_PATH="$work/debian-root/$libdir" ./app
  done
  ! LD_LIBRARY_PATH='' ./app 2>/dev/null || { echo 'not linked to the packaged library'; exit 1; }
  unset PKG_CONFIG_SYSROOT_DIR
  cd "$source"
  echo 'Debian packages: lintian-clean, and they work'
else
  echo 'Debian packages: not built; dpkg-dev, debhelper and lintian are missing'
fi

packaging/recipes.py
