package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// faults are the ways in which a call is interrupted: the process ends, or the call fails. A write is
// executed in part.
var faults = []struct {
	name    string
	errno   syscall.Errno
	portion int
}{
	{"end before writing", 0, 0},
	{"end in the middle of writing", 0, 1},
	{"end at the last byte", 0, 2},
	{"EIO", syscall.EIO, 0},
	{"ENOSPC after half", syscall.ENOSPC, 1},
	{"ENOSPC at the last byte", syscall.ENOSPC, 2},
	{"EROFS", syscall.EROFS, 0},
}

// eachCut runs a test for each system call and each fault. The first run is without a fault and counts the
// calls.
func eachCut(t *testing.T, run func(t *testing.T, c *cutter)) {
	t.Helper()
	whole := &cutter{FS: OS}
	run(t, whole)
	for n, call := range whole.log {
		for _, fault := range faults {
			if fault.portion > 0 && call != "write" {
				continue // the same as without
			}
			c := &cutter{FS: OS, at: n + 1, fault: fault.errno, portion: fault.portion}
			run(t, c)
			if t.Failed() {
				t.Fatalf("%s at call %d of %s", fault.name, n+1, strings.Join(c.log, " "))
			}
			if !c.cut {
				t.Fatalf("call %d of %s was not reached", n+1, strings.Join(whole.log, " "))
			}
		}
	}
	t.Logf("cut at each of %d calls: %s", len(whole.log), strings.Join(whole.log, " "))
}

// saver returns a File with the settings of the tests.
func saver(path string, fsys FS) *File {
	return &File{Path: path, Schema: 1, Writer: "test", BootID: "boot", Keep: Limits{Count: 2}, FS: fsys}
}

func body(n int) []byte { return fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 100)) }

func mustSave(t *testing.T, f *File, n int) {
	t.Helper()
	if err := f.Save(body(n)); err != nil {
		t.Fatal(err)
	}
}

// saveScenarios are the states in which a save may find the directory. Each is
// followed by a save of body(9); before is what Load found until then, 0 for
// nothing.
var saveScenarios = []struct {
	name    string
	before  int
	noLinks bool
	prepare func(t *testing.T, f *File)
}{
	{"first save", 0, false, func(t *testing.T, f *File) {}},
	{"second save", 1, false, func(t *testing.T, f *File) { mustSave(t, f, 1) }},
	{"as many backups as allowed", 4, false, func(t *testing.T, f *File) {
		for n := 1; n <= 4; n++ {
			mustSave(t, f, n)
		}
	}},
	{"no hard links", 4, true, func(t *testing.T, f *File) {
		for n := 1; n <= 4; n++ {
			mustSave(t, f, n)
		}
	}},
	{"only a backup", 1, false, func(t *testing.T, f *File) {
		mustSave(t, f, 1)
		mustSave(t, f, 2)
		if err := f.FS.Unlink(f.Path); err != nil {
			t.Fatal(err)
		}
	}},
	{"after an interrupted save", 2, false, func(t *testing.T, f *File) {
		mustSave(t, f, 1)
		mustSave(t, f, 2)
		half, err := f.FS.Open(f.Path+".tmp-00000000000000ff", os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		half.Write([]byte("half of"))
		half.Close()
	}},
	{"without backups", 1, false, func(t *testing.T, f *File) {
		f.Keep.Count = 0
		mustSave(t, f, 1)
	}},
}

// TestCutSave interrupts a save at each system call in each way, and checks that the old or the new
// content is found, and the new one if the save succeeded.
func TestCutSave(t *testing.T) {
	for _, tt := range saveScenarios {
		t.Run(tt.name, func(t *testing.T) {
			durable := 0 // the number of the call that makes it so
			eachCut(t, func(t *testing.T, c *cutter) {
				path := filepath.Join(t.TempDir(), "state.json")
				foreign := filepath.Join(filepath.Dir(path), "state.json.bak")
				if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
					t.Fatal(err)
				}
				first := saver(path, &cutter{FS: OS, noLinks: tt.noLinks})
				tt.prepare(t, first)

				c.noLinks = tt.noLinks
				f := saver(path, c)
				f.Keep = first.Keep
				saved := f.Save(body(9)) == nil
				if c.fault != 0 && slices.Contains(c.log[:c.at], "open") && c.log[c.at-1] != "unlink" {
					checkNames(t, path, 3) // at once, with one backup too many at most
				}
				if c.cut && c.at <= durable && c.log[c.at-1] != "unlink" && saved {
					t.Error("success was reported")
				}
				if !c.cut { // the first run
					durable = lastIndex(c.log, "fsync") + 1
				}
				checkEither(t, OS, path, tt.before, 9, saved)

				// What comes after is as if nothing had happened.
				f = saver(path, quick())
				mustSave(t, f, 10)
				checkEither(t, OS, path, 0, 10, true)
				checkNames(t, path, f.Keep.Count)
				if text, err := os.ReadFile(foreign); string(text) != "mine" || err != nil {
					t.Errorf("a foreign file: %q, %v", text, err)
				}
			})
		})
	}
}

