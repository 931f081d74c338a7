package portsync

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// portView is what others may see of a port: the loop writes, anyone reads. The
// values are the kernel's. They are not one reading; each is a true one.
type portView struct {
	name         string
	state        atomic.Int64 // a PortState
	configured   atomic.Bool
	initPending  atomic.Bool
	written      atomic.Bool
	admin, oper  atomic.Bool
	index        atomic.Int64 // 0: no interface, and then no values either
	mtu          atomic.Int64
	up, down     atomic.Int64 // carrier changes as the kernel counts them
	changedAt    atomic.Int64 // on the loop's clock; 0: no change was seen
	pendingSince atomic.Int64 // on the loop's clock; since when it is waited for

	lack   atomic.Int64 // a lack
	*flaps              // of the name
	gone   bool         // the port is not shown any more; belongs to the loop
}

// put stores the facts of p; why is what it lacks.
func (v *portView) put(p *Port, why lack) {
	there := p.Index != 0
	setFlag(&v.configured, p.Configured)
	setFlag(&v.initPending, p.InitPending)
	setFlag(&v.written, p.written())
	setFlag(&v.admin, there && p.Admin)
	setFlag(&v.oper, there && p.Oper)
	setNumber(&v.index, int64(p.Index))
	setNumber(&v.mtu, int64(p.MTU))
	setNumber(&v.up, int64(p.CarrierUp))
	setNumber(&v.down, int64(p.CarrierDown))
	setNumber(&v.changedAt, p.ChangedAt)
	setNumber(&v.pendingSince, p.pendingSince)
	setNumber(&v.lack, int64(why))
	setNumber(&v.state, int64(p.state()))
}

// present reports whether the port is PortPresent.
func (v *portView) present() bool { return PortState(v.state.Load()) == PortPresent }

// portViews lists the views of all ports that are shown, in natural order of
// their names. The loop replaces the list when a port comes or goes; readers keep
// the one they have.
type portViews struct {
	list  atomic.Pointer[[]*portView]
	flaps flapTable
}

// view makes the view of a port.
func (v *portViews) view(name string) *portView {
	w := &portView{name: name, flaps: v.flaps.of(name)}
	w.flaps.shown = true
	return w
}

func (v *portViews) all() []*portView {
	if list := v.list.Load(); list != nil {
		return *list
	}
	return nil
}

// change adds the fresh views and removes those that are gone.
func (v *portViews) change(fresh []*portView) {
	old := v.all()
	list := make([]*portView, 0, len(old)+len(fresh))
	for _, o := range old {
		if !o.gone {
			list = append(list, o)
		}
	}
	list = append(list, fresh...)
	slices.SortFunc(list, func(a, b *portView) int { return compareNames(a.name, b.name) })
	v.list.Store(&list)
}

// counted is how many ports there are of a kind.
type counted struct{ Present, Up int64 }

// count counts the ports that are shown.
func (v *portViews) count() (c counted) {
	for _, p := range v.all() {
		c.Present += bit(p.present())
		c.Up += bit(p.oper.Load())
	}
	return c
}

// view returns the port at a time on the loop's clock.
func (v *portView) view(c clock, now int64) PortView {
	merit := v.figure()
	state := PortState(v.state.Load())
	p := PortView{
		Name: v.name, State: state.String(), Present: state == PortPresent, Written: v.written.Load(),
		Configured: v.configured.Load(), InitPending: v.initPending.Load(), LastChange: c.moment(v.changedAt.Load()),
		Penalty: merit.At(now), Flapping: merit.Flapping(now),
	}
	if p.Index = v.index.Load(); p.Index != 0 {
		p.Admin, p.Oper = status(v.admin.Load()), status(v.oper.Load())
		p.MTU = v.mtu.Load()
		p.CarrierUp, p.CarrierDown = v.up.Load(), v.down.Load()
	}
	return p
}

// AppendPorts appends all ports as JSON:
//
//	{"schema":1,"ports":[{"name":"Ethernet0","present":true,"init_pending":false,"state":"present",
//	  "written":true,"configured":true,"last_change":"2026-11-24T07:31:05.123456789Z",
//	  "ifindex":3,"admin":"up","oper":"up","mtu":9100,"carrier_up":1,"carrier_down":1}]}
//
// The values are the kernel's; "written" says whether STATE_DB has acknowledged
// them. A port without an interface has no members from "ifindex" on. A name that is
// not UTF-8 is followed by "name_hex", its bytes in hexadecimal. It may be called from
// any goroutine.
func (s *Status) AppendPorts(b []byte) []byte {
	b = append(b, `{"schema":1,"ports":[`...)
	for i, v := range s.ports.all() {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.append(append(b, '\n'), s.clock)
	}
	return append(b, "\n]}\n"...)
}

func (v *portView) append(b []byte, c clock) []byte {
	number := func(key string, n int64) {
		b = append(append(append(b, `,"`...), key...), `":`...)
		b = strconv.AppendInt(b, n, 10)
	}
	flag := func(key string, on bool) {
		b = append(append(append(b, `,"`...), key...), `":`...)
		b = strconv.AppendBool(b, on)
	}
	word := func(key, value string) {
		b = append(append(append(b, `,"`...), key...), `":"`...)
		b = append(append(b, value...), '"')
	}
	b = appendJSONString(append(b, `{"name":`...), v.name)
	if !utf8.ValidString(v.name) {
		b = append(hex.AppendEncode(append(b, `,"name_hex":"`...), []byte(v.name)), '"')
	}
	state := PortState(v.state.Load())
	flag("present", state == PortPresent)
	flag("init_pending", v.initPending.Load())
	word("state", state.String())
	flag("written", v.written.Load())
	flag("configured", v.configured.Load())
	if at := v.changedAt.Load(); at != 0 {
		b = append(b, `,"last_change":"`...)
		b = c.time(at).UTC().AppendFormat(b, time.RFC3339Nano)
		b = append(b, '"')
	}
	if index := v.index.Load(); index != 0 {
		number("ifindex", index)
		word("admin", status(v.admin.Load()))
		word("oper", status(v.oper.Load()))
		number("mtu", v.mtu.Load())
		number("carrier_up", v.up.Load())
		number("carrier_down", v.down.Load())
	}
	return append(b, '}')
}

// appendJSONString appends s as JSON (RFC 8259 section 7), with \u escapes for all that
// cannot be seen. An interface name can hold any byte but blanks, slash and NUL, escape
// sequences for a terminal included; what is not UTF-8 becomes U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case strconv.IsPrint(r):
			b = utf8.AppendRune(b, r)
		case r < 0x10000:
			b = appendUnit(b, uint16(r))
		default: // a surrogate pair
			b = appendUnit(appendUnit(b, uint16(0xd800+(r-0x10000)>>10)), uint16(0xdc00+r&0x3ff))
		}
	}
	return append(b, '"')
}

// appendUnit appends the escape sequence of a UTF-16 code unit.
func appendUnit(b []byte, u uint16) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// compareNames puts Ethernet2 before Ethernet10.
func compareNames(a, b string) int {
	if n := cmp.Compare(prefix(a), prefix(b)); n != 0 {
		return n
	}
	if n := cmp.Compare(len(a), len(b)); n != 0 {
		return n
	}
	return cmp.Compare(a, b)
}

// prefix is a name up to its first digit.
func prefix(name string) string {
	for i := range len(name) {
		if name[i] >= '0' && name[i] <= '9' {
			return name[:i]
		}
	}
	return name
}
