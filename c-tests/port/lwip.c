// lwIP inside a test program: started before main, with the address 127.0.0.1, and with LWIP_TAP=ADDRESS on the TAP device that
// PRECONFIGURED_TAPIF names.

#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lwip/netif.h"
#include "lwip/sockets.h"
#include "lwip/tcpip.h"
#include "netif/tapif.h"

#define LWIP_FIRST 100000

static err_t loop_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to) {
  (void) to;
  return netif_loop_output(netif, p);
}

static err_t loop_init(struct netif *netif) {
  netif->name[0] = 'l', netif->name[1] = 'o';
  netif->output = loop_output;
  netif->mtu = 1500;
  return ERR_OK;
}

static void add(struct netif *netif, const char *ip, const char *mask, netif_init_fn init) {
  ip4_addr_t address, bits, gateway;
  if (!ip4addr_aton(ip, &address) || !ip4addr_aton(mask, &bits)) abort();
  ip4_addr_set_any(&gateway);
  if (netif_add(netif, &address, &bits, &gateway, NULL, init, tcpip_input) == NULL) abort();
  netif_set_link_up(netif);
  netif_set_up(netif);
}

static void begin(void *started) {
  static struct netif loop, tap;
  const char *ip = getenv("LWIP_TAP");
  add(&loop, "127.0.0.1", "255.0.0.0", loop_init);
  if (ip != NULL) {
    add(&tap, ip, "255.255.255.0", tapif_init);
    netif_set_default(&tap);
  } else {
    netif_set_default(&loop);
  }
  sys_sem_signal((sys_sem_t *) started);
}

__attribute__((constructor)) static void start(void) {
  sys_sem_t started;
  if (sys_sem_new(&started, 0) != ERR_OK) abort();
  tcpip_init(begin, &started);
  sys_arch_sem_wait(&started, 0);
  sys_sem_free(&started);
}

// ---- Calls of tests that may be for a socket of lwIP or for a descriptor: see lwip.h

int lwip_tests_number(int sock) {
  return sock < 0 ? sock : sock + LWIP_FIRST;
}

int lwip_tests_fcntl(int fd, int call, ...) {
  va_list ap;
  int value;
  va_start(ap, call);
  value = va_arg(ap, int);
  va_end(ap);
  if (fd < LWIP_FIRST) return fcntl(fd, call, value);
  return call == F_GETFL || call == F_SETFL ? lwip_fcntl(fd - LWIP_FIRST, call, value & O_NONBLOCK) : 0;
}

int lwip_tests_close(int fd) {
  return fd < LWIP_FIRST ? close(fd) : lwip_close(fd - LWIP_FIRST);
}

ssize_t lwip_tests_read(int fd, void *buf, size_t len) {
  return fd < LWIP_FIRST ? read(fd, buf, len) : lwip_read(fd - LWIP_FIRST, buf, len);
}

ssize_t lwip_tests_write(int fd, const void *buf, size_t len) {
  return fd < LWIP_FIRST ? write(fd, buf, len) : lwip_write(fd - LWIP_FIRST, buf, len);
}

int lwip_tests_poll(struct pollfd *fds, nfds_t n, int ms) {
  int ready;
  if (n == 0 || fds[0].fd < LWIP_FIRST) return poll(fds, n, ms);
  for (nfds_t i = 0; i < n; i++) fds[i].fd -= LWIP_FIRST;
  ready = lwip_poll(fds, n, ms);
  for (nfds_t i = 0; i < n; i++) fds[i].fd += LWIP_FIRST;
  return ready;
}
