package mongoose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Cancelling the context answers what is in flight, and Run returns.
func TestContext(t *testing.T) {
	LogLevel(0)
	m := New()
	defer m.Close()
	ctx, cancel := context.WithCancel(context.Background())
	l, err := m.Listen("http://127.0.0.1:0", func(c *Conn, ev Event) {
		if ev.Number == HTTPMsg {
			cancel()
			m.After(100*time.Millisecond, func() { c.Reply(200, "", []byte("last")) })
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan string, 1)
	port := l.Port()
	go func() {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			got <- err.Error()
			return
		}
		body, _ := io.ReadAll(r.Body)
		got <- string(body)
	}()
	if err := m.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if text := <-got; text != "last" {
		t.Fatal(text)
	}
}

// Do runs in Run's goroutine, from many at once, and nothing is lost.
func TestDo(t *testing.T) {
	m := New()
	var wait sync.WaitGroup
	n := 0
	for i := 0; i < 50; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			m.Do(func() { n++ })
		}()
	}
	for n < 50 {
		m.Poll(10 * time.Millisecond)
	}
	wait.Wait()
	m.Close()
	m.Close()
	if m.Do(func() {}) || m.SendTo(1, nil) || m.Drain(0) {
		t.Fatal("a closed manager takes work")
	}
}

func TestMistakes(t *testing.T) {
	m := New()
	defer m.Close()
	if _, err := m.Listen("http://1.2.3.4.5:1", nil); err == nil {
		t.Fatal("no such address")
	}
}
