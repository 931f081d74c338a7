package statusview

import (
	"fmt"
	"math/rand/v2"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// noon is the time of the fixtures of pages.
var noon = time.Date(2026, 3, 14, 12, 0, 5, 0, time.UTC)

// ago returns the time d before noon.
func ago(d time.Duration) time.Time { return noon.Add(-d) }

// at returns a pointer to t.
func at(t time.Time) *time.Time { return &t }

// switchStatus returns the status of a switch with n ports in all states.
func switchStatus(n int) *Status {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	s := &Status{
		Schema: StatusSchema, Time: noon, Version: "0.2.0", Host: "leaf-14", PID: 812, Process: ago(51 * time.Hour),
		Health: portsync.Health{Status: portsync.Degraded, Score: 65, Since: ago(4 * time.Minute), Reasons: []portsync.HealthReason{
			{Code: "port_init_late", Severity: portsync.Degraded, Deduction: 20, Text: "PortInitDone is late; pending ports: 2", Since: ago(4 * time.Minute)},
			{Code: "disk", Severity: portsync.Degraded, Deduction: 15, Text: "cannot write the metrics: no space left on device", Since: ago(90 * time.Second)},
		}},
		View: portsync.View{
			Start: portsync.StartView{Kind: warmrestart.Warm, Reason: "only portsyncd was restarted; its saved state is used",
				Ready: true, SyncNanos: 41_300_000, ConfigDone: true, LastResync: at(ago(51 * time.Hour)), LastAudit: at(ago(20 * time.Second))},
			Databases: []portsync.DatabaseView{
				{Name: "APPL_DB", Address: "unix:/var/run/redis/redis.sock", Up: true, Since: ago(51 * time.Hour)},
				{Name: "STATE_DB", Address: "unix:/var/run/redis/redis.sock", Up: true, Since: ago(51 * time.Hour)},
				{Name: "CONFIG_DB", Address: "unix:/var/run/redis/redis.sock", Up: true, Since: ago(51 * time.Hour)},
			},
			Counts: portsync.CountsView{Configured: int64(n), Events: 1_204_113, Writes: 604_220, Resyncs: 3, Repairs: 1, LastWritten: at(ago(3 * time.Second))},
		},
	}
	for i := range n {
		p := portsync.PortView{Name: fmt.Sprintf("Ethernet%d", 4*i), State: "present", Present: true, Written: true, Admin: "up", Oper: "up", MTU: 9100, Index: int64(i + 3),
			CarrierUp: 1, LastChange: at(ago(time.Duration(random.IntN(200_000)) * time.Second))}
		switch {
		case i%32 == 11:
			p = portsync.PortView{Name: p.Name, InitPending: true}
			s.Pending = append(s.Pending, portsync.Pending{What: p.Name, Why: "it has no interface", From: ago(4 * time.Minute)})
		case i%16 == 5:
			p.Oper, p.CarrierDown = "down", 1
		case i%8 == 7:
			p.Oper, p.Admin, p.MTU = "down", "down", 1500
		case i%32 == 20:
			p.CarrierUp, p.CarrierDown, p.Flapping, p.Penalty = 412, 411, true, 3480
		}
		if p.Oper == "up" {
			s.Counts.Up++
		}
		if p.Present {
			s.Counts.Present++
		} else {
			s.Counts.Pending++
		}
		s.Ports = append(s.Ports, p)
	}
	for i := range 60 {
		m := portsync.Minute{From: ago(time.Duration(60-i) * time.Minute).Truncate(time.Minute)}
		if i%13 != 4 {
			m.Events = uint64(random.ExpFloat64() * 40)
		}
		if m.Writes = m.Events / 2; m.Writes > 0 {
			m.P50 = int64(350_000 * (0.8 + 0.4*random.Float64()))
			m.P99 = m.P50 * int64(2+random.IntN(9))
			m.Max = m.P99 * 2
		}
		s.Hour = append(s.Hour, m)
	}
	for i := range 20 {
		e := journal.Event{Time: ago(time.Duration(20-i) * 17 * time.Second), Seq: uint64(i + 1), Kind: journal.LinkDown, Port: "Ethernet20",
			Oper: journal.Down, Flaps: 1, After: 3 * time.Hour}
		switch i % 5 {
		case 1:
			e.Kind, e.Oper, e.After = journal.LinkUp, journal.Up, 17*time.Second
		case 2:
			e.Kind, e.Oper, e.Flaps, e.Span = journal.Flapping, journal.Up, 214, 10*time.Second
		case 3:
			e = journal.Event{Time: e.Time, Seq: e.Seq, Kind: journal.Health, Old: portsync.Healthy, New: portsync.Degraded, Reason: "cannot write the metrics: no space left on device"}
		}
		s.Events = append(s.Events, e)
	}
	for i := range 14 {
		r := warmrestart.Restart{At: ago(time.Duration(14-i) * 51 * time.Hour), Kind: warmrestart.Warm, EOIU: true, Compared: n, Changed: random.IntN(4),
			Reason: "only portsyncd was restarted; its saved state is used", Duration: time.Duration(30e6 * (0.7 + random.ExpFloat64())), EOIULatency: 9 * time.Millisecond}
		r.Process = r.At.Add(-20 * time.Millisecond)
		r.LastAlive = r.Process.Add(-time.Duration(random.IntN(3000)) * time.Millisecond)
		switch i {
		case 0, 8:
			r.Kind, r.Reason = warmrestart.Cold, "SONiC did not request a warm restart"
		case 5:
			r.TimedOut, r.EOIU, r.Duration, r.EOIULatency = true, false, 10*time.Second, 0
		}
		s.Restarts = append(s.Restarts, r)
	}
	return s
}
