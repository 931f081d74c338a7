package portsync

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"portsyncd/internal/sonicdb"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// account is a loop whose turns the test makes, on databases that are maps. The
// test counts for itself what it has the loop do.
type account struct {
	t      *testing.T
	loop   *Loop
	set    *metrics.Set
	status *Status
	store  *mapStore
}

// mapStore is a Store of maps.
type mapStore struct {
	appl  map[string]bool // ports with a row in APPL_DB
	state map[string]row
	bad   map[string]bool // ports whose row in STATE_DB is of another type
	deny  bool            // deletions are refused
	err   error           // of each exchange, if it is not nil
	calls int             // exchanges so far

	markers Markers
	ports   []PortConfig // rows of CONFIG_DB PORT

	sets, deletes, changes, batches int
}

// call begins an exchange.
func (s *mapStore) call() error {
	s.calls++
	return s.err
}

func (s *mapStore) Facts() (Facts, error)                 { return Facts{}, s.call() }
func (s *mapStore) SetRestoreCount(string) error          { return s.call() }
func (s *mapStore) Ports() ([]PortConfig, []error, error) { return s.ports, nil, s.call() }
func (s *mapStore) Produce([]PortConfig) (error, error)   { return nil, s.call() }
func (s *mapStore) ProduceInitDone() error                { return s.call() }
func (s *mapStore) Markers() (Markers, error)             { return s.markers, s.call() }
func (s *mapStore) Count() (Counts, error)                { return Counts{}, s.call() }
func (s *mapStore) Close() error                          { return nil }

func (s *mapStore) Publish(ports []*Port) error {
	for _, p := range ports {
		p.Answer(OutcomeFailed)
	}
	if err := s.call(); err != nil {
		return err
	}
	var refused error
	written := 0
	for _, p := range ports {
		before := s.sets + s.deletes
		p.Answer(OutcomeNotAccepted)
		if p.Lookup() && s.appl[p.Name] {
			p.Answer(OutcomeAccepted)
		}
		if p.Delete() && s.deny {
			p.Answer(OutcomeRefused)
			refused = sonicdb.ServerError("NOPERM no DEL")
			continue
		}
		if p.Delete() {
			s.deletes++
			delete(s.state, p.Name)
			delete(s.bad, p.Name)
		}
		switch {
		case !p.Set() || !s.appl[p.Name]:
		case s.bad[p.Name]:
			p.Answer(OutcomeRefused)
			refused = sonicdb.ServerError("WRONGTYPE no hash")
		default:
			s.sets++
			if s.state[p.Name] != rowOf(p) {
				s.changes++
			}
			s.state[p.Name] = rowOf(p)
		}
		if s.sets+s.deletes > before {
			written++
		}
	}
	if written > 0 {
		s.batches++
	}
	return refused
}

func (s *mapStore) Compare(ports []*Port) error {
	for _, p := range ports {
		p.Answer(OutcomeFailed)
		switch {
		case p.Delete():
		case !s.appl[p.Name]:
			p.Answer(OutcomeNotAccepted)
		case s.state[p.Name] == rowOf(p):
			p.Answer(OutcomeAccepted)
		}
	}
	return s.call()
}

func (s *mapStore) Audit(ports []*Port, exists func(string) bool) (res AuditResult, err error) {
	res.Rows = make(map[string]bool)
	for _, p := range ports {
		if s.bad[p.Name] || s.state[p.Name] != rowOf(p) {
			res.Differing = append(res.Differing, p)
		}
	}
	for name := range s.state {
		res.Rows[name] = true
		if !exists(name) {
			res.Stale = append(res.Stale, name)
		}
	}
	for name := range s.bad {
		res.Rows[name] = true
	}
	res.Markers = s.markers
	return res, s.call()
}

// noLinks is a kernel that is asked and says nothing; the test says it.
type noLinks struct{ Links }

func (noLinks) RequestLinkDump() (uint32, error) { return 1, nil }
func (noLinks) RequestLink(int32) error          { return nil }

