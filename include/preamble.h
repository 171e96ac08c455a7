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
