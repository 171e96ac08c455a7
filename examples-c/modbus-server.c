// A Modbus TCP server with a bank of registers and a bank of coils. Input registers and discrete inputs give read-only access to them.
//
// usage: modbus-server -h

#include "example.h"

static const char *const s_usage =
    "usage: modbus-server [-l URL] [-n SIZE] [-r] [-v]     Ctrl-C ends it\n"
    "  -l URL   where to listen, default tcp://0.0.0.0:502; port 0 is any free port\n"
    "  -n SIZE   number of registers and of coils, from address 0; default 1000, at most 65536\n"
    "  -r   refuse to write\n"
    "  -v   print each request\n";

static uint16_t s_registers[65536];
static bool s_coils[65536];
static unsigned s_size = 1000;
static bool s_read_only, s_verbose;

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
      default: s_registers[req->addr + i] = req->u.regs[i]; break;  // the library passes no other function
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

int main(int argc, char **argv) {
  const char *url = "tcp://0.0.0.0:502";
  struct mg_mgr mgr;
  struct mg_connection *listener;
  int opt;

  while ((opt = getopt(argc, argv, "hl:n:rv")) != -1) {
    switch (opt) {
      case 'l': url = optarg; break;
      case 'n':
        if (!mg_str_to_num(mg_str(optarg), 10, &s_size, sizeof(s_size)) || s_size > 65536) return example_usage(s_usage, '?');
        break;
      case 'r': s_read_only = true; break;
      case 'v': s_verbose = true; break;
      default: return example_usage(s_usage, opt);
    }
  }
  if (optind < argc) url = argv[optind++];
  if (optind < argc) return example_usage(s_usage, '?');
  setvbuf(stdout, NULL, _IOLBF, 0);
  example_catch_signals();
  mg_log_set(MG_LL_NONE);
  mg_mgr_init(&mgr);
  listener = mg_modbus_listen(&mgr, url, handler, NULL);
  if (listener == NULL) return example_cannot_listen(&mgr, argv[0], url);
  example_ready(listener, "tcp");
  while (s_signal == 0) mg_mgr_poll(&mgr, 1000);
  mg_mgr_free(&mgr);
  return 0;
}
