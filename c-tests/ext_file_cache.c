// mgx_mgr_file_cache: what is kept, for how long, and what a file system that changes meanwhile does to it. With a clock turned by hand.
#include "ext.h"

#include <utime.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

#include "clock.h"

#define LARGE 3000000
#define OUTSIDE "outside-the-cache"

static struct mg_mgr mgr;
static struct mg_connection *listener;
static struct mg_http_serve_opts opts;
static const char *one_file;
static char *large;
static bool turns_off;

static void files(struct mg_connection *c, int ev, void *ev_data) {
  note(c, ev);
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_message *hm = (struct mg_http_message *) ev_data;
    if (one_file != NULL) mg_http_serve_file(c, hm, one_file, &opts);
    else mg_http_serve_dir(c, hm, &opts);
    if (turns_off) CHECK(mgx_mgr_file_cache(c->mgr, 0, 0));
  }
}

static void put(const char *name, const char *text) {
  CHECK(mg_file_write(&mg_fs_posix, name, text, strlen(text)));
}

static void open_site(size_t entries, uint64_t ms) {
  forget();
  listener = serve(&mgr, files, NULL);
  CHECK(mgx_mgr_file_cache(&mgr, entries, ms));
}

static void turn(uint64_t ms) {
  clock_ms += ms;
  mg_mgr_poll(&mgr, 0);
}

// The answer to a request on a connection of its own. Freed with the next.
static const char *answer(const char *method, const char *uri, const char *headers) {
  static struct peer p;
  char request[500];
  snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\nConnection: close\r\n%s\r\n", method, uri, headers);
  peer_free(&p);
  peer_open(&p, listener);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(&mgr, peer_read(&p));
  p.buf = (char *) realloc(p.buf, p.len + 1);
  p.size = p.len + 1;
  p.buf[p.len] = '\0';
  close(p.fd);
  p.fd = -1;
  return p.buf;
}

static int status(const char *text) {
  return atoi(text + 9);
}

static const char *body(const char *text) {
  const char *end = strstr(text, "\r\n\r\n");
  return end == NULL ? "no head" : end + 4;
}

#define GETS(uri, text) CHECK(strcmp(body(answer("GET", uri, "")), text) == 0)

static void replaced_and_deleted(void) {
  open_site(10, 1000);
  put("www/f", "first");
  GETS("/f", "first");
  put("www/f", "second");
  put("www/f.gz", "packed");
  GETS("/f", "first");  // it was not looked at
  CHECK(strstr(answer("GET", "/f", "Accept-Encoding: gzip\r\n"), "packed") == NULL);
  turn(999);
  GETS("/f", "first");
  turn(1);
  GETS("/f", "second");
  CHECK(strstr(answer("GET", "/f", ""), "Vary: Accept-Encoding\r\n") != NULL);
  CHECK(strcmp(body(answer("GET", "/f", "Accept-Encoding: gzip\r\n")), "packed") == 0);
  CHECK(strstr(answer("GET", "/f", "Accept-Encoding: gzip\r\n"), "Content-Encoding: gzip\r\n") != NULL);
  CHECK(remove("www/f.gz") == 0);
  turn(1000);
  CHECK(strcmp(body(answer("GET", "/f", "Accept-Encoding: gzip\r\n")), "second") == 0);
  CHECK(remove("www/f") == 0);
  GETS("/f", "second");
  turn(1000);
  CHECK_EQ(status(answer("GET", "/f", "")), 404);
  put("www/f", "again");
  GETS("/f", "again");
  CHECK(mgx_mgr_file_cache(&mgr, 0, 0));
  put("www/f", "not kept");
  GETS("/f", "not kept");
  mg_mgr_free(&mgr);
}

// Same size, same second, same inode: its times may be the same, too. They are sooner or later.
static void changed_in_place(void) {
  int i;
  open_site(10, 0);
  put("www/f", "aaaa");
  for (i = 0; i < 50; i++) {
    FILE *f = fopen("www/f", "r+");
    CHECK(f != NULL && fputs(i % 2 ? "bbbb" : "aaaa", f) >= 0 && fclose(f) == 0);
    GETS("/f", i % 2 ? "bbbb" : "aaaa");
  }
  mg_mgr_free(&mgr);
}

