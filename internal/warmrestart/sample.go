package warmrestart

import (
	"encoding/json"
	"time"
)

// Sample is one line of history.jsonl: the daemon at one moment, and what
// happened since the sample before.
type Sample struct {
	Time    time.Time `json:"time"`
	Process time.Time `json:"process,omitzero"` // when the process began
	Health  string    `json:"health"`           // "healthy", "degraded" or "unhealthy"
	Score   int       `json:"score"`            // of health, 0 to 100

	Restarts Counters `json:"restarts"` // over all restarts
	// RestartsSum is the checksum of Restarts, by which a start knows that it can take
	// them where metrics.json is damaged. 0 in samples of writers that did not note it.
	RestartsSum uint32 `json:"restarts_sum,omitempty"`
	Events      uint64 `json:"events"`  // since the process began
	Writes      uint64 `json:"writes"`  // likewise
	Resyncs     uint64 `json:"resyncs"` // likewise
	Repairs     uint64 `json:"repairs"` // likewise
	// Exchanges with the databases since the process began, and those that failed.
	Exchanges  uint64   `json:"exchanges"`
	Failed     uint64   `json:"failed"`
	Configured int64    `json:"ports_configured"`
	Present    int64    `json:"ports_present"`
	Up         int64    `json:"ports_up"`
	Latency    *Latency `json:"latency,omitempty"` // nil if there was no event since the last sample
	// Flaps are the interfaces with the name of a port whose carrier went since the
	// last sample, the most flapping first, at most MaxFlaps of them. One that was
	// deleted, renamed or created again since then is among them.
	Flaps []PortFlaps `json:"flaps,omitempty"`
}

// MaxFlaps is how many ports one sample names: history is bounded, storms are not.
const MaxFlaps = 32

// PortFlaps is what one port did since the sample before.
type PortFlaps struct {
	Port  string `json:"port"`
	Downs uint64 `json:"downs"` // link-down transitions counted by the kernel (IFLA_CARRIER_DOWN_COUNT)
	// Penalty is the port's figure of merit at the time of the sample.
	Penalty float64 `json:"penalty"`
	PortHex string  `json:"port_hex,omitempty"` // by HexUnlessUTF8
}

// Latency is the event latency since the sample before: nearest-rank quantiles,
// exact over the Kept newest of Count events.
type Latency struct {
	Count uint64 `json:"count"`
	Kept  int    `json:"kept"`
	P50   int64  `json:"p50_ns"`
	P95   int64  `json:"p95_ns"`
	P99   int64  `json:"p99_ns"`
	Max   int64  `json:"max_ns"`
}

// decodeSample decodes a line of the history. It returns nil and true for a JSON object that is
// not a sample, and false for anything else, including samples that exceed the limits.
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

// maxName is more than the 15 bytes of an interface name, each replaced by U+FFFD.
const maxName = 64

// withinLimits reports whether the daemon may have written a sample of this size.
func (s *Sample) withinLimits() bool {
	for _, f := range s.Flaps {
		if len(f.Port) > maxName || len(f.PortHex) > maxName {
			return false
		}
	}
	return len(s.Flaps) <= MaxFlaps && len(s.Health) <= maxName
}
