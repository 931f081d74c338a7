package syslog

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
)

// DefaultSocket is the path of the syslog socket (_PATH_LOG of sys/syslog.h).
const DefaultSocket = "/dev/log"

// facility is LOG_USER of sys/syslog.h, the default of syslog(3), which common/logger.cpp in
// sonic-swss-common does not change. The priority of a line is facility | severity.
const facility = 1 << 3

const defaultTag = "portsyncd"

// Options configures a Handler. The zero value logs to /dev/log at INFO and above.
type Options struct {
	Tag        string // tag of syslog lines; default "portsyncd"
	Component  string // component of loggers without ComponentKey; default Tag
	Level      slog.Level
	Output     Output
	Format     Format // of the lines on standard output and standard error
	SocketPath string // path of the syslog socket; default DefaultSocket
	// Console also writes lines for the output Syslog to Stderr if Stderr is a terminal. While the
	// syslog daemon is unavailable, the lines are written to Stderr only.
	Console bool
	Stdout  *os.File // default os.Stdout; must stay open while the Handler is in use
	Stderr  *os.File // default os.Stderr; must stay open while the Handler is in use
}

// ComponentKey is the key of the attribute that contains a logger's component. Lines of
// log.With(ComponentKey, "redis") have the form ":- redis: TEXT".
const ComponentKey = "component"

// Handler is an [slog.Handler]. The package documentation describes its output.
type Handler struct {
	shared    *shared
	component string
	prefix    string       // ":- COMPONENT: "
	attrs     []byte       // attributes of WithAttrs as text, each after a blank
	group     string       // prefix of further keys: names of WithGroup, each followed by a dot
	derived   []derivation // calls of WithAttrs and WithGroup, for JSON
}

// shared is the state shared by a Handler and the handlers derived from it.
type shared struct {
	level  atomic.Int64
	output atomic.Uint32
	format atomic.Uint32
	tag    string // followed by a colon and a blank
	rates  rates

	console bool // Options.Console

	socket         socket
	stdout, stderr stream
	queue          queue

	lines      [Severities]atomic.Uint64
	dropped    atomic.Uint64
	suppressed atomic.Uint64
}

// New returns a Handler and connects to the syslog daemon. If the connection fails, the Handler
// connects later.
func New(o Options) *Handler {
	s := &shared{
		tag:     cmp.Or(o.Tag, defaultTag) + ": ",
		rates:   rates{limit: LinesPerSecond, seed: maphash.MakeSeed()},
		console: o.Console,
		queue:   queue{lines: make(chan queuedLine, maxQueued)},
	}
	s.stdout.init(cmp.Or(o.Stdout, os.Stdout))
	s.stderr.init(cmp.Or(o.Stderr, os.Stderr))
	s.socket.init(cmp.Or(o.SocketPath, DefaultSocket))
	component := cmp.Or(o.Component, o.Tag, defaultTag)
	h := &Handler{shared: s, component: component, prefix: prefix(component)}
	h.SetLevel(o.Level)
	h.SetOutput(o.Output)
	h.SetFormat(o.Format)
	return h
}

// prefix returns the text that precedes a message, as in common/logger.h of sonic-swss-common
// (SWSS_LOG_...), where the component is the name of the function.
func prefix(component string) string { return ":- " + component + ": " }

// SetLevel sets the minimum level that is logged.
func (h *Handler) SetLevel(level slog.Level) { h.shared.level.Store(int64(level)) }

// Level returns the minimum level that is logged. It implements [slog.Leveler].
func (h *Handler) Level() slog.Level { return slog.Level(h.shared.level.Load()) }

// SetOutput sets the destination of log lines.
func (h *Handler) SetOutput(o Output) { h.shared.output.Store(uint32(o)) }

// Output returns the destination of log lines.
func (h *Handler) Output() Output { return Output(h.shared.output.Load()) }

// Lines returns the number of lines that were written with a severity. It returns 0 for an unknown
// severity.
func (h *Handler) Lines(s Severity) uint64 {
	if s >= Severities {
		return 0
	}
	return h.shared.lines[s].Load()
}

// Dropped returns the number of lines lost because the output was full or unavailable.
func (h *Handler) Dropped() uint64 { return h.shared.dropped.Load() }

// Suppressed returns the number of lines that were not written because the same message had already
// been written LinesPerSecond times in the same second.
func (h *Handler) Suppressed() uint64 { return h.shared.suppressed.Load() }

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.Level() }

// Handle implements [slog.Handler]. It writes, queues, suppresses or drops the line. It always
// returns nil, because callers cannot handle logging errors.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	ok, suppressed := h.shared.rates.allow(h.prefix, r.Message, r.Time)
	if !ok {
		h.shared.suppressed.Add(1)
		return nil
	}
	// A line of up to 1 KiB is on the stack; a longer one is moved to the heap.
	var space [1024]byte
	severity, output := SeverityOf(r.Level), h.Output()
	line := h.appendLine(space[:0], output, severity, r, suppressed)
	delivered := h.shared.deliver(output, severity, line)
	switch {
	case delivered && h.shared.copies(output):
		h.shared.stderr.send(h.appendLine(space[:0], Stderr, severity, r, suppressed))
	case !delivered && h.shared.fallsBack(output):
		delivered = h.shared.deliver(Stderr, severity, h.appendLine(space[:0], Stderr, severity, r, suppressed))
	}
	if !delivered {
		h.shared.dropped.Add(1)
	}
	return nil
}

