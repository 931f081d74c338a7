package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

func TestMain(m *testing.M) { switchtest.Main(m) }

// TestGrowth measures a small switch and checks that every row of the table has a value.
func TestGrowth(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	r, err := measureGrowth(t.Context(), sw, growthOptions{Interfaces: 40, Ports: 8, Idle: 200 * time.Millisecond, Audits: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range growthRows {
		switch {
		case strings.Contains(row.name, "overrun"): // takes too long for a test
		case strings.HasPrefix(row.name, "idle") || strings.HasPrefix(row.name, "last port"): // may be 0
		case row.value(&r) <= 0:
			t.Errorf("%s: %v", row.name, row.value(&r))
		}
	}
}

// TestFlood makes a small flood and checks that no message is lost and no resource grows.
func TestFlood(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const events = 4999 // does not divide among the writers
	r, err := measureFlood(t.Context(), sw, floodOptions{Events: events, Ports: 8, Writers: 3, Every: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent != events {
		t.Errorf("%d changes, want %d", r.Sent, events)
	}
	// An ordinary user has a small receive buffer, and its daemon may lose some.
	if err := r.check(); err != nil && os.Getuid() == 0 {
		t.Error(err)
	}
	if r.After.CPU <= r.Before.CPU || r.After.RSS == 0 || r.After.Threads == 0 || r.After.Descriptors == 0 {
		t.Errorf("usage before %+v, after %+v", r.Before.usage, r.After.usage)
	}
}

// TestFloodEnds checks that a flood returns the error of its context.
func TestFloodEnds(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	r, err := measureFlood(ctx, sw, floodOptions{Events: 1_000_000_000, Ports: 2, Writers: 1, Every: time.Hour})
	if err == nil || !strings.Contains(err.Error(), context.DeadlineExceeded.Error()) {
		t.Errorf("%d changes, error %v, want that of the deadline", r.Sent, err)
	}
}

// TestFloodCheck checks that check finds each kind of problem.
func TestFloodCheck(t *testing.T) {
	good := func() *floodResult {
		r := &floodResult{Sent: 100, Processors: 2}
		r.Before = sample{Decided: 10, Goroutines: 18, usage: usage{Descriptors: 19}}
		r.After = sample{Decided: 110, Goroutines: 20, usage: usage{Descriptors: 19}}
		for range 8 {
			r.Samples = append(r.Samples, sample{usage: usage{RSS: 10 << 20}})
		}
		return r
	}
	for _, test := range []struct {
		name  string
		spoil func(r *floodResult)
		want  string
	}{
		{"good", func(*floodResult) {}, ""},
		{"memory that has grown by the second sample", func(r *floodResult) { r.Samples[0].RSS = 5 << 20 }, ""},
		{"undecided", func(r *floodResult) { r.After.Decided = 109 }, "processed only 99 of 100"},
		{"overrun", func(r *floodResult) { r.After.Overruns = 1 }, "1 overruns"},
		{"drops", func(r *floodResult) { r.After.Drops = 1 }, "kernel dropped messages"},
		{"goroutines", func(r *floodResult) { r.After.Goroutines = 21 }, "goroutines grew from 18 to 21"},
		{"descriptors", func(r *floodResult) { r.After.Descriptors = 20 }, "descriptors grew from 19 to 20"},
		{"memory", func(r *floodResult) { r.Samples[7].RSS = 13 << 20 }, "memory usage grew from 10.0 to 13.0 MiB"},
	} {
		r := good()
		test.spoil(r)
		err := r.check()
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

// TestParseQueue parses lines as Linux 6.18 writes them. The first socket has another protocol,
// the second another group.
func TestParseQueue(t *testing.T) {
	const head = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"
	const others = "0000000000000000 4   1234       00000001 7        0        0     2        7        10102\n" +
		"0000000000000000 0   1234       00000010 8        0        0     2        8        10103\n"
	got, err := parseQueue(head + others +
		"0000000000000000 0   3905183246 00000001 2304     0        0     2        5        10104\n")
	if want := (queue{2304, 5, 10104}); err != nil || got != want {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	if got, err := parseQueue(head + others); err == nil {
		t.Errorf("without a member of the group: %+v, want an error", got)
	}
}

func TestStatusNumber(t *testing.T) {
	const status = "Name:\tportsyncd\nVmRSS:\t   13072 kB\nvoluntary_ctxt_switches:\t41\nnonvoluntary_ctxt_switches:\t9\n"
	for name, want := range map[string]int{"VmRSS": 13072, "voluntary_ctxt_switches": 41, "VmSwap": 0} {
		if got := statusNumber(status, name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

// TestShares checks that the parts are complete, in order, and of nearly equal size.
func TestShares(t *testing.T) {
	for _, n := range []int{4, 7, 64, 5_000_000} {
		next := 0
		for i := range 4 {
			size, begin := shares(n, 4, i)
			if begin != next || size < n/4 || size > n/4+1 {
				t.Errorf("part %d of %d: %d from %d, want about %d from %d", i, n, size, begin, n/4, next)
			}
			next += size
		}
		if next != n {
			t.Errorf("the parts have %d of %d", next, n)
		}
	}
}

// TestPrintGrowth checks a row of the table: minimums of runs, and a middle size that is 3
// ms off the line from 10 ms to 40 ms.
func TestPrintGrowth(t *testing.T) {
	ready := func(all ...time.Duration) (runs []growthResult) {
		for _, d := range all {
			runs = append(runs, growthResult{Ready: d * time.Millisecond})
		}
		return runs
	}
	var out bytes.Buffer
	printGrowth(&out, 512, []size{{1000, ready(900, 10, 11)}, {2000, ready(23)}, {4000, ready(50, 40)}})
	for line := range strings.Lines(out.String()) {
		if words := strings.Fields(line); strings.Contains(line, "exec to READY=1") && words[0] == "cold" {
			got := strings.Join(words[5:], " ")
			if want := "10.0 23.0 40.0 ms 4.0 +10.00 3.0"; got != want {
				t.Errorf("%q, want %q", got, want)
			}
			return
		}
	}
	t.Errorf("no such row in\n%s", &out)
}

func TestParse(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"", ""},
		{"-only flood -events 7", ""},
		{"-only nothing", "-only"},
		{"-interfaces 1000,", "-interfaces"},
		{"-interfaces 100", "-interfaces"},
		{"-ports 7 -interfaces 10", "-ports"},
		{"-flood-ports 4 -writers 5", "-writers"},
		{"-events 0", "-events"},
		{"-sample 0s", "-sample"},
		{"-only compare -reference /bin/true", ""},
		{"-only compare", "-reference"},
		{"-only compare -reference /bin/true -rounds 0", "-rounds"},
		{"-only compare -reference /bin/true -burst 100", "-burst"},
	} {
		_, _, err := parse(strings.Fields(test.args))
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v, want %q", test.args, err, test.want)
		}
	}
}

// TestSoak makes a short soak and checks its measurements, table and picture.
func TestSoak(t *testing.T) {
	sw, redis := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	o := soakOptions{Duration: 2 * time.Second, Rate: 200, Ports: 8, Every: 100 * time.Millisecond,
		Restart: time.Hour, Reload: 300 * time.Millisecond}
	r, err := measureSoak(t.Context(), sw, redis, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Sent == 0 || r.Flaps == 0 || r.Reloads == 0 || r.Fetches == 0 || len(r.Samples) == 0 {
		t.Errorf("measured %d changes, %d flaps, %d reloads, %d fetches, %d samples; want some of each",
			r.Sent, r.Flaps, r.Reloads, r.Fetches, len(r.Samples))
	}
	var table bytes.Buffer
	printSoak(&table, o, &r)
	for _, word := range []string{"RSS", "goroutines", "descriptors", "slope per hour"} {
		if !strings.Contains(table.String(), word) {
			t.Errorf("no %q in\n%s", word, &table)
		}
	}
	picture := t.TempDir() + "/soak.svg"
	if err := r.writePlot(picture, o); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(picture); err != nil || !bytes.Contains(text, []byte("<polyline")) {
		t.Errorf("the picture is %q, %v", text, err)
	}
}
