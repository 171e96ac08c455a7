// A Modbus TCP server with a bank of registers and a bank of coils. Input registers and discrete inputs are the same banks, read-only.
//
// usage: modbus-server [-l URL] [-n SIZE] [-r] [-v]
//   -l  where to listen, default tcp://0.0.0.0:502, port 0: any free port
//   -n  registers, and coils, from address 0 on; default 1000, at most 65536
//   -r  refuse to write
//   -v  print each request
// Ctrl-C ends it.

#include "mongoose.h"

static volatile sig_atomic_t s_signal;
static uint16_t s_registers[65536];
static bool s_coils[65536];
static unsigned s_size = 1000;
static bool s_read_only, s_verbose;

static void on_signal(int number) {
  s_signal = number;
}

static void carry_out(struct mg_modbus_req *req) {
  unsigned i;
  bool reads = req->func <= MG_MODBUS_FUNC_READ_INPUT_REGISTERS;
  if ((unsigned) req->addr + req->len > s_size) {
    req->error = MG_MODBUS_ERR_ILLEGAL_ADDRESS;
    return;
  }
  if (!reads && s_read_only) {
    req->error = MG_MODBUS_ERR_ILLEGAL_FUNCTION;
    return;
  }
  for (i = 0; i < req->len; i++) {
    switch (req->func) {
      case MG_MODBUS_FUNC_READ_COILS:
      case MG_MODBUS_FUNC_READ_DISCRETE_INPUTS: req->u.bits[i] = s_coils[req->addr + i]; break;
      case MG_MODBUS_FUNC_READ_HOLDING_REGISTERS:
      case MG_MODBUS_FUNC_READ_INPUT_REGISTERS: req->u.regs[i] = s_registers[req->addr + i]; break;
      case MG_MODBUS_FUNC_WRITE_SINGLE_COIL:
      case MG_MODBUS_FUNC_WRITE_MULTIPLE_COILS: s_coils[req->addr + i] = req->u.bits[i]; break;
      default: s_registers[req->addr + i] = req->u.regs[i]; break;  // the library lets no other function through
    }
  }
}

static void handler(struct mg_connection *c, int ev, void *ev_data) {
  if (ev == MG_EV_MODBUS_REQ) {
    struct mg_modbus_req *req = (struct mg_modbus_req *) ev_data;
    carry_out(req);
    if (s_verbose) printf("%lu function %d, %d from %d, error %d\n", c->id, req->func, req->len, req->addr, req->error);
  } else if (ev == MG_EV_ERROR) {
    fprintf(stderr, "%lu %s\n", c->id, (char *) ev_data);
  }
}

static int usage(const char *name) {
  fprintf(stderr, "usage: %s [-l URL] [-n SIZE] [-r] [-v]\n", name);
  return 2;
}

int main(int argc, char **argv) {
  const char *url = "tcp://0.0.0.0:502";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int i;

  for (i = 1; i < argc; i++) {
    if (strcmp(argv[i], "-r") == 0) {
      s_read_only = true;
    } else if (strcmp(argv[i], "-v") == 0) {
      s_verbose = true;
    } else if (strcmp(argv[i], "-l") == 0 && i + 1 < argc) {
      url = argv[++i];
    } else if (strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
      if (!mg_str_to_num(mg_str(argv[++i]), 10, &s_size, sizeof(s_size)) || s_size > 65536) return usage(argv[0]);
    } else {
      return usage(argv[0]);
    }
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  signal(SIGINT, on_signal);
  signal(SIGTERM, on_signal);
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  if ((listener = mg_modbus_listen(&mgr, url, handler, NULL)) == NULL) {
    fprintf(stderr, "%s: cannot listen on %s\n", argv[0], url);
    mg_mgr_free(&mgr);
    return 1;
  }
  printf("tcp://localhost:%u\n", mg_ntohs(listener->loc.port));
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
