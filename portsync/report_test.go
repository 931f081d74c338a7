package portsync

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/metrics"
	"portsyncd/netlinkraw"
)

// publishedFacts has for each field of Status.published a change of the loop that affects only this
// field, and the expected value.
var publishedFacts = map[string]struct {
	change func(l *Loop)
	shown  func(s *Status) any
	want   any
}{
	"maxStall":       {func(l *Loop) { l.MaxStall = 7 }, numberOf(func(s *Status) loader { return &s.maxStall }), int64(7)},
	"maxFailureRate": {func(l *Loop) { l.MaxFailureRate = 0.25 }, func(s *Status) any { return s.maxFailures() }, 0.25},
	"decided": {func(l *Loop) { l.initial.decision = &Decision{Kind: WarmStart, Reason: "why"} },
		func(s *Status) any { return s.View(time.Now()).Start.Reason }, "why"},
	"connection": {func(l *Loop) { l.db.connection = connection{since: 5, err: "gone"} },
		func(s *Status) any { d := s.databases(); return []any{d.up, d.since, d.err} }, nil},
	"connected":    {func(l *Loop) { l.db.connection.up = true }, flagOf(func(s *Status) flagLoader { return &s.connected }), true},
	"refusal":      {func(l *Loop) { words := "OOM"; l.db.refusal = &words }, func(s *Status) any { return *s.refusal.Load() }, "OOM"},
	"started":      {func(l *Loop) { l.initial.started = true }, flagOf(func(s *Status) flagLoader { return &s.started }), true},
	"ready":        {func(l *Loop) { l.initial.done = true }, func(s *Status) any { return s.Ready() }, true},
	"syncTook":     {func(l *Loop) { l.initial.took = 8 }, func(s *Status) any { return s.View(time.Now()).Start.SyncNanos }, int64(8)},
	"synced":       {func(l *Loop) { l.initial.started = true }, flagOf(func(s *Status) flagLoader { return &s.synced }), true},
	"unsynced":     {func(l *Loop) { l.dumps.want(9); l.dumps.want(10) }, numberOf(func(s *Status) loader { return &s.unsynced }), int64(9)},
	"dumpFrom":     {func(l *Loop) { l.dumps.want(9); l.dumps.held = 3 }, numberOf(func(s *Status) loader { return &s.dumpFrom }), int64(12)},
	"dumpHeld":     {func(l *Loop) { l.dumps.want(9); l.dumps.hold(10) }, numberOf(func(s *Status) loader { return &s.dumpHeld }), int64(10)},
	"resynced":     {func(l *Loop) { l.dumps.want(9); l.dumps.completed(11, func(int64) {}) }, numberOf(func(s *Status) loader { return &s.resynced }), int64(11)},
	"overrunAt":    {func(l *Loop) { l.dumps.overranAt = 12 }, numberOf(func(s *Status) loader { return &s.overrunAt }), int64(12)},
	"configDone":   {func(l *Loop) { l.handover.configDone = true }, func(s *Status) any { return s.View(time.Now()).Start.ConfigDone }, true},
	"initDone":     {func(l *Loop) { l.handover.initDone = true }, func(s *Status) any { return s.View(time.Now()).Start.InitDone }, true},
	"initLate":     {func(l *Loop) { l.handover.initLate = true }, flagOf(func(s *Status) flagLoader { return &s.initLate }), true},
	"audited":      {func(l *Loop) { l.audits.endedAt = 13 }, numberOf(func(s *Status) loader { return &s.audited }), int64(13)},
	"mismatched":   {func(l *Loop) { l.AuditInterval, l.audits.wrong = time.Second, 14 }, numberOf(func(s *Status) loader { return &s.mismatched }), int64(14)},
	"backlog":      {wantOne, func(s *Status) any { return s.View(time.Now()).Backlog.Ports }, int64(1)},
	"backlogSince": {wantOne, func(s *Status) any { return s.backlogAge(25) }, time.Duration(10)},
	"stalledSince": {func(l *Loop) { wantOne(l); l.initial.started, l.db.session = true, new(session) }, func(s *Status) any { return s.stalledFor(25) }, time.Duration(10)},
	"progress":     {func(l *Loop) { l.db.progressAt = 16 }, numberOf(func(s *Status) loader { return &s.progress }), int64(16)},
	"unread": {func(l *Loop) { l.state.addUnreadable(unreadable("Ethernet0"), nil, nil) },
		func(s *Status) any {
			if names := s.unread.Load(); names != nil {
				return *names
			}
			return ""
		}, "Ethernet0"},
	"wroteAt":     {func(l *Loop) { l.writes.wroteAt = 17 }, numberOf(func(s *Status) loader { return &s.wroteAt }), int64(17)},
	"configured":  {func(l *Loop) { l.handover.configured = []string{"a", "b"} }, func(s *Status) any { return s.View(time.Now()).Counts.Configured }, int64(2)},
	"initPending": {func(l *Loop) { l.state.AddInitPending("Ethernet0") }, func(s *Status) any { return s.View(time.Now()).Counts.Pending }, int64(1)},
	"portsUnread": {func(l *Loop) { l.observe(note{kind: noteUnread, err: errServerGone}) },
		func(s *Status) any {
			if unread := s.portsUnread.Load(); unread != nil {
				return *unread
			}
			return ""
		}, errServerGone.Error()},
	"present":   {presentOne, numberOf(func(s *Status) loader { return &s.present }), int64(1)},
	"missing":   {missOne, func(s *Status) any { return s.missing.Load() }, &missingPorts{gone: 1, goneNames: "Ethernet0"}},
	"ports":     {presentOne, func(s *Status) any { return s.View(time.Now()).Counts.Present }, int64(1)},
	"announced": {func(l *Loop) { l.audits.counts.Announced = 18 }, numberOf(func(s *Status) loader { return &s.announced }), int64(18)},
	"rows":      {func(l *Loop) { l.audits.counts.Rows = 19 }, numberOf(func(s *Status) loader { return &s.rows }), int64(19)},
}

