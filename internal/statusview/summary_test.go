package statusview

import (
	"testing"

	"portsyncd/portsync"
)

// TestSummaries checks that the states of the daemon and of the ports are summarized independently:
// a healthy daemon with ports down is in sync and has no score.
func TestSummaries(t *testing.T) {
	for _, c := range []struct {
		name          string
		daemon, ports word
		change        func(s *Status)
	}{
		{"all up", word{"in sync", good}, word{"4 of 4 up", good}, func(s *Status) {}},
		{"one down", word{"in sync", good}, word{"3 of 4 up", warn}, func(s *Status) { s.Ports[1].Oper = "down" }},
		{"one disabled", word{"in sync", good}, word{"3 of 4 up", good}, func(s *Status) { s.Ports[1].Oper, s.Ports[1].Admin = "down", "down" }},
		{"flapping", word{"in sync", good}, word{"4 of 4 up", warn}, func(s *Status) { s.Ports[1].Flapping = true }},
		{"unhealthy", word{"unhealthy, score 35 of 100", bad}, word{"4 of 4 up", good}, func(s *Status) {
			s.Health.Status, s.Health.Score = portsync.Unhealthy, 35
		}},
		{"starting", word{"initial sync in progress", warn}, word{"none", plain}, func(s *Status) { s.Start.Ready, s.Ports = false, nil }},
		{"backlog", word{"writing 1 row", plain}, word{"4 of 4 up", good}, func(s *Status) { s.Backlog.Ports = 1 }},
		{"disabled", word{"disabled", warn}, word{"4 of 4 up", good}, func(s *Status) { s.Health.Status = portsync.Disabled }},
	} {
		s := switchOf(4)
		c.change(s)
		if daemon, ports := s.daemonSummary(), s.portsSummary(); daemon != c.daemon || ports != c.ports {
			t.Errorf("%s: daemon %v, ports %v, want %v, %v", c.name, daemon, ports, c.daemon, c.ports)
		}
	}
}
