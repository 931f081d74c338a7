package portsync

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"portsyncd/internal/syslog"
	"portsyncd/netlinkraw"

	"golang.org/x/sys/unix"
)

// lineKind identifies one of the lines that the C++ daemon logs at NOTICE level.
type lineKind uint8

const (
	lineMessage   lineKind = iota // a link message
	lineUp                        // the row of a port that is up was written
	lineDown                      // the row of a port that is down was written
	lineDelete                    // a row was deleted
	lineUnknown                   // APPL_DB does not have the port
	lineWarmStart                 // a warm start
	lineConfig                    // the CONFIG_DB table PORT is being read
	lineInitDone                  // PortInitDone was written for orchagent
)

// logEntry is a queued log line.
type logEntry struct {
	kind  lineKind
	count uint32 // restore_count, for lineWarmStart
	ev    Event  // the message; for other kinds only the name and At are set
}

// component returns the name of the function that logs the line in the C++ daemon.
func (k lineKind) component() string {
	switch k {
	case lineWarmStart:
		return "checkWarmStart"
	case lineConfig:
		return "handlePortConfigFromConfigDB"
	case lineInitDone:
		return "main"
	}
	return "onMsg"
}

// appendText appends the text that follows the component. The text matches PROTOCOL.md section 10
// byte for byte.
func (e *logEntry) appendText(b []byte) []byte {
	name := e.ev.Name()
	switch e.kind {
	case lineMessage:
		return e.ev.appendLine(b)
	case lineUp:
		return append(append(append(b, "Publish "...), name...), "(ok:up) to state db"...)
	case lineDown:
		return append(append(append(b, "Publish "...), name...), "(ok:down) to state db"...)
	case lineDelete:
		return append(append(append(b, "Delete "...), name...), "(ok) from state db"...)
	case lineUnknown:
		return append(append(append(b, "Cannot find "...), name...), " in port table"...)
	case lineWarmStart:
		b = append(b, daemonName+" doing warm start, restore count "...)
		return strconv.AppendUint(b, uint64(e.count), 10)
	case lineConfig:
		return append(b, "Getting port configuration from ConfigDB..."...)
	}
	return append(b, portInitDone...)
}

// appendLine appends the text that LinkSync::onMsg of the C++ daemon logs for a message. The
// hardware address is formatted like nl_addr2str of libnl. The link kind is omitted if the link has
// none.
func (e *Event) appendLine(b []byte) []byte {
	kind := uint64(unix.RTM_NEWLINK)
	if e.Kind == netlinkraw.DelLink {
		kind = unix.RTM_DELLINK
	}
	b = strconv.AppendUint(append(b, "nlmsg type:"...), kind, 10)
	b = append(append(b, " key:"...), e.Name()...)
	b = appendFlag(append(b, " admin:"...), e.Admin())
	b = appendFlag(append(b, " oper:"...), e.Oper())
	b = append(b, " addr:"...)
	if e.addressLen == 0 {
		b = append(b, "none"...)
	}
	const digits = "0123456789abcdef"
	for i, octet := range e.address[:e.addressLen] {
		if i > 0 {
			b = append(b, ':')
		}
		b = append(b, digits[octet>>4], digits[octet&15])
	}
	b = strconv.AppendInt(append(b, " ifindex:"...), int64(e.Index), 10)
	b = strconv.AppendInt(append(b, " master:"...), int64(e.Master), 10)
	if e.kindLen > 0 {
		b = append(append(b, " type:"...), e.linkKind[:e.kindLen]...)
	}
	return strconv.AppendInt(append(b, " flags:"...), int64(int32(e.Flags)), 10)
}

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, '1')
	}
	return append(b, '0')
}

// lineWriter writes entries to the log. It must be used by one goroutine only.
type lineWriter struct {
	log     *slog.Logger
	handler *syslog.Handler // nil if the logger has another handler, as in tests
	clock   clock
	text    []byte
	stuck   bool      // the last line was dropped
	end     time.Time // lines do not wait for the syslog daemon after this time; zero means no limit
}

func newLineWriter(log *slog.Logger, c clock) *lineWriter {
	h, _ := log.Handler().(*syslog.Handler)
	return &lineWriter{log: log, handler: h, clock: c}
}

// write writes one line. While the syslog daemon does not accept lines, only the first line waits
// for it. Later lines are dropped and counted.
func (w *lineWriter) write(e *logEntry) {
	w.text = e.appendText(w.text[:0])
	at, component := w.clock.time(e.ev.At), e.kind.component()
	if w.handler == nil {
		w.log.Log(context.Background(), syslog.LevelNotice, string(w.text), syslog.ComponentKey, component)
		return
	}
	timeout := logTimeout
	if !w.end.IsZero() {
		timeout = max(0, min(timeout, time.Until(w.end)))
	}
	if w.stuck {
		timeout = 0
	}
	w.stuck = !w.handler.WriteLine(syslog.LevelNotice, component, w.text, at, timeout)
}
