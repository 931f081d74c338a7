package warmrestart

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Kinds of start.
const (
	Cold = "cold"
	Warm = "warm"
)

// Restart is the record of one start.
type Restart struct {
	At       time.Time     `json:"at"`          // when the first dump was requested
	Kind     string        `json:"kind"`        // Cold or Warm
	Reason   string        `json:"reason"`      // why that kind
	Duration time.Duration `json:"duration_ns"` // of the initial sync
	EOIU     bool          `json:"eoiu"`        // the initial dump was read to its end
	TimedOut bool          `json:"timed_out"`
	// EOIULatency is from the request of the first dump to its end; 0 if that
	// did not come before the sync was over.
	EOIULatency time.Duration `json:"eoiu_latency_ns,omitempty"`
	// Process is when the process began; the zero time in records of writers that
	// did not note it.
	Process time.Time `json:"process,omitzero"`
	// LastAlive is the last sign of life of the process before, zero if there is
	// none on record. The downtime between the two is at most Process - LastAlive.
	LastAlive time.Time `json:"last_alive,omitzero"`
	// Events of the kernel were decided on during the initial sync.
	Events uint64 `json:"events,omitempty"`
	// Compared interfaces were in the dump; Changed rows were written because
	// STATE_DB had not what the kernel said, Deleted ones had no interface.
	Compared int `json:"compared"`
	Changed  int `json:"changed"`
	Deleted  int `json:"deleted"`
	// RecoveredFrom is the backup that stood in for a damaged state file.
	RecoveredFrom string `json:"recovered_from,omitempty"`
}

// Port is a port as it was last acknowledged by STATE_DB.
type Port struct {
	Name        string `json:"name"`
	Index       int32  `json:"ifindex"`
	Admin       bool   `json:"admin"`
	Oper        bool   `json:"oper"`
	MTU         uint32 `json:"mtu"`
	CarrierUp   uint32 `json:"carrier_up"`
	CarrierDown uint32 `json:"carrier_down"`
	NameHex     string `json:"name_hex,omitempty"` // by HexUnlessUTF8; for the file
}

// Schemas of the files' bodies.
const (
	portsSchema   = 1
	metricsSchema = 1
)

// portsBody is the body of the state file.
type portsBody struct {
	Ports []Port `json:"ports"`
}

// mostPorts bounds what a state file can make us hold; a switch has some
// hundreds.
const mostPorts = 65536

func checkPorts(_ int, body []byte) error {
	var b portsBody
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	if len(b.Ports) > mostPorts {
		return fmt.Errorf("%d ports, expected at most %d", len(b.Ports), mostPorts)
	}
	seen := make(map[string]bool, len(b.Ports))
	for _, p := range b.Ports {
		name, err := RestoreName(p.Name, p.NameHex)
		switch {
		case err != nil:
			return err
		case name == "" || len(name) > 15:
			return fmt.Errorf("port name %q, expected 1 to 15 bytes", name)
		case seen[name]:
			return fmt.Errorf("port %q is there twice", name)
		}
		seen[name] = true
	}
	return nil
}

// Counters are those of the specification; each only grows, over all restarts.
type Counters struct {
	WarmRestarts        uint64 `json:"warm_restarts"`
	ColdStarts          uint64 `json:"cold_starts"`
	EOIUDetected        uint64 `json:"eoiu_detected"`
	EOIUTimeouts        uint64 `json:"eoiu_timeouts"`
	StateRecoveries     uint64 `json:"state_recoveries"`
	CorruptionsDetected uint64 `json:"corruptions_detected"`
}

// durations is the histogram of initial syncs: the count of each bucket, the
// last one for +Inf, with the bounds they were counted by.
type durations struct {
	Bounds []float64 `json:"bounds"`
	Counts []uint64  `json:"counts"`
	Sum    float64   `json:"sum"`
}

// metricsBody is the body of metrics.json.
type metricsBody struct {
	Counters Counters  `json:"counters"`
	Sync     durations `json:"sync_duration_seconds"`
	Restarts []Restart `json:"restarts"` // oldest first
}

func newMetricsBody() metricsBody {
	return metricsBody{Sync: durations{Bounds: syncBounds, Counts: make([]uint64, len(syncBounds)+1)}}
}

func checkMetrics(_ int, body []byte) error {
	var b metricsBody
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	if err := b.Sync.check(); err != nil {
		return err
	}
	for i, r := range b.Restarts {
		if r.Kind != Cold && r.Kind != Warm {
			return fmt.Errorf("restart %d is of kind %q, expected %q or %q", i, r.Kind, Cold, Warm)
		}
		if r.Duration < 0 {
			return fmt.Errorf("restart %d took %v, expected 0 or more", i, r.Duration)
		}
	}
	return nil
}

func (d *durations) check() error {
	if len(d.Counts) != len(d.Bounds)+1 {
		return fmt.Errorf("histogram of %d buckets for %d bounds, expected one more", len(d.Counts), len(d.Bounds))
	}
	for i := 1; i < len(d.Bounds); i++ {
		if d.Bounds[i-1] >= d.Bounds[i] {
			return fmt.Errorf("histogram with bound %v before %v, expected ascending ones", d.Bounds[i-1], d.Bounds[i])
		}
	}
	if d.Sum < 0 {
		return fmt.Errorf("histogram with sum %v, expected 0 or more", d.Sum)
	}
	return nil
}

func (d *durations) observe(seconds float64) {
	i := 0
	for i < len(d.Bounds) && seconds > d.Bounds[i] {
		i++
	}
	d.Counts[i]++
	d.Sum += seconds
}

// add counts one start.
func (b *metricsBody) add(r Restart) {
	if r.Kind == Warm {
		b.Counters.WarmRestarts++
	} else {
		b.Counters.ColdStarts++
	}
	if r.EOIU {
		b.Counters.EOIUDetected++
	}
	if r.TimedOut {
		b.Counters.EOIUTimeouts++
	}
	b.Sync.observe(r.Duration.Seconds())
	b.Restarts = append(b.Restarts, r)
}

// trim drops the oldest records beyond keep, and reports whether there were any.
func (b *metricsBody) trim(keep int) bool {
	n := len(b.Restarts) - keep
	if n > 0 {
		b.Restarts = slices.Clone(b.Restarts[n:])
	}
	return n > 0
}
