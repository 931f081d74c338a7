package switchtest

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// waitForTurn takes the lock that lets one package's integration tests run at a time.
// It is held until the process ends.
func waitForTurn() error {
	path := filepath.Join(os.TempDir(), fmt.Sprintf("portsyncd-integration-%d.lock", os.Getuid()))
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	for {
		err = unix.Flock(fd, unix.LOCK_EX)
		if err != unix.EINTR {
			return os.NewSyscallError("flock", err)
		}
	}
}
