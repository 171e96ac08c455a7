// A web server on its own TCP/IP stack, over a TAP device: what a microcontroller does over Ethernet, on Linux.
//
// It needs a library built with the feature `tcpip`, and permission to open /dev/net/tun:
//
//   cargo build --release --features tcpip
//   cc -Iinclude -DMG_ENABLE_TCPIP=1 examples-c/tap-driver.c -Ltarget/release -lmongoose -o tap-driver
//   ip tuntap add dev tap0 mode tap && ip addr add 192.168.77.1/24 dev tap0 && ip link set tap0 up
//   ./tap-driver tap0 192.168.77.2 & curl http://192.168.77.2/
//
// Without an address it uses DHCP. `loss` and `seed` make the driver drop, duplicate and reorder frames, for tests.
//
//   tap-driver DEVICE [ip=A] [mask=A] [gw=A] [mac=M] [dir=D] [get=URL] [mqtt=URL] [cert=F key=F] [loss=PERCENT] [seed=N]

#define MG_ENABLE_TCPIP 1
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include "mongoose.h"

struct tap {
  int fd;
  const char *name;
  unsigned loss;                 // percentage of disturbed frames, in each direction
  uint32_t seed;
  uint8_t late[2][2048];         // a frame to deliver after the next one, in each direction
  size_t late_len[2];
};

static unsigned chance(struct tap *tap) {
  tap->seed ^= tap->seed << 13, tap->seed ^= tap->seed >> 17, tap->seed ^= tap->seed << 5;
  return tap->seed % 100;
}

static bool tap_init(struct mg_tcpip_if *ifp) {
  struct tap *tap = (struct tap *) ifp->driver_data;
  struct ifreq ifr;
  memset(&ifr, 0, sizeof(ifr));
  strncpy(ifr.ifr_name, tap->name, sizeof(ifr.ifr_name) - 1);
  ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
  tap->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  return tap->fd >= 0 && ioctl(tap->fd, TUNSETIFF, &ifr) == 0;
}

static size_t put(struct tap *tap, const void *buf, size_t len) {
  return write(tap->fd, buf, len) == (ssize_t) len ? len : 0;
}

static size_t tap_tx(const void *buf, size_t len, struct mg_tcpip_if *ifp) {
  struct tap *tap = (struct tap *) ifp->driver_data;
  if (tap->loss > 0) {
    size_t late = tap->late_len[1];
    if (chance(tap) < tap->loss) return len;                   // lost
    if (late == 0 && chance(tap) < tap->loss) {                // swapped with the next one
      memcpy(tap->late[1], buf, len);
      tap->late_len[1] = len;
      return len;
    }
    if (chance(tap) < tap->loss) (void) put(tap, buf, len);     // duplicated
    if (late > 0) {
      size_t n = put(tap, buf, len);
      (void) put(tap, tap->late[1], late);
      tap->late_len[1] = 0;
      return n;
    }
  }
  return put(tap, buf, len);
}

static size_t tap_rx(void *buf, size_t len, struct mg_tcpip_if *ifp) {
  struct tap *tap = (struct tap *) ifp->driver_data;
  ssize_t n = read(tap->fd, buf, len);
  if (n <= 0) {
    // The application is idle: sleep here for a moment, or execute `wfi` on a microcontroller.
    struct pollfd pfd = {tap->fd, POLLIN, 0};
    if (tap->late_len[0] > 0) {
      n = (ssize_t) tap->late_len[0];
      memcpy(buf, tap->late[0], (size_t) n);
      tap->late_len[0] = 0;
      return (size_t) n;
    }
    (void) poll(&pfd, 1, 1);
    return 0;
  }
  if (tap->loss > 0) {
    if (chance(tap) < tap->loss) return 0;
    if (tap->late_len[0] == 0 && chance(tap) < tap->loss) {
      memcpy(tap->late[0], buf, (size_t) n);
      tap->late_len[0] = (size_t) n;
      return 0;
    }
  }
  return (size_t) n;
}

