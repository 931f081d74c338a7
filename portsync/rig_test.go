package portsync

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// rig is a loop whose turns the test makes, on an in-memory database.
type rig struct {
	t        *testing.T
	loop     *Loop
	set      *metrics.Set
	status   *Status
	db       *lab.DB
	session  *session
	requests int // requests that the loop has sent to the database
}

// countingConn counts the requests on a connection.
type countingConn struct {
	net.Conn
	requests *int
}

func (c countingConn) Write(b []byte) (int, error) {
	if len(b) > 0 {
		*c.requests++
	}
	return c.Conn.Write(b)
}

// serve starts the in-memory database and returns the connections of the loop to it.
func (a *rig) serve() *Databases {
	a.t.Helper()
	a.db = lab.NewDB(lab.DBOptions{Notify: "AKE"})
	listener := lab.NewPipes()
	var served sync.WaitGroup
	served.Go(func() { a.db.Serve(listener) })
	dbs, err := newDatabases(sonicdb.StaticMap("pipe", ""), true, func(db sonicdb.Database) (*sonicdb.Conn, error) {
		client, err := listener.DialContext(a.t.Context(), "", "")
		if err != nil {
			return nil, err
		}
		return sonicdb.NewConn(countingConn{client, &a.requests}, db.Options())
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() {
		dbs.Close()
		a.db.Close()
		served.Wait()
	})
	return dbs
}

// do runs a command in a database, whatever fault is set.
func (a *rig) do(db int, args ...string) {
	a.t.Helper()
	if _, err := a.db.Do(db, args...); err != nil {
		a.t.Fatalf("%q: %v", args, err)
	}
}

// addAppl adds the rows of ports to APPL_DB.
func (a *rig) addAppl(names ...string) {
	a.t.Helper()
	for _, name := range names {
		a.do(lab.ApplDB, "HSET", "PORT_TABLE:"+name, "lanes", "0")
	}
}

// removeAppl removes the row of a port from APPL_DB.
func (a *rig) removeAppl(name string) { a.do(lab.ApplDB, "DEL", "PORT_TABLE:"+name) }

// setRow replaces the row of a port in STATE_DB by one that portsyncd can have written.
func (a *rig) setRow(name, mtu string) {
	a.t.Helper()
	a.removeRow(name)
	a.do(lab.StateDB, "HSET", "PORT_TABLE|"+name, "state", "ok", "netdev_oper_status", "down", "admin_status", "down", "mtu", mtu)
}

// removeRow removes the row of a port from STATE_DB, whatever its type.
func (a *rig) removeRow(name string) { a.do(lab.StateDB, "DEL", "PORT_TABLE|"+name) }

// spoilRow gives a port a key of another type than a row in STATE_DB.
func (a *rig) spoilRow(name string) { a.do(lab.StateDB, "SET", "PORT_TABLE|"+name, "no hash") }

// refuse makes the database refuse each command with an error, or none with "".
func (a *rig) refuse(err lab.ErrorReply) { a.db.SetFault(lab.Fault{Error: err}) }

// setMarkers makes APPL_DB have exactly these markers.
func (a *rig) setMarkers(m Markers) {
	a.t.Helper()
	for name, there := range map[string]bool{portConfigDone: m.ConfigDone, portInitDone: m.InitDone} {
		a.do(lab.ApplDB, "SREM", "PORT_TABLE_KEY_SET", name)
		if a.removeAppl(name); there {
			a.do(lab.ApplDB, "HSET", "PORT_TABLE:"+name, "count", "1")
		}
	}
}

// noLinks accepts requests and sends no messages. The test sends them with event.
type noLinks struct{ Links }

func (noLinks) RequestLinkDump() (uint32, error) { return 1, nil }
func (noLinks) RequestLink(int32) error          { return nil }

// newRig starts a loop with these configured ports, which APPL_DB has.
func newRig(t *testing.T, ports ...string) *rig {
	t.Helper()
	a := &rig{t: t, set: metrics.NewSet(), status: new(Status)}
	a.loop = NewLoop(Options{Links: noLinks{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Status: a.status,
		Open: new(Connector), Metrics: NewMetrics(a.set, a.status, true)})
	l := a.loop
	l.ctx = t.Context()
	a.session = &session{store: a.serve(), done: make(chan struct{})}
	l.db.session = a.session
	l.db.connection.up = true
	l.initial.decision, l.initial.started = new(Decision), true
	a.setMarkers(Markers{ConfigDone: true, InitDone: true})
	a.addAppl(ports...)
	l.state.Configure(ports)
	l.dumps.resync(ReasonStart, 1)
	l.requestDump(1)
	a.event(Event{Kind: netlinkraw.DumpDone, Seq: 1})
	a.turn()
	return a
}

// event adds a message to the ring.
func (a *rig) event(ev Event) {
	a.t.Helper()
	slot := a.loop.ring.Slot()
	if slot == nil {
		a.t.Fatal("the ring is full")
	}
	ev.At = a.loop.clock.now()
	*slot = ev
	a.loop.ring.Push()
}

// link adds a message about a link to the ring.
func (a *rig) link(kind netlinkraw.MessageType, index int32, name string, mtu uint32) {
	a.t.Helper()
	ev := Event{Kind: kind, Index: index, MTU: mtu, Counted: true, CarrierDown: mtu % 7}
	ev.SetName([]byte(name))
	a.event(ev)
}

// turn makes one turn that does not sleep.
func (a *rig) turn() {
	l := a.loop
	l.consume()
	l.publishStatus()
	l.openGate()
	l.flush()
	l.reconcile()
	l.finishInitial()
	l.publishStatus()
}

// audit makes an audit whose dump shows no change.
func (a *rig) audit() {
	a.loop.audits.compare, a.loop.audits.sweep = true, sweepAudit
	a.turn() // compares
	a.turn() // repairs
}

// want compares a series.
func (a *rig) want(series, value string) {
	a.t.Helper()
	if got := exposed(a.set, series); got != value {
		a.t.Errorf("%s is %s, want %s", series, got, value)
	}
}

func (a *rig) wantNumber(series string, value int) {
	a.t.Helper()
	a.want(series, fmt.Sprint(value))
}

// TestChangesCounted checks that portsyncd_port_changes_total counts the writes that changed a
// field of the row or created it.
func TestChangesCounted(t *testing.T) {
	a := newRig(t, "Ethernet0")
	const series = `portsyncd_port_changes_total{port="Ethernet0"}`
	step := func(what string, want int) {
		t.Helper()
		a.turn()
		a.wantNumber(series, want)
	}
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	step("created", 1)
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	step("the same again", 1)
	ev := Event{Kind: netlinkraw.NewLink, Index: 5, MTU: 1500, Counted: true, CarrierUp: 9, CarrierDown: 9}
	ev.SetName([]byte("Ethernet0"))
	a.event(ev)
	step("another carrier count", 1)
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 9100)
	step("another MTU", 2)
	a.link(netlinkraw.DelLink, 5, "Ethernet0", 9100)
	step("deleted", 2)
	a.link(netlinkraw.NewLink, 6, "Ethernet0", 9100)
	step("created again", 3)
	a.link(netlinkraw.DelLink, 6, "Ethernet0", 9100)
	a.link(netlinkraw.NewLink, 7, "Ethernet0", 9100)
	step("created again in one batch", 4)
	a.setRow("Ethernet0", "0")
	a.audit()
	step("repaired", 5)
	a.loop.state.ports["Ethernet0"].row.unknown = true
	a.link(netlinkraw.NewLink, 7, "Ethernet0", 9100)
	step("over a row of an earlier run", 5)
}

// TestWritesCounted checks that the latency histogram, the minutes of the last hour and /status
// count the writes of portsyncd_database_writes_total, and that a batch is observed with the
// number of its written ports.
func TestWritesCounted(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 6, "Ethernet4", 1500)
	a.link(netlinkraw.NewLink, 7, "Ethernet8", 1500) // APPL_DB has no such port
	a.turn()
	a.link(netlinkraw.NewLink, 7, "Ethernet8", 9000)
	a.turn() // writes nothing
	a.link(netlinkraw.DelLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 8, "Ethernet0", 1500)
	a.turn()
	a.want(`portsyncd_database_writes_total{op="set"}`, "3")
	a.want(`portsyncd_database_writes_total{op="delete"}`, "1")
	a.want("portsyncd_event_latency_seconds_count", "4")
	a.want("portsyncd_batch_ports_count", "2")
	a.want("portsyncd_batch_ports_sum", "3")
	v := a.status.View(time.Now())
	if total := v.Hour[len(v.Hour)-1].Writes; v.Counts.Writes != 4 || total != 4 {
		t.Errorf("%d writes in all, %d in the last minute, want 4", v.Counts.Writes, total)
	}
	if n := a.loop.Metrics.latency.newest.next.Load(); n != 4 {
		t.Errorf("%d latencies for the history, want 4", n)
	}
}

