package portsync

import (
	"strings"
	"testing"

	"portsyncd/internal/sonicdb"
	"portsyncd/netlinkraw"
)

// TestRefusedRowIsTold: a row that STATE_DB refuses for good is a refusal until it is
// written or its interface is gone, whatever else the databases do meanwhile.
func TestRefusedRowIsTold(t *testing.T) {
	a := newRig(t, "Ethernet0", "Ethernet4")
	told := func(when, want string) {
		t.Helper()
		got := a.status.refusal.Load()
		if want == "" && got != nil {
			t.Errorf("%s: told %q", when, *got)
		}
		if want != "" && (got == nil || !strings.Contains(*got, want) || !strings.Contains(*got, "WRONGTYPE")) {
			t.Errorf("%s: told %v, want %q with the words of the server", when, got, want)
		}
	}
	a.spoilRow("Ethernet0")
	a.spoilRow("Ethernet4")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1500)
	a.link(netlinkraw.NewLink, 6, "Ethernet4", 1500)
	a.turn()
	told("two rows are refused", "rows of Ethernet0, Ethernet4: ")
	a.loop.db.check(nil)
	a.turn()
	told("the databases do something else", "rows of Ethernet0, Ethernet4: ")
	a.removeRow("Ethernet0")
	a.link(netlinkraw.NewLink, 5, "Ethernet0", 1600)
	a.turn()
	told("one of them is written", "rows of Ethernet4: ")
	a.link(netlinkraw.DelLink, 6, "Ethernet4", 1500)
	a.turn()
	told("the interface of the other is gone", "")
}

// TestRefusal: what the server or its operator may permit soon is tried again soon, a row
// of another type later.
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
