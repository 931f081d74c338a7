package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDescribeFailures checks that each cause is named once, with all its files.
func TestDescribeFailures(t *testing.T) {
	fail := func(what, path string, err error) Failure {
		return Failure{what, path, &fs.PathError{Op: "open", Path: path + ".tmp", Err: err}}
	}
	state := func(err error) Failure { return fail("the state file", "/a/state.json", err) }
	metrics := func(err error) Failure { return fail("the metrics", "/b/metrics.json", err) }
	events := func(err error) Failure { return fail("events", "/b/events.jsonl", err) }
	odd := Failure{"the history", "/b/history.jsonl", errors.New("odd")}
	for _, test := range []struct {
		name     string
		failures []Failure
		want     []string
	}{
		{"none", nil, nil},
		{"one file", []Failure{metrics(unix.ENOSPC)},
			[]string{"cannot write the metrics: open /b/metrics.json.tmp: no space left on device"}},
		{"all files in one directory", []Failure{metrics(unix.EROFS), events(unix.EROFS)},
			[]string{"cannot write the metrics and events in /b: read-only file system"}},
		{"all files in two directories", []Failure{state(unix.ENOSPC), metrics(unix.ENOSPC), events(unix.ENOSPC)},
			[]string{"cannot write the state file, the metrics and events in /a and /b: no space left on device"}},
		{"two causes", []Failure{state(unix.EROFS), metrics(unix.ENOSPC), events(unix.EROFS)},
			[]string{"cannot write the state file and events in /a and /b: read-only file system",
				"cannot write the metrics: open /b/metrics.json.tmp: no space left on device"}},
		{"unknown causes", []Failure{odd, odd}, []string{"cannot write the history: odd", "cannot write the history: odd"}},
		{"locked", []Failure{state(unix.EROFS), {"events", "/b/events.jsonl", fmt.Errorf("%w %q", ErrLocked, "/b")}},
			[]string{`nothing is stored: directory is locked by another process "/b"`}},
	} {
		if got := DescribeFailures(test.failures); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}
