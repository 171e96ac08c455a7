// The file system API: direct calls, copied and patched tables, packed files, whole files.
#include "mongoose.h"

#include "check.h"

#ifdef __cplusplus
extern "C"
#else
extern
#endif
char *mg_http_etag(char *buf, size_t len, size_t size, time_t mtime);  // in no header

static bool is(struct mg_str s, const char *text) {
  return s.buf != NULL && mg_strcmp(s, mg_str(text)) == 0;
}

static bool holds(const char *path, const char *text) {
  struct mg_str s = mg_file_read(&mg_fs_posix, path);
  bool same = is(s, text) && s.buf[s.len] == '\0';
  mg_free(s.buf);
  return same;
}

static void count_names(const char *name, void *arg) {
  CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
  (*(int *) arg)++;
}

static int names_in(const char *dir) {
  int n = 0;
  mg_fs_posix.ls(dir, count_names, &n);
  return n;
}

static void missing(void) {
  struct mg_str s;
  char buf[10] = "x";
  CHECK(mg_file_read(&mg_fs_posix, NULL).buf == NULL);
  CHECK(mg_file_read(&mg_fs_posix, "nowhere").buf == NULL);
  CHECK(mg_file_read(&mg_fs_posix, ".").buf == NULL);
  CHECK_EQ(mg_fs_posix.st(NULL, NULL, NULL), 0);
  CHECK(mg_fs_posix.op(NULL, MG_FS_READ) == NULL);
  CHECK(mg_fs_posix.op("nowhere/file", MG_FS_WRITE) == NULL);
  CHECK(mg_fs_open(&mg_fs_posix, "nowhere", MG_FS_READ) == NULL);
  mg_fs_close(NULL);
  CHECK(!mg_file_write(&mg_fs_posix, "nowhere/file", "x", 1));
  CHECK(!mg_fs_posix.rm("nowhere") && !mg_fs_posix.mv("nowhere", "there"));
  CHECK(!mg_fs_ls(&mg_fs_posix, "nowhere", buf, sizeof(buf)) || buf[0] == '\0');
  s = mg_unpacked("nowhere");
  CHECK(s.buf == NULL && s.len == 0);
}

static void handles(void) {
  size_t size = 7;
  time_t mtime = 7;
  char buf[10];
  void *fd = mg_fs_posix.op("f", MG_FS_WRITE);
  struct mg_fd *pair;
  CHECK(fd != NULL);
  CHECK_EQ(mg_fs_posix.wr(fd, "hello", 5), 5);
  CHECK(fcntl(3, F_GETFD) == -1 || (fcntl(3, F_GETFD) & FD_CLOEXEC) != 0);
  mg_fs_posix.cl(fd);
  CHECK_EQ(mg_fs_posix.st("f", &size, &mtime), MG_FS_READ | MG_FS_WRITE);
  CHECK_EQ(size, 5);
  CHECK(mtime > 1000000000);
  CHECK_EQ(mg_fs_posix.st("f", NULL, NULL), MG_FS_READ | MG_FS_WRITE);
  pair = mg_fs_open(&mg_fs_posix, "f", MG_FS_READ);
  CHECK(pair != NULL && pair->fs == &mg_fs_posix);
  if (pair != NULL) {
    CHECK_EQ(pair->fs->sk(pair->fd, 1), 1);
    CHECK_EQ(pair->fs->rd(pair->fd, buf, 3), 3);
    CHECK(memcmp(buf, "ell", 3) == 0);
    CHECK_EQ(pair->fs->sk(pair->fd, 1000), 1000);
    CHECK_EQ(pair->fs->rd(pair->fd, buf, 3), 0);
    CHECK_EQ(pair->fs->wr(pair->fd, "x", 1), 0);
  }
  mg_fs_close(pair);
  CHECK(mg_fs_posix.op("f", MG_FS_WRITE | MG_FS_EXCL) == NULL);
  CHECK(mg_fs_posix.mkd("d") && !mg_fs_posix.mkd("d"));
  CHECK_EQ(mg_fs_posix.st("d", NULL, NULL) & MG_FS_DIR, MG_FS_DIR);
  CHECK(mg_fs_posix.op("d", MG_FS_READ) == NULL);
#ifndef _WIN32
  // Opening a pipe must not wait for somebody who writes to it.
  CHECK_EQ(mkfifo("pipe", 0600), 0);
  CHECK(mg_fs_posix.op("pipe", MG_FS_READ) == NULL);
  CHECK(mg_file_read(&mg_fs_posix, "pipe").buf == NULL);
  fd = mg_fs_posix.op("/dev/zero", MG_FS_READ);
  CHECK(fd != NULL && mg_fs_posix.rd(fd, buf, sizeof(buf)) == sizeof(buf));
  mg_fs_posix.cl(fd);
  CHECK(mg_fs_posix.rm("pipe"));
#endif
  CHECK(mg_fs_posix.rm("f") && mg_fs_posix.rm("d"));
  CHECK_EQ(names_in("."), 2);  // what the test's own output goes to
}

