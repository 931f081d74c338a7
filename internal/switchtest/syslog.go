package switchtest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LogLine is one datagram to /dev/log: "<PRI>Mmm dd hh:mm:ss TAG: TEXT".
type LogLine struct {
	Priority int    // facility * 8 + severity, RFC 3164 section 4.1.1
	Tag      string // "portsyncd"
	Text     string
}

func (l LogLine) String() string { return fmt.Sprintf("<%d>%s: %s", l.Priority, l.Tag, l.Text) }

// Severity is 0 for emerg to 7 for debug.
func (l LogLine) Severity() int { return l.Priority & 7 }

// Has reports whether the line has all of the words.
func (l LogLine) Has(words ...string) bool {
	for _, word := range words {
		if !strings.Contains(l.Text, word) {
			return false
		}
	}
	return true
}

// parseLogLine reads a datagram; one of another form has pri -1.
func parseLogLine(datagram string) LogLine {
	const stamp = len("Jan _2 15:04:05 ")
	pri, rest, ok := strings.Cut(datagram, ">")
	n, err := strconv.Atoi(strings.TrimPrefix(pri, "<"))
	if !ok || err != nil || len(rest) < stamp {
		return LogLine{Priority: -1, Text: datagram}
	}
	if _, err := time.Parse(time.Stamp, rest[:stamp-1]); err != nil {
		return LogLine{Priority: -1, Text: datagram}
	}
	tag, text, _ := strings.Cut(rest[stamp:], ": ")
	return LogLine{Priority: n, Tag: tag, Text: strings.TrimRight(text, "\n\x00")}
}

// listenLog records what arrives at a syslog socket.
func listenLog(path string) (*Record[LogLine], error) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(4 << 20)
	lines := new(Record[LogLine])
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			lines.Add(parseLogLine(string(buf[:n])))
		}
	}()
	return lines, nil
}

// openDevLog puts a /dev in place that has the few devices a program needs and
// a syslog socket. The record gets what arrives there.
func openDevLog(dir string) (*Record[LogLine], error) {
	dev := filepath.Join(dir, "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		return nil, err
	}
	for _, name := range []string{"null", "zero", "full", "random", "urandom", "fuse"} {
		if _, err := os.Stat("/dev/" + name); err != nil {
			continue // not every machine has FUSE
		}
		if err := bind("/dev/"+name, filepath.Join(dev, name)); err != nil {
			return nil, err
		}
	}
	for link, target := range map[string]string{
		"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
	} {
		if err := os.Symlink(target, filepath.Join(dev, link)); err != nil {
			return nil, err
		}
	}
	if err := unix.Mount(dev, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return nil, fmt.Errorf("bind /dev: %w", err)
	}
	// The kernel's default are 10 datagrams, and of the lines about single messages what
	// does not fit in time is lost. An ordinary user has to live with that.
	os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("10000"), 0)
	return listenLog("/dev/log")
}

// bind makes a device appear at another path as well.
func bind(device, path string) error {
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(device, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", device, err)
	}
	return nil
}

// AwaitLog waits for a log line that has all of the words, among those that
// came after the first n.
func (sw *Switch) AwaitLog(n int, limit time.Duration, words ...string) LogLine {
	sw.T.Helper()
	line, ok := sw.Logs.Await(n, limit, func(l LogLine) bool { return l.Has(words...) })
	if !ok {
		sw.T.Fatalf("no log line with %q within %v", words, limit)
	}
	return line
}

// FaultLines returns how many log lines there are beside those about link messages,
// which have a limit of their own.
func (sw *Switch) FaultLines() (n int) {
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if !strings.HasPrefix(l.Text, ":- onMsg: ") {
			n++
		}
	}
	return n
}
