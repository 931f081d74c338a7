package portsync

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"
	"portsyncd/systemd"
)

// withLog makes the loop log lines of a level and above to the returned buffer.
func (a *rig) withLog(level slog.Level) *bytes.Buffer {
	var out bytes.Buffer
	a.loop.Log = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
	a.loop.logger.log = a.loop.Log
	return &out
}

// TestEventsAreCounted checks that the totals and the last hour count messages about new and
// deleted links, and nothing else.
func TestEventsAreCounted(t *testing.T) {
	a := newRig(t, "Ethernet0")
	for range 3 {
		a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	}
	a.link(netlinkraw.DelLink, 5, "Ethernet0", 1500)
	a.event(Event{Kind: netlinkraw.Overrun})
	a.turn()
	v := a.status.View(time.Now())
	hour := uint64(0)
	for _, m := range v.Hour {
		hour += m.Events
	}
	if v.Counts.Events != 4 || hour != 4 {
		t.Errorf("%d events in all and %d in the last hour, want 4 and 4", v.Counts.Events, hour)
	}
}

// TestQueuedMessagesAreLive checks that the number of messages that are not processed yet is current
// although the loop publishes nothing, as while it waits for Redis.
func TestQueuedMessagesAreLive(t *testing.T) {
	a := newRig(t, "Ethernet0")
	shown := func(want int64, series string) {
		t.Helper()
		if got, is := a.status.View(time.Now()).Backlog.Events, exposed(a.set, "portsyncd_backlog_events"); got != want || is != series {
			t.Errorf("/status has %d messages and the series %s, want %d", got, is, want)
		}
	}
	shown(0, "0")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1600)
	shown(2, "2")
	a.turn()
	shown(0, "0")
	if n := new(Status).queued(); n != 0 {
		t.Errorf("%d messages before the loop", n)
	}
	s := &Status{messages: func() int { return -1 }}
	if n := s.queued(); n != 0 {
		t.Errorf("%d messages although the loop took one during the read", n)
	}
}

// TestChangedPortsAreLogged checks that a change of CONFIG_DB's ports is logged, also if it adds as
// many ports as it removes, and that a read without a change is not.
func TestChangedPortsAreLogged(t *testing.T) {
	a := newRig(t)
	h := &a.loop.handover
	h.configure([]string{"Ethernet0", "Ethernet4"}, nil, true)
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"Ethernet0", "Ethernet4"}, ""},
		{[]string{"Ethernet0", "Ethernet8"}, "configured=2 added=Ethernet8 removed=Ethernet4"},
		{[]string{"Ethernet0"}, "configured=1 added=none removed=Ethernet8"},
		{[]string{"Ethernet0", "Ethernet12"}, "configured=2 added=Ethernet12"},
	} {
		out := a.withLog(syslog.LevelNotice)
		h.configure(c.names, nil, true)
		got := out.String()
		if c.want == "" && got != "" || !strings.Contains(strings.ReplaceAll(got, `""`, "none"), c.want) {
			t.Errorf("%v: logged %q, want %q", c.names, got, c.want)
		}
	}
}

