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

// Namespaces says in what a program is to run apart from the rest of the
// machine: always in a network namespace, where only lo exists and is down,
// and a mount namespace of its own. See namespaces(7).
type Namespaces struct {
	// User adds a user namespace, in which the caller is root. An ordinary
	// user gets one in any case: it is what allows the others.
	User bool
	// PID adds a process namespace: when the program ends, all that it started
	// is killed. /proc remains that of the outside until MountProc.
	PID bool
}

// outerNetwork is the environment variable in which a program in namespaces
// finds the network namespace that it must not touch.
const outerNetwork = "PORTSYNCD_LAB_OUTER_NETWORK"

// Command returns a command that runs in namespaces of its own: as
// exec.CommandContext, and as root if the caller is or can be made root there.
// It is killed when the thread that started it ends, so also with the caller.
// Its Env and SysProcAttr may be added to.
func (n Namespaces) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = n.attr()
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.Env = append(os.Environ(), outerNetwork+"="+networkNamespace())
	return cmd
}

// Command is [Namespaces.Command] with what every program gets.
func Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	return Namespaces{}.Command(ctx, name, args...)
}

func (n Namespaces) needUser() bool { return n.User || os.Geteuid() != 0 }

func (n Namespaces) attr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{
		// Unshared by the child rather than cloned: that needs the rights
		// which a user namespace is to give, so their lack shows at once. And
		// the syscall package then also makes all mounts private.
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

// Forbidden tries to make the namespaces. It returns nil if that works, else
// says in one line why not, such as "user namespaces are forbidden here:
// operation not permitted".
func (n Namespaces) Forbidden() error {
	// A child first makes its namespaces and then fails to run what does not
	// exist. It gets that far only where namespaces are allowed.
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

// Forbidden is [Namespaces.Forbidden] for what every program gets.
func Forbidden() error { return Namespaces{}.Forbidden() }

// networkNamespace names the network namespace of this process.
func networkNamespace() string {
	name, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return "unknown"
	}
	return name
}

// Inside reports whether this process was started in namespaces by Command.
// It compares the network namespaces, so that a variable left in the
// environment deceives nobody into changing the machine's own interfaces.
func Inside() bool {
	outer := os.Getenv(outerNetwork)
	return outer != "" && outer != "unknown" && outer != networkNamespace()
}

var errOutside = errors.New("not inside namespaces of our own")

// LoopbackUp sets lo up, for whoever wants to use 127.0.0.1 in a fresh network
// namespace.
func LoopbackUp() error {
	if !Inside() {
		return fmt.Errorf("set lo up: %w", errOutside)
	}
	return IP("link set lo up")
}

// MountTmpfs puts an empty file system on path, which only this process and
// what it starts will see. If there is no such directory, it goes over the
// nearest one above, whose content is hidden, and path is made in it.
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
		return fmt.Errorf("mount on %s: nothing of it exists", path)
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount on %s: %w", at, err)
	}
	return os.MkdirAll(path, 0o755)
}

// MountProc puts the /proc of the own process namespace in place.
func MountProc() error {
	if !Inside() {
		return fmt.Errorf("mount /proc: %w", errOutside)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	return nil
}
