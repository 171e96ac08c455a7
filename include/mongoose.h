// The mg_* API, version 7.22, of libmongoose-rs. Generated from its Rust sources: see include/cbindgen.toml.

#ifndef MONGOOSE_H
#define MONGOOSE_H

// Conventions
//   NULL       A pointer must not be NULL unless the comment of the function or member allows it. "The null string" is {NULL, 0}.
//   Ownership  The manager owns its connections and their descriptors. The library copies its arguments as needed, unless a
//              comment says otherwise. Memory that a function returns for the caller to free is freed with mg_free.
//   Strings    struct mg_str is a view (pointer and length), not NUL-terminated, valid as long as the buffer it points into.
//              A const char * without a length is NUL-terminated.
//   Units      Times are in milliseconds and sizes in bytes, unless a comment says otherwise.
//   Threads    A manager, its connections and its timers belong to the thread that calls mg_mgr_poll. Comments name the functions
//              that any thread or a signal handler may call. Any other call from another thread waits for a running handler, at
//              most one second, and then fails. Accesses to struct members are not protected.
//   Callbacks  Handlers run in mg_mgr_poll or in the call that causes the event. ev_data is valid until the handler returns. A
//              handler may call any function, including mg_mgr_poll, mg_close_conn and mg_mgr_free.

#define MG_VERSION "7.22"

// ---- Platform: Unix or Windows; with MG_ENABLE_TCPIP=1 or MGX_PORT=1 and a library for the processor, any other or none: docs/firmware.md
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
#if defined(_WIN32)
#define MG_ARCH MG_ARCH_WIN32
#elif defined(__unix__) || defined(__APPLE__)
#define MG_ARCH MG_ARCH_UNIX
#elif (defined(MGX_PORT) && MGX_PORT) || (defined(MG_ENABLE_TCPIP) && MG_ENABLE_TCPIP + 0)
#define MG_ARCH MG_ARCH_NEWLIB
#else
#error MG_ARCH: this compiler targets neither Unix nor Windows; without an operating system define MG_ENABLE_TCPIP=1 or MGX_PORT=1
#endif
#endif

#if MG_ARCH == MG_ARCH_CUSTOM
#include "mongoose_config.h"
#elif (defined(MGX_PORT) && MGX_PORT) || (defined(MG_ENABLE_TCPIP) && MG_ENABLE_TCPIP + 0)
// Any: the library is one for the processor.
#elif defined(_WIN32) ? MG_ARCH != MG_ARCH_WIN32 : MG_ARCH != MG_ARCH_UNIX
#error MG_ARCH: MG_ARCH_UNIX, on Windows MG_ARCH_WIN32, or MG_ARCH_CUSTOM; others with MG_ENABLE_TCPIP=1 or MGX_PORT=1
#endif

// 1: for a library that was built with the feature `port`, whose sockets come from the functions of mongoose_port.h: docs/firmware.md.
#ifndef MGX_PORT
#define MGX_PORT 0
#endif

#if defined(__unix__) || defined(__APPLE__) || defined(_WIN32)
#define MGX_HOSTED 1
#else
#define MGX_HOSTED 0
#endif

// ---- The earlier 7.x version that the application was written for, for example 713 for 7.13. See docs/migrating.md.
#ifndef MGX_COMPAT_7
#define MGX_COMPAT_7 722
#elif MGX_COMPAT_7 < 700 || MGX_COMPAT_7 > 799
#error MGX_COMPAT_7: the version that the application was written for, such as 713 for 7.13
#endif
#if MGX_COMPAT_7 < 722
// Alternative names of a member. -Wpedantic accepts anonymous unions only since C11.
#define MGX_ALSO __extension__ union
// struct mg_str s = {"text", 4};
#pragma GCC diagnostic ignored "-Wmissing-braces"
#endif

// ---- Settings that affect the binary layout.
// Bytes of time_t that the library was built with, inserted by `make install`; 0: not known.
#define MGX_BUILT_TIME_SIZE 0

// Bytes in `c->data`, a number from 1 on. Use the same one in all source files of an application.
#ifndef MG_DATA_SIZE
#define MG_DATA_SIZE 32
#elif MG_DATA_SIZE < 1
#error MG_DATA_SIZE: the number of bytes in c->data, 1 at least
#endif

// Headers in `struct mg_http_message`, a number from 1 on. Use the same one in all source files of an application.
#ifndef MG_MAX_HTTP_HEADERS
#define MG_MAX_HTTP_HEADERS 30
#elif MG_MAX_HTTP_HEADERS < 1 || MG_MAX_HTTP_HEADERS > 10000
#error MG_MAX_HTTP_HEADERS: the number of headers in struct mg_http_message, from 1 to 10000
#endif

#ifndef MG_DASH_MAX_USER_NAME
#define MG_DASH_MAX_USER_NAME 32
#elif MG_DASH_MAX_USER_NAME != 32
#error MG_DASH_MAX_USER_NAME: fixed at 32 in the library
#endif

// ---- Settings that are fixed in a prebuilt library.
#ifndef MG_TLS
#define MG_TLS MG_TLS_NONE
#elif MG_TLS == MG_TLS_CUSTOM
#error MG_TLS: the library has its own TLS, MG_TLS_CUSTOM cannot replace it; any other value will do, and mg_tls_init works
#endif

// 1: requires a library built with the feature `tcpip`, whose TCP/IP stack runs over the application's own driver, a
// struct mg_tcpip_driver with four functions. It supports Ethernet with VLAN tags, but not PPP and PPPoE, and has no drivers for
// network chips. See docs/firmware.md.
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
#elif MG_ENABLE_LWIP && !MGX_PORT
#error MG_ENABLE_LWIP: 0 in the library, which uses the sockets of the operating system; see MGX_PORT for a library with others
#endif

#ifndef MG_ENABLE_FREERTOS
#define MG_ENABLE_FREERTOS 0
#elif MG_ENABLE_FREERTOS && !MGX_PORT
#error MG_ENABLE_FREERTOS: 0 in the library, which is built for hosted Unix
#endif

#ifndef MG_ENABLE_FREERTOS_TCP
#define MG_ENABLE_FREERTOS_TCP 0
#elif MG_ENABLE_FREERTOS_TCP && !MGX_PORT
#error MG_ENABLE_FREERTOS_TCP: 0 in the library, which uses the sockets of the operating system; see MGX_PORT for a library with others
#endif

#ifndef MG_ENABLE_RL
#define MG_ENABLE_RL 0
#elif MG_ENABLE_RL && !MGX_PORT
#error MG_ENABLE_RL: 0 in the library, which uses the sockets of the operating system; see MGX_PORT for a library with others
#endif

#ifndef MG_ENABLE_PROFILE
#define MG_ENABLE_PROFILE 0
#elif MG_ENABLE_PROFILE
#error MG_ENABLE_PROFILE: 0 in the library
#endif

#ifndef MG_ENABLE_FATFS
#define MG_ENABLE_FATFS 0
#elif MG_ENABLE_FATFS
#error MG_ENABLE_FATFS: 0 in the library; use mg_fs_posix, mg_fs_packed, or a struct mg_fs of the application
#endif

#ifndef MG_ENABLE_LFS
#define MG_ENABLE_LFS 0
#elif MG_ENABLE_LFS
#error MG_ENABLE_LFS: 0 in the library; use mg_fs_posix, mg_fs_packed, or a struct mg_fs of the application
#endif

#ifndef MG_JSON_MAX_DEPTH
#define MG_JSON_MAX_DEPTH 30
#elif MG_JSON_MAX_DEPTH != 30
#error MG_JSON_MAX_DEPTH: 30 in the library
#endif

#ifndef MG_OTA
#define MG_OTA MG_OTA_NONE
#elif MG_OTA != MG_OTA_NONE && MG_OTA != MG_OTA_CUSTOM
#error MG_OTA: MG_OTA_NONE in the library; with MG_OTA_CUSTOM the application defines mg_ota_begin, mg_ota_write and mg_ota_end
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
#elif MGX_HOSTED
#define MG_IO_SIZE 16384
#else
#define MG_IO_SIZE 512
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

// ---- Functions that an application may replace, whether or not it sets these.
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

// ---- Settings without effect on the library, defined for applications that test them.
#ifndef MG_ENABLE_POLL
#if defined(__linux__) || !MGX_HOSTED
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
#if defined(_WIN32) && !defined(MG_INVALID_SOCKET)
#define MG_INVALID_SOCKET INVALID_SOCKET
#endif
#if defined(_WIN32) && !defined(MG_SOCKET_TYPE)
#define MG_SOCKET_TYPE SOCKET
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

// ---- System headers that applications use without including them.
#ifdef _WIN32
// winsock2.h must come before windows.h, which would include the older winsock.h.
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
#include <direct.h>
#include <io.h>
#include <process.h>
#elif MGX_HOSTED
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#if MG_ENABLE_EPOLL
#include <sys/epoll.h>
#elif MG_ENABLE_POLL
#include <poll.h>
#endif
#include <sys/socket.h>
#endif
#if MGX_HOSTED && !defined(_MSC_VER)
#include <dirent.h>
#include <sys/time.h>
#include <unistd.h>
#endif
#if MGX_HOSTED
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#endif
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

// On 32-bit systems time_t has 4 or 8 bytes. Application and library must agree, because of mg_fs.st and mg_mem_files: see
// -D_TIME_BITS=64.
typedef char mgx_time_t_is_not_that_of_the_library[MGX_BUILT_TIME_SIZE == 0 || sizeof(time_t) == MGX_BUILT_TIME_SIZE ? 1 : -1];

// For programs; the library's own checks do not depend on it.
#if MG_ENABLE_ASSERT
#include <assert.h>
#elif !defined(assert)
#define assert(x)
#endif

// ---- Integers and bytes
#ifdef __BYTE_ORDER__
#define MG_BIG_ENDIAN (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#else
#define MG_BIG_ENDIAN 0
#endif

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

// Big-endian loads and stores, at any alignment.
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

// Round to a multiple of a; a = 0 leaves x unchanged.
#define MG_ROUND_UP(x, a) ((a) == 0 ? (x) : ((((x) + (a) - 1) / (a)) * (a)))
#define MG_ROUND_DOWN(x, a) ((a) == 0 ? (x) : (((x) / (a)) * (a)))

#define mg_htons(x) mg_ntohs(x)
#define mg_htonl(x) mg_ntohl(x)
#define mg_htonll(x) mg_ntohll(x)

// For microcontrollers.
#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
#define MG_ARM_DISABLE_IRQ() __asm__ volatile("cpsid i" : : : "memory")
#define MG_ARM_ENABLE_IRQ() __asm__ volatile("cpsie i" : : : "memory")
#define MG_DSB() __asm__ volatile("dsb 0xf" : : : "memory")
#else
#define MG_ARM_DISABLE_IRQ()
#define MG_ARM_ENABLE_IRQ()
#define MG_DSB()
#endif

// ---- Singly linked lists of structs with a member `next`; head_ points to the pointer to the first element
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

// ---- Strings: mg_str makes a view of a C string
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

// ---- Arguments for %m that print a C string as a JSON string
#define MG_ESC(str) mg_print_esc, 0, (str)

// ---- Differentiated services code points, for mg_dscp
#define MG_DSCP_CS(class_) ((class_) * 8)
#define MG_DSCP_AF(class_, drop_) ((class_) * 8 + (drop_) * 2)
#define MG_DSCP_EF 46

// ---- Profiling: not available
#define MG_PROF_INIT(c)
#define MG_PROF_FREE(c)
#define MG_PROF_ADD(c, name)
#define MG_PROF_DUMP(c)

// ---- Dashboard: add a struct mg_field_set or an HTTP handler of the application
#define MG_DASH_ADD_FIELD_SET(dash_, set_) LIST_ADD_HEAD(struct mg_field_set, &(dash_)->sets, (set_))
#define MG_DASH_REGISTER_CUSTOM_HANDLER(dash_, uri_, fn_, data_)                                      \
  do {                                                                                                \
    static struct mg_dash_custom_handler mgx_handler;                                                 \
    mgx_handler.uri_pattern = mg_str(uri_);                                                           \
    mgx_handler.handler = (fn_);                                                                      \
    mgx_handler.handler_data = (data_);                                                               \
    LIST_ADD_HEAD(struct mg_dash_custom_handler, &(dash_)->custom_handlers, &mgx_handler);            \
  } while (0)

// ---- Forward declarations, and types with more than one name
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

// Operations passed to the callback of a struct mg_field_set.
enum mg_dash_op {
  MG_DASH_READ = 0,
  MG_DASH_WRITE = 1,
  MG_DASH_DELETE = 2,
  MG_DASH_ADD = 3,
};

// Events passed to an event handler, with the type of `ev_data` for each. `ev_data` is valid only during the handler call.
enum mg_event {
  // `char *`: error message. The connection is about to close.
  MG_EV_ERROR = 0,
  // Clients: `char *`, the URL. Others: NULL. The connection was created.
  MG_EV_OPEN = 1,
  // `uint64_t *`: current time of mg_millis. Sent once per mg_mgr_poll.
  MG_EV_POLL = 2,
  // NULL. The host name was resolved.
  MG_EV_RESOLVE = 3,
  // NULL. A client connection is established.
  MG_EV_CONNECT = 4,
  // NULL. A listener accepted this connection.
  MG_EV_ACCEPT = 5,
  // NULL. The TLS handshake completed.
  MG_EV_TLS_HS = 6,
  // `long *`: number of bytes appended to `c->recv`.
  MG_EV_READ = 7,
  // `long *`: number of bytes sent.
  MG_EV_WRITE = 8,
  // NULL. The connection is closed; this is its last event.
  MG_EV_CLOSE = 9,
  // `struct mg_http_message *`: start line and headers were received. The body may be incomplete.
  MG_EV_HTTP_HDRS = 10,
  // `struct mg_http_message *`: a complete request or response was received.
  MG_EV_HTTP_MSG = 11,
  // `struct mg_http_message *`: the WebSocket handshake completed.
  MG_EV_WS_OPEN = 12,
  // `struct mg_ws_message *`: a WebSocket message was received.
  MG_EV_WS_MSG = 13,
  // `struct mg_ws_message *`: a WebSocket control frame was received.
  MG_EV_WS_CTL = 14,
  // `struct mg_mqtt_message *`: an MQTT packet was received.
  MG_EV_MQTT_CMD = 15,
  // `struct mg_mqtt_message *`: an MQTT PUBLISH packet was received.
  MG_EV_MQTT_MSG = 16,
  // `int *`: return code of the CONNACK packet; 0 means success.
  MG_EV_MQTT_OPEN = 17,
  // `uint64_t *`: time in milliseconds since 1970.
  MG_EV_SNTP_TIME = 18,
  // `struct mg_str *`: message sent by mg_wakeup.
  MG_EV_WAKEUP = 19,
  // `struct mg_mdns_req *`: an mDNS query was received.
  MG_EV_MDNS_REQ = 20,
  // `struct mg_mdns_resp *`: an mDNS response was received.
  MG_EV_MDNS_RESP = 21,
  // `struct mg_modbus_req *`: a Modbus request was received.
  MG_EV_MODBUS_REQ = 22,
  // First event number available to applications.
  MG_EV_USER = 23,
};

