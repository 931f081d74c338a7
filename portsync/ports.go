package portsync

import (
	"cmp"
	"slices"
	"strconv"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// portView is what others may see of a port: the loop writes, anyone reads. The
// values of one port are not one reading, but each is one that was acknowledged.
type portView struct {
	name       string
	present    atomic.Bool // its interface exists and its row is in STATE_DB
	awaited    atomic.Bool // PortInitDone waits for it
	admin      atomic.Bool
	oper       atomic.Bool
	index      atomic.Int64
	mtu        atomic.Int64
	up, down   atomic.Int64 // carrier changes as the kernel counts them
	lastChange atomic.Int64 // nanoseconds since 1970, 0 if none was seen
	waitsFrom  atomic.Int64 // likewise, when PortInitDone began to wait for it
	*flaps                  // of the name
}

// portViews is the list of all, in natural order of their names. The loop
// replaces it when a port comes or goes; readers keep the one they have.
type portViews struct {
	list  atomic.Pointer[[]*portView]
	flaps flapTable
}

// await shows ports that are waited for, from a time of day on. It is for the
// start, which has all of them at once.
func (v *portViews) await(ports []*Port, day time.Time) {
	list := slices.Clone(v.all())
	for _, p := range ports {
		if p.view == nil {
			p.view = v.view(p.Name)
			list = append(list, p.view)
		}
		p.view.awaited.Store(true)
		p.view.waitsFrom.Store(day.UnixNano())
	}
	slices.SortFunc(list, compareViews)
	v.list.Store(&list)
}

// view makes the view of a port.
func (v *portViews) view(name string) *portView {
	w := &portView{name: name, flaps: v.flaps.of(name)}
	w.flaps.shown = true
	return w
}

// of returns the view of p, made on first sight.
func (v *portViews) of(p *Port) *portView {
	if p.view == nil {
		p.view = v.view(p.Name)
		at, _ := slices.BinarySearchFunc(v.all(), p.view, compareViews)
		list := slices.Insert(slices.Clone(v.all()), at, p.view)
		v.list.Store(&list)
	}
	return p.view
}

func compareViews(a, b *portView) int { return compareNames(a.name, b.name) }

// remove takes the view of p away.
func (v *portViews) remove(p *Port) {
	list := slices.DeleteFunc(slices.Clone(v.all()), func(o *portView) bool { return o == p.view })
	p.view.flaps.shown = false
	p.view = nil
	v.list.Store(&list)
}

func (v *portViews) all() []*portView {
	if list := v.list.Load(); list != nil {
		return *list
	}
	return nil
}

// show brings the view of p up to date at the given time of day. A port that is
// neither present nor awaited has none.
func (v *portViews) show(p *Port, day time.Time) {
	if !p.Served && !p.Awaited {
		if p.view != nil {
			v.remove(p)
		}
		return
	}
	w := v.of(p)
	changed := p.Served != w.present.Load() || p.Admin != w.admin.Load() || p.Oper != w.oper.Load() ||
		int64(p.MTU) != w.mtu.Load() || int64(p.CarrierUp) != w.up.Load() || int64(p.CarrierDown) != w.down.Load()
	w.present.Store(p.Served)
	w.awaited.Store(p.Awaited)
	w.index.Store(int64(p.Index))
	if !changed || !p.Served {
		return
	}
	w.admin.Store(p.Admin)
	w.oper.Store(p.Oper)
	w.mtu.Store(int64(p.MTU))
	w.up.Store(int64(p.CarrierUp))
	w.down.Store(int64(p.CarrierDown))
	w.lastChange.Store(day.UnixNano())
}

// view returns the port at a time on the loop's clock.
func (v *portView) view(now int64) PortView {
	merit := v.figure()
	p := PortView{
		Name: v.name, Present: v.present.Load(), Awaited: v.awaited.Load(),
		Penalty: merit.At(now), Flapping: merit.Flapping(now),
	}
	if p.Present {
		p.Index = v.index.Load()
		p.Admin, p.Oper = status(v.admin.Load()), status(v.oper.Load())
		p.MTU = v.mtu.Load()
		p.CarrierUp, p.CarrierDown = v.up.Load(), v.down.Load()
		p.LastChange = moment(v.lastChange.Load())
	}
	return p
}

// AppendPorts appends all ports as JSON:
//
//	{"schema":1,"ports":[{"name":"Ethernet0","present":true,"awaited":false,"ifindex":3,
//	  "admin":"up","oper":"up","mtu":9100,"carrier_up":1,"carrier_down":1,
//	  "last_change":"2026-11-24T07:31:05.123456789Z"}]}
//
// An absent port has no values. It may be called from any goroutine.
func (s *Status) AppendPorts(b []byte) []byte {
	b = append(b, `{"schema":1,"ports":[`...)
	for i, v := range s.ports.all() {
		if i > 0 {
			b = append(b, ',')
		}
		b = v.append(append(b, '\n'))
	}
	return append(b, "\n]}\n"...)
}

func (v *portView) append(b []byte) []byte {
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
	flag("present", v.present.Load())
	flag("awaited", v.awaited.Load())
	if v.present.Load() {
		number("ifindex", v.index.Load())
		word("admin", status(v.admin.Load()))
		word("oper", status(v.oper.Load()))
		number("mtu", v.mtu.Load())
		number("carrier_up", v.up.Load())
		number("carrier_down", v.down.Load())
		word("last_change", time.Unix(0, v.lastChange.Load()).UTC().Format(time.RFC3339Nano))
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
