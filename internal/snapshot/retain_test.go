package snapshot

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// day is a time n days after noon; a stamp or a modification time in the tables.
func day(n int) time.Time { return noon().AddDate(0, 0, n) }

// file describes a sibling by size and day; dir makes it a directory.
func file(seq, size, written int) sibling {
	node := &inode{data: make([]byte, size), mode: 0o600, time: day(written)}
	return sibling{label: label{seq: uint64(seq)}, path: fmt.Sprint(seq), info: memInfo{"", node}}
}

func dir(seq int) sibling {
	s := file(seq, 0, 0)
	s.info = dirInfo{s.info}
	return s
}

type dirInfo struct{ fs.FileInfo }

func (dirInfo) IsDir() bool { return true }

// TestSurplus checks which files exceed the limits.
func TestSurplus(t *testing.T) {
	days := func(n int) time.Duration { return time.Duration(n) * 24 * time.Hour }
	f := func(name string, l Limits, want string, files ...sibling) {
		t.Helper()
		var got []string
		for _, s := range l.surplus(files, day(0)) {
			got = append(got, s.path)
		}
		if is := strings.Join(got, " "); is != want {
			t.Errorf("%s: removes %q, want %q", name, is, want)
		}
	}
	f("none", Limits{Count: 1}, "")
	f("zero keeps none", Limits{}, "1 2", file(1, 1, 0), file(2, 1, 0))
	f("count", Limits{Count: 2}, "1 2", file(1, 1, 0), file(2, 1, 0), file(3, 1, 0), file(4, 1, 0))
	f("directories do not count", Limits{Count: 1}, "1", file(1, 1, 0), dir(2), file(3, 1, 0), dir(4))
	f("bytes", Limits{Count: 9, Bytes: 10}, "1", file(1, 3, 0), file(2, 5, 0), file(3, 5, 0))
	f("bytes, exactly", Limits{Count: 9, Bytes: 13}, "", file(1, 3, 0), file(2, 5, 0), file(3, 5, 0))
	f("a large one does not drive out the others", Limits{Count: 9, Bytes: 10}, "2", file(1, 5, 0), file(2, 1000, 0), file(3, 5, 0))
	f("even the newest", Limits{Count: 9, Bytes: 10}, "2", file(1, 5, 0), file(2, 1<<20, 0))
	f("age", Limits{Count: 9, Age: days(7)}, "1 2", file(1, 1, -9), file(2, 1, -8), file(3, 1, -7), file(4, 1, 0))
	f("age spares the newest", Limits{Count: 9, Age: days(7)}, "1", file(1, 1, -90), file(2, 1, -80))
	f("age spares as many as wanted", Limits{Count: 9, Age: days(7), Spare: 2}, "1", file(1, 1, -90), file(2, 1, -80), file(3, 1, -70))
	f("count spares none", Limits{Count: 1, Age: days(7), Spare: 2}, "1 2", file(1, 1, -90), file(2, 1, -80), file(3, 1, -70))
	f("written in 1970 after yesterday", Limits{Count: 9, Age: days(7)}, "", file(1, 1, -1), file(2, 1, -20000), file(3, 1, 0))
	f("written in 1970 at first", Limits{Count: 9, Age: days(7)}, "1", file(1, 1, -20000), file(2, 1, -1), file(3, 1, 0))
	f("written in the future, before an old one", Limits{Count: 9, Age: days(7)}, "1 2", file(1, 1, 9000), file(2, 1, -8), file(3, 1, 0))
	f("written in the future, after an old one", Limits{Count: 9, Age: days(7)}, "1 2", file(1, 1, -8), file(2, 1, 9000), file(3, 1, 0))
	f("written in the future, after a good one", Limits{Count: 9, Age: days(7)}, "", file(1, 1, -2), file(2, 1, 9000), file(3, 1, 0))
	f("all in the future", Limits{Count: 2, Age: days(7)}, "1", file(1, 1, 9000), file(2, 1, 9000), file(3, 1, 9000))

	stamped := file(1, 1, -9)
	stamped.stamp = day(-6)
	f("the later of stamp and time counts", Limits{Count: 9, Age: days(7)}, "", stamped, file(2, 1, 0))
	stamped.stamp = day(9000)
	f("unless it is yet to come", Limits{Count: 9, Age: days(7)}, "1", stamped, file(2, 1, 0))
}

// TestAges checks that ages are not negative and do not increase from older to newer files.
func TestAges(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		files := make([]sibling, random.IntN(6))
		for i := range files {
			files[i] = file(i, 1, random.IntN(40)-20)
			if random.IntN(2) == 0 {
				files[i].stamp = day(random.IntN(40) - 20)
			}
		}
		got := ages(files, day(0))
		sorted := slices.IsSortedFunc(got, func(a, b time.Duration) int { return int((b - a) / time.Second) })
		if !sorted || len(got) > 0 && slices.Min(got) < 0 {
			t.Fatalf("ages %v of %v", got, files)
		}
	}
}

// TestNames checks the names of siblings and their parsing.
func TestNames(t *testing.T) {
	const base = "state.json"
	for _, l := range []label{
		{kind: backup, seq: 1},
		{kind: backup, seq: 1234567},
		{kind: temporary, seq: 1<<64 - 1},
		{kind: corrupt, seq: 12, stamp: noon().Truncate(time.Second)},
		{kind: newer, seq: 12, stamp: noon().Truncate(time.Second)},
		{kind: stale, seq: 12, stamp: noon().Truncate(time.Second)},
		{kind: rotated, seq: maxSeq, stamp: noon().Truncate(time.Second)},
	} {
		name := l.name(base)
		if got, ok := parseName(base, name); !ok || got != l {
			t.Errorf("%s: %+v, %t; want %+v", name, got, ok, l)
		}
		if got, ok := parseName("history.jsonl", name); ok {
			t.Errorf("%s belongs to history.jsonl: %+v", name, got)
		}
	}
	for _, name := range []string{
		"", "state.json", "state.json.", "state.json.bak", "state.json.1", "state.json~", ".state.json.swp",
		"state.json.backup", "state.json.backup-", "state.json.backup-1", "state.json.backup-0000001", "state.json.backup-+00001",
		"state.json.backup-00001x", "state.json.backup-000001-" + noonStamp, "state.json.backup-000001.gz",
		"state.json.backup-99999999999999999999", "state.json.backup-9223372036854775807",
		"state.json.corrupt-000001", "state.json.corrupt-000001-20261305T120000Z", "state.json.corrupt-000001-" + noonStamp + "-",
		"state.json.tmp-1", "state.json.tmp-0000000000000001.x", "state.json.tmp-000000000000000G", "state.json.tmp-00000000000000AB",
		"state-000001-" + noonStamp, "state-000001-20261005T120000.json", "state-1-" + noonStamp + ".json", "state.rotated-000001-" + noonStamp,
		"mystate.json.backup-000001", "state.jsonl.backup-000001",
	} {
		if got, ok := parseName(base, name); ok {
			t.Errorf("%q is taken for ours: %+v", name, got)
		}
	}
}
