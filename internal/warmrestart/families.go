package warmrestart

import "portsyncd/metrics"

// Families are the metrics of restarts and of the stored files.
type Families struct {
	// An unexpected start of either kind means that the daemon died or that the databases
	// were flushed. The log has the reason.
	warmRestarts, coldStarts *metrics.Counter
	// eoiuTimeouts increases if the kernel needs longer than eoiu_timeout_secs to list its
	// links, for example because of a stuck driver.
	eoiuDetected, eoiuTimeouts *metrics.Counter
	// These increase if a file was damaged or missing. Check the disk.
	stateRecoveries, corruptions, corruptionsRecovered *metrics.Counter
	// losses increases if all copies of the newest counters were damaged.
	losses *metrics.Counter
	// sync measures from the request of the first dump to the acknowledgement of all its rows.
	sync *metrics.Histogram

	// While a disk is full, read-only or broken, failures increases and diskFaulty is 1.
	// /healthz has the file and the reason.
	saves, failures *metrics.Vec[metrics.Counter]
	savedAt         *metrics.Vec[metrics.Gauge]
	size            *metrics.Vec[metrics.IntGauge]
	diskFaulty      *metrics.IntGauge
}

// syncBounds range from the duration on an empty switch to the 10, 50 and 100 s of the
// specification.
var syncBounds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 50, 100}

// Files, which are the values of the label "file".
const (
	fileState = iota
	fileMetrics
	fileHistory
	fileText
	fileJSON
	numFiles
)

var fileNames = []string{fileState: "state", fileMetrics: "metrics", fileHistory: "history",
	fileText: "export_prometheus", fileJSON: "export_json"}

// NewFamilies registers the metrics in set.
func NewFamilies(set *metrics.Set) *Families {
	return &Families{
		warmRestarts: set.NewCounter("portsyncd_warm_restarts",
			"Warm starts since the state was first recorded."),
		coldStarts: set.NewCounter("portsyncd_cold_starts",
			"Cold starts since the state was first recorded."),
		eoiuDetected: set.NewCounter("portsyncd_eoiu_detected",
			"Starts whose initial dump was read completely, since the state was first recorded."),
		eoiuTimeouts: set.NewCounter("portsyncd_eoiu_timeouts",
			"Starts whose initial dump did not end within eoiu_timeout_secs, since the state was first recorded."),
		stateRecoveries: set.NewCounter("portsyncd_state_recoveries",
			"Damaged or missing files that a start replaced by a backup, since the state was first recorded."),
		corruptions: set.NewCounter("portsyncd_corruptions_detected",
			"Damaged files, including backups, that starts found since the state was first recorded."),
		corruptionsRecovered: set.NewCounter("portsyncd_corruptions_recovered_total",
			"Damaged files for which a start found a good backup, since the state was first recorded."),
		losses: set.NewCounter("portsyncd_state_losses_total",
			"Starts that found all copies of the newest counters, records or sync durations damaged and used older ones, since the state was first recorded."),
		sync: set.NewHistogram("portsyncd_sync_duration_seconds",
			"Duration of the initial sync of each start in seconds, from the request of the first dump until all its rows were acknowledged, since the state was first recorded.", syncBounds),

		saves: set.NewCounterVec("portsyncd_snapshot_saves_total",
			"Successful writes, by file.", "file", fileNames...),
		failures: set.NewCounterVec("portsyncd_snapshot_failures_total",
			"Failed writes, by file.", "file", fileNames...),
		savedAt: set.NewGaugeVec("portsyncd_snapshot_saved_timestamp_seconds",
			"Unix time of the last successful write, or of the write of the file that the start read; 0 if none.", "file", fileNames...),
		size: set.NewIntGaugeVec("portsyncd_snapshot_size_bytes",
			"Size of the file in bytes after the last write; 0 before the first.", "file", fileNames...),
		diskFaulty: set.NewIntGauge("portsyncd_disk_faulty",
			"1 while a file cannot be written, 0 otherwise."),
	}
}

// show sets the metrics to the values of a stored body.
func (f *Families) show(b *metricsBody) error {
	c := &b.Counters
	f.warmRestarts.Set(c.WarmRestarts)
	f.coldStarts.Set(c.ColdStarts)
	f.eoiuDetected.Set(c.EOIUDetected)
	f.eoiuTimeouts.Set(c.EOIUTimeouts)
	f.stateRecoveries.Set(c.StateRecoveries)
	f.corruptions.Set(c.CorruptionsDetected)
	f.corruptionsRecovered.Set(c.CorruptionsRecovered)
	f.losses.Set(c.Losses)
	return f.sync.Restore(b.Sync.Counts, b.Sync.Sum)
}
