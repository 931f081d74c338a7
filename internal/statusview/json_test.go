package statusview

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// TestStatusJSON checks that the document is printable ASCII and that decoding returns the same
// status, also for names that are not UTF-8.
func TestStatusJSON(t *testing.T) {
	for _, s := range []*Status{switchOf(3), switchOf(512), troubled()} {
		text := s.AppendJSON(nil)
		for i, c := range text {
			if c < ' ' && i < len(text)-1 || c >= 0x7f {
				t.Fatalf("the document has byte %#x in %.200q", c, text[max(0, i-20):])
			}
		}
		got, err := DecodeStatus(text)
		if err != nil {
			t.Fatal(err)
		}
		if again := got.AppendJSON(nil); !bytes.Equal(again, text) {
			t.Errorf("encoded again:\n%s\nwant\n%s", again, text)
		}
		if !reflect.DeepEqual(got.Ports, list(s.Ports)) || !reflect.DeepEqual(got.Pending, list(s.Pending)) {
			t.Errorf("%d ports: the decoded ports or pending entries differ", len(s.Ports))
		}
	}
}

// TestPortsJSON compares the document of /ports with a golden file, for a port with and a port
// without an interface, and for a name with a quote, a control character and a byte that is not
// UTF-8.
func TestPortsJSON(t *testing.T) {
	changed := time.Date(2026, 11, 24, 7, 31, 6, 0, time.UTC)
	got := string(AppendPorts(nil, []portsync.PortView{
		{Name: "Ethernet4", State: "present", Present: true, Written: true, Configured: true, LastChange: &changed,
			Index: 7, Admin: "up", Oper: "down", MTU: 9100, CarrierUp: 1, CarrierDown: 2, Penalty: 1500.5, Flapping: true,
			PortInfo: portsync.PortInfo{Alias: "etp2", Description: "to <spine1>\r\n\x1b[2J\xff", Speed: "100000", Lanes: "5,6,7,8", PanelIndex: "2"}},
		{Name: "Ethernet\"\x01\xff", State: "pending", InitPending: true, Written: true},
	}))
	golden(t, "ports.json", []byte(got))
	if !json.Valid([]byte(got)) {
		t.Errorf("not valid JSON: %s", got)
	}
}

// TestListsInJSON checks that empty lists are [] and not null.
func TestListsInJSON(t *testing.T) {
	if text := new(Status).AppendJSON(nil); bytes.Contains(text, []byte(`":null,"pending`)) || bytes.Count(text, []byte(`:[]`)) != 6 {
		t.Errorf("%s", text)
	}
}

// TestNamesInJSON checks that different names of ports have different name and name_hex, and that
// names in UTF-8 have no name_hex.
func TestNamesInJSON(t *testing.T) {
	var d struct {
		Ports []map[string]any
	}
	if err := json.Unmarshal(troubled().AppendJSON(nil), &d); err != nil {
		t.Fatal(err)
	}
	seen := make(map[[2]any]bool)
	for i, p := range d.Ports {
		key := [2]any{p["name"], p["name_hex"]}
		if seen[key] {
			t.Errorf("%q occurs twice", key)
		}
		seen[key] = true
		if name := hostileNames[i]; strings.ToValidUTF8(name, "") == name && (p["name"] != name || p["name_hex"] != nil) {
			t.Errorf("%q is %q, %v", name, p["name"], p["name_hex"])
		}
	}
	if p := d.Ports[2]; p["name"] != "Ethernet\ufffd\ufffd" || p["name_hex"] != "45746865726e6574fffe" {
		t.Errorf("%q is %q", hostileNames[2], p)
	}
}

// TestDecodeStatusErrors checks the errors for documents that are not a status.
func TestDecodeStatusErrors(t *testing.T) {
	good := string(switchOf(1).AppendJSON(nil))
	f := func(text, want string) {
		t.Helper()
		if _, err := DecodeStatus([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("DecodeStatus(%.60q): %v, want %q", text, err, want)
		}
	}
	f("", "not a status document")
	f("<html>", "not a status document")
	f("{}", "schema 0 of status document: must be 1")
	f(`{"schema":2}`, "schema 2 of status document: must be 1")
	f(`{"schema":1}`, `invalid health status ""`)
	f(`{"schema":1,"health":{"status":"fine"}}`, `invalid health status "fine": must be "healthy"`)
	f(strings.Replace(good, `"name":"Ethernet0"`, `"name":"Ethernet0","name_hex":"zz"`, 1), `"zz"`)
	f(strings.Replace(good, `"name":"Ethernet0"`, `"name":"Ethernet0","name_hex":"ff"`, 1), `"ff"`)
	f(strings.Replace(good, `"mtu":9100`, `"mtu":"x"`, 1), "not a status document")
}

// TestReportJSON checks that the report is ASCII and that an infinite figure is an error.
func TestReportJSON(t *testing.T) {
	r := &Report{Schema: ReportSchema, Analysis: &warmrestart.Analysis{}, Storage: "/var/\u202e\x7f"}
	text, err := r.AppendJSON(nil)
	if err != nil || !json.Valid(text) || !strings.Contains(string(text), `"/var/\u202e\u007f"`) {
		t.Errorf("%v, %s", err, text)
	}
	r.Analysis.EventsPerRestart = new(math.Inf(1))
	if text, err := r.AppendJSON(nil); err == nil {
		t.Errorf("a report with an infinite figure: %s, want an error", text)
	}
}

// FuzzDecodeStatus checks that each accepted document can be printed within the width of the
// terminal and can be encoded and decoded again.
func FuzzDecodeStatus(f *testing.F) {
	const healthy = `"schema":1,"health":{"status":"healthy"}` // short, because mutating long inputs is slow
	for _, more := range []string{
		`"ports":[{"name":"Ethernet0","present":true,"oper":"up","last_change":"2026-11-24T12:00:00Z","penalty":1e300}]`,
		`"ports":[{"name":"\ufffd","name_hex":"ff"}],"pending":[{"what":"x","why":"\u202e","from":"0000-01-01T00:00:00Z"}]`,
		`"databases":[{"name":"APPL_DB","error":"\u009b1m"}],"backlog":{"ports":-1,"wait_seconds":1e308}`,
		`"restarts":[{"kind":"warm","duration_ns":-1}],"counts":{"events":18446744073709551615}`,
	} {
		f.Add([]byte("{" + healthy + "," + more + "}"))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := DecodeStatus(text)
		if err != nil {
			return
		}
		for _, term := range []Terminal{{Width: 80}, {Width: 40, Height: 24, ASCII: true, Color: true}} {
			if wrong := checkText(s.AppendText(nil, term), term); wrong != "" {
				t.Error(wrong)
			}
		}
		if _, err := DecodeStatus(s.AppendJSON(nil)); err != nil {
			t.Errorf("decode the encoded status: %v", err)
		}
	})
}

func BenchmarkStatusJSON(b *testing.B) {
	s := switchOf(512)
	var text []byte
	for b.Loop() {
		text = s.AppendJSON(text[:0])
	}
	b.ReportMetric(float64(len(text)), "bytes")
}
