// The mg_* API, version 7.22, of libmongoose-rs. Generated from its Rust sources: see include/cbindgen.toml.

#ifndef MONGOOSE_H
#define MONGOOSE_H

#define MG_VERSION "7.22"

// ---- The platform. The library is built for hosted Unix; with MG_ARCH_CUSTOM settings come from the program's mongoose_config.h.
#define MG_ARCH_CUSTOM 0
#define MG_ARCH_UNIX 1
#define MG_ARCH_WIN32 2
#define MG_ARCH_ESP32 3
#define MG_ARCH_ESP8266 4
#define MG_ARCH_FREERTOS 5
#define MG_ARCH_THREADX 6
#define MG_ARCH_ZEPHYR 7
#define MG_ARCH_ARMGCC 8
#define MG_ARCH_NEWLIB MG_ARCH_ARMGCC
#define MG_ARCH_CMSIS_RTOS1 9
#define MG_ARCH_TIRTOS 10
#define MG_ARCH_PICOSDK 11
#define MG_ARCH_ARMCC 12
#define MG_ARCH_CMSIS_RTOS2 13
#define MG_ARCH_RTTHREAD 14
#define MG_ARCH_ARMCGT 15
#define MG_ARCH_CUBE 16
#define MG_ARCH_MCUXPRESSO 17
#define MG_TLS_NONE 0
#define MG_TLS_MBED 1
#define MG_TLS_OPENSSL 2
#define MG_TLS_BUILTIN 3
#define MG_TLS_CUSTOM 4
#define MG_TLS_WOLFSSL 5
#define MG_OTA_NONE 0
#define MG_OTA_CH32V307 100
#define MG_OTA_U2A 200
#define MG_OTA_RT1020 300
#define MG_OTA_RT1050 301
#define MG_OTA_RT1060 302
#define MG_OTA_RT1064 303
#define MG_OTA_RT1170 304
#define MG_OTA_MCXN 310
#define MG_OTA_RW612 320
#define MG_OTA_FLASH 900
#define MG_OTA_ESP32 910
#define MG_OTA_PICOSDK 920
#define MG_OTA_CUSTOM 1000

#ifndef MG_ARCH
#if defined(__unix__) || defined(__APPLE__)
#define MG_ARCH MG_ARCH_UNIX
#else
#error MG_ARCH: the library is built for MG_ARCH_UNIX, which this compiler does not target
#endif
#endif

#if MG_ARCH == MG_ARCH_CUSTOM
#include "mongoose_config.h"
#elif MG_ARCH != MG_ARCH_UNIX
#error MG_ARCH: the library is built for MG_ARCH_UNIX; MG_ARCH_CUSTOM is possible too
#endif

// ---- The version that the program was written for, when it is an earlier 7.x: 713 for 7.13. See docs/migrating.md.
#ifndef MGX_COMPAT_7
#define MGX_COMPAT_7 722
#elif MGX_COMPAT_7 < 700 || MGX_COMPAT_7 > 799
#error MGX_COMPAT_7: the version that the program was written for, such as 713 for 7.13
#endif
#if MGX_COMPAT_7 < 722
// A member that had other names: -Wpedantic knows unions without a name since C11 only.
#define MGX_ALSO __extension__ union
// struct mg_str s = {"text", 4};
#pragma GCC diagnostic ignored "-Wmissing-braces"
#endif

// ---- Settings that are part of the binary layout. `make install` writes the values that the library was built with.
#define MGX_BUILT_DATA_SIZE 32
#define MGX_BUILT_MAX_HTTP_HEADERS 30
#define MGX_BUILT_TIME_SIZE 0  // bytes of time_t; 0: not known

#ifndef MG_DATA_SIZE
#define MG_DATA_SIZE MGX_BUILT_DATA_SIZE
#elif MG_DATA_SIZE != MGX_BUILT_DATA_SIZE
#error MG_DATA_SIZE: not the size of c->data that the library was built with (default 32); build it with the same MG_DATA_SIZE
#endif

#ifndef MG_MAX_HTTP_HEADERS
#define MG_MAX_HTTP_HEADERS MGX_BUILT_MAX_HTTP_HEADERS
#elif MG_MAX_HTTP_HEADERS != MGX_BUILT_MAX_HTTP_HEADERS
#error MG_MAX_HTTP_HEADERS: not the number that the library was built with (default 30); build it with the same MG_MAX_HTTP_HEADERS
#endif

// A library with other sizes knows by these names which sizes its caller was compiled with: a program for one library does not
// link with the other, or ends with a message when it calls it.
#if MGX_BUILT_DATA_SIZE != 32 || MGX_BUILT_MAX_HTTP_HEADERS != 30
#define MGX_SIZED(name, data, headers) MGX_SIZED_(name, data, headers)
#define MGX_SIZED_(name, data, headers) name##_built_with_MG_DATA_SIZE_##data##_MG_MAX_HTTP_HEADERS_##headers
#define mg_mgr_init MGX_SIZED(mg_mgr_init, MGX_BUILT_DATA_SIZE, MGX_BUILT_MAX_HTTP_HEADERS)
#define mg_http_parse MGX_SIZED(mg_http_parse, MGX_BUILT_DATA_SIZE, MGX_BUILT_MAX_HTTP_HEADERS)
#endif

#ifndef MG_DASH_MAX_USER_NAME
#define MG_DASH_MAX_USER_NAME 32
#elif MG_DASH_MAX_USER_NAME != 32
#error MG_DASH_MAX_USER_NAME: fixed at 32 in the library
#endif

// ---- Settings with one value in a prebuilt library.
#ifndef MG_TLS
#define MG_TLS MG_TLS_NONE
#elif MG_TLS == MG_TLS_CUSTOM
#error MG_TLS: the library has its own TLS, MG_TLS_CUSTOM cannot replace it; any other value will do, and mg_tls_init works
#endif

// 1: for a library that was built with the feature `tcpip`, whose TCP/IP stack works over a driver of the program's own. Offered is
// Ethernet, VLAN included. PPP, PPPoE and the drivers for network chips that came with the original are not: a program brings the four
// functions of a struct mg_tcpip_driver. See docs/firmware.md.
#ifndef MG_ENABLE_TCPIP
#define MG_ENABLE_TCPIP 0
#endif

#ifndef MG_ENABLE_SOCKET
#define MG_ENABLE_SOCKET (!MG_ENABLE_TCPIP)
#elif MG_ENABLE_TCPIP && MG_ENABLE_SOCKET
#error MG_ENABLE_SOCKET: 0 with MG_ENABLE_TCPIP=1
#elif !MG_ENABLE_TCPIP && !MG_ENABLE_SOCKET
#error MG_ENABLE_SOCKET: 1 in the library, which uses the sockets of the operating system, unless MG_ENABLE_TCPIP is 1
#endif

#if MG_ENABLE_TCPIP
#define MGX_TCPIP
#ifndef MG_ENABLE_IPV6
#define MG_ENABLE_IPV6 0
#endif
#if MG_ENABLE_IPV6
// struct mg_tcpip_if is larger: the library must have been built with the feature `tcpip-ipv6`.
#define mg_tcpip_init mg_tcpip_init_with_MG_ENABLE_IPV6
#endif
#ifdef MG_TCPIP_DHCPNAME_SIZE
#if MG_TCPIP_DHCPNAME_SIZE != 18
#error MG_TCPIP_DHCPNAME_SIZE: 18 in the library
#endif
#endif
#ifndef MG_ENABLE_TCPIP_DRIVER_INIT
#define MG_ENABLE_TCPIP_DRIVER_INIT 1
#endif
#if defined(MG_ENABLE_DRIVER_STM32F) || defined(MG_ENABLE_DRIVER_STM32H) || defined(MG_ENABLE_DRIVER_STM32N) || \
    defined(MG_ENABLE_DRIVER_MCXN) || defined(MG_ENABLE_DRIVER_IMXRT10) || defined(MG_ENABLE_DRIVER_IMXRT11) || \
    defined(MG_ENABLE_DRIVER_MCXE) || defined(MG_ENABLE_DRIVER_RW612) || defined(MG_ENABLE_DRIVER_RA6) || \
    defined(MG_ENABLE_DRIVER_RA8) || defined(MG_ENABLE_DRIVER_TM4C) || defined(MG_ENABLE_DRIVER_TMS570) || \
    defined(MG_ENABLE_DRIVER_SAME54) || defined(MG_ENABLE_DRIVER_XMC) || defined(MG_ENABLE_DRIVER_XMC7) || \
    defined(MG_ENABLE_DRIVER_W5500) || defined(MG_ENABLE_DRIVER_W5100) || defined(MG_ENABLE_DRIVER_CMSIS) || \
    defined(MG_ENABLE_DRIVER_ATCMD) || defined(MG_ENABLE_DRIVER_PICO_W) || defined(MG_ENABLE_DRIVER_CYW) || \
    defined(MG_ENABLE_DRIVER_CYW_SDIO) || defined(MG_ENABLE_DRIVER_NXP_WIFI) || defined(MG_ENABLE_DRIVER_ST67W6)
#if (MG_ENABLE_DRIVER_STM32F + 0) || (MG_ENABLE_DRIVER_STM32H + 0) || (MG_ENABLE_DRIVER_STM32N + 0) || \
    (MG_ENABLE_DRIVER_MCXN + 0) || (MG_ENABLE_DRIVER_IMXRT10 + 0) || (MG_ENABLE_DRIVER_IMXRT11 + 0) || \
    (MG_ENABLE_DRIVER_MCXE + 0) || (MG_ENABLE_DRIVER_RW612 + 0) || (MG_ENABLE_DRIVER_RA6 + 0) || \
    (MG_ENABLE_DRIVER_RA8 + 0) || (MG_ENABLE_DRIVER_TM4C + 0) || (MG_ENABLE_DRIVER_TMS570 + 0) || \
    (MG_ENABLE_DRIVER_SAME54 + 0) || (MG_ENABLE_DRIVER_XMC + 0) || (MG_ENABLE_DRIVER_XMC7 + 0) || \
    (MG_ENABLE_DRIVER_W5500 + 0) || (MG_ENABLE_DRIVER_W5100 + 0) || (MG_ENABLE_DRIVER_CMSIS + 0) || \
    (MG_ENABLE_DRIVER_ATCMD + 0) || (MG_ENABLE_DRIVER_PICO_W + 0) || (MG_ENABLE_DRIVER_CYW + 0) || \
    (MG_ENABLE_DRIVER_CYW_SDIO + 0) || (MG_ENABLE_DRIVER_NXP_WIFI + 0) || (MG_ENABLE_DRIVER_ST67W6 + 0)
#error MG_ENABLE_DRIVER_*: the library has no drivers for network chips; bring a struct mg_tcpip_driver of your own
#endif
#endif
#ifndef MG_SET_MAC_ADDRESS
#define MG_SET_MAC_ADDRESS(mac)
#endif
#ifndef MG_SET_WIFI_CONFIG
#define MG_SET_WIFI_CONFIG(ifp, driver_data)
#endif
#define MG_8BYTE_ALIGNED __attribute__((aligned((8U))))
#define MG_16BYTE_ALIGNED __attribute__((aligned((16U))))
#define MG_32BYTE_ALIGNED __attribute__((aligned((32U))))
#define MG_64BYTE_ALIGNED __attribute__((aligned((64U))))
#ifndef MG_ETH_RAM
#define MG_ETH_RAM
#endif
#ifndef MG_TCPIP_GLOBAL
#define MG_TCPIP_GLOBAL MG_IPV6(0, 0, 0, 0, 0, 0, 0, 0)
#endif
#ifndef MG_TCPIP_IPV6_LINKLOCAL
#define MG_TCPIP_IPV6_LINKLOCAL MG_IPV6(0, 0, 0, 0, 0, 0, 0, 0)
#endif
#ifndef MG_TCPIP_GW6
#define MG_TCPIP_GW6 MG_IPV6(0, 0, 0, 0, 0, 0, 0, 0)
#endif
#endif

#ifndef MG_ENABLE_LWIP
#define MG_ENABLE_LWIP 0
#elif MG_ENABLE_LWIP
#error MG_ENABLE_LWIP: 0 in the library, which uses the sockets of the operating system
#endif

#ifndef MG_ENABLE_FREERTOS
#define MG_ENABLE_FREERTOS 0
#elif MG_ENABLE_FREERTOS
#error MG_ENABLE_FREERTOS: 0 in the library, which is built for hosted Unix
#endif

#ifndef MG_ENABLE_FREERTOS_TCP
#define MG_ENABLE_FREERTOS_TCP 0
#elif MG_ENABLE_FREERTOS_TCP
#error MG_ENABLE_FREERTOS_TCP: 0 in the library, which uses the sockets of the operating system
#endif

#ifndef MG_ENABLE_RL
#define MG_ENABLE_RL 0
#elif MG_ENABLE_RL
#error MG_ENABLE_RL: 0 in the library, which uses the sockets of the operating system
#endif

#ifndef MG_ENABLE_PROFILE
#define MG_ENABLE_PROFILE 0
#elif MG_ENABLE_PROFILE
#error MG_ENABLE_PROFILE: 0 in the library
#endif

#ifndef MG_ENABLE_FATFS
#define MG_ENABLE_FATFS 0
#elif MG_ENABLE_FATFS
#error MG_ENABLE_FATFS: 0 in the library; mg_fs_posix and mg_fs_packed are there, and a program can fill a struct mg_fs of its own
#endif

#ifndef MG_ENABLE_LFS
#define MG_ENABLE_LFS 0
#elif MG_ENABLE_LFS
#error MG_ENABLE_LFS: 0 in the library; mg_fs_posix and mg_fs_packed are there, and a program can fill a struct mg_fs of its own
#endif

#ifndef MG_JSON_MAX_DEPTH
#define MG_JSON_MAX_DEPTH 30
#elif MG_JSON_MAX_DEPTH != 30
#error MG_JSON_MAX_DEPTH: 30 in the library
#endif

#ifndef MG_OTA
#define MG_OTA MG_OTA_NONE
#elif MG_OTA != MG_OTA_NONE && MG_OTA != MG_OTA_CUSTOM
#error MG_OTA: MG_OTA_NONE in the library; with MG_OTA_CUSTOM the program defines mg_ota_begin, mg_ota_write and mg_ota_end
#endif

#ifndef MG_OTA_URL
#define MG_OTA_URL NULL
#else
#error MG_OTA_URL: NULL in the library; call mg_ota_url_check(mgr, url, fn) from a timer instead
#endif

#ifndef MG_OTA_STATUS_FN
#define MG_OTA_STATUS_FN NULL
#else
#error MG_OTA_STATUS_FN: NULL in the library; call mg_ota_url_check(mgr, url, fn) from a timer instead
#endif

#ifdef MG_OTA_TLS_CA
#error MG_OTA_TLS_CA: not set in the library
#endif

#ifndef MG_OTA_FIRMWARE_VERSION
#define MG_OTA_FIRMWARE_VERSION "1.0.0"
#else
#error MG_OTA_FIRMWARE_VERSION: "1.0.0" in the library
#endif

#ifndef MG_OTA_PULL_INTERVAL_SECONDS
#define MG_OTA_PULL_INTERVAL_SECONDS 60
#elif MG_OTA_PULL_INTERVAL_SECONDS != 60
#error MG_OTA_PULL_INTERVAL_SECONDS: 60 in the library; call mg_ota_url_check(mgr, url, fn) from a timer instead
#endif

#ifndef MG_OTA_ROLLBACK_TIMEOUT_SECONDS
#define MG_OTA_ROLLBACK_TIMEOUT_SECONDS 120
#elif MG_OTA_ROLLBACK_TIMEOUT_SECONDS != 120
#error MG_OTA_ROLLBACK_TIMEOUT_SECONDS: 120 in the library
#endif

#ifndef MG_OTA_MAX_VERSION_LEN
#define MG_OTA_MAX_VERSION_LEN 64
#elif MG_OTA_MAX_VERSION_LEN != 64
#error MG_OTA_MAX_VERSION_LEN: 64 in the library
#endif

#if defined(MG_OTA_STATE_GET) || defined(MG_OTA_STATE_SET)
#error MG_OTA_STATE_GET, MG_OTA_STATE_SET: fixed in the library (always confirmed)
#endif
#define MG_OTA_STATE_GET() MG_OTA_CONFIRMED
#define MG_OTA_STATE_SET(state) ((void) (state))

// ---- Settings that take effect at run time: see mg_mgr_init at the end of this file.
#ifdef MG_MAX_RECV_SIZE
#define MGX_SET_MAX_RECV_SIZE MG_MAX_RECV_SIZE
#else
#define MG_MAX_RECV_SIZE (3 * 1024 * 1024)
#endif

#ifdef MG_IO_SIZE
#define MGX_SET_IO_SIZE MG_IO_SIZE
#else
#define MG_IO_SIZE 16384
#endif

#ifdef MG_SOCK_LISTEN_BACKLOG_SIZE
#define MGX_SET_LISTEN_BACKLOG MG_SOCK_LISTEN_BACKLOG_SIZE
#else
#define MG_SOCK_LISTEN_BACKLOG_SIZE 128
#endif

#ifdef MG_HTTP_INDEX
#define MGX_SET_HTTP_INDEX MG_HTTP_INDEX
#else
#define MG_HTTP_INDEX "index.html"
#endif

#ifndef MG_IPV6_V6ONLY
#define MG_IPV6_V6ONLY 0
#endif

#ifndef MG_ENABLE_DIRLIST
#define MG_ENABLE_DIRLIST 1
#endif

#ifndef MG_ENABLE_LOG
#define MG_ENABLE_LOG 1
#endif

// ---- Functions that a program may replace by its own, whether or not it sets these.
#ifndef MG_ENABLE_CUSTOM_CALLOC
#define MG_ENABLE_CUSTOM_CALLOC 0
#endif
#ifndef MG_ENABLE_CUSTOM_RANDOM
#define MG_ENABLE_CUSTOM_RANDOM 0
#endif
#ifndef MG_ENABLE_CUSTOM_MILLIS
#define MG_ENABLE_CUSTOM_MILLIS 0
#endif
#ifndef MG_ENABLE_CUSTOM_LOG
#define MG_ENABLE_CUSTOM_LOG 0
#endif
#ifndef MG_ENABLE_CUSTOM_DEVICE_ID
#define MG_ENABLE_CUSTOM_DEVICE_ID 0
#endif

// ---- Settings without effect on the library; the program may look at them.
#ifndef MG_ENABLE_POLL
#ifdef __linux__
#define MG_ENABLE_POLL 0
#else
#define MG_ENABLE_POLL 1
#endif
#endif
#ifndef MG_ENABLE_EPOLL
#if defined(__linux__) && !MG_ENABLE_POLL
#define MG_ENABLE_EPOLL 1
#else
#define MG_ENABLE_EPOLL 0
#endif
#endif
#ifndef MG_ENABLE_IPV6
#define MG_ENABLE_IPV6 1
#endif
#ifndef MG_ENABLE_SSI
#define MG_ENABLE_SSI 0
#endif
#ifndef MG_ENABLE_MD5
#define MG_ENABLE_MD5 1
#endif
#ifndef MG_ENABLE_POSIX_FS
#define MG_ENABLE_POSIX_FS 1
#endif
#ifndef MG_ENABLE_ASSERT
#define MG_ENABLE_ASSERT 0
#endif
#ifndef MG_ENABLE_CHACHA20
#define MG_ENABLE_CHACHA20 1
#endif
#ifndef MG_ENABLE_WINSOCK
#define MG_ENABLE_WINSOCK 1
#endif
#ifndef MG_ENABLE_BSD_SOCKETS
#define MG_ENABLE_BSD_SOCKETS 0
#endif
#ifndef MG_ENABLE_BSD_PROTOTYPES
#define MG_ENABLE_BSD_PROTOTYPES 1
#endif
#ifndef MG_ENABLE_TCPIP_PRINT_DEBUG_STATS
#define MG_ENABLE_TCPIP_PRINT_DEBUG_STATS 0
#endif
#ifndef MG_TCPIP_DHCPNAME_SIZE
#define MG_TCPIP_DHCPNAME_SIZE 18
#endif
#ifndef MG_TCPIP_IP
#define MG_TCPIP_IP 0
#endif
#ifndef MG_TCPIP_MASK
#define MG_TCPIP_MASK 0
#endif
#ifndef MG_TCPIP_GW
#define MG_TCPIP_GW 0
#endif
#ifndef MG_TCPIP_PREFIX_LEN
#define MG_TCPIP_PREFIX_LEN 0
#endif
#ifndef MG_MAX_SSI_DEPTH
#define MG_MAX_SSI_DEPTH 5
#endif
#ifndef MG_SSI_BUFSIZ
#define MG_SSI_BUFSIZ 1024
#endif
#ifndef MG_PATH_MAX
#define MG_PATH_MAX FILENAME_MAX
#endif
#ifndef MG_DIRSEP
#define MG_DIRSEP '/'
#endif
#ifndef MG_INVALID_SOCKET
#define MG_INVALID_SOCKET (-1)
#endif
#ifndef MG_SOCKET_TYPE
#define MG_SOCKET_TYPE int
#endif
#ifndef MG_HTTP_ADDR
#define MG_HTTP_ADDR "http://0.0.0.0:8000"
#endif
#ifndef MG_HTTPS_ADDR
#define MG_HTTPS_ADDR "https://0.0.0.0:8443"
#endif
#ifndef MG_MODBUS_ADDR
#define MG_MODBUS_ADDR "tcp://0.0.0.0:8502"
#endif
#ifndef MG_DASH_MAX_SEND_BUF_SIZE
#define MG_DASH_MAX_SEND_BUF_SIZE (5 * MG_IO_SIZE)
#endif

