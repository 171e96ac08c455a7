// C++17 over mongoose.h and mongoose_ext.h: a manager that ends with its scope, handlers that are lambdas, and views instead of
// pointers with lengths. A handle `connection` is a pointer in disguise: copy it, but not beyond MG_EV_CLOSE; keep `id()` for that.
//
//   mongoose::manager m;
//   m.http_listen("http://0.0.0.0:8000", [](mongoose::connection c, mongoose::event ev) {
//     if (ev.is(MG_EV_HTTP_MSG)) c.reply(200, "hello\n");
//   });
//   m.drain_on_signal(SIGTERM);
//   m.run();
#ifndef MONGOOSE_HPP
#define MONGOOSE_HPP

#include <csignal>
#include <exception>
#include <functional>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mongoose.h"
#include "mongoose_ext.h"

namespace mongoose {

namespace detail {
template <class F, class T>
std::string_view view(F f, const T *source) {
  size_t len = 0;
  const char *text = f(source, &len);
  return text == nullptr ? std::string_view() : std::string_view(text, len);
}

inline struct mg_str str(std::string_view s) {
  struct mg_str view = {const_cast<char *>(s.data()), s.size()};
  return view;
}
}  // namespace detail

// A request or response; valid in the handler.
class http_message {
 public:
  http_message(mg_http_message *hm, bool whole) : hm_(hm), whole_(whole) {}
  std::string_view method() const { return detail::view(mgx_http_method, hm_); }
  std::string_view uri() const { return detail::view(mgx_http_uri, hm_); }
  std::string_view query() const { return detail::view(mgx_http_query, hm_); }
  std::string_view proto() const { return detail::view(mgx_http_proto, hm_); }
  // Of MG_EV_HTTP_MSG. Elsewhere empty: the length is the one that was announced, and the bytes have not arrived.
  std::string_view body() const { return whole_ ? detail::view(mgx_http_body, hm_) : std::string_view(); }
  // Empty when there is none.
  std::string_view header(const char *name) const {
    size_t len = 0;
    const char *text = mgx_http_header(hm_, name, &len);
    return text == nullptr ? std::string_view() : std::string_view(text, len);
  }
  int status() const { return mgx_http_status(hm_); }
  mg_http_message *get() const { return hm_; }

 private:
  mg_http_message *hm_;
  bool whole_;
};

// What a handler is told. Ask for the data that belongs to the event.
class event {
 public:
  event(int number, void *data) : number_(number), data_(data) {}
  bool is(int number) const { return number_ == number; }
  int number() const { return number_; }
  void *data() const { return data_; }
  // MG_EV_HTTP_HDRS, MG_EV_HTTP_MSG, MG_EV_WS_OPEN
  http_message http() const { return http_message(static_cast<mg_http_message *>(data_), is(MG_EV_HTTP_MSG)); }
  // MG_EV_WS_MSG, MG_EV_WS_CTL
  std::string_view ws_data() const { return detail::view(mgx_ws_data, static_cast<mg_ws_message *>(data_)); }
  int ws_op() const { return mgx_ws_flags(static_cast<mg_ws_message *>(data_)) & 15; }
  // MG_EV_MQTT_MSG
  std::string_view mqtt_topic() const { return detail::view(mgx_mqtt_topic, static_cast<mg_mqtt_message *>(data_)); }
  std::string_view mqtt_payload() const { return detail::view(mgx_mqtt_payload, static_cast<mg_mqtt_message *>(data_)); }
  // MG_EV_WAKEUP
  std::string_view wakeup() const { return detail::view(mgx_str_data, static_cast<struct mg_str *>(data_)); }
  // MG_EV_ERROR
  std::string_view error() const { return static_cast<const char *>(data_); }

 private:
  int number_;
  void *data_;
};

// PEM texts. A client checks the server against `ca`; a server needs `cert` and `key`.
struct tls_options {
  std::string_view ca = {}, cert = {}, key = {}, name = {};
  bool skip_verification = false;
};

class connection {
 public:
  explicit connection(mg_connection *c) : c_(c) {}
  mg_connection *get() const { return c_; }
  unsigned long id() const { return mgx_conn_id(c_); }
  bool is(mgx_flag flag) const { return mgx_conn_flag(c_, flag); }
  bool is_draining() const { return is(MGX_IS_DRAINING); }

