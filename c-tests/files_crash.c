// C only
// not under: valgrind: it follows no child that is traced
// Files and faults: a process killed at any system call, failing calls, leftovers of killed processes.
#include <sys/file.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "mongoose.h"
#include "mongoose_ext.h"

#include "peer.h"

// ---- the calls that can be made to fail

static int s_fail_rename, s_fail_fsync, s_fail_write, s_fail_close, s_syncs;

static bool fails(int *error) {
  if (*error == 0) return false;
  errno = *error;
  return true;
}

int rename(const char *from, const char *to) {
  return fails(&s_fail_rename) ? -1 : (int) syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fsync(int fd) {
  s_syncs++;
  return fails(&s_fail_fsync) ? -1 : (int) syscall(SYS_fsync, fd);
}

ssize_t write(int fd, const void *buf, size_t len) {
  struct stat st;
  if (s_fail_write != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && fails(&s_fail_write)) return -1;
  return syscall(SYS_write, fd, buf, len);
}

int close(int fd) {
  struct stat st;
  bool file = s_fail_close != 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
  int result = (int) syscall(SYS_close, fd);
  return file && fails(&s_fail_close) ? -1 : result;
}

// ---- what is in a directory

static char s_names[1000];

static void note(const char *name, void *arg) {
  size_t n = strlen(s_names);
  mg_snprintf(s_names + n, sizeof(s_names) - n, "%s ", name);
  (void) arg;
}

static bool only(const char *want) {
  s_names[0] = '\0';
  mg_fs_posix.ls("up", note, NULL);
  if (strcmp(s_names, want) == 0) return true;
  fprintf(stderr, "there is %s, not %s\n", s_names, want);
  return false;
}

static bool holds(const char *path, const char *text) {
  struct mg_str data = mg_file_read(&mg_fs_posix, path);
  bool same = data.buf != NULL && mg_strcmp(data, mg_str(text)) == 0;
  mg_free(data.buf);
  return same;
}

// ---- an upload to this program

static struct mg_mgr s_mgr;
static struct mg_connection *s_listener;
static struct mg_fs *s_fs = &mg_fs_posix;

static void server(struct mg_connection *c, int ev, void *ev_data) {
  struct mg_http_message *hm = (struct mg_http_message *) ev_data;
  if (ev == MG_EV_HTTP_HDRS && mg_match(hm->uri, mg_str("/s*"), NULL)) mg_http_start_upload(c, hm, mg_str("f"), mg_str("up"), s_fs, NULL);
  if (ev == MG_EV_HTTP_MSG) mg_http_upload(c, hm, s_fs, "up", 1000000);
}

static bool answered(const char *request, const char *want) {
  struct peer p;
  bool same;
  size_t others = count_conns(&s_mgr);
  peer_open(&p, s_listener);
  CHECK(peer_send_text(&p, request));
  POLL_UNTIL(&s_mgr, peer_has(&p, 12));
  same = p.len >= 12 && memcmp(p.buf + 9, want, 3) == 0;
  if (!same) fprintf(stderr, "%.100s\n", p.buf);
  peer_free(&p);
  POLL_UNTIL(&s_mgr, count_conns(&s_mgr) == others);
  return same;
}

#define STREAM "PUT /s HTTP/1.1\r\nContent-Length: 3\r\n\r\nnew"
#define PIECE "POST /p?file=f&offset=0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nnew"
#define MORE "POST /p?file=f&offset=3 HTTP/1.1\r\nContent-Length: 3\r\n\r\nmor"

static void failing_calls(void) {
  int *calls[] = {&s_fail_rename, &s_fail_fsync, &s_fail_write, &s_fail_close}, errors[] = {ENOSPC, EIO, EDQUOT};
  size_t i, k;
  for (i = 0; i < 4; i++) {
    for (k = 0; k < 3; k++) {
      CHECK(mg_file_write(&mg_fs_posix, "up/f", "old", 3));
      *calls[i] = errors[k];
      CHECK(!mg_file_write(&mg_fs_posix, "up/f", "new", 3));
      CHECK(!mg_file_printf(&mg_fs_posix, "up/f", "%s", "new"));
      CHECK(answered(STREAM, "500"));
      CHECK(answered(PIECE, "500"));
      if (i > 0) CHECK(answered(MORE, "500"));
      *calls[i] = 0;
      CHECK(only("f ") && holds("up/f", "old"));
      CHECK(mg_fs_posix.rm("up/f"));
      *calls[i] = errors[k];
      CHECK(answered(STREAM, "500"));
      *calls[i] = 0;
      CHECK(only(""));
    }
  }
}

// Renames to names that are not there only, as file systems of devices do.
static bool mv_without_replace(const char *from, const char *to) {
  return mg_fs_posix.st(to, NULL, NULL) == 0 && mg_fs_posix.mv(from, to);
}

static int s_moves, s_last_move;

static bool failing_mv(const char *from, const char *to) {
  return ++s_moves != s_last_move && mv_without_replace(from, to);
}

static void renaming_in_steps(void) {
  struct mg_fs fs = mg_fs_posix;
  int i;
  fs.mv = mv_without_replace;
  CHECK(mg_file_write(&mg_fs_posix, "up/f", "old", 3));
  CHECK(mg_file_write(&fs, "up/f", "new", 3) && only("f ") && holds("up/f", "new"));
  fs.mv = failing_mv;
  for (i = 1; i < 5; i++) {
    bool done;
    CHECK(mg_file_write(&mg_fs_posix, "up/f", "old", 3));
    s_moves = 0, s_last_move = i;
    done = mg_file_write(&fs, "up/f", "new", 3);
    CHECK_EQ(done, i == 1 || i == 4);
    CHECK(only("f ") && holds("up/f", done ? "new" : "old"));
  }
  CHECK(mg_fs_posix.rm("up/f"));
}

static void synced(void) {
  struct mgx_options o;
  memset(&o, 0, sizeof(o));
  s_syncs = 0;
  CHECK(mg_file_write(&mg_fs_posix, "up/f", "new", 3));
  CHECK_EQ(s_syncs, 2);  // the file and its directory
  CHECK(answered(STREAM, "200"));
  CHECK_EQ(s_syncs, 4);
  o.no_fsync = true;
  mgx_mgr_options(&s_mgr, &o);
  CHECK(mg_file_write(&mg_fs_posix, "up/f", "new", 3) && answered(STREAM, "200") && answered(MORE, "200"));
  CHECK_EQ(s_syncs, 4);
  o.no_fsync = false;
  mgx_mgr_options(&s_mgr, &o);
  CHECK(answered(MORE, "400"));
  CHECK(mg_fs_posix.rm("up/f"));
}

// ---- a child that is killed

static void child(bool upload) {
  struct mg_mgr mgr;
  struct peer p;
  if (!upload) {
    raise(SIGSTOP);
    mg_file_write(&mg_fs_posix, "up/f", "new", 3);
    _exit(0);
  }
  peer_open(&p, serve(&mgr, server, NULL));
  peer_send_text(&p, STREAM);
  raise(SIGSTOP);
  while (!peer_has(&p, 12)) mg_mgr_poll(&mgr, 5);
  _exit(0);
}

// Kills a child at its nth system call. False if it made fewer.
static bool killed_at(int nth, bool upload) {
  int status, i;
  pid_t pid = fork();
  if (pid == 0) {
    ptrace(PTRACE_TRACEME, 0, NULL, NULL);
    child(upload);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
  for (i = 0; i <= nth; i++) {
    ptrace(PTRACE_SYSCALL, pid, NULL, NULL);
    if (waitpid(pid, &status, 0) != pid || WIFEXITED(status)) return false;
  }
  kill(pid, SIGKILL);
  CHECK(waitpid(pid, &status, 0) == pid);
  return true;
}

static void killed_at_every_call(bool upload) {
  int nth, olds = 0, news = 0, left = 0;
  for (nth = 0; nth < 2000; nth++) {
    bool more, is_old, is_new;
    CHECK(mg_file_write(&mg_fs_posix, "up/f", "old", 3));
    more = killed_at(nth, upload);
    is_old = holds("up/f", "old"), is_new = holds("up/f", "new");
    CHECK(is_old || is_new);
    olds += is_old, news += is_new;
    if (!only("f ")) left++;
    // The next upload clears up.
    CHECK(answered(STREAM, "200") && only("f "));
    if (!more) break;
  }
  fprintf(stderr, "killed %d times: %d old, %d new, %d with something left\n", nth, olds, news, left);
  CHECK(olds > 5 && news > 0 && left > 3 && nth < 2000);
  CHECK(mg_fs_posix.rm("up/f"));
}

// What is being written by others, or is theirs, stays.
static void only_abandoned_files_are_removed(void) {
  char own[100], other[100], locked[100], dir[100], link[100];
  pid_t gone = fork(), alive = fork();
  int status, fd;
  if (gone == 0) _exit(0);
  if (alive == 0) pause();
  waitpid(gone, &status, 0);
  snprintf(own, sizeof(own), "up/a..%d-abcdefgh1", (int) getpid());
  snprintf(other, sizeof(other), "up/b..%d-abcdefgh1", (int) alive);
  snprintf(locked, sizeof(locked), "up/c..%d-abcdefgh1", (int) gone);
  snprintf(dir, sizeof(dir), "up/d..%d-abcdefgh1", (int) gone);
  snprintf(link, sizeof(link), "up/e..%d-abcdefgh1", (int) gone);
  CHECK(mg_file_write(&mg_fs_posix, own, "x", 1) && mg_file_write(&mg_fs_posix, other, "x", 1));
  CHECK(mg_file_write(&mg_fs_posix, locked, "x", 1) && mg_fs_posix.mkd(dir) && symlink("f", link) == 0);
  fd = open(locked, O_RDONLY);
  CHECK(flock(fd, LOCK_EX | LOCK_NB) == 0);
  CHECK(answered(STREAM, "200"));
  // Nobody holds a lock on what a process with this number has left.
  CHECK(mg_fs_posix.st(own, NULL, NULL) == 0);
  CHECK(mg_fs_posix.st(other, NULL, NULL) != 0 && mg_fs_posix.st(locked, NULL, NULL) != 0);
  CHECK(mg_fs_posix.st(dir, NULL, NULL) != 0 && mg_fs_posix.st(link, NULL, NULL) != 0);
  close(fd);
  kill(alive, SIGKILL);
  waitpid(alive, &status, 0);
  CHECK(mg_fs_posix.rm(dir) && mg_fs_posix.rm(link) && answered(PIECE, "200") && only("f "));
  CHECK(mg_fs_posix.rm("up/f"));
  // Clients cannot give a file such a name.
  CHECK(answered("POST /p?file=g..1-abcdefgh1&offset=0 HTTP/1.1\r\nContent-Length: 3\r\n\r\nnew", "400") && only(""));
}

// An upload that goes on is not disturbed by another to the same directory.
static void two_concurrent_uploads(void) {
  struct peer p;
  peer_open(&p, s_listener);
  CHECK(peer_send_text(&p, "PUT /s HTTP/1.1\r\nContent-Length: 5\r\n\r\nfi"));
  POLL_UNTIL(&s_mgr, !only(""));
  CHECK(answered(STREAM, "200") && holds("up/f", "new"));
  CHECK(peer_send_text(&p, "rst"));
  POLL_UNTIL(&s_mgr, peer_has(&p, 12));
  CHECK(only("f ") && holds("up/f", "first"));
  peer_free(&p);
  CHECK(mg_fs_posix.rm("up/f"));
}

int main(void) {
  mg_log_set(MG_LL_NONE);
  CHECK(mg_fs_posix.mkd("up"));
  s_listener = serve(&s_mgr, server, NULL);
  failing_calls();
  renaming_in_steps();
  synced();
  only_abandoned_files_are_removed();
  two_concurrent_uploads();
  killed_at_every_call(false);
  killed_at_every_call(true);
  mg_mgr_free(&s_mgr);
  return DONE();
}
