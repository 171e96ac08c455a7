#!/bin/sh
# dist.sh BUILD_DIR VERSION TO: packs what is in BUILD_DIR into TO/libmongoose-VERSION-TARGET.tar.gz: headers, libraries, files for
# pkg-config and CMake that find them wherever the tarball is unpacked, mongoose-pack, documentation. The same inputs give the same
# bytes. Then unpacks it and builds a program with it. Called by `make dist`.
set -eu
cd "$(dirname "$0")/.."
build=$(cd "$1" && pwd) version=$2
mkdir -p "$3"
to=$(cd "$3" && pwd)
target=$(${CC:-cc} -dumpmachine)
name=libmongoose-$version-$target
stage=$to/stage
rm -rf "$stage"

make -s install-files BUILD_DIR="$build" PREFIX=/prefix DESTDIR="$stage" >"$to/install.log"
mv "$stage/prefix" "$stage/$name"
cd "$stage/$name"
for pc in lib/pkgconfig/*.pc; do
  sed -i -e 's|^prefix=.*|prefix=${pcfiledir}/../..|' -e 's|=/prefix/|=${prefix}/|' "$pc"
done
mkdir -p bin share/doc/libmongoose share/man
cp "$build/mongoose-pack" bin/
strip bin/mongoose-pack 2>/dev/null || :
cd "$OLDPWD"
doc=$stage/$name/share/doc/libmongoose
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$doc"
cp -r examples-c "$doc"
cp -r target/docs/html "$doc/html"
cp -r target/docs/man/man3 "$stage/$name/share/man/"
if grep -rl "$(pwd)" "$stage/$name" --include='*.pc' --include='*.cmake' --include='*.h'; then
  echo 'these files contain the path of the build directory'
  exit 1
fi
chmod -R u=rwX,go=rX "$stage/$name"
tar --sort=name --mtime=@1600000000 --owner=0 --group=0 --numeric-owner -C "$stage" -cf "$to/$name.tar" "$name"
gzip -9nf "$to/$name.tar"
rm -rf "$stage"

# Whoever unpacks it needs nothing else.
check=$to/check
rm -rf "$check"
mkdir "$check"
tar -C "$check" -xf "$to/$name.tar.gz"
cd "$check"
cat > main.c <<'END'
#include "mongoose.h"
#include "mongoose_ext.h"
extern const struct mg_mem_file packed_files[];
int main(void) {
  struct mg_mgr mgr;
  struct mg_str page;
  mg_mem_files = packed_files;
  mg_mgr_init(&mgr);
  page = mg_unpacked("/page.html");
  mg_mgr_free(&mgr);
  return mgx_api_version() == NULL || mg_strcmp(page, mg_str("hello\n")) != 0;
}
END
echo hello > page.html
if [ "$target" = "$(cc -dumpmachine)" ]; then
  PKG_CONFIG_PATH=$(pwd)/$name/lib/pkgconfig
  export PKG_CONFIG_PATH
  "$name/bin/mongoose-pack" page.html > packed.c
  cc main.c packed.c $(pkg-config --cflags --libs mongoose) -Wl,-rpath,"$(pwd)/$name/lib" -o shared && ./shared
  cc main.c packed.c $(pkg-config --cflags --libs mongoose-static) -o archive && ./archive
  ldd shared | grep -q "$name/lib/libmongoose.so.7"
  # It may be moved.
  mkdir elsewhere
  mv "$name" elsewhere/
  PKG_CONFIG_PATH=$(pwd)/elsewhere/$name/lib/pkgconfig
  cc main.c packed.c $(pkg-config --cflags --libs mongoose-static) -o moved && ./moved
fi
cd ..
rm -rf check install.log
echo "$to/$name.tar.gz: $(du -k "$name.tar.gz" | cut -f1) KiB"
