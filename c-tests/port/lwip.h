// Included before a test program, by `-include`: the plain sockets of its peers are those of lwIP, as its library's are.
#ifndef LWIP_TESTS_H
#define LWIP_TESTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

// What tells a socket of lwIP from a descriptor.
#define LWIP_FIRST 100000

int lwip_tests_fcntl(int fd, int call, ...);
int lwip_tests_close(int fd);
int lwip_tests_poll(struct pollfd *fds, nfds_t n, int ms);
ssize_t lwip_tests_read(int fd, void *buf, size_t len);
ssize_t lwip_tests_write(int fd, const void *buf, size_t len);
int lwip_tests_number(int sock);
DIR *lwip_tests_opendir(const char *name);
struct dirent *lwip_tests_readdir(DIR *dir);
long lwip_tests_sent(long result);
ssize_t lwip_tests_recv(int sock, void *buf, size_t len, int flags);

int lwip_socket(int domain, int type, int protocol);
int lwip_bind(int s, const struct sockaddr *name, socklen_t len);
int lwip_listen(int s, int backlog);
int lwip_accept(int s, struct sockaddr *addr, socklen_t *len);
int lwip_connect(int s, const struct sockaddr *name, socklen_t len);
int lwip_shutdown(int s, int how);
int lwip_getsockname(int s, struct sockaddr *name, socklen_t *len);
int lwip_getpeername(int s, struct sockaddr *name, socklen_t *len);
int lwip_setsockopt(int s, int level, int name, const void *value, socklen_t len);
int lwip_getsockopt(int s, int level, int name, void *value, socklen_t *len);
ssize_t lwip_send(int s, const void *buf, size_t len, int flags);
ssize_t lwip_recv(int s, void *buf, size_t len, int flags);
ssize_t lwip_sendto(int s, const void *buf, size_t len, int flags, const struct sockaddr *to, socklen_t size);
ssize_t lwip_recvfrom(int s, void *buf, size_t len, int flags, struct sockaddr *from, socklen_t *size);

#define socket(...) lwip_tests_number(lwip_socket(__VA_ARGS__))
#define accept(s, ...) lwip_tests_number(lwip_accept((s) - LWIP_FIRST, __VA_ARGS__))
#define bind(s, ...) lwip_bind((s) - LWIP_FIRST, __VA_ARGS__)
#define listen(s, ...) lwip_listen((s) - LWIP_FIRST, __VA_ARGS__)
#define connect(s, ...) (int) lwip_tests_sent(lwip_connect((s) - LWIP_FIRST, __VA_ARGS__))
#define shutdown(s, ...) (int) lwip_tests_sent(lwip_shutdown((s) - LWIP_FIRST, __VA_ARGS__))
#define getsockname(s, ...) lwip_getsockname((s) - LWIP_FIRST, __VA_ARGS__)
#define getpeername(s, ...) lwip_getpeername((s) - LWIP_FIRST, __VA_ARGS__)
#define setsockopt(s, ...) lwip_setsockopt((s) - LWIP_FIRST, __VA_ARGS__)
#define getsockopt(s, ...) lwip_getsockopt((s) - LWIP_FIRST, __VA_ARGS__)
#define send(s, ...) lwip_tests_sent(lwip_send((s) - LWIP_FIRST, __VA_ARGS__))
#define recv(s, ...) lwip_tests_recv((s) - LWIP_FIRST, __VA_ARGS__)
#define sendto(s, ...) lwip_tests_sent(lwip_sendto((s) - LWIP_FIRST, __VA_ARGS__))
#define recvfrom(s, ...) lwip_recvfrom((s) - LWIP_FIRST, __VA_ARGS__)
#define close(...) lwip_tests_close(__VA_ARGS__)
#define opendir(...) lwip_tests_opendir(__VA_ARGS__)
#define readdir(...) lwip_tests_readdir(__VA_ARGS__)
#define fcntl(...) lwip_tests_fcntl(__VA_ARGS__)
#define poll(...) lwip_tests_poll(__VA_ARGS__)
#define read(...) lwip_tests_read(__VA_ARGS__)
#define write(...) lwip_tests_write(__VA_ARGS__)

#endif