// ---- System headers. Programs use them without including them.
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if MG_ENABLE_EPOLL
#include <sys/epoll.h>
#elif MG_ENABLE_POLL
#include <poll.h>
#endif
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

// 32-bit systems have time_t of 4 and of 8 bytes. A program needs that of its library, for mg_fs.st and mg_mem_files: see
// -D_TIME_BITS=64.
typedef char mgx_time_t_is_not_that_of_the_library[MGX_BUILT_TIME_SIZE == 0 || sizeof(time_t) == MGX_BUILT_TIME_SIZE ? 1 : -1];

// For programs; the library's own checks do not depend on it.
#if MG_ENABLE_ASSERT
#include <assert.h>
#elif !defined(assert)
#define assert(x)
#endif

// ---- Integers and bytes
#define MG_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)

#define MG_U8P(p) ((uint8_t *) (p))

// a is the most significant byte.
#define MG_U32(a, b, c, d) \
  (((uint32_t) ((a) & 255) << 24) | ((uint32_t) ((b) & 255) << 16) | ((uint32_t) ((c) & 255) << 8) | (uint32_t) ((d) & 255))

// The address a.b.c.d in network byte order.
#define MG_IPV4(a, b, c, d) ((uint32_t) (MG_BIG_ENDIAN ? MG_U32(a, b, c, d) : MG_U32(d, c, b, a)))

// Initialiser for the 16 bytes of an IPv6 address, from its eight groups.
#define MG_IPV6(a, b, c, d, e, f, g, h) \
  { MGX_2BYTES(a), MGX_2BYTES(b), MGX_2BYTES(c), MGX_2BYTES(d), MGX_2BYTES(e), MGX_2BYTES(f), MGX_2BYTES(g), MGX_2BYTES(h) }
#define MGX_2BYTES(x) (uint8_t) (((x) >> 8) & 255), (uint8_t) ((x) & 255)

// The four bytes at p, for "%d.%d.%d.%d".
#define MG_IPADDR_PARTS(p) MG_U8P(p)[0], MG_U8P(p)[1], MG_U8P(p)[2], MG_U8P(p)[3]

// Reading and writing big-endian integers, aligned or not.
#define MG_LOAD_BE16(p) ((uint16_t) ((MG_U8P(p)[0] << 8) | MG_U8P(p)[1]))
#define MG_LOAD_BE24(p) (((uint32_t) MG_U8P(p)[0] << 16) | ((uint32_t) MG_U8P(p)[1] << 8) | MG_U8P(p)[2])
#define MG_LOAD_BE32(p) MG_U32(MG_U8P(p)[0], MG_U8P(p)[1], MG_U8P(p)[2], MG_U8P(p)[3])
#define MG_LOAD_BE64(p) (((uint64_t) MG_LOAD_BE32(p) << 32) | MG_LOAD_BE32(MG_U8P(p) + 4))
#define MG_STORE_BE16(p, n) (MGX_STORE(p, 0, n, 8), MGX_STORE(p, 1, n, 0))
#define MG_STORE_BE24(p, n) (MGX_STORE(p, 0, n, 16), MGX_STORE(p, 1, n, 8), MGX_STORE(p, 2, n, 0))
#define MG_STORE_BE32(p, n) (MG_STORE_BE16(p, (uint32_t) (n) >> 16), MG_STORE_BE16(MG_U8P(p) + 2, n))
#define MG_STORE_BE64(p, n) (MG_STORE_BE32(p, (uint64_t) (n) >> 32), MG_STORE_BE32(MG_U8P(p) + 4, n))
#define MGX_STORE(p, i, n, shift) ((void) (MG_U8P(p)[i] = (uint8_t) (((n) >> (shift)) & 255)))

// The 32-bit register at an address.
#define MG_REG(x) (*(volatile uint32_t *) (uintptr_t) (x))
#define MG_BIT(x) ((uint32_t) 1 << (x))
#define MG_SET_BITS(R, CLRMASK, SETMASK) (R) = ((R) & ~(CLRMASK)) | (SETMASK)

// To a multiple of a; a = 0 leaves x alone.
#define MG_ROUND_UP(x, a) ((a) == 0 ? (x) : ((((x) + (a) - 1) / (a)) * (a)))
#define MG_ROUND_DOWN(x, a) ((a) == 0 ? (x) : (((x) / (a)) * (a)))

#define mg_htons(x) mg_ntohs(x)
#define mg_htonl(x) mg_ntohl(x)
#define mg_htonll(x) mg_ntohll(x)

// For microcontrollers; nothing to do here.
#define MG_ARM_DISABLE_IRQ()
#define MG_ARM_ENABLE_IRQ()
#define MG_DSB()

// ---- Singly linked lists: structs with a member `next`, a pointer to the first one.
#define LIST_ADD_HEAD(type_, head_, elem_) \
  do {                                     \
    (elem_)->next = *(head_);              \
    *(head_) = (elem_);                    \
  } while (0)

// elem_->next must be NULL.
#define LIST_ADD_TAIL(type_, head_, elem_)                     \
  do {                                                         \
    type_ **mgx_link = (head_);                                \
    while (*mgx_link != NULL) mgx_link = &(*mgx_link)->next;   \
    *mgx_link = (elem_);                                       \
  } while (0)

// elem_ must be in the list.
#define LIST_DELETE(type_, head_, elem_)                         \
  do {                                                           \
    type_ **mgx_link = (head_);                                  \
    while (*mgx_link != (elem_)) mgx_link = &(*mgx_link)->next;  \
    *mgx_link = (elem_)->next;                                   \
  } while (0)

// ---- Strings: a view of a C string
#define mg_str(s) mg_str_s(s)

// ---- Logging: MG_INFO(("%d connections", n)), with double parentheses
#define mg_log_set(level) (mg_log_level = (level))
#if MG_ENABLE_LOG
#define MG_LOG(level, args)                                   \
  do {                                                        \
    if ((level) <= mg_log_level) {                            \
      mg_log_prefix((level), __FILE__, __LINE__, __func__);   \
      mg_log args;                                            \
    }                                                         \
  } while (0)
#else
#define MG_LOG(level, args) \
  do {                      \
    if (0) mg_log args;     \
  } while (0)
#endif
#define MG_ERROR(args) MG_LOG(MG_LL_ERROR, args)
#define MG_INFO(args) MG_LOG(MG_LL_INFO, args)
#define MG_DEBUG(args) MG_LOG(MG_LL_DEBUG, args)
#define MG_VERBOSE(args) MG_LOG(MG_LL_VERBOSE, args)

// ---- Arguments for %m: a C string as JSON text
#define MG_ESC(str) mg_print_esc, 0, (str)

// ---- Differentiated services code points, for mg_dscp
#define MG_DSCP_CS(class_) ((class_) * 8)
#define MG_DSCP_AF(class_, drop_) ((class_) * 8 + (drop_) * 2)
#define MG_DSCP_EF 46

// ---- Profiling: not in this library
#define MG_PROF_INIT(c)
#define MG_PROF_FREE(c)
#define MG_PROF_ADD(c, name)
#define MG_PROF_DUMP(c)

// ---- Dashboard: add a struct mg_field_set, and an HTTP handler of the program
#define MG_DASH_ADD_FIELD_SET(dash_, set_) LIST_ADD_HEAD(struct mg_field_set, &(dash_)->sets, (set_))
#define MG_DASH_REGISTER_CUSTOM_HANDLER(dash_, uri_, fn_, data_)                                      \
  do {                                                                                                \
    static struct mg_dash_custom_handler mgx_handler;                                                 \
    mgx_handler.uri_pattern = mg_str(uri_);                                                           \
    mgx_handler.handler = (fn_);                                                                      \
    mgx_handler.handler_data = (data_);                                                               \
    LIST_ADD_HEAD(struct mg_dash_custom_handler, &(dash_)->custom_handlers, &mgx_handler);            \
  } while (0)

// ---- Types that are used before they are complete, or under more than one name
struct mg_connection;
struct mg_dash;
struct mg_dash_user;
struct mg_dns_rr;
struct mg_mgr;
struct mg_rpc_req;
struct mg_tcpip_if;
struct mg_timer;
typedef struct mg_md5_ctx mg_md5_ctx;
typedef struct mg_sha1_ctx mg_sha1_ctx;
typedef struct mg_sha256_ctx mg_sha256_ctx;
typedef struct mg_sha384_ctx mg_sha384_ctx;
typedef volatile size_t mg_volatile_size_t;
typedef volatile unsigned char mg_volatile_byte;
#if MG_TLS == MG_TLS_BUILTIN
#define MGX_DECLARE_UECC
#endif


#define MG_DNS_RTYPE_A 1
#define MG_DNS_RTYPE_AAAA 28
#define MG_DNS_RTYPE_PTR 12
#define MG_DNS_RTYPE_SRV 33
#define MG_DNS_RTYPE_TXT 16
#define MG_MODBUS_ERR_DEVICE_FAILURE 4
#define MG_MODBUS_ERR_ILLEGAL_ADDRESS 2
#define MG_MODBUS_ERR_ILLEGAL_FUNCTION 1
#define MG_MODBUS_ERR_ILLEGAL_VALUE 3
#define MG_MODBUS_ERR_NONE 0
#define MG_MODBUS_FUNC_READ_COILS 1
#define MG_MODBUS_FUNC_READ_DISCRETE_INPUTS 2
#define MG_MODBUS_FUNC_READ_HOLDING_REGISTERS 3
#define MG_MODBUS_FUNC_READ_INPUT_REGISTERS 4
#define MG_MODBUS_FUNC_WRITE_MULTIPLE_COILS 15
#define MG_MODBUS_FUNC_WRITE_MULTIPLE_REGISTERS 16
#define MG_MODBUS_FUNC_WRITE_SINGLE_COIL 5
#define MG_MODBUS_FUNC_WRITE_SINGLE_REGISTER 6
#define MG_TIMER_AUTODELETE 8
#define MG_TIMER_CALLED 4
#define MG_TIMER_ONCE 0
#define MG_TIMER_REPEAT 1
#define MG_TIMER_RUN_NOW 2
#define MG_WIFI_BAND_2G 0
#define MG_WIFI_BAND_5G 1
#define MG_WIFI_SECURITY_OPEN 0
#define MG_WIFI_SECURITY_WEP 1
#define MG_WIFI_SECURITY_WPA 2
#define MG_WIFI_SECURITY_WPA2 4
#define MG_WIFI_SECURITY_WPA2_ENTERPRISE 32
#define MG_WIFI_SECURITY_WPA3 8
#define MG_WIFI_SECURITY_WPA3_ENTERPRISE 64
#define MG_WIFI_SECURITY_WPA_ENTERPRISE 16
#define MQTT_CMD_AUTH 15
#define MQTT_CMD_CONNACK 2
#define MQTT_CMD_CONNECT 1
#define MQTT_CMD_DISCONNECT 14
#define MQTT_CMD_PINGREQ 12
#define MQTT_CMD_PINGRESP 13
#define MQTT_CMD_PUBACK 4
#define MQTT_CMD_PUBCOMP 7
#define MQTT_CMD_PUBLISH 3
#define MQTT_CMD_PUBREC 5
#define MQTT_CMD_PUBREL 6
#define MQTT_CMD_SUBACK 9
#define MQTT_CMD_SUBSCRIBE 8
#define MQTT_CMD_UNSUBACK 11
#define MQTT_CMD_UNSUBSCRIBE 10
#define MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER 18
#define MQTT_PROP_AUTHENTICATION_DATA 22
#define MQTT_PROP_AUTHENTICATION_METHOD 21
#define MQTT_PROP_CONTENT_TYPE 3
#define MQTT_PROP_CORRELATION_DATA 9
#define MQTT_PROP_MAXIMUM_PACKET_SIZE 39
#define MQTT_PROP_MAXIMUM_QOS 36
#define MQTT_PROP_MESSAGE_EXPIRY_INTERVAL 2
#define MQTT_PROP_PAYLOAD_FORMAT_INDICATOR 1
#define MQTT_PROP_REASON_STRING 31
#define MQTT_PROP_RECEIVE_MAXIMUM 33
#define MQTT_PROP_REQUEST_PROBLEM_INFORMATION 23
#define MQTT_PROP_REQUEST_RESPONSE_INFORMATION 25
#define MQTT_PROP_RESPONSE_INFORMATION 26
#define MQTT_PROP_RESPONSE_TOPIC 8
#define MQTT_PROP_RETAIN_AVAILABLE 37
#define MQTT_PROP_SERVER_KEEP_ALIVE 19
#define MQTT_PROP_SERVER_REFERENCE 28
#define MQTT_PROP_SESSION_EXPIRY_INTERVAL 17
#define MQTT_PROP_SHARED_SUBSCRIPTION_AVAILABLE 42
#define MQTT_PROP_SUBSCRIPTION_IDENTIFIER 11
#define MQTT_PROP_SUBSCRIPTION_IDENTIFIER_AVAILABLE 41
#define MQTT_PROP_TOPIC_ALIAS 35
#define MQTT_PROP_TOPIC_ALIAS_MAXIMUM 34
#define MQTT_PROP_USER_PROPERTY 38
#define MQTT_PROP_WILDCARD_SUBSCRIPTION_AVAILABLE 40
#define MQTT_PROP_WILL_DELAY_INTERVAL 24
#define WEBSOCKET_OP_BINARY 2
#define WEBSOCKET_OP_CLOSE 8
#define WEBSOCKET_OP_CONTINUE 0
#define WEBSOCKET_OP_PING 9
#define WEBSOCKET_OP_PONG 10
#define WEBSOCKET_OP_TEXT 1

// Types of dashboard variables.
enum mg_val_type {
  MG_VAL_INT = 0,
  MG_VAL_UINT64 = 1,
  MG_VAL_BOOL = 2,
  MG_VAL_DBL = 3,
  MG_VAL_STR = 4,
  MG_VAL_RAW = 5,
};

// What the callback of a dashboard set is to do.
enum mg_dash_op {
  MG_DASH_READ = 0,
  MG_DASH_WRITE = 1,
  MG_DASH_DELETE = 2,
  MG_DASH_ADD = 3,
};

// Events that a handler gets, and what ev_data then is.
enum mg_event {
  // `char *`: what went wrong; the connection will close.
  MG_EV_ERROR = 0,
  // NULL, for clients `char *`: the URL. The connection was made.
  MG_EV_OPEN = 1,
  // `uint64_t *`: mg_millis. Once per mg_mgr_poll.
  MG_EV_POLL = 2,
  // NULL. The host name has an address.
  MG_EV_RESOLVE = 3,
  // NULL. The client is connected.
  MG_EV_CONNECT = 4,
  // NULL. The connection came in.
  MG_EV_ACCEPT = 5,
  // NULL. The TLS handshake is done.
  MG_EV_TLS_HS = 6,
  // `long *`: how many bytes were added to `c->recv`.
  MG_EV_READ = 7,
  // `long *`: how many bytes were sent.
  MG_EV_WRITE = 8,
  // NULL. The last event of a connection.
  MG_EV_CLOSE = 9,
  // `struct mg_http_message *`: first line and headers; the body may follow.
  MG_EV_HTTP_HDRS = 10,
  // `struct mg_http_message *`: the whole message.
  MG_EV_HTTP_MSG = 11,
  // `struct mg_http_message *`: the WebSocket handshake is done.
  MG_EV_WS_OPEN = 12,
  // `struct mg_ws_message *`: a message.
  MG_EV_WS_MSG = 13,
  // `struct mg_ws_message *`: a control frame.
  MG_EV_WS_CTL = 14,
  // `struct mg_mqtt_message *`: a packet.
  MG_EV_MQTT_CMD = 15,
  // `struct mg_mqtt_message *`: a published message.
  MG_EV_MQTT_MSG = 16,
  // `int *`: the code of the CONNACK; 0 is success.
  MG_EV_MQTT_OPEN = 17,
  // `uint64_t *`: milliseconds since 1970.
  MG_EV_SNTP_TIME = 18,
  // `struct mg_str *`: what mg_wakeup sent.
  MG_EV_WAKEUP = 19,
  // `struct mg_mdns_req *`: a query.
  MG_EV_MDNS_REQ = 20,
  // `struct mg_mdns_resp *`: an answer.
  MG_EV_MDNS_RESP = 21,
  // `struct mg_modbus_req *`: a request.
  MG_EV_MODBUS_REQ = 22,
  // The first number that an application may use for its own events.
  MG_EV_USER = 23,
};

// What a file is, and how to open it.
enum mg_fs_flags {
  MG_FS_READ = 1,
  MG_FS_WRITE = 2,
  MG_FS_DIR = 4,
  MG_FS_EXCL = 8,
};

// Results of the I/O functions beside a number of bytes.
enum mg_io_result {
  MG_IO_ERR = -1,
  MG_IO_WAIT = -2,
};

// Results of mg_json_get beside an offset.
enum mg_json_error {
  MG_JSON_TOO_DEEP = -1,
  MG_JSON_INVALID = -2,
  MG_JSON_NOT_FOUND = -3,
};

// How much is logged: everything up to mg_log_level.
enum mg_log_level_t {
  MG_LL_NONE = 0,
  MG_LL_ERROR = 1,
  MG_LL_INFO = 2,
  MG_LL_DEBUG = 3,
  MG_LL_VERBOSE = 4,
};

// Results of mg_mqtt_parse.
enum mg_mqtt_parse_result {
  MQTT_OK = 0,
  MQTT_INCOMPLETE = 1,
  MQTT_MALFORMED = 2,
};

// Types of MQTT 5 property values.
enum mg_mqtt_prop_type {
  MQTT_PROP_TYPE_BYTE = 0,
  MQTT_PROP_TYPE_STRING = 1,
  MQTT_PROP_TYPE_STRING_PAIR = 2,
  MQTT_PROP_TYPE_BINARY_DATA = 3,
  MQTT_PROP_TYPE_VARIABLE_INT = 4,
  MQTT_PROP_TYPE_INT = 5,
  MQTT_PROP_TYPE_SHORT = 6,
};

// State of the running firmware.
enum mg_ota_status {
  MG_OTA_CONFIRMED = 0,
  MG_OTA_TESTING = 1,
  MG_OTA_FAILED = 2,
  MG_OTA_ROLLEDBACK = 3,
};

// An elliptic curve of the key helpers.
struct MG_UECC_Curve_t;

// Defined with MG_ENABLE_TCPIP only.
struct mg_phy;

// Defined with MG_ENABLE_TCPIP only; otherwise `mgr->ifp` is always NULL.
struct mg_tcpip_if;

// A DNS server.
struct mg_dns {
  // Its address, for example `udp://8.8.8.8:53`.
  const char *url;
  // The connection to it, opened when first needed.
  struct mg_connection *c;
};

// A timer, in the list that mg_timer_poll (and mg_mgr_poll for `mgr->timers`) walks.
struct mg_timer {
  // Time between calls, milliseconds.
  uint64_t period_ms;
  // Time of the next call; 0 until the first poll has started the timer.
  uint64_t expire;
  // MG_TIMER_* bits.
  unsigned int flags;
  // What to call.
  void (*fn)(void *arg);
  // Its argument.
  void *arg;
  // List link.
  struct mg_timer *next;
};

// The write end of the wakeup pair.
union mg_pipe {
  int fd;
  void *q;
};

