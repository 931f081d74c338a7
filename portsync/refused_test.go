package portsync

import (
	"strings"
	"testing"

	"portsyncd/internal/sonicdb"
	"portsyncd/netlinkraw"
)

// TestRefusedRowIsShown checks that a permanently refused row is shown as a refusal until it is
// written or its interface is gone, whatever other requests succeed in the meantime.
func TestRefusedRowIsShown(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	shown := func(when, want string) {
		t.Helper()
		got := a.status.refusal.Load()
		if want == "" && got != nil {
			t.Errorf("%s: shown %q, want none", when, *got)
		}
		if want != "" && (got == nil || !strings.Contains(*got, want) || !strings.Contains(*got, "WRONGTYPE")) {
			t.Errorf("%s: shown %v, want %q with the error of the server", when, got, want)
		}
	}
	a.spoilRow("Ethernet0")
	a.spoilRow("Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 6, "Ethernet4", 1500)
	a.turn()
	shown("two rows are refused", "rows of Ethernet0, Ethernet4: ")
	a.loop.db.check(nil)
	a.turn()
	shown("another request succeeds", "rows of Ethernet0, Ethernet4: ")
	a.removeRow("Ethernet0")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1600)
	a.turn()
	shown("one of them is written", "rows of Ethernet4: ")
	a.link(netlinkraw.DelLink, 6, "Ethernet4", 1500)
	a.turn()
	shown("the interface of the other is gone", "")
}

// TestRefusal checks which errors are retried soon and which count as permanent.
func TestRefusal(t *testing.T) {
	for err, want := range map[sonicdb.ServerError]Outcome{
		"OOM command not allowed": OutcomeFailed,
		"ERR The user executing the script can't run this command or subcommand": OutcomeFailed,
		"WRONGTYPE no hash": OutcomeRefused,
	} {
		if got := refusal(err); got != want {
			t.Errorf("%v: outcome %v, want %v", err, got, want)
		}
	}
}
