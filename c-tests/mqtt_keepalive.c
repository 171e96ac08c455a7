// The keep-alive of MQTT clients: automatic pings, and silent brokers. Uses the real clock, which a test can advance or stop.
// timeout: 100
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

static uint64_t s_ahead;    // of the machine's clock
static uint64_t s_stopped;  // its time where it stands still, or 0

uint64_t mg_millis(void) {
  return (s_stopped > 0 ? s_stopped : real_ms()) + s_ahead;
}

static struct mg_mgr mgr;
static struct mg_connection *s_listener, *s_client;

// ---- the broker

static bool s_answers_login, s_answers_pings;
static int s_logins, s_pings, s_others;
static const char *s_connack;
static size_t s_connack_len;
static struct mg_connection *s_broker;

static void broker(struct mg_connection *c, int ev, void *ev_data) {
  if (c->is_listening) return;
  if (ev == MG_EV_ACCEPT) {
    struct mg_tls_opts o = server_tls();
    s_broker = c;
    if (c->is_tls) mg_tls_init(c, &o);
  } else if (ev == MG_EV_MQTT_CMD) {
    struct mg_mqtt_message *mm = (struct mg_mqtt_message *) ev_data;
    if (mm->cmd == MQTT_CMD_CONNECT) {
      s_logins++;
      if (s_answers_login) mg_send(c, s_connack, s_connack_len);
    } else if (mm->cmd == MQTT_CMD_PINGREQ) {
      s_pings++;
      CHECK(s_answers_login);
      if (s_answers_pings) mg_mqtt_pong(c);
    } else {
      s_others++;
    }
  } else if (ev == MG_EV_CLOSE) {
    s_broker = NULL;
  }
}

// ---- the client

static char s_error[100];
static int s_opens, s_closes, s_pongs;
static bool s_publishes;  // as soon as it is logged in

static void client(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_CONNECT && c->is_tls) {
    struct mg_tls_opts o = client_tls();
    mg_tls_init(c, &o);
  }
  if (ev == MG_EV_MQTT_OPEN) {
    s_opens++;
    if (s_publishes) mg_mqtt_pub(c, NULL);
  }
  if (ev == MG_EV_MQTT_CMD && ((struct mg_mqtt_message *) ev_data)->cmd == MQTT_CMD_PINGRESP) s_pongs++;
  if (ev == MG_EV_ERROR) mg_snprintf(s_error, sizeof(s_error), "%s", (char *) ev_data);
  if (ev == MG_EV_CLOSE) s_closes++, s_client = NULL;
}

static void begin(const char *scheme, int version, int keepalive) {
  struct mg_mqtt_opts o;
  char url[60];
  memset(&o, 0, sizeof(o));
  o.clean = true;
  o.version = (uint8_t) version;
  o.keepalive = (uint16_t) keepalive;
  s_logins = s_pings = s_others = s_opens = s_closes = s_pongs = 0;
  s_error[0] = '\0';
  s_answers_login = s_answers_pings = true;
  s_connack = version == 5 ? "\x20\3\0\0\0" : "\x20\2\0\0";
  s_connack_len = version == 5 ? 5 : 4;
  mg_mgr_init(&mgr);
  mg_snprintf(url, sizeof(url), "%s://127.0.0.1:0", scheme);
  s_listener = mg_mqtt_listen(&mgr, url, broker, NULL);
  CHECK(s_listener != NULL);
  s_client = mg_mqtt_connect(&mgr, url_of(s_listener, scheme), &o, client, NULL);
}

static void end(void) {
  mg_mgr_free(&mgr);
}

static void advance_time(uint64_t ms) {
  s_ahead += ms;
  poll_often(&mgr);
}

// Polls as lazily as an application can.
static void sleep_until_closed_or(const int *count, int wanted) {
  uint64_t until = real_ms() + 20000;
  while (*count < wanted && s_closes == 0 && real_ms() < until) mg_mgr_poll(&mgr, 10000);
  CHECK(*count >= wanted);
}

