package warmrestart

import (
	"fmt"
	"slices"
	"time"
)

// StartLimit is what an init system allows a service before it leaves it down.
type StartLimit struct {
	Name   string        // of the unit it is set in
	Starts int           // 1 or more; one more within the interval is refused
	Within time.Duration // above 0
}

// StartLimits are those that can take portsyncd down, by systemd.unit(5),
// StartLimitIntervalSec= and StartLimitBurst=: that of the service whose container
// an exit of portsyncd ends (sonic-buildimage,
// files/build_templates/per_namespace/swss.service.j2), and systemd's default,
// which portsyncd.service leaves as it is.
var StartLimits = []StartLimit{
	{Name: "swss.service", Starts: 3, Within: 20 * time.Minute},
	{Name: "portsyncd.service", Starts: 5, Within: 10 * time.Second},
}

// StormRestarts and StormEvents are the kinds of a Storm.
const (
	StormRestarts = "restarts"
	StormEvents   = "events"
)

// RestartStorm reports whether so many starts lie in the time before now that a
// start limit may refuse the next. Starts that a record gives a later time than
// now, by a clock that was set back, do not count. systemd counts in a window that
// it begins anew with the first start after the last one; a sliding window, as
// here, sees a storm at least as early. It is cheap enough to be called
// for each status.
func RestartStorm(restarts []Restart, now time.Time) (Storm, bool) {
	starts := make([]time.Time, 0, len(restarts))
	for i := range restarts {
		if at := restarts[i].began(); !at.After(now) {
			starts = append(starts, at)
		}
	}
	slices.SortFunc(starts, time.Time.Compare)
	for _, limit := range StartLimits {
		recent := starts
		for len(recent) > 0 && now.Sub(recent[0]) > limit.Within {
			recent = recent[1:]
		}
		if len(recent) >= limit.Starts {
			return limit.storm(recent), true
		}
	}
	return Storm{}, false
}

// storm describes starts, ascending, that are too many.
func (l StartLimit) storm(starts []time.Time) Storm {
	return Storm{
		Kind: StormRestarts, From: starts[0], To: starts[len(starts)-1],
		Count: uint64(len(starts)), Limit: uint64(l.Starts),
		Text: fmt.Sprintf("%d starts within %v of each other: after %d in %v systemd refuses to start %s again",
			len(starts), starts[len(starts)-1].Sub(starts[0]).Round(time.Second), l.Starts, l.Within, l.Name),
	}
}

// began is when the process of a restart began, as far as is known.
func (r *Restart) began() time.Time {
	if r.Process.IsZero() {
		return r.At
	}
	return r.Process
}