static bool tap_poll(struct mg_tcpip_if *ifp, bool s1) {
  (void) ifp;
  return s1;  // always up
}

static const char *s_url;   // fetched once the network is up
static const char *s_mqtt;  // a broker that sends a message back
static char s_sntp[40];     // the time server named by DHCP

static void on_mqtt(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_mqtt_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str("tap");
  opts.qos = 1;
  if (ev == MG_EV_MQTT_OPEN) {
    mg_mqtt_sub(c, &opts);
    opts.message = mg_str("there and back");
    mg_mqtt_pub(c, &opts);
  } else if (ev == MG_EV_MQTT_MSG) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    printf("message: %.*s\n", (int) mm->data.len, mm->data.buf);
    fflush(stdout);
  }
}

static void on_time(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_SNTP_TIME) {
    printf("time: %llu\n", (unsigned long long) (*(uint64_t *) ev_data / 1000));
    fflush(stdout);
  }
  (void) c;
}

static void fetch(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT) {
    struct mg_str host = mg_url_host(s_url);
    mg_printf(c, "GET %s HTTP/1.0\r\nHost: %.*s\r\n\r\n", mg_url_uri(s_url), (int) host.len, host.buf);
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    printf("fetched: %.*s\n", (int) hm->body.len, hm->body.buf);
    fflush(stdout);
  } else if (ev == MG_EV_ERROR) {
    printf("error: %s\n", (char *) ev_data);
    fflush(stdout);
  }
}

static void on_net(struct mg_tcpip_if *ifp, int ev, void *ev_data) {
  if (ev == MG_TCPIP_EV_STATE_CHANGE && *(uint8_t *) ev_data == MG_TCPIP_STATE_READY) {
    MG_INFO(("READY, IP: %M", mg_print_ip4, &ifp->ip));
    if (s_url != NULL) mg_http_connect(ifp->mgr, s_url, fetch, NULL);
    if (s_mqtt != NULL) {
      struct mg_mqtt_opts opts;
      memset(&opts, 0, sizeof(opts));
      opts.clean = true;
      mg_mqtt_connect(ifp->mgr, s_mqtt, &opts, on_mqtt, NULL);
    }
    if (s_sntp[0] != '\0') mg_sntp_connect(ifp->mgr, s_sntp, on_time, NULL);
  } else if (ev == MG_TCPIP_EV_DHCP_SNTP) {
    mg_snprintf(s_sntp, sizeof(s_sntp), "udp://%M:123", mg_print_ip4, ev_data);
    MG_INFO(("time server: %s", s_sntp));
  }
}

// State of an upload, in c->data.
struct sink {
  uint64_t left;
  uint32_t crc;
};

static struct mg_tls_opts s_tls;

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_ACCEPT && c->is_tls) mg_tls_init(c, &s_tls);
  if (ev == MG_EV_HTTP_HDRS) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/sink"), NULL)) {
      // A body of any length: computes its CRC and discards it.
      struct sink *sink = (struct sink *) c->data;
      sink->left = (uint64_t) hm->body.len, sink->crc = 0;
      (void) mg_iobuf_del(&c->recv, 0, hm->head.len);
      c->pfn = NULL;
      ev = MG_EV_READ;
    }
  }
  if (ev == MG_EV_READ && c->pfn == NULL) {
    struct sink *sink = (struct sink *) c->data;
    sink->crc = mg_crc32(sink->crc, (const char *) c->recv.buf, c->recv.len);
    sink->left -= c->recv.len < sink->left ? c->recv.len : sink->left;
    c->recv.len = 0;
    if (sink->left == 0) {
      mg_printf(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n%08x\n", sink->crc);
      c->is_draining = 1;
    }
  } else if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/files/#"), NULL)) {
      struct mg_http_serve_opts opts;
      memset(&opts, 0, sizeof(opts));
      opts.root_dir = (const char *) c->fn_data;
      hm->uri.buf += 6, hm->uri.len -= 6;
      mg_http_serve_dir(c, hm, &opts);
    } else if (mg_match(hm->uri, mg_str("/ws"), NULL)) {
      mg_ws_upgrade(c, hm, NULL);
    } else {
      mg_http_reply(c, 200, "", "%.*s %M\n", (int) hm->uri.len, hm->uri.buf, mg_print_ip_port, &c->rem);
    }
  } else if (ev == MG_EV_WS_MSG) {
    struct mg_ws_message *wm = (struct mg_ws_message *) ev_data;
    mg_ws_send(c, wm->data.buf, wm->data.len, WEBSOCKET_OP_TEXT);
  }
}

