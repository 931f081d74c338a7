package statusview

import (
	"bytes"
	"compress/gzip"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// readPage renders the page of s, checks it with checkHTML and returns it.
func readPage(t *testing.T, s *Status) *document {
	t.Helper()
	d, err := checkHTML(s.AppendPage(nil))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestPageShows checks that the page has the values of a status.
func TestPageShows(t *testing.T) {
	s := switchStatus(32)
	s.Instance = "1"
	s.Databases[1].Up, s.Databases[1].Error = false, "connection refused"
	d := readPage(t, s)
	text := strings.Join(strings.Fields(d.text), " ")
	for _, want := range []string{
		"leaf-14 1", "portsyncd 0.2.0", "PID 812", "up 2d 3h", "daemon: degraded, score 65 of 100 since 11:56:05", "ports: 25 of 32 up 2 down, 4 off, 1 pending, 1 flapping", "2026-03-14 12:00:05 UTC",
		"Pending 1 Ethernet44", "Databases 2 / 3", "32 ports; all names begin with Ethernet",
		"all 32", "up 25", "down 2", "off 4", "pending 1", "absent 0", "flapping 1", "unwritten 0",
		"Ethernet 20 down", "Ethernet 44 pending", "Ethernet 28 off", "Ethernet 80 up ⇅ flapping", "Ethernet80 up, flapping up up 9100 412 411 3,480 ",
		"cannot write the metrics: no space left on device degraded disk , for 1m 30s, score −15", "port_init_late , for 4m, score −20",
		"Ethernet44 it has no interface 4m",
		"STATE_DB disconnected", "connection refused", "APPL_DB connected",
		"This start was warm : only portsyncd was restarted; its saved state is used; the initial sync took 41.3 ms.",
		"9 older restarts", "cold start, initial sync", "SONiC did not request a warm restart", "the dump timed out",
		"11:59:48.000 17s ago Ethernet20 link down after 3h up", "Ethernet20 flapped 214 times in 10s, now up",
		"health healthy to degraded: cannot write the metrics", "Link messages 1,204,113", "Resyncs 3",
		"11:12 UTC: 30 link messages, 15 writes", "11:13 UTC: 11 link messages", "11:48 UTC: 2 link messages, 1 write 11:49",
		"2026-03-03 21:00:05 UTC: warm start, initial sync 125 ms 2026", "2026-02-23 09:00:05 UTC: warm start, initial sync 10 s, the dump timed out",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for tag, want := range map[string]int{
		"li class=up": 24, "li class=up flapping": 1, "li class=down": 2, "li class=off": 4, "li class=pending": 1,
		"h1": 1, "main": 1, "nav aria-label": 1,
	} {
		if got := countOf(d.tags, tag); got != want {
			t.Errorf("%d elements <%s>, want %d", got, tag, want)
		}
	}
	for _, link := range []string{"/status", "/ports", "/events", "/metrics", "/metrics.json", "/healthz", "/readyz"} {
		if countOf(d.links, link) != 1 {
			t.Errorf("want one link to %s", link)
		}
	}
}

// countOf returns the number of elements of all that are want.
func countOf(all []string, want string) int {
	n := 0
	for _, s := range all {
		if s == want {
			n++
		}
	}
	return n
}

// TestPagePolicy checks that the page has one style and one script, both allowed by its policy, and
// nothing that the policy forbids or that links to other servers.
func TestPagePolicy(t *testing.T) {
	d := readPage(t, switchStatus(3))
	for element, directive := range map[string]string{"style": "style-src ", "script": "script-src "} {
		if len(d.raw[element]) != 1 || !strings.Contains(PagePolicy(), directive+hashSource(d.raw[element][0])+";") {
			t.Errorf("%d elements %s, want one that is allowed by %q", len(d.raw[element]), element, PagePolicy())
		}
	}
	checkContained(t, d, "/", "#", "data:,")
	checkContained(t, readPortPage(t, switchStatus(3), 1), "/", "#", "data:,")
}

// checkContained checks that a page has no style attributes or event handlers, and that all links
// begin with one of prefixes.
func checkContained(t *testing.T, d *document, prefixes ...string) {
	t.Helper()
	for _, tag := range d.tags {
		if strings.Contains(tag, " style") || strings.Contains(tag, " on") {
			t.Errorf("the policy forbids an attribute of <%s>", tag)
		}
	}
	for _, link := range d.links {
		if strings.HasPrefix(link, "//") || !slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(link, p) }) {
			t.Errorf("unexpected link to %q", link)
		}
	}
	for _, style := range d.raw["style"] {
		if strings.Contains(style, "url(") || strings.Contains(style, "@import") {
			t.Error("the style loads a resource")
		}
	}
}

// TestPageFragments checks that the targets of all links within the page exist.
func TestPageFragments(t *testing.T) {
	for _, d := range []*document{readPage(t, switchStatus(5)), readPortPage(t, switchStatus(5), 2)} {
		n := 0
		for _, link := range d.links {
			if id, ok := strings.CutPrefix(link, "#"); ok {
				n++
				if countOf(d.ids, id) != 1 {
					t.Errorf("%d elements have the id of link %s, want 1", countOf(d.ids, id), link)
				}
			}
		}
		if n != 1 {
			t.Errorf("%d links within the page, want the skip link", n)
		}
	}
}

// TestPageOfNothing checks the texts of a page without data.
func TestPageOfNothing(t *testing.T) {
	d, err := checkHTML(new(Status).AppendPage(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"ports:  none", "No port is configured", "No event is recorded", "Nothing is pending", "No restart is recorded", "is not decided yet"} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the page does not have %q: %q", want, d.text)
		}
	}
}

