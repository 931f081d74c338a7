package snapshot

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Failure describes a file that cannot be written.
type Failure struct {
	What string // the file in words, such as "the metrics"
	Path string // path of the file
	Err  error
}

// Cause returns the errno that err wraps, or ErrLocked if err wraps it, or nil if err wraps neither.
func Cause(err error) error {
	if errors.Is(err, ErrLocked) {
		return ErrLocked
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return nil
}

// DescribeFailures returns one sentence for each cause of the failures, in the order of the first
// failure with that cause. A full disk, for example, is one cause. If another process has the lock,
// that is the only sentence.
func DescribeFailures(all []Failure) []string {
	if i := slices.IndexFunc(all, func(f Failure) bool { return Cause(f.Err) == ErrLocked }); i >= 0 {
		return []string{"nothing is stored: " + all[i].Err.Error()}
	}
	var sentences []string
	for i := range all {
		cause := Cause(all[i].Err)
		same := func(f Failure) bool { return cause != nil && Cause(f.Err) == cause }
		if slices.ContainsFunc(all[:i], same) {
			continue
		}
		whats, dirs := []string{all[i].What}, []string{filepath.Dir(all[i].Path)}
		for _, f := range all[i+1:] {
			if !same(f) {
				continue
			}
			whats = append(whats, f.What)
			if dir := filepath.Dir(f.Path); !slices.Contains(dirs, dir) {
				dirs = append(dirs, dir)
			}
		}
		if len(whats) == 1 {
			sentences = append(sentences, "cannot write "+all[i].What+": "+all[i].Err.Error())
			continue
		}
		sentences = append(sentences, "cannot write "+enumerate(whats)+" in "+enumerate(dirs)+": "+cause.Error())
	}
	return sentences
}

// enumerate returns the words as "a", "a and b" or "a, b and c".
func enumerate(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " and " + words[last]
}
