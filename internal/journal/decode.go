package journal

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// maxName is the maximum length of a port name in a file. An interface name has at most 15 bytes,
// each of which can become a character of three bytes.
const maxName = 64

// wire is the JSON representation of an event.
type wire struct {
	Time    time.Time `json:"time"`
	Seq     uint64    `json:"seq"`
	Kind    Kind      `json:"kind"`
	Port    string    `json:"port"`
	PortHex string    `json:"port_hex"`
	Old     string    `json:"old"`
	New     string    `json:"new"`
	Reason  string    `json:"reason"`
	Boot    string    `json:"boot"`

	Count     uint64 `json:"count"`
	Flaps     uint64 `json:"flaps"`
	SpanMS    uint64 `json:"span_ms"`
	AfterMS   uint64 `json:"after_ms"`
	Index     int32  `json:"ifindex"`
	Admin     string `json:"admin"`
	Oper      string `json:"oper"`
	MTU       uint32 `json:"mtu"`
	CarrierUp uint32 `json:"carrier_up"`
	CarrierDn uint32 `json:"carrier_down"`
}

// Decode parses one JSON object as written by [Event.AppendJSON]. It ignores unknown members.
func Decode(text []byte) (Event, error) {
	var d decoder
	return d.decode(text)
}

// decoder parses lines. Lines in the format of AppendJSON take a fast path that allocates only for
// new strings. Other lines are parsed by encoding/json.
type decoder struct {
	words map[string]string // strings that occur often
	wire  wire              // of the current line
}

// maxWords is the maximum size of decoder.words.
const maxWords = 8192

func (d *decoder) decode(line []byte) (Event, error) {
	w := &d.wire
	*w = wire{}
	if !d.plain(line, w) {
		*w = wire{}
		if err := json.Unmarshal(line, w); err != nil {
			return Event{}, fmt.Errorf("decode event: %w", err)
		}
	}
	return w.event()
}

// event validates the members and returns the event.
func (w *wire) event() (Event, error) {
	e := Event{
		Time: millis(w.Time), Seq: w.Seq, Kind: w.Kind, Port: w.Port,
		Old: w.Old, New: w.New, Reason: w.Reason, Boot: w.Boot, Count: w.Count, Flaps: w.Flaps,
		Span: duration(w.SpanMS), After: duration(w.AfterMS),
		Index: max(w.Index, 0), Admin: stateOf(w.Admin), Oper: stateOf(w.Oper), MTU: w.MTU,
		CarrierUp: w.CarrierUp, CarrierDown: w.CarrierDn,
	}
	switch {
	case e.Kind == "" || len(e.Kind) > maxName:
		return Event{}, fmt.Errorf("decode event: invalid kind %.*q: must have 1 to %d bytes", maxName, w.Kind, maxName)
	case e.Time.Year() < 1970 || e.Time.Year() > 9999:
		return Event{}, fmt.Errorf("decode event: invalid year %d: must be 1970 to 9999", e.Time.Year())
	case len(e.Port) > maxName || max(len(e.Old), len(e.New), len(e.Reason), len(e.Boot)) > 6*maxReason:
		return Event{}, fmt.Errorf("decode event: string is longer than %d bytes", 6*maxReason)
	}
	if w.PortHex != "" {
		name, err := hex.DecodeString(w.PortHex)
		if err != nil || len(name) > maxName || utf8.Valid(name) || w.Port != toUnicode(string(name)) {
			return Event{}, fmt.Errorf("decode event: port_hex %q does not match port %q", w.PortHex, w.Port)
		}
		e.Port = string(name)
	}
	return e, nil
}

// toUnicode returns s with each invalid UTF-8 byte replaced by U+FFFD, as in JSON.
func toUnicode(s string) string { return strings.Map(func(r rune) rune { return r }, s) }

// duration converts milliseconds to a time.Duration. It returns the maximum duration if the value
// is too large.
func duration(ms uint64) time.Duration {
	return time.Duration(min(ms, math.MaxInt64/uint64(time.Millisecond))) * time.Millisecond
}

func stateOf(word string) State {
	switch word {
	case "up":
		return Up
	case "down":
		return Down
	}
	return Unknown
}