// newAccount starts a loop with these configured ports, which APPL_DB has.
func newAccount(t *testing.T, ports ...string) *account {
	t.Helper()
	a := &account{t: t, set: metrics.NewSet(), status: new(Status),
		store: &mapStore{appl: make(map[string]bool), state: make(map[string]row), bad: make(map[string]bool),
			markers: Markers{ConfigDone: true, InitDone: true}}}
	a.loop = NewLoop(Options{Links: noLinks{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Status: a.status,
		Open: new(Connector), Metrics: NewMetrics(a.set, a.status, true)})
	l := a.loop
	l.ctx = t.Context()
	l.db.session = &session{store: a.store, done: make(chan struct{})}
	l.db.connection.up = true
	l.initial.decision, l.initial.started = new(Decision), true
	for _, name := range ports {
		a.store.appl[name] = true
	}
	l.state.Configure(ports)
	l.dumps.resync(ReasonStart, 1)
	l.requestDump(1)
	a.event(Event{Kind: netlinkraw.DumpDone, Seq: 1})
	a.turn()
	return a
}

// event puts a message into the ring.
func (a *account) event(ev Event) {
	a.t.Helper()
	slot := a.loop.ring.slot()
	if slot == nil {
		a.t.Fatal("the ring is full")
	}
	ev.At = a.loop.clock.now()
	*slot = ev
	a.loop.ring.push()
}

// link puts a message about a link into the ring.
func (a *account) link(kind netlinkraw.MessageType, index int32, name string, mtu uint32) {
	a.t.Helper()
	ev := Event{Kind: kind, Index: index, MTU: mtu, Counted: true, CarrierDown: mtu % 7}
	ev.SetName([]byte(name))
	a.event(ev)
}

// turn makes one turn that does not sleep.
func (a *account) turn() {
	l := a.loop
	l.consume()
	l.publishStatus()
	l.openGate()
	l.flush()
	l.reconcile()
	l.finishInitial()
	l.publishStatus()
}

// audit makes an audit that finds the kernel as it is known.
func (a *account) audit() {
	a.loop.audits.compare, a.loop.audits.sweep = true, sweepAudit
	a.turn() // finds
	a.turn() // repairs
}

// want compares a series.
func (a *account) want(series, value string) {
	a.t.Helper()
	if got := exposed(a.set, series); got != value {
		a.t.Errorf("%s is %s, want %s", series, got, value)
	}
}

func (a *account) wantNumber(series string, value int) {
	a.t.Helper()
	a.want(series, fmt.Sprint(value))
}

// TestChangesCounted: portsyncd_port_changes_total counts writes that changed a field
// of the row or created it.
func TestChangesCounted(t *testing.T) {
	a := newAccount(t, "Ethernet0")
	const series = `portsyncd_port_changes_total{port="Ethernet0"}`
	step := func(what string, want int) {
		t.Helper()
		a.turn()
		if a.store.changes != want {
			t.Fatalf("%s: %d changes in the database, want %d", what, a.store.changes, want)
		}
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
	a.store.state["Ethernet0"] = row{there: true}
	a.audit()
	step("repaired", 5)
	a.loop.state.ports["Ethernet0"].row.unknown = true
	a.link(netlinkraw.NewLink, 7, "Ethernet0", 9100)
	step("over a row of an earlier run", 5)
}

// TestWritesCounted: the latency, the minutes and /status count the writes that
// portsyncd_database_writes_total counts, and batches are counted by the ports that
// they wrote.
func TestWritesCounted(t *testing.T) {
	a := newAccount(t, "Ethernet0", "Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 6, "Ethernet4", 1500)
	a.link(netlinkraw.NewLink, 7, "Ethernet8", 1500) // APPL_DB has no such port
	a.turn()
	a.link(netlinkraw.NewLink, 7, "Ethernet8", 9000)
	a.turn() // writes nothing
	a.link(netlinkraw.DelLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 8, "Ethernet0", 1500)
	a.turn()
	if a.store.sets != 3 || a.store.deletes != 1 || a.store.batches != 2 {
		t.Fatalf("the databases saw %+v", a.store)
	}
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

// TestIgnoredCounted: reason "unknown" counts messages, however they were merged, and a
// rename that deletes a row is not ignored.
func TestIgnoredCounted(t *testing.T) {
	const unknown, name = `portsyncd_events_ignored_total{reason="unknown"}`, `portsyncd_events_ignored_total{reason="name"}`
	a := newAccount(t, "Ethernet0")
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

// TestRepairsCounted: a repair counts when the database has done it.
func TestRepairsCounted(t *testing.T) {
	const rows, stale = `portsyncd_repairs_total{kind="row"}`, `portsyncd_repairs_total{kind="stale"}`
	a := newAccount(t, "Ethernet0", "Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	delete(a.store.state, "Ethernet0")
	a.store.bad["Ethernet0"] = true
	a.audit()
	a.audit()
	a.want(rows, "0") // refused twice
	delete(a.store.bad, "Ethernet0")
	a.loop.recheckRows(0)
	a.turn()
	a.want(rows, "1")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.want(rows, "1") // an ordinary write
	a.store.state["Ethernet4"] = row{there: true}
	a.audit()
	a.want(stale, "1")
	if n := a.status.View(time.Now()).Counts.Repairs; n != 2 {
		t.Errorf("%d repairs, want 2", n)
	}
}

// TestResyncsCounted: each resync has a duration, overlapping ones too; audits are no
// resyncs; /status has the sum.
func TestResyncsCounted(t *testing.T) {
	a := newAccount(t, "Ethernet0") // the start's
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

// TestPresentWithoutApplRow: a row that stays in STATE_DB after its APPL_DB row was
// removed keeps the port present, until a comparison finds the row gone.
func TestPresentWithoutApplRow(t *testing.T) {
	a := newAccount(t)
	a.store.appl["Ethernet8"] = true // not configured
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 1500)
	a.turn()
	delete(a.store.appl, "Ethernet8")
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 1500)
	a.turn()
	a.want("portsyncd_ports_present", "1")
	a.want(`portsyncd_port_present{port="Ethernet8"}`, "1")
	a.want(`portsyncd_port_written{port="Ethernet8"}`, "1")
	a.link(netlinkraw.NewLink, 5, "Ethernet8", 9000)
	a.turn()
	a.want(`portsyncd_port_written{port="Ethernet8"}`, "0")
	a.want(`portsyncd_port_mtu_bytes{port="Ethernet8"}`, "9000")
	delete(a.store.state, "Ethernet8")
	a.audit()
	a.want("portsyncd_ports_present", "0")
	a.want(`portsyncd_port_present{port="Ethernet8"}`, "")
}

// TestBacklogAfterGate: a restart on a quiet switch finds every row as it is to be, and
// no backlog is left that a stall or the watchdog could be judged by.
func TestBacklogAfterGate(t *testing.T) {
	a := newAccount(t, "Ethernet0")
	l := a.loop
	l.MaxStall, l.initial.gated = time.Nanosecond, true
	a.store.state["Ethernet0"] = row{there: true, mtu: 1500}
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.want("portsyncd_backlog_ports", "1")
	if a.status.stalledTooLong(a.status.stalledFor(l.clock.now())) {
		t.Error("stalled while the gate is closed")
	}
	l.initial.gateDue = true
	a.turn()
	a.want("portsyncd_backlog_ports", "0")
	a.want(`portsyncd_port_written{port="Ethernet0"}`, "1")
	a.want(`portsyncd_port_changes_total{port="Ethernet0"}`, "0")
	if a.store.sets != 0 || a.status.stalledTooLong(a.status.stalledFor(l.clock.now())) || l.stalledFrom() != 0 {
		t.Errorf("%d writes, stalled %t", a.store.sets, a.status.stalledTooLong(a.status.stalledFor(l.clock.now())))
	}
}
