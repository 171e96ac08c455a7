-- libmongoose for LuaJIT, over its FFI: HTTP, WebSocket, MQTT, TLS, timers, and servers that end without losing an answer.
--
--   local mg = require 'mongoose'
--   local m = mg.manager()
--   m:listen('http://0.0.0.0:8000', function(c, ev, data)
--     if ev == mg.EV_HTTP_MSG then c:reply(200, 'hello\n') end
--   end)
--   m:drain_on_signal(15)
--   m:run()
--
-- What a handler raises comes out of m:poll. A connection object is dead after EV_CLOSE: its methods raise an error then.
local ffi = require 'ffi'

ffi.cdef [[
struct mg_str { const char *buf; size_t len; };
struct mg_tls_opts { struct mg_str ca, cert, key, name; bool skip_verification; };
struct mg_mqtt_opts {
  struct mg_str user, pass, client_id, topic, message;
  uint8_t qos, version; uint16_t keepalive, retransmit_id; bool retain, clean;
  void *props; size_t num_props; void *will_props; size_t num_will_props;
};
struct mgx_drain_opts {
  int idle_grace_ms, response_timeout_ms, flush_timeout_ms, linger_total_ms, linger_idle_ms;
  size_t linger_bytes; int ws_close_code; const char *ws_close_reason; int ws_close_timeout_ms;
};
struct mgx_mgr_drain_opts { int lame_duck_ms, idle_grace_ms, deadline_ms, spread_ms; struct mgx_drain_opts conn; };
typedef void (*mg_handler)(void *c, int ev, void *data);
typedef void (*mg_timer_fn)(void *arg);
void *mgx_mgr_new(void);
void mgx_mgr_delete(void *m);
void mg_mgr_poll(void *m, int ms);
void *mg_listen(void *m, const char *url, mg_handler fn, void *data);
void *mg_http_listen(void *m, const char *url, mg_handler fn, void *data);
void *mg_connect(void *m, const char *url, mg_handler fn, void *data);
void *mg_http_connect(void *m, const char *url, mg_handler fn, void *data);
void *mgx_ws_connect(void *m, const char *url, mg_handler fn, void *data, const char *headers);
void *mg_mqtt_connect(void *m, const char *url, const struct mg_mqtt_opts *opts, mg_handler fn, void *data);
void mg_mqtt_sub(void *c, const struct mg_mqtt_opts *opts);
uint16_t mg_mqtt_pub(void *c, const struct mg_mqtt_opts *opts);
void mg_tls_init(void *c, const struct mg_tls_opts *opts);
void *mg_timer_add(void *m, uint64_t ms, unsigned flags, mg_timer_fn fn, void *arg);
void mgx_timer_cancel(void *m, void *timer);
bool mgx_send(void *c, const char *buf, size_t len);
void mgx_http_reply(void *c, int status, const char *headers, const char *body, size_t len);
void mgx_http_begin(void *c, int status, const char *headers);
void mgx_http_chunk(void *c, const char *buf, size_t len);
void mgx_ws_upgrade(void *c, void *hm, const char *headers);
size_t mgx_ws_send(void *c, int op, const char *buf, size_t len);
void mgx_ws_close(void *c, int code, const char *reason);
const char *mgx_http_method(void *hm, size_t *len);
const char *mgx_http_uri(void *hm, size_t *len);
const char *mgx_http_query(void *hm, size_t *len);
const char *mgx_http_body(void *hm, size_t *len);
const char *mgx_http_header(void *hm, const char *name, size_t *len);
int mgx_http_status(void *hm);
const char *mgx_ws_data(void *wm, size_t *len);
int mgx_ws_flags(void *wm);
const char *mgx_mqtt_topic(void *mm, size_t *len);
const char *mgx_mqtt_payload(void *mm, size_t *len);
unsigned long mgx_conn_id(void *c);
void *mgx_conn_user_data(void *c);
size_t mgx_conn_local(void *c, char *buf, size_t len);
size_t mgx_conn_remote(void *c, char *buf, size_t len);
bool mgx_conn_drain(void *c, const struct mgx_drain_opts *opts);
void mgx_conn_close(void *c);
bool mgx_mgr_drain(void *m, const struct mgx_mgr_drain_opts *opts);
bool mgx_mgr_drain_on_signal(void *m, int signo, const struct mgx_mgr_drain_opts *opts);
int mgx_mgr_phase(void *m);
int mgx_mgr_fd(void *m);
int mgx_mgr_timeout_ms(void *m);
void mgx_log_set(int level);
int mgx_const(const char *name);
size_t mgx_sizeof(const char *name);
]]

