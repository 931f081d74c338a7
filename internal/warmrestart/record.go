package warmrestart

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"portsyncd/internal/jsonlimit"
)

// Kinds of start.
const (
	Cold = "cold"
	Warm = "warm"
)

// Ways in which the process before a start ended on purpose.
const (
	Stopped  = "stopped"  // by SIGTERM or SIGINT
	Rebooted = "rebooted" // with the boot it ran in
)

// Restart is the record of one start.
type Restart struct {
	At     time.Time `json:"at"`     // when the first dump was requested
	Kind   string    `json:"kind"`   // Cold or Warm
	Reason string    `json:"reason"` // why that kind
	// Requested: SONiC requested a warm restart, so it ended the process before.
	Requested bool `json:"requested,omitempty"`
	// Ended is how the process before ended: Stopped, Rebooted, or "" if a crash, a
	// SIGKILL or nothing is on record.
	Ended    string        `json:"ended,omitempty"`
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

// crashed reports whether the process before ended by itself or by a SIGKILL that
// SONiC did not send: there is a sign of life of it on record, and no end on purpose.
func (r *Restart) crashed() bool {
	return !r.LastAlive.IsZero() && !r.Requested && r.Ended == ""
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

// maxPorts bounds the ports of a state file. A switch has a few hundred.
const maxPorts = 65536

// checkPorts checks the body of a state file.
func checkPorts(_ int, body []byte) error {
	if err := (jsonlimit.Limits{Depth: maxDepth, Elements: maxPorts}).Check(body); err != nil {
		return fmt.Errorf("ports: %w", err)
	}
	var b portsBody
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("ports: %w", err)
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
	// Stopped is when the process that saved this was stopped; the zero time while it
	// runs, and if it ended in another way.
	Stopped time.Time `json:"stopped,omitzero"`
}

func newMetricsBody() metricsBody {
	return metricsBody{Sync: durations{Bounds: syncBounds, Counts: make([]uint64, len(syncBounds)+1)}}
}

// Limits of stored JSON.
const (
	maxDepth    = 16
	maxRestarts = 10000 // upper limit of warm_restart.history_max_restarts
	maxBuckets  = 64
	maxText     = 4 << 10 // bytes of a reason or a path
)

// decodeMetrics decodes the body of metrics.json. Limits are checked before decoding, so that
// a crafted file cannot make it allocate much more than the records of maxRestarts starts.
func decodeMetrics(text []byte) (b metricsBody, err error) {
	err = jsonlimit.Limits{Depth: maxDepth, Elements: maxRestarts + 2*maxBuckets}.Check(text)
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return metricsBody{}, fmt.Errorf("metrics: %w", err)
	}
	return b, b.check()
}

// decodeInto returns a check of a body, for snapshot.File, that stores what it decoded.
func decodeInto(to *metricsBody) func(schema int, text []byte) error {
	return func(_ int, text []byte) (err error) {
		*to, err = decodeMetrics(text)
		return err
	}
}

func (b *metricsBody) check() error {
	if err := b.Sync.check(); err != nil {
		return err
	}
	if len(b.Restarts) > maxRestarts {
		return fmt.Errorf("%d restarts, expected at most %d", len(b.Restarts), maxRestarts)
	}
	for i, r := range b.Restarts {
		switch {
		case r.Kind != Cold && r.Kind != Warm:
			return fmt.Errorf("restart %d is of kind %.20q, expected %q or %q", i, r.Kind, Cold, Warm)
		case r.Duration < 0:
			return fmt.Errorf("restart %d took %v, expected 0 or more", i, r.Duration)
		case max(len(r.Reason), len(r.Ended), len(r.RecoveredFrom)) > maxText:
			return fmt.Errorf("restart %d has a text of more than %d bytes", i, maxText)
		}
	}
	return nil
}

func (d *durations) check() error {
	if len(d.Bounds) >= maxBuckets {
		return fmt.Errorf("histogram of %d bounds, expected fewer than %d", len(d.Bounds), maxBuckets)
	}
	if len(d.Counts) != len(d.Bounds)+1 {
		return fmt.Errorf("histogram of %d buckets for %d bounds, expected one more", len(d.Counts), len(d.Bounds))
	}
	for i := 1; i < len(d.Bounds); i++ {
		if d.Bounds[i-1] >= d.Bounds[i] {
			return fmt.Errorf("histogram with bound %v before %v, expected ascending ones", d.Bounds[i-1], d.Bounds[i])
		}
	}
	total := uint64(0)
	for _, n := range d.Counts {
		if n > math.MaxUint64-total {
			return fmt.Errorf("histogram of more than %d observations", uint64(math.MaxUint64))
		}
		total += n
	}
	if d.Sum < 0 {
		return fmt.Errorf("histogram with sum %v, expected 0 or more", d.Sum)
	}
	return nil
}

// observe counts one duration, unless the histogram is full: its count must not wrap.
func (d *durations) observe(seconds float64) {
	total := uint64(0)
	for _, n := range d.Counts {
		total += n
	}
	if total == math.MaxUint64 {
		return
	}
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
		grow(&b.Counters.WarmRestarts, 1)
	} else {
		grow(&b.Counters.ColdStarts, 1)
	}
	if r.EOIU {
		grow(&b.Counters.EOIUDetected, 1)
	}
	if r.TimedOut {
		grow(&b.Counters.EOIUTimeouts, 1)
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
