package statusview

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"portsyncd/internal/jsonlimit"
	"portsyncd/internal/warmrestart"
	"portsyncd/portsync"
)

// AppendJSON appends s as one line of JSON in printable ASCII, which is safe for a terminal. Other
// characters, and <, > and &, are written as \u escapes. The name of a port can be any bytes, but JSON
// must be UTF-8 (RFC 8259 section 8.1): "name" and "what" contain U+FFFD in place of invalid UTF-8, and
// "name_hex" and "what_hex" then contain all bytes in hexadecimal.
func (s *Status) AppendJSON(b []byte) []byte {
	d := *s
	d.Ports, d.Pending = list(s.Ports), list(s.Pending)
	d.Health.Reasons, d.Restarts, d.Databases, d.Hour = list(s.Health.Reasons), list(s.Restarts), list(s.Databases), list(s.Hour)
	setNameHex(d.Ports)
	for i := range d.Pending {
		d.Pending[i].WhatHex = warmrestart.HexUnlessUTF8(d.Pending[i].What)
	}
	text, err := json.Marshal(&d)
	if err != nil {
		panic(err) // a Status of the daemon has no values without a JSON form
	}
	return append(AppendASCII(b, text), '\n')
}

// setNameHex sets the member name_hex of ports whose names are not UTF-8.
func setNameHex(ports []portsync.PortView) {
	for i := range ports {
		ports[i].NameHex = warmrestart.HexUnlessUTF8(ports[i].Name)
	}
}

// AppendPorts appends the JSON document of /ports, with one port per line, and a line end. Ports
// have the same form as in [Status.AppendJSON]. It sets NameHex in ports.
func AppendPorts(b []byte, ports []portsync.PortView) []byte {
	setNameHex(ports)
	b = append(b, `{"schema":1,"ports":[`...)
	for i := range ports {
		if i > 0 {
			b = append(b, ',')
		}
		text, err := json.Marshal(&ports[i])
		if err != nil {
			panic(err) // a PortView without NaN or infinity always has a JSON form
		}
		b = AppendASCII(append(b, '\n'), text)
	}
	return append(b, "\n]}\n"...)
}

// list returns a copy of all that is never nil, so that an empty list is encoded as [] and not as
// null.
func list[T any](all []T) []T { return append([]T{}, all...) }

// AppendJSON appends r as one line of JSON in ASCII. It returns an error if a figure is infinite or
// not a number.
func (r *Report) AppendJSON(b []byte) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return b, fmt.Errorf("write the report as JSON: %w", err)
	}
	return append(AppendASCII(b, text), '\n'), nil
}

// AppendASCII appends JSON with \u escapes for DEL and for all characters that are not ASCII.
func AppendASCII(b, text []byte) []byte {
	for len(text) > 0 {
		c := text[0]
		if c < utf8.RuneSelf && c != 0x7f {
			b = append(b, c)
			text = text[1:]
			continue
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r >= 0x10000 { // a surrogate pair, RFC 8259 section 7
			r -= 0x10000
			b = appendHex(append(b, `\u`...), 0xd800+uint32(r>>10), 4)
			r = 0xdc00 + r&0x3ff
		}
		b = appendHex(append(b, `\u`...), uint32(r), 4)
	}
	return b
}

// DecodeStatus decodes the JSON of [Status.AppendJSON]. It limits the nesting and the number of
// elements, so that a foreign document does not exhaust memory.
func DecodeStatus(text []byte) (*Status, error) {
	if err := statusLimits.Check(text); err != nil {
		return nil, fmt.Errorf("not a status document: %w", err)
	}
	var s Status
	if err := json.Unmarshal(text, &s); err != nil {
		return nil, fmt.Errorf("not a status document: %w", err)
	}
	if s.Schema != StatusSchema {
		return nil, fmt.Errorf("unsupported schema %d of status document: must be %d", s.Schema, StatusSchema)
	}
	switch s.Health.Status {
	case portsync.Healthy, portsync.Degraded, portsync.Unhealthy, portsync.Disabled:
	default:
		return nil, fmt.Errorf("invalid health status %q: must be %q, %q, %q or %q", s.Health.Status,
			portsync.Healthy, portsync.Degraded, portsync.Unhealthy, portsync.Disabled)
	}
	for i := range s.Ports {
		if err := restore(&s.Ports[i].Name, &s.Ports[i].NameHex); err != nil {
			return nil, err
		}
	}
	for i := range s.Pending {
		if err := restore(&s.Pending[i].What, &s.Pending[i].WhatHex); err != nil {
			return nil, err
		}
	}
	return &s, nil
}

// statusLimits bound a status document. A document of a switch is nested 5 deep, and its
// arrays have a few hundred ports.
var statusLimits = jsonlimit.Limits{Depth: 16, Elements: 65536}

// restore replaces name by the original bytes, which digits contains in hexadecimal, and clears
// digits. It does nothing if digits is empty.
func restore(name, digits *string) (err error) {
	*name, err = warmrestart.RestoreName(*name, *digits)
	*digits = ""
	return err
}
