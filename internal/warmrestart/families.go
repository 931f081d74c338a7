package warmrestart

import "portsyncd/metrics"

// Families holds the metrics about restarts and stored files.
type Families struct {
	// An unexpected start of either kind means that the daemon died or that the databases
	// were flushed. The log has the reason.
	warmRestarts, coldStarts *metrics.Counter
	// eoiuTimeouts increases if the kernel needs longer than eoiu_timeout_secs to list its
	// links, for example because of a stuck driver.
	eoiuDetected, eoiuTimeouts *metrics.Counter
	// These increase if a file was corrupt or missing. Check the disk.
	stateRecoveries, corruptions, corruptionsRecovered *metrics.Counter
	// losses increases if all copies of the newest counters were corrupt.
	losses *metrics.Counter
	// sync measures from the request of the initial dump to the acknowledgement of all its rows.
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

// NewFamilies adds the metrics to set and returns them.
func NewFamilies(set *metrics.Set) *Families {
	return &Families{
		warmRestarts: set.NewCounter("portsyncd_warm_restarts",
			"Total number of warm starts, counted across restarts."),
		coldStarts: set.NewCounter("portsyncd_cold_starts",
			"Total number of cold starts, counted across restarts."),
		eoiuDetected: set.NewCounter("portsyncd_eoiu_detected",
			"Total number of starts at which the initial dump was completed, counted across restarts."),
		eoiuTimeouts: set.NewCounter("portsyncd_eoiu_timeouts",
			"Total number of starts at which the initial dump took longer than eoiu_timeout_secs, counted across restarts."),
		stateRecoveries: set.NewCounter("portsyncd_state_recoveries",
			"Total number of corrupt, missing or outdated files that were restored from a backup, counted across restarts."),
		corruptions: set.NewCounter("portsyncd_corruptions_detected",
			"Total number of corrupt files found at startup, including backups, counted across restarts."),
		corruptionsRecovered: set.NewCounter("portsyncd_corruptions_recovered_total",
			"Total number of corrupt files that had an intact backup, counted across restarts."),
		losses: set.NewCounter("portsyncd_state_losses_total",
			"Total number of starts at which stored data was lost because every copy was corrupt, counted across restarts."),
		sync: set.NewHistogram("portsyncd_sync_duration_seconds",
			"Duration of the initial sync in seconds, recorded across restarts.", syncBounds),

		saves: set.NewCounterVec("portsyncd_snapshot_saves_total",
			"Total number of successful file writes, by file.", "file", fileNames...),
		failures: set.NewCounterVec("portsyncd_snapshot_failures_total",
			"Total number of failed file writes, by file.", "file", fileNames...),
		savedAt: set.NewGaugeVec("portsyncd_snapshot_saved_timestamp_seconds",
			"Unix timestamp of the last successful write of the file, by this process or an earlier one, or 0 if none.", "file", fileNames...),
		size: set.NewIntGaugeVec("portsyncd_snapshot_size_bytes",
			"Size of the file in bytes after the last write by this process.", "file", fileNames...),
		diskFaulty: set.NewIntGauge("portsyncd_disk_faulty",
			"1 if at least one file cannot be written, otherwise 0."),
	}
}

// show sets the metrics to the counters and the histogram in b.
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