// plain parses a line in the format of AppendJSON into w: an object without spaces whose values are
// strings without escapes and unsigned integers. It returns false for any other line and leaves w
// undefined.
func (d *decoder) plain(line []byte, w *wire) bool {
	if len(line) < 2 || line[0] != '{' || line[len(line)-1] != '}' {
		return false
	}
	rest := line[1 : len(line)-1]
	for len(rest) > 0 {
		name, after, ok := plainString(rest)
		if !ok || len(after) < 2 || after[0] != ':' {
			return false
		}
		after = after[1:]
		if after[0] == '"' {
			var text []byte
			if text, after, ok = plainString(after); !ok || !d.text(w, name, text) {
				return false
			}
		} else {
			var n uint64
			if n, after, ok = plainNumber(after); !ok || !number(w, name, n) {
				return false
			}
		}
		switch {
		case len(after) == 0:
			return true
		case after[0] != ',' || len(after) == 1:
			return false
		}
		rest = after[1:]
	}
	return false
}

// plainString parses a string of ASCII characters without escapes at the beginning of b and returns
// the rest of b.
func plainString(b []byte) (text, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != '"' {
		return nil, nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[1:i], b[i+1:], true
		case c < ' ' || c >= 0x7f || c == '\\':
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// plainNumber parses an unsigned integer of at most 19 digits at the beginning of b and returns the
// rest of b.
func plainNumber(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		n = 10*n + uint64(b[i]-'0')
	}
	if i == 0 || i > 19 || i > 1 && b[0] == '0' {
		return 0, nil, false
	}
	return n, b[i:], true
}

// text sets the string member name of w. It returns false if the line must be parsed by
// encoding/json instead.
func (d *decoder) text(w *wire, name, text []byte) bool {
	switch string(name) {
	case "time":
		return plainTime(text, &w.Time)
	case "kind":
		w.Kind = Kind(d.word(text))
	case "port":
		w.Port = d.word(text)
	case "old":
		w.Old = d.word(text)
	case "new":
		w.New = d.word(text)
	case "reason":
		w.Reason = d.word(text)
	case "boot":
		w.Boot = d.word(text)
	case "admin":
		w.Admin = d.word(text)
	case "oper":
		w.Oper = d.word(text)
	default:
		return false
	}
	return true
}

// number sets the numeric member name of w to n. It returns false if the line must be parsed by
// encoding/json instead.
func number(w *wire, name []byte, n uint64) bool {
	small := func(to *uint32) bool {
		*to = uint32(n)
		return n <= math.MaxUint32
	}
	switch string(name) {
	case "seq":
		w.Seq = n
	case "count":
		w.Count = n
	case "flaps":
		w.Flaps = n
	case "span_ms":
		w.SpanMS = n
	case "after_ms":
		w.AfterMS = n
	case "ifindex":
		w.Index = int32(n)
		return n <= math.MaxInt32
	case "mtu":
		return small(&w.MTU)
	case "carrier_up":
		return small(&w.CarrierUp)
	case "carrier_down":
		return small(&w.CarrierDn)
	default:
		return false
	}
	return true
}

// word converts text to a string. Equal texts share one string, to avoid allocations.
func (d *decoder) word(text []byte) string {
	if word, ok := d.words[string(text)]; ok {
		return word
	}
	word := string(text)
	if d.words == nil {
		d.words = make(map[string]string)
	}
	if len(d.words) < maxWords && len(word) <= maxName {
		d.words[word] = word
	}
	return word
}

// plainTime parses a time in the format timeFormat.
func plainTime(text []byte, to *time.Time) bool {
	if len(text) != len(timeFormat) || text[4] != '-' || text[7] != '-' || text[10] != 'T' ||
		text[13] != ':' || text[16] != ':' || text[19] != '.' || text[23] != 'Z' {
		return false
	}
	ok := true
	digits := func(from, to int) (n int) {
		for _, c := range text[from:to] {
			ok = ok && c-'0' <= 9
			n = 10*n + int(c-'0')
		}
		return n
	}
	month, day := digits(5, 7), digits(8, 10)
	hour, minute, second := digits(11, 13), digits(14, 16), digits(17, 19)
	*to = time.Date(digits(0, 4), time.Month(month), day, hour, minute, second, digits(20, 23)*int(time.Millisecond), time.UTC)
	// time.Date normalizes invalid dates such as February 31.
	return ok && to.Day() == day && to.Month() == time.Month(month) && hour < 24 && minute < 60 && second < 60
}