// TestIgnoredCounted checks that reason "unknown" counts messages, also those merged in the
// backlog, and that a rename that deletes a row is not counted as ignored.
func TestIgnoredCounted(t *testing.T) {
	const unknown, name = `portsyncd_events_ignored_total{reason="unknown"}`, `portsyncd_events_ignored_total{reason="name"}`
	a := newRig(t, "Ethernet0")
	for mtu := range uint32(200) {
		a.link(netlinkraw.NewLink, 7, "Ethernet8", 1500+mtu)
	}
	a.turn()
	a.want(unknown, "200")
	a.link(netlinkraw.NewLink, 7, "Ethernet8", 1500)
	a.link(netlinkraw.DelLink, 7, "Ethernet8", 1500)
	a.turn()
	a.want(unknown, "201") // the deletion led to a DEL
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.DelLink, 5, "Ethernet0", 1500)
	a.turn()
	a.want(unknown, "201") // the port is known, the state was overtaken
	a.link(netlinkraw.NewLink, 9, "eth9", 1500)
	a.turn()
	a.want(name, "1")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 5, "eth5", 1500)
	a.turn()
	a.want(name, "1")
	a.link(netlinkraw.NewLink, 5, "eth5", 1500)
	a.turn()
	a.want(name, "2")
}

// TestRepairsCounted checks that a repair is counted once the database has acknowledged it.
func TestRepairsCounted(t *testing.T) {
	const rows, stale = `portsyncd_repairs_total{kind="row"}`, `portsyncd_repairs_total{kind="stale"}`
	a := newRig(t, "Ethernet0", "Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.spoilRow("Ethernet0")
	a.audit()
	a.audit()
	a.want(rows, "0") // refused twice
	a.removeRow("Ethernet0")
	a.loop.recheckRows(0)
	a.turn()
	a.want(rows, "1")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.want(rows, "1") // an ordinary write
	a.setRow("Ethernet4", "0")
	a.audit()
	a.want(stale, "1")
	if n := a.status.View(time.Now()).Counts.Repairs; n != 2 {
		t.Errorf("%d repairs, want 2", n)
	}
}

// TestResyncsCounted checks that each resync has a duration, also if resyncs overlap, that audits
// are not resyncs, and that /status has the sum.
func TestResyncsCounted(t *testing.T) {
	a := newRig(t, "Ethernet0") // the start's
	done := func(seq uint32, interrupted bool) {
		t.Helper()
		a.loop.dumps.at = 0
		a.loop.requestDump(a.loop.clock.now())
		a.event(Event{Kind: netlinkraw.DumpDone, Seq: seq, Interrupted: interrupted})
		a.turn()
	}
	a.event(Event{Kind: netlinkraw.Overrun})
	a.turn()
	done(1, true)
	a.want("portsyncd_resync_duration_seconds_count", "1")
	a.want(`portsyncd_component_up{component="kernel"}`, "0")
	done(1, false)
	a.want(`portsyncd_resyncs_total{reason="overrun"}`, "1")
	a.want(`portsyncd_resyncs_total{reason="dump_interrupted"}`, "1")
	a.want("portsyncd_resync_duration_seconds_count", "3")
	a.want(`portsyncd_component_up{component="kernel"}`, "1")
	a.audit()
	a.want("portsyncd_audits_total", "1")
	a.want("portsyncd_resync_duration_seconds_count", "3")
	if n := a.status.View(time.Now()).Counts.Resyncs; n != 3 {
		t.Errorf("%d resyncs, want 3", n)
	}
}

// TestPresentWithoutApplRow checks that a row of STATE_DB keeps its port present after the row of
// APPL_DB was removed, until a comparison finds the row of STATE_DB gone.
func TestPresentWithoutApplRow(t *testing.T) {
	a := newRig(t)
	a.addAppl("Ethernet8") // not configured
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 1500)
	a.turn()
	a.removeAppl("Ethernet8")
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 1500)
	a.turn()
	a.want("portsyncd_ports_present", "1")
	a.want(`portsyncd_port_present{port="Ethernet8"}`, "1")
	a.want(`portsyncd_port_written{port="Ethernet8"}`, "1")
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 9000)
	a.turn()
	a.want(`portsyncd_port_written{port="Ethernet8"}`, "0")
	a.want(`portsyncd_port_mtu_bytes{port="Ethernet8"}`, "9000")
	a.removeRow("Ethernet8")
	a.audit()
	a.want("portsyncd_ports_present", "0")
	a.want(`portsyncd_port_present{port="Ethernet8"}`, "")
}

// TestBacklogAfterGate checks that a warm start with unchanged rows writes nothing and leaves no
// backlog.
func TestBacklogAfterGate(t *testing.T) {
	a := newRig(t, "Ethernet0")
	l := a.loop
	l.MaxStall, l.initial.gated = time.Nanosecond, true
	a.setRow("Ethernet0", "1500")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.want("portsyncd_backlog_ports", "1")
	if a.status.stalledTooLong(a.status.stalledFor(l.clock.now())) {
		t.Error("stalled although writes are held back")
	}
	l.initial.gateDue = true
	a.turn()
	a.want("portsyncd_backlog_ports", "0")
	a.want(`portsyncd_port_written{port="Ethernet0"}`, "1")
	a.want(`portsyncd_port_changes_total{port="Ethernet0"}`, "0")
	a.want(`portsyncd_database_writes_total{op="set"}`, "0")
	if a.status.stalledTooLong(a.status.stalledFor(l.clock.now())) || l.stalledFrom() != 0 {
		t.Errorf("stalled %t", a.status.stalledTooLong(a.status.stalledFor(l.clock.now())))
	}
}
