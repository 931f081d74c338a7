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
type Keeper struct {
	*Cell
	Conf    string // path of the configuration file
	State   string // path of the state file
	Storage string // the directory of all else
}

// NewKeeper is NewCell with a place for files.
func NewKeeper(t *testing.T) *Keeper {
	t.Helper()
	c := NewCell(t)
	if c == nil {
		return nil
	}
	k := &Keeper{Cell: c, Conf: c.Dir + "/portsyncd.conf", State: c.Dir + "/state/port_state.json", Storage: c.Dir + "/metrics"}
	k.Write("", "")
	return k
}

// Write writes the configuration file, with more keys for two of its tables.
func (k *Keeper) Write(warmRestart, metrics string) {
	k.T.Helper()
	WriteFile(k.T, k.Conf, fmt.Sprintf("[warm_restart]\nstate_file = %q\n%s\n[metrics]\nstorage_path = %q\n%s\n",
		k.State, warmRestart, k.Storage, metrics))
}

func (k *Keeper) Launch() *Program {
	k.T.Helper()
	d := k.Start(Launch{Args: []string{"-c", k.Conf}})
	d.AwaitReady()
	return d
}

// Settle is BringUp with the configuration file, until the state file has all
// ports as they are.
func (k *Keeper) Settle(ports int) *Program {
	k.T.Helper()
	k.Configure(ports)
	d := k.Launch()
	k.Pop()
	for n := range ports {
		k.AddPort(PortName(n))
	}
	k.AwaitInitDone()
	k.AwaitInStep(Patience)
	Eventually(k.T, Patience, func() string {
		up := 0
		for _, p := range k.StoredPorts() {
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
func (k *Keeper) StateFile() *snapshot.File { return &snapshot.File{Path: k.State, Schema: 1} }

// StoredPorts returns what is in the state file, nil if it is of no use.
func (k *Keeper) StoredPorts() []warmrestart.Port {
	got, err := k.StateFile().Peek()
	if err != nil {
		return nil
	}
	var body struct{ Ports []warmrestart.Port }
	k.Must("read the state file", json.Unmarshal(got.Body, &body))
	return body.Ports
}

// Memory is the body of metrics.json.
type Memory struct {
	Counters warmrestart.Counters
	Restarts []warmrestart.Restart
}

// Stored returns what is in metrics.json.
func (k *Keeper) Stored() Memory {
	k.T.Helper()
	f := snapshot.File{Path: k.Storage + "/metrics.json", Schema: 1}
	got, err := f.Peek()
	k.Must("read metrics.json", err)
	var m Memory
	k.Must("read metrics.json", json.Unmarshal(got.Body, &m))
	return m
}

// AwaitRecord waits until there are n records of starts and returns the last.
func (k *Keeper) AwaitRecord(n int) warmrestart.Restart {
	k.T.Helper()
	var m Memory
	Eventually(k.T, Patience, func() string {
		if m = k.Stored(); len(m.Restarts) != n {
			return fmt.Sprintf("%d records, want %d", len(m.Restarts), n)
		}
		return ""
	})
	return m.Restarts[n-1]
}

// Beside returns the files beside path whose name goes on with suffix.
func Beside(t *testing.T, path, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + suffix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Damage flips a bit in the middle of a file.
func Damage(t *testing.T, path string) {
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
func (k *Keeper) Reload(d *Program) {
	k.T.Helper()
	n := d.States.Len()
	d.Signal(syscall.SIGHUP)
	d.AwaitState(n, Patience, "READY=1")
}

// Scrape returns the values on /metrics, by series. The listener is there soon
// after the start.
func Scrape(t *testing.T) map[string]string {
	t.Helper()
	var text []byte
	Eventually(t, Patience, func() string {
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
type TouchedRow struct{ Key, Event string }

// WatchRows records writes to the rows of PORT_TABLE in STATE_DB.
func (c *Cell) WatchRows() *Record[TouchedRow] {
	c.T.Helper()
	at := c.Places["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.Tcp(), DB: at.Number, IOTimeout: Patience})
	c.Must("connect", err)
	c.T.Cleanup(func() { conn.Close() })
	c.Must("subscribe", conn.PSubscribe(fmt.Sprintf("__keyspace@%d__:PORT_TABLE|*", at.Number)))
	_, err = conn.ReceiveMessage()
	c.Must("subscribe", err)
	rows := new(Record[TouchedRow])
	go func() {
		for {
			m, err := conn.ReceiveMessage()
			if err != nil {
				return
			}
			_, key, _ := bytes.Cut(m.Channel, []byte("|"))
			rows.Add(TouchedRow{string(key), string(m.Payload.Str)})
		}
	}()
	return rows
}

// UntilNow returns what was written so far: a write of the test's own marks the
// end.
func (c *Cell) UntilNow(rows *Record[TouchedRow]) []TouchedRow {
	c.T.Helper()
	const mark = "mark" // a row that the daemon has no business with
	n := rows.Len()
	c.Do("STATE_DB", "HSET", "PORT_TABLE|"+mark, "state", "ok")
	if _, ok := rows.Await(n, Patience, func(r TouchedRow) bool { return r.Key == mark }); !ok {
		c.T.Fatal("no notification of the test's own write")
	}
	all, _ := rows.From(0)
	var others []TouchedRow
	for _, r := range all {
		if r.Key != mark {
			others = append(others, r)
		}
	}
	return others
}

// WatchLinks records the names of ports that the kernel reports as down.
func (c *Cell) WatchLinks() *Record[string] {
	c.T.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	c.Must("open a netlink socket", err)
	c.T.Cleanup(func() { conn.Close() })
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