local C = ffi.load(os.getenv 'LIBMONGOOSE' or 'libmongoose.so.7')
for _, name in ipairs { 'mg_str', 'mg_tls_opts', 'mg_mqtt_opts', 'mgx_drain_opts', 'mgx_mgr_drain_opts' } do
  assert(ffi.sizeof('struct ' .. name) == tonumber(C.mgx_sizeof(name)), 'struct ' .. name .. ': this file and the library disagree')
end

local mg = {}

-- mg.EV_HTTP_MSG is MG_EV_HTTP_MSG, and so with every constant.
setmetatable(mg, { __index = function(t, name)
  local value = C.mgx_const('MG_' .. name)
  if value == -2147483648 then value = C.mgx_const(name) end
  if value == -2147483648 then error('libmongoose has no constant ' .. tostring(name), 2) end
  rawset(t, name, value)
  return value
end })

local function view(f, ...)
  local len = ffi.new('size_t[1]')
  local args = { ... }
  args[#args + 1] = len
  local text = f(unpack(args))
  return text ~= nil and ffi.string(text, len[0]) or nil
end

-- A mg_str; the Lua string must stay referenced while it is used.
local function str(text) return ffi.new('struct mg_str', text, text and #text or 0) end

-- ev_data of an HTTP event; valid in the handler.
local message_parts = { method = C.mgx_http_method, uri = C.mgx_http_uri, query = C.mgx_http_query, body = C.mgx_http_body }
local message = { __index = function(self, name)
  if name == 'header' then return function(_, header) return view(C.mgx_http_header, self.at, header) end end
  if name == 'status' then return C.mgx_http_status(self.at) end
  -- Only a whole message has its body in memory; otherwise the length is the one that was announced.
  if name == 'body' and not self.whole then return '' end
  return message_parts[name] and (view(message_parts[name], self.at) or '')
end }
local function http(at) return setmetatable({ at = at, whole = false }, message) end
local function whole_http(at) return setmetatable({ at = at, whole = true }, message) end
local function ws(at) return { data = view(C.mgx_ws_data, at) or '', op = C.mgx_ws_flags(at) % 16 } end

local data_of = {
  [mg.EV_ERROR] = function(at) return ffi.string(ffi.cast('char *', at)) end,
  [mg.EV_HTTP_HDRS] = http, [mg.EV_HTTP_MSG] = whole_http, [mg.EV_WS_OPEN] = http, [mg.EV_WS_MSG] = ws, [mg.EV_WS_CTL] = ws,
  [mg.EV_MQTT_MSG] = function(at)
    return { topic = view(C.mgx_mqtt_topic, at) or '', data = view(C.mgx_mqtt_payload, at) or '' }
  end,
}

local conn = {}
conn.__index = conn

local function at(self) return self.at or error('connection ' .. self.id .. ' is closed', 3) end

function conn:send(data) return C.mgx_send(at(self), data, #data) end
-- headers: lines, each with CR LF.
function conn:reply(status, body, headers) C.mgx_http_reply(at(self), status, headers, body or '', #(body or '')) end
function conn:begin(status, headers) C.mgx_http_begin(at(self), status, headers) end
function conn:chunk(data) if #data > 0 then C.mgx_http_chunk(at(self), data, #data) end end
function conn:finish() C.mgx_http_chunk(at(self), nil, 0) end
function conn:ws_upgrade(hm, headers) C.mgx_ws_upgrade(at(self), hm.at, headers) end
function conn:ws_send(data, op) return tonumber(C.mgx_ws_send(at(self), op or 1, data, #data)) end
function conn:ws_close(code, reason) C.mgx_ws_close(at(self), code or 1000, reason) end
function conn:mqtt_subscribe(topic, qos)
  C.mg_mqtt_sub(at(self), ffi.new('struct mg_mqtt_opts', { topic = str(topic), qos = qos or 0 }))
end
function conn:mqtt_publish(topic, text, qos)
  return C.mg_mqtt_pub(at(self), ffi.new('struct mg_mqtt_opts', { topic = str(topic), message = str(text), qos = qos or 0 }))
end
-- t: ca, cert, key, name (PEM texts), skip_verification
function conn:tls_init(t)
  local o = ffi.new('struct mg_tls_opts', { ca = str(t.ca), cert = str(t.cert), key = str(t.key), name = str(t.name) })
  o.skip_verification = t.skip_verification or false
  C.mg_tls_init(at(self), o)
end
-- Ends it in order: answers what was asked, sends what is queued, closes.
function conn:drain() return C.mgx_conn_drain(at(self), nil) end
function conn:close() if self.at then C.mgx_conn_close(self.at) end end
local function address(f, c)
  local buf = ffi.new('char[80]')
  f(c, buf, 80)
  return ffi.string(buf)
end
function conn:localname() return address(C.mgx_conn_local, at(self)) end
function conn:peername() return address(C.mgx_conn_remote, at(self)) end
function conn:port() return tonumber(self:localname():match ':(%d+)$') end

local manager = {}
manager.__index = manager

local function key(c) return tonumber(ffi.cast('uintptr_t', c)) end

function mg.manager()
  local m = setmetatable({ at = C.mgx_mgr_new(), conns = {}, handlers = {}, timers = {} }, manager)
  local poll, close = mg.EV_POLL, mg.EV_CLOSE
  -- An error may not pass through C: the first comes out of poll.
  function m.guard(f, ...)
    local ok, e = xpcall(f, function(e) return type(e) == 'string' and debug.traceback(e, 2) or e end, ...)
    if not ok then m.failure = m.failure or { e } end
  end
  m.call = ffi.cast('mg_handler', function(c, ev, data)
    if ev == poll then return end
    local self = m:wrap(c)
    local handler = m.handlers[key(C.mgx_conn_user_data(c))]
    local make = data ~= nil and data_of[ev]
    if handler then m.guard(handler, self, ev, make and make(data)) end
    if ev == close then
      m.conns[key(c)] = nil
      self.at = nil
    end
  end)
  m.tick = ffi.cast('mg_timer_fn', function(arg)
    local n = key(arg)
    local t = m.timers[n]
    if not t.is_repeated then m.timers[n] = nil end
    m.guard(t.fn)
  end)
  return m
end

function manager:wrap(c)
  local k = key(c)
  self.conns[k] = self.conns[k] or setmetatable({ at = c, id = tonumber(C.mgx_conn_id(c)), manager = self }, conn)
  return self.conns[k]
end

local function open(self, url, handler, f)
  -- Accepted connections inherit the number.
  self.handlers[#self.handlers + 1] = handler
  local c = f(ffi.cast('void *', #self.handlers))
  if c == nil then error('cannot open ' .. url .. '; the log says why', 3) end
  return self:wrap(c)
end

function manager:listen(url, handler)
  local f = (url:match '^http' or url:match '^ws') and C.mg_http_listen or C.mg_listen
  return open(self, url, handler, function(n) return f(self.at, url, self.call, n) end)
end
function manager:connect(url, handler)
  local f = url:match '^http' and C.mg_http_connect or C.mg_connect
  return open(self, url, handler, function(n) return f(self.at, url, self.call, n) end)
end
function manager:ws_connect(url, handler, headers)
  return open(self, url, handler, function(n) return C.mgx_ws_connect(self.at, url, self.call, n, headers) end)
end
-- options: client_id, user, pass, keepalive
function manager:mqtt_connect(url, handler, options)
  options = options or {}
  local o = ffi.new('struct mg_mqtt_opts', {
    client_id = str(options.client_id), user = str(options.user), pass = str(options.pass), keepalive = options.keepalive or 0, clean = true,
  })
  return open(self, url, handler, function(n) return C.mg_mqtt_connect(self.at, url, o, self.call, n) end)
end

-- Calls fn in so many milliseconds, or every so many. Returns a function that ends it before its time.
function manager:timer(ms, fn, is_repeated)
  self.last_timer = (self.last_timer or 0) + 1
  local n = self.last_timer
  self.timers[n] = { fn = fn, is_repeated = is_repeated }
  local t = C.mg_timer_add(self.at, ms, is_repeated and mg.TIMER_REPEAT or 0, self.tick, ffi.cast('void *', n))
  return function()
    if self.timers[n] then
      self.timers[n] = nil
      C.mgx_timer_cancel(self.at, t)
    end
  end
end

local done = mg.MGX_MGR_DONE
local c_poll = C.mg_mgr_poll
function manager:poll(ms)
  c_poll(self.at, ms or 1000)
  local failure = self.failure
  self.failure = nil
  if failure then error(failure[1], 0) end
end
-- The compiler may not be inside of a call that calls back.
jit.off(manager.poll)
function manager:run() while C.mgx_mgr_phase(self.at) ~= done do self:poll() end end
function manager:drain(deadline_ms)
  return C.mgx_mgr_drain(self.at, ffi.new('struct mgx_mgr_drain_opts', { deadline_ms = deadline_ms or 0 }))
end
function manager:drain_on_signal(signo)
  if not C.mgx_mgr_drain_on_signal(self.at, signo, nil) then error('signal ' .. signo .. ' cannot be caught', 2) end
end
-- For other loops: wait for fd at most timeout_ms, then poll(0).
function manager:fd() return C.mgx_mgr_fd(self.at) end
function manager:timeout_ms() return C.mgx_mgr_timeout_ms(self.at) end
function manager:close()
  if self.at then
    C.mgx_mgr_delete(self.at)
    self.at = nil
    self.call:free()
    self.tick:free()
  end
end
for _, name in ipairs { 'listen', 'connect', 'ws_connect', 'mqtt_connect', 'close' } do jit.off(manager[name], true) end

function mg.log_level(level) C.mgx_log_set(level) end

return mg
