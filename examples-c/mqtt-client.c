// An MQTT client: prints the messages of a topic, or publishes to it. It reconnects when the connection is lost, and resends
// messages that the broker has not acknowledged.
//
// usage: mqtt-client -h
//               without -m: subscribe, and exit after -n messages (default: never)
//   -i ID       a persistent session: the broker delivers later what arrives while the client is offline
//   -5          use MQTT 5 instead of 3.1.1
//   try: mqtt-client mqtt://localhost:1883 & mqtt-client -q 1 -m hello -n 3 mqtt://localhost:1883
//   exit: 0 if COUNT was reached, 1 if the broker refused something

#include "example.h"

#define RECONNECT_MS 500
#define WINDOW 16  // messages sent and not acknowledged

static const char *const s_usage =
    "usage: mqtt-client [-t TOPIC] [-q QOS] [-m MESSAGE] [-n COUNT] [-i ID] [-u USER] [-P PASSWORD] [-k SECONDS] [-5] [-c CA] URL\n"
    "  -t TOPIC   default mqtt-client/test; may contain wildcards without -m\n"
    "  -q QOS   0, 1 or 2, default 0\n"
    "  -m MESSAGE   publish it with a number appended, -n times (default 1), and exit when the broker has acknowledged all;\n"
    "      without -m: subscribe, and exit after -n messages (default: never)\n"
    "  -i ID   a persistent session: the broker delivers later what arrives while the client is offline\n"
    "  -u USER -P PASSWORD   log in\n"
    "  -k SECONDS   keep-alive, default 30\n"
    "  -5   speak MQTT 5, otherwise 3.1.1\n"
    "  -c CA   check the broker's certificate against this authority\n"
    "  try: mqtt-client mqtt://localhost:1883 & mqtt-client -q 1 -m hello -n 3 mqtt://localhost:1883\n";

// An outgoing message. With QoS 2 the broker first stores it (PUBREC), and passes it on after PUBREL.
struct sent {
  int number;  // 0: free
  uint16_t id;
  bool taken;
};

static const char *s_url, *s_topic = "mqtt-client/test", *s_message, *s_id, *s_user, *s_pass, *s_ca;
static int s_qos, s_count = -1, s_keepalive = 30, s_version = 4;

static struct mg_connection *s_conn;  // NULL while disconnected
static bool s_ready, s_refused;
static int s_published, s_done;
static struct sent s_sent[WINDOW];
static uint8_t s_held[65536 / 8];  // bit set of the ids of QoS 2 messages that the broker has not released
static bool is_over(void) {
  return s_signal != 0 || s_refused || (s_count >= 0 && s_done >= s_count);
}

static void refused(const char *what, int code) {
  fprintf(stderr, "%s: %s: code %d\n", s_url, what, code);
  s_refused = true;
}

static void publish(struct mg_connection *c, struct sent *m) {
  char text[1024];
  struct mg_mqtt_opts opts;
  mg_snprintf(text, sizeof(text), "%s %d", s_message, m->number);
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str(s_topic);
  opts.message = mg_str(text);
  opts.qos = (uint8_t) s_qos;
  opts.retransmit_id = m->id;  // 0 the first time: a new id
  m->id = mg_mqtt_pub(c, &opts);
}

static void publish_more(struct mg_connection *c) {
  int i;
  for (i = 0; i < WINDOW && s_message != NULL && s_published < s_count && c->send.len < MG_IO_SIZE; i++) {
    if (s_sent[i].number != 0) continue;
    memset(&s_sent[i], 0, sizeof(s_sent[i]));
    s_sent[i].number = ++s_published;
    publish(c, &s_sent[i]);
    if (s_qos == 0) s_sent[i].number = 0, s_done++;
  }
}

// After a new login: resends what the broker may not have received, under the old ids.
static void publish_again(struct mg_connection *c) {
  int i;
  for (i = 0; i < WINDOW; i++) {
    if (s_sent[i].number == 0) continue;
    if (s_sent[i].taken) {
      uint16_t id = mg_htons(s_sent[i].id);
      mg_mqtt_send_header(c, MQTT_CMD_PUBREL, 2, sizeof(id));
      mg_send(c, &id, sizeof(id));
    } else {
      publish(c, &s_sent[i]);
    }
  }
}

static void subscribe(struct mg_connection *c) {
  struct mg_mqtt_opts opts;
  memset(&opts, 0, sizeof(opts));
  opts.topic = mg_str(s_topic);
  opts.qos = (uint8_t) s_qos;
  mg_mqtt_sub(c, &opts);
}

// The version 5 reason code after the packet id; a packet without one means success.
static int reason(const struct mg_mqtt_message *mm) {
  return s_version == 5 && mm->dgram.len > 4 ? (uint8_t) mm->dgram.buf[4] : 0;
}