// Event manager: holds connections and timers, polled by one thread.
struct mg_mgr {
  // All connections, newest first, linked by `next`.
  struct mg_connection *conns;
  // DNS server for names, over IPv4.
  struct mg_dns dns4;
  // The same over IPv6.
  struct mg_dns dns6;
  // mDNS connection, see mg_mdns_listen.
  struct mg_connection *mdns;
  // How long a name may take to resolve, milliseconds.
  int dnstimeout;
  // Ask `dns6` first.
  bool use_dns6;
  // The id handed out last.
  unsigned long nextid;
  // The application's own; set it after mg_mgr_init.
  void *userdata;
  // Of the TLS layer.
  void *tls_ctx;
  // MQTT packet id used last.
  uint16_t mqtt_id;
  // Of the resolver.
  void *active_dns_requests;
  // Of the mDNS resolver.
  void *active_mdns_requests;
  // Timers that mg_mgr_poll runs.
  struct mg_timer *timers;
  // Descriptor that the poll waits on; -1 when there is none.
  int epoll_fd;
  // The interface given to mg_tcpip_init; NULL where the sockets of the operating system are used.
  struct mg_tcpip_if *ifp;
  // Bytes to allocate behind each struct mg_connection, for the application.
  size_t extraconnsize;
  // Of mg_wakeup.
  union mg_pipe pipe;
};

// The 16 address bytes, network byte order. IPv4 uses the first four; the rest is then unspecified.
union mg_addr_bytes {
  uint8_t ip[16];
  uint32_t ip4;
  uint64_t ip6[2];
};

// A network address.
struct mg_addr {
  // The address.
#if MGX_COMPAT_7 < 712
  MGX_ALSO { union mg_addr_bytes addr; uint32_t ip; uint8_t ip6[16]; };
#elif MGX_COMPAT_7 < 722
  MGX_ALSO { union mg_addr_bytes addr; uint8_t ip[16]; };
#else
  union mg_addr_bytes addr;
#endif
  // Port, network byte order.
  uint16_t port;
  // IPv6 scope; 0 for none.
  uint8_t scope_id;
  // Selects the family.
  bool is_ip6;
};

// A growable buffer. Memory between `len` and `size` is zero.
struct mg_iobuf {
  // The memory, from mg_calloc; NULL while `size` is 0.
  uint8_t *buf;
  // Capacity in bytes.
  size_t size;
  // Bytes in use, from the start of `buf`.
  size_t len;
  // The capacity is always a multiple of this; 0 means exact sizes.
  size_t align;
};

// `void (*mg_event_handler_t)(struct mg_connection *, int ev, void *ev_data)`.
#if MGX_COMPAT_7 < 714
typedef void (*mg_event_handler_t)(struct mg_connection*, int, void*, void*);
#else
typedef void (*mg_event_handler_t)(struct mg_connection*, int, void*);
#endif

// A connection: listener, accepted, client or wrapped descriptor. The application reads and writes its members, in the thread
// that polls the manager.
struct mg_connection {
  // Next in `mgr->conns`.
  struct mg_connection *next;
  // The manager that owns it.
  struct mg_mgr *mgr;
  // Local address.
  struct mg_addr loc;
  // Peer address. UDP: of the datagram received last.
#if MGX_COMPAT_7 < 706
  MGX_ALSO { struct mg_addr rem; struct mg_addr peer; };
#else
  struct mg_addr rem;
#endif
  // Socket descriptor.
  void *fd;
  // Unique id, never used again.
  unsigned long id;
  // Received bytes. The handler removes what it has used.
  struct mg_iobuf recv;
  // Bytes waiting to be sent.
  struct mg_iobuf send;
  // Profiling data; unused.
  struct mg_iobuf prof;
  // TLS: received bytes that are still encrypted.
  struct mg_iobuf rtls;
  // The application's event handler; may be replaced at any time.
  mg_event_handler_t fn;
  // Its argument.
  void *fn_data;
  // Protocol handler, called before `fn`.
  mg_event_handler_t pfn;
  // Its argument.
  void *pfn_data;
  // Free for the application; zero at the start.
#if MGX_COMPAT_7 < 710
  MGX_ALSO { char data[MG_DATA_SIZE]; char label[MG_DATA_SIZE]; };
#else
  char data[MG_DATA_SIZE];
#endif
  // TLS state.
  void *tls;
  // Differentiated services code point, set by mg_dscp.
  //
  unsigned int dscp: 6;
  // Listens for connections or datagrams.
  //
  unsigned int is_listening: 1;
  // Made by mg_connect.
  //
  unsigned int is_client: 1;
  // Came in through a listener.
  //
  unsigned int is_accepted: 1;
  // The host name is being looked up.
  //
  unsigned int is_resolving: 1;
  // UDP over a network driver: a neighbour was asked for its address.
  //
  unsigned int is_arplooking: 1;
  // connect() is in progress.
  //
  unsigned int is_connecting: 1;
  // TLS is wanted or running.
  //
  unsigned int is_tls: 1;
  // TLS handshake in progress.
  //
  unsigned int is_tls_hs: 1;
  // UDP.
  //
  unsigned int is_udp: 1;
  // Speaks WebSocket.
  //
  unsigned int is_websocket: 1;
  // Speaks MQTT 5.
  //
  unsigned int is_mqtt5: 1;
  // Set by the application: log all traffic. Accepted connections take it over from their listener.
  //
  unsigned int is_hexdumping: 1;
  // Set by the application: send what is queued, then close.
  //
  unsigned int is_draining: 1;
  // Close when this connection has been serviced.
  //
  unsigned int is_closing: 1;
  // Set and cleared by the application: while set nothing is read from the socket.
  //
  unsigned int is_full: 1;
  // The TLS layer waits for room to send.
  //
  unsigned int is_tls_throttled: 1;
  // An HTTP answer is not finished yet.
  //
  unsigned int is_resp: 1;
  // Ready for reading in this poll.
  //
  unsigned int is_readable: 1;
  // Ready for writing in this poll.
  //
  unsigned int is_writable: 1;
};

// A view of text or bytes, not necessarily NUL-terminated. It does not own its memory unless the function that made it says so.
struct mg_str {
  // First byte; NULL for the null string.
#if MGX_COMPAT_7 < 715
  MGX_ALSO { const char *ptr; char *buf; };
#else
  char *buf;
#endif
  // Number of bytes.
  size_t len;
};

// A variable that a dashboard shows and changes.
struct mg_field {
  const char *name;
  enum mg_val_type type;
  // The application's variable.
  void *value;
  // Its size in bytes; 0 makes it read-only.
  size_t value_size;
};

// An HTTP handler of the application beside the dashboard's own.
struct mg_dash_custom_handler {
  struct mg_dash_custom_handler *next;
  // Pattern for mg_match.
  struct mg_str uri_pattern;
  mg_event_handler_t handler;
  void *handler_data;
};

// A file system: where mg_file_*, mg_fs_* and the HTTP file functions read and write.
struct mg_fs {
  // Status: MG_FS_* bits, 0 if there is no such file. `size` and `mtime` may be NULL.
  int (*st)(const char *path, size_t *size, time_t *mtime);
  // Calls `fn` for each name in a directory.
  void (*ls)(const char *path, void (*fn)(const char*, void*), void *arg);
  // Opens a file with MG_FS_* flags; NULL on failure.
  void *(*op)(const char *path, int flags);
  // Closes it.
  void (*cl)(void *fd);
  // Reads; returns the number of bytes, 0 at the end or on failure.
  size_t (*rd)(void *fd, void *buf, size_t len);
  // Writes; returns the number of bytes.
  size_t (*wr)(void *fd, const void *buf, size_t len);
  // Moves to an absolute position and returns it.
  size_t (*sk)(void *fd, size_t offset);
  // Renames, replacing the target.
  bool (*mv)(const char *from, const char *to);
  // Removes a file or an empty directory.
  bool (*rm)(const char *path);
  // Makes a directory.
  bool (*mkd)(const char *path);
};

// A dashboard: the fn_data of mg_dash_ev_handler.
struct mg_dash {
  // See MG_DASH_ADD_FIELD_SET.
  struct mg_field_set *sets;
  // See MG_DASH_REGISTER_CUSTOM_HANDLER.
  struct mg_dash_custom_handler *custom_handlers;
  // Returns the user's level, 0 or less to refuse; may rewrite `user`. NULL: everybody is a guest of level 9.
  int (*authenticate)(char *user, size_t user_size, const char *pass);
  // 0 means 3600.
  int session_auto_expiration_seconds;
  // Set by the library while `authenticate` is NULL.
  struct mg_dash_user *guest;
  // File system of file lists; NULL for the machine's own.
  struct mg_fs *upload_fs;
};

// A dashboard user with a session.
struct mg_dash_user {
  struct mg_dash_user *next;
  char name[MG_DASH_MAX_USER_NAME];
  // Session token.
  char token[21];
  // Access level that `authenticate` returned.
  int level;
  // When the session ends, milliseconds of mg_millis.
  uint64_t expire;
  struct mg_dash *dash;
};

// Variables that a dashboard shows and changes together.
struct mg_field_set {
  const char *name;
  // Ends with an entry whose `name` is NULL.
  struct mg_field *fields;
  // Called to refresh, check and apply; false refuses. NULL: always allowed.
  bool (*fn)(enum mg_dash_op op, struct mg_dash_user *user);
  // Non-NULL makes the set an array: the element that `fn` is to work on; -1 asks for the size.
  int *index;
  // Non-NULL makes the set a file list: puts the directory into `buf`.
  bool (*get_dir)(const struct mg_dash_user *user, char *buf, size_t len);
  struct mg_field_set *next;
};

// A parsed DNS message.
struct mg_dns_message {
  // Transaction id.
  uint16_t txnid;
  // `addr` holds an address.
  bool resolved;
  // The first address found.
  struct mg_addr addr;
  // The name, with dots.
  char name[256];
};

// A DNS question or record.
struct mg_dns_rr {
  // Length of the encoded name.
  uint16_t nlen;
  // MG_DNS_RTYPE_* value.
  uint16_t atype;
  // Class.
  uint16_t aclass;
  // Length of the data.
  uint16_t alen;
};

// An open file.
struct mg_fd {
  // What the file system's `op` returned.
  void *fd;
  // The file system it belongs to.
  struct mg_fs *fs;
};

// One header of an HTTP message.
struct mg_http_header {
  struct mg_str name;
  struct mg_str value;
};

// A parsed HTTP message. Every string points into the buffer that was parsed.
struct mg_http_message {
  // Request: the method. Response: the protocol version.
  struct mg_str method;
  // Request: the path, still percent-encoded, without the query. Response: the status code.
  struct mg_str uri;
  // What follows the first `?` of the URI; the null string when there is none.
  struct mg_str query;
  // Request: the protocol version. Response: the reason phrase.
  struct mg_str proto;
  // The headers; unused entries are zero.
  struct mg_http_header headers[MG_MAX_HTTP_HEADERS];
  // The body, or the part of it that has arrived.
  struct mg_str body;
  // First line, headers and the empty line.
  struct mg_str head;
  // `head` and `body` together.
#if MGX_COMPAT_7 < 714
  MGX_ALSO { struct mg_str message; struct mg_str chunk; };
#else
  struct mg_str message;
#endif
};

// One part of a multipart body.
struct mg_http_part {
  // Field name.
  struct mg_str name;
  // File name; empty for ordinary fields.
  struct mg_str filename;
  // The value.
  struct mg_str body;
};

// How to serve files. Members left zero take their default; nothing is kept after the call.
struct mg_http_serve_opts {
  // Directory to serve, or a list such as `/dir,/a=dir2`.
  const char *root_dir;
  // Files whose names match are run through server-side includes, for example `#.shtml`.
  const char *ssi_pattern;
  // Header lines to add, each ending in CR LF.
  const char *extra_headers;
  // More MIME types: `ext1=type1,ext2=type2`.
  const char *mime_types;
  // Page to send when a file is not found.
  const char *page404;
  // File system; NULL for the machine's own.
  struct mg_fs *fs;
};

// What to sign, and the keys. Nothing is kept after the call.
struct mg_jwt_opts {
  // Payload, signed as it is.
  struct mg_str claims;
  // More header members: JSON text without braces.
  struct mg_str header;
  // Key id.
  struct mg_str kid;
  // Key for HS256.
  struct mg_str secret;
  // ES256: 32 bytes.
  const uint8_t *private_key;
  // ES256: 64 bytes.
  const uint8_t *public_key;
};

// `void (*mg_pfn_t)(char, void *)`: takes one character of output.
typedef void (*mg_pfn_t)(char, void*);

// An MD5 computation; may be copied between updates.
struct mg_md5_ctx {
  uint32_t buf[4];
  uint32_t bits[2];
  uint8_t in[64];
};

// An MQTT 5 property.
struct mg_mqtt_prop {
  // MQTT_PROP_* value.
  uint8_t id;
  // Value of numeric properties.
  uint32_t iv;
  // First text of a string pair.
  struct mg_str key;
  // Value of strings and binary data; second text of a string pair.
  struct mg_str val;
};

// What to send in an MQTT packet. Members left zero take their default; nothing is kept after the call.
struct mg_mqtt_opts {
  // Login: user name.
  struct mg_str user;
  // Login: password.
  struct mg_str pass;
  // Login: client id; empty for a random one.
  struct mg_str client_id;
  // Topic to publish to or subscribe to; topic of the will in a login.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { struct mg_str topic; struct mg_str will_topic; };
#else
  struct mg_str topic;
#endif
  // Message to publish; message of the will in a login.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { struct mg_str message; struct mg_str will_message; };
#else
  struct mg_str message;
#endif
  // Quality of service, 0 to 2.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { uint8_t qos; uint8_t will_qos; };
#else
  uint8_t qos;
#endif
  // Login: protocol level, 4 (3.1.1, also for 0) or 5.
  uint8_t version;
  // Login: seconds; announced only, the application sends the pings.
  uint16_t keepalive;
  // Publish: send again under this packet id.
  uint16_t retransmit_id;
  // The broker keeps the message.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { bool retain; bool will_retain; };
#else
  bool retain;
#endif
  // Login: start a clean session.
  bool clean;
  // MQTT 5 properties of the packet.
  struct mg_mqtt_prop *props;
  size_t num_props;
  // MQTT 5 properties of the will.
  struct mg_mqtt_prop *will_props;
  size_t num_will_props;
};

// A parsed MQTT packet. The strings point into the buffer that was parsed.
struct mg_mqtt_message {
  // Of a PUBLISH packet.
  struct mg_str topic;
  // Its payload.
  struct mg_str data;
  // The whole packet.
  struct mg_str dgram;
  // Packet id; 0 when the packet has none.
  uint16_t id;
  // MQTT_CMD_* value.
  uint8_t cmd;
  // Quality of service bits of the first byte.
  uint8_t qos;
  // Code of a CONNACK: 0 is success.
  uint8_t ack;
  // Where the MQTT 5 properties begin, from the start of `dgram`.
  size_t props_start;
  // Their size in bytes.
  size_t props_size;
};

// A ring of messages in the application's memory, for one writing and one reading context, without locks.
struct mg_queue {
  // The memory.
  char *buf;
  // Its size in bytes.
  size_t size;
  // Where the reader is.
  mg_volatile_size_t tail;
  // Where the writer is.
  mg_volatile_size_t head;
};

// A JSON-RPC request being processed.
struct mg_rpc_req {
  // The list of methods.
  struct mg_rpc **head;
  // The entry whose handler runs.
  struct mg_rpc *rpc;
  // Where the answer goes, character by character.
  mg_pfn_t pfn;
  // Its argument.
  void *pfn_data;
  // The application's own.
  void *req_data;
  // The request text.
  struct mg_str frame;
};

// A method in a list of methods.
struct mg_rpc {
  // List link.
  struct mg_rpc *next;
  // Pattern for mg_match.
  struct mg_str method;
  // Handler.
  void (*fn)(struct mg_rpc_req *req);
  // For the handler.
  void *fn_data;
};

// A SHA-1 computation; may be copied between updates.
struct mg_sha1_ctx {
  uint32_t state[5];
  uint32_t count[2];
  uint8_t buffer[64];
};

// A SHA-256 computation; may be copied between updates.
struct mg_sha256_ctx {
  uint32_t state[8];
  uint64_t bits;
  uint32_t len;
  uint8_t buffer[64];
};

// A SHA-384 computation; may be copied between updates.
struct mg_sha384_ctx {
  uint64_t state[8];
  uint8_t buffer[128];
  uint64_t bitlen[2];
  uint32_t datalen;
};

// TLS options. Nothing is kept after mg_tls_init has returned.
struct mg_tls_opts {
  // Certificates to check the peer against, PEM or DER. Empty: the peer is not checked.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str ca; struct mg_str client_ca; struct mg_str server_ca; };
#else
  struct mg_str ca;
#endif
  // Own certificate, PEM (a chain has the leaf first) or DER.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str cert; struct mg_str srvcert; struct mg_str server_cert; struct mg_str client_cert; };
#else
  struct mg_str cert;
#endif
  // Its private key.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str key; struct mg_str certkey; struct mg_str srvkey; struct mg_str server_key; struct mg_str client_key; };
#else
  struct mg_str key;
#endif
  // Client: server name to ask for and to check the certificate against.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str name; struct mg_str srvname; };
#else
  struct mg_str name;
#endif
  // Do not check the peer at all.
  bool skip_verification;
};

typedef const struct MG_UECC_Curve_t *MG_UECC_Curve;

// Wi-Fi settings, for boards that have it.
struct mg_wifi_data {
  char *ssid;
  char *pass;
  char *apssid;
  char *appass;
  uint32_t apip;
  uint32_t apmask;
  uint8_t security;
  uint8_t apsecurity;
  uint8_t apchannel;
  bool apmode;
};

// A file compiled into the application. An array of these ends with an entry whose `path` is NULL.
struct mg_mem_file {
  const char *path;
  // Content; an entry with NULL here counts as absent.
  const uint8_t *data;
  size_t size;
  // Time of last change, seconds since 1970.
  time_t mtime;
};

// Header of a DNS message on the wire; network byte order.
struct mg_dns_header {
  uint16_t txnid;
  uint16_t flags;
  uint16_t num_questions;
  uint16_t num_answers;
  uint16_t num_authority_prs;
  uint16_t num_other_prs;
};

// A DNS-SD service.
struct mg_dnssd_record {
  // Service and protocol, for example `_http._tcp`.
  struct mg_str srvcproto;
  // TXT record data as on the wire.
  struct mg_str txt;
  // Port, host byte order.
  uint16_t port;
};

// An mDNS query, with MG_EV_MDNS_REQ. The handler answers by filling it in.
struct mg_mdns_req {
  // The question.
  struct mg_dns_rr *rr;
  // Set by the handler: the service to answer with.
  struct mg_dnssd_record *r;
  // Name asked for, without `.local`.
  struct mg_str reqname;
  // Set by the handler: host name to answer with instead of the listener's.
  struct mg_str respname;
  // Set by the handler: IPv4 address to answer with.
  struct mg_addr *addr;
  // The query asks for the list of services.
  bool is_listing;
  // Set by the handler: answer this query.
  bool is_resp;
  // The querier wants the answer for itself.
  bool is_unicast;
};

// An mDNS answer, with MG_EV_MDNS_RESP; valid during the handler call.
struct mg_mdns_resp {
  // The first record.
  struct mg_dns_rr *rr;
  // Host or instance name.
  struct mg_str name;
  // Address and port as far as known.
  struct mg_addr addr;
  // Service as far as known.
  struct mg_dnssd_record sd;
};

// The values of a request: booleans for coils and discrete inputs, 16-bit words for registers.
union mg_modbus_values {
  bool *bits;
  uint16_t *regs;
};

// A Modbus request, with MG_EV_MODBUS_REQ. The handler reads or fills the values, or sets `error`.
struct mg_modbus_req {
  // MG_MODBUS_FUNC_* value.
  uint8_t func;
  // Set by the handler: MG_MODBUS_ERR_* value.
  uint8_t error;
  // First address.
  uint16_t addr;
  // `len` values, owned by the library.
  union mg_modbus_values u;
  // Number of values.
  uint16_t len;
};

// A custom printer for `%M` and `%m`: takes its own arguments from `*ap` and returns the number of characters it printed.
typedef size_t (*mg_pm_t)(mg_pfn_t, void*, va_list*);

// A Wi-Fi network found by a scan.
struct mg_wifi_scan_bss_data {
  struct mg_str SSID;
  char *BSSID;
  int16_t RSSI;
  // MG_WIFI_SECURITY_* bits.
  uint8_t security;
  uint8_t channel;
  // MG_WIFI_BAND_* value.
  //
  unsigned int band: 2;
  unsigned int has_n: 1;
  unsigned int has_ac: 1;
  unsigned int has_ax: 1;
};