static void pings_are_sent_while_the_application_sleeps(const char *scheme) {
  uint64_t start = real_ms();
  begin(scheme, 4, 1);
  sleep_until_closed_or(&s_pings, 2);
  CHECK(real_ms() - start >= 1400);
  CHECK_EQ(s_closes, 0);
  // The broker falls silent.
  s_answers_pings = false;
  sleep_until_closed_or(&s_closes, 1);
  CHECK(strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

static void pings_are_not_sent_early(void) {
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(74000);
  CHECK_EQ(s_pings, 0);
  advance_time(1500);
  CHECK(s_pings == 1 && s_pongs == 1);
  // Who sends something else needs no ping, as long as the broker says something too.
  advance_time(74000);
  mg_mqtt_pub(s_client, NULL);
  mg_mqtt_pong(s_broker);
  advance_time(0);
  advance_time(74000);
  CHECK(s_pings == 1 && s_others == 1);
  // Pings of the application's own are as good.
  mg_mqtt_ping(s_client);
  advance_time(0);
  advance_time(74000);
  CHECK_EQ(s_pings, 2);
  advance_time(1500);
  CHECK_EQ(s_pings, 3);
  CHECK_EQ(s_pongs, 4);
  CHECK_EQ(s_closes, 0);
  end();
}

static void a_publisher_detects_a_silent_broker(void) {
  int i;
  begin("mqtt", 5, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  s_answers_pings = false;
  for (i = 0; i < 14; i++) {
    mg_mqtt_pub(s_client, NULL);
    advance_time(10000);
    CHECK_EQ(s_closes, 0);
  }
  CHECK_EQ(s_pings, 1);
  CHECK_EQ(s_others, 14);
  for (i = 0; i < 2 && s_client != NULL; i++) {
    mg_mqtt_pub(s_client, NULL);
    advance_time(10000);
  }
  CHECK(s_closes == 1 && strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

// A subscriber must say something too, however much it hears.
static void a_subscriber_of_a_talkative_broker(void) {
  int i;
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  for (i = 0; i < 6; i++) {
    CHECK_EQ(s_pings, i / 3);
    mg_mqtt_pong(s_broker);
    advance_time(25500);
  }
  CHECK_EQ(s_pings, 2);
  CHECK_EQ(s_closes, 0);
  end();
}

// What leaves by chance at the moment when a ping is due takes its place, and is no question.
static void a_packet_sent_instead_of_a_ping(void) {
  int i;
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(50000);
  mg_mqtt_pong(s_broker);
  advance_time(0);
  for (i = 0; i < 20; i++) {
    mg_mqtt_pub(s_client, NULL);
    advance_time(25500);
  }
  CHECK(s_others == 20 && s_pings > 0 && s_closes == 0);
  end();
}

static void a_broker_that_never_accepts(void) {
  begin("mqtt", 4, 100);
  s_answers_login = false;
  POLL_UNTIL(&mgr, s_logins == 1);
  advance_time(149000);
  CHECK(s_pings == 0 && s_closes == 0);
  advance_time(2000);
  CHECK(s_pings == 0 && s_closes == 1 && strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

// It was the application that slept, not the broker.
static void an_application_that_does_not_poll_raises_no_error(void) {
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(1000000);
  CHECK(s_pings == 1 && s_pongs == 1 && s_closes == 0);
  mg_mqtt_pub(s_client, NULL);
  mg_mqtt_pong(s_broker);
  s_ahead += 1000000;
  advance_time(1000000);
  CHECK(s_closes == 0 && s_error[0] == '\0');
  // It does not listen.
  s_client->is_full = 1;
  advance_time(80000);
  advance_time(80000);
  advance_time(80000);
  CHECK_EQ(s_closes, 0);
  s_client->is_full = 0;
  advance_time(0);
  CHECK(s_closes == 0 && s_pongs >= 3);
  end();
}

static void publish_more_than_the_broker_reads(void) {
  struct mg_mqtt_opts o;
  s_broker->is_full = 1;
  memset(&o, 0, sizeof(o));
  o.topic = mg_str("t");
  o.message.len = 20000000;
  o.message.buf = (char *) calloc(1, o.message.len);
  mg_mqtt_pub(s_client, &o);
  free(o.message.buf);
  advance_time(0);
  CHECK(s_client != NULL && s_client->send.len > 0);
}

// No ping gets through to a broker that does not read, so it has as long as if one had.
static void a_broker_that_does_not_read(void) {
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  publish_more_than_the_broker_reads();
  advance_time(80000);
  CHECK(s_pings == 0 && s_closes == 0);
  advance_time(60000);
  CHECK_EQ(s_closes, 0);
  advance_time(20000);
  CHECK(s_closes == 1 && strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

static void no_pings_after_disconnect(void) {
  begin("mqtt", 5, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  mg_mqtt_disconnect(s_client, NULL);
  advance_time(0);
  advance_time(80000);
  advance_time(80000);
  CHECK(s_pings == 0 && s_closes == 0 && s_others == 1);
  end();
}

static void no_keepalive_no_pings(void) {
  begin("mqtt", 4, 0);
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(1000000);
  advance_time(1000000);
  CHECK(s_pings == 0 && s_closes == 0);
  end();
}

static void the_broker_may_set_the_interval(void) {
  begin("mqtt", 5, 100);
  s_connack = "\x20\6\0\0\3\x13\0\x0a";  // ten seconds
  s_connack_len = 8;
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(7000);
  CHECK_EQ(s_pings, 0);
  advance_time(1000);
  CHECK(s_pings == 1 && s_pongs == 1);
  end();
}

static void every_connection_has_its_own_interval(void) {
  struct mg_mqtt_opts o;
  int i;
  begin("mqtt", 4, 100);
  memset(&o, 0, sizeof(o));
  for (i = 0; i < 3; i++) {
    POLL_UNTIL(&mgr, s_opens == 2 * i + 1);
    advance_time(80000);
    CHECK_EQ(s_pings, i + 1);
    mg_close_conn(s_client);
    // One without, which may get the same record.
    s_client = mg_mqtt_connect(&mgr, url_of(s_listener, "mqtt"), NULL, client, NULL);
    POLL_UNTIL(&mgr, s_opens == 2 * i + 2);
    advance_time(80000);
    CHECK_EQ(s_pings, i + 1);
    mg_close_conn(s_client);
    o.keepalive = 100;
    s_client = mg_mqtt_connect(&mgr, url_of(s_listener, "mqtt"), &o, client, NULL);
  }
  end();
}

// With a clock that stands still: neither a millisecond early nor late.
static void times_are_exact(void) {
  s_stopped = real_ms();
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  advance_time(74999);
  CHECK_EQ(s_pings, 0);
  // The broker is due to say something: a packet that expects no answer is no question.
  mg_mqtt_pub(s_client, NULL);
  advance_time(1);
  CHECK(s_pings == 1 && s_others == 1);
  end();
  begin("mqtt", 4, 100);
  s_answers_login = false;
  POLL_UNTIL(&mgr, s_logins == 1);
  advance_time(149999);
  CHECK_EQ(s_closes, 0);
  advance_time(1);
  CHECK_EQ(s_closes, 1);
  end();
  s_stopped = 0;
}

// A ping is due when the broker accepts, but what the application says then takes its place.
static void a_broker_that_accepts_late(void) {
  begin("mqtt", 4, 100);
  s_answers_login = false;
  s_publishes = true;
  POLL_UNTIL(&mgr, s_logins == 1);
  advance_time(80000);
  mg_send(s_broker, s_connack, s_connack_len);
  advance_time(0);
  CHECK(s_opens == 1 && s_others == 1 && s_pings == 0);
  s_publishes = false;
  end();
}

// There is nothing to do for it before the broker is late.
static void an_application_sleeps_while_it_waits_for_the_login(void) {
  int i;
  bool slept = false;
  begin("mqtt", 4, 100);
  s_answers_login = false;
  POLL_UNTIL(&mgr, s_logins == 1);
  advance_time(80000);
  for (i = 0; i < 3 && !slept; i++) {
    uint64_t start = real_ms();
    mg_mgr_poll(&mgr, 20);
    slept = real_ms() - start >= 15;
  }
  CHECK(slept);
  end();
}

// Nothing that the broker says is heard, and nothing that it does not say is missed.
static void a_paused_application_does_not_miss_a_silent_broker(void) {
  int i;
  begin("mqtt", 4, 100);
  POLL_UNTIL(&mgr, s_opens == 1);
  s_answers_pings = false;
  s_client->is_full = 1;
  for (i = 0; i < 4; i++) advance_time(80000);
  CHECK(s_pings > 0 && s_closes == 0);
  s_client->is_full = 0;
  for (i = 0; i < 4; i++) advance_time(80000);
  CHECK(s_closes == 1 && strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

static void login_again(struct mg_connection *c) {
  struct mg_mqtt_opts o;
  memset(&o, 0, sizeof(o));
  o.keepalive = 100;
  mg_mqtt_login(c, &o);
}

// The login cannot be sent: the broker does not read what was sent before it.
static void a_late_login_that_the_broker_does_not_read(void) {
  begin("mqtt", 4, 0);
  POLL_UNTIL(&mgr, s_opens == 1);
  publish_more_than_the_broker_reads();
  login_again(s_client);
  advance_time(0);
  advance_time(140000);
  CHECK_EQ(s_closes, 0);
  advance_time(20000);
  CHECK(s_closes == 1 && strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

// It is about to leave anyway, although it still reads.
static void a_client_that_drains_is_not_watched(void) {
  int i;
  begin("mqtt", 4, 1);
  mgx_mgr_compat(&mgr, true);
  POLL_UNTIL(&mgr, s_opens == 1);
  publish_more_than_the_broker_reads();
  s_client->is_draining = 1;
  for (i = 0; i < 4; i++) advance_time(1000);
  CHECK(s_closes == 0 && s_error[0] == '\0');
  end();
}

// Only clients promise to say something.
static void a_broker_is_not_watched(void) {
  begin("mqtt", 4, 0);
  POLL_UNTIL(&mgr, s_opens == 1);
  login_again(s_broker);
  advance_time(0);
  advance_time(160000);
  advance_time(160000);
  CHECK(s_closes == 0 && s_broker != NULL);
  end();
}

#ifdef __linux__
// A connection that the system is still opening: the broker's queue of new ones is full.
static void a_broker_that_cannot_be_reached_yet(void) {
  struct mg_mqtt_opts o;
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  char url[60];
  int i, fd = socket(AF_INET, SOCK_STREAM, 0), others[4];
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0 && listen(fd, 0) == 0);
  CHECK(getsockname(fd, (struct sockaddr *) &sin, &len) == 0);
  for (i = 0; i < 4; i++) {
    others[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(others[i], (struct sockaddr *) &sin, sizeof(sin));
  }
  begin("mqtt", 4, 0);
  memset(&o, 0, sizeof(o));
  o.keepalive = 100;
  mgr.dnstimeout = 100000000;
  mg_snprintf(url, sizeof(url), "mqtt://127.0.0.1:%d", ntohs(sin.sin_port));
  s_client = mg_mqtt_connect(&mgr, url, &o, client, NULL);
  advance_time(0);
  CHECK(s_client->is_connecting);
  advance_time(160000);
  advance_time(160000);
  CHECK(s_closes == 0 && s_error[0] == '\0');
  end();
  for (i = 0; i < 4; i++) close(others[i]);
  close(fd);
}
#endif

// Time limits of the extension API, and connections without MG_EV_POLL, get in nobody's way.
static void keep_alive_with_limits(void) {
  struct mgx_limits l;
  begin("mqtt", 4, 1);
  memset(&l, 0, sizeof(l));
  l.idle_timeout_ms = 60000;
  mgx_mgr_limits(&mgr, &l);
  mgx_conn_poll_events(s_client, false);
  sleep_until_closed_or(&s_pings, 2);
  s_answers_pings = false;
  sleep_until_closed_or(&s_closes, 1);
  CHECK(strcmp(s_error, "MQTT broker is silent") == 0);
  end();
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  pings_are_not_sent_early();
  a_publisher_detects_a_silent_broker();
  a_subscriber_of_a_talkative_broker();
  a_packet_sent_instead_of_a_ping();
  a_broker_that_never_accepts();
  an_application_that_does_not_poll_raises_no_error();
  a_broker_that_does_not_read();
  no_pings_after_disconnect();
  no_keepalive_no_pings();
  the_broker_may_set_the_interval();
  every_connection_has_its_own_interval();
  times_are_exact();
  a_broker_that_accepts_late();
  an_application_sleeps_while_it_waits_for_the_login();
  a_paused_application_does_not_miss_a_silent_broker();
  a_late_login_that_the_broker_does_not_read();
  a_client_that_drains_is_not_watched();
  a_broker_is_not_watched();
#ifdef __linux__
  a_broker_that_cannot_be_reached_yet();
#endif
  keep_alive_with_limits();
  pings_are_sent_while_the_application_sleeps("mqtt");
  pings_are_sent_while_the_application_sleeps("mqtts");
  pem_free();
  return DONE();
}
