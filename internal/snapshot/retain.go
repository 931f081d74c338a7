package snapshot

import (
	"errors"
	"io/fs"
	"slices"
	"time"
)

// Limits specifies how many files of one kind are kept, and for how long. The oldest files are
// removed first.
type Limits struct {
	Count int           // maximum number of files; 0 keeps none
	Age   time.Duration // maximum age of a file; 0 means no limit
	Bytes int64         // maximum total size; 0 means no limit
	// Spare is the number of newest files, at least 1, that are exempt from Age in case the clock
	// is wrong.
	Spare int
}

// surplus returns the files that must be removed. files are of one kind. files and the result are
// sorted oldest first, so that an interrupted removal leaves the newest files.
func (l Limits) surplus(files []sibling, now time.Time) []sibling {
	var out []sibling
	ages := ages(files, now)
	count, bytes := 0, int64(0)
	for i := len(files) - 1; i >= 0; i-- {
		if files[i].info.IsDir() {
			continue // not created by this package
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

// maxRemoved is the maximum number of paths that prune returns.
const maxRemoved = 1024

// prune removes the surplus files of each group of kinds and returns the paths of the first
// maxRemoved files. It repeats the scan as long as the scan is incomplete.
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
		removed = append(removed, gone[:min(len(gone), maxRemoved-len(removed))]...)
		if err != nil || len(gone) == 0 || !found.dropped {
			return removed, err
		}
	}
}

// ages returns the ages of files, which must be of one kind and sorted oldest first. File times may
// be wrong by years, because a switch without a battery-backed clock boots in 1970, but the order
// of the files is known. Therefore a file is at most as old as the previous one, times in the
// future are ignored, and an unknown age is 0.
func ages(files []sibling, now time.Time) []time.Duration {
	ages := make([]time.Duration, len(files))
	var last time.Time // latest plausible time so far
	unknown := 0       // number of files before the first plausible time
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
			ages[i] = ages[unknown] // these files are at least as old
		}
	}
	return ages
}

// unlinkAll removes files and returns the paths of the files that were removed. It continues after
// an error.
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
