// The part of POSIX that the test programs use, over Winsock and the C runtime: sockets whose descriptors are ints, errno after socket
// calls, non-blocking calls, poll, socket pairs. Included before everything else when they are compiled for Windows; not for applications.
#ifndef POSIX_H
#define POSIX_H

#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#include <winsock2.h>
#include <ws2tcpip.h>
#include <windows.h>
// The programs use these as identifiers.
#undef interface
#undef near
#undef far
#undef s_addr
#define s_addr S_un.S_addr
#undef TEXT
#undef FAILED

#include <direct.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MSG_DONTWAIT 0x40000000
#define MSG_NOSIGNAL 0
// The library's messages and mgx_close_errno use Winsock's error numbers.
#undef ECONNREFUSED
#undef EMSGSIZE
#undef ENETUNREACH
#undef ETIMEDOUT
#define ECONNREFUSED WSAECONNREFUSED
#define EMSGSIZE WSAEMSGSIZE
#define ENETUNREACH WSAENETUNREACH
#define ETIMEDOUT WSAETIMEDOUT
#define SHUT_RD SD_RECEIVE
#define SHUT_WR SD_SEND
#define SHUT_RDWR SD_BOTH
#define F_GETFL 1
#define F_SETFL 2
#define F_GETFD 3
#define F_SETFD 4
#define FD_CLOEXEC 1
#define O_NONBLOCK 0x800
#define SIGPIPE 13
#define SIGKILL 9
// Any value of the C runtime that is otherwise unused.
#define SIGUSR1 SIGBREAK
#define SOCK_NONBLOCK 0x800
#ifndef SO_REUSEPORT
#define SO_REUSEPORT 15
#endif

// No test opens more sockets. A handle is a multiple of 4.
enum { POSIX_SOCKETS = 65536 };
static unsigned char posix_nonblocking[POSIX_SOCKETS];

static inline int posix_result(int result) {
  if (result >= 0) return result;
  switch (WSAGetLastError()) {
    case WSAEWOULDBLOCK: errno = EAGAIN; break;
    case WSAECONNRESET: case WSAECONNABORTED: errno = ECONNRESET; break;
    case WSAESHUTDOWN: errno = EPIPE; break;
    case WSAECONNREFUSED: errno = ECONNREFUSED; break;
    case WSAEADDRINUSE: errno = EADDRINUSE; break;
    case WSAENOTSOCK: case WSAEBADF: errno = EBADF; break;
    case WSAENOTCONN: errno = ENOTCONN; break;
    case WSAEINVAL: errno = EINVAL; break;
    case WSAETIMEDOUT: errno = ETIMEDOUT; break;
    default: errno = EIO;
  }
  return -1;
}

static inline void posix_block(int fd, bool on) {
  u_long nonblocking = !on;
  ioctlsocket((SOCKET) fd, (long) FIONBIO, &nonblocking);
}

static inline bool posix_is_socket(int fd) {
  int type, len = sizeof(type);
  return fd >= 0 && (fd & 3) == 0 && getsockopt((SOCKET) fd, SOL_SOCKET, SO_TYPE, (char *) &type, &len) == 0;
}

static inline unsigned char *posix_mode(int fd) { return &posix_nonblocking[(fd / 4) % POSIX_SOCKETS]; }

// Programs with a manager get this from mg_mgr_init.
__attribute__((constructor, unused)) static void posix_start(void) {
  WSADATA data;
  WSAStartup(MAKEWORD(2, 2), &data);
}

static inline int posix_new(SOCKET s) {
  if (s == INVALID_SOCKET) return posix_result(-1);
  *posix_mode((int) s) = 0;
  return (int) s;
}

static inline int posix_socket(int family, int type, int protocol) {
  int fd = posix_new(socket(family, type & ~SOCK_NONBLOCK, protocol));
  if (fd >= 0 && (type & SOCK_NONBLOCK)) {
    *posix_mode(fd) = 1;
    posix_block(fd, false);
  }
  return fd;
}

static inline int posix_accept(int fd, struct sockaddr *addr, socklen_t *len) {
  int s = posix_new(accept((SOCKET) fd, addr, len));
  if (s >= 0) posix_block(s, true);
  return s;
}

static inline int posix_connect(int fd, const struct sockaddr *addr, socklen_t len) {
  int n = posix_result(connect((SOCKET) fd, addr, len));
  if (n < 0 && errno == EAGAIN) errno = EINPROGRESS;
  return n;
}

