package metrics

import (
	"bytes"
	"encoding/binary"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// values returns the samples without labels by name.
func values(t *testing.T, set *Set) map[string]float64 {
	t.Helper()
	got := map[string]float64{}
	for line := range strings.Lines(string(set.AppendText(nil))) {
		if line[0] == '#' {
			continue
		}
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		got[name] = v
	}
	return got
}

// TestProcessFamilies checks the values of the process_* families.
func TestProcessFamilies(t *testing.T) {
	set := NewSet()
	if err := set.AddProcess(); err != nil {
		t.Fatal(err)
	}
	before := values(t, set)
	for name, atLeast := range map[string]float64{
		"process_resident_memory_bytes":    1 << 20,
		"process_virtual_memory_bytes":     1 << 20,
		"process_virtual_memory_max_bytes": 1 << 20,
		"process_open_fds":                 5,
		"process_max_fds":                  5,
	} {
		if before[name] < atLeast {
			t.Errorf("%s is %v, want at least %v", name, before[name], atLeast)
		}
	}
	if v, ok := before["process_cpu_seconds_total"]; !ok || v < 0 || v > 3600 {
		t.Errorf("process_cpu_seconds_total is %v, present: %v", v, ok)
	}
	// The value is the sum of user and system time, which both only increase.
	cpu := func() float64 {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	least, v := cpu(), values(t, set)["process_cpu_seconds_total"]
	if most := cpu(); v < least-1e-6 || v > most+1e-6 {
		t.Errorf("process_cpu_seconds_total is %v, want %v to %v", v, least, most)
	}
	age := time.Since(time.UnixMilli(int64(before["process_start_time_seconds"] * 1000)))
	if age < -time.Second || age > time.Hour {
		t.Errorf("process started %v ago", age)
	}

	// Connections of earlier tests may be closed meanwhile, but not each time.
	const tries = 100
	for try := 1; ; try++ {
		before := values(t, set)["process_open_fds"]
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		after := values(t, set)["process_open_fds"]
		f.Close()
		if after == before+1 {
			break
		}
		if try == tries {
			t.Fatalf("opening a file changed process_open_fds from %v to %v", before, after)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestParseStartTime checks the start time from /proc/self/stat.
func TestParseStartTime(t *testing.T) {
	// cat /proc/self/stat, Linux 6.18, 2026-11-24; in the second the name of the command
	// contains parentheses and blanks.
	const tail = " R 7564 7564 3919 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 126882 3133440 380 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
	for _, in := range []string{"7586 (cat)" + tail, "7586 (a) S 1 (b)" + tail} {
		got, err := parseStartTime([]byte(in))
		if want := 1268820 * time.Millisecond; err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", in, got, err, want)
		}
	}
	// Fields after 22 are not needed.
	last := "7586 (cat)" + tail[:strings.Index(tail, " 3133440")]
	if got, err := parseStartTime([]byte(last)); err != nil || got != 1268820*time.Millisecond {
		t.Errorf("%q: got %v, %v", last, got, err)
	}
	for _, in := range []string{"", strings.TrimSuffix(last, " 126882"), "7586 (cat) R 1 2 3", strings.Replace("1 (cat)"+tail, "126882", "x", 1)} {
		if got, err := parseStartTime([]byte(in)); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

// TestParseStatm checks the sizes from /proc/self/statm.
func TestParseStatm(t *testing.T) {
	f := func(in string, size, resident int64, ok bool) {
		t.Helper()
		if s, r, k := parseStatm([]byte(in)); k != ok || ok && (s != size || r != resident) {
			t.Errorf("%q: got %d, %d, %v; want %d, %d, %v", in, s, r, k, size, resident, ok)
		}
	}
	f("765 418 390 5 0 123 0\n", 765, 418, true)
	f("765 418", 765, 418, true)
	f("765", 0, 0, false)
	f("765 ", 0, 0, false)
	f("", 0, 0, false)
	f("-1 2", 0, 0, false)
	f("1234567890123456789 2", 0, 0, false)
	f("123456789012345678 999999999999999999", 123456789012345678, 999999999999999999, true)
}

// dirents returns a getdents64 buffer with the given names.
func dirents(names ...string) []byte {
	var b []byte
	for _, name := range names {
		size := (19 + len(name) + 1 + 7) &^ 7
		e := make([]byte, size)
		binary.NativeEndian.PutUint16(e[16:], uint16(size))
		copy(e[19:], name)
		b = append(b, e...)
	}
	return b
}

// TestCountEntries checks the number of names in a getdents64 buffer, also in a truncated one.
func TestCountEntries(t *testing.T) {
	whole := dirents(".", "..", "0", "1", "2", "1000000")
	if got := countEntries(whole); got != 4 {
		t.Errorf("got %d entries, want 4", got)
	}
	for n := range whole { // truncated at any byte
		if got := countEntries(whole[:n]); got > 4 {
			t.Errorf("%d of %d bytes: %d entries", n, len(whole), got)
		}
	}
	if got := countEntries(slices.Concat(dirents("0"), make([]byte, 40))); got != 1 {
		t.Errorf("entry of size 0: got %d, want 1", got)
	}
}

// TestGoFamilies checks that all go_* families have plausible values.
func TestGoFamilies(t *testing.T) {
	set := NewSet()
	set.AddGo()
	got := values(t, set)
	for _, f := range goGauges {
		if v, ok := got[f.name]; !ok || v == 0 && f.name != "go_memstats_heap_idle_bytes" &&
			f.name != "go_memstats_heap_released_bytes" {
			t.Errorf("%s is %v, present: %v", f.name, v, ok)
		}
	}
	for _, f := range goCounters {
		if _, ok := got[f.name]; !ok {
			t.Errorf("%s is missing", f.name)
		}
	}
	runtime.GC()
	got = values(t, set)
	last := time.Unix(0, int64(got["go_memstats_last_gc_time_seconds"]*1e9))
	if age := time.Since(last); got["go_gc_duration_seconds_count"] == 0 || age < -time.Second || age > time.Minute {
		t.Errorf("%v collections, the last one %v ago", got["go_gc_duration_seconds_count"], age)
	}
}

// FuzzProc checks that the parsers of /proc do not panic and return plausible values for any input.
func FuzzProc(f *testing.F) {
	f.Add([]byte("7586 (cat) R 1 1 1 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 126882 3133440\n"))
	f.Add([]byte("765 418 390 5 0 123 0\n"))
	f.Add(dirents(".", "..", "0", "1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if start, err := parseStartTime(b); err == nil && bytes.Count(b, []byte{')'}) == 0 && len(bytes.Fields(b)) < 20 {
			t.Errorf("start time %v from too few fields", start)
		}
		if size, resident, ok := parseStatm(b); ok && (size < 0 || resident < 0) {
			t.Errorf("negative sizes %d, %d", size, resident)
		}
		if n := countEntries(b); n < 0 || n > int64(len(b)/20) {
			t.Errorf("%d entries in %d bytes", n, len(b))
		}
	})
}
