// Nothing of a file that was sent over TLS stays in the server's memory.
// valgrind: --undef-value-errors=no: the assembly code of AES-GCM is beyond it, and what comes out of it counts as undefined
#include "tls.h"

#include <sys/wait.h>

#define FILE_NAME "tls-wiped-file"

enum { SIZE = 300000, MARK = 16, BLOCK = 65536 };

// The text of the file: the same few letters again and again. Only the other process may have them.
static char letter(size_t i) {
  return (char) ('A' + (i % MARK * 7 + 3) % 26);
}

static bool is_mark(const char *text) {
  size_t i = 0;
  while (i < MARK && text[i] == letter(i)) i++;
  return i == MARK;
}

static void server_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = server_tls();
  struct mg_http_serve_opts opts;
  if (ev == MG_EV_ACCEPT) mg_tls_init(c, &o);
  memset(&opts, 0, sizeof(opts));
  if (ev == MG_EV_HTTP_MSG) mg_http_serve_file(c, (struct mg_http_message *) ev_data, FILE_NAME, &opts);
}

static void client_fn(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_tls_opts o = client_tls();
  if (ev == MG_EV_CONNECT) mg_tls_init(c, &o), mg_printf(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  if (ev == MG_EV_HTTP_MSG) *(size_t *) c->fn_data = ((struct mg_http_message *) ev_data)->body.len;
}

// The other process: writes the file and fetches it.
static void fetch(const char *url) {
  static char text[SIZE];
  struct mg_mgr mgr;
  size_t i, got = 0;
  for (i = 0; i < SIZE; i++) text[i] = letter(i);
  CHECK(mg_file_write(&mg_fs_posix, FILE_NAME, text, SIZE));
  mg_mgr_init(&mgr);
  mg_http_connect(&mgr, url, client_fn, &got);
  POLL_UNTIL(&mgr, got > 0);
  CHECK_EQ(got, SIZE);
  mg_mgr_free(&mgr);
}

// How often they are in memory that can be written.
static size_t marks_in_memory(void) {
  static char block[BLOCK + MARK];
  char line[500], access[5];
  unsigned long from, to;
  FILE *maps = fopen("/proc/self/maps", "r");
  int memory = open("/proc/self/mem", O_RDONLY);
  size_t found = 0;
  CHECK(maps != NULL && memory >= 0);
  while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
    if (sscanf(line, "%lx-%lx %4s", &from, &to, access) != 3 || access[1] != 'w') continue;
    if (to - from > 1000000000) continue;  // a sanitizer's own
    for (; from < to; from += BLOCK) {
      ssize_t i, n = pread(memory, block, sizeof(block), (off_t) from);
      for (i = 0; i + MARK <= n; i++) found += is_mark(block + i);
    }
  }
  if (maps != NULL) fclose(maps);
  close(memory);
  return found;
}

int main(void) {
  struct mg_mgr mgr;
  struct mg_connection *l;
  pid_t child;
  int status = -1;
  mg_log_set(MG_LL_ERROR);
  mg_mgr_init(&mgr);
  l = mg_http_listen(&mgr, "https://127.0.0.1:0", server_fn, NULL);
  child = fork();
  if (child == 0) {
    fetch(url_of(l, "https"));
    _exit(checks_failed);
  }
  POLL_UNTIL(&mgr, waitpid(child, &status, WNOHANG) == child);
  CHECK_EQ(status, 0);
  CHECK_EQ(marks_in_memory(), 0);
  remove(FILE_NAME);
  mg_mgr_free(&mgr);
  pem_free();
  return DONE();
}