  bool send(std::string_view data) { return mgx_send(c_, data.data(), data.size()); }
  // `headers`: lines, each with CR LF.
  void reply(int status, std::string_view body, const std::string &headers = {}) {
    mgx_http_reply(c_, status, headers.c_str(), body.data(), body.size());
  }
  void begin(int status, const std::string &headers = {}) { mgx_http_begin(c_, status, headers.c_str()); }
  void chunk(std::string_view data) {
    if (!data.empty()) mgx_http_chunk(c_, data.data(), data.size());
  }
  void end() { mgx_http_chunk(c_, nullptr, 0); }

  void ws_upgrade(http_message hm, const std::string &headers = {}) { mgx_ws_upgrade(c_, hm.get(), headers.c_str()); }
  size_t ws_send(std::string_view data, int op = WEBSOCKET_OP_TEXT) { return mgx_ws_send(c_, op, data.data(), data.size()); }
  void ws_close(int code = 1000, const std::string &reason = {}) { mgx_ws_close(c_, code, reason.c_str()); }

  void mqtt_subscribe(std::string_view topic, uint8_t qos = 0) {
    mg_mqtt_opts o{};
    o.topic = detail::str(topic), o.qos = qos;
    mg_mqtt_sub(c_, &o);
  }
  uint16_t mqtt_publish(std::string_view topic, std::string_view message, uint8_t qos = 0, bool retain = false) {
    mg_mqtt_opts o{};
    o.topic = detail::str(topic), o.message = detail::str(message), o.qos = qos, o.retain = retain;
    return mg_mqtt_pub(c_, &o);
  }

  void tls_init(const tls_options &t) {
    mg_tls_opts o{};
    o.ca = detail::str(t.ca), o.cert = detail::str(t.cert), o.key = detail::str(t.key), o.name = detail::str(t.name);
    o.skip_verification = t.skip_verification;
    mg_tls_init(c_, &o);
  }

  // Ends it in order: answers what was asked, sends what is queued, closes.
  bool drain(const mgx_drain_opts *opts = nullptr) { return mgx_conn_drain(c_, opts); }
  void close() { mgx_conn_close(c_); }
  void error(const std::string &text) { mgx_error(c_, text.c_str()); }
  mgx_reason close_reason() const { return mgx_close_reason(c_); }

  std::string_view recv() const { return detail::view(mgx_conn_recv, static_cast<const mg_connection *>(c_)); }
  size_t consume(size_t n) { return mgx_conn_consume(c_, n); }
  std::string local() const { return address(mgx_conn_local); }
  std::string remote() const { return address(mgx_conn_remote); }
  int port() const {
    std::string text = local();
    return std::stoi(text.substr(text.rfind(':') + 1));
  }

 private:
  std::string address(size_t (*f)(const mg_connection *, char *, size_t)) const {
    char text[80];
    f(c_, text, sizeof(text));
    return text;
  }
  mg_connection *c_;
};

using handler = std::function<void(connection, event)>;

// Owns connections, timers and handlers. Belongs to the thread that polls it. What a handler throws comes out of poll.
class manager {
 public:
  manager() : mgr_(mgx_mgr_new()) {
    if (mgr_ == nullptr) throw std::bad_alloc();
    mg_wakeup_init(mgr_);
  }
  ~manager() { mgx_mgr_delete(mgr_); }
  manager(const manager &) = delete;
  manager &operator=(const manager &) = delete;
  mg_mgr *get() const { return mgr_; }

