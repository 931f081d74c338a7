package syslog

import (
	"cmp"
	"context"
	"hash/maphash"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"time"
)

// DefaultSocket is where syslog daemons listen (_PATH_LOG of sys/syslog.h).
const DefaultSocket = "/dev/log"

// facility is LOG_USER of sys/syslog.h, the default of syslog(3), which sonic-swss-common common/logger.cpp leaves
// as it is. A line's priority is facility | severity.
const facility = 1 << 3

const defaultTag = "portsyncd"

// Options says how a Handler starts. The zero value logs INFO and above to /dev/log.
type Options struct {
	Tag        string // of syslog lines; default "portsyncd"
	Component  string // of lines from loggers without one (ComponentKey); default the Tag
	Level      slog.Level
	Output     Output
	SocketPath string   // of the syslog daemon; default DefaultSocket
	Stdout     *os.File // default os.Stdout; must stay open while the Handler is used
	Stderr     *os.File // default os.Stderr; likewise
}

// ComponentKey is the key of the attribute that WithAttrs takes for the name of the part that logs: log.With(ComponentKey,
// "redis") makes lines ":- redis: TEXT".
const ComponentKey = "component"

// Handler is an slog.Handler, see the package comment.
type Handler struct {
	shared *shared
	prefix string // ":- COMPONENT: "
	attrs  []byte // rendered attributes of WithAttrs, each with a blank before it
	group  string // of WithGroup, with a dot after each: the prefix of the keys to come
}

// shared is what a Handler and those derived from it have in common.
type shared struct {
	level  atomic.Int64
	output atomic.Uint32
	tag    string // with colon and blank
	rates  rates

	socket         socket
	stdout, stderr stream
	late           late

	lines      [Severities]atomic.Uint64
	dropped    atomic.Uint64
	suppressed atomic.Uint64
}

// New returns a Handler. It tries to connect to the syslog daemon, but that there is none is no error: it is tried
// again later.
func New(o Options) *Handler {
	s := &shared{
		tag:    cmp.Or(o.Tag, defaultTag) + ": ",
		rates:  rates{limit: LinesPerSecond, seed: maphash.MakeSeed()},
		stdout: stream{file: cmp.Or(o.Stdout, os.Stdout)},
		stderr: stream{file: cmp.Or(o.Stderr, os.Stderr)},
		late:   late{lines: make(chan lateLine, maxLate)},
	}
	s.socket.init(cmp.Or(o.SocketPath, DefaultSocket))
	h := &Handler{shared: s, prefix: prefix(cmp.Or(o.Component, o.Tag, defaultTag))}
	h.SetLevel(o.Level)
	h.SetOutput(o.Output)
	return h
}

// prefix returns what sonic-swss-common's logger writes before each message (common/logger.h, SWSS_LOG_...): there
// the component is the name of the function.
func prefix(component string) string { return ":- " + component + ": " }

// SetLevel sets the least urgent level that is logged.
func (h *Handler) SetLevel(level slog.Level) { h.shared.level.Store(int64(level)) }

// Level returns the least urgent level that is logged. With it a Handler is an slog.Leveler.
func (h *Handler) Level() slog.Level { return slog.Level(h.shared.level.Load()) }

// SetOutput sets where lines go.
func (h *Handler) SetOutput(o Output) { h.shared.output.Store(uint32(o)) }

// Output returns where lines go.
func (h *Handler) Output() Output { return Output(h.shared.output.Load()) }

// Lines returns how many lines of the severity have been written. An unknown severity has none.
func (h *Handler) Lines(s Severity) uint64 {
	if s >= Severities {
		return 0
	}
	return h.shared.lines[s].Load()
}

// Dropped returns how many lines were lost because nobody took them in time.
func (h *Handler) Dropped() uint64 { return h.shared.dropped.Load() }

// Suppressed returns how many lines were not written because the same message was logged LinesPerSecond times in that
// second.
func (h *Handler) Suppressed() uint64 { return h.shared.suppressed.Load() }

