// Broadcasts over the list of connections, and messages from other threads.
#include "mongoose.h"

#include <pthread.h>

#include "peer.h"

static int messages, closes, wakeups;
static char text[100];

static void forget(void) {
  messages = closes = wakeups = 0;
  text[0] = '\0';
}

// ---- broadcast: from a timer, from another connection's handler, from a wakeup
static void subscribes(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (mg_match(hm->uri, mg_str("/watch"), NULL)) {
      c->data[0] = 'W';
      mg_printf(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      messages++;
    } else {
      struct mg_connection *t;
      for (t = c->mgr->conns; t != NULL; t = t->next) {
        if (t->data[0] == 'W') mg_http_printf_chunk(t, "%.*s", (int) hm->body.len, hm->body.buf);
      }
      mg_http_reply(c, 204, "", "");
    }
  } else if (ev == MG_EV_WAKEUP) {
    struct mg_str *s = (struct mg_str *) ev_data;
    struct mg_connection *t;
    for (t = c->mgr->conns; t != NULL; t = t->next) {
      if (t->data[0] == 'W') mg_http_printf_chunk(t, "%.*s", (int) s->len, s->buf);
    }
  }
}

static void broadcast_tick(void *arg) {
  struct mg_connection *t;
  for (t = ((struct mg_mgr *) arg)->conns; t != NULL; t = t->next) {
    if (t->data[0] == 'W') mg_http_printf_chunk(t, "%s", "tick");
  }
}

static void broadcasts(void) {
  static const char want[] =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
      "00000004\r\ntick\r\n00000005\r\nother\r\n00000004\r\nwoke\r\n";
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p[4], speaker;
  int i;
  forget();
  l = serve(&mgr, subscribes, NULL);
  CHECK(mg_wakeup_init(&mgr));
  for (i = 0; i < 4; i++) peer_open(&p[i], l), peer_send_text(&p[i], "GET /watch HTTP/1.1\r\n\r\n");
  POLL_UNTIL(&mgr, messages == 4);
  mg_timer_add(&mgr, 0, MG_TIMER_ONCE, broadcast_tick, &mgr);
  for (i = 0; i < 4; i++) POLL_UNTIL(&mgr, peer_has(&p[i], 47 + 16));
  peer_open(&speaker, l);
  peer_send_text(&speaker, "POST /say HTTP/1.1\r\nContent-Length: 5\r\n\r\nother");
  for (i = 0; i < 4; i++) POLL_UNTIL(&mgr, peer_has(&p[i], 47 + 16 + 17));
  CHECK(mg_wakeup(&mgr, l->id, "woke", 4));
  for (i = 0; i < 4; i++) {
    POLL_UNTIL(&mgr, peer_has(&p[i], sizeof(want) - 1));
    CHECK(peer_got(&p[i], want));
    peer_free(&p[i]);
  }
  peer_free(&speaker);
  mg_mgr_free(&mgr);
}

// ---- a worker thread per request
struct job {
  struct mg_mgr *mgr;
  unsigned long id;
  struct mg_str message;
  pthread_t thread;
  bool started;
};

static struct job jobs[10];
static int num_jobs;

static void *work(void *arg) {
  struct job *job = (struct job *) arg;
  struct mg_http_message hm;
  char out[100];
  if (mg_http_parse(job->message.buf, job->message.len, &hm) <= 0) hm.body = mg_str("nobody");
  mg_snprintf(out, sizeof(out), "hi, %.*s!", (int) hm.body.len, hm.body.buf);
  mg_wakeup(job->mgr, job->id, out, strlen(out));
  mg_free(job->message.buf);
  return NULL;
}

static void answers_from_a_thread(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct job *job = &jobs[num_jobs++];
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    job->mgr = c->mgr;
    job->id = c->id;
    job->message = mg_strdup(hm->message);
    CHECK(pthread_create(&job->thread, NULL, work, job) == 0);
    if (mg_match(hm->uri, mg_str("/gone"), NULL)) c->is_closing = 1;  // the answer will find nobody
  } else if (ev == MG_EV_WAKEUP) {
    struct mg_str *s = (struct mg_str *) ev_data;
    CHECK(c->is_resp);
    mg_http_reply(c, 200, "", "%.*s\n", (int) s->len, s->buf);
    wakeups++;
  } else if (ev == MG_EV_CLOSE && c->is_accepted) {
    closes++;
  }
}

