// One client of each kind. usage: client HTTP_URL HTTPS_URL CA WS_URL MQTT_URL
package main

import (
	"fmt"
	"os"
	"time"

	mg "libmongoose-rs/bindings/go"
)

func check[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func main() {
	left := 4
	mg.LogLevel(1)
	m := mg.New()
	defer m.Close()
	watched := func(h mg.Handler) mg.Handler {
		return func(c *mg.Conn, ev mg.Event) {
			if ev.Number == mg.Error {
				check(0, ev.Err())
			}
			h(c, ev)
		}
	}
	http := func(kind string) mg.Handler {
		return watched(func(c *mg.Conn, ev mg.Event) {
			if ev.Number == mg.HTTPMsg {
				fmt.Println(kind, ev.Status(), string(ev.Body()))
				left--
				c.Close()
			}
		})
	}
	request := []byte("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
	check(m.Connect(os.Args[1], http("http"))).Send(request)
	secure := check(m.Connect(os.Args[2], http("https")))
	secure.InitTLS(mg.TLS{CA: string(check(os.ReadFile(os.Args[3]))), Name: "localhost"})
	secure.Send(request)
	check(m.WSConnect(os.Args[4], "", watched(func(c *mg.Conn, ev mg.Event) {
		switch ev.Number {
		case mg.WSOpen:
			c.WSSend(mg.Text, []byte("ping"))
		case mg.WSMsg:
			fmt.Println("ws", string(ev.Data()))
			left--
			c.WSClose(1000)
		}
	})))
	check(m.MQTTConnect(os.Args[5], "go-binding", watched(func(c *mg.Conn, ev mg.Event) {
		switch ev.Number {
		case mg.MQTTOpen:
			c.Subscribe("bindings/test", 1)
			c.Publish("bindings/test", "payload", 1)
		case mg.MQTTMsg:
			fmt.Println("mqtt", ev.Topic(), string(ev.Payload()))
			left--
			c.Drain()
		}
	})))
	m.After(20*time.Second, func() { check(0, fmt.Errorf("time is up")) })
	for left > 0 {
		m.Poll(time.Second)
	}
}