static void udp_echo(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_READ) {
    mg_send(c, c->recv.buf, c->recv.len);
    c->recv.len = 0;
  }
  (void) ev_data;
}

static uint32_t address(const char *text) {
  struct mg_addr a;
  memset(&a, 0, sizeof(a));
  if (!mg_aton(mg_str(text), &a)) {
    fprintf(stderr, "%s is no address\n", text);
    exit(1);
  }
  return a.addr.ip4;
}

int main(int argc, char *argv[]) {
  static struct tap tap;
  static struct mg_tcpip_driver driver = {tap_init, tap_tx, tap_rx, tap_poll};
  static struct mg_tcpip_if mif;
  struct mg_mgr mgr;
  const char *dir = ".";

  tap.name = argc > 1 ? argv[1] : "tap0";
  tap.seed = 1;
  mif.driver = &driver;
  mif.driver_data = &tap;
  mif.fn = on_net;
  for (int i = 2; i < argc; i++) {
    const char *value = strchr(argv[i], '=');
    value = value == NULL ? argv[i] : value + 1;
    if (strncmp(argv[i], "mask=", 5) == 0) mif.mask = address(value);
    else if (strncmp(argv[i], "gw=", 3) == 0) mif.gw = address(value);
    else if (strncmp(argv[i], "dir=", 4) == 0) dir = value;
    else if (strncmp(argv[i], "get=", 4) == 0) s_url = value;
    else if (strncmp(argv[i], "cert=", 5) == 0) s_tls.cert = mg_file_read(&mg_fs_posix, value);
    else if (strncmp(argv[i], "key=", 4) == 0) s_tls.key = mg_file_read(&mg_fs_posix, value);
    else if (strncmp(argv[i], "mqtt=", 5) == 0) s_mqtt = value;
    else if (strncmp(argv[i], "mac=", 4) == 0) {
      unsigned m[6] = {0};
      if (sscanf(value, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6) return 1;
      for (int j = 0; j < 6; j++) mif.mac[j] = (uint8_t) m[j];
    } else if (strncmp(argv[i], "loss=", 5) == 0) tap.loss = (unsigned) atoi(value);
    else if (strncmp(argv[i], "seed=", 5) == 0) tap.seed = (uint32_t) atoi(value) | 1;
    else mif.ip = address(value);
  }
  if (mif.ip != 0 && mif.mask == 0) mif.mask = MG_IPV4(255, 255, 255, 0);
  mif.enable_req_dns = mif.enable_req_sntp = true;

  mg_mgr_init(&mgr);
  mg_tcpip_init(&mgr, &mif);
  if (mgr.ifp == NULL) return 1;
  mg_http_listen(&mgr, "http://0.0.0.0:80", handler, (void *) dir);
  if (s_tls.cert.len > 0) mg_http_listen(&mgr, "https://0.0.0.0:443", handler, (void *) dir);
#if MG_ENABLE_IPV6
  mg_http_listen(&mgr, "http://[::]:80", handler, (void *) dir);
#endif
  mg_listen(&mgr, "udp://0.0.0.0:7", udp_echo, NULL);
  for (;;) mg_mgr_poll(&mgr, 0);
}
