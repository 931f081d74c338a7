package syslog

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/slogtest"
	"time"
)

// TestAsGlibc checks that datagrams are equal to recorded ones of syslog(3) in glibc.
func TestAsGlibc(t *testing.T) {
	file, err := os.Open("testdata/glibc.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := 0
	for in := bufio.NewScanner(file); in.Scan(); {
		if strings.HasPrefix(in.Text(), "#") {
			continue
		}
		seen++
		fields := strings.Fields(in.Text())
		level, err := ParseLevel(fields[0])
		if err != nil {
			t.Fatal(err)
		}
		datagram, err := hex.DecodeString(fields[1])
		if err != nil {
			t.Fatal(err)
		}
		want := string(datagram)
		_, rest, _ := strings.Cut(want, ">")
		when, err := time.ParseInLocation(time.Stamp, rest[:len(time.Stamp)], time.Local)
		if err != nil {
			t.Fatal(err)
		}
		daemon := newFakeDaemon(t)
		h := New(Options{Level: LevelDebug, SocketPath: daemon.path})
		record := slog.NewRecord(when, level, "Publish Ethernet0(ok:up) to state db", 0)
		h.WithAttrs([]slog.Attr{slog.String(ComponentKey, "onMsg")}).Handle(context.Background(), record)
		if got := daemon.read(t); got != want {
			t.Errorf("%s\n got %q\nwant %q", fields[0], got, want)
		}
		if !h.WriteLine(level, "onMsg", []byte("Publish Ethernet0(ok:up) to state db"), when, 0) {
			t.Errorf("%s: WriteLine did not write", fields[0])
		} else if got := daemon.read(t); got != want {
			t.Errorf("%s, WriteLine\n got %q\nwant %q", fields[0], got, want)
		}
	}
	if seen != Severities {
		t.Errorf("testdata/glibc.txt has %d datagrams, want %d", seen, Severities)
	}
}

// TestHeader checks headers that are not in the recording. A day of one digit is padded with a
// blank, as with %e of strftime, which glibc uses.
func TestHeader(t *testing.T) {
	s := &shared{tag: "portsyncd: "}
	got := string(s.appendHeader(nil, Error, time.Date(2026, 3, 1, 4, 5, 6, 0, time.Local)))
	if want := "<11>Mar  1 04:05:06 portsyncd: "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// A record without a time has the time of the call, since rsyslog requires one.
	before := time.Now().Truncate(time.Second)
	got = string(s.appendHeader(nil, Info, time.Time{}))
	stamp := strings.TrimPrefix(got, "<14>")[:len(time.Stamp)]
	at := before
	for at.Format(time.Stamp) != stamp && at.Before(time.Now()) {
		at = at.Add(time.Second)
	}
	if at.Format(time.Stamp) != stamp {
		t.Errorf("without a time: %q, want the time of the call, %v", got, before)
	}
}

type failure struct{ port string }

func (f *failure) Error() string { return "port " + f.port } // panics on nil

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("hidden") }

// TestText checks the text of messages and attributes.
func TestText(t *testing.T) {
	tests := []struct {
		name    string
		message string
		attrs   []any
		want    string
	}{
		{"plain", "PortInitDone", nil, "PortInitDone"},
		{"kinds", "m", []any{"s", "up", "i", -5, "u", uint64(9), "f", 0.25, "b", true, "d", 1500 * time.Millisecond},
			"m s=up i=-5 u=9 f=0.25 b=true d=1.5s"},
		{"time", "m", []any{"t", time.Date(2026, 3, 1, 4, 5, 6, 7e6, time.UTC)}, "m t=2026-03-01T04:05:06.007Z"},
		{"error", "m", []any{"error", errors.New("connection refused")}, `m error="connection refused"`},
		{"nil", "m", []any{"err", nil, "e", (*failure)(nil)}, "m err=<nil> e=<nil>"},
		{"any", "m", []any{"v", struct{ A, B int }{1, 2}}, `m v="{A:1 B:2}"`},
		{"valuer", "m", []any{"v", secret("x")}, "m v=hidden"},
		{"group", "m", []any{slog.Group("g", "a", 1, slog.Group("h", "b", 2)), "c", 3}, "m g.a=1 g.h.b=2 c=3"},
		{"group without name", "m", []any{slog.Group("", "a", 1)}, "m a=1"},
		{"empty group", "m", []any{slog.Group("g")}, "m"},
		{"empty attribute", "m", []any{slog.Attr{}}, "m"},
		{"empty value", "m", []any{"k", ""}, `m k=""`},
		{"quotes", `say "x=1"`, []any{"k", `say "x"`, "e", "a=b"}, `say "x=1" k="say \"x\"" e="a=b"`},
		{"backslash", `a\b`, []any{"k", `a\b`}, `a\b k=a\b`},
		{"odd key", "m", []any{"a b", 1, "c\n", 2, "", 3}, `m "a b"=1 "c\n"=2 ""=3`},
		{"line break", "a\nb\r", []any{"k", "a\nb"}, `a\nb\r k="a\nb"`},
		{"escape sequence", "\x1b[31m\x7f", []any{"k", "\x1b[31m"}, `\x1b[31m\x7f k="\x1b[31m"`},
		{"nul", "a\x00b", []any{"k", "\x00"}, `a\x00b k="\x00"`},
		{"not utf-8", "a\xff\xc3b", []any{"k", "\xff"}, `a\xff\xc3b k="\xff"`},
		{"unicode", "Übertragung ✓ \uFFFD", []any{"k", "é\uFFFD"}, "Übertragung ✓ \uFFFD k=é\uFFFD"},
		{"unicode controls", "a\u0085b\u2028c\u202e", []any{"k", "\u00a0"}, `a\u0085b\u2028c\u202e k="\u00a0"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &Handler{shared: &shared{}}
			r := slog.NewRecord(time.Time{}, LevelInfo, tt.message, 0)
			r.Add(tt.attrs...)
			if got := string(h.appendText(nil, r)); got != tt.want {
				t.Errorf("\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestDerived checks that WithAttrs and WithGroup do not change the original handler, and that two
// derived handlers do not share the memory of their attributes.
func TestDerived(t *testing.T) {
	root := &Handler{shared: &shared{}}
	base := root.WithAttrs([]slog.Attr{slog.Int("a", 1)}).WithGroup("g").WithAttrs([]slog.Attr{slog.Int("b", 2)})
	left := base.WithAttrs([]slog.Attr{slog.String("side", "left")})
	short := root.WithAttrs([]slog.Attr{slog.Int("a", 1)}) // its slice has spare capacity
	one, two := short.WithAttrs([]slog.Attr{slog.Int("b", 1)}), short.WithAttrs([]slog.Attr{slog.Int("b", 2)})
	right := base.WithGroup("").WithGroup("h").WithAttrs([]slog.Attr{slog.String("side", "right")})
	r := slog.NewRecord(time.Time{}, LevelInfo, "m", 0)
	r.Add("c", 3)
	for _, tt := range []struct {
		handler slog.Handler
		want    string
	}{
		{root, "m c=3"},
		{base, "m a=1 g.b=2 g.c=3"},
		{one, "m a=1 b=1 c=3"},
		{two, "m a=1 b=2 c=3"},
		{left, "m a=1 g.b=2 g.side=left g.c=3"},
		{right, "m a=1 g.b=2 g.h.side=right g.h.c=3"},
	} {
		if got := string(tt.handler.(*Handler).appendText(nil, r)); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// TestSlogtest runs testing/slogtest on the lines, parsed into maps.
func TestSlogtest(t *testing.T) {
	var daemon *fakeDaemon
	slogtest.Run(t,
		func(t *testing.T) slog.Handler {
			daemon = newFakeDaemon(t)
			return New(Options{SocketPath: daemon.path})
		},
		func(t *testing.T) map[string]any {
			header, text, _ := strings.Cut(daemon.read(t), " portsyncd: :- portsyncd: ")
			m := readLine(t, text)
			m[slog.LevelKey] = header
			// A line has a time even if the record has none.
			if !strings.HasSuffix(t.Name(), "/zero-time") {
				m[slog.TimeKey] = header
			}
			return m
		})
}

// readLine parses "message a=1 g.b=2" into a map as required by slogtest. Groups are maps; the
// message is one word.
func readLine(t *testing.T, text string) map[string]any {
	t.Helper()
	message, rest, _ := strings.Cut(text, " ")
	m := map[string]any{slog.MessageKey: message}
	for rest != "" {
		key, after, found := strings.Cut(rest, "=")
		if !found {
			t.Fatalf("no = in %q of %q", rest, text)
		}
		value, after, _ := strings.Cut(after, " ")
		at := m
		path := strings.Split(key, ".")
		for _, group := range path[:len(path)-1] {
			if at[group] == nil {
				at[group] = map[string]any{}
			}
			at = at[group].(map[string]any)
		}
		at[path[len(path)-1]] = value
		rest = after
	}
	return m
}

// TestLongLines checks the length of cut lines, and that the memory used is limited by that length,
// not by the length of the input.
func TestLongLines(t *testing.T) {
	daemon := newFakeDaemon(t)
	log := slog.New(New(Options{SocketPath: daemon.path}))
	const size = 16 << 20
	breaks := strings.Repeat("\n", size)
	for _, tt := range []struct {
		name    string
		message string
		attr    slog.Attr
		end     string
	}{
		{"message", strings.Repeat("x", size), slog.String("k", "v"), "xxx..."},
		{"message to escape", breaks, slog.Attr{}, "..."},
		{"value", "m", slog.String("k", strings.Repeat("é", size/2)), "éé..."},
		{"value to quote", "m", slog.String("k", breaks), "..."},
		{"key", "m", slog.Int(strings.Repeat("k", size), 1), "kkk..."},
		{"many", "m", slog.Group("g", many(1000)...), "..."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			log.LogAttrs(context.Background(), LevelInfo, tt.message, tt.attr)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 32*maxLine {
				t.Errorf("allocated %d bytes", grown)
			}
			got := daemon.read(t)
			if len(got) > maxLine || len(got) < maxLine-4 {
				t.Errorf("%d bytes, want %d or at most one character less", len(got), maxLine)
			}
			if !strings.HasSuffix(got, tt.end) {
				t.Errorf("ends with %q, want %q", got[len(got)-10:], tt.end)
			}
		})
	}
}

// many returns n attributes of about 20 bytes.
func many(n int) []any {
	attrs := make([]any, n)
	for i := range attrs {
		attrs[i] = slog.String("key"+strconv.Itoa(i), "value value")
	}
	return attrs
}

// TestLevelAndOutputChangeLive checks that changes of level and output apply to existing loggers.
func TestLevelAndOutputChangeLive(t *testing.T) {
	daemon := newFakeDaemon(t)
	stdoutRead, stdout := newPipe(t)
	stderrRead, stderr := newPipe(t)
	h := New(Options{Tag: "other", Level: LevelNotice, SocketPath: daemon.path, Stdout: stdout, Stderr: stderr})
	log := slog.New(h).With("port", "Ethernet0") // derived before the changes

	log.Info("below the level")
	log.Log(context.Background(), LevelNotice, "to syslog")
	header, text, _ := strings.Cut(daemon.read(t), " other: :- other: ")
	if !strings.HasPrefix(header, "<13>") || text != "to syslog port=Ethernet0" {
		t.Errorf("syslog got %q and %q", header, text)
	}

	h.SetLevel(LevelDebug)
	h.SetOutput(Stdout)
	log.Debug("to stdout")
	if got, want := readLineFrom(t, stdoutRead), "DEBUG :- other: to stdout port=Ethernet0\n"; got != want {
		t.Errorf("stdout got %q, want %q", got, want)
	}

	h.SetOutput(Stderr)
	log.Error(strings.Repeat("x", 5000))
	got := readLineFrom(t, stderrRead)
	if want := "ERROR :- other: xxx"; !strings.HasPrefix(got, want) || len(got) != maxStreamLine || !strings.HasSuffix(got, "xxx...\n") {
		t.Errorf("stderr got %d bytes %.20q, want %d bytes beginning with %q", len(got), got, maxStreamLine, want)
	}

	if h.Level() != LevelDebug || h.Output() != Stderr {
		t.Errorf("Level and Output are %v, %v", h.Level(), h.Output())
	}
	for s, want := range map[Severity]uint64{Notice: 1, Debug: 1, Error: 1, Info: 0, Severities: 0} {
		if got := h.Lines(s); got != want {
			t.Errorf("Lines(%v) = %d, want %d", s, got, want)
		}
	}
	if got := h.Dropped(); got != 0 {
		t.Errorf("Dropped() = %d, want 0", got)
	}
}

// FuzzLine checks for any message, key and value that the line is printable and that key and value
// can be parsed from the line.
func FuzzLine(f *testing.F) {
	f.Add("Publish Ethernet0", "port", "Ethernet0")
	f.Add("a\nb", "", "\x1b[2J\x00")
	f.Add("\xff\xfe", "a=b", "\u202e \" \\")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		h := &Handler{shared: &shared{}}
		r := slog.NewRecord(time.Time{}, LevelInfo, message, 0)
		r.AddAttrs(slog.String(key, value))
		got := string(cut(h.appendText(nil, r), maxLine))
		if len(got) > maxLine {
			t.Fatalf("%d bytes", len(got))
		}
		for i, r := range got {
			if !isPrintable(got, i, r) {
				t.Fatalf("unprintable %q at %d of %q", r, i, got)
			}
		}
		if len(message)+len(key)+len(value) > 1000 {
			return // may have been cut
		}
		rest := strings.TrimPrefix(got, string(appendPrintable(nil, message))+" ")
		gotKey, rest := readWord(t, rest)
		gotValue, rest := readWord(t, strings.TrimPrefix(rest, "="))
		if gotKey != key || gotValue != value || rest != "" {
			t.Fatalf("%q parses as key %q, value %q, rest %q; want %q, %q", got, gotKey, gotValue, rest, key, value)
		}
	})
}

// readWord parses a word written by appendWord, and returns the rest.
func readWord(t *testing.T, s string) (word, rest string) {
	t.Helper()
	if quoted, err := strconv.QuotedPrefix(s); err == nil && quoted[0] == '"' {
		word, err := strconv.Unquote(quoted)
		if err != nil {
			t.Fatalf("unquote %q: %v", quoted, err)
		}
		return word, s[len(quoted):]
	}
	end := strings.IndexAny(s, "= ")
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:]
}
