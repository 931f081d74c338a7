package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what a file beside ours is to us.
type kind uint8

const (
	backup    kind = iota // an earlier content of a File
	corrupt               // set aside, see Load
	newer                 // set aside, see ErrNewerSchema
	stale                 // set aside, see SetAside
	temporary             // being written, or left by a crash
	rotated               // an earlier part of a Log
)

// kindNames are the words in the names; a rotated file has none.
var kindNames = [...]string{"backup", "corrupt", "newer", "stale", "tmp"}

// maxSeq leaves numbers room to grow.
const maxSeq = 1 << 62

// stampFormat is the time in a name, in UTC: ISO 8601's basic format.
const stampFormat = "20060102T150405Z"

// label is what a name says beside the base.
type label struct {
	kind  kind
	seq   uint64    // the order among all names with this base; for temporary any number
	stamp time.Time // when it got the name; zero for backup and temporary
}

// name is the name of the file that stands beside base.
func (l label) name(base string) string {
	switch l.kind {
	case backup:
		return fmt.Sprintf("%s.%s-%06d", base, kindNames[l.kind], l.seq)
	case temporary:
		return fmt.Sprintf("%s.%s-%016x", base, kindNames[l.kind], l.seq)
	case rotated:
		ext := filepath.Ext(base)
		return fmt.Sprintf("%s-%06d-%s%s", strings.TrimSuffix(base, ext), l.seq, l.stamp.UTC().Format(stampFormat), ext)
	default:
		return fmt.Sprintf("%s.%s-%06d-%s", base, kindNames[l.kind], l.seq, l.stamp.UTC().Format(stampFormat))
	}
}

// parseName is the reverse of label.name. What that would not write is foreign.
func parseName(base, name string) (label, bool) {
	l, rest := label{}, ""
	if after, ok := strings.CutPrefix(name, base+"."); ok {
		word, number, _ := strings.Cut(after, "-")
		i := slices.Index(kindNames[:], word)
		if i < 0 {
			return label{}, false
		}
		l.kind, rest = kind(i), number
	} else {
		ext := filepath.Ext(base)
		after, ok := strings.CutPrefix(strings.TrimSuffix(name, ext), strings.TrimSuffix(base, ext)+"-")
		if !ok {
			return label{}, false
		}
		l.kind, rest = rotated, after
	}
	number, stamp, _ := strings.Cut(rest, "-")
	radix := 10
	if l.kind == temporary {
		radix = 16
	}
	l.seq, _ = strconv.ParseUint(number, radix, 64)
	l.stamp, _ = time.Parse(stampFormat, stamp)
	if l.seq > maxSeq && l.kind != temporary {
		return label{}, false
	}
	// Whatever else is wrong with it, it is not what comes back.
	return l, l.name(base) == name
}

// sibling is a file of ours beside the one at some path.
type sibling struct {
	label
	path string
	info fs.FileInfo
}

// siblings are the files that belong to path, oldest first.
type siblings struct {
	path string
	all  []sibling
	next uint64 // a number larger than all in use

	dropped bool // there are more than all
}

// mostSiblings bounds how many files of a kind are looked at in one scan. Where there
// are more, as nobody but an attacker or a fault leaves them, those with the largest
// numbers are; the others follow once these are removed.
var mostSiblings = [...]int{backup: 1024, corrupt: 1024, newer: 1024, stale: 1024, temporary: 1024, rotated: 8192}

// scan looks for the siblings of path. It needs memory for mostSiblings, however full
// the directory is.
func scan(fsys FS, path string) (siblings, error) {
	found := siblings{path: path, next: 1}
	dir, base := filepath.Split(path)
	var counts [len(mostSiblings)]int
	err := fsys.List(filepath.Dir(path), func(name string) {
		l, ok := parseName(base, name)
		if !ok {
			return
		}
		if counts[l.kind] == 2*mostSiblings[l.kind] {
			found.dropOldest(l.kind)
			counts[l.kind] = mostSiblings[l.kind]
		}
		counts[l.kind]++
		found.all = append(found.all, sibling{label: l, path: dir + name})
	})
	for k, n := range counts {
		if n > mostSiblings[k] {
			found.dropOldest(kind(k))
		}
	}
	if err != nil {
		return found, err
	}
	kept := found.all[:0]
	for _, s := range found.all {
		if s.info, err = fsys.Lstat(s.path); errors.Is(err, fs.ErrNotExist) {
			continue // removed since it was listed
		} else if err != nil {
			return found, err
		}
		kept = append(kept, s)
		if s.kind != temporary {
			found.next = max(found.next, s.seq+1)
		}
	}
	found.all = kept
	slices.SortFunc(found.all, func(a, b sibling) int { return cmp.Compare(a.seq, b.seq) })
	return found, nil
}

// dropOldest leaves as many files of a kind as may be looked at, those with the largest
// numbers, and sets dropped.
func (s *siblings) dropOldest(k kind) {
	slices.SortFunc(s.all, func(a, b sibling) int { return cmp.Compare(b.seq, a.seq) })
	n := 0
	s.all = slices.DeleteFunc(s.all, func(f sibling) bool {
		if f.kind == k {
			n++
		}
		return f.kind == k && n > mostSiblings[k]
	})
	s.dropped = true
}

// of returns the siblings of some kinds, oldest first.
func (s *siblings) of(kinds ...kind) []sibling {
	var some []sibling
	for _, one := range s.all {
		if slices.Contains(kinds, one.kind) {
			some = append(some, one)
		}
	}
	return some
}

// newName is a name for a sibling that is to be made.
func (s *siblings) newName(k kind, now time.Time) string {
	dir, base := filepath.Split(s.path)
	l := label{kind: k, seq: s.next, stamp: now}
	s.next++
	return dir + l.name(base)
}

// removeTemporary removes what an interrupted save left. What cannot be removed
// is left to the next one.
func (s *siblings) removeTemporary(fsys FS) {
	for _, t := range s.of(temporary) {
		fsys.Unlink(t.path)
	}
}
