package portsync

import (
	"strconv"
	"strings"

	"portsyncd/internal/sonicdb"
)

// StartKind is what SONiC's databases make of a start.
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

// Facts is what the databases say before anything is written to them.
type Facts struct {
	SwitchType   string // DEVICE_METADATA|localhost switch_type; "" if absent
	WarmEnabled  bool   // WARM_RESTART_ENABLE_TABLE system or swss says "true"
	RestoreCount string // WARM_RESTART_TABLE|portsyncd restore_count; "" if absent
	InitDone     bool   // APPL_DB has the row PortInitDone
	Ports        []PortConfig
	PortErrors   []error // rows of CONFIG_DB PORT that cannot be read, each named

	// Remembered: a state file of this boot says what the ports were when this
	// process last ran, and warm starts by it are allowed.
	Remembered bool
	// NoStateFile: warm_restart.enabled is false, so there is no state file.
	NoStateFile bool
}

// PortConfig is one row of CONFIG_DB PORT.
type PortConfig struct {
	Name   string
	Fields []sonicdb.FieldValue // names cut at "@", values as they are
	// HasAdmin: before anything was produced its row in APPL_DB had the field
	// admin_status, so that PortInitDone need not wait for it.
	HasAdmin bool
}

// Produce says when the configuration is handed over to orchagent.
type Produce uint8

// The times to produce.
const (
	ProduceAtOnce    Produce = iota
	ProduceAfterEOIU         // once the end of the initial dump has been compared
	ProduceNever             // orchagent has it
)

// Decision is how the daemon starts.
type Decision struct {
	Kind         StartKind
	Reason       string // why this kind, for the log
	RestoreCount string // to be written to WARM_RESTART_TABLE|portsyncd
	// KeepLinks: interfaces that exist are served as in a warm start. Otherwise
	// those named Ethernet... are set down and ignored (PROTOCOL.md section 6).
	KeepLinks bool
	Produce   Produce
	// Sweep: STATE_DB may have rows of interfaces that vanished while we were away.
	Sweep bool
	Await []string // ports that PortInitDone waits for
}

// Requested reports whether SONiC requested a warm restart and gets one, as opposed
// to a warm start by the saved state.
func (d *Decision) Requested() bool { return d.Kind == WarmStart && d.Produce == ProduceNever }

// Decide follows PROTOCOL.md sections 5 to 7. SONiC's databases decide what
// happens to the interfaces: a file alone never causes a warm start where they
// were flushed, since then no port would be created; and a lost file never takes
// the ports of a running system down. PortInitDone in APPL_DB before anything
// was produced means that this process alone was restarted (defect D6).
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

// reason says why a start is not the warm start that SONiC can request, and what
// decides instead.
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

// parseRestoreCount reads a plain decimal of 32 bits; anything else counts as
// absent (defect D12).
func parseRestoreCount(s string) (n uint32, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil
}
