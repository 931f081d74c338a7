package warmrestart

import (
	"time"

	"portsyncd/internal/warmrestart/stats"
)

// Limits of the lists in an Analysis.
const (
	MaxAnomalies = 100 // those with the highest scores
	MaxStorms    = 100 // the newest
	MaxLinkDowns = 100 // ports, those with the highest penalties
)

// Analysis holds the figures of a history. A nil pointer means that there is no data for the
// figure.
type Analysis struct {
	At    time.Time `json:"at"`             // time of the analysis
	Since time.Time `json:"since,omitzero"` // records before this were left out
	First time.Time `json:"first,omitzero"` // earliest time at which the records show a running daemon
	Last  time.Time `json:"last,omitzero"`  // latest such time
	// Numbers of records and samples analyzed.
	Restarts int      `json:"restarts"`
	Samples  int      `json:"samples"`
	Counters Counters `json:"counters"` // since the state was first recorded, whatever Since is

	// Rates defines the following rates.
	Recovery   *stats.Rate `json:"recovery_success_rate"`
	Corruption *stats.Rate `json:"corruption_recovery_rate"`
	Timeouts   *stats.Rate `json:"eoiu_timeout_rate"`
	Failures   *stats.Rate `json:"exchange_failure_rate"`

	// EventsPerRestart is the mean number of link messages during the initial sync, over the
	// starts that recorded it.
	EventsPerRestart *float64 `json:"avg_events_per_restart"`
	Uptime           Uptime   `json:"uptime_estimate"`

	// A restart is healthy if it read the initial dump completely and in time.
	LastHealthyRestart *time.Time `json:"last_healthy_restart"`
	Healthy            *bool      `json:"is_system_healthy"` // whether the newest restart was healthy

	Sync *stats.Summary `json:"sync_duration_seconds"` // over all starts
	EOIU *stats.Summary `json:"eoiu_latency_seconds"`  // over the starts whose dump ended during the initial sync

	RecoveryTrend *Trend `json:"recovery_trend"` // success (1 or 0) by warm start
	SyncTrend     *Trend `json:"sync_trend"`     // sync duration by start
	LatencyTrend  *Trend `json:"latency_trend"`  // hourly median of the samples' p99 latency

	Anomalies      []Anomaly `json:"anomalies"`       // at most MaxAnomalies, oldest first
	AnomaliesFound int       `json:"anomalies_found"` // total number
	Storms         []Storm   `json:"storms"`          // at most MaxStorms, oldest first
	// LinkDowns lists the ports with link-down transitions, at most MaxLinkDowns, by descending peak
	// penalty. Flapping lists those of them that were flapping.
	LinkDowns []PortDowns `json:"link_downs"`
	Flapping  []PortDowns `json:"flapping"`

	Recommendations []Recommendation `json:"recommendations"`
}

// Uptime estimates how long the daemon was running. The estimate is based on the times of starts and
// samples, and on when each start found that the previous process was last running. It does not
// include a process that ended before its initial sync was complete and before its first sample.
type Uptime struct {
	// Process is the time from the start of the newest recorded process to Analysis.Last.
	Process  *time.Duration `json:"process_ns"`
	Observed time.Duration  `json:"observed_ns"` // time from Analysis.First to Analysis.Last
	Down     time.Duration  `json:"down_ns"`     // upper bound of the downtime in Observed
	Share    *float64       `json:"share"`       // 1 - Down/Observed: lower bound of the availability
}

// Values of Trend.Verdict.
const (
	Rising  = "rising"
	Falling = "falling"
	NoTrend = "none"
	TooFew  = "few"
)

// Trend describes whether a series rises or falls, and how fast.
type Trend struct {
	stats.Trend
	Unit string `json:"unit"` // unit of the slope
	// Verdict is Rising or Falling if P is at most 0.05, TooFew if there are fewer than 10
	// values, and NoTrend otherwise.
	Verdict string `json:"verdict"`
}

// Values of Anomaly.Series.
const (
	SeriesSync    = "sync_duration_seconds" // one value per start
	SeriesEOIU    = "eoiu_latency_seconds"  // one value per start
	SeriesLatency = "latency_p99_seconds"   // one value per sample
	SeriesEvents  = "events_per_second"     // one value per pair of samples of a process
)

// Anomaly is a value in a series that is far higher than the other values.
type Anomaly struct {
	At     time.Time `json:"at"`
	Series string    `json:"series"` // SeriesSync, SeriesEOIU, SeriesLatency or SeriesEvents
	Value  float64   `json:"value"`
	Median float64   `json:"median"` // median of the series
	// Score is the modified z-score: of the value for SeriesEvents, and of its logarithm for
	// the other series.
	Score float64 `json:"score"`
}

// Storm is a period with many restarts or events.
type Storm struct {
	Kind  string    `json:"kind"` // StormRestarts or StormEvents
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Count uint64    `json:"count"`
	Limit uint64    `json:"limit"` // number that is too many in this period
	Text  string    `json:"text"`
}

// PortDowns summarizes the link-down transitions of one port.
type PortDowns struct {
	Port        string    `json:"port"`
	PortHex     string    `json:"port_hex,omitempty"`
	Downs       uint64    `json:"downs"`        // link-down transitions in the samples
	PeakPenalty float64   `json:"peak_penalty"` // highest flap penalty in a sample
	PeakAt      time.Time `json:"peak_at"`
	Last        time.Time `json:"last"` // time of the last sample with this port
}

// Flapping reports whether the port was flapping at the time of a sample, by the definition that
// [stats.FlapPenalty] and the running daemon use.
func (p *PortDowns) Flapping() bool { return p.PeakPenalty > stats.FlappingThreshold }

// Recommendation is advice to the administrator, with the figure that supports it.
type Recommendation struct {
	Setting string `json:"setting"` // key of the setting; "" if the advice is about something else
	Text    string `json:"text"`    // what to do
	Why     string `json:"why"`     // the figure
}
