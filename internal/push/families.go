package push

import (
	"time"

	"portsyncd/metrics"
)

// Families are the counters of pushing. What each is for is said in
// README_DEPLOYMENT.md.
type Families struct {
	requests *metrics.Counter
	failures *metrics.Vec[metrics.Counter]
	samples  *metrics.Counter
	dropped  *metrics.Vec[metrics.Counter]
	queued   *metrics.IntGauge
	success  *metrics.Gauge
}

// Indexes of the label values of dropped.
const (
	dropQueueFull = iota
	dropRefused
)

// NewFamilies adds the families to set, all at 0.
func NewFamilies(set *metrics.Set) *Families {
	return &Families{
		requests: set.NewCounter("portsyncd_push_requests_total",
			"Requests made to push metrics."),
		failures: set.NewCounterVec("portsyncd_push_failures_total",
			"Requests to push metrics that failed, by reason.", "reason",
			unreachable.String(), overloaded.String(), unauthorized.String(), refused.String()),
		samples: set.NewCounter("portsyncd_push_samples_total",
			"Samples that the receiver took."),
		dropped: set.NewCounterVec("portsyncd_push_dropped_batches_total",
			"Batches that were never delivered, by reason.", "reason", "queue_full", "refused"),
		queued: set.NewIntGauge("portsyncd_push_queue_batches",
			"Batches that wait to be sent."),
		success: set.NewGauge("portsyncd_push_last_success_timestamp_seconds",
			"When the receiver last took a batch; 0 if never."),
	}
}

// count moves what one request moves.
func (f *Families) count(r *result) {
	f.requests.Inc()
	if r.outcome != delivered {
		f.failures.With(r.outcome.String()).Inc()
		return
	}
	f.samples.Add(uint64(r.batch.samples))
	f.success.Set(float64(time.Now().UnixMilli()) / 1000)
}
