package main

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

	"portsyncd/netlinkraw"
	"portsyncd/snapshot"
	"portsyncd/sonicdb"
	"portsyncd/warmrestart"
)

// keeper is a cell whose daemon has a configuration file and keeps its files in
// the cell's directory.
type keeper struct {
	*cell
	conf    string // path of the configuration file
	state   string // path of the state file
	storage string // the directory of all else
}

// newKeeper is newCell with a place for files.
func newKeeper(t *testing.T) *keeper {
	t.Helper()
	c := newCell(t)
	if c == nil {
		return nil
	}
	k := &keeper{cell: c, conf: c.dir + "/portsyncd.conf", state: c.dir + "/state/port_state.json", storage: c.dir + "/metrics"}
	k.write("", "")
	return k
}

// write writes the configuration file, with more keys for two of its tables.
func (k *keeper) write(warmRestart, metrics string) {
	k.t.Helper()
	writeFile(k.t, k.conf, fmt.Sprintf("[warm_restart]\nstate_file = %q\n%s\n[metrics]\nstorage_path = %q\n%s\n",
		k.state, warmRestart, k.storage, metrics))
}

func (k *keeper) launch() *program {
	k.t.Helper()
	d := k.start(launch{args: []string{"-c", k.conf}})
	d.awaitReady()
	return d
}

// settle is bringUp with the configuration file, until the state file has all
// ports as they are.
func (k *keeper) settle(ports int) *program {
	k.t.Helper()
	k.configure(ports)
	d := k.launch()
	k.pop()
	for n := range ports {
		k.addPort(portName(n))
	}
	k.awaitInitDone()
	k.awaitInStep(patience)
	eventually(k.t, patience, func() string {
		up := 0
		for _, p := range k.storedPorts() {
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

// stateFile is the state file for the test to read.
func (k *keeper) stateFile() *snapshot.File { return &snapshot.File{Path: k.state, Schema: 1} }

// storedPorts returns what is in the state file, nil if it is of no use.
func (k *keeper) storedPorts() []warmrestart.Port {
	got, err := k.stateFile().Peek()
	if err != nil {
		return nil
	}
	var body struct{ Ports []warmrestart.Port }
	k.must("read the state file", json.Unmarshal(got.Body, &body))
	return body.Ports
}

// memory is the body of metrics.json.
type memory struct {
	Counters warmrestart.Counters
	Restarts []warmrestart.Restart
}

// stored returns what is in metrics.json.
func (k *keeper) stored() memory {
	k.t.Helper()
	f := snapshot.File{Path: k.storage + "/metrics.json", Schema: 1}
	got, err := f.Peek()
	k.must("read metrics.json", err)
	var m memory
	k.must("read metrics.json", json.Unmarshal(got.Body, &m))
	return m
}

// awaitRecord waits until there are n records of starts and returns the last.
func (k *keeper) awaitRecord(n int) warmrestart.Restart {
	k.t.Helper()
	var m memory
	eventually(k.t, patience, func() string {
		if m = k.stored(); len(m.Restarts) != n {
			return fmt.Sprintf("%d records, want %d", len(m.Restarts), n)
		}
		return ""
	})
	return m.Restarts[n-1]
}

// beside returns the files beside path whose name goes on with suffix.
func beside(t *testing.T, path, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + suffix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// damage flips a bit in the middle of a file.
func damage(t *testing.T, path string) {
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

// reload has the daemon read its configuration file again.
func (k *keeper) reload(d *program) {
	k.t.Helper()
	n := d.states.len()
	d.signal(syscall.SIGHUP)
	d.awaitState(n, patience, "READY=1")
}

// scrape returns the values on /metrics, by series. The listener is there soon
// after the start.
func scrape(t *testing.T) map[string]string {
	t.Helper()
	var text []byte
	eventually(t, patience, func() string {
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
	return samples(string(text))
}

// samples reads the text of an exposition.
func samples(text string) map[string]string {
	values := make(map[string]string)
	for line := range strings.Lines(text) {
		if i := strings.LastIndexByte(line, ' '); i > 0 && line[0] != '#' {
			values[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	return values
}

// touchedRow is one write to a row, as a keyspace notification tells it.
type touchedRow struct{ key, event string }

// watchRows records writes to the rows of PORT_TABLE in STATE_DB.
func (c *cell) watchRows() *record[touchedRow] {
	c.t.Helper()
	at := c.places["STATE_DB"]
	conn, err := sonicdb.Dial(context.Background(), sonicdb.Options{Network: "tcp", Address: at.tcp(), DB: at.number, IOTimeout: patience})
	c.must("connect", err)
	c.t.Cleanup(func() { conn.Close() })
	c.must("subscribe", conn.PSubscribe(fmt.Sprintf("__keyspace@%d__:PORT_TABLE|*", at.number)))
	_, err = conn.ReceiveMessage()
	c.must("subscribe", err)
	rows := new(record[touchedRow])
	go func() {
		for {
			m, err := conn.ReceiveMessage()
			if err != nil {
				return
			}
			_, key, _ := bytes.Cut(m.Channel, []byte("|"))
			rows.add(touchedRow{string(key), string(m.Payload.Str)})
		}
	}()
	return rows
}

// untilNow returns what was written so far: a write of the test's own marks the
// end.
func (c *cell) untilNow(rows *record[touchedRow]) []touchedRow {
	c.t.Helper()
	const mark = "mark" // a row that the daemon has no business with
	n := rows.len()
	c.do("STATE_DB", "HSET", "PORT_TABLE|"+mark, "state", "ok")
	if _, ok := rows.await(n, patience, func(r touchedRow) bool { return r.key == mark }); !ok {
		c.t.Fatal("no notification of the test's own write")
	}
	all, _ := rows.from(0)
	var others []touchedRow
	for _, r := range all {
		if r.key != mark {
			others = append(others, r)
		}
	}
	return others
}

// watchLinks records the names of ports that the kernel reports as down.
func (c *cell) watchLinks() *record[string] {
	c.t.Helper()
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	c.must("open a netlink socket", err)
	c.t.Cleanup(func() { conn.Close() })
	down := new(record[string])
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
					down.add(name)
				}
			}
		}
	}()
	return down
}
