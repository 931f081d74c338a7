package push

import (
	"time"

	"portsyncd/metrics"
)

// Families contains the push metrics.
type Families struct {
	requests *metrics.Counter
	failures *metrics.Vec[metrics.Counter]
	samples  *metrics.Counter
	dropped  *metrics.Vec[metrics.Counter]
	queued   *metrics.IntGauge
	success  *metrics.Gauge
}

// Indexes of the reasons in dropped.
const (
	dropQueueFull = iota
	dropRefused
)

// NewFamilies adds the push metrics to set.
func NewFamilies(set *metrics.Set) *Families {
	return &Families{
		requests: set.NewCounter("portsyncd_push_requests_total",
			"Total number of push requests sent, including retries."),
		failures: set.NewCounterVec("portsyncd_push_failures_total",
			"Total number of failed push requests, by reason.", "reason",
			unreachable.String(), overloaded.String(), unauthorized.String(), refused.String()),
		samples: set.NewCounter("portsyncd_push_samples_total",
			"Total number of samples accepted by the push receiver."),
		dropped: set.NewCounterVec("portsyncd_push_dropped_batches_total",
			"Total number of batches dropped before delivery, by reason.", "reason", "queue_full", "refused"),
		queued: set.NewIntGauge("portsyncd_push_queue_batches",
			"Number of batches in the push queue."),
		success: set.NewGauge("portsyncd_push_last_success_timestamp_seconds",
			"Unix timestamp of the last successful push, or 0 if none."),
	}
}

// count updates the metrics with the result of a request.
func (f *Families) count(r *result) {
	f.requests.Inc()
	if r.outcome != delivered {
		f.failures.With(r.outcome.String()).Inc()
		return
	}
	f.samples.Add(uint64(r.batch.samples))
	f.success.Set(float64(time.Now().UnixMilli()) / 1000)
}