// checkEither checks that Load returns body(after), or, unless only that is allowed, body(before), or
// nothing if before is 0.
func checkEither(t *testing.T, fsys FS, path string, before, after int, onlyAfter bool) {
	t.Helper()
	loaded, err := saver(path, fsys).Load()
	for _, p := range loaded.Problems {
		if !errors.Is(p.Err, fs.ErrNotExist) {
			t.Errorf("%s: %v", p.Path, p.Err)
		}
	}
	switch {
	case err == nil && string(loaded.Body) == string(body(after)):
	case onlyAfter:
		t.Errorf("loaded %s, %v; want body %d", loaded.Body, err, after)
	case err == nil && before > 0 && string(loaded.Body) == string(body(before)):
	case before == 0 && errors.Is(err, fs.ErrNotExist):
	default:
		t.Errorf("loaded %s, %v; want body %d or %d", loaded.Body, err, before, after)
	}
}

func lastIndex(calls []string, call string) int {
	for i := len(calls) - 1; i >= 0; i-- {
		if calls[i] == call {
			return i
		}
	}
	return -1
}

// checkNames checks that there are at most so many backups and no temporary files.
func checkNames(t *testing.T, path string, backups int) {
	t.Helper()
	found, err := scan(OS, path)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(found.of(backup)); n > backups {
		t.Errorf("%d backups, want at most %d", n, backups)
	}
	if n := len(found.of(temporary)); n > 0 {
		t.Errorf("%d temporary files are left", n)
	}
}

// TestPowerCutSave cuts the power at each system call of a save, and checks all combinations of
// unsynced changes.
func TestPowerCutSave(t *testing.T) {
	const path = "/state.json"
	for _, tt := range saveScenarios {
		t.Run(tt.name, func(t *testing.T) {
			cuts, states := 0, 0
			for n := 1; ; n++ {
				disk := newMemFS()
				first := saver(path, &cutter{FS: disk, noLinks: tt.noLinks})
				tt.prepare(t, first)
				(&memDir{disk}).Sync()

				c := &cutter{FS: disk, at: n, noLinks: tt.noLinks}
				f := saver(path, c)
				f.Keep = first.Keep
				saved := f.Save(body(9)) == nil
				disk.survivors(func(after *memFS) {
					states++
					checkEither(t, after, path, tt.before, 9, saved)
				})
				if t.Failed() {
					t.Fatalf("at call %d of %s", n, strings.Join(c.log, " "))
				}
				if !c.cut {
					break
				}
				cuts++
			}
			t.Logf("%d calls, %d states of the disk", cuts, states)
		})
	}
}

