package portsync

import (
	"log/slog"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/systemd"
)

// OldLink is an interface that existed when the process started.
type OldLink struct {
	Index int32
	Name  string
}

// missingAfter is the default value of Options.MissingAfter.
const missingAfter = 2 * time.Second

// Settings holds the options that a configuration reload can change.
type Settings struct {
	AuditInterval time.Duration // interval between audits; 0: no audits
	MaxStall      time.Duration // maximum time that the backlog may be stalled; 0: no limit
	// MaxFailureRate is the share of failed Redis requests in the last minute, 0 to 1, above
	// which the daemon is unhealthy. It is compared with the lower bound of the measured share
	// (Wilson score interval).
	MaxFailureRate float64
}

// Options holds the inputs of a Loop.
type Options struct {
	Links       Links
	Existing    []OldLink                              // interfaces of front-panel ports that existed before startup
	SetDown     func(indexes []int32) (failed []error) // brings old interfaces down
	Open        *Connector
	Notifier    *systemd.Notifier
	Watchdog    time.Duration // watchdog timeout of the service manager; 0: none
	Log         *slog.Logger
	Status      *Status
	Metrics     *Metrics
	Recorder    Recorder         // nil: no state is saved
	Journal     *journal.Journal // records events; nil: none are recorded
	NoStateFile bool             // warm_restart.enabled is false
	EOIUTimeout time.Duration    // time allowed for the initial dump
	LateAfter   time.Duration    // time after startup at which PortInitDone is late; 0: 60 s
	// MissingAfter is how long an interface may be absent before its port counts as missing. The
	// default is 2 s. A port breakout deletes rows and interfaces within a short time, in either
	// order, and a recreated interface is briefly absent.
	MissingAfter time.Duration
	Settings
}
