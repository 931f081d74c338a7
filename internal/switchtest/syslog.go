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

// LogLine is a log line that was sent to /dev/log as a datagram of the form "<PRI>Mmm dd hh:mm:ss
// TAG: TEXT".
type LogLine struct {
	Priority int    // facility * 8 + severity, RFC 3164 section 4.1.1
	Tag      string // "portsyncd"
	Text     string
}

func (l LogLine) String() string { return fmt.Sprintf("<%d>%s: %s", l.Priority, l.Tag, l.Text) }

// Severity returns the syslog severity, from 0 for emerg to 7 for debug.
func (l LogLine) Severity() int { return l.Priority & 7 }

// Has reports whether the text of the log line contains all of the words.
func (l LogLine) Has(words ...string) bool {
	for _, word := range words {
		if !strings.Contains(l.Text, word) {
			return false
		}
	}
	return true
}

// parseLogLine parses a datagram. If the datagram has another form, the result has the priority -1
// and the datagram as its text.
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

// listenLog opens a syslog socket at path and records the lines that it receives.
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

// openDevLog mounts a /dev with the few devices that a program needs and with a syslog socket,
// whose lines it records.
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
	// The kernel's default is 10 datagrams, and the daemon drops lines about single
	// messages when the queue is full. An ordinary user cannot change it.
	os.WriteFile("/proc/sys/net/unix/max_dgram_qlen", []byte("10000"), 0)
	return listenLog("/dev/log")
}

// bind mounts a device at another path.
func bind(device, path string) error {
	if err := os.WriteFile(path, nil, 0o666); err != nil {
		return err
	}
	if err := unix.Mount(device, path, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", device, err)
	}
	return nil
}

// AwaitLog waits for a log line that contains all of the words. It ignores the first n lines of the
// log.
func (sw *Switch) AwaitLog(n int, limit time.Duration, words ...string) LogLine {
	sw.T.Helper()
	line, ok := sw.Logs.Await(n, limit, func(l LogLine) bool { return l.Has(words...) })
	if !ok {
		sw.T.Fatalf("no log line with %q within %v", words, limit)
	}
	return line
}

// FaultLines returns the number of log lines that are not about individual link messages, which
// have a separate rate limit.
func (sw *Switch) FaultLines() (n int) {
	lines, _ := sw.Logs.From(0)
	for _, l := range lines {
		if !strings.HasPrefix(l.Text, ":- onMsg: ") {
			n++
		}
	}
	return n
}
