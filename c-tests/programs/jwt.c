// Signs claims, or checks tokens: one per line of the standard input, one result per line, `-` for a refusal.
//
// usage: jwt sign|verify hs256 SECRET
//        jwt sign es256 KEY.pem, jwt verify es256 PUBLIC (128 hexadecimal digits: X and Y)
#define MG_TLS MG_TLS_BUILTIN  // declares the key helpers
#include "mongoose.h"

typedef size_t (*sign_t)(const struct mg_jwt_opts *, char *, size_t);
typedef size_t (*verify_t)(struct mg_str, const struct mg_jwt_opts *, char *, size_t);

int main(int argc, char **argv) {
  static char line[10000], out[20000];
  unsigned char key[64];
  struct mg_jwt_opts opts;
  bool sign, es;
  size_t i;

  if (argc != 4) return 2;
  memset(&opts, 0, sizeof(opts));
  sign = strcmp(argv[1], "sign") == 0;
  es = strcmp(argv[2], "es256") == 0;
  opts.secret = mg_str(argv[3]);
  opts.private_key = opts.public_key = key;
  opts.kid = mg_str("a \"key\"");
  opts.header = mg_str("\"x\":[1,2]");
  if (es && sign) {
    struct mg_str pem = mg_file_read(&mg_fs_posix, argv[3]);
    if (mg_uecc_parse_private_key(pem, key, sizeof(key)) != 32) return 1;
    mg_free(pem.buf);
  } else if (es) {
    for (i = 0; i < sizeof(key); i++) {
      if (!mg_str_to_num(mg_str_n(argv[3] + 2 * i, 2), 16, &key[i], 1)) return 2;
    }
  }
  while (fgets(line, sizeof(line), stdin) != NULL) {
    size_t n = strcspn(line, "\n");
    sign_t s = es ? mg_jwt_sign_es256 : mg_jwt_sign_hs256;
    verify_t v = es ? mg_jwt_verify_es256 : mg_jwt_verify_hs256;
    opts.claims = mg_str_n(line, n);
    n = sign ? s(&opts, out, sizeof(out)) : v(mg_str_n(line, n), &opts, out, sizeof(out));
    printf("%.*s\n", n == 0 ? 1 : (int) n, n == 0 ? "-" : out);
  }
  return 0;
}
