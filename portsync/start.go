package portsync

import (
	"strconv"
	"strings"

	"portsyncd/internal/sonicdb"
)

// StartKind is the kind of a start.
type StartKind uint8

// The kinds of start.
const (
	ColdStart StartKind = iota
	WarmStart
)

// String returns "cold" or "warm".
func (k StartKind) String() string {
	if k == WarmStart {
		return "warm"
	}
	return "cold"
}

// Facts are the values that a start depends on, read before anything is written.
type Facts struct {
	SwitchType   string // DEVICE_METADATA|localhost switch_type; "" if absent
	WarmEnabled  bool   // WARM_RESTART_ENABLE_TABLE has enable=true for system or swss
	RestoreCount string // WARM_RESTART_TABLE|portsyncd restore_count; "" if absent
	InitDone     bool   // APPL_DB has the row PortInitDone
	Ports        []PortConfig
	PortErrors   []error // rows of CONFIG_DB PORT that cannot be read, each named

	// Remembered is set if the state file has the ports of the last process of this boot and
	// may be used for a warm start.
	Remembered bool
	// NoStateFile is set if warm_restart.enabled is false.
	NoStateFile bool
}

// PortConfig is one row of CONFIG_DB PORT.
type PortConfig struct {
	Name   string
	Fields []sonicdb.FieldValue // names cut at "@", values as they are
	// HasAdmin is set if the port's row in APPL_DB had admin_status before anything was
	// produced. PortInitDone does not wait for such a port.
	HasAdmin bool
}

// Produce is the time at which the configuration is written for orchagent.
type Produce uint8

// The times to produce.
const (
	ProduceAtOnce    Produce = iota
	ProduceAfterEOIU         // once the end of the initial dump has been compared
	ProduceNever             // orchagent has the configuration
)

// Decision is how the daemon starts.
type Decision struct {
	Kind         StartKind
	Reason       string // why this kind, for the log
	RestoreCount string // to be written to WARM_RESTART_TABLE|portsyncd
	// KeepLinks is set if existing interfaces are used as in a warm start. Otherwise those of
	// front-panel ports are set down and ignored (PROTOCOL.md section 6).
	KeepLinks bool
	Produce   Produce
	// Sweep is set if STATE_DB may have rows of interfaces that vanished before the start.
	Sweep bool
	Await []string // ports that are pending before PortInitDone
}

// Requested reports whether the start is a warm restart that SONiC requested, not a warm start
// from the saved state.
func (d *Decision) Requested() bool { return d.Kind == WarmStart && d.Produce == ProduceNever }

// Decide follows PROTOCOL.md sections 5 to 7. The databases decide what happens to the interfaces.
// A state file alone never causes a warm start after the databases were flushed, since no port
// would be created. A lost state file never sets the ports of a running system down.
// PortInitDone in APPL_DB before anything was produced means that only this process was
// restarted (defect D6).
func Decide(f Facts) Decision {
	count, counted := parseRestoreCount(f.RestoreCount)
	if f.WarmEnabled && counted {
		d := Decision{Kind: WarmStart, Reason: "SONiC requested a warm restart",
			KeepLinks: true, Produce: ProduceNever, Sweep: true}
		d.RestoreCount = strconv.FormatUint(uint64(count+1), 10)
		for _, p := range f.Ports {
			d.Await = append(d.Await, p.Name)
		}
		return d
	}
	d := Decision{Kind: ColdStart, RestoreCount: "0", Reason: f.reason()}
	switch {
	case f.InitDone && f.Remembered:
		d.Kind, d.Produce, d.KeepLinks, d.Sweep = WarmStart, ProduceAfterEOIU, true, true
	case f.InitDone:
		d.KeepLinks, d.Sweep = true, true
	case f.SwitchType == "dpu":
		d.KeepLinks = true
	}
	for _, p := range f.Ports {
		if !p.HasAdmin {
			d.Await = append(d.Await, p.Name)
		}
	}
	return d
}

// reason returns why a start is not a warm restart requested by SONiC, and what decides on it.
func (f *Facts) reason() string {
	reason := "SONiC did not request a warm restart"
	switch {
	case f.WarmEnabled && f.RestoreCount == "":
		reason = "SONiC requested a warm restart, but there is no restore_count"
	case f.WarmEnabled:
		reason = "SONiC requested a warm restart, but restore_count is not a number"
	case f.InitDone:
		reason = "only portsyncd was restarted"
	}
	switch {
	case f.InitDone && f.Remembered:
		return reason + "; its saved state is used"
	case f.InitDone && f.NoStateFile:
		return reason + "; warm_restart.enabled is false"
	case f.InitDone:
		return reason + "; it has no saved state of this boot"
	case f.SwitchType == "dpu":
		return reason + "; switch_type is dpu, so interfaces are kept"
	}
	return reason
}

// parseRestoreCount parses an unsigned decimal of 32 bits. Any other text counts as absent
// (defect D12).
func parseRestoreCount(s string) (n uint32, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil
}
