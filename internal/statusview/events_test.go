package statusview

import (
	"testing"
	"time"

	"portsyncd/internal/journal"
)

// TestAppendEvents checks the lines of events: columns, colors, the zone, and that hostile names
// and reasons are escaped.
func TestAppendEvents(t *testing.T) {
	at := time.Date(2026, 11, 27, 3, 4, 5, 678e6, time.UTC)
	events := []journal.Event{
		{Time: at, Kind: journal.LinkDown, Port: "Ethernet48", After: 3 * time.Hour},
		{Time: at, Kind: journal.RedisLost, Reason: "\x1b[2J\nEOF"},
		{Time: at, Kind: journal.Renamed, Port: "Ethernet\x07\xff", Old: `Ethernet\7`},
		{Time: at, Kind: journal.Health, Old: "healthy", New: "degraded", Reason: "a long reason that does not fit into eighty columns is not broken, so that grep finds it"},
	}
	want := `2026-11-27 03:04:05.678  Ethernet48      link down after 3h up
2026-11-27 03:04:05.678  -               redis lost: \x1b[2J\x0aEOF
2026-11-27 03:04:05.678  Ethernet\x07\xff renamed from Ethernet\\7
2026-11-27 03:04:05.678  -               health healthy to degraded: a long reason that does not fit into eighty columns is not broken, so that grep finds it
`
	if got := string(AppendEvents(nil, events, Terminal{})); got != want {
		t.Errorf("events are\n%swant\n%s", got, want)
	}
	zone := time.FixedZone("", 3600)
	want = "\x1b[2m2026-11-27 04:04:05.678\x1b[0m  \x1b[1mEthernet48\x1b[0m      \x1b[1;31mlink down after 3h up\x1b[0m\n"
	if got := string(AppendEvents(nil, events[:1], Terminal{Color: true, Zone: zone})); got != want {
		t.Errorf("in color the event is %q, want %q", got, want)
	}
}
