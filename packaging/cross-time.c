// Says when a file was changed, which is after 2038, through the library's time_t. For packaging/cross.sh.
//
// usage: cross-time FILE SECONDS
#include "mongoose.h"

char *mg_http_etag(char *, size_t, size_t, time_t);

int main(int argc, char **argv) {
  size_t size = 0;
  time_t mtime = 0;
  char etag[64], want[64];
  if (argc != 3 || sizeof(time_t) != 8) return 2;
  if (!(mg_fs_posix.st(argv[1], &size, &mtime) & MG_FS_READ)) return 3;
  mg_snprintf(want, sizeof(want), "\"%s.%lu\"", argv[2], (unsigned long) size);
  mg_http_etag(etag, sizeof(etag), size, mtime);
  return (long long) mtime == atoll(argv[2]) && strcmp(etag, want) == 0 ? 0 : 1;
}
