package main

import (
	"testing"

	"portsyncd/internal/switchtest"
)

// TestMemory measures a small switch. Each part must have memory, and their sum must be near the
// peak.
func TestMemory(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	r, err := measureMemory(t.Context(), sw, 8, 1)
	if err != nil {
		t.Fatal(err)
	}
	checkMemory(t, r)
}

// TestMemoryOfInitialization measures a process after its package initialization.
func TestMemoryOfInitialization(t *testing.T) {
	r, err := measureInitialization(switchtest.Binary(t))
	if err != nil {
		t.Fatal(err)
	}
	checkMemory(t, r)
}

func checkMemory(t *testing.T, r memoryResult) {
	t.Helper()
	sum := 0
	for i, n := range r.Parts {
		sum += n
		if n == 0 {
			t.Errorf("%s: no memory", memoryParts[i].name)
		}
	}
	if sum > r.Peak+r.Peak/10 || sum < r.Peak/2 {
		t.Errorf("the parts have %d KiB, the peak is %d KiB", sum, r.Peak)
	}
}

// TestParseSmaps parses mappings as Linux 6.18 writes them.
func TestParseSmaps(t *testing.T) {
	const smaps = `00400000-008e8000 r-xp 00000000 fe:00 42                         /usr/bin/portsyncd
Rss:                4320 kB
00df6000-00e4c000 rw-p 009f6000 fe:00 42                         /usr/bin/portsyncd
Rss:                 280 kB
00e4c000-02e8f000 rw-p 00000000 00:00 0 
Rss:                 108 kB
15a848400000-15a849000000 rw-p 00000000 00:00 0 
Rss:                7356 kB
7f50d7400000-7f50d9400000 rw-p 00000000 00:00 0 
Rss:                   4 kB
`
	want := []mapping{
		{"r-xp", true, false, false, 4320},
		{"rw-p", true, false, false, 280},
		{"rw-p", false, true, false, 108},
		{"rw-p", false, false, true, 7356},
		{"rw-p", false, false, false, 4},
	}
	got := parseSmaps(smaps, "/usr/bin/portsyncd")
	if len(got) != len(want) {
		t.Fatalf("%d mappings, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("mapping %d: %+v, want %+v", i, got[i], want[i])
		}
	}
}
