package cli

import (
	"os"

	"golang.org/x/sys/unix"
)

// keyboard is a terminal that delivers each key without Enter and without echo while it is open.
// Keys that send signals, such as Ctrl-C, still do so (termios(3)).
type keyboard struct {
	file  *os.File
	saved *unix.Termios // settings to restore; nil: the terminal is not open
}

// openKeyboard opens file as a keyboard. The keyboard delivers no keys if file is not a terminal,
// or if this process runs in the background, where changing the terminal would stop the process
// (SIGTTOU).
func openKeyboard(file *os.File) *keyboard {
	k := &keyboard{file: file}
	k.open()
	return k
}

func (k *keyboard) open() {
	fd := int(k.file.Fd())
	foreground, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
	if err != nil || foreground != unix.Getpgrp() {
		return
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return
	}
	saved := *t
	t.Lflag &^= unix.ICANON | unix.ECHO
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if unix.IoctlSetTermios(fd, unix.TCSETS, t) == nil {
		k.saved = &saved
	}
}

// close restores the settings of the terminal.
func (k *keyboard) close() {
	if k.saved != nil {
		unix.IoctlSetTermios(int(k.file.Fd()), unix.TCSETS, k.saved)
		k.saved = nil
	}
}

// awaitQuit reads keys until q is pressed, and then calls quit. It also returns after a read error.
func (k *keyboard) awaitQuit(quit func()) {
	var key [1]byte
	for {
		n, err := k.file.Read(key[:])
		if err != nil {
			return
		}
		if n == 1 && (key[0] == 'q' || key[0] == 'Q') {
			quit()
			return
		}
	}
}
