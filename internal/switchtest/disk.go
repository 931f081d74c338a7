package switchtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/warmrestart"
)

// MountDisk puts a small file system where the daemon keeps its files.
func (sw *StorageSwitch) MountDisk() (at string) {
	sw.T.Helper()
	at = sw.Dir + "/disk"
	sw.Mkdir(at)
	sw.NoError("mount a disk", unix.Mount("tmpfs", at, "tmpfs", 0, "size=512k"))
	sw.StatePath, sw.StorageDir = at+"/state/port_state.json", at+"/metrics"
	return at
}

// MountImage mounts a file system in a file, by a loop device (loop(4)) that goes
// with the mount. The cell's own /dev has none.
func (sw *StorageSwitch) MountImage(image, at, kind string) error {
	devices := sw.Dir + "/devices"
	sw.Mkdir(devices)
	if err := unix.Mount("devtmpfs", devices, "devtmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount the devices: %w", err)
	}
	control, err := os.Open(devices + "/loop-control")
	if err != nil {
		return err
	}
	defer control.Close()
	n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return fmt.Errorf("find a loop device: %w", err)
	}
	loop, err := os.OpenFile(fmt.Sprintf("%s/loop%d", devices, n), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer loop.Close()
	file, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_FD, int(file.Fd())); err != nil {
		return fmt.Errorf("set up %s: %w", loop.Name(), err)
	}
	status := unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}
	if err := unix.IoctlLoopSetStatus64(int(loop.Fd()), &status); err != nil {
		return fmt.Errorf("set up %s: %w", loop.Name(), err)
	}
	if err := unix.Mount(loop.Name(), at, kind, 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", loop.Name(), err)
	}
	return nil
}

// Remount makes the disk read-only or writable. It has to wait for a write that
// is under way.
func (sw *StorageSwitch) Remount(at string, flags uintptr) {
	sw.T.Helper()
	Eventually(sw.T, Timeout, func() string {
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|flags, ""); err != nil {
			return err.Error()
		}
		return ""
	})
}

// AwaitDegraded waits until /healthz says degraded with all of the words, or
// healthy if there are none.
func AwaitDegraded(t *testing.T, words ...string) {
	t.Helper()
	Eventually(t, Timeout, func() string {
		code, body, err := Health(HTTPAddress)
		want := "healthy\n"
		if len(words) > 0 {
			want = "degraded\n"
		}
		problem := fmt.Sprintf("/healthz answers %d %q, %v, want %q with %q", code, body, err, want, words)
		if code != http.StatusOK || !strings.HasPrefix(body, want) {
			return problem
		}
		for _, w := range words {
			if !strings.Contains(body, w) {
				return problem
			}
		}
		return ""
	})
}

// historyLine is one sample.
type HistorySample struct {
	Time     time.Time
	Health   string
	Restarts map[string]uint64
	Events   *uint64
	Repairs  *uint64
	Up       *int `json:"ports_up"`
	Present  *int `json:"ports_present"`
	Flaps    []warmrestart.PortFlaps
	Latency  *struct {
		Count uint64
		P50   int64 `json:"p50_ns"`
		P99   int64 `json:"p99_ns"`
	}
}

// Samples returns the history that the daemon has written.
func (sw *StorageSwitch) ReadHistory() (lines []HistorySample) {
	sw.T.Helper()
	h := snapshot.Log{Path: sw.StorageDir + "/history.jsonl"}
	stats, err := h.Read(time.Time{}, func(text []byte) error {
		var l HistorySample
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("sample %q: %w", text, err)
		}
		lines = append(lines, l)
		return nil
	})
	sw.NoError("read the history", err)
	if stats.Bad > 0 {
		sw.T.Errorf("%d bad lines in the history", stats.Bad)
	}
	return lines
}

// AwaitSamples waits until there are n samples at least.
func (sw *StorageSwitch) AwaitHistory(n int) []HistorySample {
	sw.T.Helper()
	var lines []HistorySample
	Eventually(sw.T, Timeout, func() string {
		if lines = sw.ReadHistory(); len(lines) < n {
			return fmt.Sprintf("%d samples, want %d", len(lines), n)
		}
		return ""
	})
	return lines
}
