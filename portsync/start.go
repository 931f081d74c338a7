package portsync

import (
	"strconv"
	"strings"

	"portsyncd/internal/sonicdb"
)

// StartKind is the kind of a start: cold or warm.
type StartKind uint8

// Kinds of start.
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

// Facts holds the values on which the start decision depends. They are read before anything is
// written.
type Facts struct {
	SwitchType   string // DEVICE_METADATA|localhost switch_type; "" if absent
	WarmEnabled  bool   // WARM_RESTART_ENABLE_TABLE has enable=true for system or swss
	RestoreCount string // WARM_RESTART_TABLE|portsyncd restore_count; "" if absent
	InitDone     bool   // APPL_DB has the row PortInitDone
	Ports        []PortConfig
	PortErrors   []error // one error per row of CONFIG_DB PORT that cannot be read

	// Remembered is set if the state file has the ports of the previous process of this boot and
	// may be used for a warm start.
	Remembered bool
	// NoStateFile is set if warm_restart.enabled is false.
	NoStateFile bool
}

// PortConfig is one row of CONFIG_DB PORT.
type PortConfig struct {
	Name   string
	Fields []sonicdb.FieldValue // names truncated at "@", values unchanged
	// HasAdmin is set if the port's row in APPL_DB had admin_status before the daemon wrote
	// anything. PortInitDone does not wait for such a port.
	HasAdmin bool
}

// Produce specifies when the port configuration is written to APPL_DB for orchagent.
type Produce uint8

// Values of Produce.
const (
	ProduceAtOnce    Produce = iota
	ProduceAfterEOIU         // after the initial dump has been compared with STATE_DB
	ProduceNever             // orchagent already has the configuration
)

// Decision describes how the daemon starts.
type Decision struct {
	Kind         StartKind
	Reason       string // reason for Kind, for the log
	RestoreCount string // to be written to WARM_RESTART_TABLE|portsyncd
	// KeepLinks is set if existing interfaces are used, as in a warm start. Otherwise interfaces of
	// front-panel ports are brought down and ignored (PROTOCOL.md section 6).
	KeepLinks bool
	Produce   Produce
	// Sweep is set if STATE_DB may have rows of interfaces that vanished before startup.
	Sweep bool
	Await []string // ports that are pending before PortInitDone
}

// dependsOnState reports whether the decision depends on Remembered.
func (f *Facts) dependsOnState() bool {
	_, counted := parseRestoreCount(f.RestoreCount)
	return f.InitDone && !(f.WarmEnabled && counted)
}

// Requested reports whether the start is a warm restart requested by SONiC, as opposed to a warm
// start from the saved state.
func (d *Decision) Requested() bool { return d.Kind == WarmStart && d.Produce == ProduceNever }

// Decide returns the start decision according to PROTOCOL.md sections 5 to 7. Only the databases
// determine whether existing interfaces are kept. A state file alone does not cause a warm start
// after the databases were flushed, since no port would be created. A missing state file does not
// cause the ports of a running system to be brought down. PortInitDone in APPL_DB before the daemon
// wrote anything means that only this process was restarted (defect D6).
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

// reason returns why a start is not a warm restart requested by SONiC, and which fact determines
// the kind of start.
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

// parseRestoreCount parses an unsigned 32-bit decimal number. Any other text is treated as absent
// (defect D12).
func parseRestoreCount(s string) (n uint32, ok bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 32)
	return uint32(v), err == nil
}