// Open modes of mg_fs_open, and file attributes reported by the `st` member of struct mg_fs.
enum mg_fs_flags {
  MG_FS_READ = 1,
  MG_FS_WRITE = 2,
  MG_FS_DIR = 4,
  MG_FS_EXCL = 8,
};

// Negative results of mg_io_send, mg_io_recv, mg_tls_send and mg_tls_recv.
enum mg_io_result {
  // The connection failed or was closed.
  MG_IO_ERR = -1,
  // The operation would block; try again later.
  MG_IO_WAIT = -2,
};

// Negative results of mg_json_get.
enum mg_json_error {
  MG_JSON_TOO_DEEP = -1,
  MG_JSON_INVALID = -2,
  MG_JSON_NOT_FOUND = -3,
};

// Log levels. A message is logged if its level is at most `mg_log_level`.
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

// Value types of MQTT 5 properties.
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

// An elliptic curve of the mg_uecc_* functions.
struct MG_UECC_Curve_t;

// Defined with MG_ENABLE_TCPIP only.
struct mg_phy;

// Defined with MG_ENABLE_TCPIP only; otherwise `mgr->ifp` is always NULL.
struct mg_tcpip_if;

// A DNS server.
struct mg_dns {
  // URL of the server, for example `udp://8.8.8.8:53`.
  const char *url;
  // Connection to the server, opened on first use.
  struct mg_connection *c;
};

// A timer, linked into a list that mg_timer_poll walks. mg_mgr_poll walks the list `mgr->timers`.
struct mg_timer {
  // Interval in milliseconds.
  uint64_t period_ms;
  // Next expiry time in milliseconds; 0 until the first poll starts the timer.
  uint64_t expire;
  // MG_TIMER_* bits.
  unsigned int flags;
  // Callback.
  void (*fn)(void *arg);
  // User data of the callback.
  void *arg;
  // Next timer in the list.
  struct mg_timer *next;
};

// Write end of the channel used by mg_wakeup.
union mg_pipe {
  int fd;
  void *q;
};

// Event manager: owns connections and timers. One thread polls it.
struct mg_mgr {
  // List of all connections, newest first, linked by `next`.
  struct mg_connection *conns;
  // DNS server reached over IPv4.
  struct mg_dns dns4;
  // DNS server reached over IPv6.
  struct mg_dns dns6;
  // Listener used to resolve `.local` names; see mg_mdns_listen.
  struct mg_connection *mdns;
  // Name resolution timeout, in milliseconds.
  int dnstimeout;
  // Query `dns6` first.
  bool use_dns6;
  // Last connection id assigned.
  unsigned long nextid;
  // User data. Set it after mg_mgr_init.
  void *userdata;
  // Internal.
  void *tls_ctx;
  // Last MQTT packet id assigned.
  uint16_t mqtt_id;
  // Internal: pending DNS lookups.
  void *active_dns_requests;
  // Internal: pending mDNS lookups.
  void *active_mdns_requests;
  // List of timers that mg_mgr_poll runs.
  struct mg_timer *timers;
  // Descriptor of the poller; -1 if there is none.
  int epoll_fd;
  // The interface given to mg_tcpip_init; NULL where the sockets of the operating system are used.
  struct mg_tcpip_if *ifp;
  // Number of extra bytes to allocate after each struct mg_connection, for the application.
  size_t extraconnsize;
  // Internal: used by mg_wakeup.
  union mg_pipe pipe;
};

// The 16 bytes of an IP address, in network byte order. IPv4 uses the first four; the others are unspecified.
union mg_addr_bytes {
  uint8_t ip[16];
  uint32_t ip4;
  uint64_t ip6[2];
};

// An IP address and port.
struct mg_addr {
  // IP address, network byte order.
#if MGX_COMPAT_7 < 712
  MGX_ALSO { union mg_addr_bytes addr; uint32_t ip; uint8_t ip6[16]; };
#elif MGX_COMPAT_7 < 722
  MGX_ALSO { union mg_addr_bytes addr; uint8_t ip[16]; };
#else
  union mg_addr_bytes addr;
#endif
  // Port, network byte order.
  uint16_t port;
  // IPv6 scope id; 0 for none.
  uint8_t scope_id;
  // True for IPv6, false for IPv4.
  bool is_ip6;
};

// A growable buffer. The library zeroes memory when it allocates, vacates or frees it; the content of `buf[len..size]` is
// otherwise unspecified.
struct mg_iobuf {
  // Memory from mg_calloc; NULL if `size` is 0.
  uint8_t *buf;
  // Capacity in bytes.
  size_t size;
  // Number of bytes in use.
  size_t len;
  // The capacity is rounded up to a multiple of this; 0 disables rounding.
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
  // Next connection in the list `mgr->conns`.
  struct mg_connection *next;
  // Manager that owns the connection.
  struct mg_mgr *mgr;
  // Local address.
  struct mg_addr loc;
  // Peer address. UDP: sender of the last datagram received.
#if MGX_COMPAT_7 < 706
  MGX_ALSO { struct mg_addr rem; struct mg_addr peer; };
#else
  struct mg_addr rem;
#endif
  // Socket descriptor, cast to a pointer.
  void *fd;
  // Unique id. Ids are never reused.
  unsigned long id;
  // Received data. The handler removes what it consumes.
  struct mg_iobuf recv;
  // Data waiting to be sent.
  struct mg_iobuf send;
  // Unused.
  struct mg_iobuf prof;
  // TLS: received data that is not decrypted yet.
  struct mg_iobuf rtls;
  // Event handler of the application. May be replaced at any time.
  mg_event_handler_t fn;
  // User data of the event handler.
  void *fn_data;
  // Protocol handler, called before `fn`.
  mg_event_handler_t pfn;
  // User data of the protocol handler.
  void *pfn_data;
  // Storage for the application, initially zero.
#if MG_DATA_SIZE <= 32
#if MGX_COMPAT_7 < 710
  MGX_ALSO { char data[MG_DATA_SIZE]; char label[MG_DATA_SIZE]; };
#else
  char data[MG_DATA_SIZE];
#endif
#endif
#if MG_DATA_SIZE != 32
  char mgx_unused_data[MG_DATA_SIZE < 32 ? 32 - MG_DATA_SIZE : 32];
#endif
  // TLS state.
  void *tls;
  // Differentiated services code point, set by mg_dscp.
  //
  unsigned int dscp: 6;
  // Listener, or UDP socket that receives from any peer.
  //
  unsigned int is_listening: 1;
  // Created by mg_connect.
  //
  unsigned int is_client: 1;
  // Accepted by a listener.
  //
  unsigned int is_accepted: 1;
  // Waiting for name resolution.
  //
  unsigned int is_resolving: 1;
  // UDP over a network driver: a neighbour was asked for its address.
  //
  unsigned int is_arplooking: 1;
  // connect() is in progress.
  //
  unsigned int is_connecting: 1;
  // Uses TLS.
  //
  unsigned int is_tls: 1;
  // TLS handshake in progress.
  //
  unsigned int is_tls_hs: 1;
  // UDP socket.
  //
  unsigned int is_udp: 1;
  // WebSocket connection.
  //
  unsigned int is_websocket: 1;
  // MQTT 5 connection.
  //
  unsigned int is_mqtt5: 1;
  // Set by the application: log all traffic in hex. Accepted connections inherit it from their listener.
  //
  unsigned int is_hexdumping: 1;
  // Set by the application: send the queued data, then close.
  //
  unsigned int is_draining: 1;
  // Set by the application or the library: close, discarding queued data.
  //
  unsigned int is_closing: 1;
  // Set and cleared by the application: stop reading from the socket while set.
  //
  unsigned int is_full: 1;
  // TLS output is blocked until the socket is writable.
  //
  unsigned int is_tls_throttled: 1;
  // An HTTP response is in progress.
  //
  unsigned int is_resp: 1;
  // The socket is readable in this poll.
  //
  unsigned int is_readable: 1;
  // The socket is writable in this poll.
  //
  unsigned int is_writable: 1;
#if MG_DATA_SIZE > 32
  void *mgx_aligns[2];
#if MGX_COMPAT_7 < 710
  MGX_ALSO { char data[MG_DATA_SIZE]; char label[MG_DATA_SIZE]; };
#else
  char data[MG_DATA_SIZE];
#endif
#endif
};

// A string view: pointer and length, not necessarily NUL-terminated. It owns its memory only if the function that returned it
// says so.
struct mg_str {
  // First byte; NULL in the null string `{NULL, 0}`.
#if MGX_COMPAT_7 < 715
  MGX_ALSO { const char *ptr; char *buf; };
#else
  char *buf;
#endif
  // Length in bytes.
  size_t len;
};

// A variable that a dashboard displays and edits.
struct mg_field {
  const char *name;
  enum mg_val_type type;
  // Pointer to the application's variable.
  void *value;
  // Size of the variable in bytes; 0 makes it read-only.
  size_t value_size;
};

// An HTTP handler that the application adds to a dashboard.
struct mg_dash_custom_handler {
  struct mg_dash_custom_handler *next;
  // URI pattern for mg_match.
  struct mg_str uri_pattern;
  mg_event_handler_t handler;
  void *handler_data;
};

// A file system: the functions through which mg_file_*, mg_fs_* and the HTTP file functions access files.
struct mg_fs {
  // Returns MG_FS_* attributes of a file, or 0 if it does not exist. `size` and `mtime` may be NULL.
  int (*st)(const char *path, size_t *size, time_t *mtime);
  // Calls `fn` with the name of each directory entry.
  void (*ls)(const char *path, void (*fn)(const char*, void*), void *arg);
  // Opens a file with MG_FS_* flags. Returns NULL on failure.
  void *(*op)(const char *path, int flags);
  // Closes a file.
  void (*cl)(void *fd);
  // Reads up to `len` bytes. Returns the number of bytes read, 0 at the end of the file or on failure.
  size_t (*rd)(void *fd, void *buf, size_t len);
  // Writes `len` bytes. Returns the number of bytes written.
  size_t (*wr)(void *fd, const void *buf, size_t len);
  // Seeks to an absolute offset and returns it.
  size_t (*sk)(void *fd, size_t offset);
  // Renames a file, replacing the target.
  bool (*mv)(const char *from, const char *to);
  // Removes a file or an empty directory.
  bool (*rm)(const char *path);
  // Creates a directory.
  bool (*mkd)(const char *path);
};

// A dashboard. Pass a pointer to it to mg_http_listen as `fn_data`, with mg_dash_ev_handler as handler.
struct mg_dash {
  // Linked list of variable sets; add to it with MG_DASH_ADD_FIELD_SET.
  struct mg_field_set *sets;
  // Linked list of HTTP handlers; add to it with MG_DASH_REGISTER_CUSTOM_HANDLER.
  struct mg_dash_custom_handler *custom_handlers;
  // Returns the access level of a user, or 0 or less to deny access. May rewrite `user`. NULL makes everyone a guest with
  // level 9.
  int (*authenticate)(char *user, size_t user_size, const char *pass);
  // Session lifetime in seconds; 0 means 3600.
  int session_auto_expiration_seconds;
  // Set by the library while `authenticate` is NULL.
  struct mg_dash_user *guest;
  // File system for file lists; NULL means mg_fs_posix.
  struct mg_fs *upload_fs;
};

// A logged-in dashboard user.
struct mg_dash_user {
  struct mg_dash_user *next;
  char name[MG_DASH_MAX_USER_NAME];
  // Session token.
  char token[21];
  // Access level returned by `authenticate`.
  int level;
  // Session expiry time, in milliseconds of mg_millis.
  uint64_t expire;
  struct mg_dash *dash;
};

// A group of variables that a dashboard reads and writes together.
struct mg_field_set {
  const char *name;
  // Array of variables, terminated by an entry whose `name` is NULL.
  struct mg_field *fields;
  // Called to refresh, validate and apply the values. Returns false to refuse. NULL allows every operation.
  bool (*fn)(enum mg_dash_op op, struct mg_dash_user *user);
  // NULL for a plain set. Otherwise the set is an array and `*index` selects the element that `fn` works on; -1 requests the
  // size.
  int *index;
  // NULL for an ordinary set. Otherwise the set is a file list, and this callback writes the directory to `buf`.
  bool (*get_dir)(const struct mg_dash_user *user, char *buf, size_t len);
  struct mg_field_set *next;
};

// A parsed DNS message.
struct mg_dns_message {
  // Transaction id.
  uint16_t txnid;
  // True if `addr` is set.
  bool resolved;
  // First address in the response.
  struct mg_addr addr;
  // Host name in dotted form.
  char name[256];
};

// A DNS question or resource record.
struct mg_dns_rr {
  // Length of the encoded name, in bytes.
  uint16_t nlen;
  // Record type, an MG_DNS_RTYPE_* value.
  uint16_t atype;
  // Record class.
  uint16_t aclass;
  // Length of the record data, in bytes.
  uint16_t alen;
};

// An open file.
struct mg_fd {
  // Handle returned by the `op` function of the file system.
  void *fd;
  // File system that the file belongs to.
  struct mg_fs *fs;
};

// A header of an HTTP message.
struct mg_http_header {
  struct mg_str name;
  struct mg_str value;
};

// A parsed HTTP message. All strings point into the buffer that was parsed.
struct mg_http_message {
  // Request: method. Response: protocol version.
  struct mg_str method;
  // Request: path, percent-encoded, without the query. Response: status code.
  struct mg_str uri;
  // Part of the URI after the first `?`. `{NULL, 0}` if there is no `?`.
  struct mg_str query;
  // Request: protocol version. Response: reason phrase.
  struct mg_str proto;
  // Headers in order of arrival. Unused entries are zero.
#if MG_MAX_HTTP_HEADERS <= 30
  struct mg_http_header headers[MG_MAX_HTTP_HEADERS];
#endif
#if MG_MAX_HTTP_HEADERS != 30
  struct mg_http_header mgx_unused_headers[MG_MAX_HTTP_HEADERS < 30 ? 30 - MG_MAX_HTTP_HEADERS : 30];
#endif
  // Message body. In MG_EV_HTTP_HDRS `len` is the announced length, and not all of it may have arrived.
  struct mg_str body;
  // Start line and headers, including the blank line.
  struct mg_str head;
  // `head` and `body` together.
#if MGX_COMPAT_7 < 714
  MGX_ALSO { struct mg_str message; struct mg_str chunk; };
#else
  struct mg_str message;
#endif
#if MG_MAX_HTTP_HEADERS > 30
  struct mg_http_header headers[MG_MAX_HTTP_HEADERS];
#endif
};

// A part of a multipart body.
struct mg_http_part {
  // Field name.
  struct mg_str name;
  // File name; empty for fields that are not files.
  struct mg_str filename;
  // Content of the part.
  struct mg_str body;
};

// Options for serving files. Zero-initialise; a zero member means its default. The library keeps no pointers to it.
struct mg_http_serve_opts {
  // Directory to serve, or a list of URI prefixes and directories such as `/dir,/a=dir2`.
  const char *root_dir;
  // Glob pattern of files to process for server-side includes, for example `#.shtml`.
  const char *ssi_pattern;
  // Additional header lines, each terminated by CR LF.
  const char *extra_headers;
  // Additional MIME types: `ext1=type1,ext2=type2`.
  const char *mime_types;
  // File to send when the requested file does not exist.
  const char *page404;
  // File system; NULL means mg_fs_posix.
  struct mg_fs *fs;
};