  connection listen(const std::string &url, handler h) { return opened(url, mg_listen(mgr_, url.c_str(), call, keep(h))); }
  connection http_listen(const std::string &url, handler h) { return opened(url, mg_http_listen(mgr_, url.c_str(), call, keep(h))); }
  connection connect(const std::string &url, handler h) { return opened(url, mg_connect(mgr_, url.c_str(), call, keep(h))); }
  connection http_connect(const std::string &url, handler h) {
    return opened(url, mg_http_connect(mgr_, url.c_str(), call, keep(h)));
  }
  connection ws_connect(const std::string &url, handler h, const std::string &headers = {}) {
    return opened(url, mgx_ws_connect(mgr_, url.c_str(), call, keep(h), headers.c_str()));
  }
  connection mqtt_connect(const std::string &url, handler h, const mg_mqtt_opts &opts = {}) {
    return opened(url, mg_mqtt_connect(mgr_, url.c_str(), &opts, call, keep(h)));
  }

  // Calls `fn` after so many milliseconds, or every so many.
  mg_timer *timer(uint64_t ms, std::function<void()> fn, bool repeat = false) {
    timers_.push_back(std::make_unique<tick>(tick{this, std::move(fn)}));
    return mg_timer_add(mgr_, ms, repeat ? MG_TIMER_REPEAT : MG_TIMER_ONCE, on_timer, timers_.back().get());
  }
  // Before its time. Its function is kept as long as the manager.
  void cancel(mg_timer *t) { mgx_timer_cancel(mgr_, t); }

  // The connection with this id; NULL when it is gone.
  mg_connection *find(unsigned long id) const {
    mg_connection *c = mgx_mgr_first(mgr_);
    while (c != nullptr && mgx_conn_id(c) != id) c = mgx_conn_next(c);
    return c;
  }

  void poll(int ms = 1000) {
    mg_mgr_poll(mgr_, ms);
    if (failure_ != nullptr) std::rethrow_exception(std::exchange(failure_, nullptr));
  }
  // Until a drain is done.
  void run() {
    while (mgx_mgr_phase(mgr_) != MGX_MGR_DONE) poll();
  }
  bool drain(const mgx_mgr_drain_opts *opts = nullptr) { return mgx_mgr_drain(mgr_, opts); }
  void drain_on_signal(int signo, const mgx_mgr_drain_opts *opts = nullptr) {
    if (!mgx_mgr_drain_on_signal(mgr_, signo, opts)) throw std::runtime_error("this signal cannot be caught");
  }

  // For other loops: wait for fd() at most timeout_ms(), then poll(0).
  int fd() const { return mgx_mgr_fd(mgr_); }
  int timeout_ms() const { return mgx_mgr_timeout_ms(mgr_); }

  // From any thread.
  bool wakeup(unsigned long id, std::string_view data) { return mg_wakeup(mgr_, id, data.data(), data.size()); }
  bool send_to(unsigned long id, std::string_view data) { return mgx_send_to(mgr_, id, data.data(), data.size()); }
  bool send_ws_to(unsigned long id, std::string_view data, int op = WEBSOCKET_OP_TEXT) {
    return mgx_send_ws_to(mgr_, id, op, data.data(), data.size());
  }

 private:
  struct entry {
    manager *owner;
    handler fn;
  };
  struct tick {
    manager *owner;
    std::function<void()> fn;
  };

  template <class F>
  void guard(F f) noexcept {
    try {
      f();
    } catch (...) {
      if (failure_ == nullptr) failure_ = std::current_exception();
    }
  }
  static void call(mg_connection *c, int ev, void *data) {
    entry *e = static_cast<entry *>(mgx_conn_user_data(c));
    if (e != nullptr && e->fn) e->owner->guard([&] { e->fn(connection(c), event(ev, data)); });
  }
  static void on_timer(void *arg) {
    tick *t = static_cast<tick *>(arg);
    t->owner->guard(t->fn);
  }
  // Accepted connections inherit it, so it lives as long as the manager.
  void *keep(handler h) {
    handlers_.push_back(std::make_unique<entry>(entry{this, std::move(h)}));
    return handlers_.back().get();
  }
  connection opened(const std::string &url, mg_connection *c) {
    if (c == nullptr) throw std::runtime_error("cannot open " + url + "; the log says why");
    return connection(c);
  }

  mg_mgr *mgr_;
  std::vector<std::unique_ptr<entry>> handlers_;
  std::vector<std::unique_ptr<tick>> timers_;
  std::exception_ptr failure_;
};

}  // namespace mongoose

#endif
