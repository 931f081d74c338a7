package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
	"portsyncd/portsync"
)

// TestStopWithHangingDisk checks that the end of the process waits for the disk until saveTimeout
// and then logs that the last save is missing.
func TestStopWithHangingDisk(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan struct{})
			var logged strings.Builder
			log := slog.New(slog.NewTextHandler(&logged, nil))
			d := &Daemon{log: log, portLog: newPortLog(nil, log), journal: journal.New(journal.Options{Base: time.Now()}), loop: portsync.NewLoop(portsync.Options{Status: &portsync.Status{}, Open: &portsync.Connector{}}), recorder: warmrestart.New(warmrestart.Config{
				StoragePath: t.TempDir(), Log: log, Families: warmrestart.NewFamilies(metrics.NewSet()),
				Sample: func(warmrestart.Counters) []byte {
					if hangs {
						<-answer
					}
					return []byte("{}")
				},
				Settings: warmrestart.Settings{SaveInterval: time.Second, Retention: time.Hour, KeepRestarts: 1},
			})}
			stop := d.startStorage(t.Context())
			time.Sleep(1500 * time.Millisecond)
			begin := time.Now()
			stop()
			want := time.Duration(0)
			if hangs {
				want = saveTimeout
			}
			if took := time.Since(begin); took != want {
				t.Errorf("hanging disk %v: stop took %v, want %v", hangs, took, want)
			}
			if got := strings.Contains(logged.String(), "disk does not respond"); got != hangs {
				t.Errorf("hanging disk %v: the log is %q", hangs, &logged)
			}
			close(answer)
			synctest.Wait() // until the files are closed
		})
	}
}