// Claims and keys of a JSON Web Token. The library keeps no pointers to it.
struct mg_jwt_opts {
  // Payload, signed as is.
  struct mg_str claims;
  // Additional header members: JSON text without the enclosing braces.
  struct mg_str header;
  // Key id; empty for none.
  struct mg_str kid;
  // HS256: shared key.
  struct mg_str secret;
  // ES256: private key, 32 bytes.
  const uint8_t *private_key;
  // ES256: public key, 64 bytes.
  const uint8_t *public_key;
};

// Output callback: receives one character and the user data.
typedef void (*mg_pfn_t)(char, void*);

// MD5 state. May be copied to fork a computation.
struct mg_md5_ctx {
  uint32_t buf[4];
  uint32_t bits[2];
  uint8_t in[64];
};

// An MQTT 5 property.
struct mg_mqtt_prop {
  // MQTT_PROP_* value.
  uint8_t id;
  // Value of a numeric property.
  uint32_t iv;
  // First string of a string pair.
  struct mg_str key;
  // Value of a string or binary property; second string of a string pair.
  struct mg_str val;
};

// Parameters of an MQTT packet. Zero-initialise; a zero member means its default. The library keeps no pointers to it.
struct mg_mqtt_opts {
  // CONNECT: user name.
  struct mg_str user;
  // CONNECT: password.
  struct mg_str pass;
  // CONNECT: client id; empty for a random one.
  struct mg_str client_id;
  // PUBLISH, SUBSCRIBE, UNSUBSCRIBE: topic. CONNECT: topic of the will.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { struct mg_str topic; struct mg_str will_topic; };
#else
  struct mg_str topic;
#endif
  // PUBLISH: payload. CONNECT: payload of the will.
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
  // CONNECT: protocol level, 4 for MQTT 3.1.1 or 5 for MQTT 5; 0 means 4.
  uint8_t version;
  // CONNECT: keep-alive interval in seconds; 0 disables it. mg_mqtt_connect sends the pings.
  uint16_t keepalive;
  // PUBLISH: packet id of a message to retransmit; 0 assigns a new id.
  uint16_t retransmit_id;
  // PUBLISH: retain flag. CONNECT: retain flag of the will.
#if MGX_COMPAT_7 < 711
  MGX_ALSO { bool retain; bool will_retain; };
#else
  bool retain;
#endif
  // CONNECT: start a clean session.
  bool clean;
  // MQTT 5 properties of the packet.
  struct mg_mqtt_prop *props;
  // Number of elements in `props`.
  size_t num_props;
  // MQTT 5 properties of the will.
  struct mg_mqtt_prop *will_props;
  // Number of elements in `will_props`.
  size_t num_will_props;
};

// A parsed MQTT packet. All strings point into the buffer that was parsed.
struct mg_mqtt_message {
  // Topic of a PUBLISH packet.
  struct mg_str topic;
  // Payload of a PUBLISH packet.
  struct mg_str data;
  // The whole packet.
  struct mg_str dgram;
  // Packet id; 0 if the packet has none.
  uint16_t id;
  // Packet type, an MQTT_CMD_* value.
  uint8_t cmd;
  // Quality of service bits of the first byte.
  uint8_t qos;
  // Return code of a CONNACK packet; 0 means success.
  uint8_t ack;
  // Offset of the MQTT 5 properties in `dgram`.
  size_t props_start;
  // Size of the MQTT 5 properties in bytes.
  size_t props_size;
};

// A lock-free ring buffer of messages for one writer and one reader, in memory supplied by the application.
struct mg_queue {
  // Memory of the ring.
  char *buf;
  // Size of the ring in bytes.
  size_t size;
  // Read position.
  mg_volatile_size_t tail;
  // Write position.
  mg_volatile_size_t head;
};

// A JSON-RPC request.
struct mg_rpc_req {
  // List of methods.
  struct mg_rpc **head;
  // Entry of the method being called.
  struct mg_rpc *rpc;
  // Output callback for the response.
  mg_pfn_t pfn;
  // User data of `pfn`.
  void *pfn_data;
  // User data of the request.
  void *req_data;
  // Request text.
  struct mg_str frame;
};

// An entry in a list of JSON-RPC methods.
struct mg_rpc {
  // Next entry.
  struct mg_rpc *next;
  // Method name pattern for mg_match.
  struct mg_str method;
  // Method handler.
  void (*fn)(struct mg_rpc_req *req);
  // User data of the handler.
  void *fn_data;
};

// SHA-1 state. May be copied to fork a computation.
struct mg_sha1_ctx {
  uint32_t state[5];
  uint32_t count[2];
  uint8_t buffer[64];
};

// SHA-256 state. May be copied to fork a computation.
struct mg_sha256_ctx {
  uint32_t state[8];
  uint64_t bits;
  uint32_t len;
  uint8_t buffer[64];
};

// SHA-384 state. May be copied to fork a computation.
struct mg_sha384_ctx {
  uint64_t state[8];
  uint8_t buffer[128];
  uint64_t bitlen[2];
  uint32_t datalen;
};

// TLS options. The library keeps no pointers to them after mg_tls_init returns.
struct mg_tls_opts {
  // Trusted certificates to verify the peer against, PEM or DER. Empty disables verification.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str ca; struct mg_str client_ca; struct mg_str server_ca; };
#else
  struct mg_str ca;
#endif
  // Own certificate, PEM or DER. In a PEM chain the leaf comes first.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str cert; struct mg_str srvcert; struct mg_str server_cert; struct mg_str client_cert; };
#else
  struct mg_str cert;
#endif
  // Private key of `cert`.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str key; struct mg_str certkey; struct mg_str srvkey; struct mg_str server_key; struct mg_str client_key; };
#else
  struct mg_str key;
#endif
  // Client: server name to send (SNI) and to verify the certificate against.
#if MGX_COMPAT_7 < 722
  MGX_ALSO { struct mg_str name; struct mg_str srvname; };
#else
  struct mg_str name;
#endif
  // Disable certificate verification.
  bool skip_verification;
};

typedef const struct MG_UECC_Curve_t *MG_UECC_Curve;

// Wi-Fi settings, for boards with Wi-Fi hardware.
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

// A file embedded in the application. An array of these is terminated by an entry whose `path` is NULL.
struct mg_mem_file {
  const char *path;
  // File content. The file does not exist if this is NULL.
  const uint8_t *data;
  size_t size;
  // Modification time, in seconds since 1970.
  time_t mtime;
};

// DNS message header on the wire, in network byte order.
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
  // TXT record data in wire format.
  struct mg_str txt;
  // Port, host byte order.
  uint16_t port;
};

// An mDNS query, passed with MG_EV_MDNS_REQ. The handler fills it in to respond.
struct mg_mdns_req {
  // The question.
  struct mg_dns_rr *rr;
  // Set by the handler: service to respond with.
  struct mg_dnssd_record *r;
  // Requested name, without `.local`.
  struct mg_str reqname;
  // Set by the handler: host name to respond with, instead of the listener's.
  struct mg_str respname;
  // Set by the handler: IPv4 address to respond with.
  struct mg_addr *addr;
  // True if the query asks for the list of services.
  bool is_listing;
  // Set by the handler: send a response.
  bool is_resp;
  // True if the sender asks for a unicast response.
  bool is_unicast;
};

// An mDNS response, passed with MG_EV_MDNS_RESP. Valid during the handler call.
struct mg_mdns_resp {
  // First resource record.
  struct mg_dns_rr *rr;
  // Host name or service instance name.
  struct mg_str name;
  // Address and port, as far as the response contains them.
  struct mg_addr addr;
  // Service, as far as the response contains it.
  struct mg_dnssd_record sd;
};

// Values of a Modbus request: booleans for coils and discrete inputs, 16-bit words for registers.
union mg_modbus_values {
  bool *bits;
  uint16_t *regs;
};

// A Modbus request, passed with MG_EV_MODBUS_REQ. The handler reads or fills in the values, or sets `error`.
struct mg_modbus_req {
  // Function code, an MG_MODBUS_FUNC_* value.
  uint8_t func;
  // Set by the handler: MG_MODBUS_ERR_* value.
  uint8_t error;
  // Address of the first value.
  uint16_t addr;
  // Array of `len` values, owned by the library.
  union mg_modbus_values u;
  // Number of values.
  uint16_t len;
};

// Custom printer for `%M` and `%m`. Reads its own arguments from `*ap` and returns the number of characters printed.
typedef size_t (*mg_pm_t)(mg_pfn_t, void*, va_list*);

// A Wi-Fi network found by a scan.
struct mg_wifi_scan_bss_data {
  struct mg_str SSID;
  char *BSSID;
  int16_t RSSI;
  // Combination of MG_WIFI_SECURITY_* bits.
  uint8_t security;
  uint8_t channel;
  // MG_WIFI_BAND_* value.
  //
  unsigned int band: 2;
  unsigned int has_n: 1;
  unsigned int has_ac: 1;
  unsigned int has_ax: 1;
};

