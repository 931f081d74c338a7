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

// Namespaces selects the namespaces in which a program runs. It always has its own mount namespace
// and its own network namespace, which contains only lo in the down state. See namespaces(7).
type Namespaces struct {
	// User adds a user namespace in which the caller is root. It is always added for an ordinary
	// user, because the other namespaces require it.
	User bool
	// PID adds a PID namespace: when the program ends, all processes in the namespace are killed.
	// Until MountProc is called, /proc shows the processes of the parent namespace.
	PID bool
}

// outerNetwork is the environment variable with the network namespace in which Command was called.
const outerNetwork = "PORTSYNCD_LAB_OUTER_NETWORK"

// Command returns a command, like exec.CommandContext, that runs in these namespaces, as root if
// possible. The process is killed when the thread that started it ends, and therefore when the
// caller ends. The caller may extend Env and SysProcAttr.
func (n Namespaces) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = n.attr()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Env = append(os.Environ(), outerNetwork+"="+networkNamespace())
	return cmd
}

// Command calls [Namespaces.Command] on the zero Namespaces.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return Namespaces{}.Command(ctx, name, args...)
}

func (n Namespaces) needUser() bool { return n.User || os.Geteuid() != 0 }

func (n Namespaces) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// With Unshareflags rather than Cloneflags, missing permissions are reported by Start, and
		// package syscall makes all mounts private.
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

// Forbidden returns an error if the namespaces cannot be created, such as "user namespaces are
// forbidden here: operation not permitted".
func (n Namespaces) Forbidden() error {
	// The child creates its namespaces before it fails to execute the missing program.
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

// Forbidden calls [Namespaces.Forbidden] on the zero Namespaces.
func Forbidden() error { return Namespaces{}.Forbidden() }

// networkNamespace returns the ID of this process's network namespace.
func networkNamespace() string {
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "unknown"
	}
	return name
}

// Inside reports whether Command started this process in namespaces. It compares the network
// namespaces, so that a leftover environment variable cannot cause changes to the machine's own
// interfaces.
func Inside() bool {
	outer := os.Getenv(outerNetwork)
	return outer != "" && outer != "unknown" && outer != networkNamespace()
}

var errOutside = errors.New("not running in a separate namespace")

// LoopbackUp brings lo up in a new network namespace.
func LoopbackUp() error {
	if !Inside() {
		return fmt.Errorf("bring lo up: %w", errOutside)
	}
	return IP("link set lo up")
}

// MountTmpfs mounts an empty tmpfs on path in the mount namespace. If path does not exist, it
// mounts the tmpfs on the nearest existing parent, which hides the parent's contents, and creates
// path in it.
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

// MountProc mounts /proc for the current PID namespace.
func MountProc() error {
	if !Inside() {
		return fmt.Errorf("mount /proc: %w", errOutside)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}
