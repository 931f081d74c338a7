package cli

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"portsyncd/internal/journal"
	"portsyncd/internal/statusview"
	"portsyncd/internal/warmrestart"
)

// Limits for the list of flaps.
const (
	maxFlapMinutes = 20
	maxFlapPorts   = 8 // of one minute
)

// flapMinutes reads the events in a storage directory and returns the minutes since the given time
// with the most link-down transitions, in descending order. It also returns file problems. A merged
// event counts toward the minute of its last change.
func flapMinutes(storage string, since time.Time) ([]statusview.FlapMinute, []string, error) {
	minutes := make(map[time.Time]map[string]uint64)
	f := journal.Filter{Since: since, Kinds: []journal.Kind{journal.LinkUp, journal.LinkDown, journal.Flapping}}
	stats, err := journal.Read(storage, &f, func(e *journal.Event) error {
		if e.Flaps == 0 {
			return nil
		}
		at := e.Time.Truncate(time.Minute)
		if minutes[at] == nil {
			minutes[at] = make(map[string]uint64)
		}
		minutes[at][e.Port] += e.Flaps
		return nil
	})
	all := []statusview.FlapMinute{}
	for at, ports := range minutes {
		m := statusview.FlapMinute{Time: at, PortCount: len(ports)}
		for _, n := range ports {
			m.Flaps += n
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b statusview.FlapMinute) int {
		return cmp.Or(cmp.Compare(b.Flaps, a.Flaps), b.Time.Compare(a.Time))
	})
	all = all[:min(len(all), maxFlapMinutes)]
	for i := range all {
		all[i].Ports = worstPorts(minutes[all[i].Time])
	}
	return all, stats.Problems, err
}

// worstPorts returns the ports with the most flaps, in descending order.
func worstPorts(flaps map[string]uint64) []statusview.PortFlaps {
	names := slices.SortedFunc(maps.Keys(flaps), func(a, b string) int {
		return cmp.Or(cmp.Compare(flaps[b], flaps[a]), strings.Compare(a, b))
	})
	var ports []statusview.PortFlaps
	for _, name := range names[:min(len(names), maxFlapPorts)] {
		ports = append(ports, statusview.PortFlaps{Port: name, PortHex: warmrestart.HexUnlessUTF8(name), Flaps: flaps[name]})
	}
	return ports
}
