package warmrestart

import (
	"cmp"
	"math"
	"slices"
	"time"

	"portsyncd/internal/snapshot"
	"portsyncd/internal/warmrestart/stats"
)

// moment holds the figures derived from one sample.
type moment struct {
	at     int64  // nanoseconds since 1970
	since  int64  // time of the previous sample of the process; at if there is none
	events uint64 // between since and at
	p99    int64  // latency in nanoseconds; -1 if there were no events
	max    int64  // likewise
}

// samplesReader adds the samples in a log to a History.
type samplesReader struct {
	h   *History
	now time.Time

	odd     oddTimes
	foreign int
	most    int // maximum number of moments, even
	dropped int // moments removed because there were more
	stride  int // every stride-th sample is kept
	last    *Sample
}

// readSamples reads the history in the order in which it was written, so that differences between
// samples are correct even if the clock was changed.
func (h *History) readSamples(path string, now time.Time) {
	r := samplesReader{h: h, now: now, most: maxMoments, stride: 1}
	log := snapshot.Log{Path: path}
	stats, err := log.ReadRaw(h.Since, func(line []byte) (bool, error) {
		s, ok := decodeSample(line)
		switch {
		case ok && s == nil:
			r.foreign++
		case ok && !s.Time.Before(h.Since) && r.odd.accept(s.Time, r.now):
			h.bytes += int64(len(line)) + 1
			r.add(s)
		}
		return ok, nil
	})
	if err != nil {
		h.problem("%v", err)
	}
	h.takeCounters(&log)
	if stats.Bad > 0 {
		h.problem("skipped %d corrupt lines of the history, the first at %s", stats.Bad, stats.FirstBad)
	}
	if r.foreign > 0 {
		h.problem("skipped %d lines of the history that are not samples", r.foreign)
	}
	if stats.Torn {
		h.problem("skipped an incomplete line at the end of a history file")
	}
	r.finish()
}

// add adds the next sample in the file.
func (r *samplesReader) add(s *Sample) {
	h := r.h
	if h.first.IsZero() || s.Time.Before(h.first) {
		h.first = s.Time
	}
	if half := r.most / 2; len(h.moments) == 2*half {
		h.moments = append(h.moments[:0], h.moments[half:]...)
		r.dropped += half
	}
	h.moments = append(h.moments, h.momentOf(s, r.last))
	h.failures.add(s, r.last)
	h.takeFlaps(s)
	r.keep(s)
	h.SampleCount++
	r.last = s
}

// keep stores every stride-th sample. If there are too many samples, it drops every other one and
// doubles the stride.
func (r *samplesReader) keep(s *Sample) {
	h := r.h
	if h.SampleCount%r.stride != 0 {
		return
	}
	if len(h.Samples) == MaxSamples-1 { // leave room for the newest
		for i := range h.Samples[:MaxSamples/2] {
			h.Samples[i] = h.Samples[2*i]
		}
		h.Samples = h.Samples[:MaxSamples/2]
		r.stride *= 2
		if h.SampleCount%r.stride != 0 {
			return
		}
	}
	h.Samples = append(h.Samples, *s)
}

func (r *samplesReader) finish() {
	h := r.h
	if h.SampleCount == 0 {
		return
	}
	if (h.SampleCount-1)%r.stride != 0 {
		h.Samples = append(h.Samples, *r.last)
	}
	r.odd.report(h, "samples")
	if r.dropped > 0 {
		h.problem("the oldest %d of %d samples are not included in trends, anomalies and bursts", r.dropped, h.SampleCount)
	}
	if r.odd.back > 0 {
		slices.SortStableFunc(h.Samples, func(a, b Sample) int { return a.Time.Compare(b.Time) })
		slices.SortStableFunc(h.moments, func(a, b moment) int { return cmp.Compare(a.at, b.at) })
	}
}

// momentOf returns the plotted values of sample s. before is the sample that precedes s, or nil if
// there is none.
func (h *History) momentOf(s, before *Sample) moment {
	at := s.Time.UnixNano()
	m := moment{at: at, since: at, p99: -1, max: -1}
	if s.follows(before) && before.Events <= s.Events && before.Time.Before(s.Time) {
		m.since, m.events = before.Time.UnixNano(), s.Events-before.Events
	}
	if l := s.Latency; l != nil && l.P99 >= 0 && l.Max >= 0 {
		m.p99, m.max = l.P99, l.Max
		h.withEvents++
		if l.Kept >= 0 && uint64(l.Kept) < l.Count {
			h.inexact++
		}
	}
	return m
}

// follows reports whether s and before were written by the same process.
func (s *Sample) follows(before *Sample) bool {
	return before != nil && before.Process.Equal(s.Process)
}

// failures counts the Redis requests and the failed ones among them.
type failures struct {
	failed, requests uint64
	worst            *stats.Rate // rate between two samples with the highest lower bound; nil if none failed
	worstAt          time.Time   // time of the later of these samples
}

// add adds the Redis requests between two samples of the same process.
func (f *failures) add(s, before *Sample) {
	if !s.follows(before) || s.Exchanges <= before.Exchanges || s.Failed < before.Failed {
		return
	}
	failed, requests := s.Failed-before.Failed, s.Exchanges-before.Exchanges
	f.failed += min(failed, math.MaxUint64-f.failed)
	f.requests += min(requests, math.MaxUint64-f.requests)
	if failed == 0 {
		return
	}
	if r := stats.RateOf(failed, requests); f.worst == nil || r.Low > f.worst.Low {
		f.worst, f.worstAt = r, s.Time
	}
}

// takeFlaps adds the link-down transitions in sample s to the total of each port.
func (h *History) takeFlaps(s *Sample) {
	for _, f := range s.Flaps {
		name, err := RestoreName(f.Port, f.PortHex)
		if err != nil {
			name = f.Port
		}
		sum := h.linkDowns[name]
		if sum == nil {
			if len(h.linkDowns) == maxDownPorts {
				continue
			}
			if h.linkDowns == nil {
				h.linkDowns = make(map[string]*PortDowns)
			}
			sum = &PortDowns{Port: name, PortHex: HexUnlessUTF8(name)}
			h.linkDowns[name] = sum
		}
		sum.Downs += min(f.Downs, math.MaxUint64-sum.Downs)
		if f.Penalty > sum.PeakPenalty || sum.PeakAt.IsZero() {
			sum.PeakPenalty, sum.PeakAt = f.Penalty, s.Time
		}
		if s.Time.After(sum.Last) {
			sum.Last = s.Time
		}
	}
}
