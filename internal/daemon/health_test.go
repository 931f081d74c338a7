package daemon

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	"portsyncd/portsync"
	"portsyncd/systemd"
)

// TestHealthReportedAfterReady checks that a change of health is not sent to the service manager
// before READY=1, whose status line would replace it, and is sent afterwards.
func TestHealthReportedAfterReady(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", path)
	notifier, err := systemd.New()
	if err != nil {
		t.Fatal(err)
	}
	d := &Daemon{log: slog.New(slog.DiscardHandler), notifier: notifier, readySent: make(chan struct{})}
	is := portsync.Health{Status: portsync.Degraded, Score: 90,
		Reasons: []portsync.HealthReason{{Code: "restart_storm", Text: "3 starts", Deduction: 10}}}
	received := func(limit time.Duration) string {
		conn.SetReadDeadline(time.Now().Add(limit))
		buf := make([]byte, 1024)
		n, _ := conn.Read(buf)
		return string(buf[:n])
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	d.reportHealth(ended, portsync.Health{Status: portsync.Healthy, Score: 100}, is)
	if got := received(10 * time.Millisecond); got != "" {
		t.Errorf("before READY=1 the service manager received %q, want nothing", got)
	}
	close(d.readySent)
	d.reportHealth(t.Context(), portsync.Health{Status: portsync.Healthy, Score: 100}, is)
	if got, want := received(10*time.Second), "STATUS=degraded, score 90: restart_storm: 3 starts (-10)"; got != want {
		t.Errorf("after READY=1 the service manager received %q, want %q", got, want)
	}
}
