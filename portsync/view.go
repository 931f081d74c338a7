package portsync

import (
	"fmt"
	"time"
)

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

// Pending is one thing that is waited for.
type Pending struct {
	What    string    `json:"what"`               // a port's name, "start", "PortInitDone", "databases", "kernel", "write"
	WhatHex string    `json:"what_hex,omitempty"` // likewise
	Why     string    `json:"why"`
	From    time.Time `json:"from"`
}

// DatabaseView is one database. They are up together: the loop works with all of
// them or with none, and the error says which one it was.
type DatabaseView struct {
	Name    string    `json:"name"`
	Address string    `json:"address"` // "unix:" and a path, or host:port; "" while it is not known
	Up      bool      `json:"up"`
	Since   time.Time `json:"since"`           // of Up, or of its loss
	Error   string    `json:"error,omitempty"` // the last, while it is not up
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
	Pending     int64      `json:"ports_pending"`
	Events      uint64     `json:"events"`
	Writes      uint64     `json:"writes"`
	Resyncs     uint64     `json:"resyncs"`
	Repairs     uint64     `json:"repairs"`
	Mismatches  uint64     `json:"audit_mismatches"`
	Overruns    uint64     `json:"overruns"`
	Reconnects  uint64     `json:"reconnects"`
	LastWritten *time.Time `json:"last_write"`    // when STATE_DB last acknowledged a write or deletion of a row
	Progress    *time.Time `json:"last_progress"` // when the databases last did anything that was asked of them
}

// Minute is what happened in one minute. P50 and P99 are the upper bounds of the
// buckets they fall into, which are at most an eighth wide, and no more than Max;
// all are 0 without writes.
type Minute struct {
	From   time.Time `json:"from"`
	Events uint64    `json:"events"`
	Writes uint64    `json:"writes"`
	P50    int64     `json:"p50_ns"`
	P99    int64     `json:"p99_ns"`
	Max    int64     `json:"max_ns"`
}

// View returns the view at a time of day. It may be called from any goroutine,
// at any time.
func (s *Status) View(now time.Time) View {
	at := s.clock.reading(now)
	c := s.databases()
	v := View{
		Start:     s.startView(),
		Ports:     s.Ports(now),
		Pending:   s.pending(&c),
		Databases: c.view(),
		Backlog: BacklogView{Ports: s.waiting.Load(), Events: s.queued.Load(),
			WaitSeconds: s.waited(at).Seconds()},
		Hour: []Minute{},
	}
	if s.metrics != nil {
		v.Counts = s.metrics.counts()
		v.Hour = s.metrics.latency.hour.view(s.clock, at)
	}
	if s.disabled { // nothing is connected and nothing is waited for, by intent
		v.Pending, v.Databases = []Pending{}, []DatabaseView{}
		v.Start.Reason = "daemon.enabled is false: ports are not synchronised"
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

// pending returns what is waited for: the cause of other waits before them, then
// port by port.
func (s *Status) pending(c *databases) []Pending {
	all := []Pending{}
	wait := func(what string, from time.Time, why string, args ...any) {
		all = append(all, Pending{What: what, Why: fmt.Sprintf(why, args...), From: from.UTC()})
	}
	begun := s.clock.base
	if !c.up {
		why := "no connection"
		if c.err != "" {
			why = c.err
		}
		wait("databases", c.since, "%s", why)
	}
	if c.up && !s.started.Load() {
		wait("start", begun, "the databases have not acknowledged what the start writes")
	}
	if s.started.Load() && !s.synced.Load() {
		wait("kernel", s.clock.time(s.unsynced.Load()), "its list of all links is not complete yet")
	}
	if from := s.waitingFrom.Load(); from != 0 {
		wait("write", s.clock.time(from), "%s still to be written", plural(s.waiting.Load(), "row is", "rows are"))
	}
	if s.decided.Load() != nil && !s.initDone.Load() {
		why := "it is about to be written"
		if n := s.initPending.Load(); n > 0 {
			why = "it waits for " + plural(n, "port", "ports")
		}
		wait("PortInitDone", begun, "%s", why)
	}
	for _, p := range s.ports.all() {
		pending := p.configured.Load() && PortState(p.state.Load()) == PortPending
		if p.initPending.Load() || pending {
			wait(p.name, s.clock.time(p.pendingSince.Load()), "%v", lack(p.lack.Load()))
		}
	}
	return all
}

// plural returns a number with the word for one or for several.
func plural(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, several)
}
