package snapshot

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// saverDir, in the environment of a copy of this test binary, makes it save into
// that directory until it is killed.
const saverDir = "PORTSYNCD_TEST_SAVER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(saverDir); dir != "" {
		saveForEver(dir)
	}
	os.Exit(m.Run())
}

func killedFile(dir string) *File {
	return &File{Path: filepath.Join(dir, "state.json"), Schema: 1, Keep: Limits{Count: 2}}
}

func killedLog(dir string) *Log {
	return &Log{Path: filepath.Join(dir, "history.jsonl"), MaxFileSize: 200, Keep: Limits{Count: 3}}
}

// count is the content of both files, with padding.
type count struct {
	N   int    `json:"n"`
	Pad []byte `json:"pad,omitempty"`
}

// saveForEver saves increasing counts, and prints each count after it was saved.
func saveForEver(dir string) {
	f, l := killedFile(dir), killedLog(dir)
	var c count
	loaded, err := f.Load()
	if err == nil {
		err = json.Unmarshal(loaded.Body, &c)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Println("load:", err)
		return
	}
	for c.N++; ; c.N++ {
		c.Pad = nil
		text, err := json.Marshal(c)
		if err == nil {
			err = l.Append(text)
		}
		c.Pad = make([]byte, 40<<10)
		if err == nil {
			text, err = json.Marshal(c)
		}
		if err == nil {
			err = f.Save(text)
		}
		if err != nil {
			fmt.Println("save:", err)
			return
		}
		fmt.Println(c.N)
	}
}

// TestKill kills a process that saves continuously, and checks that the last acknowledged content
// or the next one is found.
func TestKill(t *testing.T) {
	kills := 30
	if testing.Short() {
		kills = 5
	}
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	acknowledged, recovered := 0, 0
	for range kills {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), saverDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for first := true; lines.Scan(); first = false {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Fatalf("the process says %q", lines.Text())
			}
			acknowledged = n
			if first {
				time.AfterFunc(rand.N(10*time.Millisecond), func() { cmd.Process.Kill() })
			}
		}
		cmd.Wait() // which says that it was killed

		loaded, err := killedFile(dir).Peek()
		must(t, err)
		if loaded.Recovered {
			recovered++
		}
		var c count
		must(t, json.Unmarshal(loaded.Body, &c))
		if c.N != acknowledged && c.N != acknowledged+1 {
			t.Fatalf("%d was acknowledged, %d is in the file", acknowledged, c.N)
		}
		last := count{}
		stats, err := killedLog(dir).Read(time.Time{}, func(line []byte) error {
			n := last.N
			if err := json.Unmarshal(line, &last); err != nil {
				return err
			}
			// A line follows its number, or repeats the one that was not
			// acknowledged.
			if n > 0 && last.N != n && last.N != n+1 {
				return fmt.Errorf("%d follows %d", last.N, n)
			}
			return nil
		})
		if err != nil || stats.Bad > 0 || last.N < acknowledged || last.N > acknowledged+1 {
			t.Fatalf("%d was acknowledged, %d is in the log: %+v, %v", acknowledged, last.N, stats, err)
		}
	}
	if recovered > 0 {
		t.Errorf("%d times there was only a backup, though there are hard links", recovered)
	}
	t.Logf("%d kills, %d saves", kills, acknowledged)
}
