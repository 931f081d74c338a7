package portsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"portsyncd/internal/syslog"
)

// mostNames is how many ports one text names.
const mostNames = 8

// configure takes the names of all PORT rows that CONFIG_DB has, sorted, and of
// those among them that were deleted and added again.
func (l *Loop) configure(names, replaced []string) {
	was := l.configured
	l.configured = names
	l.state.Configure(names)
	if !l.started {
		return
	}
	added, removed := without(names, was), without(was, names)
	l.expect(added)
	l.expect(replaced)
	if len(added)+len(removed) > 0 {
		l.Log.Log(l.ctx, syslog.LevelNotice, "ports of CONFIG_DB changed", "configured", len(names),
			"added", nameList(added), "removed", nameList(removed))
	}
}

// expect gives the interfaces of rows that are new in CONFIG_DB as long to come as
// PortInitDone has before it is late: orchagent makes them, or makes them anew.
func (l *Loop) expect(names []string) {
	now := max(l.clock.now(), 1)
	for _, name := range names {
		p := l.state.port([]byte(name))
		p.expectedBy = now + int64(l.LateAfter)
		if !p.InitPending {
			p.pendingSince = now
		}
		l.state.touch(p)
	}
}

// without returns the elements of a that b lacks, in natural order. Both are sorted.
func without(a, b []string) []string {
	var out []string
	for _, name := range a {
		if _, found := slices.BinarySearch(b, name); !found {
			out = append(out, name)
		}
	}
	slices.SortFunc(out, compareNames)
	return out
}

// nameList lists the first mostNames names, and says how many more there are. Names
// come from CONFIG_DB and can hold anything.
func nameList(names []string) string {
	var b strings.Builder
	for i, name := range names[:min(len(names), mostNames)] {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(printable(name, mostOfName))
	}
	if more := len(names) - mostNames; more > 0 {
		fmt.Fprintf(&b, " and %d more", more)
	}
	return b.String()
}

// mostOfName is longer than the name of any interface (IFNAMSIZ).
const mostOfName = 32

// printable returns s for a line of text: at most that many bytes of it, with
// escapes for what does not print.
func printable(s string, most int) string {
	cut := len(s) > most
	if cut {
		whole := most // characters, unless the text is not UTF-8
		for whole > most-utf8.UTFMax && whole > 0 && !utf8.RuneStart(s[whole]) {
			whole--
		}
		if utf8.RuneStart(s[whole]) {
			most = whole
		}
		s = s[:most]
	}
	quoted := strconv.Quote(s)
	s = strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`)
	if cut {
		s += "..."
	}
	return s
}