#ifdef __linux__
// A change through a mapping after another one, on the same page, leaves no trace in the times at all.
static void changed_through_a_mapping(void) {
  int i, fd;
  char *page;
  bool seen = false;
  open_site(10, 0);
  // Not on a machine so busy that the first change is seconds old when the file is looked at: it counts as an old file then.
  for (i = 0; i < 20 && !seen; i++) {
    put("www/f", "aaaa");
    fd = open("www/f", O_RDWR);
    page = (char *) mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(fd >= 0 && page != MAP_FAILED);
    page[0] = 'b';
    GETS("/f", "baaa");
    page[0] = 'c';
    seen = strcmp(body(answer("GET", "/f", "")), "caaa") == 0;
    munmap(page, 4);
    close(fd);
  }
  CHECK(seen);
  mg_mgr_free(&mgr);
}
#endif

// Files that have not changed for a long time.
static void another_old_file(void) {
  struct mg_str one = mg_file_read(&mg_fs_posix, "/etc/passwd"), other = mg_file_read(&mg_fs_posix, "/etc/group");
  size_t files_before;
  open_site(10, 1000);
  one_file = "old";
  CHECK(one.buf != NULL && other.buf != NULL && symlink("/etc/passwd", "old") == 0);
  GETS("/", one.buf);
  CHECK(remove("old") == 0 && symlink("/etc/group", "old") == 0);
  GETS("/", one.buf);
  turn(1000);
  GETS("/", other.buf);
  // Looked at and found the same: good for as long again, and nothing is open any more.
  poll_often(&mgr);
  files_before = open_files();
  turn(1000);
  GETS("/", other.buf);
  CHECK(remove("old") == 0 && symlink("/etc/passwd", "old") == 0);
  turn(999);
  GETS("/", other.buf);
  poll_often(&mgr);
  CHECK_EQ(open_files(), files_before);
  CHECK(remove("old") == 0);
  one_file = NULL;
  mg_free(one.buf);
  mg_free(other.buf);
  mg_mgr_free(&mgr);
}

static void conditions_ranges_and_heads(void) {
  const char *uncached[8], *uris[] = {"/f", "/large"};
  size_t n;
  int i, round;
  put("www/f", "0123456789");
  put("www/empty", "");
  open_site(10, 1000);
  for (i = 0; i < 2; i++) CHECK_EQ(status(answer("GET", "/empty", "Range: bytes=5-\r\n")), 416);
  mg_mgr_free(&mgr);
  for (n = 0; n < 2; n++) {
    struct utimbuf times = {1700000000, 1700000000};
    CHECK(utime("www/f", &times) == 0 && utime("www/large", &times) == 0);
    for (round = 0; round < 3; round++) {  // without, when it is put there, from there
      const char *requests_of[][2] = {{"GET", ""},
                                      {"HEAD", ""},
                                      {"GET", "Range: bytes=2-5\r\n"},
                                      {"GET", "Range: bytes=-3\r\n"},
                                      {"GET", "Range: bytes=5000000-\r\n"},
                                      {"GET", "If-None-Match: *\r\n"},
                                      {"GET", "If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\n"},
                                      {"GET", "If-Match: \"no\"\r\n"}};
      if (round < 2) open_site(round == 0 ? 0 : 10, 1000);
      for (i = 0; i < 8; i++) {
        const char *got = answer(requests_of[i][0], uris[n], requests_of[i][1]);
        if (round == 0) uncached[i] = strdup(got);
        else CHECK(strcmp(got, uncached[i]) == 0);
      }
      if (round != 1) mg_mgr_free(&mgr);
    }
    for (i = 0; i < 8; i++) free((void *) uncached[i]);
  }
}

