package warmrestart

import "portsyncd/metrics"

// Families are the seven of the specification, and what tells how the files do.
type Families struct {
	// warmRestarts and coldStarts: an unexpected one of either is a daemon that
	// died, or a switch whose databases were flushed; the log says why.
	warmRestarts, coldStarts *metrics.Counter
	// eoiuTimeouts moves when a kernel needs longer than eoiu_timeout_secs to list
	// its links: look for a stuck driver.
	eoiuDetected, eoiuTimeouts *metrics.Counter
	// stateRecoveries and corruptions move when a file was damaged and when a
	// backup stood in for it: look at the disk.
	stateRecoveries, corruptions, corruptionsRecovered *metrics.Counter
	// losses moves when all places that have the newest counters were damaged.
	losses *metrics.Counter
	// sync is from the dump request to the acknowledgement of what it brought.
	sync *metrics.Histogram

	// failures moves, and diskFaulty is 1, while a disk is full, read-only or
	// broken; /healthz names the file and the reason.
	saves, failures *metrics.Vec[metrics.Counter]
	savedAt         *metrics.Vec[metrics.Gauge]
	size            *metrics.Vec[metrics.IntGauge]
	diskFaulty      *metrics.IntGauge
}

// syncBounds reach from what an empty switch takes to the 10, 50 and 100 s that
// the specification names.
var syncBounds = []float64{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 50, 100}

// The files, which are the label values of the families about files.
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

// NewFamilies adds the families to set.
func NewFamilies(set *metrics.Set) *Families {
	return &Families{
		warmRestarts: set.NewCounter("portsyncd_warm_restarts",
			"Warm starts since the state was first recorded."),
		coldStarts: set.NewCounter("portsyncd_cold_starts",
			"Cold starts since the state was first recorded."),
		eoiuDetected: set.NewCounter("portsyncd_eoiu_detected",
			"Starts whose initial dump was read to its end, since the state was first recorded."),
		eoiuTimeouts: set.NewCounter("portsyncd_eoiu_timeouts",
			"Starts whose initial dump did not end within eoiu_timeout_secs, since the state was first recorded."),
		stateRecoveries: set.NewCounter("portsyncd_state_recoveries",
			"Damaged or missing files replaced by a backup at a start, since the state was first recorded."),
		corruptions: set.NewCounter("portsyncd_corruptions_detected",
			"Damaged files found at a start, backups included, since the state was first recorded."),
		corruptionsRecovered: set.NewCounter("portsyncd_corruptions_recovered_total",
			"Damaged files for which a good backup was found, since the state was first recorded."),
		losses: set.NewCounter("portsyncd_state_losses_total",
			"Starts that found the newest counters, records or sync durations damaged in all copies and went on with older ones, since the state was first recorded."),
		sync: set.NewHistogram("portsyncd_sync_duration_seconds",
			"Duration of each start's initial sync in seconds, from the request of the first dump to the acknowledgement of all rows it led to, since the state was first recorded.", syncBounds),

		saves: set.NewCounterVec("portsyncd_snapshot_saves_total",
			"Saves that succeeded, by file.", "file", fileNames...),
		failures: set.NewCounterVec("portsyncd_snapshot_failures_total",
			"Saves that failed, by file.", "file", fileNames...),
		savedAt: set.NewGaugeVec("portsyncd_snapshot_saved_timestamp_seconds",
			"Time of the last save, or of the save that the start read; 0 if none.", "file", fileNames...),
		size: set.NewIntGaugeVec("portsyncd_snapshot_size_bytes",
			"Size of the file in bytes when it was last written; 0 if it was not yet.", "file", fileNames...),
		diskFaulty: set.NewIntGauge("portsyncd_disk_faulty",
			"1 while a file cannot be written."),
	}
}

// show exposes what is durable.
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
