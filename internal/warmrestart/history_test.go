package warmrestart

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/snapshot"
)

// storage is a storage path with files of a daemon.
type storage struct {
	t   testing.TB
	dir string
}

func newStorage(t testing.TB) storage { return storage{t, t.TempDir()} }

// restarts writes metrics.json with these records.
func (s storage) restarts(restarts ...Restart) storage {
	s.t.Helper()
	b := newMetricsBody()
	for _, r := range restarts {
		b.add(r)
	}
	f := snapshot.File{Path: filepath.Join(s.dir, metricsFile), Schema: metricsSchema, Keep: snapshot.Limits{Count: 3}}
	if err := f.Save(encode(&b)); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// text writes a file with this text.
func (s storage) text(name, text string) storage {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o640); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func (s storage) samples(samples ...Sample) storage {
	s.t.Helper()
	return s.text(historyFile, linesOf(samples))
}

func linesOf(samples []Sample) string {
	var b strings.Builder
	for i := range samples {
		b.Write(encode(samples[i]))
		b.WriteByte('\n')
	}
	return b.String()
}

// read reads the history at a time after noon.
func (s storage) read(since time.Time, after time.Duration) *History {
	s.t.Helper()
	h, err := ReadHistory(s.dir, since, noon.Add(after))
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// wantProblems checks that there is one problem with each of the texts, and no other.
func wantProblems(t *testing.T, h *History, words ...string) {
	t.Helper()
	if len(h.Problems) != len(words) {
		t.Errorf("problems %q, want %d", h.Problems, len(words))
		return
	}
	for i, w := range words {
		if !strings.Contains(h.Problems[i], w) {
			t.Errorf("problem %q, want one with %q", h.Problems[i], w)
		}
	}
}

// sampleAt returns a sample at a time after noon, of a process that started at noon.
func sampleAt(after time.Duration, events uint64) Sample {
	return Sample{Time: noon.Add(after), Process: noon, Health: "healthy", Score: 100, Events: events}
}

// TestReadHistory checks that ReadHistory returns what a Recorder wrote.
func TestReadHistory(t *testing.T) {
	c := config(t.TempDir())
	began := time.Now()
	p := start(t, c)
	p.RecordRestart(Restart{At: began, Kind: Cold, Duration: time.Second, EOIU: true, Process: began, Events: 7})
	p.stop()
	s := storage{t, c.StoragePath}
	full := fullSample()
	full.Time, full.Process = began, began
	s.samples(full)
	h, err := ReadHistory(c.StoragePath, time.Time{}, time.Now())
	must(t, err)
	wantProblems(t, h)
	if len(h.Restarts) != 1 || h.Restarts[0].Events != 7 || h.Counters.ColdStarts != 1 {
		t.Errorf("restarts %+v, counters %+v", h.Restarts, h.Counters)
	}
	if len(h.Samples) != 1 || h.SampleCount != 1 || !reflect.DeepEqual(encode(h.Samples[0]), encode(full)) {
		t.Errorf("samples %+v, want %+v", h.Samples, full)
	}
}

// TestReadHistoryGaps checks the problems reported for missing, corrupt and implausible data.
func TestReadHistoryGaps(t *testing.T) {
	good := startsAt(0)
	line := linesOf([]Sample{sampleAt(0, 1)})
	for _, c := range []struct {
		name     string
		s        storage
		restarts int
		samples  int
		problems []string
	}{
		{"empty", newStorage(t), 0, 0, []string{"no restart records"}},
		{"only samples", newStorage(t).text(historyFile, line), 0, 1, []string{"no restart records"}},
		{"only restarts", newStorage(t).restarts(good...), 1, 0, nil},
		{"corrupt", newStorage(t).text(metricsFile, "{"), 0, 0, []string{"cannot use", "no restart records: load"}},
		{"corrupt, with a backup", newStorage(t).restarts(good...).restarts(good...).text(metricsFile, "{"), 1, 0,
			[]string{"cannot use", "using the backup"}},
		{"torn", newStorage(t).restarts(good...).text(historyFile, line+line[:20]), 1, 1, []string{"incomplete line"}},
		{"foreign and bad lines", newStorage(t).restarts(good...).text(historyFile, "{\"a\":1}\n{}\n"+line+"\n{\"time\":1}\nx\n"), 1, 1,
			[]string{"skipped 3 corrupt lines of the history", "skipped 2 lines of the history that are not samples"}},
		{"zeros", newStorage(t).restarts(good...).text(historyFile, line+strings.Repeat("\x00", 100)+"\n"+line), 1, 2, []string{"skipped 1 corrupt lines of the history"}},
		{"rotated files", newStorage(t).restarts(good...).text("history-000001-20261005T110000Z.jsonl", line+line).text(historyFile, line), 1, 3, nil},
		{"no log at all", newStorage(t).restarts(good...).text(historyFile, strings.Repeat("x\n", 1<<20)), 1, 0,
			[]string{"are not JSON lines", "corrupt lines of the history"}},
		{"from another time", newStorage(t).restarts(startsAt(time.Hour, 2*time.Hour, -4000*24*time.Hour)...).
			samples(sampleAt(time.Hour, 1), sampleAt(-4000*24*time.Hour, 1), sampleAt(0, 1), sampleAt(9e6*time.Second, 1)), 0, 1,
			[]string{"restart records skipped because their time is in the future: 2, up to 2026-10-05T14:00:00Z", "restart records skipped because they are older",
				"samples skipped because their time is in the future: 2, up to 2027-01-17T16:00:00Z", "samples skipped because they are older than the longest retention: 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := contents(t, c.s.dir)
			h := c.s.read(time.Time{}, 0)
			wantProblems(t, h, c.problems...)
			if len(h.Restarts) != c.restarts || len(h.Samples) != c.samples || h.SampleCount != c.samples {
				t.Errorf("%d restarts, %d samples of %d, want %d and %d", len(h.Restarts), len(h.Samples), h.SampleCount, c.restarts, c.samples)
			}
			if after := contents(t, c.s.dir); !reflect.DeepEqual(before, after) {
				t.Errorf("the directory has changed from %q to %q", before, after)
			}
		})
	}
}

// contents returns the files of a directory with their text and time.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range files(t, dir, "") {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		must(t, err)
		info, err := os.Stat(path)
		must(t, err)
		all[name] = fmt.Sprint(info.ModTime(), info.Mode(), len(text), string(text[:min(len(text), 1000)]))
	}
	return all
}

