package snapshot

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// DirLock locks a directory for one process, so that two daemons cannot write the same files. It
// calls flock(2) on the directory itself. This requires no lock file, and the kernel releases the
// lock when the process ends. The methods may be called from any goroutine.
type DirLock struct {
	Path string // path of the directory

	mu   sync.Mutex
	dir  *os.File // nil if not locked
	info fs.FileInfo
}

// ErrLocked is returned by Acquire if another process holds the lock.
var ErrLocked = errors.New("directory is locked by another process")

// Acquire acquires the lock without blocking. If another process holds the lock, it returns an
// error that wraps ErrLocked. If this process already holds the lock, Acquire does nothing, unless
// the directory has been replaced; then it locks the new directory. On file systems without locks,
// Acquire succeeds.
func (l *DirLock) Acquire() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir != nil {
		if info, err := os.Stat(l.Path); err != nil || os.SameFile(info, l.info) {
			return nil
		}
		l.dir.Close()
		l.dir = nil
	}
	dir, err := os.OpenFile(l.Path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	info, err := dir.Stat()
	if err == nil {
		err = flock(dir)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w %q%s", ErrLocked, l.Path, lockedBy(info))
	}
	if err != nil {
		dir.Close()
		return err
	}
	l.dir, l.info = dir, info
	return nil
}

// Release releases the lock.
func (l *DirLock) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir != nil {
		l.dir.Close()
		l.dir = nil
	}
}

// noLocks lists the errors of file systems without flock. NFS requires a descriptor that is open
// for writing, which is impossible for a directory.
var noLocks = []syscall.Errno{unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL, unix.EBADF, unix.ENOLCK, 524}

func flock(dir *os.File) error {
	err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	for errors.Is(err, unix.EINTR) {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if isAny(err, noLocks) {
		return nil
	}
	return os.NewSyscallError("flock", err)
}

// lockedBy returns " (process 123)" if the process that holds the lock is known, or "".
func lockedBy(info fs.FileInfo) string {
	if pid := holder(info); pid > 0 {
		return fmt.Sprintf(" (process %d)", pid)
	}
	return ""
}

// LockHolder returns the process that holds the lock of a directory, or 0 if there is none, or if it is
// not known.
func LockHolder(path string) (pid int) {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return holder(info)
}

// holder returns the process that holds the lock according to /proc/locks. It returns 0 if the file
// does not list it, for example because the process is in another PID namespace.
func holder(info fs.FileInfo) (pid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	locks, err := os.Open("/proc/locks")
	if !ok || err != nil {
		return 0
	}
	defer locks.Close()
	id := fmt.Sprintf("%02x:%02x:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev), stat.Ino)
	for lines := bufio.NewScanner(locks); lines.Scan(); {
		// 1: FLOCK ADVISORY WRITE 4711 fd:00:131 0 EOF
		f := strings.Fields(lines.Text())
		if len(f) == 8 && f[1] == "FLOCK" && f[5] == id {
			if pid, err := strconv.Atoi(f[4]); err == nil && pid > 0 {
				return pid
			}
		}
	}
	return 0
}