static void worker_threads(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  struct peer p[5], gone;
  struct mg_str want = make_reply("200 OK", "", "hi, you!\n", 9);
  int i;
  forget();
  num_jobs = 0;
  l = serve(&mgr, answers_from_a_thread, NULL);
  CHECK(mg_wakeup_init(&mgr));
  CHECK(!mg_wakeup_init(&mgr));  // once is enough
  peer_open(&gone, l);
  peer_send_text(&gone, "POST /gone HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
  POLL_UNTIL(&mgr, closes == 1);
  for (i = 0; i < 5; i++) peer_open(&p[i], l), peer_send_text(&p[i], "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nyou");
  for (i = 0; i < 5; i++) {
    POLL_UNTIL(&mgr, peer_has(&p[i], want.len));
    CHECK(peer_got_str(&p[i], want));
    peer_free(&p[i]);
  }
  CHECK_EQ(wakeups, 5);
  for (i = 0; i < num_jobs; i++) pthread_join(jobs[i].thread, NULL);
  poll_often(&mgr);
  CHECK_EQ(wakeups, 5);
  mg_mgr_free(&mgr);
  peer_free(&gone);
  free(want.buf);
}

// ---- many messages from several threads, to one connection each, in order
#define THREADS 4
#define MESSAGES 2000
#define LARGEST 8192

struct sender {
  struct mg_mgr *mgr;
  unsigned long id;
  pthread_t thread;
  unsigned next;
  bool in_order, intact;
};

static struct sender senders[THREADS];
static unsigned total;

static void *sends(void *arg) {
  struct sender *s = (struct sender *) arg;
  static const size_t sizes[] = {4, 5, 100, 1000, LARGEST};
  char buf[LARGEST];
  unsigned i;
  memset(buf, 'a' + (int) (s - senders), sizeof(buf));
  for (i = 0; i < MESSAGES; i++) {
    memcpy(buf, &i, sizeof(i));
    if (!mg_wakeup(s->mgr, s->id, buf, sizes[i % 5])) {
      fprintf(stderr, "refused\n");
      break;
    }
  }
  return NULL;
}

static void ordered(struct mg_connection *c, int ev, void *ev_data) {
  struct sender *s = (struct sender *) c->fn_data;
  if (ev == MG_EV_WAKEUP) {
    static const size_t sizes[] = {4, 5, 100, 1000, LARGEST};
    struct mg_str *m = (struct mg_str *) ev_data;
    unsigned n;
    memcpy(&n, m->buf, sizeof(n));
    if (n != s->next++) s->in_order = false;
    if (m->len != sizes[n % 5] || (m->len > 4 && m->buf[m->len - 1] != 'a' + (s - senders))) s->intact = false;
    total++;
  }
}

static void many_messages(void) {
  struct mg_mgr mgr;
  int i;
  total = 0;
  memset(senders, 0, sizeof(senders));
  mg_mgr_init(&mgr);
  CHECK(mg_wakeup_init(&mgr));
  for (i = 0; i < THREADS; i++) {
    struct mg_connection *l = mg_listen(&mgr, "tcp://127.0.0.1:0", ordered, &senders[i]);
    senders[i].mgr = &mgr;
    senders[i].id = l->id;
    senders[i].in_order = senders[i].intact = true;
  }
  for (i = 0; i < THREADS; i++) pthread_create(&senders[i].thread, NULL, sends, &senders[i]);
  POLL_UNTIL(&mgr, total == THREADS * MESSAGES);
  for (i = 0; i < THREADS; i++) {
    pthread_join(senders[i].thread, NULL);
    CHECK(senders[i].in_order);
    CHECK(senders[i].intact);
    CHECK_EQ(senders[i].next, MESSAGES);
  }
  mg_mgr_free(&mgr);
}

// ---- threads that start before mg_wakeup_init, in the listener's MG_EV_OPEN
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_t early;
static unsigned long early_id;

static void *waits_and_wakes(void *arg) {
  struct mg_mgr *mgr = (struct mg_mgr *) arg;
  pthread_mutex_lock(&gate);
  mg_wakeup(mgr, early_id, "hi!", 3);
  pthread_mutex_unlock(&gate);
  return NULL;
}

static void starts_a_thread(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_OPEN) {
    early_id = c->id;
    pthread_create(&early, NULL, waits_and_wakes, c->mgr);
  } else if (ev == MG_EV_WAKEUP) {
    struct mg_str *s = (struct mg_str *) ev_data;
    mg_snprintf(text, sizeof(text), "%.*s", (int) s->len, s->buf);
  }
}

