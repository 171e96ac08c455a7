// A manager calls its timers as mg_timer_poll calls a list of the same ones: many of them too, in the same order, whatever is added,
// freed, changed and polled meanwhile.
#include "mongoose_ext.h"

#include "check.h"
#include "clock.h"

enum { MOST = 1500, LIMIT = 1 << 20 };

struct pair {
  struct mg_timer timer[2];  // on the manager's list and on ours
  bool used;
};

static struct mg_mgr mgr;
static struct mg_timer *ours;
static struct pair pairs[MOST];
static int calls[2][LIMIT], len[2];
static unsigned seed;

static unsigned pick(unsigned n) {
  seed = seed * 1103515245u + 12345u;
  return (seed >> 16) % n;
}

static struct mg_timer **head(int side) {
  return side == 0 ? &mgr.timers : &ours;
}

static void drop(int i, int side) {
  mg_timer_free(head(side), &pairs[i].timer[side]);
  memset(&pairs[i].timer[side], 0xee, sizeof(struct mg_timer));
}

static void called(void *arg);

static void start(int i, int side, uint64_t period, unsigned flags) {
  mg_timer_init(head(side), &pairs[i].timer[side], period, flags, called, &pairs[i].timer[side]);
}

// What a callback does depends on the timer alone, so both lists see the same.
static void called(void *arg) {
  struct mg_timer *t = (struct mg_timer *) arg;
  int i = (int) (((char *) t - (char *) pairs) / (long) sizeof(struct pair));
  int side = t == &pairs[i].timer[0] ? 0 : 1;
  if (len[side] < LIMIT) calls[side][len[side]++] = i;
  if (i % 7 == 0) {
    int other = (i + 701) % MOST;  // the next timer, or one that is called before or after this
    if (i % 14 == 0) other = (i + MOST - 1) % MOST;
    if (pairs[other].used) {
      drop(other, side);
      start(other, side, (uint64_t) (other % 50), other % 3 == 0 ? MG_TIMER_RUN_NOW : MG_TIMER_REPEAT);
    }
  }
  if (i % 11 == 0) t->period_ms = (t->period_ms + 13) % 900;  // its own
  if (i % 13 == 0) t->expire = 0, t->flags &= ~(unsigned) MG_TIMER_CALLED;
}

static void poll_both(int ms) {
  int i, from = len[0];
  clock_ms += (uint64_t) ms;
  mg_mgr_poll(&mgr, (int) pick(2));
  mg_timer_poll(&ours, clock_ms);
  CHECK_EQ(len[0], len[1]);
  for (i = from; i < len[0] && i < len[1]; i++) {
    if (calls[0][i] != calls[1][i]) {
      fprintf(stderr, "call %d: %d, not %d\n", i, calls[0][i], calls[1][i]);
      exit(1);
    }
  }
}

static void same_calls(int count, unsigned with) {
  int i, round, side;
  seed = with;
  len[0] = len[1] = 0;
  ours = NULL;
  memset(pairs, 0, sizeof(pairs));
  mg_mgr_init(&mgr);
  for (round = 0; round < 300; round++) {
    int changes = round == 0 ? count : (int) pick(4);
    while (changes-- > 0) {
      uint64_t period = pick(20) == 0 ? pick(3) : pick(5000);
      unsigned flags = pick(4);
      i = (int) pick((unsigned) count);
      for (side = 0; side < 2; side++) {
        if (pairs[i].used) drop(i, side);
        if (round % 5 != 1) start(i, side, period, flags);
      }
      pairs[i].used = round % 5 != 1;
    }
    poll_both((int) pick(3) == 0 ? (int) pick(60) : (int) pick(2));
    if (round % 100 == 99) clock_ms -= 50;
  }
  CHECK(len[0] > 100);
  mg_mgr_free(&mgr);
}

static int now_calls;

static void count_call(void *arg) {
  now_calls++;
  (void) arg;
}

// A write into a timer of a long list counts 100 ms later. With mgx_mgr_compat, and for the head of the list, at once.
static void changed_by_hand(bool compat) {
  int i, before;
  now_calls = 0;
  mg_mgr_init(&mgr);
  mgx_mgr_compat(&mgr, compat);
  for (i = 0; i < MOST; i++) mg_timer_init(&mgr.timers, &pairs[i].timer[0], 200000, MG_TIMER_REPEAT, count_call, NULL);
  for (i = 0; i < 3; i++) mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 0);
  pairs[5].timer[0].expire = clock_ms;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, compat ? 1 : 0);
  clock_ms += 100;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);

  // Timers that the head no longer leads to are not touched.
  mgr.timers = &pairs[9].timer[0];
  memset(&pairs[10], 0xee, sizeof(struct pair) * (MOST - 10));
  clock_ms += 200000;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 11);
  mgr.timers = NULL;
  memset(pairs, 0xee, sizeof(pairs));
  mg_mgr_poll(&mgr, 1);
  before = now_calls;
  CHECK(mg_timer_add(&mgr, 0, MG_TIMER_ONCE, count_call, NULL) != NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, before + 1);
  CHECK(mgr.timers == NULL);
  mg_mgr_free(&mgr);
}

// All of a long list in one poll: once each, and in no time.
static void all_at_once(void) {
  int i;
  now_calls = 0;
  mg_mgr_init(&mgr);
  for (i = 0; i < 20000; i++) mg_timer_add(&mgr, 10, MG_TIMER_ONCE, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 0);
  clock_ms += 10;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 20000);
  CHECK(mgr.timers == NULL);
  mg_mgr_free(&mgr);
}

int main(void) {
  same_calls(20, 1);
  same_calls(MOST, 2);
  changed_by_hand(false);
  changed_by_hand(true);
  all_at_once();
  return DONE();
}
