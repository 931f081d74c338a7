package portsync

import (
	"log/slog"
	"time"

	"portsyncd/systemd"
)

// OldLink is an interface that existed when the process started.
type OldLink struct {
	Index int32
	Name  string
}

// missingAfter is the default of Options.MissingAfter.
const missingAfter = 2 * time.Second

// Settings are what a reload of the configuration can change.
type Settings struct {
	AuditInterval time.Duration // between two comparisons of STATE_DB with the kernel; 0: none
	MaxStall      time.Duration // work may wait that long before the loop counts as stuck
	// MaxFailureRate is the share of exchanges with the databases, 0 to 1, above
	// which the daemon is unhealthy: over the last minute, and judged by what the
	// rate is at least where there were few.
	MaxFailureRate float64
}

// Options is what a Loop is made of.
type Options struct {
	Links       Links
	Existing    []OldLink                              // interfaces Ethernet... that were there before us
	SetDown     func(indexes []int32) (failed []error) // takes old interfaces down
	Open        *Connector
	Notifier    *systemd.Notifier
	Watchdog    time.Duration // the service manager's patience; 0: it does not watch
	Log         *slog.Logger
	Status      *Status
	Metrics     *Metrics
	Recorder    Recorder      // nil: nothing is to survive
	NoStateFile bool          // warm_restart.enabled is false
	EOIUTimeout time.Duration // for the end of the initial dump
	LateAfter   time.Duration // so long after the start PortInitDone is late; 0: 60 s
	// MissingAfter is how long an interface that was there may be absent before its
	// port counts as missing; 0: 2 s. A port breakout deletes rows and interfaces
	// shortly after each other, in either order, and an interface that is made again
	// with other properties is absent for a moment.
	MissingAfter time.Duration
	Settings
}