// TestPageOfHostileNames checks that special characters in names and texts are shown escaped.
func TestPageOfHostileNames(t *testing.T) {
	s := troubled()
	d := readPage(t, s)
	for _, name := range hostileNames {
		if !strings.Contains(d.text, visible(name)) {
			t.Errorf("the page does not show %q", name)
		}
	}
	for _, want := range []string{`leaf\u202e1 asic\x1b]0;0\x07`, `no space\x0aleft \u2028on device`, `LOADING Redis\x09is \x1b[1mloading`, `\x1b[31mred`, `\u202edn`} {
		if !strings.Contains(d.text, want) {
			t.Errorf("the page does not show %q", want)
		}
	}
}

// FuzzPage checks that foreign text in all fields is shown and does not change the elements and
// links of the page.
func FuzzPage(f *testing.F) {
	f.Add("<script>", `"><img src=x onerror=alert(1)>`)
	f.Add("Ethernet\xff\u202e", "</title></style><!--")
	f.Add("{{.Host}}", "javascript:alert(1)")
	harmless, err := checkHTML(foreignStatus("x", "y", 1, 1).AppendPage(nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		if name == "" || text == "" {
			return // empty text can omit an element
		}
		d, err := checkHTML(foreignStatus(name, text, 1, 1).AppendPage(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.tags, harmless.tags) || !slices.Equal(withoutPorts(d.links), withoutPorts(harmless.links)) {
			t.Errorf("%q and %q change the elements or links of the page", name, text)
		}
		for _, s := range []string{name, text} {
			if !strings.Contains(d.text, visible(s)) {
				t.Errorf("the page does not show %q", s)
			}
		}
	})
}

// TestPageOfAnyNumbers checks that the page is well-formed with any number and time.
func TestPageOfAnyNumbers(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 5))
	values := []float64{0, 1, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, 5e-324}
	for range 100 {
		n := int64(random.Uint64() >> random.IntN(64))
		v := values[random.IntN(len(values))]
		if _, err := checkHTML(foreignStatus("x", "y", n, v).AppendPage(nil)); err != nil {
			t.Errorf("with %d and %v: %v", n, v, err)
		}
	}
}

