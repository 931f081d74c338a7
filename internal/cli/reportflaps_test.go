package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/statusview"
)

// TestFlapMinutes checks that the report sums the flaps of the stored events by minute and port, the
// worst first, and leaves out older events.
func TestFlapMinutes(t *testing.T) {
	dir, minute := t.TempDir(), time.Date(2026, 11, 24, 3, 4, 0, 0, time.UTC)
	var text []byte
	for i, e := range []journal.Event{
		{Time: minute.Add(-time.Hour), Port: "Ethernet0", Kind: journal.LinkDown, Flaps: 100},
		{Time: minute, Port: "Ethernet0", Kind: journal.LinkDown, Flaps: 1},
		{Time: minute.Add(time.Second), Port: "Ethernet0", Kind: journal.LinkUp},
		{Time: minute.Add(59 * time.Second), Port: "Ethernet4", Kind: journal.Flapping, Flaps: 30},
		{Time: minute.Add(time.Minute), Port: "Ethernet0", Kind: journal.LinkDown, Flaps: 1},
		{Time: minute.Add(2 * time.Minute), Kind: journal.Overrun},
	} {
		e.Seq = uint64(i + 1)
		text = append(e.AppendJSON(text), '\n')
	}
	if err := os.WriteFile(filepath.Join(dir, journal.FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	got, problems, err := flapMinutes(dir, minute)
	want := []statusview.FlapMinute{
		{Time: minute, Flaps: 31, PortCount: 2, Ports: []statusview.PortFlaps{{Port: "Ethernet4", Flaps: 30}, {Port: "Ethernet0", Flaps: 1}}},
		{Time: minute.Add(time.Minute), Flaps: 1, PortCount: 1, Ports: []statusview.PortFlaps{{Port: "Ethernet0", Flaps: 1}}},
	}
	if err != nil || len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %q, %v; want %+v", got, problems, err, want)
	}
}
