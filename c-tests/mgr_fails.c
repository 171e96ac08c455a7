// A manager that cannot be created: the application can detect it, polls wait instead of spinning, and nothing can be opened.
// The next manager works.
// not under: valgrind: its own descriptors count against the limit
#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

static void limit_files(rlim_t most) {
  struct rlimit limit;
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = most < limit.rlim_max ? most : limit.rlim_max;
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void polls_sleep(struct mg_mgr *mgr) {
  uint64_t start = real_ms();
  int i;
  for (i = 0; i < 3; i++) mg_mgr_poll(mgr, 50);
  CHECK(real_ms() - start >= 150);
}

int main(void) {
  struct mg_mgr mgr;
  struct rlimit before;
  rlim_t most;
  int failures = 0;
  mg_log_set(MG_LL_NONE);
  CHECK(!mgx_mgr_ok(NULL));
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // Whichever of its descriptors is the one too many.
  for (most = 3; failures < 100; most++, failures++) {
    size_t files;
    limit_files(most);
    mg_mgr_init(&mgr);
    limit_files(before.rlim_cur);
    if (mgx_mgr_ok(&mgr)) break;
    files = open_files();
    CHECK(mgr.epoll_fd == -1);
    CHECK(mg_http_listen(&mgr, "http://127.0.0.1:0", NULL, NULL) == NULL);
    CHECK(mg_connect(&mgr, "tcp://127.0.0.1:1", NULL, NULL) == NULL);
    CHECK(!mg_wakeup(&mgr, 1, "x", 1));
    polls_sleep(&mgr);
    mg_mgr_free(&mgr);
    CHECK(!mgx_mgr_ok(&mgr));
    CHECK_EQ(open_files(), files);
  }
  CHECK(failures > 1 && failures < 100);
  CHECK(mg_http_listen(&mgr, "http://127.0.0.1:0", NULL, NULL) != NULL);
  limit_files(3);
  CHECK(!mg_wakeup_init(&mgr));
  limit_files(before.rlim_cur);
  CHECK(mgr.pipe.fd == -1 && count_conns(&mgr) == 1);
  CHECK(mg_wakeup_init(&mgr));
  mg_mgr_free(&mgr);
  CHECK(!mgx_mgr_ok(&mgr));
  polls_sleep(&mgr);
  return DONE();
}
