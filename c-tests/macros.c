// Every macro of the header, used as applications use them.
#include "mongoose.h"

#include "check.h"

struct mg_str mg_str(const char *s);  // the macro must stay out of the way of this

struct item {
  int n;
  struct item *next;
};

static int sum(const struct item *i) {
  int digits = 0;
  for (; i != NULL; i = i->next) digits = digits * 10 + i->n;
  return digits;
}

static void lists(void) {
  struct item a = {1, NULL}, b = {2, NULL}, c = {3, NULL}, *head = NULL;
  LIST_ADD_HEAD(struct item, &head, &a);
  LIST_ADD_HEAD(struct item, &head, &b);
  LIST_ADD_TAIL(struct item, &head, &c);
  CHECK_EQ(sum(head), 213);
  LIST_DELETE(struct item, &head, &a);
  CHECK_EQ(sum(head), 23);
  LIST_DELETE(struct item, &head, &b);
  if (head != NULL) LIST_DELETE(struct item, &head, &c);
  CHECK(head == NULL);
}

static void bytes(void) {
  const unsigned char in[9] = {0x01, 0xf2, 0xe3, 0xd4, 0xc5, 0xb6, 0xa7, 0x98, 0x89};
  unsigned char out[9];
  static const uint32_t address = MG_IPV4(127, 0, 0, 1);
  static const uint8_t v6[16] = MG_IPV6(0xfe80, 0, 0, 0, 0, 0, 0x12ab, 1);
  char text[20];
  uint32_t reg = 0xf0;

  CHECK_EQ(MG_U32(0x101, 2, 3, 0xff), 0x010203ff);
  CHECK_EQ(MG_LOAD_BE16(in + 1), 0xf2e3);
  CHECK_EQ(MG_LOAD_BE24(in + 1), 0xf2e3d4);
  CHECK_EQ(MG_LOAD_BE32(in + 1), 0xf2e3d4c5U);
  CHECK(MG_LOAD_BE64(in + 1) == 0xf2e3d4c5b6a79889ULL);
  memset(out, 0xee, sizeof(out));
  MG_STORE_BE64(out + 1, 0xf2e3d4c5b6a79889ULL);
  CHECK(out[0] == 0xee && memcmp(out + 1, in + 1, 8) == 0);
  MG_STORE_BE16(out, 0xabcd);
  MG_STORE_BE24(out + 2, 0x123456);
  MG_STORE_BE32(out + 5, 0x89abcdefU);
  CHECK(memcmp(out, "\xab\xcd\x12\x34\x56\x89\xab\xcd\xef", 9) == 0);

  snprintf(text, sizeof(text), "%d.%d.%d.%d", MG_IPADDR_PARTS(&address));
  CHECK(strcmp(text, "127.0.0.1") == 0);
  CHECK(address == htonl(0x7f000001));
  CHECK(memcmp(v6, "\xfe\x80\0\0\0\0\0\0\0\0\0\0\x12\xab\0\x01", 16) == 0);
  CHECK_EQ(MG_BIG_ENDIAN, htons(1) == 1);

  MG_SET_BITS(reg, 0x30, MG_BIT(0));
  CHECK_EQ(reg, 0xc1);
  MG_REG(&reg) = 7;
  CHECK_EQ(MG_REG(&reg), 7);
  CHECK_EQ(MG_BIT(31), 0x80000000U);
  CHECK_EQ(MG_U8P(in)[1], 0xf2);
}

static void numbers(void) {
  size_t zero = 0;
  CHECK_EQ(MG_ROUND_UP(10, 8), 16);
  CHECK_EQ(MG_ROUND_UP(16, 8), 16);
  CHECK_EQ(MG_ROUND_UP((size_t) 10, zero), 10);
  CHECK_EQ(MG_ROUND_DOWN(15, 8), 8);
  CHECK_EQ(MG_ROUND_DOWN((size_t) 15, zero), 15);
  CHECK_EQ(MG_DSCP_CS(3), 24);
  CHECK_EQ(MG_DSCP_AF(4, 1), 34);
  CHECK_EQ(MG_DSCP_EF, 46);
  CHECK_EQ(MG_OTA_STATE_GET(), 0);
  MG_OTA_STATE_SET(MG_OTA_CONFIRMED);
  CHECK_EQ(MG_DASH_MAX_SEND_BUF_SIZE, 5 * 16384);
}

static int evaluated;
static int count(void) {
  return ++evaluated;
}

static void no_op(char ch, void *arg) {
  (*(int *) arg)++;
  (void) ch;
}

static void logging(void) {
  int characters = 0;
  mg_log_set_fn(no_op, &characters);
  mg_log_set(MG_LL_ERROR);
  CHECK_EQ(mg_log_level, MG_LL_ERROR);
  MG_INFO(("%d", count()));
  MG_DEBUG(("%d", count()));
  MG_VERBOSE(("%d", count()));
  CHECK_EQ(evaluated, 0);
  CHECK_EQ(characters, 0);
  if (characters == 0)
    MG_ERROR(("%d", count()));
  else
    CHECK(false);
  MG_LOG(MG_LL_ERROR, ("%s %s", "a", "b"));
  CHECK_EQ(evaluated, 1);
  CHECK_EQ(characters, (40 + 1 + 2) + (40 + 3 + 2));
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  MG_PROF_INIT(c);
  MG_PROF_ADD(c, "x");
  MG_PROF_DUMP(c);
  MG_PROF_FREE(c);
  (void) c, (void) ev, (void) ev_data;
}

static void dashboard(void) {
  static struct mg_field_set set1, set2;
  struct mg_dash dash;
  memset(&dash, 0, sizeof(dash));
  MG_DASH_ADD_FIELD_SET(&dash, &set1);
  MG_DASH_ADD_FIELD_SET(&dash, &set2);
  CHECK(dash.sets == &set2 && set2.next == &set1 && set1.next == NULL);
  MG_DASH_REGISTER_CUSTOM_HANDLER(&dash, "/a", handler, NULL);
  MG_DASH_REGISTER_CUSTOM_HANDLER(&dash, "/b", handler, &dash);
  CHECK(dash.custom_handlers->uri_pattern.len == 2 && dash.custom_handlers->uri_pattern.buf[1] == 'b');
  CHECK(dash.custom_handlers->handler == handler && dash.custom_handlers->handler_data == &dash);
  CHECK(dash.custom_handlers->next->next == NULL);
}

static void strings(void) {
  struct mg_str s = mg_str("hello");
  struct mg_str list[] = {mg_str("a"), mg_str(NULL)};
  char buf[20];
  CHECK(s.len == 5 && memcmp(s.buf, "hello", 5) == 0);
  CHECK(list[0].len == 1 && list[1].buf == NULL && list[1].len == 0);
  CHECK_EQ(mg_snprintf(buf, sizeof(buf), "%m", MG_ESC("a\"b")), 6);
  CHECK(strcmp(buf, "\"a\\\"b\"") == 0);
  CHECK_EQ(mg_htons(0x1234), htons(0x1234));
  CHECK_EQ(mg_htonl(0x12345678), htonl(0x12345678));
  CHECK(mg_ntohll(mg_htonll(1)) == 1);
}

int main(void) {
  MG_ARM_DISABLE_IRQ();
  lists();
  bytes();
  numbers();
  logging();
  dashboard();
  strings();
  MG_DSB();
  MG_ARM_ENABLE_IRQ();
  return DONE();
}