static void on_packet(struct mg_connection *c, struct mg_mqtt_message *mm) {
  int i;
  if (mm->cmd == MQTT_CMD_CONNACK) {
    bool resumed = mm->dgram.len > 2 && mm->dgram.buf[2] & 1;
    if (!resumed) memset(s_held, 0, sizeof(s_held));
  } else if (mm->cmd == MQTT_CMD_SUBACK) {
    uint8_t code = (uint8_t) mm->dgram.buf[mm->dgram.len - 1];
    if (code >= 0x80) refused("SUBSCRIBE", code);
    else fprintf(stderr, "subscribed to %s with QoS %d\n", s_topic, code);
  } else if (mm->cmd == MQTT_CMD_PUBREL) {
    s_held[mm->id / 8] &= (uint8_t) ~(1 << mm->id % 8);
  } else if (mm->cmd == MQTT_CMD_PUBACK || mm->cmd == MQTT_CMD_PUBREC || mm->cmd == MQTT_CMD_PUBCOMP) {
    for (i = 0; i < WINDOW; i++) {
      if (s_sent[i].number == 0 || s_sent[i].id != mm->id) continue;
      if (mm->cmd != MQTT_CMD_PUBCOMP && reason(mm) >= 0x80) refused("PUBLISH", reason(mm));
      s_sent[i].taken = true;
      if (mm->cmd != MQTT_CMD_PUBREC) s_sent[i].number = 0, s_done++;
    }
    publish_more(c);
  } else if (mm->cmd == MQTT_CMD_DISCONNECT) {
    fprintf(stderr, "the broker disconnects: code %d\n", mm->dgram.len > 2 ? (uint8_t) mm->dgram.buf[2] : 0);
  }
}

static void on_message(const struct mg_mqtt_message *mm) {
  uint8_t bit = (uint8_t) (1 << mm->id % 8);
  if (is_over()) return;
  if (mm->qos == 2) {
    if (s_held[mm->id / 8] & bit) return;  // a duplicate
    s_held[mm->id / 8] |= bit;
  }
  printf("%.*s %.*s\n", (int) mm->topic.len, mm->topic.buf, (int) mm->data.len, mm->data.buf);
  s_done++;
}

static void start_tls(struct mg_connection *c) {
  struct mg_tls_opts opts;
  memset(&opts, 0, sizeof(opts));
  if (s_ca != NULL && (opts.ca = mg_file_read(&mg_fs_posix, s_ca)).buf == NULL) {
    mg_error(c, "cannot read %s", s_ca);
    return;
  }
  opts.name = mg_url_host(s_url);
  mg_tls_init(c, &opts);
  mg_free(opts.ca.buf);
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT && c->is_tls) {
    start_tls(c);
  } else if (ev == MG_EV_MQTT_OPEN) {
    int code = *(int *) ev_data;
    if (code != 0) {
      refused("CONNECT", code);
      return;
    }
    s_ready = true;
    publish_again(c);
    publish_more(c);
    if (s_message == NULL) subscribe(c);
  } else if (ev == MG_EV_MQTT_CMD) {
    on_packet(c, (struct mg_mqtt_message *) ev_data);
  } else if (ev == MG_EV_MQTT_MSG) {
    on_message((struct mg_mqtt_message *) ev_data);
  } else if (ev == MG_EV_WRITE && s_ready) {
    publish_more(c);
  } else if (ev == MG_EV_ERROR) {
    fprintf(stderr, "%s: %s\n", s_url, (char *) ev_data);
  } else if (ev == MG_EV_CLOSE && c == s_conn) {
    s_conn = NULL;
    s_ready = false;
  }
}

static void login(struct mg_mgr *mgr) {
  struct mg_mqtt_opts opts;
  struct mg_mqtt_prop expiry;
  memset(&opts, 0, sizeof(opts));
  memset(&expiry, 0, sizeof(expiry));
  opts.version = (uint8_t) s_version;
  opts.keepalive = (uint16_t) s_keepalive;  // the library pings, and raises MG_EV_ERROR if the broker is silent
  opts.client_id = mg_str(s_id);  // mg_str(NULL) is empty: a random id
  opts.user = mg_str(s_user);
  opts.pass = mg_str(s_pass);
  opts.clean = s_id == NULL;
  if (s_version == 5 && s_id != NULL) {
    expiry.id = MQTT_PROP_SESSION_EXPIRY_INTERVAL;  // otherwise the session ends with the connection
    expiry.iv = 86400;
    opts.props = &expiry;
    opts.num_props = 1;
  }
  s_conn = mg_mqtt_connect(mgr, s_url, &opts, handler, NULL);
}

static void tick(void *arg) {
  if (s_conn == NULL && !is_over()) login((struct mg_mgr *) arg);
}

static void say_goodbye(struct mg_mgr *mgr) {
  uint64_t until = mg_millis() + 2000;
  if (s_ready) mg_mqtt_disconnect(s_conn, NULL);
  if (s_conn != NULL) s_conn->is_draining = 1;
  while (s_conn != NULL && mg_millis() < until) mg_mgr_poll(mgr, 50);
}

int main(int argc, char **argv) {
  struct mg_mgr mgr;
  int opt;

  while ((opt = getopt(argc, argv, "ht:q:m:n:i:u:P:k:5c:")) != -1) {
    if (opt == 't') s_topic = optarg;
    else if (opt == 'q') s_qos = atoi(optarg);
    else if (opt == 'm') s_message = optarg;
    else if (opt == 'n') s_count = atoi(optarg);
    else if (opt == 'i') s_id = optarg;
    else if (opt == 'u') s_user = optarg;
    else if (opt == 'P') s_pass = optarg;
    else if (opt == 'k') s_keepalive = atoi(optarg);
    else if (opt == '5') s_version = 5;
    else if (opt == 'c') s_ca = optarg;
    else return example_usage(s_usage, opt);
  }
  if (optind + 1 != argc || s_qos < 0 || s_qos > 2 || s_keepalive < 0 || s_keepalive > 65535) return example_usage(s_usage, '?');
  if (s_message != NULL && s_count < 0) s_count = 1;
  s_url = argv[optind];
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  mg_timer_add(&mgr, RECONNECT_MS, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, tick, &mgr);
  while (!is_over()) mg_mgr_poll(&mgr, 100);
  say_goodbye(&mgr);
  mg_mgr_free(&mgr);
  return s_refused;
}
