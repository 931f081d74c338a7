package portsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostNames is how many ports one text names.
const mostNames = 8

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
