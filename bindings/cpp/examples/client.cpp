// One client of each kind. usage: client HTTP_URL HTTPS_URL CA WS_URL MQTT_URL
#include <fstream>
#include <iostream>
#include <iterator>

#include "mongoose.hpp"

int main(int argc, char **argv) {
  if (argc < 6) return std::cerr << "usage: client HTTP_URL HTTPS_URL CA WS_URL MQTT_URL\n", 1;
  std::ifstream in(argv[3]);
  const std::string ca{std::istreambuf_iterator<char>(in), {}};
  int left = 4;
  mgx_log_set(MG_LL_ERROR);
  mongoose::manager m;
  auto watched = [](auto fn) {
    return [fn](mongoose::connection c, mongoose::event ev) mutable {
      if (ev.is(MG_EV_ERROR)) throw std::runtime_error(std::string(ev.error()));
      fn(c, ev);
    };
  };
  auto http = [&](const char *kind) {
    return watched([&left, kind](mongoose::connection c, mongoose::event ev) {
      if (!ev.is(MG_EV_HTTP_MSG)) return;
      std::cout << kind << ' ' << ev.http().status() << ' ' << ev.http().body() << std::endl;
      left--;
      c.close();
    });
  };
  const char *request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
  m.http_connect(argv[1], http("http")).send(request);
  auto secure = m.http_connect(argv[2], http("https"));
  secure.tls_init({ca, {}, {}, "localhost", false});
  secure.send(request);
  m.ws_connect(argv[4], watched([&](mongoose::connection c, mongoose::event ev) {
                 if (ev.is(MG_EV_WS_OPEN)) c.ws_send("ping");
                 if (!ev.is(MG_EV_WS_MSG)) return;
                 std::cout << "ws " << ev.ws_data() << std::endl;
                 left--;
                 c.ws_close();
               }));
  m.mqtt_connect(argv[5], watched([&](mongoose::connection c, mongoose::event ev) {
                   if (ev.is(MG_EV_MQTT_OPEN)) {
                     c.mqtt_subscribe("bindings/test", 1);
                     c.mqtt_publish("bindings/test", "payload", 1);
                   }
                   if (!ev.is(MG_EV_MQTT_MSG)) return;
                   std::cout << "mqtt " << ev.mqtt_topic() << ' ' << ev.mqtt_payload() << std::endl;
                   left--;
                   c.drain();
                 }));
  m.timer(20000, [] { throw std::runtime_error("time is up"); });
  while (left > 0) m.poll();
}
