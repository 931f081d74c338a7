package switchtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLockHolderEnds checks that the lock passes to a waiting process as soon as its holder
// ends, even if the holder is killed.
func TestLockHolderEnds(t *testing.T) {
	if os.Getenv("SWITCHTEST_LOCK") != "" {
		if _, err := takeLock(os.Getenv("SWITCHTEST_LOCK"), 0, os.Stderr); err != nil {
			t.Fatal(err)
		}
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin) // until the parent ends
		return
	}
	path := filepath.Join(t.TempDir(), "lock")
	holder := exec.Command(os.Args[0], "-test.run=^TestLockHolderEnds$")
	holder.Env = append(os.Environ(), "SWITCHTEST_LOCK="+path)
	stdin, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("locked\n"))
	if _, err := io.ReadFull(stdout, line); err != nil || string(line) != "locked\n" {
		t.Fatalf("the first process prints %q, %v", line, err)
	}

	want := fmt.Sprintf("process %d (", holder.Process.Pid)
	if _, err := takeLock(path, time.Millisecond, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("a second process gets error %v, want one with %q", err, want)
	}
	var progress strings.Builder
	var release func()
	taken := make(chan error)
	go func() {
		var err error
		release, err = takeLock(path, 0, &progress)
		taken <- err
	}()
	holder.Process.Kill()
	holder.Wait()
	if err := <-taken; err != nil {
		t.Fatal(err)
	}
	release()
	if _, err := takeLock(path, time.Millisecond, io.Discard); err != nil {
		t.Errorf("after release: %v", err)
	}
}