static void links_that_lead_out(void) {
  open_site(10, 1000);
  mkdir("www/d", 0755);
  put("www/d/f", "inside");
  mkdir(OUTSIDE, 0755);
  GETS("/d/f", "inside");
  // The very same file, moved out with its directory, and a link to it in its place.
  CHECK(rename("www/d", OUTSIDE "/d") == 0 && symlink("../" OUTSIDE "/d", "www/d") == 0);
  turn(1000);
  CHECK_EQ(status(answer("GET", "/d/f", "")), 404);
  CHECK(remove("www/d") == 0);
  CHECK_EQ(status(answer("GET", "/d/f", "")), 404);
  // Kept for one directory is not kept for another one.
  opts.root_dir = ".";
  GETS("/" OUTSIDE "/d/f", "inside");
  CHECK(symlink(OUTSIDE, "link") == 0);
  GETS("/link/d/f", "inside");
  opts.root_dir = "www";
  CHECK(symlink("../" OUTSIDE "/d/f", "www/l") == 0);
  CHECK_EQ(status(answer("GET", "/l", "")), 404);
  one_file = "www/l";  // not confined
  GETS("/", "inside");
  one_file = NULL;
  CHECK_EQ(status(answer("GET", "/l", "")), 404);
  // A path that begins like the root and a path in it.
  mkdir("wwwwww", 0755);
  put("wwwwww/f", "another"), put("www/f", "one");
  one_file = "wwwwww/f";
  GETS("/", "another");
  one_file = NULL;
  GETS("/f", "one");
  CHECK(remove("wwwwww/f") == 0 && rmdir("wwwwww") == 0);
  CHECK(remove("www/l") == 0 && remove("link") == 0 && remove(OUTSIDE "/d/f") == 0 && rmdir(OUTSIDE "/d") == 0 && rmdir(OUTSIDE) == 0);
  mg_mgr_free(&mgr);
}

// The least recently used one goes first.
static void which_entries_go(void) {
  open_site(2, 1000000);
  put("www/a", "a"), put("www/b", "b"), put("www/c", "c");
  GETS("/a", "a");
  GETS("/b", "b");
  GETS("/a", "a");
  GETS("/c", "c");
  put("www/a", "A"), put("www/b", "B"), put("www/c", "C");
  GETS("/a", "a");
  GETS("/c", "c");
  GETS("/b", "B");
  CHECK(mgx_mgr_file_cache(&mgr, 1, 1000000));
  GETS("/a", "A");
  put("www/a", "a");
  GETS("/a", "A");
  GETS("/c", "C");
  GETS("/a", "a");
  mg_mgr_free(&mgr);
}

static void gone_during_a_transfer(void) {
  struct peer p, q;
  size_t files_before, n;
  open_site(1, 1000);
  put("www/f", "small");
  files_before = open_files();
  GETS("/large", large);
  poll_often(&mgr);
  CHECK_EQ(open_files(), files_before + 1);
  peer_connect(&p, port_of(listener), 65536);
  peer_connect(&q, port_of(listener), 65536);
  ask(&mgr, &p, GET("/large"));
  ask(&mgr, &q, GET("/large"));
  POLL_UNTIL(&mgr, peer_take(&p, 1000) || p.len > 0);
  GETS("/f", "small");  // takes the place of the large one
  CHECK(mgx_mgr_file_cache(&mgr, 0, 0));
  for (n = 0; n < 2; n++) {
    struct peer *one = n == 0 ? &p : &q;
    POLL_UNTIL(&mgr, (peer_read(&p), peer_read(&q), one->len > LARGE && memcmp(one->buf + one->len - LARGE, large, LARGE) == 0));
  }
  peer_free(&p);
  peer_free(&q);
  POLL_UNTIL(&mgr, count_conns(&mgr) == 1);
  CHECK_EQ(open_files(), files_before);
  // A drain begins while a kept file is on its way.
  CHECK(mgx_mgr_file_cache(&mgr, 1, 1000));
  peer_connect(&p, port_of(listener), 65536);
  ask(&mgr, &p, GET("/large"));
  CHECK(mgx_mgr_drain(&mgr, NULL));
  POLL_UNTIL(&mgr, (peer_read(&p), p.len > LARGE && memcmp(p.buf + p.len - LARGE, large, LARGE) == 0));
  turn(1000);  // the graces
  POLL_UNTIL(&mgr, peer_read(&p));
  CHECK_EQ(p.end, PEER_FIN);
  CHECK(p.len > LARGE && memcmp(p.buf + p.len - LARGE, large, LARGE) == 0);
  peer_free(&p);
  mg_mgr_free(&mgr);
}

