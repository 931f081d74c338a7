package portsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostNames is the largest number of ports that one text lists.
const mostNames = 8

// without returns the elements of a that are not in b, in natural order. a and b must be sorted.
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

// nameList returns the first mostNames names and the number of the others. It escapes the names:
// those from CONFIG_DB can contain any byte.
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

// printable returns at most the given number of bytes of s, with escapes for characters that
// cannot be printed.
func printable(s string, most int) string {
	cut := len(s) > most
	if cut {
		whole := most // end of the last whole character, if s is UTF-8
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