// A WebSocket message or control frame. Valid during the handler call.
struct mg_ws_message {
  // Payload, unmasked.
  struct mg_str data;
  // First byte of the frame; the low four bits are a WEBSOCKET_OP_* value.
  uint8_t flags;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Maximum level of messages to log, MG_LL_NONE to MG_LL_VERBOSE. Initially MG_LL_DEBUG.
extern int mg_log_level;

// Wall-clock time at which mg_millis was 0, in milliseconds since 1970. Initially 0; set by SNTP or the application, used by
// mg_now.
extern uint64_t mg_boot_timestamp_ms;

// The file system of the operating system. Applications may copy and modify it.
extern struct mg_fs mg_fs_posix;

// Read-only file system over `mg_mem_files`.
extern struct mg_fs mg_fs_packed;

// Files embedded in the application, for mg_fs_packed. Initially NULL; the application may assign an array.
extern const struct mg_mem_file *mg_mem_files;

// Allocates a zero-filled connection with the next id, followed by `mgr->extraconnsize` bytes. It is not linked into the manager
// and has no socket. For applications with their own network stack. Returns NULL if out of memory. Free it with mg_close_conn.
struct mg_connection *mg_alloc_conn(struct mg_mgr *mgr);

// Parses an IP address: IPv4 `a.b.c.d`, IPv6 with or without brackets and scope (`[fe80::1%2]`), `localhost` (127.0.0.1), or an
// empty string (0.0.0.0). Sets the address and `is_ip6`, for IPv6 also `scope_id`; leaves the port unchanged. Returns false if
// `str` is not an address. May be called from any thread.
bool mg_aton(struct mg_str str, struct mg_addr *addr);

// Decodes `n` characters of padded base64 text at `src` to `dst` and NUL-terminates the result. Returns the number of bytes.
// Ignores up to three characters after the last group of four. Returns 0 if `src` is NULL or malformed, or if `len` is less than
// `n / 4 * 3 + 1`; `dst` is then an empty string (if `len` is not 0). `dst` may equal `src`. May be called from any thread.
size_t mg_base64_decode(const char *src, size_t n, char *dst, size_t len);

// Encodes `n` bytes at `p` as padded, NUL-terminated base64 text in `buf`. Returns its length without the NUL. If `len` is less
// than `4 * ((n + 2) / 3) + 1`, returns 0 and makes `buf` an empty string (if `len` is not 0). May be called from any thread.
size_t mg_base64_encode(const uint8_t *p, size_t n, char *buf, size_t len);

// Finishes the text built by mg_base64_update: writes the last character, the padding and a NUL. Returns the length of the text.
// May be called from any thread.
size_t mg_base64_final(char *buf, size_t len);

// Adds a byte to the base64 text in `buf`. `len` is the result of the previous call, 0 for the first. Returns the new length of
// the text. `buf` must have room for the complete text, `4 * ((n + 2) / 3) + 1` bytes for `n` bytes of input; between calls the
// byte after the text holds encoder state. Finish with mg_base64_final. May be called from any thread.
size_t mg_base64_update(uint8_t input_byte, char *buf, size_t len);

// Decodes base64url text that ends after `n` characters or at a `=`, to `dst`, and NUL-terminates the result. Returns the number
// of bytes, or 0 if the text is malformed or the result and its NUL do not fit in `len` bytes; `dst` is then an empty string (if
// `len` is not 0). May be called from any thread.
size_t mg_base64url_decode(const char *src, size_t n, char *dst, size_t len);

// Encodes `n` bytes at `p` as unpadded, NUL-terminated base64url text in `buf`: like mg_base64_encode, with `-` and `_` for `+`
// and `/`. `buf` must still have room for the padding. May be called from any thread.
size_t mg_base64url_encode(const uint8_t *p, size_t n, char *buf, size_t len);

// Zeroes `len` bytes at `buf`, which may be NULL. For secrets: the compiler never optimises it away. May be called from any
// thread.
void mg_bzero(mg_volatile_byte *buf, size_t len);

// Calls the handlers of a connection with an event: `c->pfn` first, then `c->fn`. Either may be NULL. Applications may send
// their own events, numbered from MG_EV_USER.
void mg_call(struct mg_connection *c, int ev, void *ev_data);

// Allocates `count` * `size` zeroed bytes. Returns NULL if out of memory. All memory that the library hands to the
// application, or takes from it to free, comes from here. An application may define its own mg_calloc and mg_free; the
// library then uses them.
extern void *mg_calloc(size_t count, size_t size);

// Compares two NUL-terminated strings, ignoring ASCII case. Returns 0 if they are equal, otherwise the difference between the
// first two differing characters in lower case. Neither may be NULL. May be called from any thread.
int mg_casecmp(const char *s1, const char *s2);

// Checks an address against an access list such as `-0.0.0.0/0,+192.168.0.0/16`: comma-separated IPv4 networks, each with `+`
// (allow) or `-` (deny). Returns 1 if access is allowed, 0 if denied: the last matching network decides, no match denies, and an
// empty list allows everything. IPv4-mapped IPv6 addresses (`::ffff:192.168.0.1`) count as IPv4. Returns -1 for other IPv6
// addresses and for entries without a sign, -2 for malformed networks. If bits beyond the prefix length are set, `-` denies the
// whole network and `+` allows nothing. May be called from any thread.
int mg_check_ip_acl(struct mg_str acl, struct mg_addr *remote_ip);

// Closes a connection at once: closes the socket, discards queued output, raises MG_EV_CLOSE and frees the connection. Prefer
// setting `c->is_closing` or `c->is_draining`. Inside a handler the memory stays readable until the handlers return; no further
// event is sent. NULL is a no-op.
void mg_close_conn(struct mg_connection *c);

// Opens a client connection. `fn` gets MG_EV_OPEN and, for a numeric host, MG_EV_RESOLVE before this function returns.
// MG_EV_CONNECT follows once connected; a UDP connection gets it right after MG_EV_RESOLVE. All addresses of a host name are
// tried: `c->rem` is the first one in MG_EV_RESOLVE and the connected one in MG_EV_CONNECT. `unix:PATH` and `unix:///PATH`
// connect to a Unix socket. Data queued before MG_EV_CONNECT is sent once connected. Returns NULL if the URL is NULL or empty,
// or if out of memory. Other failures raise MG_EV_ERROR, followed by MG_EV_CLOSE in the next poll.
struct mg_connection *mg_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Continues a client connection after name resolution: creates the socket, raises MG_EV_RESOLVE and connects to `c->rem`. The
// built-in resolver calls it; only applications with their own resolver need it.
void mg_connect_resolved(struct mg_connection *c);

// Like mg_connect, with a protocol handler `pfn` that receives every event before `fn`.
struct mg_connection *mg_connect_svc(struct mg_mgr *mgr,
                                     const char *url,
                                     mg_event_handler_t fn,
                                     void *fn_data,
                                     mg_event_handler_t pfn,
                                     void *pfn_data);

// Computes the CRC-16/X.25 of `len` bytes. `crc` is 0, or the result for the preceding bytes. `buf` may be NULL if `len` is 0.
// May be called from any thread.
uint16_t mg_crc16(uint16_t crc, const char *buf, size_t len);

// Computes the CRC-32 (as zlib does) of `len` bytes. `crc` is 0, or the result for the preceding bytes. `buf` may be NULL if
// `len` is 0. May be called from any thread.
uint32_t mg_crc32(uint32_t crc, const char *buf, size_t len);

// Reads an element of a file list into its fields `name` (MG_VAL_STR) and, if present, `size` (MG_VAL_UINT64 or MG_VAL_INT). If
// `*index < 0`, stores the number of files in `*index`; beyond the last file, stores -1. Returns false if there is no directory
// or no `name` field. Used for file lists without an `fn`; an `fn` may call it for MG_DASH_READ.
bool mg_dash_dir_read(struct mg_field_set *set, struct mg_dash_user *u);

// Event handler of a dashboard. Pass it to mg_http_listen with a `struct mg_dash *` as `fn_data`; the struct must outlive the
// listener and its connections. Sessions belong to the process. The callbacks of a dashboard run in the thread that polls its
// manager. Uses `c->data`: byte 0, and the pointers at offsets 8 (user) and 16 (dashboard).
void mg_dash_ev_handler(struct mg_connection *c, int ev, void *ev_data);

// Notifies all open dashboards of a manager that a set changed. For an array, `*index < 0` reports a new size, any other index a
// changed element. Calls the `fn` of the set with MG_DASH_READ for each client; clients without read access are not notified.
void mg_dash_send_change(struct mg_mgr *mgr, struct mg_field_set *set);

// Busy-waits until more than `ms` milliseconds have passed. May be called from any thread.
void mg_delayms(unsigned int ms);

// Parses a DNS message of at most 512 bytes with at most one question. Stores the id and the requested name in `*dm`; for a
// response, also the first IPv4 or IPv6 address among the first ten answers, and `name` is then the name of the last answer
// examined. Does not check the response code or that the answer matches the question. Returns false if the message is malformed;
// `*dm` may then be partly filled. `buf` may be NULL if `len` is 0. May be called from any thread.
bool mg_dns_parse(const uint8_t *buf, size_t len, struct mg_dns_message *dm);

// Parses the question (`is_question`) or resource record at offset `ofs` of a DNS message of at most 512 bytes. Returns its size
// in bytes, so that the next one starts at `ofs` plus this value; 0 if there is none. Compressed names are not expanded. May be
// called from any thread.
size_t mg_dns_parse_rr(const uint8_t *buf, size_t len, size_t ofs, bool is_question, struct mg_dns_rr *rr);

// Sets the differentiated services code point (6 bits) of outgoing packets. Returns false if the kernel refuses.
bool mg_dscp(struct mg_connection *c, uint8_t dscp);

// Reports an error on a connection: logs the formatted text (at most 63 characters), sets `c->is_closing`, and raises
// MG_EV_ERROR with the text as `ev_data`. A handler may clear `is_closing` to keep the connection. See mg_xprintf for the
// format.
extern void mg_error(struct mg_connection *c, const char *fmt, ...);

// Replaces the content of a file with formatted text, as mg_file_write does. Returns false on failure. See mg_xprintf for
// the format.
extern bool mg_file_printf(struct mg_fs *fs, const char *path, const char *fmt, ...);

// Reads a file into memory, NUL-terminated. Free `.buf` with mg_free. Returns the null string on failure, for a directory and
// for a NULL `path`. The result for an empty file is empty but not NULL.
struct mg_str mg_file_read(struct mg_fs *fs, const char *path);

// Replaces the content of a file atomically, through a temporary file in the same directory: readers see the old or the new
// content in full, even after a crash (see `no_fsync` of struct mgx_options). Returns false on failure; the old file is then
// unchanged. The temporary file is removed in any case.
bool mg_file_write(struct mg_fs *fs, const char *path, const void *buf, size_t len);

// Frees memory allocated by mg_calloc. NULL is a no-op.
extern void mg_free(void *ptr);

// Closes a file and frees `fd`. NULL is a no-op.
void mg_fs_close(struct mg_fd *fd);

// Iterates over a directory: replaces the name in `buf` with the next one. Start with an empty string. Returns false, with an
// empty string, at the end. Skips names that do not fit. Each call lists the whole directory, so start again after changing it.
bool mg_fs_ls(struct mg_fs *fs, const char *path, char *buf, size_t len);

// Opens a file with MG_FS_* flags. Returns NULL on failure. Close it with mg_fs_close.
struct mg_fd *mg_fs_open(struct mg_fs *fs, const char *path, int flags);

// Logs `len` bytes at `buf` in hex and as text, 16 bytes per line, at any log level.
void mg_hexdump(const void *buf, size_t len);

// Stores the HMAC-SHA-256 (RFC 2104), 32 bytes, of `datasz` bytes at `data` in `dst`. `key` and `data` are not modified and may
// be NULL if their size is 0. May be called from any thread.
void mg_hmac_sha256(uint8_t *dst, uint8_t *key, size_t keysz, uint8_t *data, size_t datasz);

// Queues an `Authorization: Basic ...` header line. Call it while composing the head of a request. `user` NULL means empty; the
// colon is omitted if `pass` is NULL or empty. If out of memory, logs an error and queues nothing.
void mg_http_bauth(struct mg_connection *c, const char *user, const char *pass);

// Opens an HTTP client connection; see mg_connect. Responses arrive as MG_EV_HTTP_MSG. The application sends the request, in
// MG_EV_CONNECT or right after this call. Credentials in the URL (`http://user:pass@host/`) are added as an Authorization header
// to requests that have none, provided that their whole head is queued when they are sent. Returns NULL on failure.
struct mg_connection *mg_http_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Copies the credentials of a request to `user` and `pass`, NUL-terminated and truncated to their sizes; empty if there are
// none. Uses the first of: `Authorization: Basic`; `Authorization: Bearer`, the `access_token` cookie, and the query variable
// `access_token`, which set only `pass`.
void mg_http_creds(struct mg_http_message *hm, char *user, size_t userlen, char *pass, size_t passlen);

// Returns the value of the first header called `name`, ignoring case, or NULL if there is none. The result points into `*hm`;
// its length may be 0.
struct mg_str *mg_http_get_header(struct mg_http_message *hm, const char *name);

// Returns the value of parameter `v` in a header value such as `form-data; name="x"`, without quotes. The result points into
// `s`. `{NULL, 0}` if there is none. The name is case-sensitive and must start a word: `name` does not match in `filename`. May
// be called from any thread.
struct mg_str mg_http_get_header_var(struct mg_str s, struct mg_str v);

// Returns the length of the request or response head at `buf`, including the blank line; 0 if it is incomplete, -1 if it
// contains a byte not allowed in a head. `buf` may be NULL if `buf_len` is 0. May be called from any thread.
int mg_http_get_request_len(const unsigned char *buf, size_t buf_len);

// Copies the decoded value of a query string or form variable to `dst`, NUL-terminated. Returns its length, which may be 0, or a
// negative value: -1 if `buf` is empty or `name` is NULL, -2 if `dst` is NULL or `dst_len` is 0, -3 if the value is badly
// encoded or does not fit with its NUL, -4 if there is no such variable. `dst` is an empty string after -1 and -4, unspecified
// after -3. May be called from any thread.
int mg_http_get_var(const struct mg_str *buf, const char *name, char *dst, size_t dst_len);

// Opens an HTTP listener; see mg_listen for URLs. Its connections get MG_EV_HTTP_HDRS when the head of a request has arrived and
// MG_EV_HTTP_MSG when the request is complete, both with a `struct mg_http_message *`. Returns NULL on failure.
struct mg_connection *mg_http_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Finds the part of a `multipart/form-data` body whose boundary line is at or after `ofs`. Pass 0 for the first part. Returns
// the offset to pass for the next part, or 0 if there is no part. Strings in `*part` point into `body`; `name` and `filename`
// are `{NULL, 0}` if the part has none, and all members are if there is no part. `part` may be NULL. May be called from any
// thread.
//
// The boundary is the first line that starts with two dashes and is followed by a part; up to 16 KiB of text before it, and text
// after the closing boundary, are skipped. A part ends at a line that consists of the boundary and optional blanks; a part
// without such a line is not returned.
//
// ```c
// struct mg_http_part part;
// size_t ofs = 0;
// while ((ofs = mg_http_next_multipart(hm->body, ofs, &part)) > 0) { ... }
// ```
size_t mg_http_next_multipart(struct mg_str body, size_t ofs, struct mg_http_part *part);

// Parses the head of the HTTP request or response at `s` into `*hm`, which is zeroed first. Returns the length of the head,
// including the blank line; 0 if it is incomplete, -1 if it is malformed. `*hm` is filled only if the result is positive. May be
// called from any thread.
//
// Strings in `*hm` point into `s` and are not NUL-terminated. `hm->body.buf` points to the first byte after the head.
// `hm->body.len` is the Content-Length, whether or not the bytes have arrived, and `hm->message.len` includes it; both are
// `(size_t) -1` for a response that lasts until the connection closes. `hm->query` is `{NULL, 0}` if the URI has no `?`. In a
// response `hm->method` is the version, `hm->uri` the status and `hm->proto` the reason phrase.
//
// Lines may end in CRLF or LF. At most `MG_MAX_HTTP_HEADERS` headers are stored; unused entries are zero. Ambiguous messages are
// malformed: repeated Content-Length, Transfer-Encoding, Authorization, Cookie or Connection; Content-Length together with
// Transfer-Encoding or not a plain number; either of them after the last header stored; a stray CR.
int mg_http_parse(const char *s, size_t len, struct mg_http_message *hm);

// Queues formatted text as a chunk of a message. The caller has already sent the head, with `Transfer-Encoding: chunked`.
// Empty text sends the last chunk, which completes the response. Queues nothing in response to a HEAD request. See
// mg_xprintf for the format.
extern void mg_http_printf_chunk(struct mg_connection *c, const char *fmt, ...);

// Queues a complete HTTP response: status line, `headers` (each terminated by CR LF; NULL for none), Content-Length, and the
// formatted body. The response to a HEAD request has the Content-Length but no body. See mg_xprintf for the format.
extern void mg_http_reply(struct mg_connection *c, int status_code, const char *headers, const char *body_fmt, ...);

// Responds to a request with a file or a directory listing below `opts->root_dir`, which is a directory, or a list such as
// `www,/a=dir2`: the last item whose prefix matches the URI applies. Refuses paths that lead out of the directory, also through
// symbolic links. Supports Range, conditional requests (If-None-Match, If-Modified-Since ...), HEAD and compressed files `NAME.gz`;
// DELETE, PUT and other methods that do not apply to files get 405. The head of the response is in `c->send` on return; the rest
// of a large file follows as output is sent, and `c->is_resp` stays 1 until then.
void mg_http_serve_dir(struct mg_connection *c, struct mg_http_message *hm, const struct mg_http_serve_opts *opts);

// Responds to a request with the file `path`, like mg_http_serve_dir. `path` is not checked. `opts` may be NULL.
void mg_http_serve_file(struct mg_connection *c,
                        struct mg_http_message *hm,
                        const char *path,
                        const struct mg_http_serve_opts *opts);

// Responds with the file `fullpath` after processing its server-side includes. `<!--#include file="NAME" -->` is relative to the
// page, `<!--#include virtual="/NAME" -->` to `root`. Files that cannot be included are omitted.
void mg_http_serve_ssi(struct mg_connection *c, const char *root, const char *fullpath);

// Streams the body of the current request to mg_ota_begin, mg_ota_write and mg_ota_end. Call it in MG_EV_HTTP_HDRS. At the end
// `fn` is called once, with NULL or an error message, and responds to the request. Until then the library replaces `c->fn`.
void mg_http_start_ota(struct mg_connection *c, struct mg_http_message *hm, void (*fn)(struct mg_connection*, const char*));

// Streams the body of the current request to the file `name` in `dir`, whatever its size. Call it in MG_EV_HTTP_HDRS. At the end
// `fn` is called once, with NULL or an error message, and responds to the request; if `fn` is NULL, the library responds `ok` or
// the message. Until then the library replaces `c->fn`. The file appears, or replaces an older one, when it is complete and on
// disk (see `no_fsync` of struct mgx_options); a failed upload leaves nothing behind. Meanwhile the file is named
// `NAME..PID-xxxxxxxxx`; the next upload to the directory removes leftovers of dead processes.
void mg_http_start_upload(struct mg_connection *c,
                          struct mg_http_message *hm,
                          struct mg_str name,
                          struct mg_str dir,
                          struct mg_fs *fs,
                          void (*fn)(struct mg_connection*, const char*));

// Returns the status code of a parsed response: the number at the start of `hm->uri`, 0 if there is none.
int mg_http_status(const struct mg_http_message *hm);

// Stores a piece of an upload according to the query parameters `file` and `offset`, and responds to the request. Offset 0
// replaces the file; any other offset must equal its size. Returns the new size of the file, or a negative value: -1 no name, -2
// bad name, -3 bad offset, -4 larger than `max_size`, -5 offset is not the file size, -6 cannot open, -7 cannot write.
long mg_http_upload(struct mg_connection *c, struct mg_http_message *hm, struct mg_fs *fs, const char *dir, size_t max_size);

// Returns the value of the first variable called `name`, ignoring case, in a query string or form such as `a=1&b=2`. The result
// points into `buf` and is still URL-encoded. `{NULL, 0}` if there is none. May be called from any thread.
struct mg_str mg_http_var(struct mg_str buf, struct mg_str name);

// Queues `len` bytes as a chunk of a message. The caller has already sent the head, with `Transfer-Encoding: chunked`. `len` 0
// sends the last chunk, which completes the response. Queues nothing in response to a HEAD request. Raises MG_EV_ERROR `OOM` if
// out of memory.
void mg_http_write_chunk(struct mg_connection *c, const char *buf, size_t len);

// Moves up to `len` received bytes that TLS has not processed from `c->rtls` to `buf`. Returns the number of bytes, or
// MG_IO_WAIT if there are none.
long mg_io_recv(struct mg_connection *c, void *buf, size_t len);

// Sends data on the socket, bypassing `c->send` and TLS; on UDP, one datagram to `c->rem`. Returns the number of bytes sent,
// MG_IO_WAIT if the socket is blocked, or MG_IO_ERR.
long mg_io_send(struct mg_connection *c, const void *buf, size_t len);

// Inserts `len` bytes at offset `ofs`, moving the data that follows. `buf` NULL inserts bytes with unspecified content. If `ofs`
// is beyond the data, the gap becomes part of the data. Returns `len`, or 0 if out of memory; the data is then unchanged.
size_t mg_iobuf_add(struct mg_iobuf *io, size_t ofs, const void *buf, size_t len);

// Removes up to `len` bytes at offset `ofs`. Moves the data that follows and zeroes the vacated bytes. The capacity does not
// change. Returns the number of bytes removed.
size_t mg_iobuf_del(struct mg_iobuf *io, size_t ofs, size_t len);

// Zeroes and frees the memory of a buffer. The struct can be reused.
void mg_iobuf_free(struct mg_iobuf *io);

// Initialises an empty buffer with a capacity of at least `size` bytes, rounded up to a multiple of `align` (0: not rounded).
// Does not free what `*io` held before. Returns false if out of memory.
bool mg_iobuf_init(struct mg_iobuf *io, size_t size, size_t align);

// Sets the capacity to `new_size` bytes, rounded up to a multiple of `io->align`. Newly allocated memory is zeroed. Data beyond
// the new capacity is cut off. 0 frees the memory. Returns false if out of memory; the buffer is then unchanged.
bool mg_iobuf_resize(struct mg_iobuf *io, size_t new_size);

// Finds the value at `path`, such as `$.users[0].name`, which must not be NULL. Returns its offset in `json` and stores its
// length in `*toklen`, which may be NULL. Strings include their quotes, objects and arrays their brackets. On failure stores 0
// in `*toklen` and returns MG_JSON_NOT_FOUND, MG_JSON_INVALID if `path` or the text before the value is malformed, or
// MG_JSON_TOO_DEEP if it is nested more than 30 levels deep. Does not check the text after the value. Names are compared without
// decoding escapes. May be called from any thread, like all mg_json_* functions.
int mg_json_get(struct mg_str json, const char *path, int *toklen);

// Decodes the base64 string at `path` and NUL-terminates the result. Free it with mg_free. Stores the number of bytes in `*len`,
// which may be NULL; malformed base64 yields 0 bytes. Returns NULL and leaves `*len` unchanged if there is no string or if out
// of memory.
char *mg_json_get_b64(struct mg_str json, const char *path, int *len);

// Stores the boolean at `path` in `*v`, which may be NULL. Returns false and leaves `*v` unchanged if there is no boolean.
bool mg_json_get_bool(struct mg_str json, const char *path, bool *v);

// Decodes the hexadecimal string at `path`, two digits per byte, and NUL-terminates the result. Free it with mg_free. Stores the
// number of bytes in `*len`, which may be NULL. Returns NULL and leaves `*len` unchanged if there is no such string or if out of
// memory.
char *mg_json_get_hex(struct mg_str json, const char *path, int *len);

// Returns the number at `path`, truncated to an integer, or `dflt` if there is no number. Exact, also with an exponent: `1.5e1`
// is 15. Numbers out of range yield the nearest `long`.
long mg_json_get_long(struct mg_str json, const char *path, long dflt);

// Stores the number at `path` in `*v`, which may be NULL. Returns false and leaves `*v` unchanged if there is no number.
bool mg_json_get_num(struct mg_str json, const char *path, double *v);

// Returns the string at `path` with its escapes decoded, `\uXXXX` to UTF-8, NUL-terminated. Free it with mg_free. Surrogate
// pairs are combined; a lone surrogate becomes U+FFFD. Returns NULL if there is no string, if none of it can be decoded, or if
// out of memory.
char *mg_json_get_str(struct mg_str json, const char *path);

// Returns the value at `path` as it appears in the text, a view of `json`; the null string if there is none.
struct mg_str mg_json_get_tok(struct mg_str json, const char *path);

// Iterates over an object or array at the start of `obj`. `ofs` is 0 for the first call, then the result of the previous call.
// Sets `*key` to the name with its quotes (the null string in an array) and `*val` to the value as it appears in the text, both
// views of `obj`; either may be NULL. Returns 0 at the end or if the text is malformed, and leaves both unchanged.
size_t mg_json_next(struct mg_str obj, size_t ofs, struct mg_str *key, struct mg_str *val);

// Decodes the escapes of the string at `path` to `to` and NUL-terminates it. Returns the length without the NUL. `\u00XX` yields
// the single byte XX; any other `\u` escape ends the text. Returns 0 if there is no such string, if it is empty, if an escape is
// malformed, or if it does not fit in `n` bytes; in the last case `to` holds a NUL-terminated prefix.
size_t mg_json_unescape(struct mg_str json, const char *path, char *to, size_t n);

// Like mg_jwt_sign_hs256, with an ECDSA signature on the curve P-256. `opts->private_key` holds 32 bytes, as written by
// mg_uecc_parse_private_key. Signatures are deterministic: equal claims yield equal tokens. Returns 0 if the library was built
// without elliptic curves. May be called from any thread.
size_t mg_jwt_sign_es256(const struct mg_jwt_opts *opts, char *buf, size_t len);

// Creates a JSON Web Token with the payload `opts->claims`, signed with HMAC-SHA-256 and the key `opts->secret`. Its header
// contains `alg`, `typ`, `kid` if not empty, and the members in `opts->header`. Writes the token and a NUL to `buf`. Returns its
// length, or 0 if the claims are empty or `buf` has no room for every part with its padding. May be called from any thread.
size_t mg_jwt_sign_hs256(const struct mg_jwt_opts *opts, char *buf, size_t len);

// Like mg_jwt_verify_hs256, for ECDSA signatures on the curve P-256. `opts->public_key` holds 64 bytes, X and Y. Returns 0 if
// the library was built without elliptic curves. May be called from any thread.
size_t mg_jwt_verify_es256(struct mg_str jwt, const struct mg_jwt_opts *opts, char *buf, size_t len);

// Verifies the HMAC-SHA-256 signature of a token with the key `opts->secret` and writes its claims and a NUL to `buf`. Returns
// their length, or 0 if the algorithm differs, the signature is wrong, the token is malformed, or `buf` is too small. Does not
// check whether the token has expired. May be called from any thread.
size_t mg_jwt_verify_hs256(struct mg_str jwt, const struct mg_jwt_opts *opts, char *buf, size_t len);

// Opens a listener on a URL such as `tcp://0.0.0.0:8000`, `http://localhost`, `udp://[::1]:53` or `:8000`. The host is a numeric
// address, `localhost`, or empty for any IPv4 address. Port 0 lets the kernel choose a port, stored in `c->loc`. `udp:` opens a
// datagram socket; `unix:PATH` or `unix:///PATH` a Unix stream socket, with permissions set by the umask and a file that is
// removed when the listener closes; any other scheme a TCP socket. Accepted connections inherit `fn` and `fn_data`. The handler
// gets MG_EV_OPEN before this function returns. Returns NULL and sets errno if the URL is malformed or the address is in use;
// the reason is logged.
struct mg_connection *mg_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Logs formatted text and CR LF, regardless of the log level. Applications use MG_INFO and similar macros, which check the
// level first. An application may define its own mg_log and mg_log_prefix; the library then uses them.
extern void mg_log(const char *fmt, ...);

// Logs the 40-character prefix of a message: time, level `ll`, base name of `file`, `line`, and function name `fname`. An
// application may define its own mg_log and mg_log_prefix; the library then uses them.
extern void mg_log_prefix(int ll, const char *file, int line, const char *fname);

// Redirects log output to `fn(character, param)`, called once per byte. NULL restores output to stdout.
void mg_log_set_fn(mg_pfn_t fn, void *param);

// Matches the whole of `str` against a glob pattern. `?` matches one character, `*` any number of characters except `/`, `#` any
// number of characters; everything else matches itself. May be called from any thread.
//
// On a match, `caps`, unless NULL, receives the text matched by each wildcard, in pattern order, as views of `str`. Adjacent `*`
// and `#` count as one wildcard. Each wildcard matches the shortest text that lets the rest of the pattern match. A null string
// is added unless the pattern ends in `*` or `#`, so `caps` needs one entry for `/user/*` and two for `/user/?`. Without a
// match, only `caps[0]` is set, to the null string.
bool mg_match(struct mg_str str, struct mg_str pattern, struct mg_str *caps);

// Stores the MD5 digest, 16 bytes, and zeroes the context.
void mg_md5_final(struct mg_md5_ctx *c, uint8_t *digest);

// Starts an MD5 computation. The context is plain data and may be copied at any time. May be called from any thread.
void mg_md5_init(struct mg_md5_ctx *c);

// Adds `len` bytes to an MD5 computation. May be called repeatedly, with data of any length.
void mg_md5_update(struct mg_md5_ctx *c, const uint8_t *data, size_t len);

// Listens for mDNS queries and responses on 224.0.0.251:5353 and joins that group on the default interface. Until it closes, the
// manager resolves names in `.local` through this listener (`mgr->mdns`). `fn_data` is the host name to answer to, a C string
// without dots and without `.local`, or NULL if the handler decides; it is not copied. Queries arrive as MG_EV_MDNS_REQ
// (`struct mg_mdns_req *`), responses of other hosts as MG_EV_MDNS_RESP (`struct mg_mdns_resp *`). There may be several
// listeners. Returns NULL if the socket cannot be opened.
struct mg_connection *mg_mdns_listen(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data);

// Sends a query to the local link, through a listener created by mg_mdns_listen: one question for `name`, which must include
// `.local`, of type `rtype`, an MG_DNS_RTYPE_* value. Responses arrive as MG_EV_MDNS_RESP. Returns false if the name has empty
// labels or is too long, or if the datagram cannot be sent; the listener stays open.
bool mg_mdns_query(struct mg_connection *c, const char *name, unsigned int rtype);

// Compares `n` bytes in constant time. For secrets. Returns true if they are equal or `n` is 0. May be called from any thread.
bool mg_memeq(const void *a, const void *b, size_t n);

// Closes all connections, newest first, and frees everything the manager owns. Each connection gets a last MG_EV_POLL, then
// MG_EV_CLOSE. Discards queued output. Frees the timers created by mg_timer_add and unlinks the others. Afterwards `conns` and
// `timers` are NULL and no handler is called. Safe to call twice, on a zero-filled manager, and from a handler. NULL is a no-op.
void mg_mgr_free(struct mg_mgr *mgr);

// Initialises a manager: zero-fills the struct, without freeing anything it held, creates the poller (`epoll_fd`), sets the
// default name servers and timeouts, and makes the process ignore SIGPIPE. Set `userdata`, `extraconnsize` and the resolver's
// members afterwards. If the poller cannot be created, the error is logged, mgx_mgr_ok returns false, and every mg_listen and
// mg_connect returns NULL. Free the manager with mg_mgr_free.
void mg_mgr_init(struct mg_mgr *mgr);

// Runs one iteration of the event loop: waits for I/O, runs expired timers, and services every connection, newest first. Each
// connection gets MG_EV_POLL with the time in milliseconds (`uint64_t *`), then the events that are due. Waits at most `ms`
// milliseconds; 0 does not wait, a negative value sets no limit. A timer, deadline, signal or mg_wakeup ends the wait early. If
// mg_mgr_init failed or mg_mgr_free was called, it only waits, one second for a negative `ms`.
void mg_mgr_poll(struct mg_mgr *mgr, int ms);

// Returns milliseconds since boot, from a monotonic clock. May be called from any thread. An application may define its own;
// the library then uses it.
extern uint64_t mg_millis(void);

// Opens a Modbus TCP listener on a URL such as `tcp://0.0.0.0:502`; the port is required. `fn` gets MG_EV_MODBUS_REQ with a
// `struct mg_modbus_req *` for every well-formed request. It reads the `len` values in `u.bits` or `u.regs` of a write request,
// fills in those of a read request, or sets `error` to an MG_MODBUS_ERR_* value; the response is sent when it returns. The
// library owns the values: the handler may lower `len` but not replace the pointers (exception 4). The library itself responds
// to unsupported functions, bad lengths or counts, and addresses above 65535. Malformed input raises MG_EV_ERROR `invalid pdu`
// and closes the connection. Returns NULL if the address is malformed or in use, and for `udp:` URLs.
struct mg_connection *mg_modbus_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Formats text into allocated memory. Free it with mg_free. Returns NULL if the text is empty or if out of memory. See
// mg_xprintf for the format.
extern char *mg_mprintf(const char *fmt, ...);

// Opens an MQTT client connection, see mg_connect, and queues a CONNECT packet, see mg_mqtt_login. `opts` may be NULL. The
// default ports are 1883 for `mqtt:` and 8883 for `mqtts:`. Packets queued right after this call follow the CONNECT.
//
// MG_EV_MQTT_OPEN reports the return code of the broker as an `int *`: 0 means accepted, otherwise the connection closes.
// Messages arrive as MG_EV_MQTT_MSG and all packets as MG_EV_MQTT_CMD, with a `struct mg_mqtt_message *` that is valid during
// the call. Messages with QoS 1 and 2 are acknowledged before MG_EV_MQTT_MSG. If `keepalive` is set, a PINGREQ is sent after
// three quarters of it without traffic, and a broker silent for one and a half times as long raises MG_EV_ERROR. Retransmission,
// and subscribing again after a reconnect, are up to the application.
//
// Returns NULL if the URL is empty or if out of memory. Other failures raise MG_EV_ERROR.
struct mg_connection *mg_mqtt_connect(struct mg_mgr *mgr,
                                      const char *url,
                                      const struct mg_mqtt_opts *opts,
                                      mg_event_handler_t fn,
                                      void *fn_data);

// Queues a DISCONNECT packet, with `props` for MQTT 5. `opts` may be NULL. To close the connection after the packet is sent, set
// `c->is_draining`.
void mg_mqtt_disconnect(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Opens an MQTT listener; see mg_listen for URLs. Its connections get MG_EV_MQTT_CMD for every packet, and MG_EV_MQTT_MSG before
// it for published messages. Messages with QoS 1 and 2 are acknowledged. The application responds to CONNECT, SUBSCRIBE,
// UNSUBSCRIBE and PINGREQ with mg_mqtt_send_header and mg_send, or mg_mqtt_pong. `c->is_mqtt5` is set if the client uses MQTT 5.
// Returns NULL on failure.
struct mg_connection *mg_mqtt_listen(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Queues a CONNECT packet; mg_mqtt_connect calls it. `opts` may be NULL. `version` 5 selects MQTT 5 and sets `c->is_mqtt5`. An
// empty `client_id` is replaced by a random one. `topic` and `message` are the will, `qos` and `retain` its flags. Raises
// MG_EV_ERROR and queues nothing if a string exceeds 65535 bytes or a property is unknown.
void mg_mqtt_login(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Iterates over the MQTT 5 properties of a PUBLISH packet. `ofs` is 0 for the first call, then the result of the previous call.
// Fills in `*prop`; its strings point into the packet. Returns 0 at the end or if the rest is malformed.
size_t mg_mqtt_next_prop(struct mg_mqtt_message *msg, struct mg_mqtt_prop *prop, size_t ofs);

// Parses the MQTT packet at the start of `buf`. `version` is 4 or 5. Returns MQTT_OK, MQTT_INCOMPLETE or MQTT_MALFORMED. Zeroes
// `*m` first; its strings point into `buf`. The next packet starts at offset `m->dgram.len`. May be called from any thread.
int mg_mqtt_parse(const uint8_t *buf, size_t len, uint8_t version, struct mg_mqtt_message *m);

// Queues a PINGREQ packet.
void mg_mqtt_ping(struct mg_connection *c);

// Queues a PINGRESP packet, the response to PINGREQ.
void mg_mqtt_pong(struct mg_connection *c);

// Queues a PUBLISH packet with `topic`, `message`, `qos`, `retain` and, for MQTT 5, `props`. With QoS 1 and 2, `retransmit_id` 0
// assigns the next packet id of the manager; another value retransmits the message with that id and the DUP flag. Other members
// are ignored. Returns the packet id, which PUBACK and PUBCOMP carry as `id`; for QoS 0, `retransmit_id`. If a string exceeds
// 65535 bytes or a property is unknown, raises MG_EV_ERROR, queues nothing and returns 0.
uint16_t mg_mqtt_pub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Queues the fixed header of an MQTT packet: type, flags, and the length `len` of the rest, which the application then queues
// with mg_send. Raises MG_EV_ERROR if `len` exceeds 268435455.
void mg_mqtt_send_header(struct mg_connection *c, uint8_t cmd, uint8_t flags, uint32_t len);

// Queues a SUBSCRIBE packet with `topic`, `qos` and, for MQTT 5, `props`. Other members are ignored. Its packet id is
// `mgr->mqtt_id` after the call. The response arrives as MG_EV_MQTT_CMD with MQTT_CMD_SUBACK. Raises MG_EV_ERROR and queues
// nothing if a string exceeds 65535 bytes or a property is unknown.
void mg_mqtt_sub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Queues an UNSUBSCRIBE packet with `topic` and, for MQTT 5, `props`. Other members are ignored. Its packet id is `mgr->mqtt_id`
// after the call. Raises MG_EV_ERROR and queues nothing if a string exceeds 65535 bytes or a property is unknown.
void mg_mqtt_unsub(struct mg_connection *c, const struct mg_mqtt_opts *opts);

// Copies a `struct mg_addr` saved at `from`, which need not be aligned, back to `c->rem`, so that a UDP connection sends to the
// multicast group again.
void mg_multicast_restore(struct mg_connection *c, uint8_t *from);

// Returns the wall-clock time in milliseconds since 1970, once SNTP has set it: `mg_millis()` plus `mg_boot_timestamp_ms`, which
// is 0 until then. May be called from any thread.
uint64_t mg_now(void);

// Converts a 32-bit integer between network and host byte order. May be called from any thread.
uint32_t mg_ntohl(uint32_t net);

// Converts a 64-bit integer between network and host byte order. May be called from any thread.
uint64_t mg_ntohll(uint64_t net);

// Converts a 16-bit integer between network and host byte order. May be called from any thread.
uint16_t mg_ntohs(uint16_t net);

// Opens the listening socket for `url` and stores it in `c`; called by mg_listen. Returns false if the address is malformed or
// in use; the reason is logged.
bool mg_open_listener(struct mg_connection *c, const char *url);

// Begins a firmware update of `new_firmware_size` bytes. The library's own mg_ota_begin, mg_ota_write and mg_ota_end accept
// everything and store nothing; an application may define all three, and the library then uses them.
extern bool mg_ota_begin(size_t new_firmware_size);

// Writes the device id, sent with update checks, to `buf` of `len` bytes. The library's own id is `0`; an application may
// define its own function, and the library then uses it.
extern void mg_ota_device_id(char *buf, size_t len);

// Ends a firmware update, also after a failure. See mg_ota_begin.
extern bool mg_ota_end(void);

// Aborts a firmware update check that has timed out. mg_mgr_poll calls it.
void mg_ota_poll(struct mg_mgr *mgr);

// Checks for a firmware update. `metadata_url` (at most 255 characters, copied) must return JSON: `{"version": "...", "url":
// "...", "size": N}`. If the version differs from the running one (see mgx_ota_set_version), downloads the image from `url` and
// passes it to mg_ota_begin, mg_ota_write and mg_ota_end; mg_ota_end must verify the image. Calls `fn` once, possibly before
// this function returns: with NULL after mg_ota_end returned true, otherwise with a message such as `Same version`, valid during
// the call. If `fn` is NULL, failures are logged. Only one check can run at a time per process. https requires a CA; see
// mgx_ota_set_ca.
void mg_ota_url_check(struct mg_mgr *mgr, const char *metadata_url, void (*fn)(const char *error_message));

// Writes the next `len` bytes of a firmware update. See mg_ota_begin.
extern bool mg_ota_write(const void *buf, size_t len);

// Returns true if a path cannot leave the directory it is relative to: it does not begin with `~`, no component begins with
// `..`, and it contains no NUL. Both `/` and `\` separate components. A path that is empty or begins with a NUL is sane. May be
// called from any thread.
bool mg_path_is_sane(struct mg_str path);

// Output callback for mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param`, which grows as needed, and keeps a NUL after
// the data. Drops the character if out of memory.
void mg_pfn_iobuf(char ch, void *param);

// Output callback for mg_xprintf: appends `ch` to the `struct mg_iobuf` at `param` without growing it, and keeps a NUL after the
// data. The first character that does not fit is replaced by a NUL in the last byte, which counts as data; the others are
// dropped.
void mg_pfn_iobuf_noresize(char ch, void *param);

// Output callback for mg_xprintf: writes `c` to stdout. `param` is unused.
void mg_pfn_stdout(char c, void *_param);

#if defined(MGX_TCPIP)
// Resets the PHY at `addr` and logs its type. `config` takes MG_PHY_* bits, which have no effect: the library does not configure
// clocks and LEDs.
void mg_phy_init(struct mg_phy *phy, uint8_t addr, uint8_t config);
#endif

#if defined(MGX_TCPIP)
// Returns true if the PHY at `addr` has a link, and then stores its duplex mode and MG_PHY_SPEED_* value unless a pointer is NULL.
bool mg_phy_up(struct mg_phy *phy, uint8_t addr, bool *full_duplex, uint8_t *speed);
#endif

// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints padded base64.
size_t mg_print_base64(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints the text escaped for a JSON string, without quotes.
// Stops at a NUL; length 0 means no other limit. Prints nothing for NULL.
size_t mg_print_esc(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `void *` data. Prints two lowercase hex digits per byte.
size_t mg_print_hex(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Arguments: `int` length, `char *` text. Prints the text with `&`, `<`, `>` and `"` as HTML
// entities.
size_t mg_print_html_esc(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: pointer to the eight bytes of an IEEE 64-bit address. Prints eight pairs of hex digits
// separated by colons.
size_t mg_print_ieee64(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints the IP address: `1.2.3.4` or `[1:2:3:4:5:6:7:8]`.
size_t mg_print_ip(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: pointer to the four bytes of an IPv4 address in network byte order.
size_t mg_print_ip4(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: pointer to the 16 bytes of an IPv6 address. Prints it in brackets.
size_t mg_print_ip6(mg_pfn_t fn, void *arg, va_list *ap);

// Printer for `%M` and `%m`. Argument: `struct mg_addr *`. Prints IP address and port: `1.2.3.4:80` or `[1:2:3:4:5:6:7:8]:80`.
size_t mg_print_ip_port(mg_pfn_t fn, void *arg, va_list *ap);

#if defined(MGX_TCPIP)
// Printer for `%M` and `%m`. Arguments: `int l2type`, `uint8_t *addr`. Prints MAC addresses like mg_print_mac, other types not at all.
size_t mg_print_l2addr(mg_pfn_t fn,
                       void *arg,
                       va_list *ap);
#endif

// Printer for `%M` and `%m`. Argument: pointer to the six bytes of a MAC address. Prints `xx:xx:xx:xx:xx:xx`.
size_t mg_print_mac(mg_pfn_t fn, void *arg, va_list *ap);

// Queues formatted text for sending on `c`. Returns its length. If out of memory, raises MG_EV_ERROR, queues nothing and
// returns 0. A UDP connection sends everything queued as one datagram in the next poll. See mg_xprintf for the format.
extern size_t mg_printf(struct mg_connection *c, const char *fmt, ...);

// Publishes a message to the reader: `len` bytes, not 0, written to the space that mg_queue_book returned. Call it only from the
// writer.
void mg_queue_add(struct mg_queue *q, size_t len);

// Reserves contiguous space for a message of `len` bytes and, if `buf` is not NULL, stores its address in `*buf`. Returns the
// size of the space; less than `len` means that the queue is full, and nothing may be written. Each message takes four
// additional bytes. Call it only from the writer.
size_t mg_queue_book(struct mg_queue *q, char **buf, size_t len);

// Removes the oldest message. `len` is its length, as returned by mg_queue_next. Call it only from the reader.
void mg_queue_del(struct mg_queue *q, size_t len);

// Initialises an empty queue in `size` bytes at `buf`, which the caller owns and keeps alive. Call it before other threads use
// the queue.
void mg_queue_init(struct mg_queue *q, char *buf, size_t size);

// Returns the length of the oldest message, 0 if the queue is empty, and stores its address in `*buf`, which may be NULL. The
// message stays until mg_queue_del. Call it only from the reader.
size_t mg_queue_next(struct mg_queue *q, char **buf);

// Formats a message into a queue. Returns its length, or 0 if the text is empty or does not fit; then nothing is added. A
// NUL follows the message in memory and takes one more byte. The arguments are read twice, so printers for `%M` run twice.
// Call it only from the writer. See mg_xprintf for the format.
extern size_t mg_queue_printf(struct mg_queue *q, const char *fmt, ...);

// Fills `buf` with `len` cryptographically secure random bytes from the operating system. Returns false, with zeros in
// `buf`, if none are available. May be called from any thread. An application may define its own; the library then uses it.
extern bool mg_random(void *buf, size_t len);

// Fills `buf` with `len - 1` random letters and digits and a NUL. Writes nothing if `len` is 0. Returns `buf`; if mg_random
// fails, returns NULL and makes `buf` an empty string.
char *mg_random_str(char *buf, size_t len);

// Resolves the host of a URL and stores address and port in `c->rem`; called by mg_connect. Numeric hosts, `localhost` and names
// in /etc/hosts resolve at once; others are looked up through a DNS server, or `mgr->mdns` for `.local` names, with
// `c->is_resolving` set meanwhile. Then raises MG_EV_RESOLVE, and connects if the connection has no socket. Raises MG_EV_ERROR
// and closes the connection on failure. Cancels an earlier lookup of `c`.
void mg_resolve(struct mg_connection *c, const char *url);

// Cancels the pending lookup of a connection: neither MG_EV_RESOLVE nor an error will follow. Closing a connection does this.
void mg_resolve_cancel(struct mg_connection *c);

// Adds a JSON-RPC handler for the methods that match `method_pattern` (see mg_match) to the front of the list `*head`, initially
// NULL. Copies the pattern. The handler finds `handler_data` in `r->rpc->fn_data`. Does nothing if out of memory.
void mg_rpc_add(struct mg_rpc **head, struct mg_str method_pattern, void (*handler)(struct mg_rpc_req*), void *handler_data);

// Removes the entries with this handler from the list and frees them; NULL removes all. A handler may remove itself.
void mg_rpc_del(struct mg_rpc **head, void (*handler)(struct mg_rpc_req*));

// Prints the JSON-RPC response `{"id":..,"error":{"code":..,"message":..}}` from a method handler. The formatted text is the
// message as JSON (use `%m` for a string); `fmt` NULL means `null`. If the request has no id, neither has the response. See
// mg_xprintf for the format.
extern void mg_rpc_err(struct mg_rpc_req *r, int code, const char *fmt, ...);

// JSON-RPC method handler that responds with an array of the method patterns in the list.
void mg_rpc_list(struct mg_rpc_req *r);

// Prints the JSON-RPC response `{"id":..,"result":..}` from a method handler. The formatted text is the result as JSON;
// `fmt` NULL means `null`. Prints nothing if the request has no id. See mg_xprintf for the format.
extern void mg_rpc_ok(struct mg_rpc_req *r, const char *fmt, ...);

// Calls the first handler in the list `*r->head` that matches the method of the JSON-RPC request `r->frame`. A frame with a
// result or error and no method goes to the handler of the empty method name. Prints an error response if there is no handler or
// the frame is invalid. Responses are written to `r->pfn(character, r->pfn_data)`.
void mg_rpc_process(struct mg_rpc_req *r);

// Like mg_rpc_err, with the arguments in `*ap`.
void mg_rpc_verr(struct mg_rpc_req *r, int code, const char *fmt, va_list *ap);

// Like mg_rpc_ok, with the arguments in `*ap`.
void mg_rpc_vok(struct mg_rpc_req *r, const char *fmt, va_list *ap);

// Queues `len` bytes for sending. The data is sent after the handlers of the current event return. Returns false if out of
// memory. On a UDP connection, sends one datagram to `c->rem` at once, raising MG_EV_WRITE; false means that it was not sent.
// `buf` may be NULL if `len` is 0.
bool mg_send(struct mg_connection *c, const void *buf, size_t len);

// Stores the SHA-1 digest, 20 bytes, and zeroes the context.
void mg_sha1_final(uint8_t *digest, struct mg_sha1_ctx *c);

// Starts a SHA-1 computation. The context is plain data and may be copied at any time. May be called from any thread.
void mg_sha1_init(struct mg_sha1_ctx *c);

// Adds `len` bytes to a SHA-1 computation. May be called repeatedly, with data of any length.
void mg_sha1_update(struct mg_sha1_ctx *c, const uint8_t *data, size_t len);

// Stores the SHA-256 digest, 32 bytes, of `datasz` bytes at `data` in `dst`. `data` is not modified and may be NULL if `datasz`
// is 0. May be called from any thread.
void mg_sha256(uint8_t *dst, uint8_t *data, size_t datasz);

// Stores the SHA-256 digest, 32 bytes. Initialise the context again before reusing it.
void mg_sha256_final(uint8_t *digest, struct mg_sha256_ctx *c);

// Starts a SHA-256 computation. The context is plain data and may be copied at any time. May be called from any thread.
void mg_sha256_init(struct mg_sha256_ctx *c);

// Adds `len` bytes to a SHA-256 computation. May be called repeatedly, with data of any length.
void mg_sha256_update(struct mg_sha256_ctx *c, const uint8_t *data, size_t len);

// Stores the SHA-384 digest, 48 bytes, of `datasz` bytes at `data` in `dst`. `data` is not modified and may be NULL if `datasz`
// is 0. May be called from any thread.
void mg_sha384(uint8_t *dst, uint8_t *data, size_t datasz);

// Stores the SHA-384 digest, 48 bytes. Initialise the context again before reusing it.
void mg_sha384_final(uint8_t *digest, struct mg_sha384_ctx *c);

// Starts a SHA-384 computation. The context is plain data and may be copied at any time. May be called from any thread.
void mg_sha384_init(struct mg_sha384_ctx *c);

// Adds `len` bytes to a SHA-384 computation. May be called repeatedly, with data of any length.
void mg_sha384_update(struct mg_sha384_ctx *c, const uint8_t *data, size_t len);

// Formats text into `buf`, truncated to `len` - 1 characters and NUL-terminated. Returns the length of the whole text. `buf`
// may be NULL if `len` is 0. See mg_xprintf for the format.
extern size_t mg_snprintf(char *buf, size_t len, const char *fmt, ...);

// Requests the time from the SNTP server `url`, such as `udp://pool.ntp.org:123`; the port is required. NULL selects a public
// server. The response sets `mg_boot_timestamp_ms`, which mg_now uses, and `fn` gets MG_EV_SNTP_TIME with a `uint64_t *`,
// milliseconds since 1970; then the connection closes. It also closes, without MG_EV_ERROR, if the server reports that it is not
// synchronised, or after 3 seconds without a response. Ignores messages from other senders and those that do not echo the random
// number of the request. Returns NULL in the same cases as mg_connect.
struct mg_connection *mg_sntp_connect(struct mg_mgr *mgr, const char *url, mg_event_handler_t fn, void *fn_data);

// Parses an SNTP server message of `len` bytes. Sets `mg_boot_timestamp_ms` and returns milliseconds since 1970, or returns -1
// and sets nothing if the message is shorter than 48 bytes or not from a server. Does not check the sender or match the message
// to a request; mg_sntp_connect does.
int64_t mg_sntp_parse(const uint8_t *buf, size_t len);

// Sends an SNTP request to `c->rem`; mg_sntp_connect calls it. Does nothing until the server's address is resolved.
void mg_sntp_request(struct mg_connection *c);

// Splits `s` at the first `sep`: `*a` is the part before it and `*b` the part after it. Without `sep`, `*a` is all of `s` and
// `*b` is empty. Returns false and leaves both unchanged if `s` is empty. `a` and `b` may be NULL, or point to the caller's `s`:
// `while (mg_span(s, &part, &s, ','))` iterates over a list. May be called from any thread.
bool mg_span(struct mg_str s, struct mg_str *a, struct mg_str *b, char sep);

// Returns a view of the `n` bytes at `s`. May be called from any thread.
struct mg_str mg_str_n(const char *s, size_t n);

// Returns a view of the NUL-terminated string `s`; the null string if `s` is NULL. Applications write `mg_str(s)`. May be called
// from any thread.
struct mg_str mg_str_s(const char *s);

// Parses an unsigned number into the integer of `val_len` bytes (1, 2, 4 or 8) at `val`. `base` is 2, 10 or 16; 0 means that a
// prefix selects it: `0b` binary, `0x` hexadecimal, otherwise decimal, at least two characters. Returns false and leaves `*val`
// unchanged if `str` is not such a number or the number does not fit. May be called from any thread.
bool mg_str_to_num(struct mg_str str, int base, void *val, size_t val_len);

// Like mg_strcmp, ignoring ASCII case. May be called from any thread.
int mg_strcasecmp(struct mg_str str1, struct mg_str str2);

// Compares two strings byte by byte. Returns -1, 0 or 1. A prefix sorts before the longer string. May be called from any thread.
int mg_strcmp(struct mg_str str1, struct mg_str str2);

// Returns a NUL-terminated copy of `s`; the null string if `s` is empty or if out of memory. Free `.buf` with mg_free. May be
// called from any thread.
struct mg_str mg_strdup(struct mg_str s);

#if defined(MGX_TCPIP)
// Sends an ARP request for the IPv4 address `ip`; the answer arrives as MG_TCPIP_EV_ARP. `mac` is the target hardware address of the
// request; NULL for zeros.
void mg_tcpip_arp_request(struct mg_tcpip_if *ifp,
                          uint32_t ip,
                          uint8_t *mac);
#endif

#if defined(MGX_TCPIP)
// Detaches the interface and frees what mg_tcpip_init allocated. mg_mgr_free calls it, so applications need not.
void mg_tcpip_free(struct mg_tcpip_if *ifp);
#endif

#if defined(MGX_TCPIP)
// Attaches a network interface to the manager. Call it once, after mg_mgr_init and before opening connections; interface, driver and
// driver data must outlive the manager. Zeros in `ifp` select defaults: a random MAC address, the name `mip`, an address from DHCP.
// Calls `driver->init`. Sends nothing and raises no event. On failure the reason is logged and `mgr->ifp` is NULL.
void mg_tcpip_init(struct mg_mgr *mgr,
                   struct mg_tcpip_if *ifp);
#endif

#if defined(MGX_TCPIP)
// Puts a received frame into `ifp->recv_queue`, or drops and counts it if the queue is full. The only function here that interrupt
// handlers may call.
void mg_tcpip_qwrite(void *buf, size_t len, struct mg_tcpip_if *ifp);
#endif

// Converts a UTC date and time to seconds since 1970. `month` is 1 to 12, `day` 1 to 31. Returns 0 for years before 1970. May be
// called from any thread.
uint64_t mg_timegm(unsigned int year, unsigned int month, unsigned int day, unsigned int hour, unsigned int min, unsigned int sec);

// Creates a timer polled by mg_mgr_poll; see mg_timer_init. The manager owns it: it is freed after its call, or with the manager
// if it repeats. Returns NULL if out of memory, or if another thread keeps the manager busy.
struct mg_timer *mg_timer_add(struct mg_mgr *mgr, uint64_t milliseconds, unsigned int flags, void (*fn)(void*), void *arg);

// A timer without a callback: returns true once every `period` milliseconds. `*expiration` is the next expiry time, initially 0;
// the first call only starts the timer, unless `period` is 0. If the clock goes back, the timer restarts.
bool mg_timer_expired(uint64_t *expiration, uint64_t period, uint64_t now);

// Removes a timer from the list `*head`; does nothing if it is not in the list. Frees no memory. A timer callback may remove its
// own or another timer, whose memory may then be freed.
void mg_timer_free(struct mg_timer **head, struct mg_timer *timer);

// Initialises `*timer` and adds it to the front of the list `*head`. `fn(arg)` is called `milliseconds` after the first
// mg_timer_poll that sees the timer: once for MG_TIMER_ONCE, periodically for MG_TIMER_REPEAT. With MG_TIMER_RUN_NOW the first
// call comes in that poll. The caller owns the struct, which must stay valid until mg_timer_free and must not be in a list
// already. mg_mgr_poll polls the list `&mgr->timers`.
void mg_timer_init(struct mg_timer **head,
                   struct mg_timer *timer,
                   uint64_t milliseconds,
                   unsigned int flags,
                   void (*fn)(void*),
                   void *arg);

// Calls the callbacks of all timers in the list `*head` that are due at time `new_ms`, in milliseconds. A timer that missed
// several periods runs once. Timers added meanwhile wait for the next poll. Frees finished timers created by mg_timer_add.
void mg_timer_poll(struct mg_timer **head, uint64_t new_ms);

// Does nothing: mg_mgr_free frees the TLS state.
void mg_tls_ctx_free(struct mg_mgr *mgr);

// Does nothing: mg_mgr_init initialises TLS.
void mg_tls_ctx_init(struct mg_mgr *mgr);

// Sends ciphertext that the socket did not accept at once. mg_mgr_poll calls it.
void mg_tls_flush(struct mg_connection *c);

// Frees the TLS state of a connection and sets `c->tls` to NULL. No effect without TLS. A connection that has started TLS does
// not return to clear text: it is closed unless mg_tls_init follows. mg_mgr_poll frees the state of connections it closes.
void mg_tls_free(struct mg_connection *c);

// Sends pending handshake data. mg_mgr_poll runs the handshake, so there is no need to call this.
void mg_tls_handshake(struct mg_connection *c);

// Starts TLS on a connection, as a client if `c->is_client`, otherwise as a server. The options may be freed after the call.
// Call it in MG_EV_ACCEPT and MG_EV_CONNECT, or for a client at any time after mg_connect. Later it upgrades a connection in
// use (STARTTLS): output already in `c->send` is sent in clear text first, and clear-text input never counts as protected. The
// handshake runs automatically; `c->is_tls_hs` is 1 until MG_EV_TLS_HS. On a listener it only checks the options: each accepted
// connection needs its own call. Raises MG_EV_ERROR for invalid options and failures, with the text `OOM` if memory is short or
// above `max_memory` of struct mgx_limits.
void mg_tls_init(struct mg_connection *c, const struct mg_tls_opts *opts);

// Returns the number of decrypted bytes not yet delivered because `c->recv` has no room. 0 without TLS.
size_t mg_tls_pending(struct mg_connection *c);

// Decrypts up to `len` bytes from `c->rtls` to `buf`. Returns the number of bytes, MG_IO_WAIT if more ciphertext is needed, or
// MG_IO_ERR after a failure or when the peer has ended the session. mg_mgr_poll calls it for `c->recv`.
long mg_tls_recv(struct mg_connection *c, void *buf, size_t len);

// Encrypts and sends data, bypassing `c->send`. Returns the number of bytes accepted, at most 64 KiB per call; MG_IO_WAIT before
// the end of the handshake or if the socket is blocked; MG_IO_ERR on failure. The library sends accepted data that the socket
// does not take at once. mg_mgr_poll calls it for `c->send`.
long mg_tls_send(struct mg_connection *c, const void *buf, size_t len);

#if defined(MGX_DECLARE_UECC)
// Computes the public key (2n bytes: X, Y) of a private key (n bytes, big-endian). Returns 1, or 0 if the key is not valid on
// the curve.
int mg_uecc_compute_public_key(const uint8_t *private_key, uint8_t *public_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns the size n of a private key in bytes: 32 for P-256, 48 for P-384.
int mg_uecc_curve_private_key_size(MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns the size 2n of a public key in bytes: 64 for P-256, 96 for P-384.
int mg_uecc_curve_public_key_size(MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Generates a key pair with random numbers from mg_random: a public key of 2n bytes (X, Y), a private key of n bytes. Returns 1,
// or 0 if mg_random fails.
int mg_uecc_make_key(uint8_t *public_key, uint8_t *private_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Extracts the P-256 private key from the content of a key file: PEM or DER, SEC1 (`EC PRIVATE KEY`) or PKCS#8 (`PRIVATE KEY`).
// Writes 32 bytes to `buf` and returns 32, or returns 0 if the key is of another type or malformed, or if `len` is less than 32.
size_t mg_uecc_parse_private_key(struct mg_str key, uint8_t *buf, size_t len);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns the curve P-256, for the mg_uecc_* functions. May be called from any thread, like all of them.
MG_UECC_Curve mg_uecc_secp256r1(void);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns the curve P-384, for the mg_uecc_* functions.
MG_UECC_Curve mg_uecc_secp384r1(void);
#endif

#if defined(MGX_DECLARE_UECC)
// Computes the shared secret of two parties (ECDH): n bytes, the X coordinate. Returns 1, or 0 if a key is not valid on the
// curve.
int mg_uecc_shared_secret(const uint8_t *public_key, const uint8_t *private_key, uint8_t *secret, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Signs a hash of `hash_size` bytes (ECDSA); only the first n bytes of a longer hash count. The signature has 2n bytes (r, s).
// Returns 1, or 0 if the key is not valid on the curve or mg_random fails.
int mg_uecc_sign(const uint8_t *private_key, const uint8_t *hash, unsigned int hash_size, uint8_t *signature, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Returns 1 if a public key (2n bytes: X, Y) is a point on the curve, otherwise 0.
int mg_uecc_valid_public_key(const uint8_t *public_key, MG_UECC_Curve curve);
#endif

#if defined(MGX_DECLARE_UECC)
// Verifies the ECDSA signature (2n bytes: r, s) of a hash. Returns 1 if it is valid, otherwise 0.
int mg_uecc_verify(const uint8_t *public_key,
                   const uint8_t *hash,
                   unsigned int hash_size,
                   const uint8_t *signature,
                   MG_UECC_Curve curve);
#endif

// Returns the content of a file in `mg_mem_files`, not copied; the null string if there is none.
struct mg_str mg_unpacked(const char *path);

// Decodes `%XX` in the `n` bytes at `s`, and `+` to a space if `form` is not 0, to a NUL-terminated string at `to`. Returns its
// length, or -1 if a `%` is not followed by two hex digits or if the result and its NUL exceed `to_len` bytes; `to` may then be
// partly written. `to` may equal `s`. May be called from any thread.
int mg_url_decode(const char *s, size_t n, char *to, size_t to_len, int form);

// Percent-encodes the `n` bytes at `s` to a NUL-terminated string at `buf`: letters, digits and `.` `_` `-` `~` stay, other
// bytes become `%xx`. Returns its length, or 0 if it does not fit in `len` bytes. Each character needs 5 free bytes, so `3 * n +
// 3` bytes always suffice. May be called from any thread.
size_t mg_url_encode(const char *s, size_t n, char *buf, size_t len);

// Returns the host of a URL, a view of `url`. An IPv6 address keeps its brackets. Without `//` the URL starts with the host.
// `url` must not be NULL. May be called from any thread.
struct mg_str mg_url_host(const char *url);

// Returns true if the scheme of a URL requires TLS: `https`, `wss`, `mqtts`, `ssl`, `tls` or `tcps`, ignoring case. `url` must
// not be NULL. May be called from any thread.
bool mg_url_is_ssl(const char *url);

// Returns the password in a URL such as `http://user:password@host/`, a view of `url`; empty if there is none. `url` must not be
// NULL. May be called from any thread.
struct mg_str mg_url_pass(const char *url);

// Returns the port of a URL, the default port of its scheme (`http`, `https`, `ws`, `wss`, `mqtt`, `mqtts`), or 0. Also 0 if the
// port is not a number up to 65535. Skips white space and a plus sign before the number. `url` must not be NULL. May be called
// from any thread.
unsigned short mg_url_port(const char *url);

// Returns the path of a URL and everything after it: a pointer into `url`, or the constant "/" if there is no path. `url` must
// not be NULL. May be called from any thread.
const char *mg_url_uri(const char *url);

// Returns the user name in a URL such as `http://user:password@host/`, a view of `url`; empty if there is none. `url` must not
// be NULL. May be called from any thread.
struct mg_str mg_url_user(const char *url);

// Like mg_mprintf, with the arguments in `*ap`: formats into allocated memory. Free it with mg_free. Returns NULL if the text is
// empty or if out of memory.
char *mg_vmprintf(const char *fmt, va_list *ap);

// Like mg_printf, with the arguments in `*ap`.
size_t mg_vprintf(struct mg_connection *c, const char *fmt, va_list *ap);

// Like mg_snprintf, with the arguments in `*ap`: formats into `buf`, truncated to `len` - 1 characters and NUL-terminated.
// Returns the length of the whole text. `buf` may be NULL if `len` is 0.
size_t mg_vsnprintf(char *buf, size_t len, const char *fmt, va_list *ap);

// Like mg_xprintf, with the arguments in `*ap`, which is advanced. Returns the number of characters. `fn` NULL only counts them.
size_t mg_vxprintf(mg_pfn_t fn, void *arg, const char *fmt, va_list *ap);

// Sends a message to the connection with id `id`, which receives it as MG_EV_WAKEUP with a `struct mg_str *`. Interrupts the
// wait of mg_mgr_poll. May be called from any thread and from a signal handler. Messages are limited to 16376 bytes, the rest is
// cut off; `len` may be 0. Messages arrive in order; those for closed connections are dropped. Returns false if mg_wakeup_init
// was not called or failed, if `id` is 0, or if 64 MiB are already waiting.
bool mg_wakeup(struct mg_mgr *mgr, unsigned long id, const void *buf, size_t len);

// Prepares a manager for mg_wakeup. Adds an internal connection to `mgr->conns`. Returns true on success, false on failure or if
// called before.
bool mg_wakeup_init(struct mg_mgr *mgr);

// Starts a Wi-Fi access point with the settings in `wifi`. Always returns false: the library has no Wi-Fi driver.
bool mg_wifi_ap_start(struct mg_wifi_data *wifi);

// Stops the Wi-Fi access point. Always returns false: the library has no Wi-Fi driver.
bool mg_wifi_ap_stop(void);

// Joins the Wi-Fi network in `wifi`. Always returns false: the library has no Wi-Fi driver.
bool mg_wifi_connect(struct mg_wifi_data *wifi);

// Leaves the Wi-Fi network. Always returns false: the library has no Wi-Fi driver.
bool mg_wifi_disconnect(void);

// Starts a scan for Wi-Fi networks. Always returns false, and sends no MG_TCPIP_EV_WIFI_* event: the library has no Wi-Fi
// driver.
bool mg_wifi_scan(void);

// Creates a connection from an open stream socket and raises MG_EV_OPEN. The manager owns the descriptor on success and closes
// it with the connection; it need not be non-blocking. Returns NULL if out of memory or if the descriptor cannot be polled; the
// caller then keeps the descriptor.
struct mg_connection *mg_wrapfd(struct mg_mgr *mgr, int fd, mg_event_handler_t fn, void *fn_data);

// Opens a WebSocket client connection to a `ws://` or `wss://` URL, see mg_connect, and queues the handshake. `fmt` and its
// arguments are additional header lines, each terminated by CR LF; NULL for none. Credentials in the URL are sent as Basic
// authentication, unless these lines contain an Authorization header. When the server accepts, raises MG_EV_WS_OPEN with the
// response (`struct mg_http_message *`), then MG_EV_WS_MSG and MG_EV_WS_CTL; when it refuses, MG_EV_ERROR with its status.
// Data queued before that follows the handshake. Returns NULL in the same cases as mg_connect, and if mg_random fails.
extern struct mg_connection *mg_ws_connect(struct mg_mgr *mgr,
                                           const char *url,
                                           mg_event_handler_t fn,
                                           void *fn_data,
                                           const char *fmt,
                                           ...);

// Queues formatted text as one WebSocket frame. Returns the length of the text. See mg_ws_send for `op` and mg_xprintf for
// the format.
extern size_t mg_ws_printf(struct mg_connection *c, int op, const char *fmt, ...);

// Queues `len` bytes as one WebSocket message or control frame, masked on client connections. `op` is a WEBSOCKET_OP_* value. To
// send a message in fragments, clear the highest bit of the frame's first byte in `c->send`. Returns the number of bytes queued,
// 0 if out of memory. To close, send WEBSOCKET_OP_CLOSE with a two-byte status code or no payload, and wait for the peer's
// response, which drains the connection.
size_t mg_ws_send(struct mg_connection *c, const void *buf, size_t len, int op);

// Accepts a WebSocket handshake in MG_EV_HTTP_MSG and raises MG_EV_WS_OPEN. From then on the connection gets MG_EV_WS_MSG
// and MG_EV_WS_CTL with a `struct mg_ws_message *`. `fmt` and its arguments are additional header lines, each terminated by
// CR LF; NULL for none. Selects the first protocol offered by the client, unless these lines select one. Responds 426 and
// drains the connection if the request has no WebSocket key.
extern void mg_ws_upgrade(struct mg_connection *c, struct mg_http_message *hm, const char *fmt, ...);

// Like mg_ws_printf, with the arguments in `*ap`.
size_t mg_ws_vprintf(struct mg_connection *c, int op, const char *fmt, va_list *ap);

// Turns the last `len` bytes of `c->send` into a WebSocket frame, so that the output of other functions can be sent over a
// WebSocket. See mg_ws_send for `op`. Returns the new length of `c->send`; the length is unchanged if out of memory.
size_t mg_ws_wrap(struct mg_connection *c, size_t len, int op);

// Formats text, calling `fn(character, arg)` for each character. Returns the number of characters.
//
// `f e g F E G` (double) and `i` (integer) work as in C, with all flags, width, precision and size.
//
// Any other conversion is `%`, followed by these optional items in this order: `#` (prefix `0x`), `-` (left-justify), `0`
// (pad with zeros), a width, `.` and a precision (digits, or `*` for an `int` argument), any number of `h` (ignored), `l` or
// `ll` or `z`; then one of `d u x X` (integer, hexadecimal always in lower case), `p` (pointer), `c` (character), `s`
// (string; NULL prints nothing), `%` (a percent sign), `M` (calls the printer `mg_pm_t` passed as argument, which takes its
// own arguments), `m` (like `M`, in double quotes).
extern size_t mg_xprintf(mg_pfn_t fn, void *arg, const char *fmt, ...);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#if MG_ENABLE_TCPIP
// ---- Networking over the application's own driver.
#define MG_TCPIP_STATE_DOWN 0     // no link
#define MG_TCPIP_STATE_LINK_UP 1  // not used with Ethernet
#define MG_TCPIP_STATE_UP 2       // link, no address
#define MG_TCPIP_STATE_REQ 3      // requested the address that a DHCP server has offered
#define MG_TCPIP_STATE_IP 4       // has an address; the gateway has not answered yet
#define MG_TCPIP_STATE_READY 5    // mg_connect works

// Events of an interface, with ev_data.
enum {
  MG_TCPIP_EV_STATE_CHANGE,      // uint8_t *: the new state
  MG_TCPIP_EV_DHCP_DNS,          // uint32_t *: the DNS server from DHCP
  MG_TCPIP_EV_DHCP_SNTP,         // uint32_t *: the time server from DHCP
  MG_TCPIP_EV_ARP,               // struct mg_str *: a received ARP frame
  MG_TCPIP_EV_TIMER_1S,          // NULL: a second has passed
  MG_TCPIP_EV_WIFI_SCAN_RESULT,  // these four are for drivers
  MG_TCPIP_EV_WIFI_SCAN_END,
  MG_TCPIP_EV_WIFI_CONNECT_ERR,
  MG_TCPIP_EV_DRIVER,
  MG_TCPIP_EV_STATE6_CHANGE,     // uint8_t *: the new state of IPv6
  MG_TCPIP_EV_USER               // first event number for applications
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

// A network driver. Its functions must not call the library, except for mg_tcpip_qwrite and mg_queue_*.
struct mg_tcpip_driver {
  bool (*init)(struct mg_tcpip_if *);                         // false: failure; may be NULL
  size_t (*tx)(const void *, size_t, struct mg_tcpip_if *);   // length: sent; 0: busy; (size_t) -1: failure
  size_t (*rx)(void *buf, size_t len, struct mg_tcpip_if *);  // length of one frame, 0: none; NULL: frames arrive by mg_tcpip_qwrite
  bool (*poll)(struct mg_tcpip_if *, bool);                   // link state, if the argument is true: once a second; NULL: always up
};

// A network interface. Zero-initialise it, set members as needed, and call mg_tcpip_init. Addresses are in network byte order.
struct mg_tcpip_if {
  uint8_t mac[8];              // the first 6; zeros: a random one
  uint32_t ip, mask, gw;       // ip 0: from a DHCP server
  struct mg_str tx;            // internal: buffer for outgoing frames
  bool enable_dhcp_client;     // set by mg_tcpip_init when ip is 0
  bool enable_dhcp_server;     // assigns one client the address after the interface's
  bool enable_get_gateway;     // that client becomes the gateway
  bool enable_req_dns;         // ask DHCP for a DNS server
  bool enable_req_sntp;        // ask DHCP for a time server
  bool enable_fcs_check;       // received frames end with an FCS, which is checked
  bool enable_mac_check;       // drop frames for other addresses, and multicast
  bool update_mac_hash_table;  // a group was joined; the driver clears it
  bool is_ip_changed;
  struct mg_tcpip_driver *driver;
  void *driver_data;               // free for the driver
  mg_tcpip_event_handler_t pfn;    // of the driver, called before fn
  mg_tcpip_event_handler_t fn;     // gets the events
  struct mg_mgr *mgr;              // set by mg_tcpip_init
  struct mg_queue recv_queue;      // size 0: 8192 for a driver without rx
  char dhcp_name[MG_TCPIP_DHCPNAME_SIZE];
  uint16_t mtu;                    // may be lowered after mg_tcpip_init
  uint16_t framesize;
  uint16_t l2mtu;
#if MG_ENABLE_IPV6
  uint64_t ip6ll[2], ip6[2];       // link-local, global; zeros: derived from the MAC address and from router advertisements
  uint8_t prefix[8];
  uint8_t prefix_len;
  uint64_t gw6[2];
  bool enable_slaac;
  bool enable_dhcp6_client;        // no effect
  bool is_ip6_changed;
#endif
  uint8_t gwmac[8];                // of the gateway, when gw_ready
  enum mg_l2type l2type;
  union mg_l2data l2data;
  char *dns4_url;                  // the DNS server from DHCP
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

// For mg_mem_files. Defined by the application if it has embedded files.
extern const struct mg_mem_file mg_packed_files[];

// Names shared between source files of an application. Defined by the application, never by the library.
extern struct mg_mgr g_mgr;
void mg_dash_init(struct mg_mgr *mgr);
void mg_dash_poll(struct mg_mgr *mgr);
void mg_mqtt_init(struct mg_mgr *mgr);
void mg_mqtt_poll(struct mg_mgr *mgr);

// Sizes other than those of the library.
#if MG_MAX_HTTP_HEADERS != 30
extern int mgx_http_parse(const char *s, size_t len, struct mg_http_message *hm, size_t max_headers);
static inline int mgx_http_parse_as_compiled(const char *s, size_t len, struct mg_http_message *hm) {
  return mgx_http_parse(s, len, hm, MG_MAX_HTTP_HEADERS);
}
#define mg_http_parse mgx_http_parse_as_compiled
#endif
#if MG_DATA_SIZE > 32 || MG_MAX_HTTP_HEADERS != 30
#define MGX_SIZES
extern void mgx_mgr_sizes(struct mg_mgr *mgr, size_t conn_size, size_t data_offset, size_t max_http_headers);
#endif

// Settings made with -D or in mongoose_config.h, applied by mg_mgr_init.
#if defined(MGX_SET_MAX_RECV_SIZE) || defined(MGX_SET_IO_SIZE) || defined(MGX_SET_LISTEN_BACKLOG) || \
    defined(MGX_SET_HTTP_INDEX) || defined(MG_TLS_SSLKEYLOGFILE) || \
    MG_IPV6_V6ONLY || !MG_ENABLE_DIRLIST || !MG_ENABLE_LOG
#define MGX_SETTINGS
#endif

#if defined(MGX_SETTINGS) || defined(MGX_SIZES) || MGX_COMPAT_7 < 714
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
  bool no_fsync;            // do not wait until files are on disk; process-wide, the last call wins
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
#ifdef MGX_SIZES
  mgx_mgr_sizes(mgr, sizeof(struct mg_connection), offsetof(struct mg_connection, data), MG_MAX_HTTP_HEADERS);
#endif
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

// ---- Compatibility with earlier 7.x versions, selected by MGX_COMPAT_7: functions that were removed or had other arguments. See
// docs/migrating.md. Where the number of arguments identifies the version, both forms work.
#if MGX_COMPAT_7 < 722

#define MGX_JOIN(a, b) MGX_JOIN_(a, b)
#define MGX_JOIN_(a, b) a##b
#define MGX_SEVENTH(a, b, c, d, e, f, g, ...) g
#define MGX_COUNT(...) MGX_SEVENTH(__VA_ARGS__, 6, 5, 4, 3, 2, 1, 0)
#define MGX_BY_COUNT(name, ...) MGX_JOIN(name, MGX_COUNT(__VA_ARGS__))(__VA_ARGS__)

// Defined in every file that includes this; the linker merges the definitions into one variable.
#ifdef _WIN32
#define MGX_ONE_OF_ALL __declspec(selectany)
#else
#define MGX_ONE_OF_ALL __attribute__((weak))
#endif

#ifdef __cplusplus
extern "C" {
#endif

// ---- before 7.15
#if MGX_COMPAT_7 < 715
// Defined by files of the older generator, and served by mg_fs_packed. The library's own definitions are empty.
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

// Next entry of a SUBSCRIBE packet, or of an UNSUBSCRIBE packet if qos is NULL. Start with position 4; 0 means the end.
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

// ---- any: mg_http_upload(c, hm, dir), mg_http_upload(c, hm, fs, dir), with the file name in `name` or `file`, without a limit.
// Returns the number of bytes in the request, or a negative value on failure.
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

// ---- any: mg_json_unescape(text, to, size), for a string without its quotes
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

// Marks the chunk as consumed. The message then ends with an empty chunk instead of MG_EV_HTTP_MSG.
static inline void mg_http_delete_chunk(struct mg_connection *c, struct mg_http_message *hm) {
  (void) hm;
  mgx_http_delete_chunk(c);
}

// A pipe to a connection: data written to the descriptor arrives as MG_EV_READ.
#ifdef _WIN32
static inline int mg_mkpipe(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data, bool udp) {
  SOCKET l = socket(AF_INET, SOCK_STREAM, 0), to = socket(AF_INET, SOCK_STREAM, 0), from = INVALID_SOCKET;
  struct sockaddr_in sin;
  int len = sizeof(sin);
  (void) udp;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = MG_IPV4(127, 0, 0, 1);
  if (bind(l, (struct sockaddr *) &sin, len) == 0 && listen(l, 1) == 0 && getsockname(l, (struct sockaddr *) &sin, &len) == 0 &&
      connect(to, (struct sockaddr *) &sin, len) == 0) {
    from = accept(l, NULL, NULL);
  }
  closesocket(l);
  if (from != INVALID_SOCKET && mg_wrapfd(mgr, (int) from, fn, fn_data) != NULL) return (int) to;
  closesocket(from);
  closesocket(to);
  return -1;
}
#else
static inline int mg_mkpipe(struct mg_mgr *mgr, mg_event_handler_t fn, void *fn_data, bool udp) {
  int fd[2];
  (void) udp;
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, fd) != 0) return -1;
  if (mg_wrapfd(mgr, fd[1], fn, fn_data) != NULL) return fd[0];
  close(fd[0]);
  close(fd[1]);
  return -1;
}
#endif

// Stores the size of the file in `*size`. Free the result with mg_free.
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
  // PEM text or a file name.
  const char *ca;
  const char *crl;      // ignored
  const char *cert;
  const char *certkey;
  const char *ciphers;  // ignored
#else
  struct mg_str ca;
  struct mg_str crl;    // ignored
  struct mg_str cert;
  struct mg_str certkey;
  struct mg_str ciphers;  // ignored
  struct mg_str key;
  struct mg_str name;
#endif
  struct mg_str srvname;
  struct mg_fs *fs;
  struct mg_str client_ca;  // for servers: CA of the clients
  struct mg_str server_ca;  // for clients: CA of the server
  struct mg_str srvcert;
  struct mg_str srvkey;
  struct mg_str server_cert;
  struct mg_str server_key;
  struct mg_str client_cert;
  struct mg_str client_key;
};

// Options passed to mg_tls_ctx_init.
struct mgx_older_tls {
  struct mgx_older_tls *next;
  struct mg_mgr *mgr;
  struct mg_tls_opts role[2];  // server, client
};
MGX_ONE_OF_ALL struct mgx_older_tls *mgx_older_tls_list = NULL;

#if MGX_COMPAT_7 < 710
// Returns a copy. Free it with mg_free.
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

MGX_ONE_OF_ALL struct mg_timer *mgx_older_timers = NULL;

static inline void mgx_older_mgr_poll(struct mg_mgr *mgr, int ms) {
  uint64_t now = mg_millis();
  struct mg_timer *t;
  mg_timer_poll(&mgx_older_timers, now);
  for (t = mgx_older_timers; t != NULL; t = t->next) {
    uint64_t left = t->expire > now ? t->expire - now : 0;
    // A finished timer does not limit the wait.
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
