// HTTP and HTTPS server with WebSocket. usage: server CERT KEY
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	mg "libmongoose-rs/bindings/go"
)

func file(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func main() {
	cert, key := file(os.Args[1]), file(os.Args[2])
	mg.LogLevel(1)
	m := mg.New()
	defer m.Close()
	handler := func(c *mg.Conn, ev mg.Event) {
		if ev.Number == mg.WSMsg {
			c.WSSend(ev.Op(), ev.Data())
		}
		if ev.Number == mg.HTTPHdrs && ev.URI() == "/early" {
			c.Reply(200, "", append([]byte("early"), ev.Body()...))
		}
		if ev.Number != mg.HTTPMsg {
			return
		}
		switch ev.URI() {
		case "/hello":
			c.Reply(200, "", []byte("hello"))
		case "/echo":
			headers := fmt.Sprintf("X-Method: %s\r\nX-Query: %s\r\nX-Seen: %s\r\n", ev.Method(), ev.Query(), ev.Header("x-sent"))
			c.Reply(200, headers, ev.Body())
		case "/ws":
			c.WSUpgrade(ev, "")
		case "/slow":
			m.After(300*time.Millisecond, func() { c.Reply(200, "", []byte("slow")) })
		case "/chunks":
			c.Begin(200, "")
			c.Chunk([]byte("one"))
			c.Chunk([]byte("two"))
			c.End()
		case "/last":
			c.Reply(200, "", []byte("last"))
			c.Drain()
		default:
			c.Reply(404, "", []byte("no such page"))
		}
	}
	http, err := m.Listen("http://127.0.0.1:0", handler)
	if err != nil {
		panic(err)
	}
	https, err := m.Listen("https://127.0.0.1:0", func(c *mg.Conn, ev mg.Event) {
		if ev.Number == mg.Accept {
			c.InitTLS(mg.TLS{Cert: cert, Key: key})
		}
		handler(c, ev)
	})
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	fmt.Println(http.Port(), https.Port())
	_ = m.Run(ctx)
}
