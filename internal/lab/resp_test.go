package lab

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestGlobMatch checks patterns of KEYS.
func TestGlobMatch(t *testing.T) {
	// TestRecorded compares more of it with the server.
	for _, test := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"**", "abc", true}, {"a*c", "abbc", true},
		{"a*c", "abbd", false}, {"?", "", false}, {"[a-c]x", "bx", true}, {"[c-a]x", "bx", true},
		{"[^a-c]", "b", false}, {"[^a-c]", "d", true}, {`\*`, "*", true}, {`\*`, "x", false},
		{`[\]]`, "]", true}, {"[a", "a", true}, {"[", "a", false}, {`a\`, `a\`, true},
		{"PORT|*", "PORT|Ethernet0", true}, {"PORT|*", "PORTX|Ethernet0", false}, {"*a*b*c", "xxaxxbxxc", true},
	} {
		if got := globMatch(test.pattern, test.s); got != test.want {
			t.Errorf("%q matches %q: got %t", test.pattern, test.s, got)
		}
	}
	// Backtracking over every star would take too long.
	if globMatch(strings.Repeat("a*", 40)+"b", strings.Repeat("a", 10000)) {
		t.Error("matched")
	}
}

// TestSplitQuoted checks inline commands with quotes.
func TestSplitQuoted(t *testing.T) {
	for line, want := range map[string][]string{
		``:                         nil,
		"  \t ":                    nil,
		`a  b`:                     {"a", "b"},
		`"" ''`:                    {"", ""},
		`"a b" 'c d'`:              {"a b", "c d"},
		`"\n\r\t\b\a\q\"\x41\xzz"`: {"\n\r\t\b\aq\"Axzz"},
		`'\n\'x'`:                  {`\n'x`},
		`ab"cd" e`:                 {"abcd", "e"},
	} {
		if got, err := splitQuoted(line); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", line, got, err, want)
		}
	}
	for _, line := range []string{`"`, `'`, `"a"b`, `'a'b`, `"\`, `a"b`, `"\"`} {
		if got, err := splitQuoted(line); err == nil {
			t.Errorf("%s: got %q, want an error", line, got)
		}
	}
}

// TestQuoteRoundTrip checks that unquoting a quoted string returns the string.
func TestQuoteRoundTrip(t *testing.T) {
	var all []byte
	for i := range 256 {
		all = append(all, byte(i))
	}
	quoted := appendQuoted(nil, string(all))
	if words, err := splitQuoted(string(quoted)); err != nil || len(words) != 1 || words[0] != string(all) {
		t.Errorf("%s: got %q, %v", quoted, words, err)
	}
}

// TestEventClass checks parsing and formatting of notify-keyspace-events.
func TestEventClass(t *testing.T) {
	for flags, want := range map[string]string{"": "", "KEA": "AKE", "Kg$": "g$K", "n": "n", "Am": "Am"} {
		class, err := parseEventClass(flags)
		if err != nil || class.String() != want {
			t.Errorf("%q: got %q, %v, want %q", flags, class, err, want)
		}
	}
}

// TestAnnouncedLength checks that an announced length alone does not allocate memory.
func TestAnnouncedLength(t *testing.T) {
	for _, input := range []string{"*2000000000\r\n$1\r\na\r\n", "*1\r\n$16000000\r\nabc"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := newRequestReader(strings.NewReader(input)).read()
		runtime.ReadMemStats(&after)
		if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%q: %v", input, err)
		}
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
			t.Errorf("%q: %d bytes allocated", input, grown)
		}
	}
}

// TestTooBigRequest checks that a request with many arguments is refused if their total size is too
// large.
func TestTooBigRequest(t *testing.T) {
	argument := endless("$4096\r\n" + strings.Repeat("x", 4096) + "\r\n")
	input := io.MultiReader(strings.NewReader("*2000000000\r\n"), argument)
	_, err := newRequestReader(input).read()
	if want := protocolError("too big request"); err != want {
		t.Errorf("got %v, want %v", err, want)
	}
}

// endless repeats itself forever.
type endless string

func (e endless) Read(p []byte) (int, error) {
	if len(p) < len(e) {
		return 0, io.ErrShortBuffer
	}
	return copy(p, e), nil
}

// FuzzServerInput sends arbitrary bytes to a server, and checks that it answers each command with
// one well-formed reply, or one per channel for subscriptions.
func FuzzServerInput(f *testing.F) {
	f.Add([]byte("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n"))
	f.Add([]byte("PING\r\nHSET h f v\r\nHGETALL h\r\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		db := NewDB(DBOptions{Notify: "AKE"})
		r := newRequestReader(strings.NewReader(string(input)))
		c := &client{id: 1, authenticated: true, channels: set{}, patterns: set{}, addr: "fuzz"}
		for !c.quit {
			argv, err := r.read()
			if err != nil {
				break
			}
			size := 0
			for _, arg := range argv {
				size += len(arg)
			}
			if size > len(input) {
				t.Fatalf("%d bytes of arguments from %d bytes", size, len(input))
			}
			if len(argv) == 0 {
				continue
			}
			wire := string(appendReply(nil, db.process(c, argv)))
			br := bufio.NewReader(strings.NewReader(wire))
			count := 0
			for ; len(wire) > 0; count++ {
				raw, err := readRaw(br)
				if err != nil {
					t.Fatalf("%q: reply %q: %v", argv, wire, err)
				}
				wire = wire[len(raw):]
			}
			if count == 0 || count > len(argv) {
				t.Fatalf("%q: %d replies", argv, count)
			}
		}
	})
}
