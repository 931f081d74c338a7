package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Namespaces selects the namespaces of a program. It always has its own network namespace, which contains
// only lo, down, and its own mount namespace. See namespaces(7).
type Namespaces struct {
	// User adds a user namespace, in which the caller is root. An ordinary user always gets one,
	// since the other namespaces require it.
	User bool
	// PID adds a process namespace: when the program ends, all processes in it are killed. /proc
	// shows the processes outside until MountProc.
	PID bool
}

// outerNetwork is the environment variable with the network namespace of the caller of Command.
const outerNetwork = "PORTSYNCD_LAB_OUTER_NETWORK"

// Command returns a command like exec.CommandContext that runs in these namespaces, as root if possible.
// It is killed when the thread that started it ends, and so when the caller ends. Env and
// SysProcAttr may be extended.
func (n Namespaces) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = n.attr()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Env = append(os.Environ(), outerNetwork+"="+networkNamespace())
	return cmd
}

// Command is [Namespaces.Command] of the zero Namespaces.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return Namespaces{}.Command(ctx, name, args...)
}

func (n Namespaces) needUser() bool { return n.User || os.Geteuid() != 0 }

func (n Namespaces) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// Unshareflags and not Cloneflags, so that missing permissions are an error of the
		// start, and so that package syscall makes all mounts private.
		Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
	}
	if n.PID {
		attr.Cloneflags |= unix.CLONE_NEWPID
	}
	if n.needUser() {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// Forbidden returns an error if the namespaces cannot be created, such as "user namespaces are forbidden
// here: operation not permitted".
func (n Namespaces) Forbidden() error {
	// A child creates its namespaces before it fails to run a missing program.
	_, err := os.StartProcess("/nonexistent", []string{"nonexistent"}, &os.ProcAttr{Sys: n.attr()})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	kind := "network"
	if n.needUser() {
		kind = "user"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return fmt.Errorf("%s namespaces are forbidden here: %w", kind, err)
}

// Forbidden is [Namespaces.Forbidden] of the zero Namespaces.
func Forbidden() error { return Namespaces{}.Forbidden() }

// networkNamespace returns the ID of the network namespace of this process.
func networkNamespace() string {
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "unknown"
	}
	return name
}

// Inside reports whether Command started this process in namespaces. It compares the network namespaces,
// so that a leftover environment variable cannot cause changes of the interfaces of the machine.
func Inside() bool {
	outer := os.Getenv(outerNetwork)
	return outer != "" && outer != "unknown" && outer != networkNamespace()
}

var errOutside = errors.New("not in a namespace of its own")

// LoopbackUp sets lo up in a new network namespace.
func LoopbackUp() error {
	if !Inside() {
		return fmt.Errorf("set lo up: %w", errOutside)
	}
	return IP("link set lo up")
}

// MountTmpfs mounts an empty file system on path in the mount namespace. If path does not exist, it mounts
// on the nearest existing parent, whose content is then hidden, and creates path in it.
func MountTmpfs(path string) error {
	if !Inside() {
		return fmt.Errorf("mount on %s: %w", path, errOutside)
	}
	at := path
	for {
		resolved, err := filepath.EvalSymlinks(at)
		if err == nil {
			at = resolved
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("mount on %s: %w", path, err)
		}
		at = filepath.Dir(at)
	}
	if at == "/" {
		return fmt.Errorf("mount on %s: no parent directory exists", path)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount on %s: %w", at, err)
	}
	return os.MkdirAll(path, 0o755)
}

// MountProc mounts /proc of the own process namespace.
func MountProc() error {
	if !Inside() {
		return fmt.Errorf("mount /proc: %w", errOutside)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}
