package daemon

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
)

// TestSaveRest has the process end while the disk hangs: that takes no longer
// than it may, and is said.
func TestSaveRest(t *testing.T) {
	for _, hangs := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan struct{})
			var said strings.Builder
			log := slog.New(slog.NewTextHandler(&said, nil))
			d := &Process{log: log, memory: warmrestart.Open(warmrestart.Config{
				StoragePath: t.TempDir(), Log: log, Families: warmrestart.NewFamilies(metrics.NewSet()),
				Sample: func(warmrestart.Counters) []byte {
					if hangs {
						<-answer
					}
					return []byte("{}")
				},
				Settings: warmrestart.Settings{SaveInterval: time.Second, Retention: time.Hour, KeepRestarts: 1},
			})}
			saveRest := d.keepMemory(t.Context())
			time.Sleep(1500 * time.Millisecond)
			begin := time.Now()
			saveRest()
			want := time.Duration(0)
			if hangs {
				want = saveFor
			}
			if took := time.Since(begin); took != want {
				t.Errorf("with a disk that hangs, %v: the end took %v, want %v", hangs, took, want)
			}
			if got := strings.Contains(said.String(), "disk does not answer"); got != hangs {
				t.Errorf("with a disk that hangs, %v: the log says %q", hangs, &said)
			}
			close(answer)
			synctest.Wait() // until the files are let go
		})
	}
}
