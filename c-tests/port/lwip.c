// lwIP inside a test program: started before main, with the address 127.0.0.1, and with LWIP_TAP=ADDRESS on the device tap0, too.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lwip/etharp.h"
#include "lwip/netif.h"
#include "lwip/sockets.h"
#include "lwip/tcpip.h"
#include "netif/ethernet.h"

#define LWIP_FIRST 100000

struct lwip_sock *lwip_socket_dbg_get_socket(int sock);

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

// ---- A TAP device

static int tap_fd;

static err_t tap_output(struct netif *netif, struct pbuf *p) {
  char frame[2048];
  u16_t n = pbuf_copy_partial(p, frame, sizeof(frame), 0);
  (void) netif;
  return write(tap_fd, frame, n) == n ? ERR_OK : ERR_IF;
}

static void *tap_input(void *arg) {
  struct netif *netif = (struct netif *) arg;
  char frame[2048];
  ssize_t n;
  while ((n = read(tap_fd, frame, sizeof(frame))) > 0) {
    struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t) n, PBUF_RAM);
    if (p == NULL) continue;
    pbuf_take(p, frame, (u16_t) n);
    if (netif->input(p, netif) != ERR_OK) pbuf_free(p);
  }
  return NULL;
}

static err_t tap_init(struct netif *netif) {
  struct ifreq device;
  memset(&device, 0, sizeof(device));
  strcpy(device.ifr_name, "tap0");
  device.ifr_flags = IFF_TAP | IFF_NO_PI;
  tap_fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (tap_fd < 0 || ioctl(tap_fd, TUNSETIFF, &device) != 0) return ERR_IF;
  netif->name[0] = 't', netif->name[1] = 'p';
  netif->output = etharp_output;
  netif->linkoutput = tap_output;
  netif->mtu = 1500;
  netif->hwaddr_len = 6;
  memcpy(netif->hwaddr, "\2\0\0\0\x77\2", 6);
  netif->flags |= NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET;
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
    pthread_t thread;
    add(&tap, ip, "255.255.255.0", tap_init);
    netif_set_default(&tap);
    if (pthread_create(&thread, NULL, tap_input, &tap) != 0) abort();
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

// ---- Calls of tests, for a socket of lwIP or for a descriptor: see lwip.h. Over the system's loopback what is sent has arrived when
// the call returns, and tests rely on it.

static void signal_it(void *done) {
  sys_sem_signal((sys_sem_t *) done);
}

// Waits until lwIP's thread has nothing more to do: a packet may cause others.
static void settle(void) {
  sys_sem_t done;
  if (sys_sem_new(&done, 0) != ERR_OK) abort();
  for (int i = 0; i < 4; i++) {
    while (tcpip_callback(signal_it, &done) != ERR_OK) usleep(100);
    sys_arch_sem_wait(&done, 0);
  }
  sys_sem_free(&done);
}

// lwIP tells of the end of a stream once, other systems each time, unless a reset has followed.
#define SOCKETS 10000
static char ended[SOCKETS];

ssize_t lwip_tests_recv(int sock, void *buf, size_t len, int flags) {
  ssize_t n;
  settle();
  n = lwip_recv(sock, buf, len, flags);
  if (n == 0 && sock < SOCKETS) ended[sock] = 1;
  if (n < 0 && errno == ENOTCONN && sock < SOCKETS && ended[sock]) {
    socklen_t size = sizeof(errno);
    if (lwip_getsockopt(sock, SOL_SOCKET, SO_ERROR, &errno, &size) == 0 && errno == 0) return 0;
  }
  return n;
}

// What /proc/self/fd has, and the sockets of lwIP.
static int counted = SOCKETS;

DIR *lwip_tests_opendir(const char *name) {
  counted = strcmp(name, "/proc/self/fd") == 0 ? 0 : SOCKETS;
  return opendir(name);
}

struct dirent *lwip_tests_readdir(DIR *dir) {
  static struct dirent some;
  struct dirent *entry = readdir(dir);
  if (entry != NULL) return entry;
  while (counted < SOCKETS) {
    if (lwip_socket_dbg_get_socket(counted++) != NULL) return &some;
  }
  return NULL;
}

// What the library's port calls for lwip_poll: tests poll some times, and expect that what was sent has arrived then.
int lwip_tests_port_poll(struct pollfd *fds, nfds_t n, int ms) {
  settle();
  return lwip_poll(fds, n, ms);
}

// After a call that sends.
long lwip_tests_sent(long result) {
  int failure = errno;
  settle();
  errno = failure;
  return result;
}

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
  if (fd >= LWIP_FIRST && fd - LWIP_FIRST < SOCKETS) ended[fd - LWIP_FIRST] = 0;
  return fd < LWIP_FIRST ? close(fd) : (int) lwip_tests_sent(lwip_close(fd - LWIP_FIRST));
}

ssize_t lwip_tests_read(int fd, void *buf, size_t len) {
  return fd < LWIP_FIRST ? read(fd, buf, len) : lwip_tests_recv(fd - LWIP_FIRST, buf, len, 0);
}

ssize_t lwip_tests_write(int fd, const void *buf, size_t len) {
  return fd < LWIP_FIRST ? write(fd, buf, len) : lwip_tests_sent(lwip_write(fd - LWIP_FIRST, buf, len));
}

int lwip_tests_poll(struct pollfd *fds, nfds_t n, int ms) {
  int ready;
  if (n == 0 || fds[0].fd < LWIP_FIRST) return poll(fds, n, ms);
  for (nfds_t i = 0; i < n; i++) fds[i].fd -= LWIP_FIRST;
  settle();
  ready = lwip_poll(fds, n, ms);
  for (nfds_t i = 0; i < n; i++) fds[i].fd += LWIP_FIRST;
  return ready;
}
