package daemon

import (
	"testing"
	"time"

	"portsyncd/config"
	"portsyncd/portsync"
)

// TestLoopSettings checks the units of the settings of the event loop.
func TestLoopSettings(t *testing.T) {
	cfg := config.Default()
	cfg.Health.AuditInterval, cfg.Health.MaxStall, cfg.Health.MaxFailureRatePercent = 7*time.Second, 11*time.Second, 3
	want := portsync.Settings{AuditInterval: 7 * time.Second, MaxStall: 11 * time.Second, MaxFailureRate: 0.03}
	if got := loopSettings(&cfg); got != want {
		t.Errorf("settings are %+v, want %+v", got, want)
	}
}