static void reading_and_writing_whole_files(void) {
  char *big = (char *) calloc(1, 3000000);
  struct mg_str s;
  memset(big, 'b', 2999999);
  CHECK(mg_file_write(&mg_fs_posix, "w", "first", 5) && holds("w", "first"));
  CHECK(mg_file_write(&mg_fs_posix, "w", big, 2999999) && holds("w", big));
  CHECK(mg_file_write(&mg_fs_posix, "w", NULL, 0) && holds("w", ""));
  s = mg_file_read(&mg_fs_posix, "w");
  CHECK(s.buf != NULL && s.len == 0);
  mg_free(s.buf);
  CHECK(mg_file_printf(&mg_fs_posix, "w", "%s-%d", "a", 5) && holds("w", "a-5"));
  CHECK(mg_file_printf(&mg_fs_posix, "w", "%s", "") && holds("w", ""));
  CHECK(!mg_file_printf(&mg_fs_posix, "nowhere/w", "x"));
  // An empty directory gives way, another does not; the temporary file is gone either way.
  CHECK(mg_fs_posix.mkd("d") && mg_file_write(&mg_fs_posix, "d", "x", 1) && holds("d", "x"));
  CHECK(mg_fs_posix.mkd("e") && mg_file_write(&mg_fs_posix, "e/f", "x", 1));
  CHECK(!mg_file_write(&mg_fs_posix, "e", "x", 1));
  CHECK_EQ(names_in("."), 5);
  CHECK_EQ(names_in("e"), 1);
  CHECK(mg_fs_posix.rm("e/f") && mg_fs_posix.rm("e") && mg_fs_posix.rm("d") && mg_fs_posix.rm("w"));
  free(big);
}

#ifndef _WIN32  // wine refuses to replace an open file
// Somebody who opened the old file goes on with it: it was replaced, not written over.
static void replacing_is_atomic(void) {
  char buf[10];
  void *fd;
  CHECK(mg_file_write(&mg_fs_posix, "r", "old", 3));
  fd = mg_fs_posix.op("r", MG_FS_READ);
  CHECK(mg_file_write(&mg_fs_posix, "r", "new text", 8));
  CHECK_EQ(mg_fs_posix.rd(fd, buf, sizeof(buf)), 3);
  CHECK(memcmp(buf, "old", 3) == 0 && holds("r", "new text"));
  mg_fs_posix.cl(fd);
  CHECK(mg_fs_posix.rm("r"));
}
#else
static void replacing_is_atomic(void) {}
#endif

static size_t short_write(void *fd, const void *buf, size_t len) {
  return mg_fs_posix.wr(fd, buf, len / 2);
}

static void failing_writes_leave_nothing(void) {
  struct mg_fs fs = mg_fs_posix;
  fs.wr = short_write;
  CHECK(mg_file_write(&mg_fs_posix, "k", "kept", 4));
  CHECK(!mg_file_write(&fs, "k", "something else", 14));
  CHECK(!mg_file_write(&fs, "l", "something else", 14));
  CHECK(holds("k", "kept"));
  CHECK_EQ(names_in("."), 3);
  CHECK(mg_fs_posix.rm("k"));
}

static int s_patched;

static int patched_st(const char *path, size_t *size, time_t *mtime) {
  s_patched++;
  if (size != NULL) *size = 3;
  if (mtime != NULL) *mtime = 5;
  return strcmp(path, "virtual") == 0 ? MG_FS_READ : 0;
}

static void *patched_op(const char *path, int flags) {
  static int fake;
  return strcmp(path, "virtual") == 0 && flags == MG_FS_READ ? &fake : NULL;
}

static size_t patched_rd(void *fd, void *buf, size_t len) {
  memcpy(buf, "abc", len < 3 ? len : 3);
  return len < 3 ? len : 3;
  (void) fd;
}

static void patched_cl(void *fd) {
  s_patched += 100;
  (void) fd;
}

static void tables_are_writable(void) {
  struct mg_fs saved = mg_fs_posix;
  struct mg_str s;
  mg_fs_posix.st = patched_st;
  mg_fs_posix.op = patched_op;
  mg_fs_posix.rd = patched_rd;
  mg_fs_posix.cl = patched_cl;
  s = mg_file_read(&mg_fs_posix, "virtual");
  CHECK(is(s, "abc"));
  mg_free(s.buf);
  CHECK_EQ(s_patched, 101);
  mg_fs_posix = saved;
  CHECK(mg_file_read(&mg_fs_posix, "virtual").buf == NULL);
}

