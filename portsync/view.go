package portsync

import (
	"fmt"
	"time"
)

// View is a snapshot of the loop's state, as shown by /status and the status page.
type View struct {
	Start     StartView      `json:"start"`
	Ports     []PortView     `json:"ports"`     // natural order of names
	Pending   []Pending      `json:"pending"`   // in the order of [Status.View]
	Databases []DatabaseView `json:"databases"` // APPL_DB, STATE_DB, CONFIG_DB
	Backlog   BacklogView    `json:"backlog"`
	Counts    CountsView     `json:"counts"`
	Hour      []Minute       `json:"hour"` // the last hour, oldest first
}

// StartView describes the startup of the process.
type StartView struct {
	Kind       string     `json:"kind"`    // "cold" or "warm"; "" before the decision
	Reason     string     `json:"reason"`  // reason for Kind
	Ready      bool       `json:"ready"`   // the initial sync is complete
	SyncNanos  int64      `json:"sync_ns"` // duration of the initial sync; 0 if not complete yet
	ConfigDone bool       `json:"port_config_done"`
	InitDone   bool       `json:"port_init_done"`
	LastResync *time.Time `json:"last_resync"` // end of the last resync
	LastAudit  *time.Time `json:"last_audit"`  // end of the last audit
}

// Pending is a pending operation or port.
type Pending struct {
	What    string    `json:"what"`               // "databases", "start", "kernel", "write", "PortInitDone", or the name of a port
	WhatHex string    `json:"what_hex,omitempty"` // like [PortView.NameHex]
	Why     string    `json:"why"`
	From    time.Time `json:"from"` // pending since
}

// DatabaseView describes the connection to one database. APPL_DB and STATE_DB are always connected
// or disconnected together, because the loop needs both.
type DatabaseView struct {
	Name    string    `json:"name"`
	Address string    `json:"address"` // "unix:" and a path, or host:port; "" if unknown
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`           // when Up last changed
	Error   string    `json:"error,omitempty"` // why the database is not up
}

// BacklogView describes the link messages and rows that are waiting to be processed.
type BacklogView struct {
	Ports       int64   `json:"ports"`        // number of rows to write
	Events      int64   `json:"events"`       // number of link messages read but not processed yet
	WaitSeconds float64 `json:"wait_seconds"` // age of the oldest row in the backlog
}

// CountsView holds the current number of ports in each state, and totals since the process started.
type CountsView struct {
	Configured int64 `json:"ports_configured"` // ports in the CONFIG_DB table PORT
	Present    int64 `json:"ports_present"`    // ports with an interface and a row in STATE_DB
	Up         int64 `json:"ports_up"`         // ports that are operationally up
	Pending    int64 `json:"ports_pending"`    // ports that PortInitDone waits for

	Events     uint64 `json:"events"`           // link messages processed
	Writes     uint64 `json:"writes"`           // acknowledged writes and deletions of rows in STATE_DB
	Resyncs    uint64 `json:"resyncs"`          // including the initial dump
	Repairs    uint64 `json:"repairs"`          // incorrect rows that a comparison found and that were repaired
	Mismatches uint64 `json:"audit_mismatches"` // mismatches that audits found
	Overruns   uint64 `json:"overruns"`         // times the kernel dropped link messages
	Reconnects uint64 `json:"reconnects"`       // reconnects to Redis after a lost connection

	LastWritten *time.Time `json:"last_write"`    // last acknowledged write or deletion of a row; nil if none
	Progress    *time.Time `json:"last_progress"` // last successful Redis request, reads included; nil if none
}

// Minute holds the counts and write latencies of one minute. P50 and P99 are upper bounds of histogram
// buckets: they are at most 12.5% above the exact value and never above Max. P50, P99 and Max are in
// nanoseconds, and 0 if there were no writes.
type Minute struct {
	From   time.Time `json:"from"`
	Events uint64    `json:"events"` // link messages processed
	Writes uint64    `json:"writes"` // acknowledged writes and deletions of rows
	P50    int64     `json:"p50_ns"`
	P99    int64     `json:"p99_ns"`
	Max    int64     `json:"max_ns"`
}

// View returns the state at now, which should be the current time. It reads only atomics and may be
// called from any goroutine.
func (s *Status) View(now time.Time) View {
	at := s.clock.reading(now)
	c := s.databases()
	v := View{
		Start:     s.startView(),
		Ports:     s.Ports(now),
		Pending:   s.pending(&c),
		Databases: c.view(),
		Backlog: BacklogView{Ports: s.backlog.Load(), Events: s.queued(),
			WaitSeconds: s.backlogAge(at).Seconds()},
		Hour: []Minute{},
	}
	if s.metrics != nil {
		v.Counts = s.metrics.counts()
		v.Hour = s.metrics.latency.hour.view(s.clock, at)
	}
	if s.disabled { // nothing is connected or pending, as configured
		v.Pending, v.Databases = []Pending{}, []DatabaseView{}
		v.Start.Reason = "daemon.enabled is false: ports are not synchronized"
	}
	v.Counts.Configured, v.Counts.Pending = s.configured.Load(), s.initPending.Load()
	v.Counts.LastWritten = s.clock.moment(s.wroteAt.Load())
	v.Counts.Progress = s.clock.moment(s.progress.Load())
	n := s.ports.count()
	v.Counts.Present, v.Counts.Up = n.Present, n.Up
	return v
}

func (s *Status) startView() StartView {
	v := StartView{
		Ready: s.ready.Load(), SyncNanos: s.syncTook.Load(),
		ConfigDone: s.configDone.Load(), InitDone: s.initDone.Load(),
		LastResync: s.clock.moment(s.resynced.Load()), LastAudit: s.clock.moment(s.audited.Load()),
	}
	if d := s.decided.Load(); d != nil {
		v.Kind, v.Reason = d.Kind.String(), d.Reason
	}
	return v
}

// pending returns the pending operations, beginning with those that delay other operations,
// followed by the pending ports.
func (s *Status) pending(c *databases) []Pending {
	all := []Pending{}
	add := func(what string, from time.Time, why string, args ...any) {
		all = append(all, Pending{What: what, Why: fmt.Sprintf(why, args...), From: from.UTC()})
	}
	processStart := s.clock.base
	if !c.up {
		why := "no connection"
		if c.err != "" {
			why = c.err
		}
		add("databases", c.since, "%s", why)
	}
	if c.up && !s.started.Load() {
		add("start", processStart, "the databases have not acknowledged the first writes yet")
	}
	if s.started.Load() && !s.synced.Load() {
		add("kernel", s.clock.time(s.unsynced.Load()), "the dump of all links is not complete")
	}
	if from := s.backlogSince.Load(); from != 0 {
		add("write", s.clock.time(from), "%s to be written", plural(s.backlog.Load(), "row", "rows"))
	}
	if s.decided.Load() != nil && !s.initDone.Load() {
		why := "about to be written"
		if n := s.initPending.Load(); n > 0 {
			why = plural(n, "port", "ports") + " pending"
		} else if !s.ready.Load() {
			why = "the initial sync is not complete"
		}
		add("PortInitDone", processStart, "%s", why)
	}
	for _, p := range s.ports.all() {
		pending := p.configured.Load() && PortState(p.state.Load()) == PortPending
		if p.initPending.Load() || pending {
			add(p.name, s.clock.time(p.pendingSince.Load()), "%v", lack(p.lack.Load()))
		}
	}
	return all
}

// plural formats n with the noun one if n is 1, or several otherwise.
func plural(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
