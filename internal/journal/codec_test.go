package journal

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is an event with all members.
func full() Event {
	return Event{
		Time: time.Date(2026, 11, 27, 3, 4, 5, 678e6, time.UTC), Seq: 815, Kind: Flapping, Port: "Ethernet48",
		Old: "a", New: "b", Reason: "r", Boot: "id", Count: 1, Flaps: 2, Span: 3 * time.Second, After: 4 * time.Millisecond,
		Index: 61, Admin: Up, Oper: Down, MTU: 9100, CarrierUp: 5, CarrierDown: 6,
	}
}

// TestForm checks the JSON form of an event, which the documentation promises.
func TestForm(t *testing.T) {
	e := full()
	got := string(e.AppendJSON(nil))
	want := `{"time":"2026-11-27T03:04:05.678Z","seq":815,"kind":"flapping","port":"Ethernet48","old":"a","new":"b","reason":"r",` +
		`"boot":"id","count":1,"flaps":2,"span_ms":3000,"after_ms":4,"ifindex":61,"admin":"up","oper":"down","mtu":9100,"carrier_up":5,"carrier_down":6}`
	if got != want {
		t.Errorf("event is\n%s\nwant\n%s", got, want)
	}
	e = Event{Time: time.Unix(0, 0), Seq: 1, Kind: Start}
	if got, want := string(e.AppendJSON(nil)), `{"time":"1970-01-01T00:00:00.000Z","seq":1,"kind":"start"}`; got != want {
		t.Errorf("event is %s, want %s", got, want)
	}
}

// TestRoundTrip checks that an event is read as it was written, by the fast path where the text is
// plain, and that encoding/json reads the same members.
func TestRoundTrip(t *testing.T) {
	hostile := "\x00\x1b[31m\u202e\"\\</script>&\U0001f600"
	for _, change := range []func(*Event){
		func(*Event) {},
		func(e *Event) { *e = Event{Time: e.Time, Seq: 1, Kind: Start} },
		func(e *Event) { e.Port = "Ethernet\xff\xfe" },
		func(e *Event) { e.Reason, e.Old, e.New, e.Port = hostile, hostile, hostile, "Eth\u00e9" },
		func(e *Event) { e.Seq, e.Count = 1<<64-1, 1<<64-1 },
		func(e *Event) { e.MTU, e.CarrierUp, e.CarrierDown, e.Index = 1<<32-1, 1<<32-1, 1<<32-1, 1<<31-1 },
		func(e *Event) { e.Kind = "of a newer version" },
	} {
		e := full()
		change(&e)
		text := e.AppendJSON(nil)
		for _, c := range text {
			if c < ' ' || c > '~' || c == '<' || c == '&' {
				t.Errorf("byte %#x in %s", c, text)
			}
		}
		if !json.Valid(text) {
			t.Errorf("not JSON: %s", text)
		}
		got, err := Decode(text)
		if err != nil || !reflect.DeepEqual(got, e) {
			t.Errorf("read %+v, %v\nfrom %s\nwant %+v", got, err, text, e)
		}
	}
}

// TestTruncates checks that a long text is cut off, so that a line has a bounded length.
func TestTruncates(t *testing.T) {
	e := full()
	e.Reason = strings.Repeat("\x01", 100_000)
	e.Old, e.New = e.Reason, e.Reason
	if text := e.AppendJSON(nil); len(text) > maxLine*2 {
		t.Errorf("a line of %d bytes", len(text))
	} else if _, err := Decode(text); err != nil {
		t.Error(err)
	}
}

// TestDecodeRefuses checks that lines that are no events are errors, and that unusual forms of
// events are not.
func TestDecodeRefuses(t *testing.T) {
	for _, bad := range []string{
		``, `{`, `{}`, `[]`, `null`, `"x"`, `{"time":"2026-11-27T03:04:05.678Z","seq":1}`,
		`{"time":"2026-02-31T03:04:05.678Z","seq":1,"kind":"start"}`, `{"time":"now","seq":1,"kind":"start"}`,
		`{"time":"2026-11-27T24:04:05.678Z","seq":1,"kind":"start"}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":-1,"kind":"start"}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":01,"kind":"start"}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"start",}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"start"}}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"mtu","mtu":4294967296}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"mtu","port":"Ethernet0","port_hex":"ff"}`,
		`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"mtu","port":"` + strings.Repeat("x", 65) + `"}`,
	} {
		if e, err := Decode([]byte(bad)); err == nil {
			t.Errorf("%s is read as %+v, want an error", bad, e)
		}
	}
	for _, good := range []string{
		` { "kind" : "start", "seq":1, "time":"2026-11-27T04:04:05.678+01:00", "other": [1, {}] } `,
		`{"seq":1,"time":"2026-11-27T03:04:05.678Z","kind":"st\u0061rt"}`,
	} {
		e, err := Decode([]byte(good))
		if err != nil || e.Kind != Start || e.Seq != 1 || !e.Time.Equal(full().Time) {
			t.Errorf("%s is read as %+v, %v", good, e, err)
		}
	}
}