static void threads_before_the_wakeup_pair(void) {
  struct mg_mgr mgr;
  uint64_t start;
  forget();
  mg_mgr_init(&mgr);
  pthread_mutex_lock(&gate);
  CHECK(mg_listen(&mgr, "tcp://127.0.0.1:0", starts_a_thread, NULL) != NULL);
  CHECK(mg_wakeup_init(&mgr));
  pthread_mutex_unlock(&gate);
  start = real_ms();
  POLL_UNTIL(&mgr, text[0] != '\0');
  CHECK(real_ms() - start < 5000);
  CHECK(strcmp(text, "hi!") == 0);
  pthread_join(early, NULL);
  mg_mgr_free(&mgr);
}

// ---- a wakeup to the wakeup connection itself only ends the poll
static void *ends_the_poll(void *arg) {
  struct job *job = (struct job *) arg;
  mg_wakeup(job->mgr, job->id, NULL, 0);
  return NULL;
}

static void just_end_the_poll(void) {
  struct mg_mgr mgr;
  struct job job;
  pthread_t thread;
  uint64_t start = real_ms();
  memset(&job, 0, sizeof(job));
  mg_mgr_init(&mgr);
  CHECK(!mg_wakeup(&mgr, 1, "x", 1));  // no pair
  CHECK(mg_wakeup_init(&mgr));
  CHECK(mgr.conns != NULL && mgr.conns->id == 1);
  job.mgr = &mgr;
  job.id = mgr.conns->id;
  CHECK(!mg_wakeup(&mgr, 0, "x", 1));
  CHECK(mg_wakeup(&mgr, 12345, "x", 1));  // nobody: harmless
  mg_mgr_poll(&mgr, 0);
  pthread_create(&thread, NULL, ends_the_poll, &job);
  mg_mgr_poll(&mgr, 10000);
  CHECK(real_ms() - start < 5000);
  pthread_join(thread, NULL);
  CHECK_EQ(count_conns(&mgr), 1);
  mg_mgr_free(&mgr);
  CHECK_EQ(mgr.pipe.fd, -1);
}

// The largest message, and one that is too large.
static size_t woke_with;

static void measures(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_WAKEUP) woke_with = ((struct mg_str *) ev_data)->len, wakeups++;
  (void) c;
}

static void the_largest_message(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  char *big = make_body(20000);
  forget();
  l = serve(&mgr, measures, NULL);
  CHECK(mg_wakeup_init(&mgr));
  CHECK(mg_wakeup(&mgr, l->id, big, 16376));
  POLL_UNTIL(&mgr, wakeups == 1);
  CHECK_EQ(woke_with, 16376);
  CHECK(mg_wakeup(&mgr, l->id, big, 20000));
  POLL_UNTIL(&mgr, wakeups == 2);
  CHECK_EQ(woke_with, 16376);
  CHECK(mg_wakeup(&mgr, l->id, NULL, 0));
  POLL_UNTIL(&mgr, wakeups == 3);
  CHECK_EQ(woke_with, 0);
  mg_mgr_free(&mgr);
  free(big);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  broadcasts();
  worker_threads();
  many_messages();
  threads_before_the_wakeup_pair();
  just_end_the_poll();
  the_largest_message();
  return DONE();
}
