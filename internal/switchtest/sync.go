package switchtest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/netlinkraw"
)

// SyncTimeout is the guaranteed time from the end of a fault until STATE_DB matches the kernel. It
// is longer under the race detector.
const SyncTimeout = time.Second * RaceFactor

// AwaitInSync waits until STATE_DB matches the kernel, checks that it still does 150 ms later, and
// returns how long it took. The limit is restarted whenever the kernel changes a link, which can
// happen up to a second after a carrier change.
func (sw *Switch) AwaitInSync(limit time.Duration) (longest time.Duration) {
	sw.T.Helper()
	const stays = 150 * time.Millisecond
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	watch, kernel := StartStopwatch(), ""
	var since time.Time // when the agreement began; zero without agreement
	for {
		links, problem := sw.OutOfSync()
		now := time.Now()
		if links != kernel {
			if kernel != "" {
				watch = StartStopwatch()
			}
			kernel = links
		}
		switch {
		case problem != "" && watch.Left(limit) <= 0:
			sw.T.Fatalf("not within %v: %s", limit, problem)
		case problem != "":
			since = time.Time{}
		case since.IsZero():
			since, longest = now, max(longest, now.Sub(watch.Begin))
		case now.Sub(since) > stays:
			return longest
		}
		<-tick.C
	}
}

// AwaitRecovery checks that STATE_DB matches the kernel within SyncTimeout, and waits until all
// HTTP documents show the current port states. from names the fault in log messages.
func (sw *Switch) AwaitRecovery(from string) {
	sw.T.Helper()
	sw.T.Logf("%s: in sync after %v", from, sw.AwaitInSync(SyncTimeout).Round(time.Millisecond))
	sw.AwaitReportedPorts()
}

// OutOfSync compares STATE_DB with the kernel's links. It returns the links as text, and the
// differences, or "" if there are none. Every port in APPL_DB must have its row, and every row
// written by the daemon must have an interface. IgnoredLinks are excluded.
func (sw *Switch) OutOfSync() (links, problem string) {
	sw.T.Helper()
	want := make(map[string]map[string]string)
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if strings.HasPrefix(string(l.Name), "Ethernet") && !sw.IgnoredLinks[l.Index] {
			want[string(l.Name)] = map[string]string{
				"state":              "ok",
				"admin_status":       UpOrDown(l.Flags&unix.IFF_UP != 0),
				"netdev_oper_status": UpOrDown(l.Flags&unix.IFF_RUNNING != 0),
				"mtu":                strconv.Itoa(int(l.MTU)),
			}
		}
	})
	sw.NoError("list the links", err)
	keys, err := sw.Conn("STATE_DB").Keys("PORT_TABLE|*")
	sw.NoError("list the rows", err)
	rows, err := sw.Conn("STATE_DB").HGetAllMany(keys)
	sw.NoError("read the rows", err)
	var wrong []string
	have := make(map[string]map[string]string)
	for _, row := range rows {
		name := strings.TrimPrefix(row.Key, "PORT_TABLE|")
		have[name] = make(map[string]string)
		for _, f := range row.Fields {
			have[name][f.Field] = f.Value
		}
		if _, ours := have[name]["netdev_oper_status"]; ours && want[name] == nil {
			wrong = append(wrong, name+" is gone and has a row")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		for field, value := range want[name] {
			if got := have[name][field]; got != value && sw.Exists("APPL_DB", "PORT_TABLE:"+name) {
				wrong = append(wrong, fmt.Sprintf("%s of %s is %q, the kernel has %q", field, name, got, value))
			}
		}
	}
	return fmt.Sprint(want), strings.Join(wrong[:min(len(wrong), 6)], "; ")
}