type (
	loader     interface{ Load() int64 }
	flagLoader interface{ Load() bool }
)

func numberOf(of func(s *Status) loader) func(s *Status) any {
	return func(s *Status) any { return of(s).Load() }
}

func flagOf(of func(s *Status) flagLoader) func(s *Status) any {
	return func(s *Status) any { return of(s).Load() }
}

// unreadable returns an event for a link message that was too large to read.
func unreadable(name string) *Event {
	ev := &Event{Kind: netlinkraw.Unreadable, Index: 3}
	ev.SetName([]byte(name))
	return ev
}

// wantOne adds one port to the backlog at time 15.
func wantOne(l *Loop) {
	l.writes.add(Action{Kind: Publish, Port: l.state.port([]byte("Ethernet0"))}, 15)
}

// presentOne adds a present port.
func presentOne(l *Loop) {
	p := l.state.port([]byte("Ethernet0"))
	p.Index = 3
	p.row = rowOf(p)
	l.state.touch(p)
}

// missOne makes the only configured port missing.
func missOne(l *Loop) {
	l.handover.configure([]string{"Ethernet0"}, nil, l.initial.started)
	l.initial.eoiu, l.state.ports["Ethernet0"].wasThere = true, true
	l.MissingAfter = 0
}

// TestPublished checks that publishStatus stores each field of Status.published, and that nothing else
// does.
func TestPublished(t *testing.T) {
	fields := reflect.TypeFor[published]()
	for i := range fields.NumField() {
		name := fields.Field(i).Name
		t.Run(name, func(t *testing.T) {
			fact, ok := publishedFacts[name]
			if !ok {
				t.Fatal("publishedFacts has no entry for this field")
			}
			l := newQuietLoop()
			want := fact.want
			if name == "connection" {
				want = []any{false, l.clock.time(5), "gone"}
			}
			fact.change(l)
			if name != "refusal" && reflect.DeepEqual(fact.shown(l.Status), want) {
				t.Fatalf("value %v before publishStatus", want)
			}
			l.publishStatus()
			if got := fact.shown(l.Status); !reflect.DeepEqual(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

// TestTurnEndsPublished checks that a turn publishes what its exchange with the databases changed, before
// the loop can sleep.
func TestTurnEndsPublished(t *testing.T) {
	a := newRig(t, "Ethernet0")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.loop.turn()
	v := a.status.View(time.Now())
	if len(v.Ports) != 1 || !v.Ports[0].Present || !v.Ports[0].Written || v.Backlog.Ports != 0 {
		t.Errorf("after the turn that wrote the row: backlog %+v, ports %+v", v.Backlog, v.Ports)
	}
}

// TestPublishWakesHealthMonitor checks that a change that health depends on wakes the health monitor, and
// that other changes do not.
func TestPublishWakesHealthMonitor(t *testing.T) {
	for _, name := range []string{"maxStall", "maxFailureRate", "connection", "connected", "refusal", "started", "ready",
		"synced", "overrunAt", "initLate", "mismatched", "unread", "missing"} {
		l := newQuietLoop()
		if len(l.Status.wakeups) != 1 {
			t.Fatal("the first publication did not wake the health monitor")
		}
		<-l.Status.wakeups
		l.publishStatus()
		if len(l.Status.wakeups) != 0 {
			t.Fatal("the health monitor was woken without a change")
		}
		publishedFacts[name].change(l)
		l.publishStatus()
		if len(l.Status.wakeups) != 1 {
			t.Errorf("a change of %s did not wake the health monitor", name)
		}
	}
	l := newQuietLoop()
	<-l.Status.wakeups
	presentOne(l)
	wantOne(l)
	l.publishStatus()
	if len(l.Status.wakeups) != 0 {
		t.Error("an ordinary event woke the health monitor")
	}
}

// TestOnePlaceStores checks that only publishStatus and publishedPort.publish write to Status.published.
func TestOnePlaceStores(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	stores := regexp.MustCompile(`\b[sS]tatus\.\w+\.(Store|Swap|Add|CompareAndSwap)\(|set(Flag|Number)\(`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "report.go" {
			continue
		}
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(src), "\n") {
			if stores.MatchString(line) && !(file == "portview.go" && strings.Contains(line, "(&v.")) {
				t.Errorf("%s:%d writes to Status: %s", file, n+1, strings.TrimSpace(line))
			}
		}
	}
}

// portFacts has changes of a port, and the expected value in PortView and in a series.
var portFacts = []struct {
	name   string
	change func(p *Port)
	view   func(v *PortView) any
	want   any
	series string // "" if there is none
	value  string
}{
	{"admin", func(p *Port) { p.Admin = true }, func(v *PortView) any { return v.Admin }, "up", "portsyncd_port_admin_up", "1"},
	{"oper", func(p *Port) { p.Oper = true }, func(v *PortView) any { return v.Oper }, "up", "portsyncd_port_oper_up", "1"},
	{"mtu", func(p *Port) { p.MTU = 9216 }, func(v *PortView) any { return v.MTU }, int64(9216), "portsyncd_port_mtu_bytes", "9216"},
	{"ifindex", func(p *Port) { p.Index = 8 }, func(v *PortView) any { return v.Index }, int64(8), "", ""},
	{"carrier up", func(p *Port) { p.CarrierUp = 5 }, func(v *PortView) any { return v.CarrierUp }, int64(5), "portsyncd_port_carrier_up_changes_total", "5"},
	{"carrier down", func(p *Port) { p.CarrierDown = 6 }, func(v *PortView) any { return v.CarrierDown }, int64(6), "portsyncd_port_carrier_down_changes_total", "6"},
	{"changes", func(p *Port) { p.changes = 7 }, func(v *PortView) any { return v.MTU }, int64(1500), "portsyncd_port_changes_total", "7"},
	{"last change", func(p *Port) { p.ChangedAt = int64(2 * time.Hour) }, func(v *PortView) any { return v.LastChange.Unix() }, int64(7200), "portsyncd_port_last_change_timestamp_seconds", "7200"},
	{"configured", func(p *Port) { p.Configured = false }, func(v *PortView) any { return v.Configured }, false, "", ""},
	{"init pending", func(p *Port) { p.InitPending = true }, func(v *PortView) any { return v.InitPending }, true, "", ""},
	{"written: other values", func(p *Port) { p.MTU = 9216 }, func(v *PortView) any { return v.Written }, false, "portsyncd_port_written", "0"},
	{"written: waits", func(p *Port) { p.pending.queued = true }, func(v *PortView) any { return v.Written }, false, "portsyncd_port_written", "0"},
	{"written: refused", func(p *Port) { p.refused = true }, func(v *PortView) any { return v.Written }, false, "portsyncd_port_written", "0"},
	{"state: no row", func(p *Port) { p.row = row{} }, func(v *PortView) any { return v.State }, "pending", "portsyncd_port_present", "0"},
	{"state: no interface", func(p *Port) { p.Index = 0 }, func(v *PortView) any { return v.State }, "absent", "portsyncd_port_present", "0"},
	{"reason: up to date", func(p *Port) {}, func(v *PortView) any { return v.Reason }, "", "", ""},
	{"reason: no row", func(p *Port) { p.row = row{} }, func(v *PortView) any { return v.Reason }, "not_written", "", ""},
	{"reason: not in APPL_DB", func(p *Port) { p.MTU, p.notApplied = 68, true }, func(v *PortView) any { return v.Reason }, "not_in_appl_db", "portsyncd_port_present", "1"},
	{"reason: no interface", func(p *Port) { p.Index = 0 }, func(v *PortView) any { return v.Reason }, "no_interface", "", ""},
	{"no interface: present", func(p *Port) { p.Index = 0 }, func(v *PortView) any { return v.Present }, false, "portsyncd_ports_present", "0"},
	{"no interface: values", func(p *Port) { p.Admin, p.Oper, p.Index = true, true, 0 }, func(v *PortView) any { return v.Admin + v.Oper }, "", "portsyncd_port_oper_up", "0"},
	{"no interface: MTU", func(p *Port) { p.Index = 0 }, func(v *PortView) any { return v.MTU }, int64(0), "portsyncd_port_mtu_bytes", "0"},
	{"no interface: row left", func(p *Port) { p.Index = 0 }, func(v *PortView) any { return v.Written }, false, "portsyncd_port_written", "0"},
	{"no interface: row deleted", func(p *Port) { p.Index, p.row = 0, row{} }, func(v *PortView) any { return v.Written }, true, "portsyncd_port_written", "1"},
	{"no interface: never there", func(p *Port) { p.Index, p.row, p.wasThere = 0, row{}, false }, func(v *PortView) any { return v.State }, "pending", "portsyncd_port_present", "0"},
	{"no interface: unswept", func(p *Port) { p.Index, p.row = 0, row{unknown: true} }, func(v *PortView) any { return v.Written }, false, "portsyncd_port_written", "0"},
	{"flaps", func(p *Port) {}, func(v *PortView) any { return v.Flapping }, true, "", ""},
}

// TestPublishedPorts checks that a change of each property of a port is visible in PortView and in
// the series of the port.
func TestPublishedPorts(t *testing.T) {
	for _, c := range portFacts {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			set, status := metrics.NewSet(), new(Status)
			l := NewLoop(Options{Status: status, Open: new(Connector), Metrics: NewMetrics(set, status, true)})
			status.clock.base = time.Unix(0, 0)
			l.clock, l.state.synced = status.clock, true
			p := l.state.port([]byte("Ethernet0"))
			p.Index, p.MTU, p.Configured, p.wasThere = 3, 1500, true, true
			p.row = rowOf(p)
			l.show(p)
			c.change(p)
			if c.name == "flaps" {
				status.ports.flaps.of("Ethernet0").add(9, 1)
			}
			l.show(p)
			view := status.View(time.Unix(1, 0)).Ports[0]
			if got := c.view(&view); !reflect.DeepEqual(got, c.want) {
				t.Errorf("PortView has %v, want %v: %+v", got, c.want, view)
			}
			if c.series == "" {
				return
			}
			series := c.series + `{port="Ethernet0"}`
			if c.series == "portsyncd_ports_present" {
				series = c.series
			}
			if line := series + " " + c.value; !slices.Contains(strings.Split(string(set.AppendText(nil)), "\n"), line) {
				t.Errorf("no %s in\n%s", line, set.AppendText(nil))
			}
		})
	}
}

// TestPublishedPortGoes checks that a port that nothing refers to is removed from the list together with
// its series, and that a port with the same name is listed anew.
func TestPublishedPortGoes(t *testing.T) {
	set, status := metrics.NewSet(), new(Status)
	l := NewLoop(Options{Status: status, Open: new(Connector), Metrics: NewMetrics(set, status, true)})
	p := &Port{Name: "Ethernet0", LinkState: netlinkraw.LinkState{Index: 3}}
	p.row = rowOf(p)
	l.show(p)
	p.Index, p.row = 0, row{}
	again := &Port{Name: "Ethernet0", Configured: true}
	l.show(p, again)
	if n := len(status.ports.all()); n != 1 || status.ports.all()[0] != again.view || p.view != nil {
		t.Errorf("%d ports are listed, want the new one", n)
	}
	series := func() int { return strings.Count(string(set.AppendText(nil)), `{port="Ethernet0"}`) }
	if n := series(); n != len(portMetrics) {
		t.Errorf("%d series of a port that was added again, want %d", n, len(portMetrics))
	}
	again.Configured = false
	l.show(again)
	if n := series(); n != 0 || len(status.ports.all()) != 0 {
		t.Errorf("%d series of a removed port", n)
	}
}

// TestStallClock checks that a stall starts only when nothing but Redis delays the write.
func TestStallClock(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(l *Loop)
		want int64
	}{
		"backlog":           {func(l *Loop) {}, 15},
		"no backlog":        {func(l *Loop) { l.writes.batch.ports = nil }, 0},
		"no connection":     {func(l *Loop) { l.db.session = nil }, 0},
		"not started":       {func(l *Loop) { l.initial.started = false }, 0},
		"gate closed":       {func(l *Loop) { l.initial.gated = true }, 0},
		"gate just opened":  {func(l *Loop) { l.initial.gateOpenedAt = 70 }, 70},
		"reconnected":       {func(l *Loop) { l.db.connection = connection{up: true, since: 80} }, 80},
		"Redis answered":    {func(l *Loop) { l.db.answeredAt = 90 }, 90},
		"older than answer": {func(l *Loop) { l.db.answeredAt = 3 }, 15},
	} {
		l := newQuietLoop()
		wantOne(l)
		l.initial.started, l.db.session = true, new(session)
		c.set(l)
		if got := l.stalledFrom(); got != c.want {
			t.Errorf("%s: stalled from %d, want %d", name, got, c.want)
		}
	}
}

// TestPublishMemory publishes the ports of a switch for the first time, in the order of their names in
// CONFIG_DB, which is not that of the published lists. The ports must need little more memory than is
// kept for them.
func TestPublishMemory(t *testing.T) {
	const ports, most = 512, 1200 // bytes per port
	set, status := metrics.NewSet(), new(Status)
	l := NewLoop(Options{Open: new(Connector), Status: status, Metrics: NewMetrics(set, status, true)})
	names := make([]string, ports)
	for n := range names {
		names[n] = fmt.Sprintf("Ethernet%d", 4*n)
	}
	slices.Sort(names)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l.state.Configure(names)
	l.publishStatus()
	runtime.ReadMemStats(&after)
	allocated := (after.TotalAlloc - before.TotalAlloc) / ports
	t.Logf("%d bytes allocated for each port", allocated)
	if allocated > most {
		t.Errorf("%d bytes allocated for each port, want at most %d", allocated, most)
	}
	if n := len(status.Ports(time.Now())); n != ports {
		t.Errorf("%d ports are published, want %d", n, ports)
	}
}
