// Keys on both curves, and tokens signed with them.
// flags: -DMG_TLS=MG_TLS_BUILTIN
#include "mongoose.h"

#include "check.h"

static void curve(MG_UECC_Curve c, size_t n) {
  unsigned char private_a[48], private_b[48], public_a[96], public_b[96], again[96], secret_a[48], secret_b[48];
  unsigned char hash[64], one[96], two[96];
  CHECK_EQ(mg_uecc_curve_private_key_size(c), n);
  CHECK_EQ(mg_uecc_curve_public_key_size(c), 2 * n);
  CHECK_EQ(mg_uecc_make_key(public_a, private_a, c), 1);
  CHECK_EQ(mg_uecc_make_key(public_b, private_b, c), 1);
  CHECK(memcmp(private_a, private_b, n) != 0);
  CHECK_EQ(mg_uecc_compute_public_key(private_a, again, c), 1);
  CHECK(memcmp(again, public_a, 2 * n) == 0);

  CHECK_EQ(mg_uecc_shared_secret(public_b, private_a, secret_a, c), 1);
  CHECK_EQ(mg_uecc_shared_secret(public_a, private_b, secret_b, c), 1);
  CHECK(memcmp(secret_a, secret_b, n) == 0);

  mg_random(hash, sizeof(hash));
  CHECK_EQ(mg_uecc_sign(private_a, hash, 32, one, c), 1);
  CHECK_EQ(mg_uecc_sign(private_a, hash, 32, two, c), 1);
  CHECK(memcmp(one, two, 2 * n) != 0);  // another nonce each time
  CHECK_EQ(mg_uecc_verify(public_a, hash, 32, one, c), 1);
  CHECK_EQ(mg_uecc_verify(public_a, hash, 32, two, c), 1);
  CHECK_EQ(mg_uecc_verify(public_b, hash, 32, one, c), 0);
  CHECK_EQ(mg_uecc_verify(public_a, hash, 31, one, c), 0);
  one[n] ^= 1;
  CHECK_EQ(mg_uecc_verify(public_a, hash, 32, one, c), 0);
  // Of a long hash the first n bytes count.
  CHECK_EQ(mg_uecc_sign(private_a, hash, 64, one, c), 1);
  CHECK_EQ(mg_uecc_verify(public_a, hash, (unsigned) n, one, c), 1);
  // In place.
  memcpy(one, hash, 32);
  CHECK_EQ(mg_uecc_sign(private_a, one, 32, one, c), 1);
  CHECK_EQ(mg_uecc_verify(public_a, hash, 32, one, c), 1);

  CHECK_EQ(mg_uecc_valid_public_key(public_a, c), 1);
  public_a[2 * n - 1] ^= 1;
  CHECK_EQ(mg_uecc_valid_public_key(public_a, c), 0);
  CHECK_EQ(mg_uecc_shared_secret(public_a, private_b, secret_b, c), 0);
  memset(private_a, 0, sizeof(private_a));
  CHECK_EQ(mg_uecc_compute_public_key(private_a, again, c), 0);
  CHECK_EQ(mg_uecc_sign(private_a, hash, 32, one, c), 0);
  memset(private_a, 255, sizeof(private_a));
  CHECK_EQ(mg_uecc_compute_public_key(private_a, again, c), 0);
}

int main(void) {
  unsigned char private_key[32], public_key[64];
  char jwt[300], again[300], claims[100];
  struct mg_jwt_opts opts;
  size_t n;

  CHECK(mg_uecc_secp256r1() != mg_uecc_secp384r1());
  curve(mg_uecc_secp256r1(), 32);
  curve(mg_uecc_secp384r1(), 48);
  CHECK_EQ(mg_uecc_curve_private_key_size(NULL), 0);
  CHECK_EQ(mg_uecc_make_key(public_key, private_key, NULL), 0);

  memset(&opts, 0, sizeof(opts));
  CHECK_EQ(mg_uecc_make_key(public_key, private_key, mg_uecc_secp256r1()), 1);
  opts.claims = mg_str("{\"sub\":\"x\"}");
  CHECK_EQ(mg_jwt_sign_es256(&opts, jwt, sizeof(jwt)), 0);  // no key
  CHECK_EQ(mg_jwt_verify_es256(mg_str("a.b.c"), &opts, claims, sizeof(claims)), 0);
  opts.private_key = private_key;
  opts.public_key = public_key;
  n = mg_jwt_sign_es256(&opts, jwt, sizeof(jwt));
  CHECK(n > 0 && n == strlen(jwt));
  CHECK_EQ(mg_jwt_sign_es256(&opts, again, sizeof(again)), n);
  CHECK(strcmp(jwt, again) == 0);
  CHECK_EQ(mg_jwt_verify_es256(mg_str(jwt), &opts, claims, sizeof(claims)), 11);
  CHECK(strcmp(claims, "{\"sub\":\"x\"}") == 0);
  CHECK_EQ(mg_jwt_verify_hs256(mg_str(jwt), &opts, claims, sizeof(claims)), 0);
  CHECK_EQ(mg_jwt_verify_es256(mg_str(jwt), &opts, claims, 4), 0);
  CHECK_EQ(mg_jwt_sign_es256(&opts, again, 10), 0);
  CHECK_EQ(mg_jwt_sign_es256(&opts, NULL, 1000), 0);
  // The claims may be where the token goes.
  strcpy(again, "{\"sub\":\"x\"}");
  opts.claims = mg_str(again);
  CHECK_EQ(mg_jwt_sign_es256(&opts, again, sizeof(again)), n);
  CHECK(strcmp(jwt, again) == 0);
  CHECK_EQ(mg_jwt_verify_es256(mg_str(again), &opts, again, sizeof(again)), 11);
  return DONE();
}