// TestCutLoad interrupts a load with recovery at each system call, and checks that the next load
// finds the same backup.
func TestCutLoad(t *testing.T) {
	eachCut(t, func(t *testing.T, c *cutter) {
		path := filepath.Join(t.TempDir(), "state.json")
		f := saver(path, quick())
		for n := 1; n <= 3; n++ {
			mustSave(t, f, n)
		}
		found, err := scan(OS, path)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, found.of(backup)[1].path} {
			if err := os.Remove(p); err != nil { // not through the link
				t.Fatal(err)
			}
			if err := os.WriteFile(p, []byte("{}\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		// Whatever goes wrong, it finds the right one or says why it does not.
		if loaded, err := saver(path, c).Load(); err == nil && string(loaded.Body) != string(body(1)) {
			t.Errorf("loaded %s", loaded.Body)
		} else if err != nil && !c.cut {
			t.Error(err)
		}
		loaded, err := saver(path, OS).Load()
		if err != nil || string(loaded.Body) != string(body(1)) || !loaded.Recovered {
			t.Errorf("loaded %s, %v", loaded.Body, err)
		}
		found, err = scan(OS, path)
		if err != nil || len(found.of(corrupt)) != 2 {
			t.Errorf("%d files were set aside, %v; want 2", len(found.of(corrupt)), err)
		}
	})
}

// logScenarios are the states in which an append may find a log of the lines
// 1 to 4. Each is followed by an append of line 5.
var logScenarios = []struct {
	name    string
	change  func(l *Log)
	garbage string // follows the last line
}{
	{"append", func(l *Log) {}, ""},
	{"rotate", func(l *Log) { l.MaxFileSize = 20 }, ""},
	{"rotate and prune", func(l *Log) { l.MaxFileSize, l.Keep.Count = 20, 1 }, ""},
	{"a torn line", func(l *Log) {}, `{"n":`},
	{"a torn line, rotate", func(l *Log) { l.MaxFileSize = 20 }, `{"n":`},
}

func line(n int) []byte { return fmt.Appendf(nil, `{"n":%d}`, n) }

func history(path string, fsys FS) *Log { return &Log{Path: path, Keep: Limits{Count: 10}, FS: fsys} }

// fillLog writes the lines 1 to 4 in three files: the present one has 3 and 4.
func fillLog(t *testing.T, path string, fsys FS, garbage string) {
	t.Helper()
	for n := 1; n <= 4; n++ {
		l := history(path, fsys)
		if n <= 3 {
			l.MaxFileSize = 1
		}
		if err := l.Append(line(n)); err != nil {
			t.Fatal(err)
		}
	}
	file, err := fsys.Open(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte(garbage))
	file.Close()
}

// checkLog wants the lines 1 to 4, though 1 and 2 may be pruned, then 5, which may
// be missing if it was not acknowledged, and then the rest.
func checkLog(t *testing.T, fsys FS, path string, pruned, acknowledged bool, rest ...int) {
	t.Helper()
	var got []string
	stats, err := history(path, fsys).Read(time.Time{}, func(line []byte) error {
		got = append(got, string(line))
		return nil
	})
	if err != nil || stats.Bad > 0 {
		t.Errorf("read: %+v, %v", stats, err)
	}
	left := got
	for _, n := range append([]int{1, 2, 3, 4, 5}, rest...) {
		if len(left) > 0 && left[0] == string(line(n)) {
			left = left[1:]
		} else if !(pruned && n <= 2 || !acknowledged && n == 5) {
			t.Errorf("read %s: want line %d (line 5 was acknowledged: %t)", got, n, acknowledged)
			return
		}
	}
	if len(left) > 0 {
		t.Errorf("read %s: want none behind %d", got, len(got)-len(left))
	}
}

// TestCutAppend interrupts an append at each system call in each way, and checks that no
// acknowledged line is lost and that later appends work.
func TestCutAppend(t *testing.T) {
	for _, tt := range logScenarios {
		t.Run(tt.name, func(t *testing.T) {
			eachCut(t, func(t *testing.T, c *cutter) {
				path := filepath.Join(t.TempDir(), "history.jsonl")
				fillLog(t, path, quick(), tt.garbage)
				l := history(path, c)
				tt.change(l)
				pruned := l.Keep.Count == 1
				ok := l.Append(line(5)) == nil
				checkLog(t, OS, path, pruned, ok)
				if err := history(path, quick()).Append(line(6)); err != nil {
					t.Fatal(err)
				}
				checkLog(t, OS, path, pruned, ok, 6)
			})
		})
	}
}

// TestPowerCutAppend is TestCutAppend with the loss of unsynced changes.
func TestPowerCutAppend(t *testing.T) {
	const path = "/history.jsonl"
	for _, tt := range logScenarios {
		t.Run(tt.name, func(t *testing.T) {
			for n := 1; ; n++ {
				disk := newMemFS()
				fillLog(t, path, disk, tt.garbage)
				(&memDir{disk}).Sync()
				c := &cutter{FS: disk, at: n}
				l := history(path, c)
				tt.change(l)
				pruned := l.Keep.Count == 1
				ok := l.Append(line(5)) == nil
				disk.survivors(func(after *memFS) {
					checkLog(t, after, path, pruned, ok)
					if err := history(path, after).Append(line(6)); err != nil {
						t.Fatal(err)
					}
					checkLog(t, after, path, pruned, ok, 6)
				})
				if t.Failed() {
					t.Fatalf("at call %d of %s", n, strings.Join(c.log, " "))
				}
				if !c.cut {
					break
				}
			}
		})
	}
}
