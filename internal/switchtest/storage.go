package switchtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/warmrestart"
	"portsyncd/netlinkraw"
)

// Keeper is a cell whose daemon has a configuration file and keeps its files in
// the cell's directory.
type StorageSwitch struct {
	*Switch
	ConfigPath string // path of the configuration file
	StatePath  string // path of the state file
	StorageDir string // the directory of all else
}

// NewKeeper is NewCell with a place for files.
func NewWithStorage(t *testing.T) *StorageSwitch {
	t.Helper()
	sw := New(t)
	if sw == nil {
		return nil
	}
	s := &StorageSwitch{Switch: sw, ConfigPath: sw.Dir + "/portsyncd.conf", StatePath: sw.Dir + "/state/port_state.json", StorageDir: sw.Dir + "/metrics"}
	s.WriteSettings("", "")
	return s
}

// Write writes the configuration file, with more keys for two of its tables.
func (sw *StorageSwitch) WriteSettings(warmRestart, metrics string) {
	sw.T.Helper()
	WriteFile(sw.T, sw.ConfigPath, fmt.Sprintf("[warm_restart]\nstate_file = %q\n%s\n[metrics]\nstorage_path = %q\n%s\n",
		sw.StatePath, warmRestart, sw.StorageDir, metrics))
}

func (sw *StorageSwitch) StartConfigured() *Daemon {
	sw.T.Helper()
	d := sw.Start(StartOptions{Args: []string{"-c", sw.ConfigPath}})
	d.AwaitReady()
	return d
}

// Settle is BringUp with the configuration file, until the state file has all
// ports as they are.
func (sw *StorageSwitch) BringUpSaved(ports int) *Daemon {
	sw.T.Helper()
	sw.ConfigurePorts(ports)
	d := sw.StartConfigured()
	sw.PopPortTable()
	for n := range ports {
		sw.AddPort(PortName(n))
	}
	sw.AwaitInitDone()
	sw.AwaitInSync(Timeout)
	Eventually(sw.T, Timeout, func() string {
		up := 0
		for _, p := range sw.SavedPorts() {
			if p.Oper {
				up++
			}
		}
		if up != ports {
			return fmt.Sprintf("%d ports are up in the state file, want %d", up, ports)
		}
		return ""
	})
	return d
}

// StateFile is the state file for the test to read.
func (sw *StorageSwitch) StateFile() *snapshot.File {
	return &snapshot.File{Path: sw.StatePath, Schema: 1}
}

// StoredPorts returns what is in the state file, nil if it is of no use.
func (sw *StorageSwitch) SavedPorts() []warmrestart.Port {
	got, err := sw.StateFile().Peek()
	if err != nil {
		return nil
	}
	var body struct{ Ports []warmrestart.Port }
	sw.NoError("read the state file", json.Unmarshal(got.Body, &body))
	return body.Ports
}

// Memory is the body of metrics.json.
type MetricsFile struct {
	Counters warmrestart.Counters
	Restarts []warmrestart.Restart
}

// Stored returns what is in metrics.json.
func (sw *StorageSwitch) ReadMetricsFile() MetricsFile {
	sw.T.Helper()
	f := snapshot.File{Path: sw.StorageDir + "/metrics.json", Schema: 1}
	got, err := f.Peek()
	sw.NoError("read metrics.json", err)
	var m MetricsFile
	sw.NoError("read metrics.json", json.Unmarshal(got.Body, &m))
	return m
}

// AwaitRecord waits until there are n records of starts and returns the last.
func (sw *StorageSwitch) AwaitRestarts(n int) warmrestart.Restart {
	sw.T.Helper()
	var m MetricsFile
	Eventually(sw.T, Timeout, func() string {
		if m = sw.ReadMetricsFile(); len(m.Restarts) != n {
			return fmt.Sprintf("%d records, want %d", len(m.Restarts), n)
		}
		return ""
	})
	return m.Restarts[n-1]
}

// Beside returns the files beside path whose name goes on with suffix.
func FilesWithPrefix(t *testing.T, path, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + suffix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Damage flips a bit in the middle of a file.
func CorruptFile(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
}

// Reload has the daemon read its configuration file again.
func (sw *StorageSwitch) Reload(d *Daemon) {
	sw.T.Helper()
	n := d.Notifications.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitNotification(n, Timeout, "READY=1")
}

// Scrape returns the values on /metrics, by series. The listener is there soon
// after the start.
func Scrape(t *testing.T) map[string]string {
	t.Helper()
	var text []byte
	Eventually(t, Timeout, func() string {
		client := http.Client{Timeout: 2 * time.Second}
		response, err := client.Get("http://127.0.0.1:9101/metrics")
		if err != nil {
			return err.Error()
		}
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
		if err != nil || response.StatusCode != http.StatusOK {
			return fmt.Sprintf("/metrics answers %s, %v", response.Status, err)
		}
		return ""
	})
	return Samples(string(text))
}

// Samples reads the text of an exposition.
func Samples(text string) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}

// TouchedRow is one write to a row, as a keyspace notification tells it.
type RowEvent struct{ Key, Event string }

// WatchRows records writes to the rows of PORT_TABLE in STATE_DB.
func (sw *Switch) WatchRowEvents() *Record[RowEvent] {
	sw.T.Helper()
	at := sw.Databases["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.TCPAddress(), DB: at.Number, IOTimeout: Timeout})
	sw.NoError("connect", err)
	sw.T.Cleanup(func() { conn.Close() })
	sw.NoError("subscribe", conn.PSubscribe(fmt.Sprintf("__keyspace@%d__:PORT_TABLE|*", at.Number)))
	_, err = conn.ReceiveMessage()
	sw.NoError("subscribe", err)
	rows := new(Record[RowEvent])
	go func() {
		for {
			m, err := conn.ReceiveMessage()
			if err != nil {
				return
			}
			_, key, _ := bytes.Cut(m.Channel, []byte("|"))
			rows.Add(RowEvent{string(key), string(m.Payload.Str)})
		}
	}()
	return rows
}

// UntilNow returns what was written so far: a write of the test's own marks the
// end.
func (sw *Switch) RowEventsSoFar(rows *Record[RowEvent]) []RowEvent {
	sw.T.Helper()
	const mark = "mark" // a row that the daemon has no business with
	n := rows.Len()
	sw.Do("STATE_DB", "HSET", "PORT_TABLE|"+mark, "state", "ok")
	if _, ok := rows.Await(n, Timeout, func(r RowEvent) bool { return r.Key == mark }); !ok {
		sw.T.Fatal("no notification of the test's own write")
	}
	all, _ := rows.From(0)
	var others []RowEvent
	for _, r := range all {
		if r.Key != mark {
			others = append(others, r)
		}
	}
	return others
}

// WatchLinks records the names of ports that the kernel reports as down.
func (sw *Switch) WatchLinksDown() *Record[string] {
	sw.T.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	sw.NoError("open a netlink socket", err)
	sw.T.Cleanup(func() { conn.Close() })
	down := new(Record[string])
	go func() {
		var batch netlinkraw.Batch
		for conn.Receive(&batch) == nil {
			for batch.Next() {
				m := batch.Message()
				if m.Type != netlinkraw.NewLink && m.Type != netlinkraw.DelLink {
					continue
				}
				const working = unix.IFF_UP | unix.IFF_RUNNING
				if name := string(m.Link.Name); strings.HasPrefix(name, "Ethernet") &&
					(m.Type == netlinkraw.DelLink || m.Link.Flags&working != working) {
					down.Add(name)
				}
			}
		}
	}()
	return down
}