// Files of up to 16 KiB are kept in memory, others open, but not if that takes more than half of the descriptors.
static void what_is_kept_open(void) {
  struct rlimit limit, few;
  int spare[20], i, top;
  size_t before;
  CHECK(mg_file_write(&mg_fs_posix, "www/most", large, 16384) && mg_file_write(&mg_fs_posix, "www/more", large, 16385));
  open_site(10, 1000000);
  before = open_files();
  answer("GET", "/most", "");
  poll_often(&mgr);
  CHECK_EQ(open_files(), before);
  answer("GET", "/more", "");
  poll_often(&mgr);
  CHECK_EQ(open_files(), before + 1);
  // Replaced, and deleted.
  for (i = 0; i < 3; i++) {
    CHECK(mg_file_write(&mg_fs_posix, "www/more", large, 16386 + (size_t) i));
    turn(1000000);
    answer("GET", "/more", "");
    poll_often(&mgr);
    CHECK_EQ(open_files(), before + 1);
  }
  CHECK(remove("www/more") == 0);
  turn(1000000);
  CHECK_EQ(status(answer("GET", "/more", "")), 404);
  poll_often(&mgr);
  CHECK_EQ(open_files(), before);
  for (i = 0; i < 20; i++) spare[i] = dup(0);
  top = spare[19];
  CHECK(top >= 20 && getrlimit(RLIMIT_NOFILE, &limit) == 0);
  few = limit;
  few.rlim_cur = (rlim_t) top + 10;
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
  before = open_files();
  answer("GET", "/large", "");
  poll_often(&mgr);
  CHECK_EQ(open_files(), before);
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  answer("GET", "/large", "");
  poll_often(&mgr);
  CHECK_EQ(open_files(), before + (limit.rlim_cur / 2 > (rlim_t) top + 10));
  for (i = 0; i < 20; i++) close(spare[i]);
  mg_mgr_free(&mgr);
}

static void turned_off_by_a_handler(void) {
  size_t before;
  open_site(2, 1000000);
  before = open_files();
  GETS("/large", large);
  poll_often(&mgr);
  CHECK_EQ(open_files(), before + 1);
  turns_off = true;
  GETS("/large", large);
  put("www/f", "one");
  GETS("/f", "one");
  turns_off = false;
  put("www/f", "two");
  GETS("/f", "two");
  poll_often(&mgr);
  CHECK_EQ(open_files(), before);
  mg_mgr_free(&mgr);
}

static void what_is_not_kept(void) {
  struct mg_mgr other;
  open_site(10, 1000000);
  put("www/p.shtml", "one"), put("www/index.html", "index");
  opts.ssi_pattern = "#.shtml";
  GETS("/p.shtml", "one");
  put("www/p.shtml", "two");
  GETS("/p.shtml", "two");
  GETS("/", "index");
  opts.ssi_pattern = NULL;
  opts.extra_headers = "A: 1\r\n";
  CHECK(strstr(answer("GET", "/index.html", ""), "\r\nA: 1\r\n") != NULL);
  opts.extra_headers = NULL;
  CHECK(strstr(answer("GET", "/index.html", ""), "\r\nA: 1\r\n") == NULL);
  opts.mime_types = "html=a/b";
  CHECK(strstr(answer("GET", "/index.html", ""), "Content-Type: a/b\r\n") != NULL);
  opts.mime_types = NULL;
  CHECK(strstr(answer("GET", "/index.html", ""), "Content-Type: text/html") != NULL);
  CHECK_EQ(status(answer("GET", "/none", "")), 404);
  put("www/none", "there");
  GETS("/none", "there");
  mg_mgr_free(&mgr);
  CHECK(!mgx_mgr_file_cache(NULL, 1, 1));
  memset(&other, 0, sizeof(other));
  CHECK(!mgx_mgr_file_cache(&other, 1, 1));
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  mkdir("www", 0755);
  opts.root_dir = "www";
  large = make_body(LARGE);
  CHECK(mg_file_write(&mg_fs_posix, "www/large", large, LARGE));
  replaced_and_deleted();
  changed_in_place();
#ifdef __linux__
  changed_through_a_mapping();
#endif
  another_old_file();
  conditions_ranges_and_heads();
  links_that_lead_out();
  which_entries_go();
  gone_during_a_transfer();
  what_is_kept_open();
  turned_off_by_a_handler();
  what_is_not_kept();
  free(large);
  return DONE();
}