static void iterating_with_mg_fs_ls(void) {
  char buf[8], small[1];
  int count = 0, i;
  CHECK(mg_fs_posix.mkd("s"));
  for (i = 0; i < 5; i++) {
    char path[40];
    mg_snprintf(path, sizeof(path), "s/n%d", i);
    CHECK(mg_file_write(&mg_fs_posix, path, "x", 1));
    mg_snprintf(path, sizeof(path), "s/a-name-that-does-not-fit-%d", i);
    CHECK(mg_file_write(&mg_fs_posix, path, "x", 1));
  }
  buf[0] = '\0';
  while (mg_fs_ls(&mg_fs_posix, "s", buf, sizeof(buf)) && count < 100) {
    CHECK(buf[0] == 'n' && strlen(buf) == 2);
    count++;
  }
  CHECK_EQ(count, 5);
  CHECK_EQ(buf[0], 0);
  small[0] = '\0';
  CHECK(!mg_fs_ls(&mg_fs_posix, "s", small, sizeof(small)));
  CHECK(!mg_fs_ls(&mg_fs_posix, "s", small, 0));
  for (buf[0] = '\0'; mg_fs_ls(&mg_fs_posix, "s", buf, sizeof(buf)); buf[0] = '\0') {
    char path[40];
    mg_snprintf(path, sizeof(path), "s/%s", buf);
    CHECK(mg_fs_posix.rm(path));
  }
  for (i = 0; i < 5; i++) {
    char path[40];
    mg_snprintf(path, sizeof(path), "s/a-name-that-does-not-fit-%d", i);
    CHECK(mg_fs_posix.rm(path));
  }
  CHECK(mg_fs_posix.rm("s"));
}

static const unsigned char s_a[] = "alpha", s_b[] = "beta";

// The application's own; the header only declares it.
const struct mg_mem_file mg_packed_files[] = {
    {"/web/a.txt", s_a, sizeof(s_a) - 1, 1000},
    {"/web/absent.txt", NULL, 5, 1000},
    {"/web/d/b.txt", s_b, sizeof(s_b) - 1, 2000},
    {NULL, NULL, 0, 0},
};

static void packed(void) {
  struct mg_str s;
  char buf[100] = "";
  size_t size = 0;
  time_t mtime = 0;
  void *fd;
  CHECK(mg_mem_files == NULL);
  CHECK(mg_unpacked("/web/a.txt").buf == NULL);
  CHECK_EQ(mg_fs_packed.st("/web", NULL, NULL), 0);
  CHECK(!mg_fs_ls(&mg_fs_packed, "/web", buf, sizeof(buf)));
  mg_mem_files = mg_packed_files;
  s = mg_unpacked("/web/a.txt");
  CHECK(is(s, "alpha") && (const unsigned char *) s.buf == s_a);
  CHECK(mg_unpacked("/web/absent.txt").buf == NULL);
  CHECK_EQ(mg_fs_packed.st("/web/absent.txt", NULL, NULL), 0);
  CHECK(mg_fs_packed.op("/web/absent.txt", MG_FS_READ) == NULL);
  CHECK_EQ(mg_fs_packed.st("/web/d/b.txt", &size, &mtime), MG_FS_READ);
  CHECK(size == 4 && mtime == 2000);
  CHECK_EQ(mg_fs_packed.st("/web/d", NULL, NULL), MG_FS_DIR);
  CHECK(mg_fs_ls(&mg_fs_packed, "/web", buf, sizeof(buf)) && strcmp(buf, "a.txt") == 0);
  CHECK(mg_fs_ls(&mg_fs_packed, "/web", buf, sizeof(buf)) && strcmp(buf, "d") == 0);
  CHECK(!mg_fs_ls(&mg_fs_packed, "/web", buf, sizeof(buf)) && buf[0] == '\0');
  s = mg_file_read(&mg_fs_packed, "/web/d/b.txt");
  CHECK(is(s, "beta"));
  mg_free(s.buf);
  CHECK(!mg_file_write(&mg_fs_packed, "/web/new", "x", 1));
  CHECK(!mg_fs_packed.rm("/web/a.txt") && !mg_fs_packed.mkd("/x") && !mg_fs_packed.mv("/web/a.txt", "/x"));
  fd = mg_fs_packed.op("/web/a.txt", MG_FS_READ);
  CHECK_EQ(mg_fs_packed.wr(fd, "x", 1), 0);
  CHECK_EQ(mg_fs_packed.sk(fd, 100), 5);
  mg_fs_packed.cl(fd);
  mg_mem_files = NULL;
}

static void etags(void) {
  char buf[50];
  CHECK(mg_http_etag(buf, sizeof(buf), 12, 1700000000) == buf);
  CHECK(strcmp(buf, "\"1700000000.12\"") == 0);
  CHECK(mg_http_etag(buf, 5, 12, 1700000000) == buf && strcmp(buf, "\"170") == 0);
  CHECK(mg_http_etag(buf, 0, 12, 1700000000) == buf && strcmp(buf, "\"170") == 0);
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  missing();
  handles();
  reading_and_writing_whole_files();
  replacing_is_atomic();
  failing_writes_leave_nothing();
  tables_are_writable();
  iterating_with_mg_fs_ls();
  packed();
  etags();
  return DONE();
}
