package warmrestart

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"portsyncd/internal/jsonlimit"
	"portsyncd/netlinkraw"
)

// Kinds of start.
const (
	Cold = "cold"
	Warm = "warm"
)

// Values of Restart.Ended.
const (
	Stopped  = "stopped"  // by SIGTERM or SIGINT
	Rebooted = "rebooted" // the system was rebooted
)

// Restart is the record of one daemon start.
type Restart struct {
	At     time.Time `json:"at"`     // when the initial dump was requested
	Kind   string    `json:"kind"`   // Cold or Warm
	Reason string    `json:"reason"` // why the start was cold or warm
	// Requested reports whether SONiC requested a warm restart and therefore killed the previous
	// process.
	Requested bool `json:"requested,omitempty"`
	// Ended is how the previous process ended: Stopped, Rebooted, or "" if it crashed, was killed
	// by SIGKILL, or left no record.
	Ended    string        `json:"ended,omitempty"`
	Duration time.Duration `json:"duration_ns"` // duration of the initial sync
	EOIU     bool          `json:"eoiu"`        // the initial dump was read completely
	TimedOut bool          `json:"timed_out"`
	// EOIULatency is the time from the request of the initial dump to its end. It is 0 if the dump
	// did not end during the initial sync.
	EOIULatency time.Duration `json:"eoiu_latency_ns,omitempty"`
	// Process is when the process started. It is zero in records written by versions that did not
	// store it.
	Process time.Time `json:"process,omitzero"`
	// LastAlive is when the previous process was last known to be running, or zero if unknown. The
	// downtime is at most Process - LastAlive.
	LastAlive time.Time `json:"last_alive,omitzero"`
	// Events is the number of link messages processed during the initial sync.
	Events uint64 `json:"events,omitempty"`
	// Compared is the number of interfaces in the dump. Changed is the number of STATE_DB rows that
	// differed from the kernel and were rewritten. Deleted is the number of rows without an
	// interface.
	Compared int `json:"compared"`
	Changed  int `json:"changed"`
	Deleted  int `json:"deleted"`
	// RecoveredFrom is the path of the backup that replaced a corrupt state file.
	RecoveredFrom string `json:"recovered_from,omitempty"`
}

// crashed reports whether the previous process crashed or was killed for a reason other than a
// requested warm restart. This is assumed if the process was known to be running and its end was
// not recorded.
func (r *Restart) crashed() bool {
	return !r.LastAlive.IsZero() && !r.Requested && r.Ended == ""
}

// Port is the port state last acknowledged by STATE_DB.
type Port struct {
	Name string `json:"name"`
	netlinkraw.LinkState
	NameHex string `json:"name_hex,omitempty"` // see HexUnlessUTF8; set when the file is written
}

// Schema versions of the bodies.
const (
	portsSchema   = 1
	metricsSchema = 1
)

// portsBody is the body of the state file.
type portsBody struct {
	Ports []Port `json:"ports"`
}

// maxPorts is the maximum number of ports in a state file. A switch has a few hundred.
const maxPorts = 65536

// checkPorts checks the body of a state file.
func checkPorts(_ int, body []byte) error {
	_, err := decodePorts(body)
	return err
}

// decodePorts decodes and checks the body of a state file.
func decodePorts(body []byte) ([]Port, error) {
	if err := (jsonlimit.Limits{Depth: maxDepth, Elements: maxPorts}).Check(body); err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	var b portsBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	seen := make(map[string]bool, len(b.Ports))
	for i := range b.Ports {
		p := &b.Ports[i]
		name, err := RestoreName(p.Name, p.NameHex)
		switch {
		case err != nil:
			return nil, err
		case name == "" || len(name) > 15:
			return nil, fmt.Errorf("invalid port name %q: must have 1 to 15 bytes", name)
		case seen[name]:
			return nil, fmt.Errorf("port %q is listed twice", name)
		}
		seen[name], p.Name = true, name
	}
	return b.Ports, nil
}

// durations is a histogram of initial sync durations. Counts has one element per bound and one for
// +Inf.
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
	// Stopped is when the process was asked to stop. It is zero while the process runs and after
	// any other kind of exit.
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

// decodeMetrics decodes the body of metrics.json. It checks limits before decoding, so a crafted
// file cannot make it allocate much more memory than maxRestarts records need.
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

// decodeInto returns a check function for snapshot.File that stores the decoded body in to.
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
		return fmt.Errorf("too many restarts: %d, limit %d", len(b.Restarts), maxRestarts)
	}
	for i, r := range b.Restarts {
		switch {
		case r.Kind != Cold && r.Kind != Warm:
			return fmt.Errorf("restart %d: invalid kind %.20q: must be %q or %q", i, r.Kind, Cold, Warm)
		case r.Duration < 0:
			return fmt.Errorf("restart %d: invalid duration %v: must be 0 or greater", i, r.Duration)
		case max(len(r.Reason), len(r.Ended), len(r.RecoveredFrom)) > maxText:
			return fmt.Errorf("restart %d: string is longer than %d bytes", i, maxText)
		}
	}
	return nil
}

func (d *durations) check() error {
	if len(d.Bounds) >= maxBuckets {
		return fmt.Errorf("invalid histogram: %d bounds, must be fewer than %d", len(d.Bounds), maxBuckets)
	}
	if len(d.Counts) != len(d.Bounds)+1 {
		return fmt.Errorf("invalid histogram: %d buckets for %d bounds, must be one more than bounds", len(d.Counts), len(d.Bounds))
	}
	for i := 1; i < len(d.Bounds); i++ {
		if d.Bounds[i-1] >= d.Bounds[i] {
			return fmt.Errorf("invalid histogram: bound %v before %v, must be in ascending order", d.Bounds[i-1], d.Bounds[i])
		}
	}
	total := uint64(0)
	for _, n := range d.Counts {
		if n > math.MaxUint64-total {
			return fmt.Errorf("invalid histogram: more than %d observations", uint64(math.MaxUint64))
		}
		total += n
	}
	if d.Sum < 0 {
		return fmt.Errorf("invalid histogram: sum %v, must be 0 or greater", d.Sum)
	}
	return nil
}

// addAll adds the observations in o to d. Both must have the same bounds.
func (d *durations) addAll(o *durations) {
	for i := range d.Counts {
		grow(&d.Counts[i], o.Counts[i])
	}
	d.Sum += o.Sum
}

// observe adds a duration. It does nothing if the total count would overflow.
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

// add counts a start and appends its record.
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

// trim removes the oldest records until at most keep remain. It reports whether it removed any.
func (b *metricsBody) trim(keep int) bool {
	n := len(b.Restarts) - keep
	if n > 0 {
		b.Restarts = slices.Clone(b.Restarts[n:])
	}
	return n > 0
}
