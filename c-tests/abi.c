// The binary layout and the constants of the API, from the tables in c-tests/abi, and each bit field by its bit number. The
// unit test in src/abi/conn.rs tests the same numbers from the Rust side.
#include "check.h"
#include "mongoose.h"

#ifdef __cplusplus
#define ABI_ASSERT(cond) static_assert(cond, #cond)
#else
#define ABI_ASSERT(cond) _Static_assert(cond, #cond)
#endif
#define ABI_TEXT(name, value)
#define ABI_BITS(of, field, offset, width)
#include "abi_constants.h"
#include "abi_layout.h"
#undef ABI_ASSERT
#undef ABI_TEXT
#undef ABI_BITS

static bool bit(const void *p, unsigned n) {
  return (((const unsigned char *) p)[n / 8] >> (n % 8)) & 1;
}

// With only this field set, exactly its bits are set; with only this field clear, exactly its bits are clear.
#define ABI_BITS(of, field, offset, width)                                        \
  do {                                                                            \
    union {                                                                       \
      of s;                                                                       \
      unsigned char bytes[sizeof(of)];                                            \
    } u;                                                                          \
    unsigned n, all = (1U << (width)) - 1;                                        \
    memset(&u, 0, sizeof(u));                                                     \
    u.s.field = all;                                                              \
    CHECK_EQ(u.s.field, all);                                                     \
    for (n = 0; n < sizeof(u) * 8; n++) {                                         \
      if (bit(&u, n) != (n >= (offset) && n < (offset) + (width))) break;         \
    }                                                                             \
    CHECK_EQ(n, sizeof(u) * 8);                                                   \
    memset(&u, 255, sizeof(u));                                                   \
    u.s.field = 0;                                                                \
    CHECK_EQ(u.s.field, 0);                                                       \
    for (n = 0; n < sizeof(u) * 8; n++) {                                         \
      if (bit(&u, n) == (n >= (offset) && n < (offset) + (width))) break;         \
    }                                                                             \
    CHECK_EQ(n, sizeof(u) * 8);                                                   \
  } while (0);
#define ABI_TEXT(name, value) CHECK(strcmp(name, value) == 0);
#define ABI_ASSERT(cond) CHECK(cond)

#if MG_BIG_ENDIAN  // the table of bit numbers is for the others
#undef ABI_BITS
#define ABI_BITS(of, field, offset, width)
#endif

int main(void) {
#include "abi_constants.h"
#include "abi_layout.h"
  return DONE();
}
