// Timers that are always due - with period 0, or re-armed to run at once in their own callback - run once per poll, and the poll
// sleeps as if they did not exist.
#include "mongoose.h"

#include "peer.h"

static struct mg_mgr mgr;
static int calls, others, rounds;

static void count(void *arg) {
  calls++;
  (void) arg;
}

static void rearms_now(void *arg) {
  calls++;
  mg_timer_add(&mgr, *(uint64_t *) arg, MG_TIMER_RUN_NOW, rearms_now, arg);
}

static void rearms_once(void *arg) {
  calls++;
  mg_timer_add(&mgr, 0, MG_TIMER_ONCE, rearms_once, arg);
}

static void rearms_repeated(void *arg) {
  calls++;
  mg_timer_add(&mgr, 100000, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, count, NULL);
  (void) arg;
}

static void polls_inside(void *arg) {
  calls++;
  mg_mgr_poll(&mgr, 0);
  (void) arg;
}

static void arms_in_poll(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_POLL) mg_timer_add(c->mgr, 10, MG_TIMER_RUN_NOW, count, NULL);
  (void) ev_data;
}

static void other(void *arg) {
  others++;
  (void) arg;
}

// Every poll waits out its time and calls once.
static void polls_wait(const char *what, int wait) {
  int i, failed = checks_failed;
  mg_mgr_poll(&mgr, 0);
  mg_mgr_poll(&mgr, 0);
  for (i = 0; i < 8; i++) {
    uint64_t began = real_ms();
    int before = calls;
    mg_mgr_poll(&mgr, wait);
    CHECK(real_ms() - began + 2 >= (uint64_t) wait);
    CHECK_EQ(calls, before + 1);
  }
  if (checks_failed > failed) fprintf(stderr, "^ %s\n", what);
  mg_mgr_free(&mgr);
}

static void begin(uint64_t period, unsigned flags, void (*fn)(void *), void *arg) {
  calls = others = rounds = 0;
  mg_mgr_init(&mgr);
  CHECK(mg_timer_add(&mgr, period, flags, fn, arg) != NULL);
}

// Other timers are punctual, and so is the socket.
static void others_are_punctual(uint64_t period, unsigned flags, void (*fn)(void *), void *arg) {
  uint64_t began;
  int polls = 0;
  begin(period, flags, fn, arg);
  mg_timer_add(&mgr, 30, MG_TIMER_REPEAT, other, NULL);
  began = real_ms();
  while (others < 5 && real_ms() - began < 20000) mg_mgr_poll(&mgr, 60000), polls++;
  CHECK(real_ms() - began < 20000);
  CHECK(polls < 60);
  CHECK(calls <= polls + 1);
  mg_mgr_free(&mgr);
}

// What the application arms outside of callbacks to run at once does not wait.
static void armed_outside(unsigned flags) {
  uint64_t began;
  begin(100000, flags, count, NULL);
  began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  if (calls == 0) mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 10000);
  CHECK_EQ(calls, 1);
  mg_mgr_free(&mgr);
}

int main(void) {
  static uint64_t ten = 10, zero = 0;
  mg_log_set(MG_LL_ERROR);
  begin(0, MG_TIMER_REPEAT, count, NULL);
  polls_wait("period 0", 20);
  begin(0, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, count, NULL);
  polls_wait("period 0, at once", 20);
  begin(10, MG_TIMER_RUN_NOW, rearms_now, &ten);
  polls_wait("armed anew to run at once", 5);
  begin(10, MG_TIMER_RUN_NOW, rearms_now, &ten);
  polls_wait("armed anew to run at once", 30);
  begin(0, MG_TIMER_RUN_NOW, rearms_now, &zero);
  polls_wait("armed anew to run at once, period 0", 20);
  begin(0, MG_TIMER_ONCE, rearms_once, NULL);
  polls_wait("armed anew with period 0", 20);
  others_are_punctual(0, MG_TIMER_REPEAT, count, NULL);
  others_are_punctual(10, MG_TIMER_RUN_NOW, rearms_now, &ten);
  others_are_punctual(0, MG_TIMER_ONCE, rearms_once, NULL);
  begin(0, MG_TIMER_REPEAT, polls_inside, NULL);
  polls_wait("period 0, with a poll in its callback", 20);
  begin(100000, MG_TIMER_ONCE, count, NULL);
  CHECK(mg_listen(&mgr, "tcp://127.0.0.1:0", arms_in_poll, NULL) != NULL);
  polls_wait("armed to run at once in each MG_EV_POLL", 20);
  begin(UINT64_MAX, MG_TIMER_REPEAT, count, NULL);
  mg_timer_add(&mgr, 0, MG_TIMER_REPEAT, other, NULL);
  calls = 0;
  for (rounds = 0; rounds < 5; rounds++) mg_mgr_poll(&mgr, 1);
  CHECK_EQ(calls, 0);
  CHECK_EQ(others, 5);
  mg_mgr_free(&mgr);
  armed_outside(MG_TIMER_RUN_NOW);
  armed_outside(MG_TIMER_RUN_NOW | MG_TIMER_REPEAT);
  begin(0, MG_TIMER_ONCE, rearms_repeated, NULL);
  mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0), mg_mgr_poll(&mgr, 0);
  CHECK_EQ(calls, 2);
  mg_mgr_free(&mgr);
  return DONE();
}
