package statusview

import (
	"html"
	"strconv"
	"strings"
)

// markup is HTML that is written without escaping. Constants convert to markup implicitly, but
// strings do not, so the compiler rejects a string that was not escaped.
type markup string

// htmlWriter appends HTML to b. Its methods return the writer, so that calls can be chained. The
// pages do not use html/template: text/template calls methods by name, so the linker would keep all
// exported methods of all types, which makes the binary 1.6 MB larger.
type htmlWriter struct{ b []byte }

// raw appends m without escaping.
func (w *htmlWriter) raw(m markup) *htmlWriter {
	w.b = append(w.b, m...)
	return w
}

// text appends s, escaped for elements and quoted attributes.
func (w *htmlWriter) text(s string) *htmlWriter {
	w.b = appendEscaped(w.b, s)
	return w
}

// number appends n in decimal.
func (w *htmlWriter) number(n int64) *htmlWriter {
	w.b = strconv.AppendInt(w.b, n, 10)
	return w
}

// optional appends s, escaped, between before and after. It appends nothing if s is "".
func (w *htmlWriter) optional(before markup, s string, after markup) *htmlWriter {
	if s == "" {
		return w
	}
	return w.raw(before).text(s).raw(after)
}

// time appends a time element, or only the text if the moment has no valid time.
func (w *htmlWriter) time(m moment) *htmlWriter {
	if m.Exact == "" {
		return w.text(m.Text)
	}
	return w.raw(`<time datetime="`).text(m.Exact).raw(`">`).text(m.Text).raw(`</time>`)
}

// appendEscaped appends s, escaped for HTML elements and quoted attributes.
func appendEscaped(b []byte, s string) []byte {
	if !strings.ContainsAny(s, "<>&\"'\x00") {
		return append(b, s...)
	}
	return append(b, html.EscapeString(strings.ReplaceAll(s, "\x00", "\uFFFD"))...)
}
