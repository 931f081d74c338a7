package syslog

import (
	"cmp"
	"context"
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

// Options says how a Handler starts. The zero value logs INFO and above to /dev/log.
type Options struct {
	Tag        string // stands before [pid] in syslog lines; default "portsyncd"
	Level      slog.Level
	Output     Output
	SocketPath string   // of the syslog daemon; default DefaultSocket
	Stdout     *os.File // default os.Stdout; must stay open while the Handler is used
	Stderr     *os.File // default os.Stderr; likewise
}

// Handler is an slog.Handler, see the package comment.
type Handler struct {
	shared *shared
	attrs  []byte // rendered attributes of WithAttrs, each with a blank before it
	group  string // of WithGroup, with a dot after each: the prefix of the keys to come
}

// shared is what a Handler and those derived from it have in common.
type shared struct {
	level  atomic.Int64
	output atomic.Uint32
	tag    string // with pid, colon and blank

	socket         socket
	stdout, stderr stream

	lines   [Severities]atomic.Uint64
	dropped atomic.Uint64
}

// New returns a Handler. It tries to connect to the syslog daemon, but that there is none is no error: it is tried
// again later.
func New(o Options) *Handler {
	s := &shared{
		tag:    cmp.Or(o.Tag, "portsyncd") + "[" + strconv.Itoa(os.Getpid()) + "]: ",
		stdout: stream{file: cmp.Or(o.Stdout, os.Stdout)},
		stderr: stream{file: cmp.Or(o.Stderr, os.Stderr)},
	}
	s.socket.init(cmp.Or(o.SocketPath, DefaultSocket))
	h := &Handler{shared: s}
	h.SetLevel(o.Level)
	h.SetOutput(o.Output)
	return h
}

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

// Dropped returns how many lines were lost because nobody took them at once.
func (h *Handler) Dropped() uint64 { return h.shared.dropped.Load() }

// Enabled is part of slog.Handler.
func (h *Handler) Enabled(_ context.Context, level slog.Level) bool { return level >= h.Level() }

// Handle is part of slog.Handler. It writes the line or drops it, and always returns nil: there is nobody to tell.
func (h *Handler) Handle(_ context.Context, r slog.Record) error {
	// Lines of ordinary length stay on the stack; a longer one moves to the heap as it grows.
	var space [1024]byte
	severity := SeverityOf(r.Level)
	var sent bool
	switch output := h.Output(); output {
	case Stdout, Stderr:
		// Whoever reads these (supervisord, journald) adds time and name.
		line := append(space[:0], severity.String()...)
		line = append(line, ' ')
		line = h.appendText(line, r)
		to := &h.shared.stdout
		if output == Stderr {
			to = &h.shared.stderr
		}
		sent = to.send(append(cut(line, maxStreamLine-1), '\n'))
	default:
		line := h.shared.appendHeader(space[:0], severity, r.Time)
		line = h.appendText(line, r)
		sent = h.shared.socket.send(cut(line, maxLine))
	}
	if sent {
		h.shared.lines[severity].Add(1)
	} else {
		h.shared.dropped.Add(1)
	}
	return nil
}

// appendHeader appends what stands before the text of a datagram: "<PRI>Mmm dd hh:mm:ss tag[pid]: ", in local time,
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

// WithAttrs is part of slog.Handler. The attributes are rendered here, once.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	derived := *h
	derived.attrs = append([]byte(nil), h.attrs...)
	for _, a := range attrs {
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
