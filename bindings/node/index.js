// libmongoose for Node, over koffi. See index.d.ts for the documentation of what is exported.
'use strict';

const fs = require('fs');
const path = require('path');
const koffi = require('koffi');

const beside = path.join(__dirname, 'libmongoose.so.7');
const lib = koffi.load(process.env.LIBMONGOOSE || (fs.existsSync(beside) ? beside : 'libmongoose.so.7'));

const Str = koffi.struct('mg_str', { buf: 'void *', len: 'size_t' });
koffi.struct('mg_tls_opts', { ca: Str, cert: Str, key: Str, name: Str, skip_verification: 'bool' });
koffi.struct('mg_mqtt_opts', {
  user: Str, pass: Str, client_id: Str, topic: Str, message: Str, qos: 'uint8', version: 'uint8', keepalive: 'uint16',
  retransmit_id: 'uint16', retain: 'bool', clean: 'bool', props: 'void *', num_props: 'size_t', will_props: 'void *',
  num_will_props: 'size_t',
});
koffi.struct('mgx_drain_opts', {
  idle_grace_ms: 'int', response_timeout_ms: 'int', flush_timeout_ms: 'int', linger_total_ms: 'int', linger_idle_ms: 'int',
  linger_bytes: 'size_t', ws_close_code: 'int', ws_close_reason: 'str', ws_close_timeout_ms: 'int',
});
koffi.struct('mgx_mgr_drain_opts', {
  lame_duck_ms: 'int', idle_grace_ms: 'int', deadline_ms: 'int', spread_ms: 'int', conn: 'mgx_drain_opts',
});
const Handler = koffi.proto('void mgx_handler(void *c, int ev, void *data)');
const TimerFn = koffi.proto('void mgx_timer_fn(void *arg)');

