package syslog

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// Format is the format of lines written to standard output and standard error. Lines sent to the
// syslog daemon are always text.
type Format uint8

// Formats for standard output and standard error.
const (
	Text Format = iota // severity, component, message and key=value
	JSON               // JSON objects like those of slog.JSONHandler
)

// SetFormat sets the format for standard output and standard error.
func (h *Handler) SetFormat(f Format) { h.shared.format.Store(uint32(f)) }

// Format returns the format for standard output and standard error.
func (h *Handler) Format() Format { return Format(h.shared.format.Load()) }

// isJSON reports whether lines written to output are JSON.
func (h *Handler) isJSON(output Output) bool { return output != Syslog && h.Format() == JSON }

// derivation is a WithAttrs or WithGroup call that created a Handler from another one.
type derivation struct {
	attrs []slog.Attr
	group string // "" for WithAttrs
}

// maxClipped is the size in bytes to which long values in a JSON line are truncated. Two such
// values fit in a line even if every byte is escaped.
const maxClipped = 256

// appendJSON appends r in the format of slog.JSONHandler, with SONiC's level names. If the line
// exceeds maxStreamLine, its values are truncated. If it is still too long, its attributes are
// omitted, so every line is valid JSON.
func (h *Handler) appendJSON(b []byte, r slog.Record, suppressed uint64) []byte {
	r.Time = cmp.Or(r.Time, time.Now())
	b = h.appendJSONWith(b, r, suppressed, replaceLevel)
	if len(b) >= maxStreamLine {
		b = h.appendJSONWith(b[:0], r, suppressed, clipValue)
	}
	if len(b) >= maxStreamLine {
		bare := &Handler{component: h.component}
		b = bare.appendJSONWith(b[:0], slog.NewRecord(r.Time, r.Level, r.Message, 0), suppressed, clipValue)
	}
	return b
}

// appendJSONWith is like appendJSON but does not limit the length of the line.
func (h *Handler) appendJSONWith(b []byte, r slog.Record, suppressed uint64, replace func([]string, slog.Attr) slog.Attr) []byte {
	var line bytes.Buffer
	var j slog.Handler = slog.NewJSONHandler(&line, &slog.HandlerOptions{Level: slog.Level(-1 << 31), ReplaceAttr: replace})
	first := []slog.Attr{slog.String(ComponentKey, h.component)}
	if suppressed > 0 {
		first = append(first, slog.Uint64("suppressed", suppressed))
	}
	j = j.WithAttrs(first)
	for _, d := range h.derived {
		if d.group != "" {
			j = j.WithGroup(d.group)
		} else {
			j = j.WithAttrs(d.attrs)
		}
	}
	j.Handle(context.Background(), r)
	return appendPrintableJSON(b, bytes.TrimSuffix(line.Bytes(), []byte("\n")))
}

// replaceLevel replaces slog's level name with SONiC's.
func replaceLevel(groups []string, a slog.Attr) slog.Attr {
	if level, ok := a.Value.Any().(slog.Level); ok && a.Key == slog.LevelKey && len(groups) == 0 {
		a.Value = slog.StringValue(LevelName(level))
	}
	return a
}

// clipValue is like replaceLevel, but also truncates long values.
func clipValue(groups []string, a slog.Attr) slog.Attr {
	a = replaceLevel(groups, a)
	switch a.Value.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(string(cut([]byte(a.Value.String()), maxClipped)))
	case slog.KindAny:
		// fmt calls Error and String methods and recovers from panics on nil receivers.
		a.Value = slog.StringValue(string(cut(fmt.Appendf(nil, "%+v", a.Value.Any()), maxClipped)))
	}
	return a
}

// appendPrintableJSON appends valid JSON. It escapes unprintable characters in strings, which JSON
// allows but which could control a terminal.
func appendPrintableJSON(b, json []byte) []byte {
	for _, r := range string(json) {
		switch {
		case strconv.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
	}
	return b
}
