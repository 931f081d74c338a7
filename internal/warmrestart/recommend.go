package warmrestart

import (
	"fmt"
	"math"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// ReadSettings are the settings that recommendations compare with what happened.
// One that is zero is not known, and nothing is said of it.
type ReadSettings struct {
	EOIUTimeout  time.Duration // warm_restart.eoiu_timeout_secs
	KeepRestarts int           // warm_restart.history_max_restarts
	SaveInterval time.Duration // metrics.save_interval_secs
	Retention    time.Duration // metrics.retention_days
	MaxFileSize  int64         // metrics.max_file_size_mb, in bytes
	MaxStall     time.Duration // health.max_stall_seconds
	MaxFailures  float64       // health.max_failure_rate_percent, 0 to 1
}

// recommend returns what the figures ask for, each with the figure. What is not
// backed by data is not said.
func recommend(a *Analysis, h *History, s *ReadSettings) []Recommendation {
	r := recommendations{analysis: a, history: h, settings: s, all: []Recommendation{}}
	r.eoiuTimeout()
	r.maxStall()
	r.maxFailures()
	r.historySize()
	r.saveInterval()
	r.keepRestarts()
	r.restartStorm()
	r.damagedFiles()
	r.slowerSync()
	r.flapping()
	return r.all
}

type recommendations struct {
	analysis *Analysis
	history  *History
	settings *ReadSettings
	all      []Recommendation
}

func (r *recommendations) add(setting, text, why string, a ...any) {
	r.all = append(r.all, Recommendation{setting, text, fmt.Sprintf(why, a...)})
}

// eoiuTimeout compares with the time until the end of the first dump. Where that
// did not come in time nobody knows when it would have.
func (r *recommendations) eoiuTimeout() {
	const key = "warm_restart.eoiu_timeout_secs"
	limit, seen := r.settings.EOIUTimeout, r.analysis.EOIU
	if limit <= 0 {
		return
	}
	if late := r.analysis.Timeouts; late != nil && late.Count > 0 {
		text := "find out why the kernel's first dump took so long, or raise it"
		if seen == nil {
			r.add(key, text, "%d of %d starts waited in vain for %v", late.Count, late.Of, limit)
			return
		}
		r.add(key, text, "%d of %d starts waited in vain for %v; of the others p99 is %v and the maximum %v",
			late.Count, late.Of, limit, inSeconds(seen.P99), inSeconds(seen.Max))
		return
	}
	if seen == nil {
		return
	}
	if 2*seen.Max > limit.Seconds() {
		r.add(key, fmt.Sprintf("raise it to %d, twice the longest wait", wholeSeconds(2*seen.Max)),
			"the first dump took up to %v (p99 %v, %d starts), and is given %v", inSeconds(seen.Max), inSeconds(seen.P99), seen.N, limit)
	}
	if usual := 10 * time.Second; limit > usual && 10*seen.Max < usual.Seconds() && !seen.Few {
		r.add(key, fmt.Sprintf("lower it to %d: a dump that does not end is waited for in vain", wholeSeconds(usual.Seconds())),
			"of %d starts none took longer than %v (p99 %v), and each may take %v", seen.N, inSeconds(seen.Max), inSeconds(seen.P99), limit)
	}
}

// maxStall compares with the longest waits for the databases.
func (r *recommendations) maxStall() {
	limit := r.settings.MaxStall
	if limit <= 0 {
		return
	}
	longest, near := int64(0), 0
	for _, m := range r.history.moments {
		longest = max(longest, m.max)
		if m.max > int64(limit/2) {
			near++
		}
	}
	if near < 2 { // once is an accident
		return
	}
	r.add("health.max_stall_seconds", "find out why the databases answer so late, or raise it: beyond it the watchdog is not fed",
		"in %d of %d samples an event waited for more than half of %v, once for %v",
		near, len(r.history.moments), limit, time.Duration(longest).Round(time.Millisecond))
}

// maxFailures compares with the worst time between two samples, by what the rate
// was at least, as health does with a minute.
func (r *recommendations) maxFailures() {
	limit, f := r.settings.MaxFailures, &r.history.failures
	if limit <= 0 || f.worst == nil || f.worst.Low <= limit {
		return
	}
	r.add("health.max_failure_rate_percent", "find out why the databases failed, or raise it",
		"before %s, %d of %d exchanges failed, which is %.2g %% at least; in all it was %d of %d",
		f.worstAt.UTC().Format(time.DateTime), f.worst.Count, f.worst.Of, 100*f.worst.Low, f.failed, f.exchanges)
}

// mostHistory is how many bytes of history are much on the flash of a switch.
const mostHistory = 256 << 20

// historySize compares with how fast the history grows.
func (r *recommendations) historySize() {
	s, h := r.settings, r.history
	day := 24 * time.Hour
	if s.Retention <= 0 || len(h.Samples) == 0 {
		return
	}
	span := h.Samples[len(h.Samples)-1].Time.Sub(h.first)
	if span < day {
		return
	}
	perDay := float64(h.bytes) / (span.Hours() / 24)
	whole := perDay * (s.Retention.Hours() / 24)
	if whole > mostHistory {
		why := fmt.Sprintf("the history grows by %.1f MiB each day, %.0f MiB in the %.0f days it is kept for", mebibytes(perDay), mebibytes(whole), s.Retention.Hours()/24)
		days := int(mostHistory / perDay)
		switch {
		case s.SaveInterval > 0 && s.SaveInterval < time.Minute:
			r.add("metrics.save_interval_secs", "raise it to 60 or more", "%s, with a sample each %v", why, s.SaveInterval)
		case days >= 1:
			r.add("metrics.retention_days", fmt.Sprintf("lower it to %d, or see that there is room", days), "%s", why)
		}
	}
	if files := whole / float64(s.MaxFileSize); s.MaxFileSize > 0 && files > 100 {
		r.add("metrics.max_file_size_mb", fmt.Sprintf("raise it to %.0f", math.Ceil(mebibytes(whole)/100)),
			"%.0f MiB of history would be %.0f files of %.0f MiB", mebibytes(whole), files, mebibytes(float64(s.MaxFileSize)))
	}
}

// saveInterval looks whether the quantiles of the samples are exact.
func (r *recommendations) saveInterval() {
	h, interval := r.history, r.settings.SaveInterval
	if interval <= time.Second || h.withEvents < stats.FewObservations || 10*h.inexact < h.withEvents {
		return
	}
	r.add("metrics.save_interval_secs", fmt.Sprintf("lower it, to %d for instance: the quantiles are of the newest events only", wholeSeconds(interval.Seconds()/2)),
		"%d of %d samples are of more events than are kept, at one sample each %v", h.inexact, h.withEvents, interval)
}

// keepRestarts looks whether records were dropped that are younger than the samples
// that are kept.
func (r *recommendations) keepRestarts() {
	h, keep := r.history, r.settings.KeepRestarts
	starts := h.Counters.starts()
	if keep <= 0 || h.stored < keep || starts <= uint64(h.stored) {
		return
	}
	back := r.analysis.At.Sub(h.oldest)
	if r.settings.Retention <= 0 || back >= r.settings.Retention || keep >= 10000 {
		return
	}
	r.add("warm_restart.history_max_restarts", "raise it, to have restarts on record for as long as samples",
		"of %d starts the newest %d are on record, which is %.1f days back; samples are kept for %.0f",
		starts, h.stored, back.Hours()/24, r.settings.Retention.Hours()/24)
}

func (r *recommendations) restartStorm() {
	var worst *Storm
	n := 0
	for i := range r.analysis.Storms {
		s := &r.analysis.Storms[i]
		if s.Kind == StormRestarts {
			n++
			if worst == nil || s.Count > worst.Count {
				worst = s
			}
		}
	}
	if n > 0 {
		r.add("", "look in the log for the crash or the kill before each start", "times with many starts: %d; the worst from %s on: %s",
			n, worst.From.UTC().Format(time.DateTime), worst.Text)
	}
}

func (r *recommendations) damagedFiles() {
	c := r.analysis.Corruption
	if c == nil {
		return
	}
	why := fmt.Sprintf("%d files were found damaged, %d of them with a good backup", c.Of, c.Count)
	if n := r.history.Counters.Losses; n > 0 {
		why += fmt.Sprintf("; %d times the newest counters, records or durations were lost with all their copies", n)
	}
	r.add("", "check the disk and what else writes to the storage path", "%s", why)
}

// slowerSync is for a trend that is certain and makes a difference: by a tenth of
// the median over the starts on record, at least.
func (r *recommendations) slowerSync() {
	t, s := r.analysis.SyncTrend, r.analysis.Sync
	if t == nil || t.Verdict != Rising || t.Low <= 0 || t.Slope*float64(t.N) < s.P50/10 {
		return
	}
	r.add("", "find out what makes the initial sync slower: ports, the kernel or the databases",
		"over %d starts it grew by %v each (95 %%: %v to %v; p = %.2g)", t.N, inSeconds(t.Slope), inSeconds(t.Low), inSeconds(t.High), t.P)
}

func (r *recommendations) flapping() {
	n := 0
	for _, f := range r.history.flapping {
		if f.PeakPenalty > stats.FlappingThreshold {
			n++
		}
	}
	if n > 0 {
		worst := &r.analysis.Flapping[0]
		r.add("", "check cable, optics and the peer of the ports that flap", "ports that were flapping: %d; the worst is %s, whose carrier went %d times, last at %s",
			n, worst.Port, worst.Downs, worst.Last.UTC().Format(time.DateTime))
	}
}

// inSeconds is a duration in words, of seconds.
func inSeconds(s float64) time.Duration {
	d := time.Duration(min(max(s, -1e9), 1e9) * 1e9)
	switch {
	case d.Abs() >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d.Abs() >= time.Millisecond:
		return d.Round(10 * time.Microsecond)
	}
	return d
}

// wholeSeconds rounds up to what a setting can be.
func wholeSeconds(s float64) int { return int(min(max(math.Ceil(s), 1), 3600)) }

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }
