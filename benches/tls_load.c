// TLS handshakes, one after the other on each of several threads: connect, handshake, one small request, close.
// usage: tls_load PORT THREADS SECONDS full|resumed 1.2|1.3
// Prints what wrk prints of its results, and how many handshakes were resumed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int s_port, s_resume, s_version;
static double s_end;
static atomic_ulong s_done, s_resumed, s_failed;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static int connected(void) {
  struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons((uint16_t) s_port)};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {10, 0};
  sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (connect(fd, (struct sockaddr *) &sin, sizeof(sin)) == 0) return fd;
  close(fd);
  return -1;
}

// Reads until the answer's last byte, which is a newline that only the body ends with.
static int answered(SSL *ssl) {
  static const char request[] = "GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n";
  char buf[4096];
  int len = 0, n;
  if (SSL_write(ssl, request, sizeof(request) - 1) <= 0) return 0;
  while ((n = SSL_read(ssl, buf + len, (int) sizeof(buf) - 1 - len)) > 0) {
    len += n;
    buf[len] = '\0';
    if (strstr(buf, "\r\n\r\n") != NULL && strstr(buf, "the end\n") != NULL) return strncmp(buf, "HTTP/1.1 200", 12) == 0;
  }
  return 0;
}

// Says goodbye and waits for the other end, so that nothing is left unread.
static void leave(SSL *ssl, int fd) {
  char buf[256];
  SSL_shutdown(ssl);
  shutdown(fd, SHUT_WR);
  while (recv(fd, buf, sizeof(buf), 0) > 0) (void) 0;
}

static void *run(void *arg) {
  SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
  SSL_SESSION *session = NULL;
  SSL_CTX_set_min_proto_version(ctx, s_version);
  SSL_CTX_set_max_proto_version(ctx, s_version);
  while (now() < s_end) {
    int fd = connected();
    SSL *ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_tlsext_host_name(ssl, "localhost");
    if (session != NULL) SSL_set_session(ssl, session);
    if (fd >= 0 && SSL_connect(ssl) == 1 && answered(ssl)) {
      s_done++;
      if (SSL_session_reused(ssl)) s_resumed++;
      leave(ssl, fd);
      if (s_resume) {
        SSL_SESSION_free(session);
        session = SSL_get1_session(ssl);
      }
    } else {
      s_failed++;
    }
    SSL_free(ssl);
    if (fd >= 0) close(fd);
  }
  SSL_SESSION_free(session);
  SSL_CTX_free(ctx);
  return arg;
}

int main(int argc, char **argv) {
  pthread_t threads[256];
  int n = argc == 6 ? atoi(argv[2]) : 0;
  if (n < 1 || n > 256) {
    fprintf(stderr, "usage: %s PORT THREADS SECONDS full|resumed 1.2|1.3\n", argv[0]);
    return 2;
  }
  signal(SIGPIPE, SIG_IGN);
  s_port = atoi(argv[1]);
  s_resume = strcmp(argv[4], "resumed") == 0;
  s_version = strcmp(argv[5], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
  double start = now();
  s_end = start + atof(argv[3]);
  for (int i = 0; i < n; i++) pthread_create(&threads[i], NULL, run, NULL);
  for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
  double seconds = now() - start;
  printf("%lu requests in %.2fs, %lu resumed\n", s_done, seconds, s_resumed);
  printf("Requests/sec: %.2f\n", (double) s_done / seconds);
  // Nearly every one must be of the kind that was asked for.
  if (s_resume ? s_resumed * 10 < s_done * 9 : s_resumed > 0) s_failed += s_done;
  if (s_failed > 0) printf("Socket errors: %lu failed or of the other kind\n", s_failed);
  return s_failed > 0;
}