// A WebSocket message or control frame, valid during the handler call.
struct mg_ws_message {
  // The payload, unmasked.
  struct mg_str data;
  // First byte of the frame; the low four bits are a WEBSOCKET_OP_* value.
  uint8_t flags;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Messages above this level are not logged; MG_LL_DEBUG at the start.
extern int mg_log_level;

// Wall clock time at which mg_millis was 0, in milliseconds since 1970; mg_now adds it. 0 until SNTP or the application sets it.
extern uint64_t mg_boot_timestamp_ms;

// The machine's own file system. Applications may copy and change it.
extern struct mg_fs mg_fs_posix;

// Read-only file system over mg_mem_files.
extern struct mg_fs mg_fs_packed;

// The files compiled into the application: the application may assign an array; NULL at the start.
extern const struct mg_mem_file *mg_mem_files;

// Allocates a zeroed connection with the next id and `mgr->extraconnsize` bytes behind it. It is on no list and has no socket;
// for network stacks of the application's own. NULL when out of memory. Free it with mg_close_conn.
struct mg_connection *mg_alloc_conn(struct mg_mgr *mgr);

// Reads an IP address: nothing at all (0.0.0.0), `localhost` (127.0.0.1), IPv4 `a.b.c.d`, or IPv6, with or without
// brackets and with or without a scope, `[fe80::1%2]`. Sets the address, and `is_ip6`; an IPv6 address also `scope_id`.
// The port is left alone. Returns false when `str` is no address.
bool mg_aton(struct mg_str str, struct mg_addr *addr);

// Decodes `n` characters of padded base64 text at `src` into `dst` of `len` bytes, and puts a NUL behind the result.
// Returns the number of bytes. Up to three characters behind the last group of four are ignored. Returns 0 when `src` is
// NULL or malformed, or when `len` is less than `n / 4 * 3 + 1`; `dst` is then empty (if `len` is not 0). `dst` may be
// `src`.
size_t mg_base64_decode(const char *src, size_t n, char *dst, size_t len);

// Encodes `n` bytes at `p` as padded, NUL-terminated base64 text into `buf` of `len` bytes. Returns the length of the text
// without the NUL. When `len` is less than `4 * ((n + 2) / 3) + 1`, returns 0 and makes `buf` empty (if `len` is not 0).
size_t mg_base64_encode(const uint8_t *p, size_t n, char *buf, size_t len);

// Ends the text that `mg_base64_update` began: writes the last character, padding and a NUL. Returns the length of the text.
size_t mg_base64_final(char *buf, size_t len);

// Adds a byte to the base64 text in `buf`. `len` is what the previous call returned, 0 at first. Returns the new length
// of the text. `buf` is the caller's, with room for the whole text, `4 * ((n + 2) / 3) + 1` bytes for `n` bytes; the
// byte behind the text belongs to the encoder between two calls. End with `mg_base64_final`.
size_t mg_base64_update(uint8_t input_byte, char *buf, size_t len);

// Decodes base64 text with `-` and `_` that ends after `n` characters or at a `=`, into `dst` of `len` bytes, and puts a
// NUL behind the result. Returns the number of bytes. Returns 0 for malformed text, or when the result and its NUL do
// not fit; `dst` is then empty (if `len` is not 0).
size_t mg_base64url_decode(const char *src, size_t n, char *dst, size_t len);

// Like `mg_base64_encode`, with `-` and `_` for `+` and `/`, and without padding. `buf` must still have room for the padding.
size_t mg_base64url_encode(const uint8_t *p, size_t n, char *buf, size_t len);

// Zeroes `len` bytes at `buf`, which may be NULL. Never optimised away: for secrets.
void mg_bzero(mg_volatile_byte *buf, size_t len);

// Delivers an event to `c->pfn`, then to `c->fn`; either may be NULL. Applications may send events of their own, from MG_EV_USER
// on.
void mg_call(struct mg_connection *c, int ev, void *ev_data);

// Allocates `count` * `size` zeroed bytes; NULL when out of memory. All memory that an application gets from the library,
// keeps or frees comes from here. An application may define its own mg_calloc and mg_free, which the library then uses.
extern void *mg_calloc(size_t count, size_t size);

// Compares two NUL-terminated strings, ASCII letters without regard to case. Returns 0 when they are equal, otherwise the
// difference between the first two characters that differ, in lower case. Neither may be NULL.
int mg_casecmp(const char *s1, const char *s2);

// Checks an address against a list of networks, such as `-0.0.0.0/0,+192.168.0.0/16`: comma-separated, each with `+` to
// let it in or `-` to keep it out. Returns 1 when the address may come in, 0 when not: the last network that contains it
// decides, and no network means no; but an empty list lets everyone in. An IPv4 address mapped into IPv6
// (`::ffff:192.168.0.1`) counts as that IPv4 address. Returns -1 for any other IPv6 address or an entry without sign, -2 for a
// malformed network. Where bits behind the network's length are not zero, `-` keeps all of the network out and `+` lets nobody in.
int mg_check_ip_acl(struct mg_str acl, struct mg_addr *remote_ip);

// Closes a connection at once, discarding its output: closes the socket, delivers MG_EV_CLOSE and frees it. Setting
// `c->is_closing` or `c->is_draining` is the better way. Inside a handler the memory stays readable until the handlers have
// returned; no further event is delivered.
void mg_close_conn(struct mg_connection *c);

// Opens a client connection; `fn` gets MG_EV_OPEN and, for a numeric host, MG_EV_RESOLVE before this returns, MG_EV_CONNECT
// later (at once for UDP). A host name stands for all its addresses: `c->rem` is the first of them at MG_EV_RESOLVE and the one that
// has answered at MG_EV_CONNECT. `unix:PATH` and `unix:///PATH` connect to a Unix socket. Data queued before the connection is up is sent then. Returns NULL for a NULL or empty URL and
// when out of memory; any other failure is reported by MG_EV_ERROR, and MG_EV_CLOSE follows in the next poll.
struct mg_connection *mg_connect(struct mg_mgr *mgr,
                                 const char *url,
                                 mg_event_handler_t fn,
                                 void *fn_data);

// Goes on with a client connection whose `c->rem` is complete: creates the socket, delivers MG_EV_RESOLVE and starts
// connecting. The resolver calls it; applications need it only with a resolver of their own.
void mg_connect_resolved(struct mg_connection *c);

// As mg_connect, with a protocol handler that gets every event before `fn`.
struct mg_connection *mg_connect_svc(struct mg_mgr *mgr,
                                     const char *url,
                                     mg_event_handler_t fn,
                                     void *fn_data,
                                     mg_event_handler_t pfn,
                                     void *pfn_data);

// CRC-16/X.25 of `len` bytes. `crc` is 0, or the result for the bytes before them. `buf` may be NULL when `len` is 0.
uint16_t mg_crc16(uint16_t crc, const char *buf, size_t len);

// CRC-32 of `len` bytes, as in zlib. `crc` is 0, or the result for the bytes before them. `buf` may be NULL when `len` is 0.
uint32_t mg_crc32(uint32_t crc, const char *buf, size_t len);

// Reads an element of a file list into its fields `name` (MG_VAL_STR) and, if there is one, `size` (MG_VAL_UINT64 or
// MG_VAL_INT). With `*index < 0` the number of files is stored in `*index`; behind the last file -1 is. False when there is no
// directory or no field for the name. A file list without `fn` is read so; a set's own `fn` calls this for MG_DASH_READ.
bool mg_dash_dir_read(struct mg_field_set *set, struct mg_dash_user *u);

// Event handler of a dashboard: for mg_http_listen, with a `struct mg_dash` as fn_data, which stays where it is as long as the
// listener and its connections. Sessions are in a list of the process; a dashboard's callbacks are called in the thread that
// polls its manager. Uses `c->data`: byte 0, and the pointers at offsets 8 (user) and 16 (dashboard).
void mg_dash_ev_handler(struct mg_connection *c, int ev, void *ev_data);

// Tells all open dashboards of a manager that a set has changed: an array with `*index < 0` its size, with another index that
// element. The set's `fn` is called for each client with MG_DASH_READ; who may not read it is not told.
void mg_dash_send_change(struct mg_mgr *mgr, struct mg_field_set *set);

// Waits, without sleeping, until more than `ms` milliseconds have gone by. May be called from any thread.
void mg_delayms(unsigned int ms);

// Parses a DNS message of at most 512 bytes with at most one question; `buf` may be NULL when `len` is 0. `*dm` gets the id, the
// name asked for, and from a response the first IPv4 or IPv6 address among the first ten answers, `name` then being the name
// of the answer that was looked at last. Neither the response code nor whether the answer fits the question is looked at.
// Returns false, with `*dm` partly filled, when the message is malformed. May be called from any thread.
bool mg_dns_parse(const uint8_t *buf, size_t len, struct mg_dns_message *dm);

// Parses the question (`is_question`) or record at offset `ofs` of a DNS message of at most 512 bytes into `*rr`. Returns how
// many bytes it takes, so that `ofs` plus this is where the next one begins, or 0 when there is none. A compressed name counts
// as it stands there. May be called from any thread.
size_t mg_dns_parse_rr(const uint8_t *buf, size_t len, size_t ofs, bool is_question, struct mg_dns_rr *rr);

// Sets the differentiated services code point (6 bits) of what the connection sends from now on. False when the kernel refuses.
bool mg_dscp(struct mg_connection *c, uint8_t dscp);

// Logs the formatted text (at most 63 characters), sets c->is_closing, and calls the handlers with MG_EV_ERROR, where
// `ev_data` is the text. A handler may clear is_closing to keep the connection.
extern void mg_error(struct mg_connection *c, const char *fmt, ...);

// Formats a text and replaces a file's content with it, as mg_file_write does. For the format see mg_xprintf.
extern bool mg_file_printf(struct mg_fs *fs, const char *path, const char *fmt, ...);

// Reads a whole file into memory, with a NUL behind it. Free `.buf` with mg_free. The null string on failure, also for a
// directory and for a `path` of NULL; an empty file gives an empty string that is not NULL.
struct mg_str mg_file_read(struct mg_fs *fs, const char *path);

// Replaces a file's content, through a temporary file in the same directory: others see the old file or the new one, whole,
// also after a crash of the machine (see `no_fsync` of struct mgx_options). False on failure, with the old file as it was; the
// temporary file is gone in any case.
bool mg_file_write(struct mg_fs *fs, const char *path, const void *buf, size_t len);

// Frees memory of mg_calloc; NULL is fine.
extern void mg_free(void *ptr);

// Closes a file and frees `fd`, which may be NULL.
void mg_fs_close(struct mg_fd *fd);

// Steps through a directory: replaces the name in `buf` by the one listed after it. Begin with an empty string. Returns false,
// with an empty string, at the end. Names that do not fit `buf` are left out. Each call lists the whole directory, so begin anew
// after changing it.
bool mg_fs_ls(struct mg_fs *fs, const char *path, char *buf, size_t len);

// Opens a file with MG_FS_* flags. NULL on failure; otherwise to be closed with mg_fs_close.
struct mg_fd *mg_fs_open(struct mg_fs *fs, const char *path, int flags);

// Writes `len` bytes at `buf` to the log in hex and as text, 16 bytes a line, at any log level.
void mg_hexdump(const void *buf, size_t len);

// Writes the HMAC-SHA-256 (RFC 2104) of `datasz` bytes at `data` under a key of `keysz` bytes. `key` and `data` are not
// changed, and may be NULL when their size is 0.
void mg_hmac_sha256(uint8_t *dst, uint8_t *key, size_t keysz, uint8_t *data, size_t datasz);

// Queues the line `Authorization: Basic ...` for these credentials, while a request head is being composed. `user` NULL is
// empty; with `pass` NULL or empty the colon is left out. When out of memory nothing is queued and the failure is logged.
void mg_http_bauth(struct mg_connection *c, const char *user, const char *pass);

// Opens a client connection as mg_connect does, for HTTP: responses arrive as MG_EV_HTTP_MSG. Nothing is sent by itself; write
// the request on MG_EV_CONNECT or right after this call. When the URL has a user (`http://user:pass@host/`), requests whose
// whole head is queued when it leaves, and that have no Authorization header, get one with these credentials.
struct mg_connection *mg_http_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Writes the credentials of a request to `user` and `pass` as C strings, cut to their sizes; empty when there are none. They
// come from the first of these: `Authorization: Basic`, `Authorization: Bearer` (`pass` only), a Cookie header's
// `access_token` (`pass` only), the query variable `access_token` (`pass` only).
void mg_http_creds(struct mg_http_message *hm, char *user, size_t userlen, char *pass, size_t passlen);

// Returns the value of the first header called `name`, in any case, or NULL when there is none. The result points into
// `*hm`; its length may be 0.
struct mg_str *mg_http_get_header(struct mg_http_message *hm, const char *name);

// Returns the value of parameter `v` in a header value such as `form-data; name="x"`, without quotes; it points into `s`.
// `{NULL, 0}` when there is none. The name is case-sensitive and has to start a word: `name` is not found in `filename`.
struct mg_str mg_http_get_header_var(struct mg_str s, struct mg_str v);

// Returns the length of the request or response head at the start of `buf`, up to and with its blank line; 0 when it is
// incomplete, -1 when it holds a byte that no head may hold. `buf` may be NULL when `buf_len` is 0.
int mg_http_get_request_len(const unsigned char *buf, size_t buf_len);

// Copies the decoded value of a query string or form variable to `dst` as a C string. Returns its length, which may be 0, or
// -1 when `buf` is empty or `name` NULL, -2 when `dst` is NULL or `dst_len` 0, -3 when the value is badly encoded or does not
// fit with its NUL, -4 when there is no such variable. After -1 and -4 `dst` is an empty string, after -3 it is unspecified.
int mg_http_get_var(const struct mg_str *buf, const char *name, char *dst, size_t dst_len);

// Opens a listener as mg_listen does, for HTTP: connections it accepts get MG_EV_HTTP_HDRS when the head of a request has
// arrived and MG_EV_HTTP_MSG when the request is complete, both with a `struct mg_http_message *`.
struct mg_connection *mg_http_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Finds the part of a `multipart/form-data` body that starts with the boundary line at `ofs`, 0 for the first one. Returns
// the offset to call it with for the next part, 0 when there is no part. `*part`, unless it is NULL, gets strings that point
// into `body`; `name` and `filename` are `{NULL, 0}` when the part has none, and all are when there is no part.
//
// The first line that starts with two dashes and is followed by a part is the boundary; text before it, up to 16 KiB, and
// behind the closing boundary is skipped. A part ends with a line that is the boundary, with nothing but blanks behind it: one
// whose end is not there is no part.
//
// ```c
// struct mg_http_part part;
// size_t ofs = 0;
// while ((ofs = mg_http_next_multipart(hm->body, ofs, &part)) > 0) { ... }
// ```
size_t mg_http_next_multipart(struct mg_str body, size_t ofs, struct mg_http_part *part);

// Parses the head of the request or response at the start of `s` into `*hm`, which is zeroed first. Returns the length of
// the head up to and with its blank line, 0 when it is incomplete, -1 when it is malformed; `*hm` is filled only when the
// result is positive.
//
// All strings in `*hm` point into `s`, not copied and not NUL-terminated. `hm->body.buf` is the first byte behind the head;
// `hm->body.len` is what Content-Length says, whether or not the bytes are there yet, and `hm->message.len` includes it.
// Both are `(size_t) -1` for a response that lasts until the connection closes. `hm->query` is `{NULL, 0}` when the URI has
// no `?`. In a response `hm->method` is the version, `hm->uri` the status and `hm->proto` the reason phrase.
//
// Line ends may be CRLF or LF. At most `MG_MAX_HTTP_HEADERS` headers are kept, unused ones are zero. A message that could be
// understood in two ways is malformed: repeated Content-Length, Transfer-Encoding, Authorization, Cookie or Connection,
// Content-Length next to Transfer-Encoding or not a plain number, either of them behind the last header kept, a stray CR.
int mg_http_parse(const char *s, size_t len, struct mg_http_message *hm);

// Appends one chunk of a chunked HTTP message. The caller has sent the head, with `Transfer-Encoding: chunked`. Empty text
// makes the last chunk, which ends the response. In the answer to a HEAD request nothing is appended.
extern void mg_http_printf_chunk(struct mg_connection *c, const char *fmt, ...);

// Appends an HTTP response: status line, `headers` (each ends with CR LF; NULL for none), Content-Length, and the formatted
// body. The response is then complete. The answer to a HEAD request has no body, but the length that it would have.
extern void mg_http_reply(struct mg_connection *c, int status_code, const char *headers, const char *body_fmt, ...);

// Answers a request with a file or a directory listing below `opts->root_dir`, which is a directory, or a list such as
// `www,/a=dir2`: the last item whose prefix fits the URI counts. Paths that lead out of the directory, also through symbolic links,
// are refused. Range, the conditions of RFC 9110 (If-None-Match, If-Modified-Since ...), HEAD and compressed files `NAME.gz` are
// understood; DELETE, PUT and other methods that are not for files get 405. The head of the answer is in `c->send` on return; what
// does not fit follows as it leaves, and `c->is_resp` stays 1 until then.
void mg_http_serve_dir(struct mg_connection *c, struct mg_http_message *hm, const struct mg_http_serve_opts *opts);

// Answers a request with the file at `path`, which is taken as it is, in the way of mg_http_serve_dir. `opts` may be NULL.
void mg_http_serve_file(struct mg_connection *c,
                        struct mg_http_message *hm,
                        const char *path,
                        const struct mg_http_serve_opts *opts);

// Answers with the file at `fullpath` after carrying out its server-side includes: `<!--#include file="NAME" -->` is looked for
// beside the page, `<!--#include virtual="/NAME" -->` below `root`. What cannot be included is left out.
void mg_http_serve_ssi(struct mg_connection *c, const char *root, const char *fullpath);

// Feeds the body of this request to mg_ota_begin, mg_ota_write and mg_ota_end as it arrives; call it in MG_EV_HTTP_HDRS.
// `fn` is called once at the end with NULL or an error message, and answers the request. Until then `c->fn` is the library's.
void mg_http_start_ota(struct mg_connection *c, struct mg_http_message *hm, void (*fn)(struct mg_connection*, const char*));

// Writes the body of this request to the file `name` in `dir` as it arrives, whatever its size; call it in
// MG_EV_HTTP_HDRS. `fn` is called once at the end with NULL or an error message, and answers the request; NULL answers `ok` or
// the message. Until then `c->fn` is the library's. The file appears, or replaces an older one, when it is complete and on the
// disk (see `no_fsync` of struct mgx_options); an upload that fails leaves nothing. While it lasts the file has another name,
// `NAME..PID-xxxxxxxxx`; what killed processes have left of such files goes when the next upload to their directory begins.
void mg_http_start_upload(struct mg_connection *c,
                          struct mg_http_message *hm,
                          struct mg_str name,
                          struct mg_str dir,
                          struct mg_fs *fs,
                          void (*fn)(struct mg_connection*, const char*));

// Returns the status code of a parsed response: the number at the start of `hm->uri`, 0 when there is none.
int mg_http_status(const struct mg_http_message *hm);

// Stores one piece of an upload as the query parameters `file` and `offset` say, and answers the request. Offset 0 replaces the
// file, others must be its size. Returns the new size of the file, or a negative number: -1 no name, -2 bad name, -3 bad offset,
// -4 larger than `max_size`, -5 not the size of the file, -6 cannot open, -7 cannot write.
long mg_http_upload(struct mg_connection *c, struct mg_http_message *hm, struct mg_fs *fs, const char *dir, size_t max_size);

// Returns the value of the first variable called `name`, in any case, of a query string or form such as `a=1&b=2`; it points
// into `buf` and is still URL-encoded. `{NULL, 0}` when there is none.
struct mg_str mg_http_var(struct mg_str buf, struct mg_str name);

// Queues one chunk of a message whose head, with `Transfer-Encoding: chunked`, the caller has sent. `len` 0 sends the last
// chunk, which completes the answer. To a HEAD request nothing is queued. Raises MG_EV_ERROR `OOM` when out of memory.
void mg_http_write_chunk(struct mg_connection *c, const char *buf, size_t len);

// Takes up to `len` received bytes that no TLS layer has seen yet from `c->rtls`. Returns how many, or MG_IO_WAIT when there
// are none.
long mg_io_recv(struct mg_connection *c, void *buf, size_t len);

// Sends bytes on the socket itself, past `c->send`; on UDP one datagram to `c->rem`. Returns how many were taken, MG_IO_WAIT
// when the socket takes none now, or MG_IO_ERR.
long mg_io_send(struct mg_connection *c, const void *buf, size_t len);

// Inserts `len` bytes at `ofs`, moving what follows. `buf` NULL makes room without writing it. An `ofs` behind the data makes
// the gap part of the data. Returns `len`, or 0 when out of memory, with nothing inserted.
size_t mg_iobuf_add(struct mg_iobuf *io, size_t ofs, const void *buf, size_t len);

// Removes up to `len` bytes at `ofs`; the bytes behind move forward and the end is zeroed. Returns how many were removed.
size_t mg_iobuf_del(struct mg_iobuf *io, size_t ofs, size_t len);

// Frees the memory of `*io`; the struct itself stays the caller's and can be used again.
void mg_iobuf_free(struct mg_iobuf *io);

// Makes `*io` an empty buffer of at least `size` bytes whose capacity is always a multiple of `align` (0: exact).
// Whatever `*io` held before is forgotten, not freed. Returns false when out of memory.
bool mg_iobuf_init(struct mg_iobuf *io, size_t size, size_t align);

// Sets the capacity to `new_size`, rounded up to a multiple of `io->align`. New memory is zero; data that no longer fits is
// cut off; 0 frees the buffer. Returns false when out of memory, with the buffer unchanged.
bool mg_iobuf_resize(struct mg_iobuf *io, size_t new_size);

// Finds the value at `path`, a NUL-terminated string that must not be NULL. Returns its offset in `json`, and its length
// in `*toklen` (which may be NULL); strings include their quotes, objects and arrays their brackets. On failure
// `*toklen` is 0 and the result negative: `MG_JSON_NOT_FOUND`, `MG_JSON_INVALID` when there is a mistake in `path` or in
// the text before the value, `MG_JSON_TOO_DEEP` when more than 30 objects and arrays are open there. What follows the
// value is not looked at. Names are compared as they stand in the text, escapes not decoded. All functions of this
// family may be called from any thread.
int mg_json_get(struct mg_str json, const char *path, int *toklen);

// The bytes that the string at `path` spells in base64, with a NUL behind them: on the heap, to be released with
// `mg_free`. Their number goes to `*len`, which may be NULL; malformed base64 gives 0 bytes. NULL, with `*len` left
// alone, when there is no string or memory has run out.
char *mg_json_get_b64(struct mg_str json, const char *path, int *len);

// Stores the truth value at `path` in `*v`, which may be NULL. Returns false, with `*v` left alone, when there is none.
bool mg_json_get_bool(struct mg_str json, const char *path, bool *v);

// The bytes that the string at `path` spells in hexadecimal, two digits each, with a NUL behind them: on the heap, to be
// released with `mg_free`. Their number goes to `*len`, which may be NULL. NULL, with `*len` left alone, when there is
// no such string or memory has run out.
char *mg_json_get_hex(struct mg_str json, const char *path, int *len);

// The number at `path` without its fraction, or `dflt` when there is no number. Exact, also for numbers with an exponent:
// `1.5e1` is 15. Numbers out of range give the nearest `long`.
long mg_json_get_long(struct mg_str json, const char *path, long dflt);

// Stores the number at `path` in `*v`, which may be NULL. Returns false, with `*v` left alone, when there is no number.
bool mg_json_get_num(struct mg_str json, const char *path, double *v);

// The string at `path` with its escapes decoded, `\uXXXX` to UTF-8: NUL-terminated, on the heap, to be released with
// `mg_free`. Two escapes that are a surrogate pair are one character, half a pair is U+FFFD. NULL when there is no string,
// when nothing of it can be decoded, or when memory has run out.
char *mg_json_get_str(struct mg_str json, const char *path);

// The value at `path` as it stands in the text, a view of `json`; NULL and 0 when there is none.
struct mg_str mg_json_get_tok(struct mg_str json, const char *path);

// Goes through an object or array, which must begin at the start of `obj`. `ofs` is 0 at first, then what the previous
// call returned. Sets `*key` to the name with its quotes (NULL and 0 in an array) and `*val` to the value as it stands
// in the text, both views of `obj`; either may be NULL. Returns 0 at the end or at a mistake in the text, with both left
// alone.
size_t mg_json_next(struct mg_str obj, size_t ofs, struct mg_str *key, struct mg_str *val);

// Decodes the escapes of the string at `path` into `to` of `n` bytes, and puts a NUL behind it. Returns the number of
// bytes without the NUL. `\u00XX` is the single byte XX; any other `\u` escape ends the text. Returns 0 when there is no
// such string, when it is empty, when an escape is malformed, or when it does not fit: then `to` has a NUL-terminated
// beginning of it.
size_t mg_json_unescape(struct mg_str json, const char *path, char *to, size_t n);

// As mg_jwt_sign_hs256, with an ECDSA signature on the curve P-256: `opts->private_key` has 32 bytes, as mg_uecc_parse_private_key
// writes them. Equal claims give equal tokens. 0 when the library is built without elliptic curves.
size_t mg_jwt_sign_es256(const struct mg_jwt_opts *opts, char *buf, size_t len);

// Makes a token of `opts->claims`, signed with HMAC-SHA-256 and the key `opts->secret`. Its header has the members `alg`, `typ`,
// `kid` unless that is empty, and those of `opts->header`. Returns the token's length; a NUL follows. 0 on failure: empty claims,
// or a buffer that has no room for each part with its padding. May be called from any thread.
size_t mg_jwt_sign_hs256(const struct mg_jwt_opts *opts, char *buf, size_t len);

// As mg_jwt_verify_hs256, for ECDSA signatures on the curve P-256: `opts->public_key` has 64 bytes, X and Y. 0 when the library is
// built without elliptic curves.
size_t mg_jwt_verify_es256(struct mg_str jwt, const struct mg_jwt_opts *opts, char *buf, size_t len);

// Checks a token's signature with the key `opts->secret` and puts its claims and a NUL into `buf`. Returns their length, 0 on
// failure: another algorithm, a wrong signature, a malformed token, or a buffer that is too small. Whether the token has expired
// is for the application to see. May be called from any thread.
size_t mg_jwt_verify_hs256(struct mg_str jwt, const struct mg_jwt_opts *opts, char *buf, size_t len);

// Opens a listener on a URL such as `tcp://0.0.0.0:8000`, `http://localhost`, `udp://[::1]:53` or `:8000`. The host is a numeric address,
// `localhost` or empty (any IPv4 address); port 0 lets the kernel choose, and `c->loc` holds the result. `udp:` makes a
// datagram listener, `unix:PATH` or `unix:///PATH` one on a Unix socket, whose mode is for the umask and whose file goes when the
// listener closes; anything else a TCP one. Connections it accepts inherit `fn` and `fn_data`. The handler gets MG_EV_OPEN
// before this returns. Returns NULL, with the reason in the log and errno, when the URL is malformed or the address is taken.
struct mg_connection *mg_listen(struct mg_mgr *mgr,
                                const char *url,
                                mg_event_handler_t fn,
                                void *fn_data);

// Writes formatted text and CR LF to the log, whatever the log level. Applications use MG_INFO and its like, which look at
// the level first. An application may define its own mg_log and mg_log_prefix, which the library then uses.
extern void mg_log(const char *fmt, ...);

// Writes the 40 characters before a log message: time, level `ll`, base name of `file`, `line`, and `fname`, the function.
extern void mg_log_prefix(int ll, const char *file, int line, const char *fname);

// Sends all log output to `fn(character, param)`, one byte per call; NULL sends it to the standard output again.
void mg_log_set_fn(mg_pfn_t fn, void *param);

// Matches all of `str` against a pattern: `?` is any one character, `*` any number of characters except `/`, `#` any
// number of characters, everything else is itself.
//
// When it matches and `caps` is not NULL, `caps` receives the text of each wildcard as a view of `str`, in the order of
// the pattern. Adjacent `*` and `#` are one wildcard. Every wildcard ends at the earliest place from which the rest of the
// pattern matches. A last entry with NULL and 0 follows unless the pattern ends in `*` or `#`: `caps` needs one entry for
// `/user/*` and two for `/user/?`. When nothing matches, only `caps[0]` is written, with NULL and 0.
bool mg_match(struct mg_str str, struct mg_str pattern, struct mg_str *caps);

// Writes the digest, 16 bytes, and zeroes the context.
void mg_md5_final(struct mg_md5_ctx *c, uint8_t *digest);

// Begins an MD5 digest in `*c`. A context is plain data: it may be copied at any time.
void mg_md5_init(struct mg_md5_ctx *c);

// Adds `len` bytes at `data` to the digest. May be called any number of times, with pieces of any length.
void mg_md5_update(struct mg_md5_ctx *c, const uint8_t *data, size_t len);

// Listens for mDNS queries and responses on 224.0.0.251:5353, joins that group on the default interface, and makes the listener
// the one that names in `.local` are asked through (`mgr->mdns`, until it closes). `fn_data` is the host name to answer to, a
// C string without dots and without `.local`, or NULL when the handler decides; it is not copied. Queries arrive as
// MG_EV_MDNS_REQ (`struct mg_mdns_req *`), what others announce as MG_EV_MDNS_RESP (`struct mg_mdns_resp *`). There may be
// several listeners. Returns NULL when the socket cannot be opened.
struct mg_connection *mg_mdns_listen(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data);

// Asks everybody on the local link, through a listener made by mg_mdns_listen: one question for `name`, which must include
// `.local`, of type `rtype`, a MG_DNS_RTYPE_* value. Answers arrive as MG_EV_MDNS_RESP. Returns false when the name has empty
// labels or is too long, and when the datagram could not be sent; the listener stays.
bool mg_mdns_query(struct mg_connection *c, const char *name, unsigned int rtype);

// Compares `n` bytes in a time that does not depend on them: for secrets. 0 bytes are equal.
bool mg_memeq(const void *a, const void *b, size_t n);

// Closes every connection, newest first, each with a last MG_EV_POLL and then MG_EV_CLOSE, frees the timers that mg_timer_add
// made and unlinks the others, and frees what else the manager owns. Output still queued is discarded. Afterwards `conns` and
// `timers` are NULL, and no handler is called any more. A manager may be freed twice, and a zero-filled one too. It may be
// freed from a handler.
void mg_mgr_free(struct mg_mgr *mgr);

// Initialises a manager: zero-fills the struct, creates the poller (its descriptor is in `epoll_fd`), sets the default name
// servers and time-outs, and makes the process ignore SIGPIPE. What the struct held before is forgotten. Set `userdata`,
// `extraconnsize` and the resolver's fields afterwards. A failure to create the poller is logged; every mg_listen and
// mg_connect then returns NULL, and mgx_mgr_ok says false. Free it with mg_mgr_free.
void mg_mgr_init(struct mg_mgr *mgr);

// One round of the event loop: waits at most `ms` milliseconds (0: not at all; negative: without limit) for something to do,
// runs the timers, and services every connection, newest first: MG_EV_POLL with the time in milliseconds as
// `uint64_t *`, then what is due. A timer, a deadline, a signal or mg_wakeup ends the wait early. Where mg_mgr_init has failed, or
// mg_mgr_free was called, there is only the wait, of one second for a negative `ms`.
void mg_mgr_poll(struct mg_mgr *mgr, int ms);

// Milliseconds since the machine started, from a clock that never goes back. An application may define its own, which the
// library then uses.
extern uint64_t mg_millis(void);

// Listens for Modbus TCP clients at `url`, such as `tcp://0.0.0.0:502`; the port must be given. `fn` gets MG_EV_MODBUS_REQ with a
// `struct mg_modbus_req *` for each request that is well-formed: it reads the `len` values at `u.bits` or `u.regs` of a request that
// writes, fills those of one that reads, or sets `error` to an MG_MODBUS_ERR_* value; the answer is sent afterwards. The values are
// the library's; the handler may lower `len`, but not replace the pointers (exception 4). Requests for other functions than those
// with an MG_MODBUS_FUNC_* name, with bad lengths or counts, or with addresses beyond 65535 are answered without the handler.
// Anything else ends the connection with MG_EV_ERROR `invalid pdu`. Returns NULL when the address is malformed or taken, and for a
// `udp` URL: Modbus TCP needs a stream.
struct mg_connection *mg_modbus_listen(struct mg_mgr *mgr,
                                       const char *url,
                                       mg_event_handler_t fn,
                                       void *fn_data);

// Formats into new memory, to be freed with mg_free. Returns NULL when the text is empty or memory ran out. For the format
// see mg_xprintf.
extern char *mg_mprintf(const char *fmt, ...);

// Opens a client connection as mg_connect does, for MQTT, and queues the login as mg_mqtt_login does; `opts` may be NULL. The
// ports 1883 of `mqtt:` and 8883 of `mqtts:` need not be given. What is queued next, right after this call, follows the login.
// MG_EV_MQTT_OPEN brings the broker's answer as an `int *`, 0 when it accepts; otherwise the connection closes. Messages arrive
// as MG_EV_MQTT_MSG, all packets as MG_EV_MQTT_CMD, both with a `struct mg_mqtt_message *` that is valid during the call.
// Messages with QoS 1 and 2 are acknowledged before MG_EV_MQTT_MSG. With `keepalive` a PINGREQ goes out when nothing was sent or
// received for three quarters of it, and a broker that is silent for one and a half times it raises MG_EV_ERROR. Repeated
// sending and subscribing anew after a reconnect are the application's. NULL when the URL is empty or memory is short; other
// failures come as MG_EV_ERROR.
struct mg_connection *mg_mqtt_connect(struct mg_mgr *mgr,
                                      const char *url,
                                      const struct mg_mqtt_opts *opts,
                                      mg_event_handler_t fn,
                                      void *fn_data);

// Queues a DISCONNECT packet, on an MQTT 5 connection with `props`; `opts` may be NULL. To close the connection once the packet
// is sent, set `c->is_draining`.
void mg_mqtt_disconnect(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Opens a listener as mg_listen does, for MQTT: connections it accepts get MG_EV_MQTT_CMD for every packet, and MG_EV_MQTT_MSG
// for messages in front of that. Messages with QoS 1 and 2 are acknowledged; CONNECT, SUBSCRIBE, UNSUBSCRIBE and PINGREQ are for
// the application to answer with mg_mqtt_send_header and mg_send, or mg_mqtt_pong. `c->is_mqtt5` is set for a client that logs
// in with version 5. NULL when the listener cannot be opened.
struct mg_connection *mg_mqtt_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Queues a CONNECT packet; mg_mqtt_connect has done so already. `opts` may be NULL. `version` 5 makes the connection an MQTT 5
// one (`c->is_mqtt5`). Without a client id a random one is sent. `topic` and `message` are the will, `qos` and `retain` its
// flags. What cannot be sent - strings above 65535 bytes, unknown properties - raises MG_EV_ERROR, as in the functions below;
// then nothing is queued.
void mg_mqtt_login(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Steps through the MQTT 5 properties of a PUBLISH packet: begin with `ofs` 0, go on with the value returned, end at 0, which also
// means that the rest is malformed. `prop` is overwritten; its strings point into the packet.
size_t mg_mqtt_next_prop(struct mg_mqtt_message *msg, struct mg_mqtt_prop *prop, size_t ofs);

// Parses the packet at the start of `buf`. `version` is 4 or 5. Returns MQTT_OK, MQTT_INCOMPLETE or MQTT_MALFORMED. `m` is zeroed
// first; its strings point into `buf`. `m->dgram.len` is the length of the packet, behind which the next one begins. Needs no
// connection; any thread may call it.
int mg_mqtt_parse(const uint8_t *buf, size_t len, uint8_t version, struct mg_mqtt_message *m);

// Queues a PINGREQ packet.
void mg_mqtt_ping(struct mg_connection *c);

// Queues a PINGRESP packet, the answer to PINGREQ.
void mg_mqtt_pong(struct mg_connection *c);

// Queues a PUBLISH packet with `topic`, `message`, `qos`, `retain` and, on an MQTT 5 connection, `props`. Other members are not
// read, `retransmit_id` only for QoS 1 and 2: 0 takes the next packet id of the manager, another value sends the message of that
// id again, with the duplicate flag. Returns the packet id, to be compared with `id` of the PUBACK or PUBCOMP; for QoS 0
// `retransmit_id`, and 0 after MG_EV_ERROR.
uint16_t mg_mqtt_pub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Queues the first bytes of a packet: type, flags, and `len`, the number of bytes that the application then adds with mg_send.
// More than 268435455 raise MG_EV_ERROR.
void mg_mqtt_send_header(struct mg_connection *c, uint8_t cmd, uint8_t flags, uint32_t len);

// Queues a SUBSCRIBE packet with `topic`, `qos` and, on an MQTT 5 connection, `props`; other members are not read. Its packet id
// is `mgr->mqtt_id` after the call. The answer arrives as MG_EV_MQTT_CMD with MQTT_CMD_SUBACK.
void mg_mqtt_sub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Queues an UNSUBSCRIBE packet with `topic` and, on an MQTT 5 connection, `props`. Otherwise as mg_mqtt_sub.
void mg_mqtt_unsub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Copies a `struct mg_addr` that the application saved at `from` back into `c->rem`: a UDP client answers to the group again.
void mg_multicast_restore(struct mg_connection *c, uint8_t *from);

// Wall clock time in milliseconds since 1970, once SNTP has told it: `mg_millis()` plus `mg_boot_timestamp_ms`, which is
// 0 before. May be called from any thread.
uint64_t mg_now(void);

// Turns a 32-bit number from network byte order into the machine's, or back.
uint32_t mg_ntohl(uint32_t net);

// Turns a 64-bit number from network byte order into the machine's, or back.
uint64_t mg_ntohll(uint64_t net);

// Turns a 16-bit number from network byte order into the machine's, or back.
uint16_t mg_ntohs(uint16_t net);

// Opens the socket of a listener for `url` and stores it in `c`. mg_listen does this; returns false, with the reason in the
// log, when the address is malformed or taken.
bool mg_open_listener(struct mg_connection *c, const char *url);

// Begins a firmware update. The library's own three functions accept everything and keep nothing; an application may define
// its own, which the library then uses.
extern bool mg_ota_begin(size_t new_firmware_size);

// Puts the device's id, which is sent with the question for updates, into `buf` of `len` bytes. The library's own id is `0`;
// an application may define this function itself, which the library then uses.
extern void mg_ota_device_id(char *buf, size_t len);

// Ends a firmware update, a failed one too.
extern bool mg_ota_end(void);

// Ends a check for updates whose time is up. mg_mgr_poll calls it; applications need not.
void mg_ota_poll(struct mg_mgr *mgr);

// Looks for a firmware update. `metadata_url` (at most 255 characters, copied) must answer with JSON,
// `{"version": "...", "url": "...", "size": N}`. If the version is not ours (mgx_ota_set_version), the image is fetched
// from `url` and given to mg_ota_begin, mg_ota_write and mg_ota_end. `fn` is called once: with NULL after mg_ota_end has returned
// true, or else with a message, such as `Same version`, which lives for the length of the call. Without `fn`, failures are logged. It may be
// called before this function returns. There is one check at a time in a process; https needs a CA
// (mgx_ota_set_ca). What the image contains is for mg_ota_end to verify.
void mg_ota_url_check(struct mg_mgr *mgr,
                      const char *metadata_url,
                      void (*fn)(const char *error_message));

// Writes the next piece of a firmware update.
extern bool mg_ota_write(const void *buf, size_t len);

// Whether a path cannot lead out of the directory it is looked up in: it does not begin with `~`, none of its parts
// begins with `..`, and there is no NUL inside. Both `/` and `\` separate parts. An empty path, or one that begins with
// a NUL, is sane.
bool mg_path_is_sane(struct mg_str path);

// For mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param`, which grows as needed, with a NUL behind the data. When out
// of memory the character is dropped.
void mg_pfn_iobuf(char ch, void *param);

// For mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param`, which does not grow, with a NUL behind the data. The last byte
// of its memory takes a NUL instead of the first character that finds no room, and counts as data; further ones are dropped.
void mg_pfn_iobuf_noresize(char ch, void *param);

// For mg_xprintf: writes `c` to the standard output. `param` is not used.
void mg_pfn_stdout(char c, void *_param);

#if defined(MGX_TCPIP)
// Resets the PHY at `addr` and logs which one it is. `config`: MG_PHY_* bits, which the library leaves to the program: it changes no
// clocks and no LEDs.
void mg_phy_init(struct mg_phy *phy,
                 uint8_t addr,
                 uint8_t config);
#endif

#if defined(MGX_TCPIP)
// Whether the PHY at `addr` has a link. If so, and neither pointer is NULL, stores what is known of it: full duplex, MG_PHY_SPEED_*.
bool mg_phy_up(struct mg_phy *phy,
               uint8_t addr,
               bool *full_duplex,
               uint8_t *speed);
#endif

// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints base64 with padding.
size_t mg_print_base64(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints the inside of a JSON string. Length 0 means up to
// the NUL; a NUL always ends the text. NULL prints nothing.
size_t mg_print_esc(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints two lower-case hex digits per byte.
size_t mg_print_hex(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints it with `&`, `<`, `>` and `"` as HTML entities.
size_t mg_print_html_esc(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: a pointer to the eight bytes of an IEEE 64-bit address. Prints eight pairs of hex digits
// with colons between.
size_t mg_print_ieee64(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints `1.2.3.4` or `[1:2:3:4:5:6:7:8]`.
size_t mg_print_ip(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: a pointer to the four bytes of an IPv4 address in network byte order.
size_t mg_print_ip4(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: a pointer to the 16 bytes of an IPv6 address. Prints it in brackets.
size_t mg_print_ip6(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints as mg_print_ip, then a colon and the port.
size_t mg_print_ip_port(mg_pfn_t fn, void *arg, va_list *ap);

#if defined(MGX_TCPIP)
// Printer for `%M` and `%m`. Arguments: `int l2type`, `uint8_t *addr`. Prints a MAC address as mg_print_mac; nothing for other types.
size_t mg_print_l2addr(mg_pfn_t fn,
                       void *arg,
                       va_list *ap);
#endif

// Printer for `%M` and `%m`. Argument: a pointer to the six bytes of a MAC address. Prints `xx:xx:xx:xx:xx:xx`.
size_t mg_print_mac(mg_pfn_t fn, void *arg, va_list *ap);

// Appends formatted text to what `c` is to send. Returns its length. When out of memory, raises MG_EV_ERROR and returns 0
// with nothing appended. A UDP connection sends its whole buffer as one datagram in the next poll. For the format see
// mg_xprintf.
extern size_t mg_printf(struct mg_connection *c, const char *fmt, ...);

// Hands a message to the reader: `len` bytes, not 0, as booked, written to where `mg_queue_book` said. Only the writing
// side may call this.
void mg_queue_add(struct mg_queue *q, size_t len);

// Looks for room for a message of `len` bytes in one piece and, if `buf` is not NULL, sets `*buf` to where it goes.
// Returns the size of that place: less than `len` when the queue has no room, and then nothing may be written. Each
// message takes four bytes more. Only the writing side may call this.
size_t mg_queue_book(struct mg_queue *q, char **buf, size_t len);

// Removes the oldest message. `len` is its length, as returned by `mg_queue_next`. Only the reading side may call this.
void mg_queue_del(struct mg_queue *q, size_t len);

// Makes `*q` an empty queue that keeps its messages in `size` bytes at `buf`, which stay the caller's. To be called
// before any other thread sees the queue.
void mg_queue_init(struct mg_queue *q, char *buf, size_t size);

// Looks at the oldest message: returns its length, 0 when the queue is empty, and sets `*buf` to its bytes, which stay
// there until `mg_queue_del`. `buf` may be NULL. Only the reading side may call this.
size_t mg_queue_next(struct mg_queue *q, char **buf);

// Formats one message into the queue, for the thread that writes it. Returns its length, or 0 when the text is empty or
// does not fit; then nothing is added. A NUL follows the message in memory, so it needs room for one byte more. The
// arguments are read twice: printers for `%M` run twice.
extern size_t mg_queue_printf(struct mg_queue *q, const char *fmt, ...);

// Fills `buf` with `len` random bytes of the operating system, fit for keys. Returns false, with zeros in `buf`, when it has
// none to give. An application may define its own, which the library then uses. May be called from any thread.
extern bool mg_random(void *buf, size_t len);

// Fills `buf` with `len - 1` random letters and digits and a NUL; writes nothing when `len` is 0. Returns `buf`; or, when
// `mg_random` has no random numbers, NULL, with an empty text in `buf`.
char *mg_random_str(char *buf, size_t len);

// Finds the address of a URL's host and stores it with the port in `c->rem`; mg_connect does this by itself. A numeric host,
// `localhost` and a name in /etc/hosts are known at once, everything else is asked of a DNS server, or, in `.local`, through
// `mgr->mdns`: `c->is_resolving` is set until then. A connection without a socket then gets one and connects; in any case
// MG_EV_RESOLVE tells. MG_EV_ERROR when there is no address, and the connection closes. A lookup that `c` waits for already is
// forgotten.
void mg_resolve(struct mg_connection *c, const char *url);

// Forgets that a connection waits for an address: neither MG_EV_RESOLVE nor an error will come of it. Closing a connection does
// this by itself.
void mg_resolve_cancel(struct mg_connection *c);

// Adds a handler for the methods that match `method_pattern` (see mg_match) to the front of the list `*head`, which is NULL at
// first. The pattern is copied. `handler_data` is found in `r->rpc->fn_data`. Does nothing when out of memory.
void mg_rpc_add(struct mg_rpc **head, struct mg_str method_pattern, void (*handler)(struct mg_rpc_req*), void *handler_data);

// Removes the entries with this handler from the list and frees them; NULL removes all. A handler may remove itself.
void mg_rpc_del(struct mg_rpc **head, void (*handler)(struct mg_rpc_req*));

// In a JSON-RPC handler: prints the response `{"id":..,"error":{"code":..,"message":..}}`, where the formatted text is the
// JSON of the message (use `%m` for a string); `fmt` NULL means `null`. A request without id gets a response without id.
extern void mg_rpc_err(struct mg_rpc_req *r, int code, const char *fmt, ...);

// A ready handler: answers with an array of the patterns in the list.
void mg_rpc_list(struct mg_rpc_req *r);

// In a JSON-RPC handler: prints the response `{"id":..,"result":..}`, where the formatted text is the JSON of the result;
// `fmt` NULL means `null`. Prints nothing when the request has no id.
extern void mg_rpc_ok(struct mg_rpc_req *r, const char *fmt, ...);

// Calls the handler for `r->frame`: the first in the list `*r->head` that matches its method. A frame without method but with a
// result or error is for the handler of the empty method name. Without handler, or if the frame is neither, an error response
// is printed. Responses go to `r->pfn(character, r->pfn_data)`.
void mg_rpc_process(struct mg_rpc_req *r);

// mg_rpc_err with its arguments behind `ap`.
void mg_rpc_verr(struct mg_rpc_req *r, int code, const char *fmt, va_list *ap);

// mg_rpc_ok with its arguments behind `ap`.
void mg_rpc_vok(struct mg_rpc_req *r, const char *fmt, va_list *ap);

// Queues `len` bytes to be sent; nothing is transmitted before the handlers of the current event have returned. Returns false
// when out of memory. On a UDP connection one datagram is sent to `c->rem` at once, with MG_EV_WRITE inside this call; false
// then means that it was not sent. `buf` may be NULL when `len` is 0.
bool mg_send(struct mg_connection *c, const void *buf, size_t len);

// Writes the digest, 20 bytes, and zeroes the context.
void mg_sha1_final(uint8_t *digest, struct mg_sha1_ctx *c);

// Begins a SHA-1 digest in `*c`. A context is plain data: it may be copied at any time.
void mg_sha1_init(struct mg_sha1_ctx *c);

// Adds `len` bytes at `data` to the digest. May be called any number of times, with pieces of any length.
void mg_sha1_update(struct mg_sha1_ctx *c, const uint8_t *data, size_t len);

// Writes the SHA-256 digest of `datasz` bytes at `data`. `data` is not changed and may be NULL when `datasz` is 0.
void mg_sha256(uint8_t *dst, uint8_t *data, size_t datasz);

// Writes the digest, 32 bytes. The context must be initialised again before the next use.
void mg_sha256_final(uint8_t *digest, struct mg_sha256_ctx *c);

// Begins a SHA-256 digest in `*c`. A context is plain data: it may be copied at any time.
void mg_sha256_init(struct mg_sha256_ctx *c);

// Adds `len` bytes at `data` to the digest. May be called any number of times, with pieces of any length.
void mg_sha256_update(struct mg_sha256_ctx *c, const uint8_t *data, size_t len);

// Writes the SHA-384 digest of `datasz` bytes at `data`. `data` is not changed and may be NULL when `datasz` is 0.
void mg_sha384(uint8_t *dst, uint8_t *data, size_t datasz);

// Writes the digest, 48 bytes. The context must be initialised again before the next use.
void mg_sha384_final(uint8_t *digest, struct mg_sha384_ctx *c);

// Begins a SHA-384 digest in `*c`. A context is plain data: it may be copied at any time.
void mg_sha384_init(struct mg_sha384_ctx *c);

// Adds `len` bytes at `data` to the digest. May be called any number of times, with pieces of any length.
void mg_sha384_update(struct mg_sha384_ctx *c, const uint8_t *data, size_t len);

// Formats into `buf` of `len` bytes, cut to `len` - 1 characters and NUL-terminated. Returns the length of the whole text.
// `buf` may be NULL when `len` is 0. For the format see mg_xprintf.
extern size_t mg_snprintf(char *buf, size_t len, const char *fmt, ...);

// Asks the time server at `url`, such as `udp://pool.ntp.org:123`; NULL asks a public one. The port must be given. Its answer sets
// `mg_boot_timestamp_ms`, so that mg_now is the time, and `fn` gets MG_EV_SNTP_TIME with a `uint64_t *`, milliseconds since 1970.
// Then the connection closes, as it does, without MG_EV_ERROR, when the server says that it does not know the time, and 3 seconds
// after the start when no answer has come. Messages from others, or that do not repeat the random number in our request, are
// ignored. Returns NULL as mg_connect does.
struct mg_connection *mg_sntp_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Reads a time server's message of `len` bytes. Returns milliseconds since 1970 and sets `mg_boot_timestamp_ms`; -1 when the
// message is shorter than 48 bytes or no server's, and then sets nothing. Nobody checks here whose message it is and whether it
// answers a request: mg_sntp_connect does.
int64_t mg_sntp_parse(const uint8_t *buf, size_t len);

// Sends one SNTP request to `c->rem`; mg_sntp_connect does it by itself. Does nothing while the server's address is not known yet.
void mg_sntp_request(struct mg_connection *c);

// Cuts `s` at the first `sep`: `*a` becomes the part before it and `*b` the part behind it, or all of `s` and nothing
// when there is no `sep`. Returns false, with both left alone, when `s` is empty. `a` and `b` may be NULL, or point at
// the caller's `s`, so that `while (mg_span(s, &part, &s, ','))` takes a list apart.
bool mg_span(struct mg_str s, struct mg_str *a, struct mg_str *b, char sep);

// A view of the `n` bytes at `s`.
struct mg_str mg_str_n(const char *s, size_t n);

// A view of the NUL-terminated string `s`, NULL and 0 when `s` is NULL. Applications write it `mg_str(s)`.
struct mg_str mg_str_s(const char *s);

// Reads an unsigned number into the integer of `val_len` bytes (1, 2, 4 or 8) at `val`. `base` is 2, 10 or 16; or 0 for
// a number of two characters or more that says it itself: `0b` for binary, `0x` for hexadecimal, else decimal. Returns
// false, with `*val` left alone, when `str` is not just such a number, or one that does not fit.
bool mg_str_to_num(struct mg_str str, int base, void *val, size_t val_len);

// Like `mg_strcmp`, with ASCII letters compared without regard to case.
int mg_strcasecmp(struct mg_str str1, struct mg_str str2);

// Compares two strings byte by byte: -1, 0 or 1. The beginning of a string comes before the string.
int mg_strcmp(struct mg_str str1, struct mg_str str2);

// A copy of `s` on the heap, with a NUL behind it; NULL and 0 when `s` is empty or memory has run out. Release `.buf` with
// `mg_free`.
struct mg_str mg_strdup(struct mg_str s);

#if defined(MGX_TCPIP)
// Asks the network who has the IPv4 address `ip`; the answer is an MG_TCPIP_EV_ARP. `mac` goes into the target's hardware address; NULL
// for zeros.
void mg_tcpip_arp_request(struct mg_tcpip_if *ifp,
                          uint32_t ip,
                          uint8_t *mac);
#endif

#if defined(MGX_TCPIP)
// Takes the interface away and frees what mg_tcpip_init allocated. mg_mgr_free does this; a program need not.
void mg_tcpip_free(struct mg_tcpip_if *ifp);
#endif

#if defined(MGX_TCPIP)
// Puts a network interface under the manager. Call it once, after mg_mgr_init and before anything is opened; interface, driver and
// driver data must live as long as the manager. Zeros in `ifp` become defaults: a random MAC address, the name `mip`, an address from
// DHCP. Calls `driver->init`. Nothing is sent and no event fires inside. When it has failed, the reason is in the log and `mgr->ifp` is
// NULL.
void mg_tcpip_init(struct mg_mgr *mgr,
                   struct mg_tcpip_if *ifp);
#endif

#if defined(MGX_TCPIP)
// Puts a received frame into `ifp->recv_queue`, or drops and counts it when there is no room. The only function here that an interrupt
// handler may call.
void mg_tcpip_qwrite(void *buf,
                     size_t len,
                     struct mg_tcpip_if *ifp);
#endif

// Seconds since 1970 of a date and time in UTC; `month` is 1 to 12, `day` 1 to 31. 0 for years before 1970.
uint64_t mg_timegm(unsigned int year, unsigned int month, unsigned int day, unsigned int hour, unsigned int min, unsigned int sec);

// Makes a timer that `mg_mgr_poll` polls, see `mg_timer_init`. The manager owns it: it is released after its call, or with
// the manager when it repeats. Returns NULL when memory has run out, or when another thread keeps the manager busy.
struct mg_timer *mg_timer_add(struct mg_mgr *mgr, uint64_t milliseconds, unsigned int flags, void (*fn)(void*), void *arg);

// A timer without a callback: returns true once every `period` milliseconds. `*expiration` is the time when it is true
// next, 0 at first; the first call only starts it, unless `period` is 0. When the clock has gone back, it starts again.
bool mg_timer_expired(uint64_t *expiration, uint64_t period, uint64_t now);

// Takes a timer off the list `*head`; does nothing when it is not there. Releases no memory. May be called in a timer's
// callback, for that timer or another one, which then may be released.
void mg_timer_free(struct mg_timer **head, struct mg_timer *timer);

// Fills in `*timer` and puts it in front of the list `*head`. `fn(arg)` is called after `milliseconds`, counted from the
// first `mg_timer_poll` that sees the timer: once with `MG_TIMER_ONCE`, again and again with `MG_TIMER_REPEAT`, in both
// cases at once if `MG_TIMER_RUN_NOW` is added. The struct stays the caller's and must live until `mg_timer_free`; it
// must not be on a list already. `&mgr->timers` is the list that `mg_mgr_poll` polls.
void mg_timer_init(struct mg_timer **head,
                   struct mg_timer *timer,
                   uint64_t milliseconds,
                   unsigned int flags,
                   void (*fn)(void*),
                   void *arg);

// Calls the functions of all timers on the list `*head` that are due, at the time of `new_ms` milliseconds. A timer that
// has missed several periods is called once. Timers added meanwhile wait for the next poll. A timer from `mg_timer_add`
// that is done is released.
void mg_timer_poll(struct mg_timer **head, uint64_t new_ms);

// Does nothing: mg_mgr_free frees what TLS has needed.
void mg_tls_ctx_free(struct mg_mgr *mgr);

// Does nothing: mg_mgr_init makes what TLS needs.
void mg_tls_ctx_init(struct mg_mgr *mgr);

// Sends ciphertext that the socket did not take at once. mg_mgr_poll does this by itself.
void mg_tls_flush(struct mg_connection *c);

// Frees the TLS state of a connection and sets `c->tls` to NULL; harmless when there is none. A connection on which TLS has begun
// does not go back to clear text: it is closed, unless mg_tls_init follows. mg_mgr_poll frees the state of what it closes.
void mg_tls_free(struct mg_connection *c);

// Sends what the handshake has to send. The handshake runs by itself, so there is no need to call this.
void mg_tls_handshake(struct mg_connection *c);

// Starts TLS on a connection, as a client if `c->is_client`, else as a server; what the fields of `opts` mean is said there, and
// nothing of them is needed after the call. Applications call it in MG_EV_ACCEPT and MG_EV_CONNECT, or for a client at any time
// after mg_connect; later it upgrades a connection in use (STARTTLS): what is in `c->send` goes out in clear first, and what the
// peer sent in clear is never mixed with what it sends under TLS. The handshake runs by itself, `c->is_tls_hs` is 1 meanwhile
// and MG_EV_TLS_HS ends it. On a listener it does nothing but check the options: each accepted connection needs a call of its
// own. Bad options and failures are reported with MG_EV_ERROR.
void mg_tls_init(struct mg_connection *c, const struct mg_tls_opts *opts);

// Number of decrypted bytes that have not been delivered yet, because `c->recv` had no room for them. 0 without TLS.
size_t mg_tls_pending(struct mg_connection *c);

// Decrypts up to `len` bytes of what is in `c->rtls`. Returns how many, MG_IO_WAIT when more ciphertext is needed, or MG_IO_ERR after a
// failure and when the peer has ended the session. mg_mgr_poll does this into `c->recv`.
long mg_tls_recv(struct mg_connection *c,
                 void *buf,
                 size_t len);

// Encrypts and sends, past `c->send`. Returns the number of bytes taken, at most 64 KiB at once; MG_IO_WAIT before the end of the
// handshake and while the socket takes no more; MG_IO_ERR on failure. What was taken counts as sent: the library sends the rest of it
// by itself. mg_mgr_poll does this for what is in `c->send`.
long mg_tls_send(struct mg_connection *c,
                 const void *buf,
                 size_t len);

#if defined(MGX_DECLARE_UECC)
// Computes the public key of a private one. Returns 1, or 0 when it is no key of this curve.
int mg_uecc_compute_public_key(const uint8_t *private_key, uint8_t *public_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Bytes of a private key: n.
int mg_uecc_curve_private_key_size(MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Bytes of a public key: 2n.
int mg_uecc_curve_public_key_size(MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Makes a pair of keys with random numbers of mg_random. Returns 1, or 0 when there are none.
int mg_uecc_make_key(uint8_t *public_key, uint8_t *private_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Takes the private key on the curve P-256 out of a file, PEM or DER, SEC1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`). Returns 32
// and writes 32 bytes, or returns 0: another kind of key, a malformed one, or `len` below 32.
size_t mg_uecc_parse_private_key(struct mg_str key, uint8_t *buf, size_t len);
#endif

#if defined(MGX_DECLARE_UECC)
// The curve P-256, for the functions that follow. May be called from any thread, as all of them.
MG_UECC_Curve mg_uecc_secp256r1(void);
#endif

#if defined(MGX_DECLARE_UECC)
// The curve P-384.
MG_UECC_Curve mg_uecc_secp384r1(void);
#endif

#if defined(MGX_DECLARE_UECC)
// Computes the secret that the owners of two keys share (ECDH): n bytes, the X coordinate. Returns 1, or 0 when one of the keys is
// none of this curve.
int mg_uecc_shared_secret(const uint8_t *public_key, const uint8_t *private_key, uint8_t *secret, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Signs a hash of `hash_size` bytes (ECDSA); of a longer one than n bytes, the first n count. Returns 1, or 0
// when it is no key of this curve or mg_random has no random numbers.
int mg_uecc_sign(const uint8_t *private_key, const uint8_t *hash, unsigned int hash_size, uint8_t *signature, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns 1 when a public key is a point of the curve, else 0.
int mg_uecc_valid_public_key(const uint8_t *public_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Checks the signature of a hash. Returns 1 if it is good, else 0.
int mg_uecc_verify(const uint8_t *public_key,
                   const uint8_t *hash,
                   unsigned int hash_size,
                   const uint8_t *signature,
                   MG_UECC_Curve curve);
#endif

// The content of a file in `mg_mem_files`, not copied; the null string if there is none.
struct mg_str mg_unpacked(const char *path);

// Decodes `%XX` in the `n` bytes at `s`, and `+` to a space when `form` is not 0, to a C string at `to`. Returns its length,
// or -1 when a `%` is not followed by two hex digits or the result and its NUL do not fit in `to_len` bytes; `to` may then be
// partly written. `to` may be `s`.
int mg_url_decode(const char *s, size_t n, char *to, size_t to_len, int form);

// Encodes the `n` bytes at `s` as a C string at `buf`: letters, digits and `.` `_` `-` `~` stay, the rest becomes `%xx`.
// Returns its length, or 0 when it does not fit in `len` bytes. Each character needs 5 free bytes, so `3 * n + 3` are always
// enough.
size_t mg_url_encode(const char *s, size_t n, char *buf, size_t len);

// The host of a URL, with the brackets of an IPv6 address; a view of `url`. Without a `//` the host is at the start.
struct mg_str mg_url_host(const char *url);

// Whether the scheme of a URL calls for TLS: `https`, `wss`, `mqtts`, `ssl`, `tls` or `tcps`, in any case.
bool mg_url_is_ssl(const char *url);

// The password in a URL such as `http://user:password@host/`; empty when there is none. A view of `url`.
struct mg_str mg_url_pass(const char *url);

// The port of a URL, or the usual one of its scheme (`http`, `https`, `ws`, `wss`, `mqtt`, `mqtts`), or 0. A port that is no
// number up to 65535 gives 0, too. Blanks and a plus sign before the number are skipped.
unsigned short mg_url_port(const char *url);

// The path of a URL with everything behind it: a pointer into `url`, or to the constant "/" when there is no path.
const char *mg_url_uri(const char *url);

// The user name in a URL such as `http://user:password@host/`; empty when there is none. A view of `url`.
struct mg_str mg_url_user(const char *url);

// Formats into new memory, to be freed with mg_free. Returns NULL when the text is empty or memory ran out.
char *mg_vmprintf(const char *fmt, va_list *ap);

// As mg_printf, with the arguments in `*ap`.
size_t mg_vprintf(struct mg_connection *c, const char *fmt, va_list *ap);

// Formats into `buf` of `len` bytes, cut to `len` - 1 characters and NUL-terminated. Returns the length of the whole text.
// `buf` may be NULL when `len` is 0.
size_t mg_vsnprintf(char *buf, size_t len, const char *fmt, va_list *ap);

// Formats `fmt` with the arguments behind `ap`, calling `fn(character, arg)` for each character. Returns their number. `*ap` is
// advanced. `fn` NULL only counts.
size_t mg_vxprintf(mg_pfn_t fn, void *arg, const char *fmt, va_list *ap);

// Sends a message to the connection with this id, which gets it as MG_EV_WAKEUP with a `struct mg_str *`; ends the current
// wait of mg_mgr_poll. May be called from any thread and from a signal handler. At most 16376 bytes (more are cut off); `len`
// 0 is allowed. Messages arrive in order; one for a connection that is gone is dropped. Returns false without a successful
// mg_wakeup_init, for id 0, and when 64 MiB are waiting.
bool mg_wakeup(struct mg_mgr *mgr, unsigned long id, const void *buf, size_t len);

// Prepares the manager for mg_wakeup. Adds a connection of its own to `mgr->conns`. Returns true when that was done, false on
// failure and when it had been done before.
bool mg_wakeup_init(struct mg_mgr *mgr);

// Starts an access point with the settings in `wifi`. False, as for mg_wifi_scan.
bool mg_wifi_ap_start(struct mg_wifi_data *wifi);

// Stops the access point. False, as for mg_wifi_scan.
bool mg_wifi_ap_stop(void);

// Joins the Wi-Fi network in `wifi`. False, as for mg_wifi_scan.
bool mg_wifi_connect(struct mg_wifi_data *wifi);

// Leaves the Wi-Fi network. False, as for mg_wifi_scan.
bool mg_wifi_disconnect(void);

// Starts a scan for Wi-Fi networks. False: there is no driver for that in this library, and no MG_TCPIP_EV_WIFI_* event follows.
bool mg_wifi_scan(void);

// Makes a connection of an open stream socket and delivers MG_EV_OPEN. The descriptor is the manager's from then on and is
// closed with the connection; it need not be non-blocking. Returns NULL when out of memory or when the descriptor cannot be
// watched; it then stays the caller's.
struct mg_connection *mg_wrapfd(struct mg_mgr *mgr, int fd, mg_event_handler_t fn, void *fn_data);

// Opens a client connection as mg_connect does and queues a WebSocket handshake for the URL, which may be `ws://` or `wss://`.
// `fmt` and its arguments give more header lines, each ending in CR LF; NULL for none. Without an Authorization header among
// them, user and password of the URL are sent as Basic credentials. MG_EV_WS_OPEN comes, with the response
// as a `struct mg_http_message *`, when the server has agreed, MG_EV_ERROR with its status when not; then MG_EV_WS_MSG and MG_EV_WS_CTL. What
// is queued before that follows the handshake. Returns NULL as mg_connect does, and when mg_random has no random numbers.
extern struct mg_connection *mg_ws_connect(struct mg_mgr *mgr,
                                           const char *url,
                                           mg_event_handler_t fn,
                                           void *fn_data,
                                           const char *fmt,
                                           ...);

// Queues formatted text as one WebSocket frame. Returns the length of the text. For `op` see mg_ws_send, for the format
// mg_xprintf.
extern size_t mg_ws_printf(struct mg_connection *c, int op, const char *fmt, ...);

// Queues `len` bytes as one WebSocket message or control frame, masked on a client's connection. `op` is a WEBSOCKET_OP_* value.
// To send a message in fragments, clear the highest bit of the frame's first byte in `c->send`. Returns the number of bytes
// queued, 0 when out of memory. To close, send WEBSOCKET_OP_CLOSE with a two-byte status code, or nothing, and wait for the
// peer's answer, which drains the connection.
size_t mg_ws_send(struct mg_connection *c, const void *buf, size_t len, int op);

// In MG_EV_HTTP_MSG: agrees to a WebSocket handshake and delivers MG_EV_WS_OPEN; the connection gets MG_EV_WS_MSG and
// MG_EV_WS_CTL from then on, with a `struct mg_ws_message *`. `fmt` and its arguments give more header lines, each ending in
// CR LF; NULL for none. The first of the protocols that the client offers is chosen, unless these lines choose one. A request
// without a key is answered with status 426 and the connection drained.
extern void mg_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *fmt, ...);

// As mg_ws_printf, with the arguments in `*ap`.
size_t mg_ws_vprintf(struct mg_connection *c, int op, const char *fmt, va_list *ap);

// Makes one WebSocket frame of the last `len` bytes of `c->send`, which is how the output of other functions is sent over a
// WebSocket; see mg_ws_send. Returns the new length of `c->send`, the old one when out of memory.
size_t mg_ws_wrap(struct mg_connection *c, size_t len, int op);

// Formats `fmt` and its arguments, calling `fn(character, arg)` for each character. Returns their number.
//
// `f e g F E G` (double) and `i` (integer) are as in C, with all flags, width, precision and size.
//
// Any other conversion is `%`, then in this order and each optional: `#` (prefix `0x`), `-` (fill on the right), `0` (fill
// with zeros), a width, `.` and a precision (digits, or `*` for an `int` argument), any number of `h` (ignored), `l` or `ll`
// or `z`, then one of
// `d u x X` integers (hexadecimal always in lower case), `p` pointer, `c` character, `s` string (NULL prints nothing),
// `%` itself, `M` output of a printer `mg_pm_t` that follows with its own arguments, `m` the same between double quotes.
extern size_t mg_xprintf(mg_pfn_t fn, void *arg, const char *fmt, ...);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#if MG_ENABLE_TCPIP
// ---- Networking over a driver of the program's own.
#define MG_TCPIP_STATE_DOWN 0     // no link
#define MG_TCPIP_STATE_LINK_UP 1  // not used with Ethernet
#define MG_TCPIP_STATE_UP 2       // link, no address
#define MG_TCPIP_STATE_REQ 3      // a DHCP server was asked for the address that it has offered
#define MG_TCPIP_STATE_IP 4       // address; the gateway has not answered yet
#define MG_TCPIP_STATE_READY 5    // mg_connect works

// Events of an interface, with ev_data.
enum {
  MG_TCPIP_EV_STATE_CHANGE,      // uint8_t *: the new state
  MG_TCPIP_EV_DHCP_DNS,          // uint32_t *: the DNS server that DHCP has named
  MG_TCPIP_EV_DHCP_SNTP,         // uint32_t *: the time server that DHCP has named
  MG_TCPIP_EV_ARP,               // struct mg_str *: a received ARP frame
  MG_TCPIP_EV_TIMER_1S,          // NULL: a second has passed
  MG_TCPIP_EV_WIFI_SCAN_RESULT,  // these four are for drivers
  MG_TCPIP_EV_WIFI_SCAN_END,
  MG_TCPIP_EV_WIFI_CONNECT_ERR,
  MG_TCPIP_EV_DRIVER,
  MG_TCPIP_EV_STATE6_CHANGE,     // uint8_t *: the new state of IPv6
  MG_TCPIP_EV_USER               // the first number that is free for programs
};

// Layer 2. The library supports MG_TCPIP_L2_ETH.
enum mg_l2type { MG_TCPIP_L2_ETH = 0, MG_TCPIP_L2_PPP, MG_TCPIP_L2_PPPoE, MG_TCPIP_L2_USER };
enum mg_l2proto {
  MG_TCPIP_L2PROTO_IPV4 = 0,
  MG_TCPIP_L2PROTO_IPV6,
  MG_TCPIP_L2PROTO_ARP,
  MG_TCPIP_L2PROTO_PPPoE_DISC,
  MG_TCPIP_L2PROTO_PPPoE_SESS
};
enum mg_l2addrtype { MG_TCPIP_L2ADDR_BCAST, MG_TCPIP_L2ADDR_MCAST, MG_TCPIP_L2ADDR_MCAST6 };

#pragma pack(push, 1)
struct mg_l2addr {
  union {
    uint8_t mac[6];
    uint64_t ieee64;
    uint16_t ieee16;
  } addr;
};

struct eth_data {
  uint16_t vlan_id;  // 0: none
};

struct pppoe_data {
  struct eth_data eth;
};

union mg_l2data {
  struct eth_data eth;
  struct pppoe_data pppoe;
};
#pragma pack(pop)

typedef void (*mg_tcpip_event_handler_t)(struct mg_tcpip_if *ifp, int ev, void *ev_data);

// A network driver. None of its functions may call the library, except for mg_tcpip_qwrite and mg_queue_*.
struct mg_tcpip_driver {
  bool (*init)(struct mg_tcpip_if *);                         // false: it does not work; may be NULL
  size_t (*tx)(const void *, size_t, struct mg_tcpip_if *);   // the length: sent; 0: busy; (size_t) -1: broken
  size_t (*rx)(void *buf, size_t len, struct mg_tcpip_if *);  // length of one frame, 0: none; NULL: frames come by mg_tcpip_qwrite
  bool (*poll)(struct mg_tcpip_if *, bool);                   // the link, where true was given: once a second; NULL: always up
};

// A network interface: zeros, but for what the program sets before mg_tcpip_init. Addresses are in network byte order.
struct mg_tcpip_if {
  uint8_t mac[8];              // the first 6; zeros: a random one
  uint32_t ip, mask, gw;       // ip 0: from a DHCP server
  struct mg_str tx;            // of the library: the frame in the making
  bool enable_dhcp_client;     // set by mg_tcpip_init when ip is 0
  bool enable_dhcp_server;     // gives one client the address after ours
  bool enable_get_gateway;     // that client becomes our gateway
  bool enable_req_dns;         // ask DHCP for a DNS server
  bool enable_req_sntp;        // ask DHCP for a time server
  bool enable_fcs_check;       // received frames end with their FCS, which is checked
  bool enable_mac_check;       // drop frames for other addresses, and multicast
  bool update_mac_hash_table;  // a group was joined; the driver clears it
  bool is_ip_changed;
  struct mg_tcpip_driver *driver;
  void *driver_data;               // free for the driver
  mg_tcpip_event_handler_t pfn;    // a driver's, called before fn
  mg_tcpip_event_handler_t fn;     // gets the events
  struct mg_mgr *mgr;              // set by mg_tcpip_init
  struct mg_queue recv_queue;      // size 0: 8192 for a driver without rx
  char dhcp_name[MG_TCPIP_DHCPNAME_SIZE];
  uint16_t mtu;                    // may be lowered after mg_tcpip_init
  uint16_t framesize;
  uint16_t l2mtu;
#if MG_ENABLE_IPV6
  uint64_t ip6ll[2], ip6[2];       // link-local, global; zeros: made from the MAC address, and from what a router says
  uint8_t prefix[8];
  uint8_t prefix_len;
  uint64_t gw6[2];
  bool enable_slaac;
  bool enable_dhcp6_client;        // without effect
  bool is_ip6_changed;
#endif
  uint8_t gwmac[8];                // of the gateway, when gw_ready
  enum mg_l2type l2type;
  union mg_l2data l2data;
  char *dns4_url;                  // the DNS server that DHCP has named
  uint64_t now;                    // of the current poll
  uint64_t timer_1000ms;
  uint64_t lease_expire;           // in the time of mg_millis
  uint16_t eport;                  // next port of a client
  volatile uint32_t ndrop, nrecv, nsent, nerr;
  uint8_t state;                   // MG_TCPIP_STATE_*
  bool gw_ready;
#if MG_ENABLE_IPV6
  uint8_t gw6mac[8];
  uint8_t state6;
  bool gw6_ready;
#endif
};

// For drivers of chips on a serial bus; the library does not use it.
struct mg_tcpip_spi {
  void *spi;
  void (*begin)(void *);
  void (*end)(void *);
  void (*txn)(void *, uint8_t *, uint8_t *, size_t len);
};

// Access to the registers of an Ethernet PHY, for mg_phy_init and mg_phy_up.
struct mg_phy {
  uint16_t (*read_reg)(uint8_t addr, uint8_t reg);
  void (*write_reg)(uint8_t addr, uint8_t reg, uint16_t value);
};
enum { MG_PHY_LEDS_ACTIVE_HIGH = 1, MG_PHY_CLOCKS_MAC = 2 };
enum { MG_PHY_SPEED_10M, MG_PHY_SPEED_100M, MG_PHY_SPEED_1000M };
#endif


#ifdef __cplusplus
extern "C" {
#endif

// For mg_mem_files: defined by the program, if at all.
extern const struct mg_mem_file mg_packed_files[];

// Parts of programs that other files of them call: defined by the program, if at all, and never by the library.
extern struct mg_mgr g_mgr;
void mg_dash_init(struct mg_mgr *mgr);
void mg_dash_poll(struct mg_mgr *mgr);
void mg_mqtt_init(struct mg_mgr *mgr);
void mg_mqtt_poll(struct mg_mgr *mgr);

// Settings that the program made with -D or in mongoose_config.h, applied by mg_mgr_init.
#if defined(MGX_SET_MAX_RECV_SIZE) || defined(MGX_SET_IO_SIZE) || defined(MGX_SET_LISTEN_BACKLOG) || \
    defined(MGX_SET_HTTP_INDEX) || defined(MG_TLS_SSLKEYLOGFILE) || \
    MG_IPV6_V6ONLY || !MG_ENABLE_DIRLIST || !MG_ENABLE_LOG
#define MGX_SETTINGS
#endif

#if defined(MGX_SETTINGS) || MGX_COMPAT_7 < 714
#ifdef MGX_SETTINGS
#ifndef MGX_OPTIONS
#define MGX_OPTIONS
struct mgx_options {
  size_t max_recv_size;     // MG_MAX_RECV_SIZE
  size_t io_size;           // MG_IO_SIZE: size and step of buffers; 1024 for smaller values
  int listen_backlog;       // MG_SOCK_LISTEN_BACKLOG_SIZE
  bool v6only;              // MG_IPV6_V6ONLY
  bool no_dirlist;          // MG_ENABLE_DIRLIST 0
  bool tls_keylog;          // MG_TLS_SSLKEYLOGFILE
  bool no_fsync;            // uploads and mg_file_write do not wait for the disk; the last call counts for the process
  const char *http_index;   // MG_HTTP_INDEX
};
extern void mgx_mgr_options(struct mg_mgr *mgr, const struct mgx_options *options);
#endif
#endif
extern void mgx_mgr_written_for(struct mg_mgr *mgr, int version);

static inline void mgx_mgr_init_as_compiled(struct mg_mgr *mgr) {
#ifdef MGX_SETTINGS
  struct mgx_options options;
  memset(&options, 0, sizeof(options));
#ifdef MGX_SET_MAX_RECV_SIZE
  options.max_recv_size = (size_t) (MGX_SET_MAX_RECV_SIZE);
#endif
#ifdef MGX_SET_IO_SIZE
  options.io_size = (size_t) (MGX_SET_IO_SIZE);
#endif
#ifdef MGX_SET_LISTEN_BACKLOG
  options.listen_backlog = (int) (MGX_SET_LISTEN_BACKLOG);
#endif
#ifdef MGX_SET_HTTP_INDEX
  options.http_index = MGX_SET_HTTP_INDEX;
#endif
#if MG_IPV6_V6ONLY
  options.v6only = true;
#endif
#if !MG_ENABLE_DIRLIST
  options.no_dirlist = true;
#endif
#ifdef MG_TLS_SSLKEYLOGFILE
  options.tls_keylog = true;
#endif
#if !MG_ENABLE_LOG
  mg_log_level = MG_LL_NONE;
#endif
#endif
  mg_mgr_init(mgr);
#ifdef MGX_SETTINGS
  mgx_mgr_options(mgr, &options);
#endif
#if MGX_COMPAT_7 < 714
  mgx_mgr_written_for(mgr, MGX_COMPAT_7);
#endif
}
#undef mg_mgr_init
#define mg_mgr_init(mgr) mgx_mgr_init_as_compiled(mgr)
#endif

#ifdef __cplusplus
}
#endif

// ---- Programs of earlier 7.x versions: MGX_COMPAT_7 says which. What they used and today's API has no more, or has with other
// arguments: see docs/migrating.md. Where a version is told by the number of arguments, both ways work.
#if MGX_COMPAT_7 < 722

#define MGX_JOIN(a, b) MGX_JOIN_(a, b)
#define MGX_JOIN_(a, b) a##b
#define MGX_SEVENTH(a, b, c, d, e, f, g, ...) g
#define MGX_COUNT(...) MGX_SEVENTH(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define MGX_BY_COUNT(name, ...) MGX_JOIN(name, MGX_COUNT(__VA_ARGS__))(__VA_ARGS__)

#ifdef __cplusplus
extern "C" {
#endif

// ---- before 7.15
#if MGX_COMPAT_7 < 715
// Defined by files of the older generator: mg_fs_packed serves these. The library's own have nothing.
extern const char *mg_unlist(size_t no);
extern const char *mg_unpack(const char *path, size_t *size, time_t *mtime);

static inline bool mg_http_match_uri(const struct mg_http_message *hm, const char *glob) {
  return mg_match(hm->uri, mg_str(glob), NULL);
}

static inline int mg_vcmp(const struct mg_str *s1, const char *s2) { return mg_strcmp(*s1, mg_str(s2)); }

static inline int mg_vcasecmp(const struct mg_str *s1, const char *s2) { return mg_strcasecmp(*s1, mg_str(s2)); }

static inline const char *mg_strstr(const struct mg_str haystack, const struct mg_str needle) {
  size_t i;
  if (needle.len == 0) return haystack.buf;
  for (i = 0; i + needle.len <= haystack.len; i++) {
    if (memcmp(haystack.buf + i, needle.buf, needle.len) == 0) return haystack.buf + i;
  }
  return NULL;
}

static inline struct mg_str mg_strstrip(struct mg_str s) {
  while (s.len > 0 && isspace((unsigned char) s.buf[0])) s.buf++, s.len--;
  while (s.len > 0 && isspace((unsigned char) s.buf[s.len - 1])) s.len--;
  return s;
}

// The next entry of a SUBSCRIBE packet, or with qos NULL of an UNSUBSCRIBE packet. 4 is the usual first position, 0 the end.
static inline size_t mg_mqtt_next_topic(struct mg_mqtt_message *msg, struct mg_str *topic, uint8_t *qos, size_t pos) {
  const uint8_t *p = (const uint8_t *) msg->dgram.buf;
  size_t len = msg->dgram.len, begin = 1, size;
  while (begin < len && begin < 4 && (p[begin] & 128) != 0) begin++;
  begin += 3;
  if (msg->props_size > 0 && msg->props_start + msg->props_size > begin) begin = msg->props_start + msg->props_size;
  if (pos < begin) pos = begin;
  if (pos >= len || len - pos < 2) return 0;
  size = ((size_t) p[pos] << 8) | p[pos + 1];
  if (len - pos - 2 < size + (qos != NULL ? 1 : 0)) return 0;
  topic->buf = msg->dgram.buf + pos + 2;
  topic->len = size;
  pos += 2 + size;
  if (qos != NULL) *qos = p[pos++];
  return pos;
}

static inline size_t mg_mqtt_next_sub(struct mg_mqtt_message *msg, struct mg_str *topic, uint8_t *qos, size_t pos) {
  uint8_t ignored;
  return mg_mqtt_next_topic(msg, topic, qos != NULL ? qos : &ignored, pos);
}

static inline size_t mg_mqtt_next_unsub(struct mg_mqtt_message *msg, struct mg_str *topic, size_t pos) {
  return mg_mqtt_next_topic(msg, topic, NULL, pos);
}
#endif

// ---- any: mg_http_upload(c, hm, dir), mg_http_upload(c, hm, fs, dir), with the file's name in `name` or `file`, and without a limit.
// They return the number of bytes in the request, or a negative one.
static inline int mgx_http_upload_4(struct mg_connection *c, struct mg_http_message *hm, struct mg_fs *fs, const char *dir) {
  struct mg_http_message copy = *hm;
  struct mg_str name = mg_http_var(hm->query, mg_str("name")), offset = mg_http_var(hm->query, mg_str("offset"));
  int len = (int) hm->body.len;
  char *query = NULL;
  long n;
  if (mg_http_var(hm->query, mg_str("file")).buf == NULL && name.buf != NULL) {
    query = mg_mprintf("file=%.*s&offset=%.*s", (int) name.len, name.buf, (int) offset.len, offset.buf);
    copy.query = mg_str(query);
  }
  n = mg_http_upload(c, &copy, fs, dir, (size_t) LONG_MAX);
  mg_free(query);
  return n < 0 ? (int) n : len;
}

#define mgx_http_upload_3(c, hm, dir) mgx_http_upload_4(c, hm, &mg_fs_posix, dir)
#define mgx_http_upload_5(c, hm, fs, dir, max_size) (mg_http_upload)(c, hm, fs, dir, max_size)
#define mg_http_upload(...) MGX_BY_COUNT(mgx_http_upload_, __VA_ARGS__)

// ---- any: mg_json_unescape(text, to, size), of a string without its quotes
static inline bool mgx_json_unescape_3(struct mg_str s, char *to, size_t n) {
  char *quoted = (char *) mg_calloc(1, s.len + 3);
  size_t len;
  if (n > 0) to[0] = '\0';
  if (quoted == NULL) return false;
  quoted[0] = quoted[s.len + 1] = '"';
  if (s.len > 0) memcpy(quoted + 1, s.buf, s.len);
  len = mg_json_unescape(mg_str_n(quoted, s.len + 2), "$", to, n);
  mg_free(quoted);
  return n > 0 && (len > 0 || s.len == 0);
}

#if MGX_COMPAT_7 < 711
#define mgx_json_unescape_4(buf, len, to, n) mgx_json_unescape_3(mg_str_n(buf, (size_t) (len)), to, n)
#else
#define mgx_json_unescape_4(json, path, to, n) (mg_json_unescape)(json, path, to, n)
#endif
#define mg_json_unescape(...) MGX_BY_COUNT(mgx_json_unescape_, __VA_ARGS__)

// ---- before 7.14: handlers have a fourth argument, see mg_event_handler_t
#if MGX_COMPAT_7 < 714
// `struct mg_http_message *`: the body, in `chunk`.
#define MG_EV_HTTP_CHUNK (-714)

extern void mgx_http_delete_chunk(struct mg_connection *c);

// The program has taken the chunk: an empty one follows as the last, and no MG_EV_HTTP_MSG.
static inline void mg_http_delete_chunk(struct mg_connection *c, struct mg_http_message *hm) {
  (void) hm;
  mgx_http_delete_chunk(c);
}

// A pipe to a connection: what is written to the descriptor arrives as MG_EV_READ.
static inline int mg_mkpipe(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data, bool udp) {
  int fd[2];
  (void) udp;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) return -1;
  if (mg_wrapfd(mgr, fd[1], fn, fn_data) != NULL) return fd[0];
  close(fd[0]);
  close(fd[1]);
  return -1;
}

// The size of the file goes to `*size`; free the result.
static inline char *mgx_file_read_3(struct mg_fs *fs, const char *path, size_t *size) {
  struct mg_str s = mg_file_read(fs, path);
  if (size != NULL) *size = s.len;
  return s.buf;
}

#if MGX_COMPAT_7 < 704
#define mgx_file_read_2(path, size) mgx_file_read_3(&mg_fs_posix, path, size)
#define mgx_file_write_3(path, buf, len) (mg_file_write)(&mg_fs_posix, path, buf, len)
#define mgx_file_write_4(fs, path, buf, len) (mg_file_write)(fs, path, buf, len)
#define mg_file_write(...) MGX_BY_COUNT(mgx_file_write_, __VA_ARGS__)
#else
#define mgx_file_read_2(fs, path) (mg_file_read)(fs, path)
#endif
#define mg_file_read(...) MGX_BY_COUNT(mgx_file_read_, __VA_ARGS__)

static inline size_t mgx_base64_encode_3(const void *p, size_t n, char *to) {
  return mg_base64_encode((const uint8_t *) p, n, to, 4 * ((n + 2) / 3) + 1);
}

static inline size_t mgx_base64_decode_3(const char *src, size_t n, char *to) {
  return mg_base64_decode(src, n, to, n / 4 * 3 + 1);
}

#define mgx_base64_encode_4(p, n, to, len) (mg_base64_encode)(p, n, to, len)
#define mgx_base64_decode_4(src, n, to, len) (mg_base64_decode)(src, n, to, len)
#define mg_base64_encode(...) MGX_BY_COUNT(mgx_base64_encode_, __VA_ARGS__)
#define mg_base64_decode(...) MGX_BY_COUNT(mgx_base64_decode_, __VA_ARGS__)
#endif

// ---- before 7.12: TLS options for both roles, kept by the manager or given to each connection
#if MGX_COMPAT_7 < 712
struct mgx_older_tls_opts {
#if MGX_COMPAT_7 < 710
  // PEM text, or the name of a file.
  const char *ca;
  const char *crl;      // not looked at
  const char *cert;
  const char *certkey;
  const char *ciphers;  // not looked at
#else
  struct mg_str ca;
  struct mg_str crl;    // not looked at
  struct mg_str cert;
  struct mg_str certkey;
  struct mg_str ciphers;  // not looked at
  struct mg_str key;
  struct mg_str name;
#endif
  struct mg_str srvname;
  struct mg_fs *fs;
  struct mg_str client_ca;  // for servers: who may come in
  struct mg_str server_ca;  // for clients: whom to trust
  struct mg_str srvcert;
  struct mg_str srvkey;
  struct mg_str server_cert;
  struct mg_str server_key;
  struct mg_str client_cert;
  struct mg_str client_key;
};

// Those that mg_tls_ctx_init was called with.
struct mgx_older_tls {
  struct mgx_older_tls *next;
  struct mg_mgr *mgr;
  struct mg_tls_opts role[2];  // server, client
};
__attribute__((weak)) struct mgx_older_tls *mgx_older_tls_list = NULL;

#if MGX_COMPAT_7 < 710
// A copy, to be freed.
static inline struct mg_str mgx_older_pem(const char *s, struct mg_fs *fs) {
  if (s == NULL) return mg_str_n(NULL, 0);
  if (strstr(s, "-----") != NULL) return mg_strdup(mg_str(s));
  return (mg_file_read) (fs != NULL ? fs : &mg_fs_posix, s);
}
#else
static inline struct mg_str mgx_older_pem(struct mg_str s, struct mg_fs *fs) {
  struct mg_str none = mg_str_n(NULL, 0);
  (void) fs;
  return s.len > 0 ? mg_strdup(s) : none;
}
#endif

static inline struct mg_str mgx_older_first(struct mg_str a, struct mg_str b) { return a.len > 0 ? a : b; }

static inline void mgx_older_choose(struct mg_str *to, struct mg_str a, struct mg_str b) {
  struct mg_str s = mgx_older_first(a, b);
  if (s.len == 0) return;
  mg_free(to->buf);
  *to = mg_strdup(s);
}

static inline struct mg_tls_opts mgx_older_role(const struct mgx_older_tls_opts *o, bool client) {
  struct mg_str none = mg_str_n(NULL, 0);
  struct mg_tls_opts t;
  memset(&t, 0, sizeof(t));
  t.ca = mgx_older_pem(o->ca, o->fs);
  t.cert = mgx_older_pem(o->cert, o->fs);
  t.key = mgx_older_pem(o->certkey, o->fs);
  mgx_older_choose(&t.name, o->srvname, none);
#if MGX_COMPAT_7 >= 710
  mgx_older_choose(&t.key, o->key, none);
  mgx_older_choose(&t.name, o->name, none);
#endif
  mgx_older_choose(&t.ca, client ? o->server_ca : o->client_ca, none);
  mgx_older_choose(&t.cert, client ? o->client_cert : o->server_cert, client ? none : o->srvcert);
  mgx_older_choose(&t.key, client ? o->client_key : o->server_key, client ? none : o->srvkey);
  // One file for both.
  if (t.key.len == 0 && t.cert.len > 0) t.key = mg_strdup(t.cert);
  return t;
}

static inline void mgx_older_free(struct mg_tls_opts *t) {
  mg_free(t->ca.buf);
  mg_free(t->cert.buf);
  mg_free(t->key.buf);
  mg_free(t->name.buf);
}

static inline void mgx_tls_ctx_free_1(struct mg_mgr *mgr) {
  struct mgx_older_tls **at = &mgx_older_tls_list, *found;
  while (*at != NULL && (*at)->mgr != mgr) at = &(*at)->next;
  if ((found = *at) == NULL) return;
  *at = found->next;
  mgx_older_free(&found->role[0]);
  mgx_older_free(&found->role[1]);
  mg_free(found);
}

static inline void mgx_tls_ctx_init_2(struct mg_mgr *mgr, const struct mgx_older_tls_opts *opts) {
  struct mgx_older_tls *kept = (struct mgx_older_tls *) mg_calloc(1, sizeof(*kept));
  mgx_tls_ctx_free_1(mgr);
  if (kept == NULL) return;
  kept->mgr = mgr;
  kept->role[0] = mgx_older_role(opts, false);
  kept->role[1] = mgx_older_role(opts, true);
  kept->next = mgx_older_tls_list;
  mgx_older_tls_list = kept;
}

static inline void mgx_older_mgr_free(struct mg_mgr *mgr) {
  mg_mgr_free(mgr);
  mgx_tls_ctx_free_1(mgr);
}

// mg_tls_init(c, name), after mg_tls_ctx_init(mgr, opts)
static inline void mgx_tls_init_name(struct mg_connection *c, struct mg_str name) {
  struct mgx_older_tls *kept = mgx_older_tls_list;
  struct mg_tls_opts t;
  while (kept != NULL && kept->mgr != c->mgr) kept = kept->next;
  memset(&t, 0, sizeof(t));
  if (kept != NULL) t = kept->role[c->is_client];
  if (name.len > 0) t.name = name;
  mg_tls_init(c, &t);
}

// mg_tls_init(c, opts)
static inline void mgx_tls_init_opts(struct mg_connection *c, const struct mgx_older_tls_opts *opts) {
  struct mg_tls_opts t = mgx_older_role(opts, c->is_client);
  mg_tls_init(c, &t);
  mgx_older_free(&t);
}

#define mg_mgr_free(mgr) mgx_older_mgr_free(mgr)
#define mgx_tls_ctx_init_1(mgr) (mg_tls_ctx_init)(mgr)
#define mg_tls_ctx_init(...) MGX_BY_COUNT(mgx_tls_ctx_init_, __VA_ARGS__)
#define mg_tls_ctx_free(mgr) mgx_tls_ctx_free_1(mgr)
#define mg_tls_opts mgx_older_tls_opts
#ifndef __cplusplus
#define mg_tls_init(c, with) (__extension__ _Generic((with), struct mg_str: mgx_tls_init_name, default: mgx_tls_init_opts)(c, with))
#endif
#endif

// ---- before 7.11: JSON text as pointer and length, MQTT without options, addresses as text
#if MGX_COMPAT_7 < 711
#define mgx_json_text(buf, len) mg_str_n(buf, (size_t) (len))
#define mgx_json_get_3(json, path, toklen) (mg_json_get)(json, path, toklen)
#define mgx_json_get_4(buf, len, path, toklen) (mg_json_get)(mgx_json_text(buf, len), path, toklen)
#define mg_json_get(...) MGX_BY_COUNT(mgx_json_get_, __VA_ARGS__)
#define mgx_json_get_num_3(json, path, v) (mg_json_get_num)(json, path, v)
#define mgx_json_get_num_4(buf, len, path, v) (mg_json_get_num)(mgx_json_text(buf, len), path, v)
#define mg_json_get_num(...) MGX_BY_COUNT(mgx_json_get_num_, __VA_ARGS__)
#define mgx_json_get_bool_3(json, path, v) (mg_json_get_bool)(json, path, v)
#define mgx_json_get_bool_4(buf, len, path, v) (mg_json_get_bool)(mgx_json_text(buf, len), path, v)
#define mg_json_get_bool(...) MGX_BY_COUNT(mgx_json_get_bool_, __VA_ARGS__)
#define mgx_json_get_long_3(json, path, dflt) (mg_json_get_long)(json, path, dflt)
#define mgx_json_get_long_4(buf, len, path, dflt) (mg_json_get_long)(mgx_json_text(buf, len), path, dflt)
#define mg_json_get_long(...) MGX_BY_COUNT(mgx_json_get_long_, __VA_ARGS__)
#define mgx_json_get_str_2(json, path) (mg_json_get_str)(json, path)
#define mgx_json_get_str_3(buf, len, path) (mg_json_get_str)(mgx_json_text(buf, len), path)
#define mg_json_get_str(...) MGX_BY_COUNT(mgx_json_get_str_, __VA_ARGS__)
#define mgx_json_get_hex_3(json, path, n) (mg_json_get_hex)(json, path, n)
#define mgx_json_get_hex_4(buf, len, path, n) (mg_json_get_hex)(mgx_json_text(buf, len), path, n)
#define mg_json_get_hex(...) MGX_BY_COUNT(mgx_json_get_hex_, __VA_ARGS__)
#define mgx_json_get_b64_3(json, path, n) (mg_json_get_b64)(json, path, n)
#define mgx_json_get_b64_4(buf, len, path, n) (mg_json_get_b64)(mgx_json_text(buf, len), path, n)
#define mg_json_get_b64(...) MGX_BY_COUNT(mgx_json_get_b64_, __VA_ARGS__)

static inline void mgx_mqtt_pub_5(struct mg_connection *c, struct mg_str topic, struct mg_str data, int qos, bool retain) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.topic = topic, o.message = data, o.qos = (uint8_t) qos, o.retain = retain;
  mg_mqtt_pub(c, &o);
}

static inline void mgx_mqtt_sub_3(struct mg_connection *c, struct mg_str topic, int qos) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.topic = topic, o.qos = (uint8_t) qos;
  mg_mqtt_sub(c, &o);
}

#define mgx_mqtt_pub_2(c, opts) (mg_mqtt_pub)(c, opts)
#define mg_mqtt_pub(...) MGX_BY_COUNT(mgx_mqtt_pub_, __VA_ARGS__)
#define mgx_mqtt_sub_2(c, opts) (mg_mqtt_sub)(c, opts)
#define mg_mqtt_sub(...) MGX_BY_COUNT(mgx_mqtt_sub_, __VA_ARGS__)
#define mgx_mqtt_disconnect_1(c) (mg_mqtt_disconnect)(c, NULL)
#define mgx_mqtt_disconnect_2(c, opts) (mg_mqtt_disconnect)(c, opts)
#define mg_mqtt_disconnect(...) MGX_BY_COUNT(mgx_mqtt_disconnect_, __VA_ARGS__)

static inline char *mg_ntoa(const struct mg_addr *addr, char *buf, size_t len) {
  mg_snprintf(buf, len, "%M", mg_print_ip, addr);
  return buf;
}

static inline char *mgx_straddr_addr(const struct mg_addr *addr, char *buf, size_t len) {
  mg_snprintf(buf, len, "%M", mg_print_ip_port, addr);
  return buf;
}

static inline char *mgx_straddr_conn(const struct mg_connection *c, char *buf, size_t len) {
  return mgx_straddr_addr(&c->rem, buf, len);
}

#ifndef __cplusplus
#define mg_straddr(of, buf, len)                                                                               \
  (__extension__ _Generic((of), struct mg_connection *: mgx_straddr_conn, default: mgx_straddr_addr)(of, buf, len))
#endif

static inline char *mg_hex(const void *buf, size_t len, char *to) {
  const char *digits = "0123456789abcdef";
  size_t i;
  for (i = 0; i < len; i++) {
    to[2 * i] = digits[((const uint8_t *) buf)[i] >> 4];
    to[2 * i + 1] = digits[((const uint8_t *) buf)[i] & 15];
  }
  to[2 * len] = '\0';
  return to;
}

// The next of `key=value,key=value`.
static inline bool mg_commalist(struct mg_str *s, struct mg_str *k, struct mg_str *v) {
  struct mg_str entry, key, value;
  if (s->buf == NULL || s->len == 0 || !mg_span(*s, &entry, s, ',')) return false;
  mg_span(entry, &key, &value, '=');
  if (k != NULL) *k = key;
  if (v != NULL) *v = value;
  return true;
}
#endif

// ---- before 7.8: growth of buffers per call, timers on a list of the library, other names
#if MGX_COMPAT_7 < 708
#define mgx_iobuf_init_2(io, size) (mg_iobuf_init)(io, size, 0)
#define mgx_iobuf_init_3(io, size, align) (mg_iobuf_init)(io, size, align)
#define mg_iobuf_init(...) MGX_BY_COUNT(mgx_iobuf_init_, __VA_ARGS__)
#define mgx_iobuf_add_4(io, ofs, buf, len) (mg_iobuf_add)(io, ofs, buf, len)
#define mgx_iobuf_add_5(io, ofs, buf, len, chunk) ((void) (chunk), (mg_iobuf_add)(io, ofs, buf, len))
#define mg_iobuf_add(...) MGX_BY_COUNT(mgx_iobuf_add_, __VA_ARGS__)

static inline bool mg_globmatch(const char *pattern, size_t pattern_len, const char *s, size_t len) {
  return mg_match(mg_str_n(s, len), mg_str_n(pattern, pattern_len), NULL);
}

__attribute__((weak)) struct mg_timer *mgx_older_timers = NULL;

static inline void mgx_older_mgr_poll(struct mg_mgr *mgr, int ms) {
  uint64_t now = mg_millis();
  struct mg_timer *t;
  mg_timer_poll(&mgx_older_timers, now);
  for (t = mgx_older_timers; t != NULL; t = t->next) {
    uint64_t left = t->expire > now ? t->expire - now : 0;
    // One that is over waits for nothing.
    if ((t->flags & MG_TIMER_REPEAT) == 0 && (t->flags & MG_TIMER_CALLED) != 0) continue;
    if (ms < 0 || left < (uint64_t) ms) ms = left < 1000000 ? (int) left : 1000000;
  }
  mg_mgr_poll(mgr, ms);
  mg_timer_poll(&mgx_older_timers, mg_millis());
}

#define mg_mgr_poll(mgr, ms) mgx_older_mgr_poll(mgr, ms)
#define mgx_timer_init_5(t, ms, flags, fn, arg) (mg_timer_init)(&mgx_older_timers, t, ms, flags, fn, arg)
#define mgx_timer_init_6(head, t, ms, flags, fn, arg) (mg_timer_init)(head, t, ms, flags, fn, arg)
#define mg_timer_init(...) MGX_BY_COUNT(mgx_timer_init_, __VA_ARGS__)
#define mgx_timer_free_1(t) (mg_timer_free)(&mgx_older_timers, t)
#define mgx_timer_free_2(head, t) (mg_timer_free)(head, t)
#define mg_timer_free(...) MGX_BY_COUNT(mgx_timer_free_, __VA_ARGS__)
#define mgx_timer_poll_1(now) (mg_timer_poll)(&mgx_older_timers, now)
#define mgx_timer_poll_2(head, now) (mg_timer_poll)(head, now)
#define mg_timer_poll(...) MGX_BY_COUNT(mgx_timer_poll_, __VA_ARGS__)

#ifndef LOG
#define LL_NONE MG_LL_NONE
#define LL_ERROR MG_LL_ERROR
#define LL_INFO MG_LL_INFO
#define LL_DEBUG MG_LL_DEBUG
#define LL_VERBOSE_DEBUG MG_LL_VERBOSE
#define LOG(level, args) MG_LOG(level, args)
#endif

static inline void mgx_log_set_text(const char *level) { mg_log_level = atoi(level); }
static inline void mgx_log_set_number(int level) { mg_log_level = level; }
#undef mg_log_set
#ifndef __cplusplus
#define mg_log_set(level) \
  (__extension__ _Generic((level), char *: mgx_log_set_text, const char *: mgx_log_set_text, default: mgx_log_set_number)(level))
#endif
#endif

#ifdef __cplusplus
}

#if MGX_COMPAT_7 < 712
static inline void mg_tls_init(struct mg_connection *c, struct mg_str name) { mgx_tls_init_name(c, name); }
static inline void mg_tls_init(struct mg_connection *c, const struct mgx_older_tls_opts *opts) { mgx_tls_init_opts(c, opts); }
#endif
#if MGX_COMPAT_7 < 711
static inline char *mg_straddr(const struct mg_connection *c, char *buf, size_t len) { return mgx_straddr_conn(c, buf, len); }
static inline char *mg_straddr(const struct mg_addr *addr, char *buf, size_t len) { return mgx_straddr_addr(addr, buf, len); }
#endif
#if MGX_COMPAT_7 < 708
static inline void mg_log_set(const char *level) { mgx_log_set_text(level); }
static inline void mg_log_set(int level) { mgx_log_set_number(level); }
#endif
#endif

#endif

#endif
