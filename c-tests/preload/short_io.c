// A preload that makes every transfer on a stream socket short: at most SHORT_IO bytes, for the calls of libmongoose.so alone. After
// so many transfers on a descriptor only every other is, or megabytes would take minutes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ALL = 8192, DESCRIPTORS = 1 << 16 };

static unsigned counts[DESCRIPTORS];
static unsigned long cuts;
static size_t most;
static uintptr_t from, to;

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
  const char *n = getenv("SHORT_IO");
  most = n == NULL ? 0 : strtoul(n, NULL, 10);
  dl_iterate_phdr(find, NULL);
}

static size_t cut(void *caller, int fd, size_t len) {
  int type = 0;
  socklen_t size = sizeof(type);
  uintptr_t at = (uintptr_t) caller;
  if (most == 0 || len <= most || at < from || at >= to) return len;
  if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) return len;
  if (fd < DESCRIPTORS) {
    unsigned n = __atomic_fetch_add(&counts[fd], 1, __ATOMIC_RELAXED);
    if (n > ALL && n % 2 != 0) return len;
  }
  return most;
}

// For tests: how often a transfer was cut to the end.
unsigned long short_io_cuts(void) {
  return __atomic_load_n(&cuts, __ATOMIC_RELAXED);
}

static ssize_t counted(ssize_t n) {
  if (most > 0 && n == (ssize_t) most) __atomic_fetch_add(&cuts, 1, __ATOMIC_RELAXED);
  return n;
}

#define REAL(name) static __typeof__(name) *real; if (real == NULL) real = (__typeof__(name) *) dlsym(RTLD_NEXT, #name)
#define CUT(fd, len) cut(__builtin_return_address(0), fd, len)

int close(int fd) {
  REAL(close);
  if (fd >= 0 && fd < DESCRIPTORS) counts[fd] = 0;
  return real(fd);
}

ssize_t recv(int fd, void *buf, size_t len, int flags) {
  REAL(recv);
  return counted(real(fd, buf, CUT(fd, len), flags));
}

ssize_t recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *a, socklen_t *alen) {
  REAL(recvfrom);
  return counted(real(fd, buf, CUT(fd, len), flags, a, alen));
}

ssize_t read(int fd, void *buf, size_t len) {
  REAL(read);
  return counted(real(fd, buf, CUT(fd, len)));
}

ssize_t send(int fd, const void *buf, size_t len, int flags) {
  REAL(send);
  return counted(real(fd, buf, CUT(fd, len), flags));
}

ssize_t sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *a, socklen_t alen) {
  REAL(sendto);
  return counted(real(fd, buf, CUT(fd, len), flags, a, alen));
}

ssize_t write(int fd, const void *buf, size_t len) {
  REAL(write);
  return counted(real(fd, buf, CUT(fd, len)));
}

ssize_t sendfile(int out, int in, off_t *at, size_t len) {
  REAL(sendfile);
  return counted(real(out, in, at, CUT(out, len)));
}

ssize_t sendfile64(int out, int in, off64_t *at, size_t len) {
  REAL(sendfile64);
  return counted(real(out, in, at, CUT(out, len)));
}

// The first part of a message alone, shortened.
static size_t shorten(struct msghdr *m, struct iovec *part, size_t allowed) {
  if (m->msg_iovlen == 0 || allowed >= m->msg_iov[0].iov_len) return 0;
  *part = m->msg_iov[0];
  part->iov_len = allowed;
  m->msg_iov = part;
  m->msg_iovlen = 1;
  return 1;
}

ssize_t recvmsg(int fd, struct msghdr *m, int flags) {
  REAL(recvmsg);
  struct iovec part;
  struct msghdr mine = *m;
  if (m->msg_iovlen == 0 || !shorten(&mine, &part, CUT(fd, m->msg_iov[0].iov_len))) return real(fd, m, flags);
  ssize_t n = counted(real(fd, &mine, flags));
  mine.msg_iov = m->msg_iov;
  mine.msg_iovlen = m->msg_iovlen;
  *m = mine;
  return n;
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags) {
  REAL(sendmsg);
  struct iovec part;
  struct msghdr mine = *m;
  if (m->msg_iovlen == 0 || !shorten(&mine, &part, CUT(fd, m->msg_iov[0].iov_len))) return real(fd, m, flags);
  return counted(real(fd, &mine, flags));
}
