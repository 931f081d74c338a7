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

// display is how text is to look: the options that status and report share.
type display struct {
	width int    // 0: as wide as the terminal
	color string // "auto", "always" or "never"
}

const displayUsage = `  --width N             columns, 40 or more; default those of the terminal, or 80
  --color WHEN          auto (on a terminal, and unless NO_COLOR is set), always, never
`

func (d *display) flags(f *flag.FlagSet) {
	f.IntVar(&d.width, "width", 0, "")
	f.StringVar(&d.color, "color", "auto", "")
}

func (d *display) check() error {
	if d.width != 0 && (d.width < 40 || d.width > 10000) {
		return fmt.Errorf("--width %d: expected 40 to 10000", d.width)
	}
	switch d.color {
	case "auto", "always", "never":
		return nil
	}
	return fmt.Errorf("--color %q: expected auto, always or never", d.color)
}

// terminal describes what out is. Its height is that of a terminal, less a line
// for the cursor; 0 if out is none.
func (d *display) terminal(out io.Writer) statusview.Terminal {
	t := statusview.Terminal{Width: d.width, ASCII: !speaksUTF8(os.Getenv), Zone: time.Local}
	size, isTerminal := windowSize(out)
	if isTerminal {
		t.Height = max(int(size.Row)-1, 0)
	}
	if t.Width == 0 && isTerminal {
		t.Width = int(size.Col)
	}
	if columns, err := strconv.Atoi(os.Getenv("COLUMNS")); t.Width == 0 && err == nil {
		t.Width = columns // some shells export it
	}
	t.Color = d.color == "always" ||
		d.color == "auto" && isTerminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return t
}

// windowSize asks the terminal that w is, if it is one (TIOCGWINSZ,
// ioctl_tty(2)).
func windowSize(w io.Writer) (size unix.Winsize, isTerminal bool) {
	file, ok := w.(*os.File)
	if !ok {
		return size, false
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return size, false
	}
	var askErr error
	err = conn.Control(func(fd uintptr) {
		var s *unix.Winsize
		if s, askErr = unix.IoctlGetWinsize(int(fd), unix.TIOCGWINSZ); askErr == nil {
			size = *s
		}
	})
	return size, errors.Join(err, askErr) == nil
}

// speaksUTF8 tells by the environment whether a terminal shows UTF-8: the first
// variable that is set decides, locale(7).
func speaksUTF8(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.HasSuffix(v, "utf-8") || strings.HasSuffix(v, "utf8")
		}
	}
	return false
}

// complain prints one line about what is wrong, fit for a terminal whatever is
// quoted in it.
func complain(stderr io.Writer, command string, err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	fmt.Fprintf(stderr, "portsyncd %s: %s\n", command, statusview.Visible(text, !speaksUTF8(os.Getenv)))
}
