# A recipe for a layer of yours. The sources are a directory beside it; crates come from the network of do_compile, or from a
# vendor directory in the sources (cargo vendor).
SUMMARY = "Embedded web server and networking library"
DESCRIPTION = "HTTP, WebSocket, MQTT, DNS, SNTP, Modbus and TLS for C programs: the mg_* API of libmongoose 7.22"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=8a8ca77c0430c881ef1d569088005114"

inherit rust cargo_common pkgconfig

FILESEXTRAPATHS:prepend := "${THISDIR}:"
SRC_URI = "file://libmongoose-rs"
S = "${WORKDIR}/libmongoose-rs"

DEPENDS = "cargo-native rust-native"

PACKAGECONFIG ??= "tls ecc"
PACKAGECONFIG[tls] = ",,"
PACKAGECONFIG[ecc] = ",,"

do_compile[network] = "1"

EXTRA_OEMAKE = "'CC=${CC}' 'OBJCOPY=${OBJCOPY}' 'READELF=${READELF}' PREFIX=${prefix} LIBDIR=${libdir} INCLUDEDIR=${includedir} \
    BUILD_DIR=target/${RUST_TARGET_SYS}/small/lib"

do_compile() {
    export CARGO_BUILD_TARGET="${RUST_TARGET_SYS}"
    export TARGET_CC="${CC}"
    oe_runmake small FEATURES="capi ${PACKAGECONFIG}"
}

do_install() {
    oe_runmake DESTDIR=${D} install-files
}
