package warmrestart

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"portsyncd/internal/snapshot"
)

// Bounds of what a History holds, however much there is on the disk.
const (
	// MaxSamples is how many whole samples are kept.
	MaxSamples = 2000
	// mostMoments is how many samples there are to calculate with: two and a half years
	// by five minutes, six months by the minute.
	mostMoments = 1 << 18
	// mostFlapping is how many ports flaps are added up for.
	mostFlapping = 4096
)

// Signs of life are taken for true if they are at most keepsFor old, the longest
// retention there is, and at most clockSlack ahead of the reader's clock.
const (
	keepsFor   = 3650 * 24 * time.Hour
	clockSlack = time.Minute
)

// History is what is stored of restarts and samples, for [Analyse]. ReadHistory
// makes it; nobody writes to it.
type History struct {
	Since    time.Time // what is older was left out; zero: nothing
	Restarts []Restart // oldest first
	// Samples are thinned evenly to MaxSamples, the newest one always among
	// them, oldest first. SampleCount is how many there are.
	Samples     []Sample
	SampleCount int
	Counters    Counters // over all time
	// Problems are what was wrong with the files and did not keep them from being
	// read.
	Problems []string

	lost       bool      // metrics.json had newer counters than those that were read
	stored     int       // restart records in the file, those before Since too
	oldest     time.Time // of them
	moments    []moment  // of the samples, by time
	first      time.Time // of all samples
	bytes      int64     // of their lines
	inexact    int       // samples whose quantiles are of a part of the events
	withEvents int       // samples that have quantiles
	failures   failures
	flapping   map[string]*Flapping // by the bytes of the port's name
}

// ReadHistory reads what a daemon with this storage path has written: metrics.json,
// or the backup that stands in for it, and history.jsonl with its earlier files.
// It changes nothing, and may be called while the daemon runs. Records and samples
// from before since are left out. The error is about the directory; files that are
// missing, damaged or not to be read leave gaps, of which Problems tell. now is the
// time by which a record can be from the future.
func ReadHistory(storagePath string, since, now time.Time) (*History, error) {
	if err := listable(storagePath); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	h := &History{Since: since}
	h.readMetrics(filepath.Join(storagePath, metricsFile), now)
	h.readSamples(filepath.Join(storagePath, historyFile), now)
	return h, nil
}

// listable returns nil for a directory whose names can be read.
func listable(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	if _, err = dir.Readdirnames(1); errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (h *History) problem(format string, a ...any) {
	h.Problems = append(h.Problems, fmt.Sprintf(format, a...))
}

// readMetrics takes counters and restart records.
func (h *History) readMetrics(path string, now time.Time) {
	var body metricsBody
	f := snapshot.File{Path: path, Schema: metricsSchema, Check: decodeInto(&body)}
	got, err := f.Peek()
	for _, p := range got.Problems {
		if !errors.Is(p.Err, fs.ErrNotExist) {
			h.problem("%q cannot be used: %v", p.Path, p.Err)
		}
	}
	if more := got.Tried - len(got.Problems); more > 0 {
		h.problem("%d more files beside %q cannot be used", more, path)
	}
	h.lost = err == nil && metricsLost(&got, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.problem("there is no %q, and so no record of restarts", path)
		return
	case err != nil:
		h.problem("no record of restarts can be read: %v", err)
		return
	case got.Recovered:
		h.problem("the backup %q of %v stands in for %q", got.Source, got.SavedAt.UTC().Format(time.RFC3339), path)
	}
	h.Counters = body.Counters
	h.takeRestarts(body.Restarts, now)
}

// takeCounters brings the counters up to those of the newest sample, as a start of the
// daemon does, whatever Since.
func (h *History) takeCounters(log *snapshot.Log) {
	line, _ := log.Last() // an error is the same as the one of the whole log
	newest, ok := lastSample(line)
	switch {
	case ok && h.Counters.raise(newest.Restarts):
		h.problem("metrics.json is behind the history: the counters are those of the sample of %s; records and durations of the newest starts are lost",
			newest.Time.UTC().Format(time.RFC3339))
	case h.lost:
		h.problem("metrics.json and its newest copies are damaged: what they had of the newest starts may be missing")
	}
}

// takeRestarts takes the records whose time can be true.
func (h *History) takeRestarts(all []Restart, now time.Time) {
	var odd oddTimes
	for _, r := range all {
		if !odd.accept(r.At, now) {
			continue
		}
		h.stored++
		if h.oldest.IsZero() || r.At.Before(h.oldest) {
			h.oldest = r.At
		}
		if !r.At.Before(h.Since) {
			h.Restarts = append(h.Restarts, r)
		}
	}
	odd.setResult(h, "restart records")
	if odd.back > 0 {
		slices.SortStableFunc(h.Restarts, func(a, b Restart) int { return a.At.Compare(b.At) })
	}
}

// oddTimes counts what clocks that jump leave behind.
type oddTimes struct {
	last           time.Time
	back           int // older than the one before
	future, before int // not taken
	farthest       time.Time
}

// accept reports whether a time can be true, and notes whether it is in order.
func (o *oddTimes) accept(at, now time.Time) bool {
	switch {
	case at.After(now.Add(clockSlack)):
		o.future++
		if at.After(o.farthest) {
			o.farthest = at
		}
		return false
	case at.Before(now.Add(-keepsFor)):
		o.before++
		return false
	case at.Before(o.last):
		o.back++
	}
	o.last = at
	return true
}

func (o *oddTimes) setResult(h *History, what string) {
	if o.future > 0 {
		h.problem("%s from the future: %d, up to %s, left out; the clock was ahead, or is behind",
			what, o.future, o.farthest.UTC().Format(time.RFC3339))
	}
	if o.before > 0 {
		h.problem("%s from before anything that is kept: %d, left out; the clock was wrong", what, o.before)
	}
	if o.back > 0 {
		h.problem("%s older than the one before: %d, put in order; the clock was set back", what, o.back)
	}
}
