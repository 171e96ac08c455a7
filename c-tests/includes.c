// The header alone provides the system headers that applications use without including them.
#include "mongoose.h"

#include "check.h"

static volatile sig_atomic_t signalled;
static void on_signal(int n) {
  signalled = n;
}

int main(void) {
  struct stat st;
  struct sockaddr_in sin;
  struct timeval tv = {0, 0};
  struct epoll_event event;
  fd_set set;
  DIR *dir = opendir(".");
  char *copy = strdup("text"), *real = realpath(".", NULL), *stack = (char *) alloca(8);
  bool yes = true;
  int flag = 1, sock = socket(AF_INET, SOCK_STREAM, 0);

  stack[0] = 'x';
  CHECK(dir != NULL && copy != NULL && real != NULL && yes && stack[0] == 'x');
  if (dir != NULL) closedir(dir);
  CHECK(stat(real, &st) == 0 && S_ISDIR(st.st_mode));
  free(copy);
  free(real);
  signal(SIGUSR1, on_signal);
  raise(SIGUSR1);
  CHECK_EQ(signalled, SIGUSR1);
  CHECK(sock >= 0 && fcntl(sock, F_SETFL, O_NONBLOCK) == 0);
  CHECK(setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &flag, sizeof(flag)) == 0);
  FD_ZERO(&set);
  CHECK(select(0, &set, NULL, NULL, &tv) == 0);
  memset(&sin, 0, sizeof(sin));
  CHECK(inet_pton(AF_INET, "127.0.0.1", &sin.sin_addr) == 1 && ntohs(htons(1)) == 1);
  memset(&event, 0, sizeof(event));
  event.events = EPOLLIN;
  CHECK(gethostbyname("127.0.0.1") != NULL);
  errno = 0;
  CHECK(close(sock) == 0 && errno == 0 && isdigit('7') && INT_MAX > 0);
  CHECK(printf("%" PRIu64 " %ld\n", (uint64_t) 1, (long) time(NULL)) > 0);
  CHECK(offsetof(struct mg_str, len) == sizeof(char *) && MG_PATH_MAX == FILENAME_MAX);
#ifdef closesocket
  CHECK(false);  // applications define it themselves
#endif
  return DONE();
}
