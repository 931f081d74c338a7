package warmrestart

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Kinds of a Storm.
const (
	StormRestarts = "restarts"
	StormEvents   = "events"
)

// SONiC starts the service whose container an exit of portsyncd ends startsAllowed
// times in startsWithin, and then leaves it down (sonic-buildimage,
// files/build_templates/per_namespace/swss.service.j2, StartLimitBurst= and
// StartLimitIntervalSec=, systemd.unit(5)). portsyncd.service keeps systemd's default,
// 5 times in 10 s, out of reach.
const (
	startsAllowed = 3
	startsWithin  = 20 * time.Minute
)

// RestartStorm reports whether so many starts that nobody asked for lie in the time before
// now that SONiC may refuse the next. A start after a stop by SIGTERM, after a new boot,
// or one that SONiC requested as warm does not count, nor does the first on record. Starts that a record gives a later time than now, by a
// clock that was set back, do not count. systemd counts in a window that it begins
// anew with the first start after the last one; a sliding window, as here, sees a
// storm at least as early. It is cheap enough to be called for each status.
func RestartStorm(restarts []Restart, now time.Time) (Storm, bool) {
	var recent []time.Time
	for i := range restarts {
		if at := restarts[i].began(); restarts[i].crashed() && !at.After(now) && now.Sub(at) <= startsWithin {
			recent = append(recent, at)
		}
	}
	if len(recent) < startsAllowed {
		return Storm{}, false
	}
	slices.SortFunc(recent, time.Time.Compare)
	return restartStorm(recent), true
}

// restartStorm describes starts, ascending, that are too many.
func restartStorm(starts []time.Time) Storm {
	first, last := starts[0], starts[len(starts)-1]
	return Storm{
		Kind: StormRestarts, From: first, To: last, Count: uint64(len(starts)), Limit: startsAllowed,
		Text: fmt.Sprintf("%d starts in %v, each after a crash or a kill: after %d in %.0f minutes SONiC leaves the service down",
			len(starts), last.Sub(first).Round(time.Second), startsAllowed, startsWithin.Minutes()),
	}
}

// began is when the process of a restart began, as far as is known.
func (r *Restart) began() time.Time {
	if r.Process.IsZero() {
		return r.At
	}
	return r.Process
}

// restartStorms returns the times, oldest first, in which each start that nobody asked
// for belongs to startsAllowed of them within startsWithin of each other.
func restartStorms(restarts []Restart) (storms []Storm) {
	var starts []time.Time
	for i := range restarts {
		if restarts[i].crashed() {
			starts = append(starts, restarts[i].began())
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	from, to := 0, 0 // starts that are part of a storm
	for i := startsAllowed - 1; i < len(starts); i++ {
		first := i - (startsAllowed - 1)
		if starts[i].Sub(starts[first]) > startsWithin {
			continue
		}
		if first >= to {
			if to > from {
				storms = append(storms, restartStorm(starts[from:to]))
			}
			from = first
		}
		to = i + 1
	}
	if to > from {
		storms = append(storms, restartStorm(starts[from:to]))
	}
	return storms
}

// burstRate is how many events in a second, over the whole time between two
// samples, are a burst. A switch at rest has some in an hour, and one in which cables
// are moved some in a second now and then.
const burstRate = 10

// bursts returns the times, oldest first, between samples of one process with more
// than burstRate events in a second. What a process has before its first sample is
// the dump of all links, and no burst.
func bursts(moments []moment) (storms []Storm) {
	for _, m := range moments {
		seconds := float64(m.at-m.since) / 1e9
		if m.since == m.at || float64(m.events) <= burstRate*seconds {
			continue
		}
		from, to := time.Unix(0, m.since).UTC(), time.Unix(0, m.at).UTC()
		if n := len(storms); n > 0 && !storms[n-1].To.Before(from) {
			last := &storms[n-1]
			last.To = to
			last.Count += min(m.events, math.MaxUint64-last.Count)
		} else {
			storms = append(storms, Storm{Kind: StormEvents, From: from, To: to, Count: m.events})
		}
	}
	for i := range storms {
		s := &storms[i]
		took := s.To.Sub(s.From)
		s.Limit = uint64(burstRate * took.Seconds())
		s.Text = fmt.Sprintf("%d events in %v, %.0f each second", s.Count, took.Round(time.Second), float64(s.Count)/took.Seconds())
	}
	return storms
}

// allStorms returns restart storms and bursts, the newest of them, oldest first.
func allStorms(h *History) []Storm {
	storms := append([]Storm{}, restartStorms(h.Restarts)...)
	storms = append(storms, bursts(h.moments)...)
	slices.SortStableFunc(storms, func(a, b Storm) int { return a.From.Compare(b.From) })
	return storms[max(0, len(storms)-MaxStorms):]
}
