package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestPushHostile gives the daemon receivers that take nothing. Batches are
// dropped, ports are synchronised as ever, and a request under way does not keep
// the process from ending.
func TestPushHostile(t *testing.T) {
	alongside(t)
	for _, r := range []struct {
		name string
		// serve gets a connection on which a request has been read, or nothing.
		serve func(conn net.Conn)
		reads bool
		log   string
	}{
		{"silent", func(conn net.Conn) { io.Copy(io.Discard, conn) }, true, ""}, // reported after 10 s
		{"deaf", func(conn net.Conn) { time.Sleep(time.Hour) }, false, ""},
		{"trickling", func(conn net.Conn) {
			for {
				if _, err := io.WriteString(conn, "H"); err != nil {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
		}, true, ""},
		{"busy", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
		}, true, "overloaded"},
		{"broken", func(conn net.Conn) {}, true, "unreachable"},
		{"elsewhere", func(conn net.Conn) {
			io.WriteString(conn, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://"+httpAddress+"/\r\nContent-Length: 0\r\n\r\n")
		}, true, "unauthorized"},
	} {
		t.Run(r.name, func(t *testing.T) {
			c := newCell(t)
			if c == nil {
				return
			}
			l, err := net.Listen("tcp", "127.0.0.1:8086")
			c.must("listen", err)
			c.t.Cleanup(func() { l.Close() })
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer conn.Close()
						if r.reads {
							request, err := http.ReadRequest(bufio.NewReader(conn))
							if err != nil {
								return
							}
							io.Copy(io.Discard, request.Body)
						}
						r.serve(conn)
					}()
				}
			}()
			c.configure(faultPorts)
			d := c.startWith("[push]\nurl = 'http://127.0.0.1:8086/write'\ninterval_secs = 1\nqueue_batches = 1\ngzip = false\n")
			c.plug(faultPorts)
			s := newSite(t, httpAddress)
			s.awaitAtLeast(`portsyncd_push_dropped_batches_total{reason="queue_full"}`, 1)
			if r.log != "" {
				c.awaitLog(0, 3*patience, "cannot push metrics", r.log)
			}
			c.disturb()
			c.recovered("the receiver is " + r.name)
			if body := s.get("/healthz"); !strings.HasPrefix(body, "healthy") {
				t.Errorf("/healthz: %s", body)
			}
			if got := s.scrape().samples["portsyncd_push_samples_total"]; got != 0 {
				t.Errorf("%v samples count as taken", got)
			}
			d.signal(syscall.SIGTERM)
			if status := d.wait(5 * time.Second); status.Signal() != syscall.SIGTERM {
				t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
			}
		})
	}
}

// TestPushUnfit: a setting that is of no use is said once, and nothing else of the
// daemon minds.
func TestPushUnfit(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	c.startWith("[push]\nurl = 'https://127.0.0.1/write'\ninterval_secs = 1\nca_file = '" + c.dir + "/none.pem'\n")
	c.plug(1)
	c.awaitLog(0, patience, "cannot push metrics", "none.pem")
	if code := newSite(t, httpAddress).ask(http.MethodGet, "/healthz").code; code != http.StatusOK {
		t.Errorf("/healthz: status %d", code)
	}
}