// TestReadHistoryPaths checks the errors for paths that are not a storage directory.
func TestReadHistoryPaths(t *testing.T) {
	s := newStorage(t).text("file", "")
	for _, path := range []string{filepath.Join(s.dir, "none"), filepath.Join(s.dir, "file")} {
		if h, err := ReadHistory(path, time.Time{}, noon); h != nil || err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %+v, %v", path, h, err)
		}
	}
	// What cannot be opened as a file leaves a gap.
	must(t, os.Mkdir(filepath.Join(s.dir, historyFile), 0o750))
	must(t, os.Mkdir(filepath.Join(s.dir, metricsFile), 0o750))
	wantProblems(t, s.read(time.Time{}, 0), "not a regular file", "no restart records", "not a regular file")
}

// TestSince checks that older records are left out, except for the counters.
func TestSince(t *testing.T) {
	s := newStorage(t).restarts(startsAt(-2*time.Hour, -time.Hour, 0)...)
	s.samples(sampleAt(-2*time.Hour, 1), sampleAt(-time.Hour, 2), sampleAt(-time.Minute, 3), sampleAt(0, 4))
	h := s.read(noon.Add(-time.Hour), 0)
	if len(h.Restarts) != 2 || h.SampleCount != 3 || h.Counters.ColdStarts != 3 || h.stored != 3 || !h.oldest.Equal(noon.Add(-2*time.Hour)) {
		t.Errorf("%d restarts of %d since %v, %d samples, %+v", len(h.Restarts), h.stored, h.oldest, h.SampleCount, h.Counters)
	}
	wantProblems(t, h)
}

