package switchtest

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// waitForTurn waits until no other integration test package of this user has its turn, and makes
// other packages wait until this process calls release or ends. Because the wait counts against the
// timeout of "go test", waitForTurn reports the process that it is waiting for, and returns an error
// when the timeout expires.
func waitForTurn() (release func(), err error) {
	flag.Parse() // m.Run would parse them later
	limit := 10 * time.Minute
	if f := flag.Lookup("test.timeout"); f != nil {
		if d, ok := f.Value.(flag.Getter).Get().(time.Duration); ok {
			limit = d // 0: none
		}
	}
	path := filepath.Join(os.TempDir(), fmt.Sprintf("portsyncd-integration-%d.lock", os.Getuid()))
	return takeLock(path, limit, os.Stderr)
}

// takeLock locks the file at path, creating it if necessary, and writes the name of this process to
// it. If another process holds the lock, takeLock waits for at most limit, or indefinitely if limit
// is 0. The lock is released by release, which must be called at most once, and when this process
// ends.
func takeLock(path string, limit time.Duration, progress io.Writer) (release func(), err error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	begin, reported := time.Now(), ""
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		text, _ := os.ReadFile(path)
		holder := strings.TrimSpace(string(text))
		if limit > 0 && time.Since(begin) >= limit {
			return nil, fmt.Errorf("%s still holds the lock %s after %v; terminate it if it is stuck", holder, path, limit)
		}
		if waited := time.Since(begin); holder != reported && waited > time.Second {
			fmt.Fprintf(progress, "waiting for the integration tests of %s\n", holder)
			reported = holder
		}
		time.Sleep(50 * time.Millisecond)
	}
	if waited := time.Since(begin); reported != "" {
		fmt.Fprintf(progress, "waited %v for other integration tests\n", waited.Round(time.Second))
	}
	owner := fmt.Sprintf("process %d (%s)\n", os.Getpid(), filepath.Base(os.Args[0]))
	if err := unix.Ftruncate(fd, 0); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	if _, err := unix.Pwrite(fd, []byte(owner), 0); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return func() { unix.Close(fd) }, nil
}