static inline ssize_t posix_recvfrom(int fd, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *size) {
  // Without changing its mode: it may be a socket of the library.
  struct pollfd p = {(SOCKET) fd, POLLIN, 0};
  if ((flags & MSG_DONTWAIT) && WSAPoll(&p, 1, 0) == 0) {
    errno = EAGAIN;
    return -1;
  }
  return posix_result(recvfrom((SOCKET) fd, (char *) buf, (int) len, flags & ~MSG_DONTWAIT, from, size));
}

static inline ssize_t posix_recv(int fd, void *buf, size_t len, int flags) { return posix_recvfrom(fd, buf, len, flags, NULL, NULL); }

static inline ssize_t posix_sendto(int fd, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t size) {
  int n, error;
  if (flags & MSG_DONTWAIT) posix_block(fd, false);
  n = sendto((SOCKET) fd, (const char *) buf, (int) len, flags & ~MSG_DONTWAIT, to, size);
  error = WSAGetLastError();
  if (flags & MSG_DONTWAIT) posix_block(fd, !*posix_mode(fd));
  WSASetLastError(error);
  return posix_result(n);
}

static inline ssize_t posix_send(int fd, const void *buf, size_t len, int flags) { return posix_sendto(fd, buf, len, flags, NULL, 0); }

static inline ssize_t posix_read(int fd, void *buf, size_t len) {
  return posix_is_socket(fd) ? posix_recv(fd, buf, len, 0) : _read(fd, buf, (unsigned) len);
}

static inline ssize_t posix_write(int fd, const void *buf, size_t len) {
  return posix_is_socket(fd) ? posix_send(fd, buf, len, 0) : _write(fd, buf, (unsigned) len);
}

static inline int posix_close(int fd) { return posix_is_socket(fd) ? posix_result(closesocket((SOCKET) fd)) : _close(fd); }

static inline int posix_setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  return posix_result(setsockopt((SOCKET) fd, level, name, (const char *) value, len));
}

static inline int posix_getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
  return posix_result(getsockopt((SOCKET) fd, level, name, (char *) value, len));
}

static inline int posix_fcntl(int fd, int cmd, int arg) {
  if (!posix_is_socket(fd)) {
    errno = EBADF;
    return -1;
  }
  if (cmd == F_GETFL) return *posix_mode(fd) ? O_NONBLOCK : 0;
  if (cmd == F_SETFL) {
    *posix_mode(fd) = (arg & O_NONBLOCK) != 0;
    posix_block(fd, !*posix_mode(fd));
  }
  return 0;
}
#define posix_fcntl_2(fd, cmd) posix_fcntl(fd, cmd, 0)
#define posix_fcntl_3(fd, cmd, arg) posix_fcntl(fd, cmd, arg)
#define posix_fourth(a, b, c, d, ...) d
#define fcntl(...) posix_fourth(__VA_ARGS__, posix_fcntl_3, posix_fcntl_2, )(__VA_ARGS__)

static inline int poll(struct pollfd *fds, unsigned long n, int ms) { return posix_result(WSAPoll(fds, n, ms)); }

// Over TCP, whatever the caller asks for.
static inline int socketpair(int family, int type, int protocol, int fd[2]) {
  struct sockaddr_in sin;
  socklen_t len = sizeof(sin);
  int on = 1, listener = posix_socket(AF_INET, SOCK_STREAM, 0);
  (void) family, (void) type, (void) protocol;
  memset(&sin, 0, sizeof(sin));
  sin.sin_family = AF_INET;
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind((SOCKET) listener, (struct sockaddr *) &sin, len) != 0 || listen((SOCKET) listener, 1) != 0) return posix_result(-1);
  getsockname((SOCKET) listener, (struct sockaddr *) &sin, &len);
  fd[0] = posix_socket(AF_INET, SOCK_STREAM, 0);
  if (connect((SOCKET) fd[0], (struct sockaddr *) &sin, len) != 0) return posix_result(-1);
  fd[1] = posix_accept(listener, NULL, NULL);
  posix_setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  posix_setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  closesocket((SOCKET) listener);
  return fd[1] < 0 ? -1 : 0;
}

