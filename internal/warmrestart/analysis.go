package warmrestart

import (
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// Bounds of what an Analysis lists.
const (
	MaxAnomalies = 100 // those that stand out most
	MaxStorms    = 100 // the newest
	MaxFlapping  = 100 // the worst
)

// Analysis is what the history says. A pointer that is nil means "no data":
// nothing was recorded that could say it.
type Analysis struct {
	At    time.Time `json:"at"`             // when it was made
	Since time.Time `json:"since,omitzero"` // records before this were left out
	First time.Time `json:"first,omitzero"` // of the records considered
	Last  time.Time `json:"last,omitzero"`  // of the records considered
	// Restarts and Samples considered.
	Restarts int      `json:"restarts"`
	Samples  int      `json:"samples"`
	Counters Counters `json:"counters"` // over all time, whatever Since

	// Rates has the definitions.
	Recovery   *stats.Rate `json:"recovery_success_rate"`
	Corruption *stats.Rate `json:"corruption_recovery_rate"`
	Timeouts   *stats.Rate `json:"eoiu_timeout_rate"`
	Failures   *stats.Rate `json:"exchange_failure_rate"`

	// EventsPerRestart is the mean number of link messages during the initial sync,
	// of the starts that noted it.
	EventsPerRestart *float64 `json:"avg_events_per_restart"`
	Uptime           Uptime   `json:"uptime_estimate"`

	// A restart is healthy if it read the whole dump in time.
	LastHealthyRestart *time.Time `json:"last_healthy_restart"`
	Healthy            *bool      `json:"is_system_healthy"` // the newest restart was

	Sync *stats.Summary `json:"sync_duration_seconds"` // of the starts
	EOIU *stats.Summary `json:"eoiu_latency_seconds"`  // of those whose dump ended before the sync was over

	RecoveryTrend *Trend `json:"recovery_trend"` // of success (1 or 0), by warm start
	SyncTrend     *Trend `json:"sync_trend"`     // of the sync duration, by start
	LatencyTrend  *Trend `json:"latency_trend"`  // of the samples' p99, hour by hour

	Anomalies      []Anomaly  `json:"anomalies"`       // at most MaxAnomalies, oldest first
	AnomaliesFound int        `json:"anomalies_found"` // how many there are
	Storms         []Storm    `json:"storms"`          // at most MaxStorms, oldest first
	Flapping       []Flapping `json:"flapping"`        // at most MaxFlapping, worst first

	Recommendations []Recommendation `json:"recommendations"`
}

// Uptime is how long the daemon ran, estimated from signs of life: the times of
// starts and samples, and what a start found of the run before. A process that ended
// before its initial sync was over and before its first sample left none.
type Uptime struct {
	// Process is from the beginning of the newest process on record to the last
	// sign of life.
	Process  *time.Duration `json:"process_ns"`
	Observed time.Duration  `json:"observed_ns"` // from the first sign of life to the last
	Down     time.Duration  `json:"down_ns"`     // at most, in Observed
	Share    *float64       `json:"share"`       // 1 - Down/Observed: at least
}

// Verdicts on a Trend.
const (
	Rising  = "rising"
	Falling = "falling"
	NoTrend = "none"
	TooFew  = "few"
)

// Trend is whether a series moves, and by how much.
type Trend struct {
	stats.Trend
	Unit string `json:"unit"` // of the slope
	// Verdict is Rising or Falling if P is at most 0.05, else NoTrend; TooFew where
	// there are too few values to tell.
	Verdict string `json:"verdict"`
}

// Series that anomalies are looked for in.
const (
	SeriesSync    = "sync_duration_seconds" // of each start
	SeriesEOIU    = "eoiu_latency_seconds"  // likewise
	SeriesLatency = "latency_p99_seconds"   // of each sample
	SeriesEvents  = "events_per_second"     // between two samples of a process
)

// Anomaly is one value far above the others.
type Anomaly struct {
	At     time.Time `json:"at"`
	Series string    `json:"series"` // one of the above
	Value  float64   `json:"value"`
	Median float64   `json:"median"` // of the series
	// Score is the modified z-score: of the values for SeriesEvents, else of their
	// logarithms.
	Score float64 `json:"score"`
}

// Storm is a time of many restarts or events.
type Storm struct {
	Kind  string    `json:"kind"` // StormRestarts or StormEvents
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Count uint64    `json:"count"`
	Limit uint64    `json:"limit"` // what is too many in that time
	Text  string    `json:"text"`
}

// Flapping is a port whose carrier came and went.
type Flapping struct {
	Port        string    `json:"port"`
	PortHex     string    `json:"port_hex,omitempty"`
	Downs       uint64    `json:"downs"`        // in the samples considered
	PeakPenalty float64   `json:"peak_penalty"` // the highest figure of merit in a sample
	PeakAt      time.Time `json:"peak_at"`
	Last        time.Time `json:"last"` // sample that names it
}

// Recommendation names a setting and the figure behind it.
type Recommendation struct {
	Setting string `json:"setting"` // key of the configuration; "" where it is none
	Text    string `json:"text"`    // what to do
	Why     string `json:"why"`     // the figure
}
