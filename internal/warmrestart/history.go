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

	"golang.org/x/sys/unix"

	"portsyncd/internal/snapshot"
)

// Limits of a History, regardless of the size of the files.
const (
	// MaxSamples is the maximum number of whole samples.
	MaxSamples = 2000
	// maxMoments is the maximum number of samples that figures are computed from: two and a
	// half years with one sample every five minutes.
	maxMoments = 1 << 18
	// maxDownPorts is the maximum number of ports whose flaps are counted.
	maxDownPorts = 4096
)

// A time is plausible if it is at most maxAge old, which is the longest retention, and at most
// clockTolerance in the future.
const (
	maxAge         = 3650 * 24 * time.Hour
	clockTolerance = time.Minute
)

// History holds the stored restarts and samples for [Analyze]. It must not be modified.
type History struct {
	Since    time.Time // older records were left out; zero if none were
	Restarts []Restart // oldest first
	// Samples are at most MaxSamples samples, oldest first: all, or evenly spaced ones and
	// the newest. SampleCount is the number of all.
	Samples     []Sample
	SampleCount int
	Counters    Counters // since the state was first recorded
	// Problems are sentences about corrupt or missing data.
	Problems []string

	lost       bool      // newer counters of metrics.json are lost
	stored     int       // restart records in the file, including those before Since
	oldest     time.Time // time of the oldest of these records
	moments    []moment  // figures of the samples, by time
	first      time.Time // time of the oldest sample
	bytes      int64     // total size of the lines of the samples
	inexact    int       // samples whose quantiles are computed from some of the events
	withEvents int       // samples with quantiles
	failures   failures
	linkDowns  map[string]*PortDowns // by the bytes of the port's name
}

// ReadHistory reads metrics.json, or its newest intact backup, and history.jsonl with its earlier
// files. It changes no file and may be called while the daemon is running. Records and samples
// before since or after now are skipped. It returns an error if the directory cannot be read.
// Missing, corrupt and unreadable files are reported in Problems.
func ReadHistory(storagePath string, since, now time.Time) (*History, error) {
	if err := listable(storagePath); err != nil {
		return nil, fmt.Errorf("read the history: %w", err)
	}
	h := &History{Since: since}
	h.readMetrics(filepath.Join(storagePath, metricsFile), now)
	h.readSamples(filepath.Join(storagePath, historyFile), now)
	return h, nil
}

// listable returns an error unless path is a directory that can be listed.
func listable(path string) error {
	dir, err := os.OpenFile(path, unix.O_DIRECTORY, 0) // opening a pipe would wait for a writer
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

// readMetrics reads counters and restart records.
func (h *History) readMetrics(path string, now time.Time) {
	var body metricsBody
	f := snapshot.File{Path: path, Schema: metricsSchema, Check: decodeInto(&body), Copies: metricsCopies, Older: olderMetrics}
	got, err := f.Peek()
	for _, p := range got.Problems {
		if !errors.Is(p.Err, fs.ErrNotExist) {
			h.problem("cannot use %q: %v", p.Path, p.Err)
		}
	}
	if more := got.Tried - len(got.Problems); more > 0 {
		h.problem("cannot use %d more copies or backups of %q", more, path)
	}
	h.lost = err == nil && metricsLost(&got, err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		h.problem("no restart records: %q does not exist", path)
		return
	case err != nil:
		h.problem("no restart records: %v", err)
		return
	case got.Recovered:
		h.problem("using the backup %q of %v instead of %q", got.Source, got.SavedAt.UTC().Format(time.RFC3339), path)
	}
	h.Counters = body.Counters
	h.takeRestarts(body.Restarts, now)
}

// takeCounters raises the counters to those of the newest sample, as a start of the daemon does.
func (h *History) takeCounters(log *snapshot.Log) {
	line, _ := log.Last() // readSamples reports an error of the same file
	newest, ok := lastSample(line)
	switch {
	case ok && h.Counters.raise(newest.Restarts):
		h.problem("metrics.json is older than the history: using the counters of the sample of %s; newer restart records and sync durations are lost",
			newest.Time.UTC().Format(time.RFC3339))
	case h.lost:
		h.problem("metrics.json and its newest copies cannot be used: data of the newest starts may be missing")
	}
}

// takeRestarts adds the restart records whose time is plausible to h.
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
	odd.report(h, "restart records")
	if odd.back > 0 {
		slices.SortStableFunc(h.Restarts, func(a, b Restart) int { return a.At.Compare(b.At) })
	}
}

// oddTimes counts times that are implausible because the system clock was wrong.
type oddTimes struct {
	last           time.Time
	back           int       // older than the previous one
	future, before int       // skipped
	farthest       time.Time // farthest in the future
}

// accept reports whether a time is plausible, and counts it if it is not or is out of order.
func (o *oddTimes) accept(at, now time.Time) bool {
	switch {
	case at.After(now.Add(clockTolerance)):
		o.future++
		if at.After(o.farthest) {
			o.farthest = at
		}
		return false
	case at.Before(now.Add(-maxAge)):
		o.before++
		return false
	case at.Before(o.last):
		o.back++
	}
	o.last = at
	return true
}

func (o *oddTimes) report(h *History, what string) {
	if o.future > 0 {
		h.problem("%s skipped because their time is in the future: %d, up to %s; the clock was or is wrong",
			what, o.future, o.farthest.UTC().Format(time.RFC3339))
	}
	if o.before > 0 {
		h.problem("%s skipped because they are older than the longest retention: %d; the clock was wrong", what, o.before)
	}
	if o.back > 0 {
		h.problem("%s out of order, sorted by time: %d; the clock was set back", what, o.back)
	}
}