// TestClockSetBack checks that records are sorted after the clock was set back, and that events are
// not counted twice.
func TestClockSetBack(t *testing.T) {
	const m = time.Minute
	s := newStorage(t).restarts(startsAt(30*m, 10*m, 20*m)...)
	s.samples(sampleAt(30*m, 100), sampleAt(31*m, 110), sampleAt(10*m, 130), sampleAt(11*m, 160))
	h := s.read(time.Time{}, time.Hour)
	wantProblems(t, h, "restart records out of order, sorted by time: 1", "samples out of order, sorted by time: 1")
	var starts, samples []time.Duration
	var events []uint64
	for _, r := range h.Restarts {
		starts = append(starts, r.At.Sub(noon))
	}
	for i, x := range h.Samples {
		samples = append(samples, x.Time.Sub(noon))
		events = append(events, h.moments[i].events)
	}
	if !slices.Equal(starts, []time.Duration{10 * m, 20 * m, 30 * m}) || !slices.Equal(samples, []time.Duration{10 * m, 11 * m, 30 * m, 31 * m}) {
		t.Errorf("starts at %v, samples at %v", starts, samples)
	}
	if !slices.Equal(events, []uint64{0, 30, 0, 10}) {
		t.Errorf("events in between: %v", events)
	}
}

// TestMoments checks that differences are computed only between samples of one process with
// increasing counters and time.
func TestMoments(t *testing.T) {
	other := sampleAt(4*time.Minute, 1000)
	other.Process = noon.Add(3 * time.Minute)
	with := sampleAt(5*time.Minute, 1<<63+5)
	with.Process, with.Latency = other.Process, &Latency{Count: 10, Kept: 5, P99: 7, Max: 9}
	odd := sampleAt(6*time.Minute, 1<<63+4)
	odd.Process, odd.Latency = other.Process, &Latency{P99: -1, Max: 1}
	h := newStorage(t).samples(sampleAt(time.Minute, 5), sampleAt(2*time.Minute, 12), other, with, odd).read(time.Time{}, time.Hour)
	at := func(minutes int64) int64 { return noon.UnixNano() + minutes*int64(time.Minute) }
	want := []moment{
		{at(1), at(1), 0, -1, -1}, {at(2), at(1), 7, -1, -1}, {at(4), at(4), 0, -1, -1},
		{at(5), at(4), 1<<63 + 5 - 1000, 7, 9}, {at(6), at(6), 0, -1, -1},
	}
	if !slices.Equal(h.moments, want) || h.inexact != 1 || h.withEvents != 1 {
		t.Errorf("%+v, %d of %d inexact; want %+v", h.moments, h.inexact, h.withEvents, want)
	}
}

// TestThinning checks that at most MaxSamples evenly spaced samples are kept, including the newest.
func TestThinning(t *testing.T) {
	for _, n := range []int{1, 2, MaxSamples - 1, MaxSamples, MaxSamples + 1, 2*MaxSamples - 3, 2 * MaxSamples, 7777, 4*MaxSamples + 1} {
		h := &History{}
		r := samplesReader{h: h, most: maxMoments, stride: 1}
		for i := range n {
			s := sampleAt(time.Duration(i)*time.Second, uint64(i))
			r.add(&s)
		}
		r.finish()
		if h.SampleCount != n || len(h.moments) != n || len(h.Samples) > MaxSamples || n < MaxSamples && len(h.Samples) != n ||
			len(h.Samples) < min(n, MaxSamples/2) {
			t.Errorf("of %d samples %d are kept, %d counted", n, len(h.Samples), h.SampleCount)
		}
		if newest := h.Samples[len(h.Samples)-1]; newest.Events != uint64(n-1) {
			t.Errorf("of %d samples the newest kept is %d", n, newest.Events)
		}
		if kept := h.Samples; len(kept) > 1 && kept[len(kept)-2].Events >= uint64(n-1) {
			t.Errorf("of %d samples the newest is kept twice", n)
		}
		for i := range h.Samples[:len(h.Samples)-1] {
			if h.Samples[i].Events != uint64(i*r.stride) {
				t.Fatalf("of %d samples, kept each %d, the %d. is %d", n, r.stride, i, h.Samples[i].Events)
			}
		}
	}
}

