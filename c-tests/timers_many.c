// A manager calls its timers as mg_timer_poll calls a list of the same ones: many of them too, in the same order, whatever is
// added, freed, changed and polled meanwhile.
#include "mongoose_ext.h"

#include "clock.h"
#include "peer.h"

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

// A write into one of up to 1000 timers counts at once.
static void changed_in_a_short_list(int ms) {
  int i;
  now_calls = 0;
  mg_mgr_init(&mgr);
  for (i = 0; i < 1000; i++) mg_timer_init(&mgr.timers, &pairs[i].timer[0], 200000, MG_TIMER_REPEAT, count_call, NULL);
  for (i = 0; i < 3; i++) mg_mgr_poll(&mgr, ms);
  pairs[5].timer[0].expire = clock_ms;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  mg_mgr_free(&mgr);
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

// ---- callbacks that take timers off the list, one way or the other
enum { FAR = 1 << 30 };

static struct mg_timer *at(int i) {
  return &pairs[i].timer[0];
}

// Timers count - 1 to 0, in this order, of which none is due.
static void far_timers(int count) {
  int i;
  mg_mgr_init(&mgr);
  memset(pairs, 0, sizeof(pairs));
  now_calls = 0;
  for (i = 0; i < count; i++) mg_timer_init(&mgr.timers, at(i), FAR, MG_TIMER_REPEAT, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
}

static void due(int i, void (*fn)(void *), void *arg) {
  at(i)->expire = clock_ms;
  at(i)->fn = fn;
  at(i)->arg = arg;
}

static bool is_listed(const struct mg_timer *t) {
  const struct mg_timer *other = mgr.timers;
  while (other != NULL && other != t) other = other->next;
  return other == t;
}

static void frees_itself_and_the_next(void *arg) {
  struct mg_timer *t = (struct mg_timer *) arg, *next = t->next;
  mg_timer_free(&mgr.timers, t);
  mg_timer_free(&mgr.timers, next);
  memset(next, 0xee, sizeof(*next));
  now_calls++;
}

static void the_current_and_the_next(void) {
  far_timers(10);
  due(5, frees_itself_and_the_next, at(5)), due(4, count_call, NULL), due(3, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 2);
  mg_mgr_free(&mgr);
}

static void unlinks_the_next(void *arg) {
  struct mg_timer *t = (struct mg_timer *) arg, *next = t->next;
  t->next = next->next;
  memset(next, 0xee, sizeof(*next));
  now_calls++;
}

static void the_next_by_hand(void) {
  far_timers(10);
  due(5, unlinks_the_next, at(5)), due(4, count_call, NULL), due(3, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 2);
  mg_mgr_free(&mgr);
}

static void unlinks_itself(void *arg) {
  struct mg_timer *t = (struct mg_timer *) arg;
  at(1)->next = t->next;
  memset(t, 0xee, sizeof(*t));
  now_calls++;
}

// The last of the list, with so many before it.
static void the_current_by_hand(int before) {
  struct mg_timer gone;
  far_timers(before + 1);
  due(0, unlinks_itself, at(0));
  clock_ms += 100;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  memset(&gone, 0xee, sizeof(gone));
  CHECK(memcmp(&gone, at(0), sizeof(gone)) == 0);
  mg_mgr_free(&mgr);
}

static struct mg_timer *added;

static void frees_one_before(void *arg) {
  mg_timer_free(&mgr.timers, (struct mg_timer *) arg);
  now_calls++;
}

static void moves_to_the_front(void *arg) {
  ((struct mg_timer *) arg)->next = added->next;
  added->next = mgr.timers;
  mgr.timers = added;
  now_calls++;
}

// A timer that is freed after its call leaves the list, although what was before it has changed.
static void the_one_before(int before, void (*fn)(void *)) {
  far_timers(before);
  added = mg_timer_add(&mgr, 0, MG_TIMER_ONCE, fn, at(0));
  mgr.timers = added->next, added->next = NULL, at(0)->next = added;  // to the end
  clock_ms += 100;
  mg_mgr_poll(&mgr, 0);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  CHECK(!is_listed(added));
  if (is_listed(added)) exit(1);
  mg_mgr_free(&mgr);
}

static void leaves_the_end(void *arg) {
  mg_timer_free(&mgr.timers, at(100));
  mgr.timers = at(50);
  now_calls++;
  (void) arg;
}

// Those that a shortened list still has are called in the next poll.
static void a_list_cut_off(void) {
  far_timers(MOST);
  due(100, leaves_the_end, NULL), due(20, count_call, NULL);
  clock_ms += 100;
  mg_mgr_poll(&mgr, 0);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 2);
  mg_mgr_free(&mgr);
}

static void cancelled(void) {
  struct mg_timer own, *t, *other;
  size_t before = 0;
  int i;
  mg_mgr_init(&mgr);
  mg_timer_init(&mgr.timers, &own, FAR, 0, count_call, NULL);
  mgx_timer_cancel(&mgr, &own);  // is not freed
  CHECK(mgr.timers == NULL);
  t = (struct mg_timer *) calloc(1, sizeof(*t));
  t->flags = MG_TIMER_AUTODELETE;
  mgx_timer_cancel(&mgr, t);  // is not on the list
  other = (struct mg_timer *) calloc(1, sizeof(*other));
  CHECK(other != t);
  free(other);
  free(t);
  for (i = 0; i < 4000; i++) {
    if (i == 1000) before = memory_in_use();
    mgx_timer_cancel(&mgr, mg_timer_add(&mgr, FAR, MG_TIMER_REPEAT, count_call, NULL));
  }
  CHECK(memory_in_use() < before + 20000);
  CHECK(mgr.timers == NULL);
  mg_mgr_free(&mgr);
}

// ---- times of what is added to a long list
static void added_to_a_long_list(void) {
  far_timers(MOST);
  clock_ms += 50;
  mg_timer_add(&mgr, 10, MG_TIMER_REPEAT, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
  clock_ms += 10;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  mg_mgr_free(&mgr);

  // The clock goes back a little: the call is 10 ms away again.
  far_timers(MOST);
  clock_ms += 50;
  mg_timer_add(&mgr, 10, MG_TIMER_REPEAT, count_call, NULL);
  mg_mgr_poll(&mgr, 0);
  clock_ms -= 5;
  mg_mgr_poll(&mgr, 0);
  clock_ms += 10;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  mg_mgr_free(&mgr);
}

static void wait_at_most_long(void) {
  uint64_t began = real_ms();
  mg_mgr_poll(&mgr, 20000);
  CHECK(real_ms() - began < 15000);
}

static void the_sleep_ends_for_a_known_timer(void) {
  far_timers(MOST);
  clock_ms += 100;
  due(3, count_call, NULL);
  at(3)->expire = clock_ms + 20;
  mg_mgr_poll(&mgr, 0);
  wait_at_most_long();
  clock_ms += 20;
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 1);
  mg_mgr_free(&mgr);
}

static void arms_another(void *arg) {
  now_calls++;
  mg_timer_add(&mgr, 10, (unsigned) (size_t) arg, count_call, NULL);
}

// Armed by a callback to run at once, and then to repeat: the sleep ends for it like for others.
static void the_sleep_ends_for_one_armed_in_a_callback(void) {
  mg_mgr_init(&mgr);
  now_calls = 0;
  mg_timer_add(&mgr, 0, MG_TIMER_RUN_NOW, arms_another, (void *) (size_t) (MG_TIMER_RUN_NOW | MG_TIMER_REPEAT));
  mg_mgr_poll(&mgr, 0);
  mg_mgr_poll(&mgr, 0);
  CHECK_EQ(now_calls, 2);
  wait_at_most_long();
  mg_mgr_free(&mgr);
}

static void arms_itself(void *arg) {
  now_calls++;
  mg_timer_add(&mgr, 0, MG_TIMER_RUN_NOW, arms_itself, NULL);
  (void) arg;
}

// One that arms itself anew in each call does not keep polls from sleeping, in a long list either.
static void one_that_arms_itself(void) {
  uint64_t began;
  far_timers(MOST);
  arms_itself(NULL);
  mg_mgr_poll(&mgr, 0);
  began = real_ms();
  mg_mgr_poll(&mgr, 20), mg_mgr_poll(&mgr, 20);
  CHECK(real_ms() - began >= 38);
  CHECK_EQ(now_calls, 4);
  mg_mgr_free(&mgr);
}

int main(void) {
  same_calls(20, 1);
  same_calls(MOST, 2);
  changed_in_a_short_list(0);
  changed_in_a_short_list(1);
  changed_by_hand(false);
  changed_by_hand(true);
  all_at_once();
  the_current_and_the_next();
  the_next_by_hand();
  the_current_by_hand(10);
  the_current_by_hand(1000);
  the_one_before(10, frees_one_before);
  the_one_before(1100, frees_one_before);
  the_one_before(10, moves_to_the_front);
  the_one_before(1100, moves_to_the_front);
  a_list_cut_off();
  cancelled();
  added_to_a_long_list();
  the_sleep_ends_for_a_known_timer();
  the_sleep_ends_for_one_armed_in_a_callback();
  one_that_arms_itself();
  return DONE();
}
