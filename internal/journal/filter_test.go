package journal

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// TestParseQuery checks the parameters of a query, and that wrong ones are named.
func TestParseQuery(t *testing.T) {
	for _, c := range []struct {
		query string
		want  Filter
	}{
		{"", Filter{Limit: 1000}},
		{"port=Ethernet0,Ethernet4&port=Ethernet8&limit=5", Filter{Ports: []string{"Ethernet0", "Ethernet4", "Ethernet8"}, Limit: 5}},
		{"since=12h&until=2026-11-27T11:00:00Z&after=7", Filter{Since: now.Add(-12 * time.Hour), Until: now.Add(-time.Hour), After: 7, Limit: 1000}},
		{"since=7d&kind=link,mtu", Filter{Since: now.Add(-7 * 24 * time.Hour), Kinds: []Kind{LinkUp, LinkDown, Flapping, MTU}, Limit: 1000}},
		{"port=" + url.QueryEscape("Ethernet\xff"), Filter{Ports: []string{"Ethernet\xff"}, Limit: 1000}},
	} {
		got, err := ParseQuery(c.query, now)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("query %q is %+v, %v; want %+v", c.query, got, err, c.want)
		}
		again, err := ParseQuery(got.Query(), now)
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("query %q of the filter is %+v, %v; want %+v", got.Query(), again, err, got)
		}
	}
	for query, want := range map[string]string{
		"port=a&x=1":                            `parameter "x"`,
		"kind=linkup":                           `invalid kind "linkup": must be link, port, daemon or one of created`,
		"since=soon":                            `since: invalid time "soon"`,
		"since=-5m":                             `since: invalid time "-5m"`,
		"since=99999d":                          `since: invalid time "99999d"`,
		"until=":                                `until: invalid time ""`,
		"limit=0":                               `invalid limit "0": must be 1 to 10000`,
		"limit=1000000":                         `limit "1000000"`,
		"after=-1":                              `after "-1"`,
		"port=%":                                "malformed query",
		"port=" + strings.Repeat("x", maxQuery): "query is too long",
		"port=" + strings.Repeat(",", 300):      "too many ports or kinds: limit 256",
	} {
		if _, err := ParseQuery(query, now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("query %.40q: error %v, want one with %q", query, err, want)
		}
	}
}

// TestMatch checks each condition of a filter.
func TestMatch(t *testing.T) {
	e := Event{Time: now, Seq: 5, Kind: Renamed, Port: "Ethernet4", Old: "Ethernet0"}
	for _, c := range []struct {
		name string
		f    Filter
		want bool
	}{
		{"all", Filter{}, true},
		{"since the time", Filter{Since: now}, true},
		{"since later", Filter{Since: now.Add(1)}, false},
		{"until the time", Filter{Until: now}, true},
		{"until earlier", Filter{Until: now.Add(-1)}, false},
		{"after the one before", Filter{After: 4}, true},
		{"after itself", Filter{After: 5}, false},
		{"port", Filter{Ports: []string{"Ethernet4"}}, true},
		{"former name", Filter{Ports: []string{"Ethernet0"}}, true},
		{"other port", Filter{Ports: []string{"Ethernet8"}}, false},
		{"kind", Filter{Kinds: []Kind{MTU, Renamed}}, true},
		{"other kind", Filter{Kinds: []Kind{MTU}}, false},
	} {
		if got := c.f.Match(&e); got != c.want {
			t.Errorf("%s: %t, want %t", c.name, got, c.want)
		}
	}
	daemon := Event{Kind: Start}
	if f := (Filter{Ports: []string{""}}); f.Match(&daemon) {
		t.Error("an event of the daemon matches the port with an empty name")
	}
}

// TestMemory checks that memory has the newest events, the newest ones of each port for longer, and
// says whether it reaches back as far as a query.
func TestMemory(t *testing.T) {
	var m memory
	add := func(seq uint64, port string) {
		m.add(&Event{Seq: seq, Time: now.Add(time.Duration(seq) * time.Second), Kind: LinkUp, Port: port})
	}
	for seq := uint64(1); seq <= 20; seq++ {
		add(seq, "Ethernet0")
	}
	if _, complete, _ := m.query(&Filter{}); !complete {
		t.Error("memory with all events is not complete")
	}
	for seq := uint64(21); seq <= 20+maxEvents; seq++ {
		add(seq, "Ethernet4")
	}
	events, complete, last := m.query(&Filter{})
	if len(events) != maxEvents || events[0].Seq != 21 || complete || last != 20+maxEvents {
		t.Errorf("%d events from %d, complete %t, last %d", len(events), events[0].Seq, complete, last)
	}
	for i := range events[1:] {
		if events[i].Seq+1 != events[i+1].Seq {
			t.Fatalf("event %d before %d", events[i].Seq, events[i+1].Seq)
		}
	}
	events, _, _ = m.query(&Filter{Ports: []string{"Ethernet0"}})
	if len(events) != maxPortEvents || events[0].Seq != 13 {
		t.Errorf("%d events of Ethernet0, the first is %v; want 8 from 13", len(events), events)
	}
	for _, c := range []struct {
		f    Filter
		want bool
	}{
		{Filter{Since: now.Add(21 * time.Second)}, true},
		{Filter{Since: now.Add(20 * time.Second)}, false},
		{Filter{After: 20}, true},
		{Filter{After: 19}, false},
		{Filter{Limit: 5}, true},
		{Filter{Limit: 5, Ports: []string{"Ethernet8"}}, false},
	} {
		if events, complete, _ := m.query(&c.f); complete != c.want || c.f.Limit > 0 && len(events) > c.f.Limit {
			t.Errorf("%+v: complete %t with %d events, want %t", c.f, complete, len(events), c.want)
		}
	}
}

// TestDocument checks that a document is read as it was written, and that others are refused.
func TestDocument(t *testing.T) {
	d := Document{Time: now, Process: now.Add(-time.Hour), Complete: true, LastSeq: 9, Events: []Event{full(), full()}}
	text := d.AppendJSON(nil)
	got, err := DecodeDocument(text)
	if err != nil || !reflect.DeepEqual(*got, d) {
		t.Errorf("read %+v, %v; want %+v", got, err, d)
	}
	for _, bad := range []string{
		"", "{}", `{"schema":2}`, `{"schema":1,"events":[{}]}`, `{"schema":1,"events":[` + strings.Repeat("1,", maxCommas) + `1]}`,
		`{"schema":1,"events":[` + strings.Repeat("{},", maxQuery) + `{}]}`,
	} {
		if d, err := DecodeDocument([]byte(bad)); err == nil {
			t.Errorf("%.40s is read as %+v, want an error", bad, d)
		}
	}
}