// TestHistorySize checks that the size of the samples is that of their lines.
func TestHistorySize(t *testing.T) {
	samples := []Sample{sampleAt(0, 1), sampleAt(time.Minute, 2), sampleAt(2*time.Minute, 3)}
	h := newStorage(t).samples(samples...).read(time.Time{}, time.Hour)
	if want := int64(len(linesOf(samples))); h.bytes != want {
		t.Errorf("%d bytes, want %d", h.bytes, want)
	}
}

// TestMaxMoments checks that a very long history takes bounded memory and is reported.
func TestMaxMoments(t *testing.T) {
	h := &History{}
	r := samplesReader{h: h, most: 100, stride: 1}
	for i := range 201 {
		s := sampleAt(time.Duration(i)*time.Second, 0)
		r.add(&s)
	}
	r.finish()
	if len(h.moments) != 51 || h.SampleCount != 201 || h.moments[50].at != noon.Add(200*time.Second).UnixNano() {
		t.Errorf("%d moments of %d samples", len(h.moments), h.SampleCount)
	}
	wantProblems(t, h, "the oldest 150 of 201 samples")
}

// TestFlapsSummed checks the sums by port, that they do not wrap, and that only ports that flapped are
// listed as flapping.
func TestFlapsSummed(t *testing.T) {
	first, second := sampleAt(0, 0), sampleAt(time.Minute, 0)
	first.Flaps = []PortFlaps{{Port: "Ethernet0", Downs: 3, Penalty: 3000}, {Port: "Ethernet4", Downs: 1 << 63, Penalty: 1000}}
	second.Flaps = []PortFlaps{{Port: "Ethernet4", Downs: 1 << 63, Penalty: 900}, {Port: "Ethernet0", Downs: 1, Penalty: 2500}, {Port: "Ethernet8", Downs: 1, Penalty: 3000}}
	a := Analyze(newStorage(t).samples(first, second).read(time.Time{}, time.Hour), AnalysisOptions{})
	want := []PortDowns{
		{Port: "Ethernet0", Downs: 4, PeakPenalty: 3000, PeakAt: first.Time, Last: second.Time},
		{Port: "Ethernet8", Downs: 1, PeakPenalty: 3000, PeakAt: second.Time, Last: second.Time},
		{Port: "Ethernet4", Downs: 1<<64 - 1, PeakPenalty: 1000, PeakAt: first.Time, Last: second.Time},
	}
	if !slices.Equal(a.LinkDowns, want) {
		t.Errorf("%+v, want %+v", a.LinkDowns, want)
	}
	if !slices.Equal(a.Flapping, want[:2]) {
		t.Errorf("flapping: %+v, want only the ports whose penalty exceeded the threshold, %+v", a.Flapping, want[:2])
	}
}

