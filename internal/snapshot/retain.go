package snapshot

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Limits say how many files of one kind are kept. The oldest go first.
type Limits struct {
	Count int           // at most so many; 0 keeps none
	Age   time.Duration // none older than that, except the newest Spare; 0 means no limit
	Bytes int64         // none that brings the sum of sizes above that; 0 means no limit
	// Spare is how many of the newest files Age never removes, whatever the
	// clock says; at least 1.
	Spare int
}

// surplus picks the files to be removed from those of one kind; both are oldest
// first, so that a removal cut short leaves no gap.
func (l Limits) surplus(files []sibling, now time.Time) []sibling {
	var out []sibling
	ages := ages(files, now)
	count, bytes := 0, int64(0)
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].info.IsDir() {
			continue // none of ours, whatever its name
		}
		newest := count < max(l.Spare, 1)
		size := files[i].info.Size()
		switch {
		case count >= l.Count,
			l.Bytes > 0 && bytes+size > l.Bytes,
			l.Age > 0 && ages[i] > l.Age && !newest:
			out = append(out, files[i])
		default:
			count++
			bytes += size
		}
	}
	slices.Reverse(out)
	return out
}

// mostRemoved bounds how many paths prune returns.
const mostRemoved = 1024

// prune removes the surplus of each group of kinds beside path, and returns the paths of
// the first mostRemoved files. It goes on while there are more files than one scan looks
// at.
func prune(fsys FS, path string, now time.Time, keep Limits, groups ...[]kind) (removed []string, err error) {
	for {
		found, err := scan(fsys, path)
		if err != nil {
			return removed, err
		}
		var surplus []sibling
		for _, kinds := range groups {
			surplus = append(surplus, keep.surplus(found.of(kinds...), now)...)
		}
		gone, err := unlinkAll(fsys, surplus)
		removed = append(removed, gone[:min(len(gone), mostRemoved-len(removed))]...)
		if err != nil || len(gone) == 0 || !found.dropped {
			return removed, err
		}
	}
}

// ages says how old each file is, given all of one kind, oldest first. A file's
// own times may be wrong by years, as a switch without a battery-backed clock
// starts in 1970 or so, but the order is known. So a file counts as no older
// than the one before it; times to come count as unknown; and what is unknown
// throughout is 0.
func ages(files []sibling, now time.Time) []time.Duration {
	ages := make([]time.Duration, len(files))
	var last time.Time // the latest of all times so far that can be true
	unknown := 0       // how many files come before the first such time
	for i, f := range files {
		for _, t := range []time.Time{f.stamp, f.info.ModTime()} {
			if !t.After(now) && t.After(last) {
				last = t
			}
		}
		if last.IsZero() {
			unknown++
			continue
		}
		ages[i] = now.Sub(last)
	}
	if unknown < len(files) {
		for i := range unknown {
			ages[i] = ages[unknown] // it is at least as old
		}
	}
	return ages
}

// unlinkAll removes files and returns the paths of those that are gone. It goes
// on after an error.
func unlinkAll(fsys FS, files []sibling) (removed []string, err error) {
	for _, f := range files {
		switch uerr := fsys.Unlink(f.path); {
		case uerr == nil:
			removed = append(removed, f.path)
		case !errors.Is(uerr, fs.ErrNotExist):
			err = errors.Join(err, uerr)
		}
	}
	return removed, err
}
