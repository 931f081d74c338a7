package portsync

import "time"

// View is what the daemon tells people about its work, at one moment. It is made
// of atomics: taking it disturbs nothing.
type View struct {
	Start     StartView      `json:"start"`
	Ports     []PortView     `json:"ports"`     // natural order of names
	Pending   []Pending      `json:"pending"`   // what is waited for, and for how long
	Databases []DatabaseView `json:"databases"` // APPL_DB, STATE_DB, CONFIG_DB
	Backlog   BacklogView    `json:"backlog"`
	Counts    CountsView     `json:"counts"`
	Hour      []Minute       `json:"hour"` // the last hour, oldest first
}

// StartView is how the process started.
type StartView struct {
	Kind       string     `json:"kind"`   // "cold", "warm"; "" until it is decided
	Reason     string     `json:"reason"` // why that kind
	Ready      bool       `json:"ready"`  // the initial sync is over
	SyncNanos  int64      `json:"sync_ns"`
	ConfigDone bool       `json:"port_config_done"`
	InitDone   bool       `json:"port_init_done"`
	LastResync *time.Time `json:"last_resync"` // end of the last dump that was asked for
	LastAudit  *time.Time `json:"last_audit"`
}

// PortView is one port.
type PortView struct {
	Name        string     `json:"name"`
	Present     bool       `json:"present"`
	Awaited     bool       `json:"awaited"` // PortInitDone waits for it
	Admin       string     `json:"admin,omitempty"`
	Oper        string     `json:"oper,omitempty"`
	MTU         int64      `json:"mtu,omitempty"`
	Index       int64      `json:"ifindex,omitempty"`
	CarrierUp   int64      `json:"carrier_up"`
	CarrierDown int64      `json:"carrier_down"`
	LastChange  *time.Time `json:"last_change"`
	Penalty     float64    `json:"penalty"`  // figure of merit of its flapping, decayed to this moment
	Flapping    bool       `json:"flapping"` // the penalty says so; it suppresses nothing
}

// Pending is one thing that is waited for.
type Pending struct {
	What string    `json:"what"` // a port's name, "PortInitDone", "databases", "kernel", "write"
	Why  string    `json:"why"`
	From time.Time `json:"from"`
}

// DatabaseView is one database.
type DatabaseView struct {
	Name    string    `json:"name"`
	Address string    `json:"address"`
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"` // of Up, or of its loss
	Error   string    `json:"error,omitempty"`
}

// BacklogView is work that waits.
type BacklogView struct {
	Ports       int64   `json:"ports"`  // rows to write
	Events      int64   `json:"events"` // messages read and not decided on
	WaitSeconds float64 `json:"wait_seconds"`
}

// CountsView are totals since the process began.
type CountsView struct {
	Configured  int64      `json:"ports_configured"`
	Present     int64      `json:"ports_present"`
	Up          int64      `json:"ports_up"`
	Awaited     int64      `json:"ports_pending"`
	Events      uint64     `json:"events"`
	Writes      uint64     `json:"writes"`
	Resyncs     uint64     `json:"resyncs"`
	Repairs     uint64     `json:"repairs"`
	Mismatches  uint64     `json:"audit_mismatches"`
	Overruns    uint64     `json:"overruns"`
	Reconnects  uint64     `json:"reconnects"`
	LastWritten *time.Time `json:"last_progress"`
}

// Minute is what happened in one minute. P50 and P99 are the upper bounds of the
// buckets they fall into, which are at most an eighth wide; both are 0 without
// writes.
type Minute struct {
	From   time.Time `json:"from"`
	Events uint64    `json:"events"`
	Writes uint64    `json:"writes"`
	P50    int64     `json:"p50_ns"`
	P99    int64     `json:"p99_ns"`
	Max    int64     `json:"max_ns"`
}
