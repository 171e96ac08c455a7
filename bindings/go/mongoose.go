// Package mongoose is HTTP, WebSocket, MQTT, TLS, timers, and servers that end without losing an answer, over libmongoose.
//
// A Manager runs in the goroutine that calls Run; handlers run there too. Other goroutines use Manager.Do, SendTo, SendWSTo and Drain.
// Build with the library installed (pkg-config mongoose), or with CGO_CFLAGS and CGO_LDFLAGS.
package mongoose

/*
#cgo LDFLAGS: -lmongoose
#include <stdlib.h>
#include "mongoose.h"
#include "mongoose_ext.h"

extern void goMongooseEvent(struct mg_connection *c, int ev, void *data);
extern void goMongooseTimer(void *arg);
typedef const char *(*mgo_view)(const void *, size_t *);
static inline const char *mgo_call(void *f, void *p, size_t *len) { return ((mgo_view) f)(p, len); }
static inline void *mgo_key(uintptr_t key) { return (void *) key; }
static inline uintptr_t mgo_unkey(void *p) { return (uintptr_t) p; }
static inline struct mg_str mgo_str(char *p, size_t n) { struct mg_str s; s.buf = p; s.len = n; return s; }
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/cgo"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Event numbers: MG_EV_*.
const (
	Error    = C.MG_EV_ERROR
	Open     = C.MG_EV_OPEN
	Connect  = C.MG_EV_CONNECT
	Accept   = C.MG_EV_ACCEPT
	TLSDone  = C.MG_EV_TLS_HS
	Read     = C.MG_EV_READ
	Write    = C.MG_EV_WRITE
	Close    = C.MG_EV_CLOSE
	HTTPHdrs = C.MG_EV_HTTP_HDRS
	HTTPMsg  = C.MG_EV_HTTP_MSG
	WSOpen   = C.MG_EV_WS_OPEN
	WSMsg    = C.MG_EV_WS_MSG
	WSCtl    = C.MG_EV_WS_CTL
	MQTTMsg  = C.MG_EV_MQTT_MSG
	MQTTOpen = C.MG_EV_MQTT_OPEN
	Text     = C.WEBSOCKET_OP_TEXT
	Binary   = C.WEBSOCKET_OP_BINARY
)

// Handler gets the events of a connection. MG_EV_POLL is not delivered: use timers.
type Handler func(c *Conn, ev Event)

// Event is valid during the handler's call; what its methods return is a copy.
type Event struct {
	Number int
	data   unsafe.Pointer
}

func view(f unsafe.Pointer, p unsafe.Pointer) []byte {
	var n C.size_t
	at := C.mgo_call(f, p, &n)
	return C.GoBytes(unsafe.Pointer(at), C.int(n))
}

// Method, URI, Query, Header and Status are of HTTPHdrs, HTTPMsg and WSOpen. Body is of HTTPMsg: elsewhere it has not arrived.
func (e Event) Method() string { return string(view(C.mgx_http_method, e.data)) }
func (e Event) URI() string    { return string(view(C.mgx_http_uri, e.data)) }
func (e Event) Query() string  { return string(view(C.mgx_http_query, e.data)) }
func (e Event) Body() []byte {
	if e.Number != HTTPMsg {
		return nil
	}
	return view(C.mgx_http_body, e.data)
}
func (e Event) Status() int { return int(C.mgx_http_status((*C.struct_mg_http_message)(e.data))) }
func (e Event) Header(name string) string {
	s := C.CString(name)
	defer C.free(unsafe.Pointer(s))
	var n C.size_t
	at := C.mgx_http_header((*C.struct_mg_http_message)(e.data), s, &n)
	return string(C.GoBytes(unsafe.Pointer(at), C.int(n)))
}

// Data and Op are of WSMsg and WSCtl.
func (e Event) Data() []byte { return view(C.mgx_ws_data, e.data) }
func (e Event) Op() int      { return int(C.mgx_ws_flags((*C.struct_mg_ws_message)(e.data))) & 15 }

// Topic and Payload are of MQTTMsg.
func (e Event) Topic() string   { return string(view(C.mgx_mqtt_topic, e.data)) }
func (e Event) Payload() []byte { return view(C.mgx_mqtt_payload, e.data) }

// Err is of Error.
func (e Event) Err() error { return errors.New(C.GoString((*C.char)(e.data))) }

// Conn is a listener, an accepted or a client connection. After Close its methods do nothing.
type Conn struct {
	ID uint64
	c  *C.struct_mg_connection
	m  *Manager
}

type entry struct {
	m  *Manager
	fn Handler
}

type task struct {
	m      *Manager
	fn     func()
	repeat bool
	at     *C.struct_mg_timer
	handle cgo.Handle
}

// Manager owns connections and timers.
type Manager struct {
	at      *C.struct_mg_mgr
	conns   map[*C.struct_mg_connection]*Conn
	handles []cgo.Handle
	timers  map[*task]bool
	mu      sync.Mutex // of closed and todo, and while at may go away
	closed  bool
	todo    []func()
}

// New makes a manager. Close it.
func New() *Manager {
	m := &Manager{at: C.mgx_mgr_new(), conns: map[*C.struct_mg_connection]*Conn{}, timers: map[*task]bool{}}
	if m.at == nil {
		panic("mongoose: out of memory")
	}
	return m
}

//export goMongooseEvent
func goMongooseEvent(c *C.struct_mg_connection, ev C.int, data unsafe.Pointer) {
	if ev == C.MG_EV_POLL {
		return
	}
	e := cgo.Handle(C.mgo_unkey(C.mgx_conn_user_data(c))).Value().(*entry)
	conn := e.m.conn(c)
	e.fn(conn, Event{int(ev), data})
	if ev == C.MG_EV_CLOSE {
		delete(e.m.conns, c)
		conn.c = nil
	}
}

//export goMongooseTimer
func goMongooseTimer(arg unsafe.Pointer) {
	t := cgo.Handle(C.mgo_unkey(arg)).Value().(*task)
	if !t.repeat {
		t.end()
	}
	t.fn()
}

func (t *task) end() {
	if t.m.timers[t] {
		delete(t.m.timers, t)
		t.handle.Delete()
	}
}

func (m *Manager) conn(c *C.struct_mg_connection) *Conn {
	conn := m.conns[c]
	if conn == nil {
		conn = &Conn{uint64(C.mgx_conn_id(c)), c, m}
		m.conns[c] = conn
	}
	return conn
}

func (m *Manager) open(url string, h Handler, f func(url *C.char, key unsafe.Pointer) *C.struct_mg_connection) (*Conn, error) {
	// Accepted connections inherit it, so it lives as long as the manager.
	handle := cgo.NewHandle(&entry{m, h})
	m.handles = append(m.handles, handle)
	s := C.CString(url)
	defer C.free(unsafe.Pointer(s))
	c := f(s, C.mgo_key(C.uintptr_t(handle)))
	if c == nil {
		return nil, fmt.Errorf("mongoose: cannot open %s; the log says why", url)
	}
	return m.conn(c), nil
}

var callback = C.mg_event_handler_t(C.goMongooseEvent)

// Listen opens a listener; for HTTP when the URL says so. Port 0: any, see Conn.Port.
func (m *Manager) Listen(url string, h Handler) (*Conn, error) {
	return m.open(url, h, func(s *C.char, key unsafe.Pointer) *C.struct_mg_connection {
		if strings.HasPrefix(url, "http") || strings.HasPrefix(url, "ws") {
			return C.mg_http_listen(m.at, s, callback, key)
		}
		return C.mg_listen(m.at, s, callback, key)
	})
}

// Connect opens a client; for HTTP when the URL says so. Send at once if you like.
func (m *Manager) Connect(url string, h Handler) (*Conn, error) {
	return m.open(url, h, func(s *C.char, key unsafe.Pointer) *C.struct_mg_connection {
		if strings.HasPrefix(url, "http") {
			return C.mg_http_connect(m.at, s, callback, key)
		}
		return C.mg_connect(m.at, s, callback, key)
	})
}

// WSConnect opens a WebSocket client. headers: lines, each with CR LF.
func (m *Manager) WSConnect(url, headers string, h Handler) (*Conn, error) {
	lines := C.CString(headers)
	defer C.free(unsafe.Pointer(lines))
	return m.open(url, h, func(s *C.char, key unsafe.Pointer) *C.struct_mg_connection {
		return C.mgx_ws_connect(m.at, s, callback, key, lines)
	})
}

// MQTTConnect opens an MQTT client with a clean session.
func (m *Manager) MQTTConnect(url, clientID string, h Handler) (*Conn, error) {
	id := newStr(clientID)
	defer id.free()
	opts := C.struct_mg_mqtt_opts{client_id: id.s, clean: true}
	return m.open(url, h, func(s *C.char, key unsafe.Pointer) *C.struct_mg_connection {
		return C.mg_mqtt_connect(m.at, s, &opts, callback, key)
	})
}

// After calls fn once, Every again and again, in the goroutine of Run. The function returned ends it before its time.
func (m *Manager) After(d time.Duration, fn func()) (cancel func()) { return m.timer(d, fn, false) }
func (m *Manager) Every(d time.Duration, fn func()) (cancel func()) { return m.timer(d, fn, true) }

func (m *Manager) timer(d time.Duration, fn func(), repeat bool) func() {
	t := &task{m: m, fn: fn, repeat: repeat}
	t.handle = cgo.NewHandle(t)
	m.timers[t] = true
	flags := C.uint(C.MG_TIMER_ONCE)
	if repeat {
		flags = C.MG_TIMER_REPEAT
	}
	t.at = C.mg_timer_add(m.at, C.uint64_t(d.Milliseconds()), flags, (*[0]byte)(C.goMongooseTimer), C.mgo_key(C.uintptr_t(t.handle)))
	return func() {
		if m.timers[t] {
			C.mgx_timer_cancel(m.at, t.at)
			t.end()
		}
	}
}

// Find returns the connection with this id, or nil.
func (m *Manager) Find(id uint64) *Conn {
	for c := C.mgx_mgr_first(m.at); c != nil; c = C.mgx_conn_next(c) {
		if uint64(C.mgx_conn_id(c)) == id {
			return m.conn(c)
		}
	}
	return nil
}

// Do calls fn in the goroutine of Run. From any goroutine. False after Close.
func (m *Manager) Do(fn func()) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.todo = append(m.todo, fn)
		C.mgx_wakeup_mgr(m.at)
	}
	return !m.closed
}

// SendTo queues bytes on a connection. From any goroutine.
func (m *Manager) SendTo(id uint64, data []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && bool(C.mgx_send_to(m.at, C.ulong(id), ptr(data), C.size_t(len(data))))
}

// SendWSTo queues a WebSocket message on a connection. From any goroutine.
func (m *Manager) SendWSTo(id uint64, op int, data []byte) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.closed && bool(C.mgx_send_ws_to(m.at, C.ulong(id), C.int(op), ptr(data), C.size_t(len(data))))
}

// Drain starts the graceful shutdown, at the end of which Run returns. Zero: 30 seconds. From any goroutine.
func (m *Manager) Drain(deadline time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	opts := C.struct_mgx_mgr_drain_opts{deadline_ms: C.int(deadline.Milliseconds())}
	return !m.closed && bool(C.mgx_mgr_drain(m.at, &opts))
}

// Poll is one round of the event loop. The goroutine stays on its thread.
func (m *Manager) Poll(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	C.mg_mgr_poll(m.at, C.int(d.Milliseconds()))
	m.mu.Lock()
	todo := m.todo
	m.todo = nil
	m.mu.Unlock()
	for _, fn := range todo {
		fn()
	}
}

// Run polls until a drain is done. Cancelling ctx starts one; Run then returns ctx.Err().
func (m *Manager) Run(ctx context.Context) error {
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Add(1)
	go func() {
		defer watcher.Done()
		select {
		case <-ctx.Done():
			m.Drain(0)
		case <-ended:
		}
	}()
	for C.mgx_mgr_phase(m.at) != C.MGX_MGR_DONE {
		m.Poll(time.Second)
	}
	close(ended)
	watcher.Wait()
	return ctx.Err()
}

// Close closes everything at once.
func (m *Manager) Close() {
	m.mu.Lock()
	closed := m.closed
	m.closed = true
	m.mu.Unlock()
	if closed {
		return
	}
	C.mgx_mgr_delete(m.at)
	for t := range m.timers {
		t.end()
	}
	for _, h := range m.handles {
		h.Delete()
	}
}

func ptr(data []byte) unsafe.Pointer {
	if len(data) == 0 {
		return nil
	}
	return unsafe.Pointer(&data[0])
}

type str struct{ s C.struct_mg_str }

// newStr copies to C's memory, which structs with Go pointers in them may not be passed to.
func newStr(text string) str {
	return str{C.mgo_str(C.CString(text), C.size_t(len(text)))}
}

func (s str) free() { C.free(unsafe.Pointer(s.s.buf)) }

// Send queues bytes.
func (c *Conn) Send(data []byte) bool {
	return c.c != nil && bool(C.mgx_send(c.c, ptr(data), C.size_t(len(data))))
}

// Reply queues a whole HTTP answer. headers: lines, each with CR LF.
func (c *Conn) Reply(status int, headers string, body []byte) {
	s := C.CString(headers)
	defer C.free(unsafe.Pointer(s))
	C.mgx_http_reply(c.c, C.int(status), s, ptr(body), C.size_t(len(body)))
}

// Begin begins an answer in chunks, Chunk goes on, End ends it.
func (c *Conn) Begin(status int, headers string) {
	s := C.CString(headers)
	defer C.free(unsafe.Pointer(s))
	C.mgx_http_begin(c.c, C.int(status), s)
}
func (c *Conn) Chunk(data []byte) {
	if len(data) > 0 {
		C.mgx_http_chunk(c.c, ptr(data), C.size_t(len(data)))
	}
}
func (c *Conn) End() { C.mgx_http_chunk(c.c, nil, 0) }

// WSUpgrade, in HTTPMsg, makes a WebSocket of the connection.
func (c *Conn) WSUpgrade(e Event, headers string) {
	s := C.CString(headers)
	defer C.free(unsafe.Pointer(s))
	C.mgx_ws_upgrade(c.c, (*C.struct_mg_http_message)(e.data), s)
}

// WSSend queues one message.
func (c *Conn) WSSend(op int, data []byte) bool {
	return C.mgx_ws_send(c.c, C.int(op), ptr(data), C.size_t(len(data))) > 0
}

// WSClose queues a Close frame.
func (c *Conn) WSClose(code int) { C.mgx_ws_close(c.c, C.int(code), nil) }

// Subscribe and Publish are of MQTT clients.
func (c *Conn) Subscribe(topic string, qos int) {
	t := newStr(topic)
	defer t.free()
	if c.c != nil {
		C.mg_mqtt_sub(c.c, &C.struct_mg_mqtt_opts{topic: t.s, qos: C.uint8_t(qos)})
	}
}
func (c *Conn) Publish(topic, message string, qos int) {
	t, p := newStr(topic), newStr(message)
	defer t.free()
	defer p.free()
	if c.c != nil {
		C.mg_mqtt_pub(c.c, &C.struct_mg_mqtt_opts{topic: t.s, message: p.s, qos: C.uint8_t(qos)})
	}
}

// TLS holds PEM texts. A client checks the server against CA; a server needs Cert and Key.
type TLS struct {
	CA, Cert, Key, Name string
	SkipVerification    bool
}

// InitTLS starts TLS: in Accept on a server, after Connect on a client.
func (c *Conn) InitTLS(t TLS) {
	ca, cert, key, name := newStr(t.CA), newStr(t.Cert), newStr(t.Key), newStr(t.Name)
	defer ca.free()
	defer cert.free()
	defer key.free()
	defer name.free()
	C.mg_tls_init(c.c, &C.struct_mg_tls_opts{ca: ca.s, cert: cert.s, key: key.s, name: name.s, skip_verification: C.bool(t.SkipVerification)})
}

// Drain ends the connection in order: answers what was asked, sends what is queued, closes.
func (c *Conn) Drain() bool { return bool(C.mgx_conn_drain(c.c, nil)) }

// Close closes it in the next poll.
func (c *Conn) Close() { C.mgx_conn_close(c.c) }

// Local and Remote are addresses such as 1.2.3.4:80 and [::1]:80.
func (c *Conn) Local() string  { return c.address(false) }
func (c *Conn) Remote() string { return c.address(true) }

func (c *Conn) address(remote bool) string {
	var buf [80]C.char
	if remote {
		C.mgx_conn_remote(c.c, &buf[0], 80)
	} else {
		C.mgx_conn_local(c.c, &buf[0], 80)
	}
	return C.GoString(&buf[0])
}

// Port is the local port.
func (c *Conn) Port() int {
	local := c.Local()
	n, _ := strconv.Atoi(local[strings.LastIndexByte(local, ':')+1:])
	return n
}

// LogLevel sets what the library logs, 0 (nothing) to 4.
func LogLevel(level int) { C.mgx_log_set(C.int(level)) }
