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

// missingAfter is the default of Options.MissingAfter.
const missingAfter = 2 * time.Second

// Settings are the options that a reload of the configuration can change.
type Settings struct {
	AuditInterval time.Duration // between audits; 0: no audits
	MaxStall      time.Duration // limit of a backlog without an answer; 0: no limit
	// MaxFailureRate is the share of failed exchanges with the databases in the last minute,
	// 0 to 1, above which the daemon is unhealthy. The lower bound of the measured share
	// (Wilson interval) is compared with it.
	MaxFailureRate float64
}

// Options are the inputs of a Loop.
type Options struct {
	Links       Links
	Existing    []OldLink                              // interfaces of front-panel ports that existed before the start
	SetDown     func(indexes []int32) (failed []error) // sets old interfaces down
	Open        *Connector
	Notifier    *systemd.Notifier
	Watchdog    time.Duration // watchdog timeout of the service manager; 0: none
	Log         *slog.Logger
	Status      *Status
	Metrics     *Metrics
	Recorder    Recorder         // nil: no state is saved
	Journal     *journal.Journal // records events; nil: none are recorded
	NoStateFile bool             // warm_restart.enabled is false
	EOIUTimeout time.Duration    // limit of the time to the end of the initial dump
	LateAfter   time.Duration    // time after the start at which PortInitDone is late; 0: 60 s
	// MissingAfter is the time that an interface may be absent before its port is missing;
	// 0: 2 s. A port breakout deletes rows and interfaces within a short time, in either
	// order, and an interface that is created again is absent meanwhile.
	MissingAfter time.Duration
	Settings
}
