package monitoring

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestPushFailingReceivers pushes to receivers that accept nothing. Batches must be dropped, ports
// must be synchronized as usual, and a request in progress must not delay the end of the process.
func TestPushFailingReceivers(t *testing.T) {
	switchtest.Parallel(t)
	for _, r := range []struct {
		name string
		// serve handles a connection after a request was read, or, if nil, no connection is accepted.
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
			io.WriteString(conn, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://"+switchtest.HTTPAddress+"/\r\nContent-Length: 0\r\n\r\n")
		}, true, "unauthorized"},
	} {
		t.Run(r.name, func(t *testing.T) {
			sw := switchtest.New(t)
			if sw == nil {
				return
			}
			l, err := net.Listen("tcp", "127.0.0.1:8086")
			sw.NoError("listen", err)
			sw.T.Cleanup(func() { l.Close() })
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
			sw.ConfigurePorts(switchtest.ManyPorts)
			d := sw.StartWith("[push]\nurl = 'http://127.0.0.1:8086/write'\ninterval_secs = 1\nqueue_batches = 1\ngzip = false\n")
			sw.AddInterfaces(switchtest.ManyPorts)
			client := switchtest.NewClient(t, switchtest.HTTPAddress)
			awaitAtLeast(client, `portsyncd_push_dropped_batches_total{reason="queue_full"}`, 1)
			if r.log != "" {
				sw.AwaitLog(0, 3*switchtest.Timeout, "cannot push metrics", r.log)
			}
			sw.ChangeLinks()
			sw.AwaitRecovery("the receiver is " + r.name)
			sw.CheckSelfReport(d)
			if got := client.Scrape().Samples["portsyncd_push_samples_total"]; got != 0 {
				t.Errorf("%v samples are counted", got)
			}
			d.Signal(syscall.SIGTERM)
			if status := d.Wait(switchtest.ExitTimeout); status.Signal() != syscall.SIGTERM {
				t.Errorf("wait status %#x, want the end by SIGTERM", int(status))
			}
		})
	}
}

// TestPushInvalidSettings checks that an invalid push setting is logged once and affects nothing
// else.
func TestPushInvalidSettings(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	sw.StartWith("[push]\nurl = 'https://127.0.0.1/write'\ninterval_secs = 1\nca_file = '" + sw.Dir + "/none.pem'\n")
	sw.AddInterfaces(1)
	sw.AwaitLog(0, switchtest.Timeout, "cannot push metrics", "none.pem")
	if code := switchtest.NewClient(t, switchtest.HTTPAddress).Request(http.MethodGet, "/healthz").Code; code != http.StatusOK {
		t.Errorf("/healthz: status %d", code)
	}
}