// FuzzDecode checks that what is read can be written and read again, and that the fast path agrees
// with encoding/json.
func FuzzDecode(f *testing.F) {
	e := full()
	f.Add(e.AppendJSON(nil))
	e.Port = "Ethernet\xff"
	f.Add(e.AppendJSON(nil))
	f.Add([]byte(`{"time":"2026-11-27T03:04:05.678Z","seq":1,"kind":"start","x":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := Decode(text)
		if err != nil {
			return
		}
		again, err := Decode(e.AppendJSON(nil))
		if err != nil {
			t.Fatalf("%q is read as %+v, and that written is an error: %v", text, e, err)
		}
		if again.Time != e.Time || again.Seq != e.Seq || again.Flaps != e.Flaps || again.Oper != e.Oper || again.CarrierDown != e.CarrierDown {
			t.Fatalf("%q is read as %+v, and that written as %+v", text, e, again)
		}
		var w wire
		if json.Unmarshal(text, &w) != nil {
			t.Fatalf("%q is no JSON, and is read as %+v", text, e)
		}
		if slow, err := w.event(); err != nil || !reflect.DeepEqual(slow, e) {
			t.Fatalf("%q is read as %+v, and by encoding/json as %+v, %v", text, e, slow, err)
		}
	})
}

// TestText checks how events are described.
func TestText(t *testing.T) {
	for _, c := range []struct {
		e    Event
		want string
	}{
		{Event{Kind: LinkDown, After: 3*time.Hour + 2*time.Minute}, "link down after 3h2m up"},
		{Event{Kind: LinkUp, After: 1500 * time.Millisecond}, "link up after 1.5s down"},
		{Event{Kind: LinkUp, After: 40 * time.Hour}, "link up after 1d16h down"},
		{Event{Kind: LinkUp, After: time.Minute}, "link up after 1m down"},
		{Event{Kind: LinkUp, After: 10*time.Minute + 30*time.Second}, "link up after 10m30s down"},
		{Event{Kind: LinkDown, Flaps: 1}, "link down"},
		{Event{Kind: LinkUp, Flaps: 1, After: time.Minute}, "link up, 1 link-down transition since the previous message"},
		{Event{Kind: LinkUp, Flaps: 2}, "link up, 2 link-down transitions since the previous message"},
		{Event{Kind: LinkDown, Flaps: 3}, "link down, 3 link-down transitions since the previous message"},
		{Event{Kind: Flapping, Flaps: 214, Span: 10 * time.Second, Oper: Up}, "flapped 214 times in 10s, now up"},
		{Event{Kind: Flapping, Flaps: 1}, "flapped once, now deleted"},
		{Event{Kind: Merged, Count: 30, Span: 20 * time.Minute, Admin: Up, Oper: Down, MTU: 9100, Reason: "also changed: MTU 30"},
			"changed 30 times in 20m, now admin up, link down, MTU 9100: also changed: MTU 30"},
		{Event{Kind: MTU, Old: "9100", New: "1500"}, "MTU 9100 -> 1500"},
		{Event{Kind: Renamed, Old: "Ethernet0"}, "renamed from Ethernet0"},
		{Event{Kind: Renamed, Port: "Ethernet0", Old: "Ethernet0", New: "eth7"}, "renamed to eth7"},
		{Event{Kind: Health, Old: "healthy", New: "degraded", Reason: "a; b"}, "health healthy to degraded: a; b"},
		{Event{Kind: Health, Old: "degraded", New: "degraded", Reason: "a"}, "health reasons changed, still degraded: a"},
		{Event{Kind: Repair, Count: 3, Reason: "Ethernet0, Ethernet4, Ethernet8"}, "repair of 3 rows: Ethernet0, Ethernet4, Ethernet8"},
		{Event{Kind: Repair, Count: 1, Reason: "Ethernet0"}, "repair of 1 row: Ethernet0"},
		{Event{Kind: Overrun, Count: 7, Span: 100 * time.Millisecond}, "overrun 7 times in 100ms"},
		{Event{Kind: Ready, After: 2 * time.Second}, "ready after 2s"},
		{Event{Kind: Dropped, Count: 9}, "9 events are missing"},
		{Event{Kind: "of_a_newer_version", New: "x"}, "of a newer version x"},
	} {
		if got := c.e.Text(); got != c.want {
			t.Errorf("%+v is described as %q, want %q", c.e, got, c.want)
		}
	}
}
