package portsync

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mostNames is the maximum number of port names in one text.
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

// nameList returns up to mostNames names and the number of remaining ones. It escapes the names,
// because names from CONFIG_DB can contain any byte.
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

// mostOfName is the maximum length of a name in a text. It exceeds the length of any interface name
// (IFNAMSIZ).
const mostOfName = 32

// printable returns s truncated to the given number of bytes, with non-printable characters
// escaped.
func printable(s string, most int) string {
	cut := len(s) > most
	if cut {
		whole := most // end of the last complete character, if s is UTF-8
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
