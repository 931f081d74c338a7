package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// OpenTerminal opens a pseudoterminal (pty(7)) with the multiplexer at path, usually /dev/ptmx.
// What a program writes to terminal can be read from screen.
func OpenTerminal(path string) (screen, terminal *os.File, err error) {
	screen, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("open pseudoterminal: %w", err)
	}
	conn, err := screen.SyscallConn()
	if err == nil {
		var ioctlErr error
		err = conn.Control(func(fd uintptr) { terminal, ioctlErr = peerOf(int(fd)) })
		err = errors.Join(err, ioctlErr)
	}
	if err != nil {
		screen.Close()
		return nil, nil, fmt.Errorf("open terminal of pseudoterminal: %w", err)
	}
	return screen, terminal, nil
}

// peerOf unlocks and opens the terminal side of the pseudoterminal fd (TIOCGPTPEER, ioctl_tty(2)).
func peerOf(fd int) (*os.File, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, err
	}
	const flags = unix.O_RDWR | unix.O_NOCTTY | unix.O_CLOEXEC
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, flags)
	if errno != 0 {
		return nil, errno
	}
	return os.NewFile(peer, "terminal"), nil
}
