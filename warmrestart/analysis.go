package warmrestart

import (
	"time"

	"portsyncd/warmrestart/stats"
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

	Recovery   *stats.Rate `json:"recovery_success_rate"`    // warm starts that read the whole dump in time, of all warm starts
	Corruption *stats.Rate `json:"corruption_recovery_rate"` // damaged files a backup stood in for, of all damaged
	Timeouts   *stats.Rate `json:"eoiu_timeout_rate"`        // starts whose dump did not end in time, of all

	EventsPerRestart *float64 `json:"events_per_restart"` // mean
	Uptime           Uptime   `json:"uptime"`

	LastHealthyRestart *time.Time `json:"last_healthy_restart"`
	Healthy            *bool      `json:"healthy"` // the newest restart was

	Sync *stats.Summary `json:"sync_duration_seconds"`
	EOIU *stats.Summary `json:"eoiu_latency_seconds"`

	RecoveryTrend *Trend `json:"recovery_trend"` // of success (1 or 0) by restart
	SyncTrend     *Trend `json:"sync_trend"`     // of seconds by restart
	LatencyTrend  *Trend `json:"latency_trend"`  // of each sample's p99 in seconds

	Anomalies []Anomaly  `json:"anomalies"`
	Storms    []Storm    `json:"storms"`
	Flapping  []Flapping `json:"flapping"` // worst first

	Recommendations []Recommendation `json:"recommendations"`
}

// Uptime is how long the daemon ran, estimated from signs of life.
type Uptime struct {
	Process  *time.Duration `json:"process_ns"`  // since the newest process began
	Observed time.Duration  `json:"observed_ns"` // from the first sign of life to the last
	Down     time.Duration  `json:"down_ns"`     // at most, in Observed
	Share    *float64       `json:"share"`       // 1 - Down/Observed
}

// Trend is whether a series moves, and by how much.
type Trend struct {
	stats.Trend
	Unit string `json:"unit"` // of the slope
	// Verdict is "rising", "falling" or "none" (no trend at the confidence asked
	// for), or "few" where there are too few values to tell.
	Verdict string `json:"verdict"`
}

// Anomaly is one value far from the others.
type Anomaly struct {
	At     time.Time `json:"at"`
	Series string    `json:"series"` // "sync_duration_seconds", "eoiu_latency_seconds", "latency_p99_seconds", "events_per_second"
	Value  float64   `json:"value"`
	Median float64   `json:"median"`
	Score  float64   `json:"score"` // modified z-score
}

// Storm is a time of many restarts or events.
type Storm struct {
	Kind  string    `json:"kind"` // "restarts", "events"
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Count uint64    `json:"count"`
	Limit uint64    `json:"limit"` // what is too many in that time
	Text  string    `json:"text"`
}

// Flapping is a port whose carrier came and went.
type Flapping struct {
	Port        string    `json:"port"`
	Downs       uint64    `json:"downs"`        // in the samples considered
	PeakPenalty float64   `json:"peak_penalty"` // the highest figure of merit on record
	PeakAt      time.Time `json:"peak_at"`
	Last        time.Time `json:"last"`
}

// Recommendation names a setting and the figure behind it.
type Recommendation struct {
	Setting string `json:"setting"` // key of the configuration; "" where it is none
	Text    string `json:"text"`    // what to do
	Why     string `json:"why"`     // the figure
}
