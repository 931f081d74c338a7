package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestCompareStarts measures two starts of a small switch after one other.
func TestCompareStarts(t *testing.T) {
	c := comparisonForTest(t, 4)
	if c == nil {
		return
	}
	r, err := measureStarts(t.Context(), c, compareOptions{Earlier: 1, Starts: 2, Ports: 4})
	if err != nil {
		t.Fatal(err)
	}
	awaitStarts(t, c, 3)
	checkSamples(t, r, map[string]int{"start 4": 2, "start CPU 4": 2, "peak 4": 1})
}

// TestCompareFirstStart measures starts of which none precedes those that are measured.
func TestCompareFirstStart(t *testing.T) {
	c := comparisonForTest(t, 4)
	if c == nil {
		return
	}
	r, err := measureStarts(t.Context(), c, compareOptions{Earlier: 0, Starts: 2, Ports: 4})
	if err != nil {
		t.Fatal(err)
	}
	awaitStarts(t, c, 2)
	checkSamples(t, r, map[string]int{"start 4": 2, "start CPU 4": 2, "peak 4": 1})
}

// awaitStarts waits until the log has n cold starts. The daemon's own counter lacks starts that were
// stopped before the initial sync was complete.
func awaitStarts(t *testing.T, c *comparison, n int) {
	t.Helper()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		lines, _ := c.Logs.From(0)
		starts := 0
		for _, l := range lines {
			if strings.Contains(l.Text, "cold start") {
				starts++
			}
		}
		if starts != n {
			return fmt.Sprintf("the log has %d cold starts, want %d", starts, n)
		}
		return ""
	})
}

// TestCompareEvents measures few changes on a small switch.
func TestCompareEvents(t *testing.T) {
	c := comparisonForTest(t, 4)
	if c == nil {
		return
	}
	o := compareOptions{Ports: 4, Events: 403, Single: 9, Idle: 100 * time.Millisecond}
	r, err := measureEvents(t.Context(), c, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r["idle"]) != 1 {
		t.Errorf("idle: %v, want one value", r["idle"])
	}
	delete(r, "idle") // may be 0
	checkSamples(t, r, map[string]int{"single p50": 1, "single p99": 1, "single CPU": 1,
		"burst rate": 1, "burst CPU": 1, "burst Redis": 1, "overflow": 1})
}

// comparisonForTest returns nil if the test ran in a process of its own.
func comparisonForTest(t *testing.T, ports int) *comparison {
	t.Helper()
	c, err := newComparison(t, ports)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// checkSamples checks the number of values of each row, and that they are positive.
func checkSamples(t *testing.T, r samples, want map[string]int) {
	t.Helper()
	for key, n := range want {
		if len(r[key]) != n {
			t.Errorf("%s: %v, want %d values", key, r[key], n)
		}
	}
	for key, values := range r {
		for _, v := range values {
			if v <= 0 || want[key] == 0 {
				t.Errorf("%s: %v", key, values)
			}
		}
	}
}

// TestRowListener checks that await returns only for the port that it waits for.
func TestRowListener(t *testing.T) {
	c := comparisonForTest(t, 4)
	if c == nil {
		return
	}
	l, err := listenRows(c.Databases["STATE_DB"])
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	c.Do("STATE_DB", "HSET", switchtest.StatePort+"Ethernet40", "mtu", "1")
	if _, err := l.await(t.Context(), "Ethernet4", 20*time.Millisecond); err == nil {
		t.Error("a change of Ethernet40 ended the wait for Ethernet4")
	}
	c.Do("STATE_DB", "HSET", switchtest.StatePort+"Ethernet4", "mtu", "1")
	if _, err := l.await(t.Context(), "Ethernet4", switchtest.Timeout); err != nil {
		t.Error(err)
	}
}

func TestPrintCompare(t *testing.T) {
	reference := samples{"burst rate": {400, 100, 200, 300}, "idle": {0}}
	own := samples{"burst rate": {500, 600}, "idle": {3}, "overflow": {7.25}}
	var out bytes.Buffer
	printCompare(&out, reference, own)
	for _, want := range []string{
		"burst: events per second 100 250 500 550 1/s 2.20",
		"overflow: SIGCONT to all rows correct never never 7.2 7.2 ms",
		"idle: wake-ups in the measured time 0 0 3 3", // no ratio to 0
	} {
		found := false
		for line := range strings.Lines(out.String()) {
			found = found || strings.Join(strings.Fields(line), " ") == want
		}
		if !found {
			t.Errorf("no line %q in\n%s", want, &out)
		}
	}
}

func TestFieldOf(t *testing.T) {
	const cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC\nprocessor\t: 1\nmodel name\t: other\n"
	if got := fieldOf(cpuinfo, "model name"); got != "AMD EPYC" {
		t.Errorf("%q, want AMD EPYC", got)
	}
	if got := fieldOf("Processor", "model name"); got != "unknown model" {
		t.Errorf("%q without the line", got)
	}
}