// TestFlapsOfAnyName checks that ports whose names are not valid UTF-8 are kept apart.
func TestFlapsOfAnyName(t *testing.T) {
	s := sampleAt(0, 0)
	for i, name := range []string{"Ethernet\xff", "Ethernet\xfe", "Ethernet\ufffd"} {
		s.Flaps = append(s.Flaps, PortFlaps{Port: name, PortHex: HexUnlessUTF8(name), Downs: 1, Penalty: 1000 * float64(3-i)})
	}
	s.Flaps = append(s.Flaps, PortFlaps{Port: "Ethernet0", PortHex: "zz", Downs: 1})
	a := Analyze(newStorage(t).samples(s).read(time.Time{}, time.Hour), AnalysisOptions{})
	var got []string
	for _, f := range a.LinkDowns {
		got = append(got, f.Port+" "+f.PortHex)
	}
	want := []string{"Ethernet\xff 45746865726e6574ff", "Ethernet\xfe 45746865726e6574fe", "Ethernet\ufffd ", "Ethernet0 "}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestFailures checks that failed Redis requests are counted between samples of one process, and that
// the period with the highest lower bound is found.
func TestFailures(t *testing.T) {
	const m = time.Minute
	at := func(after time.Duration, process time.Time, failed, exchanges uint64) Sample {
		s := sampleAt(after, 0)
		s.Process, s.Failed, s.Exchanges = process, failed, exchanges
		return s
	}
	one, two := noon, noon.Add(5*m)
	h := newStorage(t).samples(
		at(1*m, one, 90, 100), // before the first sample of a process
		at(2*m, one, 91, 101), // one of one
		at(3*m, one, 100, 201),
		at(4*m, one, 100, 201),   // nothing
		at(6*m, two, 5, 10),      // likewise of another process
		at(7*m, two, 3, 20),      // less: no two of these are of one process
		at(8*m, two, 3, 1<<63),   // many
		at(9*m, two, 3, 1<<63-1), // less again
	).read(time.Time{}, time.Hour)
	f := h.failures
	if f.failed != 10 || f.requests != 101+(1<<63-20) {
		t.Errorf("%d of %d failed", f.failed, f.requests)
	}
	if f.worst == nil || f.worst.Count != 1 || f.worst.Of != 1 || !f.worstAt.Equal(noon.Add(2*m)) {
		t.Errorf("worst is %+v at %v", f.worst, f.worstAt)
	}
}

// FuzzReadHistory checks that reading any files ends, and that the result can be analyzed and
// encoded.
func FuzzReadHistory(f *testing.F) {
	b := newMetricsBody()
	b.add(Restart{At: noon, Kind: Warm, Duration: time.Second, EOIU: true})
	f.Add(encode(&b), []byte(linesOf([]Sample{fullSample(), sampleAt(time.Second, 0)})))
	f.Add([]byte(`{"restarts":[{"kind":"cold"}]}`), []byte("{\"time\":\"2026-10-05T12:00:00Z\",\"events\":-1}\n{}\nx"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, body, lines []byte) {
		h, now := &History{}, noon.Add(time.Hour)
		if b, err := decodeMetrics(body); err == nil {
			h.Counters = b.Counters
			h.takeRestarts(b.Restarts, now)
		}
		path := filepath.Join(dir, historyFile)
		must(t, os.WriteFile(path, lines, 0o640))
		h.readSamples(path, now)
		a := Analyze(h, AnalysisOptions{Now: noon, Settings: someSettings})
		for _, v := range []any{a, h.Restarts, h.Samples, h.Problems} {
			if _, err := json.Marshal(v); err != nil {
				t.Fatal(err)
			}
		}
		if a.Uptime.Down < 0 || a.Uptime.Observed < 0 || a.Uptime.Down > a.Uptime.Observed {
			t.Fatalf("%+v", a.Uptime)
		}
	})
}

// FuzzSampleLine checks that any line is either refused or decoded to a sample within the limits
// that survives another round through the file.
func FuzzSampleLine(f *testing.F) {
	f.Add(encode(fullSample()))
	f.Add(encode(Sample{Time: noon}))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, ok := decodeSample(line)
		if s == nil {
			return
		}
		if !ok || s.Time.IsZero() || !s.withinLimits() {
			t.Fatalf("%q: decoded %+v, %v", line, s, ok)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatalf("%q: decoded a sample that cannot be encoded: %v", line, err)
		}
		if again, ok := decodeSample(text); !ok || !bytes.Equal(encode(again), text) {
			t.Fatalf("%q: decoded %s, and from that %+v, %v", line, text, again, ok)
		}
	})
}