// TestIntervalOfHealth checks that health is evaluated often while a reason is active or held, and
// rarely otherwise.
func TestIntervalOfHealth(t *testing.T) {
	for name, c := range map[string]struct {
		active, held condition
		want         time.Duration
	}{
		"healthy":          {numConditions, numConditions, 30 * time.Second},
		"a fault":          {auditMismatch, numConditions, 500 * time.Millisecond},
		"an overrun":       {overrun, numConditions, 30 * time.Second},
		"a held overrun":   {numConditions, overrun, 500 * time.Millisecond},
		"a held fault too": {overrun, auditMismatch, 500 * time.Millisecond},
	} {
		s := healthyStatus()
		m, _ := newTestMonitor(s, nil)
		var state healthState
		for _, is := range []condition{c.active, c.held} {
			state.reasons.set(is, is < numConditions)
		}
		switch c.active {
		case auditMismatch:
			s.mismatched.Store(1)
		case overrun:
			s.overrunAt.Store(s.clock.now())
		}
		if got := m.interval(&state); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestShortened checks that only values above the limit are cut, between two characters.
func TestShortened(t *testing.T) {
	for size := range 9 {
		long := strings.Repeat("x", size) + strings.Repeat("😀", maxPortInfo)
		got := shortened(long)
		if text := strings.TrimSuffix(got, "…"); text == got || !utf8.ValidString(got) || !strings.HasPrefix(long, text) ||
			len(got) > maxPortInfo || len(got) <= maxPortInfo-utf8.UTFMax {
			t.Errorf("after %d letters: %d bytes, %q", size, len(got), got)
		}
	}
	for _, size := range []int{0, 1, maxPortInfo} {
		if text := strings.Repeat("x", size); shortened(text) != text {
			t.Errorf("%d bytes are cut to %q", size, shortened(text))
		}
	}
	if got := shortened(strings.Repeat("\x80", maxPortInfo+1)); len(got) > maxPortInfo || len(got) < maxPortInfo-utf8.UTFMax {
		t.Errorf("text that is not UTF-8 is cut to %d bytes", len(got))
	}
}

// TestNaturalOrder checks the order of names with each first digit.
func TestNaturalOrder(t *testing.T) {
	want := []string{"Ethernet0", "Ethernet2", "Ethernet9", "Ethernet10", "Ethernet90", "Ethernet100", "PortChannel1"}
	got := slices.Clone(want)
	slices.Sort(got)
	if slices.SortFunc(got, compareNames); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestWarmFlags checks that each of SONiC's two flags requests a warm start, and only with the value
// true.
func TestWarmFlags(t *testing.T) {
	for _, c := range []struct {
		system, swss string
		want         bool
	}{{"", "", false}, {"true", "", true}, {"", "true", true}, {"false", "true", true}, {"true", "false", true}, {"false", "True", false}, {"", "false", false}} {
		s := newStored(t, 1)
		for key, value := range map[string]string{"system": c.system, "swss": c.swss} {
			if value != "" {
				s.do(lab.StateDB, "HSET", "WARM_RESTART_ENABLE_TABLE|"+key, "enable", value)
			}
		}
		if f, err := s.Facts(); err != nil || f.WarmEnabled != c.want {
			t.Errorf("system %q, swss %q: %t, %v; want %t", c.system, c.swss, f.WarmEnabled, err, c.want)
		}
	}
}

// TestConfigServerIsShown checks that only the entry of CONFIG_DB shows the error of its server.
func TestConfigServerIsShown(t *testing.T) {
	for _, lost := range []string{"", "connection refused"} {
		d := databases{}
		d.up, d.configErr = true, lost
		for _, v := range d.view() {
			isLost := v.Name == "CONFIG_DB" && lost != ""
			if v.Up == isLost || (v.Error != "") != isLost {
				t.Errorf("CONFIG_DB %q: %+v", lost, v)
			}
		}
	}
}

// TestReproducedPortIsLookedUp checks that a port with an interface is looked up again, without a
// link message, after it was produced again.
func TestReproducedPortIsLookedUp(t *testing.T) {
	a := newRig(t, "Ethernet0")
	a.do(lab.ConfigDB, "HSET", "PORT|Ethernet0", "lanes", "0")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.turn()
	a.setMarkers(Markers{})
	a.removeAppl("Ethernet0")
	a.loop.handover.wantMarkers(a.loop.clock.now())
	for range 3 {
		a.turn()
	}
	if p := a.loop.state.port([]byte("Ethernet0")); !p.reproduced || a.loop.recheck.at == never {
		t.Errorf("produced again: %t; next lookup at %d", p.reproduced, a.loop.recheck.at)
	}
}

// TestAuditLogsMismatches checks that an audit is logged and journaled as a repair only if it found a
// wrong row.
func TestAuditLogsMismatches(t *testing.T) {
	for _, wrong := range []bool{false, true} {
		a := newRig(t, "Ethernet0")
		a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		a.turn()
		a.withJournal()
		out := a.withLog(syslog.LevelNotice)
		if wrong {
			a.setRow("Ethernet0", "9000")
		}
		a.audit()
		journaled := slices.ContainsFunc(a.journaled(), func(text string) bool { return strings.Contains(text, "repair") })
		if logged := strings.Contains(out.String(), "STATE_DB does not match"); logged != wrong || journaled != wrong {
			t.Errorf("a wrong row: %t; logged: %t, journaled: %t", wrong, logged, journaled)
		}
	}
}

// TestLinesAboutRows checks which line the result of each operation on a row causes.
func TestLinesAboutRows(t *testing.T) {
	const none = lineKind(0xff)
	for name, c := range map[string]struct {
		port Port
		was  pending
		want lineKind
	}{
		"link up":                {Port{LinkState: netlinkraw.LinkState{Oper: true}}, pending{set: true, result: OutcomeAccepted}, lineUp},
		"link down":              {Port{}, pending{set: true, result: OutcomeAccepted}, lineDown},
		"unknown":                {Port{}, pending{set: true, result: OutcomeNotAccepted}, lineUnknown},
		"unknown, recheck":       {Port{recheck: true}, pending{set: true, result: OutcomeNotAccepted}, none},
		"accepted at a recheck":  {Port{recheck: true}, pending{set: true, result: OutcomeAccepted}, lineDown},
		"deleted":                {Port{}, pending{del: true, result: OutcomeNotAccepted}, lineDelete},
		"refused":                {Port{}, pending{set: true, result: OutcomeRefused}, none},
		"a lookup without write": {Port{}, pending{lookup: true, result: OutcomeAccepted}, none},
	} {
		l, _ := newLogged(t)
		c.port.Name = "Ethernet0"
		l.logger.written(&c.port, c.was, 1)
		got := none
		if entry := l.logger.ring.Peek(); entry != nil {
			got = entry.kind
		}
		if got != c.want {
			t.Errorf("%s: line %d, want %d", name, got, c.want)
		}
	}
}

// TestIgnoredIsLogged checks that an ignored message about a link is logged at debug level, and that
// other messages are not.
func TestIgnoredIsLogged(t *testing.T) {
	for kind, want := range map[netlinkraw.MessageType]bool{netlinkraw.NewLink: true, netlinkraw.DelLink: true, netlinkraw.DumpDone: false} {
		a := newRig(t)
		out := a.withLog(slog.LevelDebug)
		a.loop.logger.ignored(&Event{Kind: kind}, IgnoredName)
		if got := strings.Contains(out.String(), "link message ignored"); got != want {
			t.Errorf("%v: logged %t, want %t", kind, got, want)
		}
	}
}

// TestStopIsLogged checks that a stop is logged if rows or messages are left, whichever are more.
func TestStopIsLogged(t *testing.T) {
	for _, c := range []struct{ rows, messages int }{{0, 0}, {1, 0}, {0, 1}, {1, 1}, {1, 2}} {
		a := newRig(t)
		out := a.withLog(syslog.LevelNotice)
		for i := range c.rows {
			a.loop.writes.add(Action{Kind: Publish, Port: a.loop.state.port(fmt.Appendf(nil, "Ethernet%d", i))}, 1)
		}
		for range c.messages {
			a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
		}
		a.loop.db.session = nil
		a.loop.drain()
		want := fmt.Sprintf("stopping before all rows were written to STATE_DB\" ports=%d messages=%d", c.rows, c.messages)
		if got := strings.Contains(out.String(), want); got != (c.rows+c.messages > 0) {
			t.Errorf("%d rows, %d messages: logged %q", c.rows, c.messages, out)
		}
	}
}

// TestVisible checks which ports are listed.
func TestVisible(t *testing.T) {
	for name, c := range map[string]struct {
		port Port
		want bool
	}{
		"nothing":                        {Port{}, false},
		"an interface":                   {Port{LinkState: netlinkraw.LinkState{Index: 5}}, false},
		"configured":                     {Port{Configured: true}, true},
		"pending":                        {Port{InitPending: true}, true},
		"a row":                          {Port{row: row{there: true}}, true},
		"a refused row":                  {Port{refused: true, LinkState: netlinkraw.LinkState{Index: 5}}, true},
		"a refused row and no interface": {Port{refused: true}, false},
	} {
		if got := c.port.visible(); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}

// TestRecordedAtTheEnd checks that a shutdown records the ports if they have changed since they were
// last recorded, and only then.
func TestRecordedAtTheEnd(t *testing.T) {
	for changes := range 2 {
		a, r := newRig(t), new(countingRecorder)
		a.loop.Recorder = r
		records := newRecorder(&a.loop.base)
		if changes > 0 {
			records.changed(1)
		}
		records.finish(2)
		records.finish(3)
		if r.ports != changes {
			t.Errorf("%d changes: recorded %d times", changes, r.ports)
		}
	}
}

// TestRefusalIsCurrent checks that the text about refused rows has the last error.
func TestRefusalIsCurrent(t *testing.T) {
	r := new(refusedRows)
	r.update(&Port{Name: "Ethernet0", LinkState: netlinkraw.LinkState{Index: 5}, refused: true})
	for _, text := range []string{"WRONGTYPE", "WRONGTYPE", "NOPERM"} {
		r.refused(text)
		if got := r.describe(); got == nil || *got != "rows of Ethernet0: "+text {
			t.Errorf("got %v, want the error %s", got, text)
		}
	}
}

// TestUnreadableLinksChange checks that health names the link that became unreadable in the turn in which
// another one became readable.
func TestUnreadableLinksChange(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	send := func(kind netlinkraw.MessageType, index int32, name string) { a.link(kind, index, name, 1500) }
	named := func(want string) {
		t.Helper()
		a.turn()
		if got := a.status.unread.Load(); got == nil && want != "" || got != nil && *got != want {
			t.Errorf("health names %v, want %q", got, want)
		}
	}
	send(netlinkraw.Unreadable, 5, "Ethernet0")
	named("Ethernet0")
	send(netlinkraw.NewLink, 5, "Ethernet0")
	send(netlinkraw.Unreadable, 6, "Ethernet4")
	named("Ethernet4")
	send(netlinkraw.NewLink, 6, "Ethernet4")
	named("")
}

// TestWatchdogIsQuiet checks that a notification of the watchdog is logged only if it failed.
func TestWatchdogIsQuiet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	notifier, err := systemd.New()
	if err != nil {
		t.Fatal(err)
	}
	defer notifier.Close()
	a := newRig(t)
	a.loop.Notifier, a.loop.Watchdog = notifier, time.Minute
	out := a.withLog(slog.LevelDebug)
	a.loop.watchdog.feed(1, 0)
	if out.Len() > 0 {
		t.Errorf("logged %q", out)
	}
	conn.Close()
	a.loop.watchdog.feed(2, 0)
	if !strings.Contains(out.String(), "cannot notify the service manager") {
		t.Errorf("logged %q after a failure", out)
	}
}

// TestQuantilesWithoutWrites checks that a minute without writes has no latencies.
func TestQuantilesWithoutWrites(t *testing.T) {
	var h hour
	h.event(1)
	if m := h.view(clock{}, 2)[0]; m.Events != 1 || m.P50 != 0 || m.P99 != 0 || m.Max != 0 {
		t.Errorf("got %+v", m)
	}
}

// TestLoggerRowErrors checks that an error while the LOGGER row is completed is returned, and that the
// levels are applied otherwise.
func TestLoggerRowErrors(t *testing.T) {
	s := newStored(t, 1)
	logs := syslog.New(syslog.Options{SocketPath: filepath.Join(t.TempDir(), "no-socket")})
	m := sonicdb.StaticMap("pipe", "")
	db, err := m.Database("CONFIG_DB")
	if err != nil {
		t.Fatal(err)
	}
	l := &loggerRow{ctx: t.Context(), db: db, logs: logs, log: slog.New(slog.DiscardHandler), initial: slog.LevelDebug}
	s.appl.SetFault(lab.Fault{Error: lab.ErrorReply("READONLY")})
	if err := l.applyFrom(s.config, true); !errors.As(err, new(sonicdb.ServerError)) {
		t.Errorf("refused: %v", err)
	}
	s.appl.SetFault(lab.Fault{})
	if err := l.applyFrom(s.config, true); err != nil {
		t.Fatal(err)
	}
	if !logs.Enabled(t.Context(), slog.LevelDebug) {
		t.Error("the initial level was not applied with the completed row")
	}
}

// TestPortsUnreadEnds checks that the report that CONFIG_DB cannot be read ends with a read, and with a new
// connection, over which the ports are read again.
func TestPortsUnreadEnds(t *testing.T) {
	for name, end := range map[string]func(a *rig){
		"read":          func(a *rig) { a.loop.observe(note{kind: notePorts}) },
		"reconnected":   func(a *rig) { a.loop.db.use(a.session) },
		"own server up": func(a *rig) { a.loop.observe(note{kind: noteConfig}) },
	} {
		a := newRig(t)
		a.loop.observe(note{kind: noteUnread, err: errServerGone})
		a.turn()
		if a.status.databases().unread == "" {
			t.Errorf("%s: not reported", name)
		}
		end(a)
		a.turn()
		if unread := a.status.databases().unread; unread != "" {
			t.Errorf("%s: still reported: %s", name, unread)
		}
	}
}
