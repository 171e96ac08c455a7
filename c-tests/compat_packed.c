// Files packed by the generator before 7.15: the application defines mg_unlist and mg_unpack.
#define MGX_COMPAT_7 713
#include "peer.h"

static const unsigned char index_html[] = "<html>packed</html>", style_css[] = "body {}", empty[] = "";
static const struct {
  const char *name;
  const unsigned char *data;
  size_t size;
  time_t mtime;
} packed[] = {
    {"/web_root/index.html", index_html, sizeof(index_html) - 1, 1600000000},
    {"/web_root/css/style.css", style_css, sizeof(style_css) - 1, 1600000001},
    {"/web_root/empty.txt", empty, 0, 1600000002},
    {NULL, NULL, 0, 0},
};

const char *mg_unlist(size_t no) { return packed[no].name; }

const char *mg_unpack(const char *name, size_t *size, time_t *mtime) {
  size_t i;
  for (i = 0; packed[i].name != NULL; i++) {
    if (strcmp(packed[i].name, name) != 0) continue;
    if (size != NULL) *size = packed[i].size;
    if (mtime != NULL) *mtime = packed[i].mtime;
    return (const char *) packed[i].data;
  }
  return NULL;
}

static void fn(struct mg_connection *c, int ev, void *ev_data, void *fn_data) {
  if (ev == MG_EV_HTTP_MSG) {
    struct mg_http_serve_opts opts;
    memset(&opts, 0, sizeof(opts));
    opts.root_dir = "/web_root";
    opts.fs = &mg_fs_packed;
    mg_http_serve_dir(c, (struct mg_http_message *) ev_data, &opts);
  }
  (void) fn_data;
}

static void get(struct mg_mgr *mgr, struct mg_connection *l, const char *uri, const char *status, const char *end) {
  struct peer p;
  char request[100];
  peer_open(&p, l);
  mg_snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n\r\n", uri);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(mgr, (peer_read(&p), p.len > strlen(end) && memcmp(p.buf + p.len - strlen(end), end, strlen(end)) == 0));
  CHECK(p.len > 12 && memcmp(p.buf + 9, status, 3) == 0);
  peer_free(&p);
}

int main(void) {
  static const struct mg_mem_file newer[] = {{"/web_root/new.txt", (const uint8_t *) "new", 3, 1}, {NULL, NULL, 0, 0}};
  struct mg_mgr mgr;
  struct mg_connection *l = serve(&mgr, fn, NULL);
  struct mg_str s = mg_unpacked("/web_root/css/style.css");
  char name[50] = "";
  size_t size = 0, names = 0;
  time_t mtime = 0;
  void *fd;
  CHECK(s.len == 7 && s.ptr == (const char *) style_css);
  CHECK(mg_unpacked("/web_root/css").ptr == NULL);
  CHECK_EQ(mg_fs_packed.st("/web_root/index.html", &size, &mtime), MG_FS_READ);
  CHECK(size == sizeof(index_html) - 1 && mtime == 1600000000);
  CHECK_EQ(mg_fs_packed.st("/web_root/css", NULL, NULL), MG_FS_DIR);
  CHECK_EQ(mg_fs_packed.st("/web_root/cs", NULL, NULL), 0);
  while (mg_fs_ls(&mg_fs_packed, "/web_root", name, sizeof(name))) names++;
  CHECK_EQ(names, 3);
  fd = mg_fs_packed.op("/web_root/empty.txt", MG_FS_READ);
  CHECK(fd != NULL && mg_fs_packed.rd(fd, name, 1) == 0);
  mg_fs_packed.cl(fd);
  get(&mgr, l, "/", "200", "<html>packed</html>");
  get(&mgr, l, "/css/style.css", "200", "body {}");
  get(&mgr, l, "/none", "404", "\n");
  mg_mem_files = newer;  // beside the others
  get(&mgr, l, "/new.txt", "200", "new");
  get(&mgr, l, "/css/style.css", "200", "body {}");
  mg_mgr_free(&mgr);
  return DONE();
}