const f = {};
for (const line of `
  void *mgx_mgr_new()
  void mgx_mgr_delete(void *m)
  void mg_mgr_poll(void *m, int ms)
  void *mg_listen(void *m, str url, mgx_handler *fn, uintptr_t data)
  void *mg_http_listen(void *m, str url, mgx_handler *fn, uintptr_t data)
  void *mg_connect(void *m, str url, mgx_handler *fn, uintptr_t data)
  void *mg_http_connect(void *m, str url, mgx_handler *fn, uintptr_t data)
  void *mgx_ws_connect(void *m, str url, mgx_handler *fn, uintptr_t data, str headers)
  void *mg_mqtt_connect(void *m, str url, mg_mqtt_opts *opts, mgx_handler *fn, uintptr_t data)
  void mg_mqtt_sub(void *c, mg_mqtt_opts *opts)
  uint16 mg_mqtt_pub(void *c, mg_mqtt_opts *opts)
  void mg_tls_init(void *c, mg_tls_opts *opts)
  void *mg_timer_add(void *m, uint64 ms, uint flags, mgx_timer_fn *fn, void *arg)
  void mgx_timer_cancel(void *m, void *t)
  bool mgx_send(void *c, void *buf, size_t len)
  void mgx_http_reply(void *c, int status, str headers, void *body, size_t len)
  void mgx_http_begin(void *c, int status, str headers)
  void mgx_http_chunk(void *c, void *buf, size_t len)
  void mgx_ws_upgrade(void *c, void *hm, str headers)
  size_t mgx_ws_send(void *c, int op, void *buf, size_t len)
  void mgx_ws_close(void *c, int code, str reason)
  int mgx_http_status(void *hm)
  int mgx_ws_flags(void *wm)
  int mgx_mqtt_qos(void *mm)
  ulong mgx_conn_id(void *c)
  uintptr_t mgx_conn_user_data(void *c)
  bool mgx_conn_flag(void *c, int flag)
  size_t mgx_conn_consume(void *c, size_t n)
  size_t mgx_conn_local(void *c, void *buf, size_t len)
  size_t mgx_conn_remote(void *c, void *buf, size_t len)
  bool mgx_conn_drain(void *c, mgx_drain_opts *opts)
  void mgx_conn_close(void *c)
  void mgx_error(void *c, str text)
  int mgx_close_reason(void *c)
  bool mgx_mgr_drain(void *m, mgx_mgr_drain_opts *opts)
  int mgx_mgr_phase(void *m)
  int mgx_mgr_timeout_ms(void *m)
  int mgx_mgr_fd(void *m)
  bool mgx_wakeup_mgr(void *m)
  void mgx_log_set(int level)
  int mgx_const(str name)
  size_t mgx_sizeof(str name)
  void *mgx_http_header(void *hm, str name, _Out_ size_t *len)
  ${['http_method', 'http_uri', 'http_query', 'http_proto', 'http_body', 'ws_data', 'mqtt_topic', 'mqtt_payload', 'str_data', 'conn_recv']
    .map((name) => `void *mgx_${name}(void *p, _Out_ size_t *len)`).join('\n  ')}
`.trim().split('\n')) {
  f[/(\w+)\(/.exec(line)[1]] = lib.func(line.trim());
}

for (const name of ['mg_str', 'mg_tls_opts', 'mg_mqtt_opts', 'mgx_drain_opts', 'mgx_mgr_drain_opts']) {
  if (koffi.sizeof(name) !== Number(f.mgx_sizeof(name))) throw new Error(`struct ${name}: this package and the library disagree`);
}

function constant(name) {
  const value = f.mgx_const(name);
  if (value === -(2 ** 31)) throw new RangeError(`libmongoose has no constant ${name}`);
  return value;
}

const EV = {};
for (const name of ['ERROR', 'OPEN', 'POLL', 'RESOLVE', 'CONNECT', 'ACCEPT', 'TLS_HS', 'READ', 'WRITE', 'CLOSE', 'HTTP_HDRS', 'HTTP_MSG',
  'WS_OPEN', 'WS_MSG', 'WS_CTL', 'MQTT_CMD', 'MQTT_MSG', 'MQTT_OPEN', 'SNTP_TIME', 'WAKEUP']) {
  EV[name] = constant(`MG_EV_${name}`);
}
Object.freeze(EV);
const TEXT = constant('WEBSOCKET_OP_TEXT');
const BINARY = constant('WEBSOCKET_OP_BINARY');
const DONE = constant('MGX_MGR_DONE');

const bytes = (data) => (typeof data === 'string' ? Buffer.from(data) : Buffer.from(data.buffer, data.byteOffset, data.byteLength));

/** A Buffer with a copy of what an accessor returns; null for NULL. */
function view(fn, ...args) {
  const len = [0];
  const at = fn(...args, len);
  if (at === null) return null;
  if (!Number(len[0])) return Buffer.alloc(0);
  return Buffer.from(koffi.decode(at, koffi.array('uint8', Number(len[0]), 'Typed')));
}

/** A mg_str, and what must live as long: `keep`. */
function str(text, keep) {
  const b = bytes(text ?? '');
  keep.push(b);
  return { buf: b.length ? b : null, len: b.length };
}

function headerLines(headers) {
  return Object.entries(headers ?? {}).map(([name, value]) => {
    const line = `${name}: ${value}`;
    if (/[\r\n]/.test(line)) throw new TypeError(`line break in header ${name}`);
    return line + '\r\n';
  }).join('');
}

function mqtt(options, keep) {
  const o = { qos: 0, version: 4, keepalive: 0, retransmit_id: 0, retain: false, clean: true, ...options };
  for (const name of ['user', 'pass', 'client_id', 'topic', 'message']) o[name] = str(o[name], keep);
  return { ...o, props: null, num_props: 0, will_props: null, num_will_props: 0 };
}

function connDrain(o = {}) {
  return {
    idle_grace_ms: o.idleGraceMs ?? 0, response_timeout_ms: o.responseTimeoutMs ?? 0, flush_timeout_ms: o.flushTimeoutMs ?? 0,
    linger_total_ms: o.lingerTotalMs ?? 0, linger_idle_ms: o.lingerIdleMs ?? 0, linger_bytes: o.lingerBytes ?? 0,
    ws_close_code: o.wsCloseCode ?? 0, ws_close_reason: o.wsCloseReason ?? null, ws_close_timeout_ms: o.wsCloseTimeoutMs ?? 0,
  };
}

class HttpMessage {
  #at; #whole;
  // Only a whole message has its body in memory; otherwise the length is the one that was announced.
  constructor(at, whole) { this.#at = at; this.#whole = whole; }
  get pointer() { return this.#at; }
  get method() { return String(view(f.mgx_http_method, this.#at) ?? ''); }
  get uri() { return String(view(f.mgx_http_uri, this.#at) ?? ''); }
  get query() { return String(view(f.mgx_http_query, this.#at) ?? ''); }
  get proto() { return String(view(f.mgx_http_proto, this.#at) ?? ''); }
  get status() { return f.mgx_http_status(this.#at); }
  get body() { return (this.#whole && view(f.mgx_http_body, this.#at)) || Buffer.alloc(0); }
  get text() { return String(this.body); }
  header(name) { return view(f.mgx_http_header, this.#at, name)?.toString(); }
}

const DATA = {
  [EV.ERROR]: (at) => koffi.decode(at, 'char', -1),
  [EV.HTTP_HDRS]: (at) => new HttpMessage(at, false),
  [EV.HTTP_MSG]: (at) => new HttpMessage(at, true),
  [EV.WS_OPEN]: (at) => new HttpMessage(at, false),
  [EV.WS_MSG]: (at) => ({ data: view(f.mgx_ws_data, at) ?? Buffer.alloc(0), op: f.mgx_ws_flags(at) & 15 }),
  [EV.WS_CTL]: (at) => ({ data: view(f.mgx_ws_data, at) ?? Buffer.alloc(0), op: f.mgx_ws_flags(at) & 15 }),
  [EV.MQTT_MSG]: (at) => ({
    topic: String(view(f.mgx_mqtt_topic, at) ?? ''), data: view(f.mgx_mqtt_payload, at) ?? Buffer.alloc(0), qos: f.mgx_mqtt_qos(at),
  }),
  [EV.MQTT_OPEN]: (at) => koffi.decode(at, 'int'),
  [EV.WAKEUP]: (at) => view(f.mgx_str_data, at) ?? Buffer.alloc(0),
};

class Connection {
  #at; #manager;
  constructor(manager, at) {
    this.#manager = manager;
    this.#at = at;
    this.id = Number(f.mgx_conn_id(at));
    this.userData = undefined;
  }
  #c() {
    if (this.#at === null) throw new Error(`connection ${this.id} is closed`);
    this.#manager._later();
    return this.#at;
  }
  _closed() { this.#at = null; }
  get isClosed() { return this.#at === null; }
  get isDraining() { return this.flag('DRAINING'); }
  flag(name) { return this.#at !== null && f.mgx_conn_flag(this.#at, constant(`MGX_IS_${name}`)); }
  send(data) { const b = bytes(data); return f.mgx_send(this.#c(), b, b.length); }
  reply(status, body = '', headers) { const b = bytes(body); f.mgx_http_reply(this.#c(), status, headerLines(headers), b, b.length); }
  begin(status = 200, headers) { f.mgx_http_begin(this.#c(), status, headerLines(headers)); }
  chunk(data) { const b = bytes(data); if (b.length) f.mgx_http_chunk(this.#c(), b, b.length); }
  end() { f.mgx_http_chunk(this.#c(), null, 0); }
  request(method, uri, headers = {}, body = '') {
    const b = bytes(body);
    const lines = headerLines({ Host: 'localhost', ...headers, 'Content-Length': b.length });
    return this.send(Buffer.concat([Buffer.from(`${method} ${uri} HTTP/1.1\r\n${lines}\r\n`), b]));
  }
  wsUpgrade(message, headers) { f.mgx_ws_upgrade(this.#c(), message.pointer, headerLines(headers)); }
  wsSend(data, op = typeof data === 'string' ? TEXT : BINARY) { const b = bytes(data); return Number(f.mgx_ws_send(this.#c(), op, b, b.length)); }
  wsClose(code = 1000, reason = null) { f.mgx_ws_close(this.#c(), code, reason); }
  mqttSubscribe(topic, qos = 0) { const keep = []; f.mg_mqtt_sub(this.#c(), mqtt({ topic, qos }, keep)); }
  mqttPublish(topic, message, { qos = 0, retain = false } = {}) {
    const keep = [];
    return f.mg_mqtt_pub(this.#c(), mqtt({ topic, message, qos, retain }, keep));
  }
  tlsInit({ ca, cert, key, name, skipVerification = false }) {
    const keep = [];
    f.mg_tls_init(this.#c(), { ca: str(ca, keep), cert: str(cert, keep), key: str(key, keep), name: str(name, keep), skip_verification: skipVerification });
  }
  drain(options) { return f.mgx_conn_drain(this.#c(), options ? connDrain(options) : null); }
  close() { if (this.#at !== null) f.mgx_conn_close(this.#c()); }
  error(text) { f.mgx_error(this.#c(), text); }
  get closeReason() { return f.mgx_close_reason(this.#c()); }
  get recv() { return view(f.mgx_conn_recv, this.#c()) ?? Buffer.alloc(0); }
  consume(n = this.recv.length) { return Number(f.mgx_conn_consume(this.#c(), n)); }
  #address(fn) { const b = Buffer.alloc(80); fn(this.#c(), b, b.length); return b.toString('latin1', 0, b.indexOf(0)); }
  get local() { return this.#address(f.mgx_conn_local); }
  get remote() { return this.#address(f.mgx_conn_remote); }
  get port() { return Number(this.local.slice(this.local.lastIndexOf(':') + 1)); }
}

/** Most time between two looks at the sockets while Node has other things to do: libuv cannot be told to wait for a descriptor. */
const LOOK_MS = 4;

class Manager {
  #at = f.mgx_mgr_new();
  #conns = new Map();
  #handlers = [];
  #timers = new Set();
  #retired = [];
  #timer = null;
  #soon = null;
  #polling = false;
  #running = null;
  #failure = null;
  #c = koffi.register((c, ev, data) => this.#event(c, ev, data), koffi.pointer(Handler));

  #guard(fn) { try { fn(); } catch (e) { this.#failure ??= { error: e }; } }

  #event(c, ev, data) {
    const key = koffi.address(c);
    let conn = this.#conns.get(key);
    if (!conn) this.#conns.set(key, conn = new Connection(this, c));
    const handler = this.#handlers[Number(f.mgx_conn_user_data(c)) - 1];
    if (handler && ev !== EV.POLL) this.#guard(() => handler(conn, ev, data === null ? undefined : DATA[ev]?.(data)));
    if (ev === EV.CLOSE) { this.#conns.delete(key); conn._closed(); }
  }
  #m() { if (this.#at === null) throw new Error('the manager is closed'); return this.#at; }
  #open(fn, url, handler, ...args) {
    const known = this.#handlers.indexOf(handler);
    const key = known >= 0 ? known + 1 : this.#handlers.push(handler);
    const at = fn(key, ...args);
    if (at === null) throw new Error(`cannot open ${url}; the log says why`);
    this._later();
    const address = koffi.address(at);
    if (!this.#conns.has(address)) this.#conns.set(address, new Connection(this, at));
    return this.#conns.get(address);
  }
  listen(url, handler) {
    const fn = /^(https?|wss?):/.test(url) ? f.mg_http_listen : f.mg_listen;
    return this.#open((key) => fn(this.#m(), url, this.#c, key), url, handler);
  }
  connect(url, handler) {
    const fn = /^https?:/.test(url) ? f.mg_http_connect : f.mg_connect;
    return this.#open((key) => fn(this.#m(), url, this.#c, key), url, handler);
  }
  wsConnect(url, handler, headers) {
    return this.#open((key) => f.mgx_ws_connect(this.#m(), url, this.#c, key, headerLines(headers)), url, handler);
  }
  mqttConnect(url, handler, { clientId, username, password, keepalive, clean, version } = {}) {
    const keep = [];
    const o = mqtt({ client_id: clientId, user: username, pass: password, keepalive: keepalive ?? 0, clean: clean ?? true, version: version ?? 4 }, keep);
    return this.#open((key) => f.mg_mqtt_connect(this.#m(), url, o, this.#c, key), url, handler);
  }
  timer(ms, fn, { repeat = false } = {}) {
    const t = { c: null, at: null };
    t.c = koffi.register(() => {
      if (!repeat) { this.#timers.delete(t); this.#retired.push(t); }
      this.#guard(fn);
    }, koffi.pointer(TimerFn));
    t.at = f.mg_timer_add(this.#m(), ms, repeat ? constant('MG_TIMER_REPEAT') : 0, t.c, null);
    this.#timers.add(t);
    this._later();
    return { cancel: () => { if (this.#timers.delete(t)) { f.mgx_timer_cancel(this.#m(), t.at); this.#retired.push(t); } } };
  }
  connection(id) { return [...this.#conns.values()].find((c) => c.id === id); }

  poll(ms = 0) {
    this.#polling = true;
    try { f.mg_mgr_poll(this.#m(), ms); } finally { this.#polling = false; }
    for (const t of this.#retired.splice(0)) koffi.unregister(t.c);
    const failure = this.#failure;
    this.#failure = null;
    if (failure) throw failure.error;
  }
  run() {
    this.#running ??= new Promise((resolve, reject) => {
      const turn = () => {
        this.#timer = this.#soon = null;
        if (this.#at === null) return resolve();
        try { this.poll(0); } catch (e) { return reject(e); }
        if (this.phase === DONE) return resolve();
        const ms = f.mgx_mgr_timeout_ms(this.#at);
        if (ms === 0) this.#soon = setImmediate(turn);
        else this.#timer = setTimeout(turn, ms < 0 ? LOOK_MS : Math.min(ms, LOOK_MS));
      };
      this._turn = turn;
      turn();
    });
    return this.#running;
  }
  _later() {
    if (this.#running && !this.#polling && this.#soon === null && this._turn) {
      clearTimeout(this.#timer);
      this.#soon = setImmediate(this._turn);
    }
  }
  get phase() { return f.mgx_mgr_phase(this.#m()); }
  drain(o = {}) {
    const ok = f.mgx_mgr_drain(this.#m(), {
      lame_duck_ms: o.lameDuckMs ?? 0, idle_grace_ms: o.idleGraceMs ?? 0, deadline_ms: o.deadlineMs ?? 0, spread_ms: o.spreadMs ?? 0, conn: connDrain(o.conn),
    });
    this._later();
    return ok;
  }
  drainOnSignal(signal, options) { process.once(signal, () => this.#at !== null && this.drain(options)); }
  close() {
    if (this.#at === null) return;
    f.mgx_mgr_delete(this.#at);
    this.#at = null;
    for (const t of [...this.#timers, ...this.#retired]) koffi.unregister(t.c);
    koffi.unregister(this.#c);
    this._later();
  }
}

module.exports = { Manager, EV, constant, logLevel: (level) => f.mgx_log_set(level) };
