// A preload that fails one system call, or a few in a row, of those that libmongoose.so makes, or turns its clock: fault_arm says which.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static uintptr_t from, to;
static long calls, first = -1, last, jump;
static int with;

static int find(struct dl_phdr_info *info, size_t size, void *arg) {
  (void) size, (void) arg;
  if (strstr(info->dlpi_name, "libmongoose") == NULL) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
    from = info->dlpi_addr + p->p_vaddr;
    to = from + p->p_memsz;
  }
  return 1;
}

__attribute__((constructor)) static void start(void) {
  dl_iterate_phdr(find, NULL);
}

// From the call `at` on, counted from 0, `n` calls fail with `error`; when that is 0, the clock is turned by `seconds` there.
void fault_arm(long at, long n, int error, long seconds) {
  calls = 0, first = at, last = at + n, with = error, jump = seconds;
}

long fault_calls(void) {
  return calls;
}

static int due(void *caller) {
  uintptr_t at = (uintptr_t) caller;
  if (first < 0 || at < from || at >= to) return 0;
  calls++;
  if (with == 0 || calls - 1 < first || calls - 1 >= last) return 0;
  errno = with;
  return 1;
}

#define FAULTY(type, name, args, pass)                                     \
  type name args {                                                         \
    static type (*real) args;                                              \
    if (real == NULL) real = (type(*) args) dlsym(RTLD_NEXT, #name);       \
    return due(__builtin_return_address(0)) ? (type) -1 : real pass;       \
  }

FAULTY(int, socket, (int a, int b, int c), (a, b, c))
FAULTY(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAULTY(int, listen, (int fd, int n), (fd, n))
FAULTY(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f))
FAULTY(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
FAULTY(int, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
FAULTY(int, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
FAULTY(int, setsockopt, (int fd, int l, int o, const void *v, socklen_t n), (fd, l, o, v, n))
FAULTY(int, getsockopt, (int fd, int l, int o, void *v, socklen_t *n), (fd, l, o, v, n))
FAULTY(int, shutdown, (int fd, int how), (fd, how))
FAULTY(int, epoll_create1, (int f), (f))
FAULTY(int, epoll_ctl, (int fd, int op, int s, struct epoll_event *e), (fd, op, s, e))
FAULTY(int, epoll_wait, (int fd, struct epoll_event *e, int n, int ms), (fd, e, n, ms))
FAULTY(int, eventfd, (unsigned n, int f), (n, f))
FAULTY(ssize_t, recv, (int fd, void *b, size_t n, int f), (fd, b, n, f))
FAULTY(ssize_t, recvmsg, (int fd, struct msghdr *m, int f), (fd, m, f))
FAULTY(ssize_t, send, (int fd, const void *b, size_t n, int f), (fd, b, n, f))
FAULTY(ssize_t, sendfile64, (int o, int i, off64_t *at, size_t n), (o, i, at, n))
FAULTY(ssize_t, read, (int fd, void *b, size_t n), (fd, b, n))
FAULTY(ssize_t, write, (int fd, const void *b, size_t n), (fd, b, n))
FAULTY(int, fstat64, (int fd, struct stat64 *s), (fd, s))
FAULTY(int, stat64, (const char *p, struct stat64 *s), (p, s))

// A descriptor is gone whatever close says.
int close(int fd) {
  static int (*real)(int);
  if (real == NULL) real = (int (*)(int)) dlsym(RTLD_NEXT, "close");
  int fails = due(__builtin_return_address(0)), n = real(fd);
  if (fails) errno = with;
  return fails ? -1 : n;
}

static int opened(void *caller, const char *name, const char *path, int flags, mode_t mode) {
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...)) dlsym(RTLD_NEXT, name);
  return due(caller) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  mode_t mode = va_arg(ap, mode_t);
  va_end(ap);
  return opened(__builtin_return_address(0), "open64", path, flags, mode);
}

int open(const char *path, int flags, ...) {
  va_list ap;
  va_start(ap, flags);
  mode_t mode = va_arg(ap, mode_t);
  va_end(ap);
  return opened(__builtin_return_address(0), "open", path, flags, mode);
}

int clock_gettime(clockid_t id, struct timespec *t) {
  static int (*real)(clockid_t, struct timespec *);
  uintptr_t at = (uintptr_t) __builtin_return_address(0);
  if (real == NULL) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
  int n = real(id, t);
  if (first >= 0 && with == 0 && jump != 0 && at >= from && at < to && calls > first) {
    t->tv_sec += jump;
    if (t->tv_sec < 0) t->tv_sec = 0;
  }
  return n;
}