// foreignStatus returns a status with name and text in all text fields, and with n and v in all
// numbers and times.
func foreignStatus(name, text string, n int64, v float64) *Status {
	when := time.Unix(n, n)
	health := portsync.Health{Status: "odd " + text, Score: int(n), Since: when}
	health.Reasons = []portsync.HealthReason{{Code: text, Severity: "odd " + text, Deduction: int(n), Text: text, Since: when}}
	s := &Status{Time: noon, Version: text, Host: name, Instance: text, PID: int(n), Process: when, Health: health}
	if n%2 == 0 {
		s.Time = when
	}
	s.View = portsync.View{
		Start:     portsync.StartView{Kind: text, Reason: text, SyncNanos: n, LastResync: &when},
		Ports:     []portsync.PortView{{Name: "p" + name, InitPending: true}, {Name: "p" + name + text, State: "present", Present: true, Written: true, Admin: text, Oper: "odd " + name, MTU: n, CarrierUp: n, CarrierDown: n, LastChange: &when, Penalty: v, Flapping: true}},
		Pending:   []portsync.Pending{{What: name, Why: text, From: when}},
		Databases: []portsync.DatabaseView{{Name: name, Address: text, Error: text, Since: when}},
		Backlog:   portsync.BacklogView{Ports: n, Events: n, WaitSeconds: v},
		Counts:    portsync.CountsView{Configured: n, Events: uint64(n), LastWritten: &when},
		Hour:      []portsync.Minute{{From: when, Events: uint64(n), P50: n, P99: n, Max: n}, {From: noon, Events: 1, P99: 1}},
	}
	s.Events = []journal.Event{
		{Time: when, Kind: journal.Kind(text), Port: name, Reason: text, Old: name, New: text, After: time.Duration(n)},
		{Time: noon, Kind: journal.Renamed, Port: name, Old: text},
	}
	s.Restarts = []warmrestart.Restart{
		{At: when, Kind: text, Reason: name, Duration: time.Duration(n), EOIULatency: time.Duration(n), Process: when, Compared: int(n), RecoveredFrom: text},
		{At: noon, Kind: name, Reason: text, Duration: 1, LastAlive: when, Process: noon},
	}
	return s
}

// BenchmarkPage512 renders the page of a switch with 512 ports.
func BenchmarkPage512(b *testing.B) {
	s := switchStatus(512)
	var page []byte
	b.ReportAllocs()
	for b.Loop() {
		page = s.AppendPage(page[:0])
	}
	reportSize(b, page)
}

// reportSize reports the size of a page in bytes, uncompressed and compressed.
func reportSize(b *testing.B, page []byte) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		b.Fatal(err)
	}
	z.Write(page)
	z.Close()
	b.ReportMetric(float64(len(page)), "bytes")
	b.ReportMetric(float64(packed.Len()), "bytes-gzip")
}

// TestPortState checks the state of ports on the panel.
func TestPortState(t *testing.T) {
	for _, c := range []struct {
		want string
		port portsync.PortView
	}{
		{"absent", portsync.PortView{State: "absent", Configured: true}},
		{"absent", portsync.PortView{State: "absent", Configured: true, InitPending: true}},
		{"pending", portsync.PortView{State: "pending", Configured: true}},
		{"pending", portsync.PortView{State: "pending", Configured: true, InitPending: true}},
		{"up", portsync.PortView{State: "pending", Configured: true, Index: 7, Admin: "up", Oper: "up"}},
		{"pending", portsync.PortView{State: "present", Present: true, InitPending: true, Index: 7, Admin: "up", Oper: "up"}},
		{"up", portsync.PortView{State: "present", Present: true, Index: 7, Admin: "up", Oper: "up"}},
		{"down", portsync.PortView{State: "present", Present: true, Index: 7, Admin: "up", Oper: "down"}},
		{"off", portsync.PortView{State: "present", Present: true, Index: 7, Admin: "down", Oper: "down"}},
	} {
		if got := portState(&c.port); got != c.want {
			t.Errorf("portState(%+v) = %q, want %q", c.port, got, c.want)
		}
	}
}
