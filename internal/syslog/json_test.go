package syslog

import (
	"bufio"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// newJSON returns a Handler that writes JSON to a pipe, and the end to read from.
func newJSON(t *testing.T) (*Handler, *bufio.Reader) {
	t.Helper()
	r, w := newPipe(t)
	h := unlimited(New(Options{Level: LevelDebug, Output: Stdout, Stdout: w, Format: JSON}))
	return h, bufio.NewReader(r)
}

// readJSON reads the next line and decodes it.
func readJSON(t *testing.T, in *bufio.Reader) map[string]any {
	t.Helper()
	line, err := in.ReadString('\n')
	var object map[string]any
	if err != nil || json.Unmarshal([]byte(line), &object) != nil {
		t.Fatalf("not a JSON object in a line: %q, %v", line, err)
	}
	if len(line) > maxStreamLine {
		t.Errorf("%d bytes, want at most %d", len(line), maxStreamLine)
	}
	for i, r := range line[:len(line)-1] {
		if !isPrintable(line, i, r) {
			t.Errorf("unprintable %q in %q", r, line)
		}
	}
	return object
}

// TestJSON checks the members of a line.
func TestJSON(t *testing.T) {
	h, in := newJSON(t)
	log := slog.New(h).With("port", "Ethernet0", ComponentKey, "redis").WithGroup("g")
	log.Log(t.Context(), LevelNotice, "Redis connection lost", "error", errors.New("EOF"), "after", 2, "at", "a\n\x1b\u009b\u202e\U000e0001\x7f\xff")
	object := readJSON(t, in)
	at, err := time.Parse(time.RFC3339Nano, object["time"].(string))
	if err != nil || time.Since(at) > time.Minute {
		t.Errorf("time %v, %v; want the time of the call", object["time"], err)
	}
	delete(object, "time")
	got, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"component":"redis","g":{"after":2,"at":"a\n\u001b` + "\u009b\u202e\U000e0001\x7f\ufffd" + `","error":"EOF"},` +
		`"level":"NOTICE","msg":"Redis connection lost","port":"Ethernet0"}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestJSONConformance checks the rules of package slog.
func TestJSONConformance(t *testing.T) {
	var in *bufio.Reader
	slogtest.Run(t, func(t *testing.T) slog.Handler {
		var h *Handler
		h, in = newJSON(t)
		return h
	}, func(t *testing.T) map[string]any {
		object := readJSON(t, in)
		if strings.HasSuffix(t.Name(), "/zero-time") {
			delete(object, slog.TimeKey) // the Handler sets a missing time
		}
		return object
	})
}

// TestJSONLongLine checks that a line with long values or many attributes is cut to valid JSON with
// the beginning of the message.
func TestJSONLongLine(t *testing.T) {
	long := strings.Repeat("\x01", 9000)
	tests := []struct {
		name    string
		message string
		attrs   []any
		want    string // a member that must be kept
	}{
		{"message", "abc" + long, []any{"port", "Ethernet0"}, "port"},
		{"value", "abc", []any{"v", long, "port", "Ethernet0"}, "port"},
		{"error", "abc", []any{"error", errors.New(long), "nil", (*failure)(nil)}, "error"},
		{"key", "abc", []any{long, 1}, "component"},
		{"attributes", "abc" + long, many(400), "component"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			h, in := newJSON(t)
			slog.New(h).Info(test.message, test.attrs...)
			object := readJSON(t, in)
			if msg, _ := object["msg"].(string); !strings.HasPrefix(msg, "abc") || object[test.want] == nil {
				t.Errorf("msg %q, %s %v", msg, test.want, object[test.want])
			}
		})
	}
}

// TestFormatChangesLive checks that a change of the format applies to existing loggers, and that
// JSON lines have the number of suppressed lines.
func TestFormatChangesLive(t *testing.T) {
	r, w := newPipe(t)
	in := bufio.NewReader(r)
	h := New(Options{Output: Stdout, Stdout: w})
	log := slog.New(h).With("port", "Ethernet0")
	log.Warn("text")
	wantLine(t, in, "WARN :- portsyncd: text port=Ethernet0\n")
	h.SetFormat(JSON)
	second := time.Now().Truncate(time.Second)
	for range LinesPerSecond + 3 {
		r := slog.NewRecord(second, LevelWarn, "many", 0)
		log.Handler().Handle(t.Context(), r)
	}
	for range LinesPerSecond {
		readJSON(t, in)
	}
	log.Handler().Handle(t.Context(), slog.NewRecord(second.Add(time.Second), LevelWarn, "many", 0))
	if object := readJSON(t, in); object["suppressed"] != 3.0 || object["port"] != "Ethernet0" {
		t.Errorf("got %v, want suppressed 3 and port Ethernet0", object)
	}
	h.SetFormat(Text)
	log.Warn("text again")
	wantLine(t, in, "WARN :- portsyncd: text again port=Ethernet0\n")
}
