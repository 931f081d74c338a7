package warmrestart

import (
	"encoding/json"
	"time"
)

// Sample is one line of history.jsonl. It records the daemon's state at one time and its activity
// since the previous sample.
type Sample struct {
	Time    time.Time `json:"time"`
	Process time.Time `json:"process,omitzero"` // when the process started
	Health  string    `json:"health"`           // "healthy", "degraded" or "unhealthy"
	Score   int       `json:"score"`            // health score, 0 to 100

	Restarts Counters `json:"restarts"` // counted across restarts
	// RestartsSum is the checksum of Restarts. If metrics.json is corrupt, a start uses Restarts
	// only if the checksum matches. It is 0 in samples written by versions that did not store it.
	RestartsSum uint32 `json:"restarts_sum,omitempty"`
	Events      uint64 `json:"events"`  // link messages since the process started
	Writes      uint64 `json:"writes"`  // since the process started
	Resyncs     uint64 `json:"resyncs"` // likewise
	Repairs     uint64 `json:"repairs"` // likewise
	// Redis requests since the process started, and how many of them failed.
	Exchanges  uint64   `json:"exchanges"`
	Failed     uint64   `json:"failed"`
	Configured int64    `json:"ports_configured"`
	Present    int64    `json:"ports_present"`
	Up         int64    `json:"ports_up"`
	Latency    *Latency `json:"latency,omitempty"` // nil if there were no writes since the previous sample
	// Flaps lists the front-panel interfaces whose link went down since the previous sample, in
	// descending order of penalty, at most MaxFlaps. It includes interfaces that have since been
	// deleted, renamed or recreated.
	Flaps []PortFlaps `json:"flaps,omitempty"`
}

// MaxFlaps is the maximum number of ports in Sample.Flaps.
const MaxFlaps = 32

// PortFlaps counts the link-down transitions of one port since the previous sample.
type PortFlaps struct {
	Port  string `json:"port"`
	Downs uint64 `json:"downs"` // link-down transitions counted by the kernel (IFLA_CARRIER_DOWN_COUNT)
	// Penalty is the port's flap penalty (stats.FlapPenalty) at the time of the sample.
	Penalty float64 `json:"penalty"`
	PortHex string  `json:"port_hex,omitempty"` // see HexUnlessUTF8
}

// Latency summarizes the latency of the writes to STATE_DB since the previous sample. The
// nearest-rank quantiles, in nanoseconds, are computed from the newest Kept of Count writes.
type Latency struct {
	Count uint64 `json:"count"`
	Kept  int    `json:"kept"`
	P50   int64  `json:"p50_ns"`
	P95   int64  `json:"p95_ns"`
	P99   int64  `json:"p99_ns"`
	Max   int64  `json:"max_ns"`
}

// decodeSample decodes a line of the history. It returns nil, true for a JSON object that is not a
// sample, and nil, false for other invalid lines, including samples that exceed the limits.
func decodeSample(line []byte) (*Sample, bool) {
	s := new(Sample)
	if json.Unmarshal(line, s) != nil || !s.withinLimits() {
		return nil, false
	}
	if s.Time.IsZero() {
		return nil, true
	}
	return s, true
}

// maxName exceeds the size of an interface name: 15 bytes, each replaced by U+FFFD.
const maxName = 64

// withinLimits reports whether s is no larger than the samples that the daemon writes.
func (s *Sample) withinLimits() bool {
	for _, f := range s.Flaps {
		if len(f.Port) > maxName || len(f.PortHex) > maxName {
			return false
		}
	}
	return len(s.Flaps) <= MaxFlaps && len(s.Health) <= maxName
}
