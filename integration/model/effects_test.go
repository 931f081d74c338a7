package model

import (
	"maps"
	"regexp"
	"slices"

	"portsyncd/internal/switchtest"
)

// item is an entry in the stream of effects on one key.
type item struct {
	content string // contents of the row afterwards; "" if it is not a row
	op      string // of an effect that is not on a row, such as PSET+PUB, with its fields
	ours    bool   // the test's own write, not the daemon's

	// Of expected items only.
	transient bool // may be missing
	loose     bool // any effect may come before it
}

// same reports whether two items have the same kind and content.
func (i item) same(o item) bool { return i.content == o.content && i.op == o.op }

func (i item) String() string {
	s := i.content + i.op
	if i.transient {
		s = "(" + s + ")"
	}
	return s
}

func rowKey(database, key string) string { return database + " " + key }

// matches reports whether the observed items are those recorded. A transient item may be missing
// unless strict is set. An item that writes what the row has already may always be missing,
// because the daemon need not write it. The function follows all possible assignments at a time:
// at holds how many of the recorded items may have been observed.
func matches(want, got []item, strict bool) bool {
	skip := func(at map[int]bool, present string) map[int]bool {
		for i := range len(want) {
			w := want[i]
			if at[i] && (w.transient && !strict || w.content != "" && w.content == present) {
				at[i+1] = true
			}
		}
		return at
	}
	present := switchtest.NoRow
	at := skip(map[int]bool{0: true}, present)
	for _, g := range got {
		next := make(map[int]bool)
		for i := range at {
			if i == len(want) {
				continue
			}
			if want[i].same(g) {
				next[i+1] = true
			}
			if want[i].loose {
				next[i] = true
			}
		}
		if g.content != "" {
			present = g.content
		}
		at = skip(next, present)
	}
	return at[len(want)]
}

// streams holds the items of each key in order.
type streams map[string][]item

// keys returns the sorted keys of both, except those that a pattern matches.
func (s streams) keys(other streams, free []*regexp.Regexp) []string {
	all := make(map[string]bool)
	for _, m := range []streams{s, other} {
		for key := range m {
			all[key] = !matchesAny(free, key)
		}
	}
	maps.DeleteFunc(all, func(_ string, wanted bool) bool { return !wanted })
	return slices.Sorted(maps.Keys(all))
}

// matchesAny reports whether a pattern matches all of s.
func matchesAny(patterns []*regexp.Regexp, s string) bool {
	return slices.ContainsFunc(patterns, func(p *regexp.Regexp) bool {
		return p.FindString(s) == s
	})
}
