// The functions of mongoose_port.h over BSD sockets. Tested over Linux, with poll and with select, and over lwIP 2.1 on Linux.
//
// Compile it with the SDK of the firmware. Settings, by -D:
//   MGX_PORT_LWIP=1     the sockets of lwIP, by the names that they always have (lwip_socket). 1 for ESP-IDF and Pico SDK
//   MGX_PORT_SELECT=1   waits with select, not with poll. 1 for an lwIP without poll
//   MGX_PORT_FEW=n      up to n sockets, waiting needs no heap memory, but 8 * n bytes of stack. 64
//
// The doorbell is a UDP socket that sends to itself, so the stack must have the address 127.0.0.1. With lwIP that is LWIP_NETIF_LOOPBACK=1
// and LWIP_HAVE_LOOPIF=1, or an interface of the program's own. Other settings of lwIP: SO_REUSE=1 and LWIP_SO_LINGER=1, for
// MGX_PORT_REUSE_ADDR and MGX_PORT_ABORT, and MEMP_NUM_NETCONN sockets, of which the library needs one.

#if !defined(_GNU_SOURCE) && defined(__linux__)
#define _GNU_SOURCE  // for SOCK_CLOEXEC with -std=c99
#endif

#include "mongoose_port.h"

#ifndef MGX_PORT_LWIP
#if defined(ESP_PLATFORM) || defined(PICO_BOARD)
#define MGX_PORT_LWIP 1
#else
#define MGX_PORT_LWIP 0
#endif
#endif

#include <stdlib.h>
#include <string.h>

#if MGX_PORT_LWIP
#include "lwip/errno.h"
#include "lwip/opt.h"
#include "lwip/sockets.h"
#define SOCKETS(call) lwip_##call
#if !LWIP_NETIF_LOOPBACK
#error LWIP_NETIF_LOOPBACK: 1 is needed for the doorbell
#endif
#if LWIP_IPV6
#define HAS_IPV6
#endif
#if !defined(MGX_PORT_SELECT) && !(defined(LWIP_SOCKET_POLL) && LWIP_SOCKET_POLL)
#define MGX_PORT_SELECT 1
#endif

#elif defined(__ZEPHYR__)
#include <errno.h>
#include <zephyr/kernel.h>
#include <zephyr/net/socket.h>
#define SOCKETS(call) zsock_##call
#ifdef CONFIG_NET_IPV6
#define HAS_IPV6
#endif
#ifndef O_NONBLOCK
#define O_NONBLOCK ZVFS_O_NONBLOCK
#endif

#else
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>
#define SOCKETS(call) call
#define HAS_IPV6
#endif

// Threads.
#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <time.h>
#elif defined(ESP_PLATFORM)
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#elif !defined(__ZEPHYR__)
#include "FreeRTOS.h"
#include "task.h"
#endif

#ifndef MGX_PORT_SELECT
#define MGX_PORT_SELECT 0
#endif
#ifndef MGX_PORT_FEW
#define MGX_PORT_FEW 64
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif
#ifndef MSG_DONTWAIT
#define MSG_DONTWAIT 0
#endif
#ifndef MSG_MORE
#define MSG_MORE 0
#endif
// Sockets that the program gives to mg_wrapfd may be blocking ones.
#define TRANSFER (MSG_NOSIGNAL | MSG_DONTWAIT)
#if defined(SOCK_CLOEXEC) && !MGX_PORT_LWIP
#define CLOEXEC SOCK_CLOEXEC
#else
#define CLOEXEC 0
#endif

// ---- Results