// appendLine appends the line for a record in the format of an output.
func (h *Handler) appendLine(b []byte, output Output, severity Severity, r slog.Record, suppressed uint64) []byte {
	if h.isJSON(output) {
		return h.appendJSON(b, r, suppressed)
	}
	b = h.shared.appendStart(b, output, severity, r.Time)
	b = append(b, h.prefix...)
	b = h.appendText(b, r)
	if suppressed > 0 {
		b = append(b, " suppressed="...)
		b = strconv.AppendUint(b, suppressed, 10)
	}
	return b
}

// WriteLine writes a line with the given component and text. Unlike Handle, it does not limit
// repeated messages. If the output is full or lines from Handle are queued, it waits up to timeout.
// It reports whether the line was written. It does not allocate for a text line of up to 1 KiB.
func (h *Handler) WriteLine(level slog.Level, component string, text []byte, at time.Time, timeout time.Duration) bool {
	var space [1024]byte
	severity, output := SeverityOf(level), h.Output()
	timeout, empty := h.shared.waitQueue(timeout)
	sent := full
	if empty {
		line := h.appendPlain(space[:0], output, level, component, text, at)
		sent = h.shared.send(output, line, timeout)
		switch {
		case sent == written && h.shared.copies(output):
			h.shared.stderr.send(h.appendPlain(space[:0], Stderr, level, component, text, at))
		case sent == lost && h.shared.fallsBack(output):
			sent = h.shared.send(Stderr, h.appendPlain(space[:0], Stderr, level, component, text, at), timeout)
		}
	}
	h.shared.count(severity, sent == written)
	return sent == written
}

// appendPlain appends the line for WriteLine in the format of an output.
func (h *Handler) appendPlain(b []byte, output Output, level slog.Level, component string, text []byte, at time.Time) []byte {
	if h.isJSON(output) {
		plain := &Handler{shared: h.shared, component: component}
		return plain.appendJSON(b, slog.NewRecord(at, level, string(text), 0), 0)
	}
	b = h.shared.appendStart(b, output, SeverityOf(level), at)
	b = append(b, ":- "...)
	b = append(b, component...)
	b = append(b, ": "...)
	return appendPrintableBytes(b, text)
}

// WriteStderr writes a line to standard error, regardless of the output. It does not block.
func (h *Handler) WriteStderr(level slog.Level, message string) {
	r := slog.NewRecord(time.Now(), level, message, 0)
	h.shared.stderr.send(h.appendLine(nil, Stderr, SeverityOf(level), r, 0))
}

// appendStart appends the part of a log line that precedes the component. For syslog this is the
// header. For standard output and standard error it is only the severity, because their readers
// (supervisord, journald) add the time and the name.
func (s *shared) appendStart(b []byte, output Output, severity Severity, at time.Time) []byte {
	if output == Stdout || output == Stderr {
		return append(append(b, severity.String()...), ' ')
	}
	return s.appendHeader(b, severity, at)
}

// copies reports whether lines for the given output are also written to standard error.
func (s *shared) copies(output Output) bool {
	return s.console && output == Syslog && s.stderr.terminal
}

// fallsBack reports whether lines for the given output are written to standard error if that output
// is unavailable.
func (s *shared) fallsBack(output Output) bool { return s.console && output == Syslog }

// send writes a line to the output. If the output is full, send waits up to timeout.
func (s *shared) send(output Output, line []byte, timeout time.Duration) result {
	switch output {
	case Stdout:
		return s.stdout.sendWithin(line, timeout)
	case Stderr:
		return s.stderr.sendWithin(line, timeout)
	}
	return s.socket.send(cut(line, maxLine), timeout)
}

// waitRoom waits until the output can accept a line or the timeout expires.
func (s *shared) waitRoom(output Output, timeout time.Duration) {
	switch output {
	case Stdout:
		waitRoom(s.stdout.fd, timeout)
	case Stderr:
		waitRoom(s.stderr.fd, timeout)
	default:
		s.socket.waitRoom(timeout)
	}
}

// count counts a line as written or dropped.
func (s *shared) count(severity Severity, sent bool) {
	if sent {
		s.lines[severity].Add(1)
	} else {
		s.dropped.Add(1)
	}
}

// appendHeader appends the header of a datagram, "<PRI>Mmm dd hh:mm:ss tag: ", in local time. This
// is the format of syslog(3) in glibc: RFC 3164 section 4.1 without the host name, which relays
// add. The time zone is that at the start of the process.
func (s *shared) appendHeader(b []byte, severity Severity, t time.Time) []byte {
	if t.IsZero() {
		t = time.Now()
	}
	b = append(b, '<')
	b = strconv.AppendUint(b, uint64(facility|severity), 10)
	b = append(b, '>')
	b = t.Local().AppendFormat(b, time.Stamp)
	b = append(b, ' ')
	return append(b, s.tag...)
}

// appendText appends the message and the attributes.
func (h *Handler) appendText(b []byte, r slog.Record) []byte {
	b = appendPrintable(b, clip(r.Message))
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	return b
}

// WithAttrs implements [slog.Handler]. It formats the attributes once. An attribute with
// ComponentKey outside of all groups sets the component.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = append([]byte(nil), h.attrs...)
	var others []slog.Attr
	for _, a := range attrs {
		if a.Key == ComponentKey && h.group == "" {
			derived.component = clip(a.Value.String())
			derived.prefix = prefix(string(appendPrintable(nil, derived.component)))
			continue
		}
		derived.attrs = appendAttr(derived.attrs, h.group, a)
		others = append(others, a)
	}
	derived.derived = append(slices.Clip(h.derived), derivation{attrs: others})
	return &derived
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	derived := *h
	derived.group += name + "."
	derived.derived = append(slices.Clip(h.derived), derivation{group: name})
	return &derived
}
