package statusview

import (
	"fmt"

	"portsyncd/portsync"
)

// daemonSummary returns the state of the daemon in a few words: "in sync", or the health state with
// its score. The score is omitted if it is 100, because it does not rate the ports.
func (s *Status) daemonSummary() word {
	h := &s.Health
	switch {
	case h.Status == portsync.Disabled:
		return word{h.Status, warn}
	case h.Status != portsync.Healthy:
		return word{fmt.Sprintf("%s, score %d of 100", Visible(h.Status, false), h.Score), healthStyle(h.Status)}
	case !s.Start.Ready:
		return word{"initial sync in progress", warn}
	case s.Backlog.Ports > 0:
		return word{"writing " + count(unsigned(s.Backlog.Ports), "row", "rows"), plain}
	}
	return word{"in sync", good}
}

// portsSummary returns how many of the ports are up. Its style is warn if a port needs attention;
// administratively disabled ports do not.
func (s *Status) portsSummary() word {
	if len(s.Ports) == 0 {
		return word{"none", plain}
	}
	up, st := 0, good
	for i := range s.Ports {
		up += bit(s.Ports[i].Oper == linkUp)
		if issueOf(&s.Ports[i]) != noIssue {
			st = warn
		}
	}
	return word{grouped(up) + " of " + grouped(len(s.Ports)) + " up", st}
}
