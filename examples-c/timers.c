// What timers can do: once, repeatedly, at once, cancelled; and a deadline without a timer.
//
// usage: timers -h

#include "example.h"

static const char *const s_usage =
    "usage: timers [-t SECONDS]     Ctrl-C ends it earlier\n"
    "  -t SECONDS   default 3\n";

struct app {
  struct mg_mgr mgr;
  struct mg_timer *ticker;
  uint64_t start;
  int ticks;
  bool done;
};

static void say(const struct app *app, const char *text) {
  printf("%5lu ms  %s\n", (unsigned long) (mg_millis() - app->start), text);
}

static void first(void *arg) {
  say((struct app *) arg, "RUN_NOW: in the first poll, and then every second");
}

static void tick(void *arg) {
  struct app *app = (struct app *) arg;
  app->ticks++;
  say(app, "REPEAT: a tick");
}

// Freed between polls. After mg_timer_free the memory belongs to the application again.
static void stop_ticking(struct app *app) {
  say(app, "no more ticks");
  mg_timer_free(&app->mgr.timers, app->ticker);
  mg_free(app->ticker);
  app->ticker = NULL;
}

static void finish(void *arg) {
  struct app *app = (struct app *) arg;
  say(app, "ONCE: time is up");
  app->done = true;
}

int main(int argc, char **argv) {
  static struct app app;
  uint64_t next_note = 0;
  int opt, seconds = 3;

  while ((opt = getopt(argc, argv, "ht:")) != -1) {
    switch (opt) {
      case 't': seconds = atoi(optarg); break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) seconds = atoi(argv[optind++]);
  if (optind < argc || seconds <= 0) return example_usage(s_usage, '?');
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_mgr_init(&app.mgr);
  app.start = mg_millis();
  mg_timer_add(&app.mgr, 1000, MG_TIMER_REPEAT | MG_TIMER_RUN_NOW, first, &app);
  app.ticker = mg_timer_add(&app.mgr, 200, MG_TIMER_REPEAT, tick, &app);
  mg_timer_add(&app.mgr, (uint64_t) seconds * 1000, MG_TIMER_ONCE, finish, &app);

  while (!app.done && s_signal == 0) {
    mg_mgr_poll(&app.mgr, 100);
    if (app.ticks == 4 && app.ticker != NULL) stop_ticking(&app);
    if (mg_timer_expired(&next_note, 700, mg_millis())) say(&app, "mg_timer_expired: another 700 ms");
  }
  printf("%d ticks\n", app.ticks);
  mg_mgr_free(&app.mgr);
  return 0;
}
