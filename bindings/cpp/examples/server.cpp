// HTTP and HTTPS server with WebSocket. usage: server CERT KEY
#include <fstream>
#include <iostream>
#include <iterator>

#include "mongoose.hpp"

static std::string file(const char *path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

int main(int argc, char **argv) {
  if (argc < 3) return std::cerr << "usage: server CERT KEY\n", 1;
  const std::string cert = file(argv[1]), key = file(argv[2]);
  mgx_log_set(MG_LL_ERROR);
  mongoose::manager m;
  auto plain = [&m](mongoose::connection c, mongoose::event ev) {
    if (ev.is(MG_EV_WS_MSG)) c.ws_send(ev.ws_data(), ev.ws_op());
    if (ev.is(MG_EV_HTTP_HDRS) && ev.http().uri() == "/early") c.reply(200, "early" + std::string(ev.http().body()));
    if (!ev.is(MG_EV_HTTP_MSG)) return;
    auto hm = ev.http();
    if (hm.uri() == "/hello") {
      c.reply(200, "hello");
    } else if (hm.uri() == "/echo") {
      c.reply(200, hm.body(),
              "X-Method: " + std::string(hm.method()) + "\r\nX-Query: " + std::string(hm.query()) +
                  "\r\nX-Seen: " + std::string(hm.header("x-sent")) + "\r\n");
    } else if (hm.uri() == "/ws") {
      c.ws_upgrade(hm);
    } else if (hm.uri() == "/slow") {
      m.timer(300, [&m, id = c.id()] {
        if (auto *found = m.find(id)) mongoose::connection(found).reply(200, "slow");
      });
    } else if (hm.uri() == "/chunks") {
      c.begin(200);
      c.chunk("one");
      c.chunk("two");
      c.end();
    } else if (hm.uri() == "/last") {
      c.reply(200, "last");
      c.drain();
    } else {
      c.reply(404, "no such page");
    }
  };
  auto http = m.http_listen("http://127.0.0.1:0", plain);
  auto https = m.http_listen("https://127.0.0.1:0", [&](mongoose::connection c, mongoose::event ev) {
    if (ev.is(MG_EV_ACCEPT)) c.tls_init({{}, cert, key, {}, false});
    plain(c, ev);
  });
  m.drain_on_signal(SIGTERM);
  std::cout << http.port() << ' ' << https.port() << std::endl;
  m.run();
}
