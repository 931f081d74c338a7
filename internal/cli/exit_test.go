package cli

import (
	"errors"
	"io"
	"strings"
	"testing"

	"portsyncd/internal/daemon"
	"portsyncd/internal/statusview"
	"portsyncd/portsync"
)

// TestExitStatuses checks the documented exit statuses as numbers, because scripts use the numbers.
func TestExitStatuses(t *testing.T) {
	for health, want := range map[string]int{portsync.Healthy: 0, portsync.Disabled: 0, portsync.Degraded: 1, portsync.Unhealthy: 2} {
		if got := exitFor(&statusview.Status{Health: portsync.Health{Status: health}}, nil); got != want {
			t.Errorf("a daemon that is %s: exit status %d, want %d", health, got, want)
		}
	}
	for _, e := range []struct {
		name      string
		got, want int
	}{
		{"daemon not reachable", exitFor(nil, errNoDaemon), 3},
		{"another error", exitFor(nil, errors.New("refused")), 4},
		{"success of a command", daemon.ExitOK, 0},
		{"error of a command", daemon.ExitError, 1},
	} {
		if e.got != e.want {
			t.Errorf("%s: exit status %d, want %d", e.name, e.got, e.want)
		}
	}
	const help = "0 healthy, 1 degraded, 2 unhealthy, 3 daemon not reachable,\n  4 unknown"
	var out strings.Builder
	if code := Run([]string{"status", "-h"}, &out, &out); code != 0 || !strings.Contains(out.String(), help) {
		t.Errorf("status -h: exit status %d, help without %q:\n%s", code, help, &out)
	}
	for _, args := range [][]string{{"nonsense"}, {"--nonsense"}, {"check-config", "/nonexistent"}, {"report", "--storage", "/nonexistent"}, {"events", "--nonsense"}} {
		if code := Run(args, io.Discard, io.Discard); code != 1 {
			t.Errorf("%q: exit status %d, want 1", args, code)
		}
	}
	if code := Run([]string{"status", "--nonsense"}, io.Discard, io.Discard); code != 4 {
		t.Errorf("status --nonsense: exit status %d, want 4", code)
	}
}
