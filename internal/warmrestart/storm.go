package warmrestart

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Values of Storm.Kind.
const (
	StormRestarts = "restarts"
	StormEvents   = "events"
)

// When portsyncd exits, the swss container stops. SONiC starts the swss service at most
// startsAllowed times within startsWithin and then stops restarting it (sonic-buildimage,
// files/build_templates/per_namespace/swss.service.j2, StartLimitBurst= and StartLimitIntervalSec=,
// systemd.unit(5)). With portsyncd.service, RestartSec= keeps the daemon below systemd's default
// limit of 5 starts in 10 s.
const (
	startsAllowed = 3
	startsWithin  = 20 * time.Minute
)

// RestartStorm reports whether so many crashes occurred before now that SONiC may refuse the next
// start. It does not count the first recorded start, starts after SIGTERM or a reboot, warm
// restarts requested by SONiC, or starts recorded with a time after now because the clock was later
// set back. systemd counts in fixed windows; the sliding window used here detects a storm at least
// as early. RestartStorm is fast enough to be called for every status request.
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

// restartStorm returns the storm that consists of starts, which must be in ascending order.
func restartStorm(starts []time.Time) Storm {
	first, last := starts[0], starts[len(starts)-1]
	return Storm{
		Kind: StormRestarts, From: first, To: last, Count: uint64(len(starts)), Limit: startsAllowed,
		Text: fmt.Sprintf("%d starts in %v, each after a crash or a kill; after %d in %.0f minutes SONiC leaves the service down",
			len(starts), last.Sub(first).Round(time.Second), startsAllowed, startsWithin.Minutes()),
	}
}

// began returns the time at which the process started. If that time is unknown, it returns the time
// at which the initial dump was requested.
func (r *Restart) began() time.Time {
	if r.Process.IsZero() {
		return r.At
	}
	return r.Process
}

// restartStorms returns the restart storms, oldest first. A restart storm is a sequence of starts
// after crashes in which each start is one of at least startsAllowed such starts within
// startsWithin.
func restartStorms(restarts []Restart) (storms []Storm) {
	var starts []time.Time
	for i := range restarts {
		if restarts[i].crashed() {
			starts = append(starts, restarts[i].began())
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	from, to := 0, 0 // indexes of the current storm
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

// burstRate is the number of link messages per second, averaged over the time between two samples, above
// which the period is a burst. An idle switch gets a few messages per hour, and moving cables briefly
// causes a few per second.
const burstRate = 10

// bursts returns the bursts, oldest first: periods between samples of the same process with more than
// burstRate link messages per second. Messages before a process's first sample are ignored because
// they include the initial dump.
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
		s.Text = fmt.Sprintf("%d link messages in %v, %.0f per second", s.Count, took.Round(time.Second), float64(s.Count)/took.Seconds())
	}
	return storms
}

// allStorms returns the newest MaxStorms restart storms and bursts of link messages, oldest first.
func allStorms(h *History) []Storm {
	storms := append([]Storm{}, restartStorms(h.Restarts)...)
	storms = append(storms, bursts(h.moments)...)
	slices.SortStableFunc(storms, func(a, b Storm) int { return a.From.Compare(b.From) })
	return storms[max(0, len(storms)-MaxStorms):]
}
