package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/statusview"
)

// display holds the text output options that the status and report commands share.
type display struct {
	width int    // columns; 0: the width of the terminal
	color string // "auto", "always" or "never"
}

const displayUsage = `  --width N             columns, at least 40; default: width of the terminal, or 80
  --color WHEN          always, never, or auto (default: on a terminal, unless
                        NO_COLOR is set)
`

// flags adds the options to f.
func (d *display) flags(f *flag.FlagSet) {
	f.IntVar(&d.width, "width", 0, "")
	f.StringVar(&d.color, "color", "auto", "")
}

// check validates the options.
func (d *display) check() error {
	if d.width != 0 && (d.width < 40 || d.width > 10000) {
		return fmt.Errorf("invalid --width %d: must be 40 to 10000", d.width)
	}
	switch d.color {
	case "auto", "always", "never":
		return nil
	}
	return fmt.Errorf("invalid --color %q: must be auto, always or never", d.color)
}

// terminal returns the properties of out. The height excludes one line for the cursor. It is 0 if
// out is not a terminal.
func (d *display) terminal(out io.Writer) statusview.Terminal {
	t := statusview.Terminal{Width: d.width, ASCII: !isUTF8(os.Getenv), Zone: time.Local}
	size, isTerminal := windowSize(out)
	if isTerminal {
		t.Height = max(int(size.Row)-1, 0)
	}
	if t.Width == 0 && isTerminal {
		t.Width = int(size.Col)
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); t.Width == 0 && err == nil {
		t.Width = columns // exported by some shells
	}
	t.Color = d.color == "always" ||
		d.color == "auto" && isTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return t
}

// windowSize returns the size of w if w is a terminal (TIOCGWINSZ, ioctl_tty(2)).
func windowSize(w io.Writer) (size unix.Winsize, isTerminal bool) {
	file, ok := w.(*os.File)
	if !ok {
		return size, false
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return size, false
	}
	var sizeErr error
	err = conn.Control(func(fd uintptr) {
		var s *unix.Winsize
		if s, sizeErr = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); sizeErr == nil {
			size = *s
		}
	})
	return size, errors.Join(err, sizeErr) == nil
}

// isUTF8 reports whether the locale uses UTF-8. The first environment variable that is set
// determines the locale (locale(7)).
func isUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.HasSuffix(v, "utf-8") || strings.HasSuffix(v, "utf8")
		}
	}
	return false
}