// Enabled is part of slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.Level() }

// Handle is part of slog.Handler. It writes the line, has it written later, drops it, or suppresses it; it always returns nil, because the
// caller has nobody to tell.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	ok, suppressed := h.shared.rates.allow(h.prefix, r.Message, r.Time)
	if !ok {
		h.shared.suppressed.Add(1)
		return nil
	}
	// Lines of ordinary length stay on the stack; a longer one moves to the heap as it grows.
	var space [1024]byte
	severity := SeverityOf(r.Level)
	output := h.Output()
	line := h.shared.appendStart(space[:0], output, severity, r.Time)
	line = append(line, h.prefix...)
	line = h.appendText(line, r)
	if suppressed > 0 {
		line = append(line, " suppressed="...)
		line = strconv.AppendUint(line, suppressed, 10)
	}
	h.shared.deliver(output, severity, line)
	return nil
}

// WriteLine writes one line whose component and text are complete, without the limit for equal messages. If the syslog
// daemon's queue is full, or lines of Handle wait for room, it waits until there is room for it behind those, at most
// for the given time. It reports whether the line was taken, and allocates nothing for a line of ordinary length.
func (h *Handler) WriteLine(level slog.Level, component string, text []byte, at time.Time, patience time.Duration) bool {
	var space [1024]byte
	severity := SeverityOf(level)
	output := h.Output()
	line := h.shared.appendStart(space[:0], output, severity, at)
	line = append(line, ":- "...)
	line = append(line, component...)
	line = append(line, ": "...)
	line = appendPrintableBytes(line, text)
	patience, sent := h.shared.standBack(patience)
	sent = sent && h.shared.send(output, line, patience) == taken
	h.shared.count(severity, sent)
	return sent
}

// appendStart appends what stands before the text: for syslog the header, for whoever reads the streams (supervisord,
// journald), who adds time and name, the severity.
func (s *shared) appendStart(b []byte, output Output, severity Severity, at time.Time) []byte {
	if output == Stdout || output == Stderr {
		return append(append(b, severity.String()...), ' ')
	}
	return s.appendHeader(b, severity, at)
}

// send writes a line.
func (s *shared) send(output Output, line []byte, patience time.Duration) outcome {
	switch output {
	case Stdout:
		return s.stdout.send(append(cut(line, maxStreamLine-1), '\n'))
	case Stderr:
		return s.stderr.send(append(cut(line, maxStreamLine-1), '\n'))
	}
	return s.socket.send(cut(line, maxLine), patience)
}

// waitRoom waits until there is room for a line, at most for patience.
func (s *shared) waitRoom(output Output, patience time.Duration) {
	switch output {
	case Stdout:
		waitRoom(int(s.stdout.file.Fd()), patience)
	case Stderr:
		waitRoom(int(s.stderr.file.Fd()), patience)
	default:
		s.socket.waitRoom(patience)
	}
}

// count counts a line by what became of it.
func (s *shared) count(severity Severity, sent bool) {
	if sent {
		s.lines[severity].Add(1)
	} else {
		s.dropped.Add(1)
	}
}

// appendHeader appends what stands before the text of a datagram: "<PRI>Mmm dd hh:mm:ss tag: ", in local time,
// as syslog(3) of glibc writes it and RFC 3164 section 4.1 describes it, without the host name that relays add. The
// time zone is the one in force when the process started.
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

// WithAttrs is part of slog.Handler. The attributes are rendered here, once. One with ComponentKey outside all groups
// names the component.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
		if a.Key == ComponentKey && h.group == "" {
			derived.prefix = prefix(string(appendPrintable(nil, clip(a.Value.String()))))
			continue
		}
		derived.attrs = appendAttr(derived.attrs, h.group, a)
	}
	return &derived
}

// WithGroup is part of slog.Handler.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	derived := *h
	derived.group += name + "."
	return &derived
}
