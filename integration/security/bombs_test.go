package security

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// mostMemory is how much memory the daemon and the report may use at most, whatever the files
// contain.
const mostMemory = 64 << 20

// largestFile is the size of the largest body that the daemon reads.
const largestFile = 8<<20 - 400

// withEnvelope returns a body with a valid header and checksum.
func withEnvelope(body []byte) []byte {
	tail := fmt.Appendf(nil, `,"schema":1,"writer":"w","boot_id":"b","saved_at":"2026-11-27T00:00:00Z","body":%s}`+"\n", body)
	return fmt.Appendf(nil, `{"sha256":"%x"%s`, sha256.Sum256(tail), tail)
}

// repeat returns as many units as fit into largestFile, separated by commas, between two texts.
func repeat(before, unit, after string) []byte {
	n := (largestFile - len(before) - len(after)) / (len(unit) + 1)
	return fmt.Append(nil, before, strings.Repeat(unit+",", n-1), unit, after)
}

// emptyHistogram is the begin of a body.
const emptyHistogram = `{"sync_duration_seconds":{"bounds":[],"counts":[0],"sum":0}`

// bombs are bodies of metrics.json that are small compared with the memory that a naive decoder
// would need.
var bombs = map[string][]byte{
	"empty records": repeat(emptyHistogram+`,"restarts":[`, `{}`, `]}`),
	"long reason":   fmt.Append(nil, emptyHistogram, `,"restarts":[{"kind":"warm","reason":"`, strings.Repeat("x", largestFile-200), `"}]}`),
}

// plantBomb writes a body of metrics.json into a directory, with backups, a state file of many
// ports, files named like backups, and a history of long lines.
func plantBomb(t *testing.T, storage, state string, bomb []byte) {
	t.Helper()
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path, text, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{storage, filepath.Dir(state)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := withEnvelope(bomb)
	write(storage+"/metrics.json", text)
	for n := range 2 {
		write(fmt.Sprintf("%s/metrics.json.backup-%06d", storage, 9000+n), text)
	}
	for n := range 5000 {
		write(fmt.Sprintf("%s/metrics.json.backup-%06d", storage, 10+n), nil)
	}
	write(state, withEnvelope(repeat(`{"ports":[`, `{}`, `]}`)))
	var lines bytes.Buffer
	for n := range 1500 {
		fmt.Fprintf(&lines, `{"time":"2026-11-27T10:00:00Z","process":"2026-11-27T09:00:00Z","health":%q,"score":1,"restarts":{},"events":%d,"flaps":[`, strings.Repeat("h", 60), n)
		for k := range 32 {
			fmt.Fprintf(&lines, `%s{"port":"%060d","downs":1,"penalty":1}`, strings.Repeat(",", min(k, 1)), n*32+k)
		}
		lines.WriteString("]}\n")
	}
	write(storage+"/history.jsonl", lines.Bytes())
}

// peakOf returns the peak resident memory of a process, or 0 if it has ended. wait4(2) would
// include the memory of the parent before exec.
func peakOf(pid int) (bytes int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), "VmHWM:")
	fmt.Sscanf(after, "%d kB", &bytes)
	return bytes << 10
}

// TestReportOfBombs checks that a report on such files stays within mostMemory.
func TestReportOfBombs(t *testing.T) {
	switchtest.Parallel(t)
	for name, bomb := range bombs {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			dir := t.TempDir()
			plantBomb(t, dir+"/metrics", dir+"/port_state.json", bomb)
			out, code, most := switchtest.RunMeasured(t, switchtest.Binary(t), "report", "--json", "--html", dir+"/page.html", "--storage", dir+"/metrics")
			if code != 0 || !strings.Contains(out, "JSON arrays have more than") && !strings.Contains(out, "string is longer than") {
				t.Errorf("report: status %d, %.200s", code, out)
			}
			if most > mostMemory && !switchtest.RaceEnabled {
				t.Errorf("the report took %d MiB, want at most %d", most>>20, mostMemory>>20)
			}
			t.Logf("the report took %d MiB", most>>20)
		})
	}
}

// TestStartOnBombs checks that a daemon renames such files at its start and stays within
// mostMemory.
func TestStartOnBombs(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	plantBomb(t, sw.StorageDir, sw.StatePath, bombs["long reason"])
	sw.ConfigurePorts(1)
	d := sw.StartConfigured()
	switchtest.Eventually(t, 4*switchtest.Timeout, func() string {
		for _, path := range []string{sw.StorageDir + "/metrics.json", sw.StatePath} {
			if left, _ := filepath.Glob(path + ".corrupt-*"); len(left) == 0 {
				return path + " is not set aside"
			}
		}
		return ""
	})
	sw.AddInterfaces(1)
	most := peakOf(d.Cmd.Process.Pid)
	if most == 0 || most > mostMemory && !switchtest.RaceEnabled {
		t.Errorf("the daemon took %d MiB, want at most %d", most>>20, mostMemory>>20)
	}
	t.Logf("the daemon took %d MiB", most>>20)
	sw.CheckSelfReport(d)
	d.Signal(syscall.SIGTERM)
	d.Wait(switchtest.ExitTimeout)
}
