package warmrestart

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"portsyncd/internal/snapshot"
)

// TestSecondProcess checks that a process stores nothing and says why while another one has the
// lock of the storage path, and that its starts are added to those of the other one afterwards.
func TestSecondProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(t.TempDir())
		locked := func() Config {
			c.Lock = &snapshot.DirLock{Path: c.StoragePath}
			return c
		}
		first := start(t, locked())
		firstLock := c.Lock
		first.RecordRestart(cold(time.Second))
		first.RecordPorts(somePorts(9100))
		synctest.Wait()

		second := start(t, locked())
		defer c.Lock.Release()
		second.RecordRestart(warm(2 * time.Second))
		second.RecordPorts(somePorts(1500))
		synctest.Wait()
		if second.HasState() {
			t.Error("the second process uses the state file of the first")
		}
		if p := second.Problems(); len(p) != 1 || !strings.Contains(p[0], snapshot.ErrLocked.Error()) {
			t.Errorf("problems %q, want one that names the other process", p)
		}
		if n := second.log.count("level=ERROR", snapshot.ErrLocked.Error()); n != 1 {
			t.Errorf("%d log lines, want 1", n)
		}
		if b := stored(t, c); b.Counters.starts() != 1 || b.Restarts[0].Kind != Cold {
			t.Errorf("metrics.json is %+v, want that of the first process", b)
		}
		if text, err := os.ReadFile(c.StateFile); err != nil || !strings.Contains(string(text), `"mtu":9100`) || strings.Contains(string(text), `"mtu":1500`) {
			t.Errorf("the state file is %.300s, %v, want that of the first process", text, err)
		}

		first.RecordRestart(cold(time.Second)) // written after the second process was refused
		first.stop()
		firstLock.Release()
		time.Sleep(maxPause + time.Second)
		synctest.Wait()
		b := stored(t, c)
		kinds := make([]string, len(b.Restarts))
		for i, r := range b.Restarts {
			kinds[i] = r.Kind
		}
		if b.Counters.ColdStarts != 2 || b.Counters.WarmRestarts != 1 || !slices.Equal(kinds, []string{Cold, Cold, Warm}) || b.Sync.Sum != 4 {
			t.Errorf("metrics.json is %+v, want the starts of both processes", b)
		}
		if p := second.Problems(); len(p) > 0 {
			t.Errorf("problems %q after the first process has ended", p)
		}
		second.stop()
		if names := files(t, filepath.Dir(c.StateFile), "port_state.json.corrupt"); len(names) > 0 {
			t.Errorf("files were set aside: %q", names)
		}
	})
}