static inline int posix_dup(int fd) {
  WSAPROTOCOL_INFOW info;
  if (!posix_is_socket(fd)) return _dup(fd);
  if (WSADuplicateSocketW((SOCKET) fd, GetCurrentProcessId(), &info) != 0) return posix_result(-1);
  return posix_new(WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &info, 0, 0));
}

static inline int posix_pipe(int fd[2]) { return socketpair(AF_UNIX, SOCK_STREAM, 0, fd); }

#define socket(family, type, protocol) posix_socket(family, type, protocol)
#define accept(fd, addr, len) posix_accept(fd, addr, len)
#define connect(fd, addr, len) posix_connect(fd, addr, len)
#define recv(fd, buf, len, flags) posix_recv(fd, buf, len, flags)
#define send(fd, buf, len, flags) posix_send(fd, buf, len, flags)
#define recvfrom(fd, buf, len, flags, from, size) posix_recvfrom(fd, buf, len, flags, from, size)
#define sendto(fd, buf, len, flags, to, size) posix_sendto(fd, buf, len, flags, to, size)
#define read(fd, buf, len) posix_read(fd, buf, len)
#define write(fd, buf, len) posix_write(fd, buf, len)
#define close(fd) posix_close(fd)
#define setsockopt(fd, level, name, value, len) posix_setsockopt(fd, level, name, value, len)
#define getsockopt(fd, level, name, value, len) posix_getsockopt(fd, level, name, value, len)
#define pipe(fd) posix_pipe(fd)
#define dup(fd) posix_dup(fd)

// The library's messages end with Winsock's error number.
static inline const char *posix_strerror(int n) {
  static char text[40];
  n = n == EADDRINUSE ? WSAEADDRINUSE : n == EADDRNOTAVAIL ? WSAEADDRNOTAVAIL : n == EINVAL ? WSAEINVAL : n;
  snprintf(text, sizeof(text), "(os error %d)", n);
  return text;
}
#define strerror(n) posix_strerror(n)

// ---- signals: handlers stay installed
typedef void (*posix_handler)(int);
static posix_handler posix_handlers[32];

static void posix_caught(int signo) {
  signal(signo, posix_caught);
  posix_handlers[signo](signo);
}

static inline posix_handler posix_signal(int signo, posix_handler handler) {
  bool own = handler != SIG_DFL && handler != SIG_IGN;
  posix_handler before, mine = signo >= 0 && signo < 32 ? posix_handlers[signo] : SIG_ERR;
  if (mine == SIG_ERR) return SIG_ERR;
  if (own) posix_handlers[signo] = handler;
  before = signal(signo, own ? posix_caught : handler);
  return before == posix_caught ? mine : before;
}
#define signal(signo, handler) posix_signal(signo, handler)

// ---- allocations are not counted
static inline struct mallinfo2 {
  size_t uordblks;
} mallinfo2(void) {
  struct mallinfo2 none = {0};
  return none;
}

// ---- files and processes
#define mkdir(path, mode) _mkdir(path)

static inline char *mkdtemp(char *path) { return _mktemp(path) != NULL && _mkdir(path) == 0 ? path : NULL; }

static inline int posix_mkstemp(char *path) {
  return _mktemp(path) == NULL ? -1 : _open(path, _O_RDWR | _O_CREAT | _O_EXCL | _O_BINARY, _S_IREAD | _S_IWRITE);
}
#define mkstemp(path) posix_mkstemp(path)

static inline int posix_remove(const char *path) { return _unlink(path) == 0 ? 0 : _rmdir(path); }
#define remove(path) posix_remove(path)

static inline int setenv(const char *name, const char *value, int overwrite) {
  (void) overwrite;
  return _putenv_s(name, value);
}

static inline int unsetenv(const char *name) { return _putenv_s(name, ""); }

static inline int kill(int pid, int signo) { return pid == _getpid() ? raise(signo) : -1; }

static inline char *realpath(const char *path, char *to) { return _fullpath(to, path, _MAX_PATH); }

// There are no limits to lower.
typedef size_t rlim_t;
struct rlimit {
  rlim_t rlim_cur, rlim_max;
};
#define RLIMIT_NOFILE 7
static inline int getrlimit(int what, struct rlimit *limit) {
  (void) what;
  limit->rlim_cur = limit->rlim_max = 100000;
  return 0;
}
static inline int setrlimit(int what, const struct rlimit *limit) { return (void) what, (void) limit, 0; }

#endif
