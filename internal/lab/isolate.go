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

// outerNetwork is the environment variable with the network namespace in which Command was called.
const outerNetwork = "PORTSYNCD_LAB_OUTER_NETWORK"

// Command returns a command, like exec.CommandContext, that runs as root in a mount namespace and a
// network namespace of its own (namespaces(7)). The network namespace contains only lo in the down
// state. The process is killed when the thread that started it ends, and therefore when the caller
// ends. The caller may extend Env and SysProcAttr.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return isolated(ctx, needUser(), name, args...)
}

// needUser reports whether a user namespace is required to create the other namespaces.
func needUser() bool { return os.Geteuid() != 0 }

// isolated implements Command. user adds a user namespace in which the caller is root.
func isolated(ctx context.Context, user bool, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = attr(user)
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Env = append(os.Environ(), outerNetwork+"="+networkNamespace())
	return cmd
}

func attr(user bool) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// With Unshareflags rather than Cloneflags, missing permissions are reported by Start, and
		// package syscall makes all mounts private.
		Unshareflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
	}
	if user {
		attr.Cloneflags |= unix.CLONE_NEWUSER
		attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return attr
}

// Forbidden returns an error if the namespaces cannot be created, such as "user namespaces are
// forbidden here: operation not permitted".
func Forbidden() error { return forbidden(needUser()) }

func forbidden(user bool) error {
	// The child creates its namespaces before it fails to execute the missing program.
	_, err := os.StartProcess("/nonexistent", []string{"nonexistent"}, &os.ProcAttr{Sys: attr(user)})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	kind := "network"
	if user {
		kind = "user"
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return fmt.Errorf("%s namespaces are forbidden here: %w", kind, err)
}

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
