package warmrestart

import (
	"fmt"
	"math"
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// ReadSettings holds the settings that recommendations compare with the history. Zero settings are
// ignored.
type ReadSettings struct {
	EOIUTimeout  time.Duration // warm_restart.eoiu_timeout_secs
	KeepRestarts int           // warm_restart.history_max_restarts
	SaveInterval time.Duration // metrics.save_interval_secs
	Retention    time.Duration // metrics.retention_days
	MaxFileSize  int64         // metrics.max_file_size_mb, in bytes
	MaxStall     time.Duration // health.max_stall_seconds
	MaxFailures  float64       // health.max_failure_rate_percent, 0 to 1
}

// recommend returns recommendations that are based on the analysis a and the history h.
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

// eoiuTimeout compares the timeout with the durations of the initial dumps. The duration is unknown
// for starts that timed out.
func (r *recommendations) eoiuTimeout() {
	const key = "warm_restart.eoiu_timeout_secs"
	limit, seen := r.settings.EOIUTimeout, r.analysis.EOIU
	if limit <= 0 {
		return
	}
	if late := r.analysis.Timeouts; late != nil && late.Count > 0 {
		text := "find out why the initial dump of the kernel takes so long, or raise it"
		if seen == nil {
			r.add(key, text, "%d of %d starts timed out after %v", late.Count, late.Of, limit)
			return
		}
		r.add(key, text, "%d of %d starts timed out after %v; for the others the p99 is %v and the maximum %v",
			late.Count, late.Of, limit, inSeconds(seen.P99), inSeconds(seen.Max))
		return
	}
	if seen == nil {
		return
	}
	if 2*seen.Max > limit.Seconds() {
		r.add(key, fmt.Sprintf("raise it to %d, twice the longest dump", wholeSeconds(2*seen.Max)),
			"the initial dump took up to %v (p99 %v, %d starts), and the timeout is %v", inSeconds(seen.Max), inSeconds(seen.P99), seen.N, limit)
	}
	if standard := 10 * time.Second; limit > standard && 10*seen.Max < standard.Seconds() && !seen.Few {
		r.add(key, fmt.Sprintf("lower it to %d, so that a start does not wait longer than needed if a dump never ends", wholeSeconds(standard.Seconds())),
			"the longest initial dump of %d starts took %v (p99 %v), and the timeout is %v", seen.N, inSeconds(seen.Max), inSeconds(seen.P99), limit)
	}
}

// maxStall compares the stall limit with the longest event latencies.
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
	if near < 2 { // a single occurrence may be a coincidence
		return
	}
	r.add("health.max_stall_seconds", "find out why the databases answer late, or raise it; after a longer stall the watchdog is not notified",
		"in %d of %d samples a write took more than half of %v; the longest took %v",
		near, len(r.history.moments), limit, time.Duration(longest).Round(time.Millisecond))
}

// maxFailures compares the failure rate limit with the highest failure rate between two samples.
// Like the health check, it uses the lower bound of the rate.
func (r *recommendations) maxFailures() {
	limit, f := r.settings.MaxFailures, &r.history.failures
	if limit <= 0 || f.worst == nil || f.worst.Low <= limit {
		return
	}
	r.add("health.max_failure_rate_percent", "find out why the databases failed, or raise it",
		"%d of %d Redis requests before %s failed, a rate of at least %.2g%%; in total %d of %d",
		f.worst.Count, f.worst.Of, f.worstAt.UTC().Format(time.DateTime), 100*f.worst.Low, f.failed, f.requests)
}

// largeHistory is the history size, in bytes, that is considered large for a switch's flash memory.
const largeHistory = 256 << 20

