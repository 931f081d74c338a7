package metrics

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestInfoColumn checks the series of an info family in text, JSON and Samples: before Set, after two
// calls of Set, and after its row was removed.
func TestInfoColumn(t *testing.T) {
	set := NewSet()
	g := set.NewGroup("port")
	column := g.NewInfo("port_info", "Port.", "alias", "speed")
	row := g.Add("Ethernet0")
	check := func(want string) {
		t.Helper()
		if got := string(set.AppendText(nil)); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
	const head = "# HELP port_info Port.\n# TYPE port_info gauge\n"
	check(head + `port_info{port="Ethernet0",alias="",speed=""} 1` + "\n")
	column.In(row).Set("etp1", "100000")
	check(head + `port_info{port="Ethernet0",alias="etp1",speed="100000"} 1` + "\n")
	column.In(row).Set("etp2", "")
	check(head + `port_info{port="Ethernet0",alias="etp2",speed=""} 1` + "\n")
	want := `"samples":[{"labels":{"port":"Ethernet0","alias":"etp2","speed":""},"value":1}]`
	if text := set.AppendJSON(nil); !json.Valid(text) || !strings.Contains(string(text), want) {
		t.Errorf("got JSON %s, want %s", text, want)
	}
	for s := range set.Samples() {
		if s.Value != 1 || len(s.Labels) != 3 || s.Labels[1] != (Label{"alias", "etp2"}) {
			t.Errorf("got sample %+v", s)
		}
	}
	row.Remove()
	check("")
}

// TestInfoHostileValues checks that values with quotes, line feeds, control characters and invalid
// UTF-8 stay within their label.
func TestInfoHostileValues(t *testing.T) {
	for value, want := range map[string]string{
		"a\"} 5\nx{b=\"": `a\"} 5\nx{b=\"`,
		"\x1b[2J\xff":    `\\x1b[2J\\xff`,
		`\n`:             `\\n`,
		"<b>\u202e":      `<b>\\u202e`,
	} {
		set := NewSet()
		g := set.NewGroup("port")
		g.NewInfo("port_info", "Port.", "alias").In(g.Add("Ethernet0")).Set(value)
		text := string(set.AppendText(nil))
		if line := `port_info{port="Ethernet0",alias="` + want + "\"} 1\n"; !strings.HasSuffix(text, "\n"+line) || strings.Count(text, "\n") != 3 {
			t.Errorf("%q: got %s, want %s", value, text, line)
		}
		if text := set.AppendJSON(nil); !json.Valid(text) {
			t.Errorf("%q: invalid JSON %s", value, text)
		}
	}
}

// TestInfoScrapeAllocations checks that a scrape of an info family allocates nothing.
func TestInfoScrapeAllocations(t *testing.T) {
	set := NewSet()
	g := set.NewGroup("port")
	column := g.NewInfo("port_info", "Port.", "alias")
	for _, name := range []string{"Ethernet0", "Ethernet4"} {
		column.In(g.Add(name)).Set("etp1")
	}
	b := set.AppendJSON(set.AppendText(nil))
	if n := testing.AllocsPerRun(100, func() { b = set.AppendJSON(set.AppendText(b[:0])) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