static int failure(void) {
  int e = errno;
  // On some systems two of these are one number, which no switch can have twice.
  if (e == EAGAIN || e == EWOULDBLOCK || e == EINPROGRESS || e == EALREADY) return MGX_PORT_AGAIN;
  switch (e) {
    case EINVAL:
    case EBADF: return MGX_PORT_INVALID;
    case ENOMEM:
    case ENOBUFS: return MGX_PORT_NO_MEMORY;
    case EMFILE:
    case ENFILE: return MGX_PORT_TOO_MANY;
    case ENOSYS:
    case ENOPROTOOPT:
    case EPROTONOSUPPORT:
    case EAFNOSUPPORT: return MGX_PORT_UNSUPPORTED;
    case EADDRINUSE: return MGX_PORT_IN_USE;
    case EADDRNOTAVAIL: return MGX_PORT_NO_SUCH_ADDRESS;
    case ENETDOWN:
    case ENETUNREACH: return MGX_PORT_NO_NETWORK;
    case EHOSTUNREACH: return MGX_PORT_NO_HOST;
    case ECONNREFUSED: return MGX_PORT_REFUSED;
    case ECONNABORTED:
    case ECONNRESET:
    case EPIPE: return MGX_PORT_RESET;
    case ETIMEDOUT: return MGX_PORT_TIMEOUT;
    case ENOTCONN: return MGX_PORT_NOT_CONNECTED;
    case EMSGSIZE: return MGX_PORT_TOO_LONG;
    case EACCES:
    case EPERM: return MGX_PORT_DENIED;
    default: return MGX_PORT_FAILED;
  }
}

static int result(long n) {
  return n < 0 ? failure() : (int) n;
}

// Calls again what a signal has interrupted. Where there are none, the compiler leaves the loop out.
#ifdef EINTR
#define UNINTERRUPTED(n, call) \
  do {                         \
    n = (call);                \
  } while (n < 0 && errno == EINTR)
#else
#define UNINTERRUPTED(n, call) n = (call)
#endif

// ---- Addresses

union address {
  struct sockaddr any;
  struct sockaddr_in ip4;
#ifdef HAS_IPV6
  struct sockaddr_in6 ip6;
#endif
};

// The length, or 0 for a kind of address that the stack does not have.
static socklen_t to_system(union address *s, const struct mgx_port_addr *a) {
  memset(s, 0, sizeof(*s));
  if (!a->is_ip6) {
    s->ip4.sin_family = AF_INET;
    s->ip4.sin_port = htons(a->port);
    memcpy(&s->ip4.sin_addr, a->ip, 4);
    return sizeof(s->ip4);
  }
#ifdef HAS_IPV6
  s->ip6.sin6_family = AF_INET6;
  s->ip6.sin6_port = htons(a->port);
  memcpy(&s->ip6.sin6_addr, a->ip, 16);
  s->ip6.sin6_scope_id = a->scope;
  return sizeof(s->ip6);
#else
  return 0;
#endif
}

static void from_system(struct mgx_port_addr *a, const union address *s) {
  memset(a, 0, sizeof(*a));
  if (s->any.sa_family == AF_INET) {
    a->port = ntohs(s->ip4.sin_port);
    memcpy(a->ip, &s->ip4.sin_addr, 4);
  }
#ifdef HAS_IPV6
  if (s->any.sa_family == AF_INET6) {
    a->is_ip6 = 1;
    a->port = ntohs(s->ip6.sin6_port);
    memcpy(a->ip, &s->ip6.sin6_addr, 16);
    a->scope = (uint8_t) s->ip6.sin6_scope_id;
  }
#endif
}

// ---- Sockets

static int set(int sock, int level, int name, int value) {
  return result(SOCKETS(setsockopt)(sock, level, name, &value, sizeof(value)));
}

static int set_stream(int sock, int value) {
  int keepalive = set(sock, SOL_SOCKET, SO_KEEPALIVE, value);
  int nodelay = set(sock, IPPROTO_TCP, TCP_NODELAY, value);
  return nodelay < 0 ? nodelay : keepalive;
}

// A new socket, made non-blocking, or an error.
static int ready_made(int sock) {
  int flags;
  if (sock < 0) return failure();
#if MGX_PORT_SELECT
#if MGX_PORT_LWIP
  if (sock - LWIP_SOCKET_OFFSET >= (int) FD_SETSIZE) {
#else
  if (sock >= (int) FD_SETSIZE) {
#endif
    SOCKETS(close)(sock);
    return MGX_PORT_TOO_MANY;
  }
#endif
  flags = SOCKETS(fcntl)(sock, F_GETFL, 0);
  if (SOCKETS(fcntl)(sock, F_SETFL, (flags < 0 ? 0 : flags) | O_NONBLOCK) < 0) {
    int failed = failure();
    SOCKETS(close)(sock);
    return failed;
  }
#if defined(FD_CLOEXEC) && defined(F_SETFD) && !MGX_PORT_LWIP && (defined(__unix__) || defined(__APPLE__))
  fcntl(sock, F_SETFD, FD_CLOEXEC);
#endif
#ifdef SO_NOSIGPIPE
  set(sock, SOL_SOCKET, SO_NOSIGPIPE, 1);
#endif
  return sock;
}

int mgx_port_open(int ip6, int udp) {
  int type = udp ? SOCK_DGRAM : SOCK_STREAM;
#ifdef HAS_IPV6
  return ready_made(SOCKETS(socket)(ip6 ? AF_INET6 : AF_INET, type | CLOEXEC, 0));
#else
  return ip6 ? MGX_PORT_UNSUPPORTED : ready_made(SOCKETS(socket)(AF_INET, type | CLOEXEC, 0));
#endif
}

void mgx_port_close(int sock) {
  SOCKETS(close)(sock);
}

int mgx_port_set(int sock, int option, int value) {
  switch (option) {
    case MGX_PORT_STREAM: return set_stream(sock, value);
#ifdef SO_REUSEADDR
    case MGX_PORT_REUSE_ADDR: return set(sock, SOL_SOCKET, SO_REUSEADDR, value);
#endif
#ifdef SO_REUSEPORT
    case MGX_PORT_REUSE_PORT: return set(sock, SOL_SOCKET, SO_REUSEPORT, value);
#endif
#if defined(IPV6_V6ONLY) && defined(HAS_IPV6)
    case MGX_PORT_V6ONLY: return set(sock, IPPROTO_IPV6, IPV6_V6ONLY, value);
#endif
    case MGX_PORT_TOS: {
      int done = MGX_PORT_UNSUPPORTED;
#if defined(IPV6_TCLASS) && defined(HAS_IPV6)
      done = set(sock, IPPROTO_IPV6, IPV6_TCLASS, value);
#endif
#ifdef IP_TOS
      if (done < 0) done = set(sock, IPPROTO_IP, IP_TOS, value);
#endif
      return done;
    }
#ifdef IP_ADD_MEMBERSHIP
    case MGX_PORT_JOIN: {
      struct ip_mreq group;
      memset(&group, 0, sizeof(group));
      memcpy(&group.imr_multiaddr, &value, 4);
      return result(SOCKETS(setsockopt)(sock, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof(group)));
    }
#endif
#ifdef IP_MULTICAST_TTL
    case MGX_PORT_MULTICAST_TTL: {
      uint8_t ttl = (uint8_t) value;
      return result(SOCKETS(setsockopt)(sock, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)));
    }
#endif
#ifdef SO_LINGER
    case MGX_PORT_ABORT: {
      struct linger linger;
      memset(&linger, 0, sizeof(linger));
      linger.l_onoff = value;
      return result(SOCKETS(setsockopt)(sock, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    }
#endif
    default: return MGX_PORT_UNSUPPORTED;
  }
}

int mgx_port_bind(int sock, const struct mgx_port_addr *addr) {
  union address s;
  socklen_t len = to_system(&s, addr);
  return len == 0 ? MGX_PORT_UNSUPPORTED : result(SOCKETS(bind)(sock, &s.any, len));
}

int mgx_port_listen(int sock, int backlog) {
  return result(SOCKETS(listen)(sock, backlog));
}

int mgx_port_accept(int sock, struct mgx_port_addr *peer) {
  union address s;
  socklen_t len;
  int fresh;
  do {
    len = sizeof(s);
    UNINTERRUPTED(fresh, SOCKETS(accept)(sock, &s.any, &len));
  } while (fresh < 0 && errno == ECONNABORTED);
  fresh = ready_made(fresh);
  if (fresh >= 0) {
    from_system(peer, &s);
    // Not all stacks give new sockets what their listener has.
    set_stream(fresh, 1);
  }
  return fresh;
}

int mgx_port_connect(int sock, const struct mgx_port_addr *addr) {
  union address s;
  socklen_t len = to_system(&s, addr);
  int n;
  if (len == 0) return MGX_PORT_UNSUPPORTED;
  UNINTERRUPTED(n, SOCKETS(connect)(sock, &s.any, len));
  return result(n);
}

int mgx_port_send(int sock, const void *buf, size_t len, int more) {
  long n;
  UNINTERRUPTED(n, (long) SOCKETS(send)(sock, buf, len, TRANSFER | (more ? MSG_MORE : 0)));
  return result(n);
}

int mgx_port_recv(int sock, void *buf, size_t len) {
  long n;
  UNINTERRUPTED(n, (long) SOCKETS(recv)(sock, buf, len, MSG_DONTWAIT));
  return result(n);
}

int mgx_port_send_to(int sock, const void *buf, size_t len, const struct mgx_port_addr *to) {
  union address s;
  socklen_t size = to_system(&s, to);
  long n;
  if (size == 0) return MGX_PORT_UNSUPPORTED;
  UNINTERRUPTED(n, (long) SOCKETS(sendto)(sock, buf, len, TRANSFER, &s.any, size));
  return result(n);
}

int mgx_port_recv_from(int sock, void *buf, size_t len, struct mgx_port_addr *from) {
  union address s;
  socklen_t size;
  long n;
  memset(&s, 0, sizeof(s));
  size = sizeof(s);
  UNINTERRUPTED(n, (long) SOCKETS(recvfrom)(sock, buf, len, MSG_DONTWAIT, &s.any, &size));
  from_system(from, &s);
  // lwIP says how long the datagram is, not how much of it is there.
  return result(n > (long) len ? (long) len : n);
}

int mgx_port_shutdown(int sock) {
  return result(SOCKETS(shutdown)(sock, SHUT_WR));
}

int mgx_port_local(int sock, struct mgx_port_addr *addr) {
  union address s;
  socklen_t len = sizeof(s);
  int n = SOCKETS(getsockname)(sock, &s.any, &len);
  if (n == 0) from_system(addr, &s);
  return result(n);
}

int mgx_port_peer(int sock, struct mgx_port_addr *addr) {
  union address s;
  socklen_t len = sizeof(s);
  int n = SOCKETS(getpeername)(sock, &s.any, &len);
  if (n == 0) from_system(addr, &s);
  return result(n);
}

int mgx_port_error(int sock) {
  int e = 0;
  socklen_t len = sizeof(e);
  if (SOCKETS(getsockopt)(sock, SOL_SOCKET, SO_ERROR, &e, &len) != 0) return failure();
  if (e == 0) return 0;
  errno = e;
  return failure();
}

int mgx_port_unsent(int sock) {
#if defined(__linux__) && !MGX_PORT_LWIP
  int n = 0;
  return ioctl(sock, TIOCOUTQ, &n) == 0 ? n : failure();
#else
  (void) sock;
  return MGX_PORT_UNSUPPORTED;
#endif
}

// ---- Waiting

#if MGX_PORT_SELECT

void mgx_port_wait(struct mgx_port_item *items, int count, int ms) {
  fd_set can_read, can_write, has_failed;
  struct timeval limit;
  int highest = -1;
  FD_ZERO(&can_read);
  FD_ZERO(&can_write);
  FD_ZERO(&has_failed);
  for (int i = 0; i < count; i++) {
    int sock = items[i].sock;
    if (items[i].want & MGX_PORT_READ) FD_SET(sock, &can_read);
    if (items[i].want & MGX_PORT_WRITE) FD_SET(sock, &can_write);
#if MGX_PORT_LWIP
    // Elsewhere this means urgent data.
    FD_SET(sock, &has_failed);
#endif
    if (sock > highest) highest = sock;
  }
  memset(&limit, 0, sizeof(limit));
  if (ms > 0) {
    limit.tv_sec = ms / 1000;
    limit.tv_usec = ms % 1000 * 1000;
  }
  if (SOCKETS(select)(highest + 1, &can_read, &can_write, &has_failed, ms < 0 ? NULL : &limit) <= 0) return;
  for (int i = 0; i < count; i++) {
    int sock = items[i].sock;
    if (FD_ISSET(sock, &can_read)) items[i].got |= MGX_PORT_READ;
    if (FD_ISSET(sock, &can_write)) items[i].got |= MGX_PORT_WRITE;
    if (FD_ISSET(sock, &has_failed)) items[i].got |= MGX_PORT_FAIL;
  }
}

#else

void mgx_port_wait(struct mgx_port_item *items, int count, int ms) {
  struct pollfd few[MGX_PORT_FEW], *all = few;
  int n = count;
  if (n > MGX_PORT_FEW) {
    all = (struct pollfd *) malloc((size_t) n * sizeof(*all));
    if (all == NULL) {
      // Those that there is room for. The others have their turn when memory is back.
      all = few;
      n = MGX_PORT_FEW;
      if (ms < 0 || ms > 10) ms = 10;
    }
  }
  memset(all, 0, (size_t) n * sizeof(*all));
  for (int i = 0; i < n; i++) {
    int want = items[i].want;
    all[i].fd = items[i].sock;
    all[i].events = (short) ((want & MGX_PORT_READ ? POLLIN : 0) | (want & MGX_PORT_WRITE ? POLLOUT : 0));
  }
  if (SOCKETS(poll)(all, (unsigned) n, ms) > 0) {
    for (int i = 0; i < n; i++) {
      int got = all[i].revents;
      if (got & POLLIN) items[i].got |= MGX_PORT_READ;
      if (got & POLLOUT) items[i].got |= MGX_PORT_WRITE;
      if (got & (POLLERR | POLLNVAL)) items[i].got |= MGX_PORT_FAIL;
      if (got & POLLHUP) items[i].got |= MGX_PORT_GONE;
    }
  }
  if (all != few) free(all);
}

#endif

int mgx_port_doorbell(void) {
  struct mgx_port_addr own;
  int failed, doorbell = mgx_port_open(0, 1);
  if (doorbell < 0) return doorbell;
  memset(&own, 0, sizeof(own));
  own.ip[0] = 127;
  own.ip[3] = 1;
  // Connected to itself, it hears nobody else.
  if ((failed = mgx_port_bind(doorbell, &own)) < 0 || (failed = mgx_port_local(doorbell, &own)) < 0 ||
      (failed = mgx_port_connect(doorbell, &own)) < 0) {
    mgx_port_close(doorbell);
    return failed;
  }
  return doorbell;
}

int mgx_port_ring(int doorbell) {
  int n = mgx_port_send(doorbell, "", 1, 0);
  return n == MGX_PORT_AGAIN ? 0 : n;
}

void mgx_port_quiet(int doorbell) {
  char byte;
  while (mgx_port_recv(doorbell, &byte, 1) >= 0) {
  }
}

// ---- Threads

#if defined(__unix__) || defined(__APPLE__)

uintptr_t mgx_port_thread(void) {
  return (uintptr_t) pthread_self();
}

void mgx_port_sleep(uint32_t ms) {
  struct timespec time;
  time.tv_sec = (time_t) (ms / 1000);
  time.tv_nsec = (long) (ms % 1000) * 1000000;
  nanosleep(&time, NULL);
}

#elif defined(__ZEPHYR__)

uintptr_t mgx_port_thread(void) {
  return (uintptr_t) k_current_get();
}

void mgx_port_sleep(uint32_t ms) {
  k_msleep((int32_t) (ms > INT32_MAX ? INT32_MAX : ms));
}

#else

uintptr_t mgx_port_thread(void) {
  return (uintptr_t) xTaskGetCurrentTaskHandle();
}

void mgx_port_sleep(uint32_t ms) {
  TickType_t ticks = ms / portTICK_PERIOD_MS;
  vTaskDelay(ticks > 0 ? ticks : 1);
}

#endif