// historySize recommends other settings if the history would become too large or would be split
// into too many files.
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
	if whole > largeHistory {
		why := fmt.Sprintf("the history grows by %.1f MiB per day, %.0f MiB in %.0f days of retention", mebibytes(perDay), mebibytes(whole), s.Retention.Hours()/24)
		days := int(largeHistory / perDay)
		switch {
		case s.SaveInterval > 0 && s.SaveInterval < time.Minute:
			r.add("metrics.save_interval_secs", "raise it to 60 or more", "%s, with a sample every %v", why, s.SaveInterval)
		case days >= 1:
			r.add("metrics.retention_days", fmt.Sprintf("lower it to %d, or make sure that there is room", days), "%s", why)
		}
	}
	if files := whole / float64(s.MaxFileSize); s.MaxFileSize > 0 && files > 100 {
		r.add("metrics.max_file_size_mb", fmt.Sprintf("raise it to %.0f", math.Ceil(mebibytes(whole)/100)),
			"%.0f MiB of history are %.0f files of %.0f MiB", mebibytes(whole), files, mebibytes(float64(s.MaxFileSize)))
	}
}

// saveInterval recommends a shorter save interval if the quantiles of samples were not computed
// from all writes.
func (r *recommendations) saveInterval() {
	h, interval := r.history, r.settings.SaveInterval
	if interval <= time.Second || h.withEvents < stats.FewObservations || 10*h.inexact < h.withEvents {
		return
	}
	r.add("metrics.save_interval_secs", fmt.Sprintf("lower it, for example to %d; quantiles include only the newest writes of an interval", wholeSeconds(interval.Seconds()/2)),
		"%d of %d samples have more writes than their quantiles include, with a sample every %v", h.inexact, h.withEvents, interval)
}

// keepRestarts recommends a higher limit on restart records if records were removed that are newer
// than the oldest sample.
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
	r.add("warm_restart.history_max_restarts", "raise it, to keep restart records as long as samples",
		"the newest %d of %d starts are recorded, which are %.1f days; samples are kept for %.0f",
		h.stored, starts, back.Hours()/24, r.settings.Retention.Hours()/24)
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
		r.add("", "check the log for the crash or kill before each start", "restart storms: %d; the worst began at %s: %s",
			n, worst.From.UTC().Format(time.DateTime), worst.Text)
	}
}

func (r *recommendations) damagedFiles() {
	c := r.analysis.Corruption
	if c == nil {
		return
	}
	why := fmt.Sprintf("corrupt files: %d, of which %d had an intact backup", c.Of, c.Count)
	if n := r.history.Counters.Losses; n > 0 {
		why += fmt.Sprintf("; starts that lost the newest counters, records or durations with all copies: %d", n)
	}
	r.add("", "check the disk, and whether another program writes to the storage path", "%s", why)
}

// slowerSync reports a significant rising trend that adds at least a tenth of the median over the
// recorded starts.
func (r *recommendations) slowerSync() {
	t, s := r.analysis.SyncTrend, r.analysis.Sync
	if t == nil || t.Verdict != Rising || t.Low <= 0 || t.Slope*float64(t.N) < s.P50/10 {
		return
	}
	r.add("", "find out why the initial sync gets slower: ports, kernel or databases",
		"over %d starts its duration grew by %v per start (95%%: %v to %v; p = %.2g)", t.N, inSeconds(t.Slope), inSeconds(t.Low), inSeconds(t.High), t.P)
}

func (r *recommendations) flapping() {
	n := 0
	for _, f := range r.history.linkDowns {
		if f.Flapping() {
			n++
		}
	}
	if n > 0 {
		worst := &r.analysis.LinkDowns[0]
		r.add("", "check cables, optics and peers of the flapping ports", "flapping ports: %d; the worst is %s with %d link-down transitions, the last at %s",
			n, worst.Port, worst.Downs, worst.Last.UTC().Format(time.DateTime))
	}
}

// inSeconds converts s seconds to a duration, rounded for display.
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

// wholeSeconds rounds s up to a valid setting in seconds, between 1 and 3600.
func wholeSeconds(s float64) int { return int(min(max(math.Ceil(s), 1), 3600)) }

func mebibytes(bytes float64) float64 { return bytes / (1 << 20) }
