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

// TestHealthToldAfterReady: no change of health is told before READY=1, whose
// status line would replace it, and each one afterwards.
func TestHealthToldAfterReady(t *testing.T) {
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
	d := &Process{log: slog.New(slog.DiscardHandler), notifier: notifier, readyTold: make(chan struct{})}
	is := portsync.Health{Status: portsync.Degraded, Score: 90,
		Reasons: []portsync.HealthReason{{Code: "restart_storm", Text: "3 starts", Deduction: 10}}}
	received := func() string {
		conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		buf := make([]byte, 1024)
		n, _ := conn.Read(buf)
		return string(buf[:n])
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	d.tellHealth(ended, portsync.Health{Status: portsync.Healthy, Score: 100}, is)
	if got := received(); got != "" {
		t.Errorf("before READY=1 the service manager is told %q", got)
	}
	close(d.readyTold)
	d.tellHealth(t.Context(), portsync.Health{Status: portsync.Healthy, Score: 100}, is)
	if got, want := received(), "STATUS=degraded, score 90: restart_storm: 3 starts (-10)"; got != want {
		t.Errorf("after READY=1 the service manager is told %q, want %q", got, want)
	}
}
