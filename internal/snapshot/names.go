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

// kind is the purpose of a sibling file.
type kind uint8

const (
	backup    kind = iota // earlier contents of a File
	corrupt               // set aside by Load, see ErrCorrupt
	newer                 // set aside by Load, see ErrNewerSchema
	stale                 // set aside by SetAside
	temporary             // being written, or left behind by a crash
	rotated               // rotated part of a Log
)

// kindNames holds the part of the file name for each kind. Rotated files have none.
var kindNames = [...]string{"backup", "corrupt", "newer", "stale", "tmp"}

// maxSeq is the maximum sequence number in a name. Incrementing it does not overflow.
const maxSeq = 1 << 62

// stampFormat is the format of times in names: ISO 8601 basic format, in UTC.
const stampFormat = "20060102T150405Z"

// label is the information that a sibling's file name contains in addition to the base name: its
// kind, number and time.
type label struct {
	kind  kind
	seq   uint64    // sequence number among the names with this base; random for temporary files
	stamp time.Time // time of the rename; zero for backup and temporary
}

// name returns the file name for base.
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

// parseName is the inverse of label.name. It returns false for names that label.name cannot return.
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
	// Comparing with the formatted name detects any other deviation, such as a missing digit.
	return l, l.name(base) == name
}

// sibling is a file that this package created in the same directory as another file, for example a
// backup.
type sibling struct {
	label
	path string
	info fs.FileInfo
}

// siblings holds all siblings of one file, oldest first.
type siblings struct {
	path string
	all  []sibling
	next uint64 // sequence number for the next name

	dropped bool // set if all is incomplete
}

// maxSiblings is the maximum number of files of each kind that one scan returns. If there are more,
// which only an attacker or a bug can cause, the scan returns the files with the largest sequence
// numbers.
var maxSiblings = [...]int{backup: 1024, corrupt: 1024, newer: 1024, stale: 1024, temporary: 1024, rotated: 8192}

// scan finds the siblings of path. Its memory use is bounded by maxSiblings.
func scan(fsys FS, path string) (siblings, error) {
	found := siblings{path: path, next: 1}
	dir, base := filepath.Split(path)
	var counts [len(maxSiblings)]int
	err := fsys.List(filepath.Dir(path), func(name string) {
		l, ok := parseName(base, name)
		if !ok {
			return
		}
		if counts[l.kind] == 2*maxSiblings[l.kind] {
			found.dropOldest(l.kind)
			counts[l.kind] = maxSiblings[l.kind]
		}
		counts[l.kind]++
		found.all = append(found.all, sibling{label: l, path: dir + name})
	})
	for k, n := range counts {
		if n > maxSiblings[k] {
			found.dropOldest(kind(k))
		}
	}
	if err != nil {
		return found, err
	}
	kept := found.all[:0]
	for _, s := range found.all {
		if s.info, err = fsys.Lstat(s.path); errors.Is(err, fs.ErrNotExist) {
			continue // removed after it was listed
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

// dropOldest removes the oldest files of kind k from s until at most maxSiblings of them remain. If
// it removed any, it sets s.dropped.
func (s *siblings) dropOldest(k kind) {
	slices.SortFunc(s.all, func(a, b sibling) int { return cmp.Compare(b.seq, a.seq) })
	n := 0
	s.all = slices.DeleteFunc(s.all, func(f sibling) bool {
		if f.kind == k {
			n++
		}
		return f.kind == k && n > maxSiblings[k]
	})
	s.dropped = true
}

// of returns the siblings of the given kinds, oldest first.
func (s *siblings) of(kinds ...kind) []sibling {
	var some []sibling
	for _, one := range s.all {
		if slices.Contains(kinds, one.kind) {
			some = append(some, one)
		}
	}
	return some
}

// newName returns the path for a new sibling.
func (s *siblings) newName(k kind, now time.Time) string {
	dir, base := filepath.Split(s.path)
	l := label{kind: k, seq: s.next, stamp: now}
	s.next++
	return dir + l.name(base)
}

// removeTemporary removes temporary files of interrupted saves. It ignores errors, because the next
// save tries again.
func (s *siblings) removeTemporary(fsys FS) {
	for _, t := range s.of(temporary) {
		fsys.Unlink(t.path)
	}
}
