package journal

import (
	"encoding/binary"
	"time"
)

// packed holds events, oldest first, in a compact form: a typical event needs 50 bytes instead of
// the 200 of an [Event], and none of them contains a pointer.
type packed struct {
	text []byte // each event is preceded by its length
	from int    // index of the oldest event
	n    int    // number of events
}

// fits reports whether an event of size bytes fits without more memory.
func (p *packed) fits(size int) bool {
	return len(p.text)-p.from+binary.MaxVarintLen64+size <= cap(p.text)
}

// add adds an event in the form that packEvent returns.
func (p *packed) add(event []byte) {
	if p.from > 0 && len(p.text)+binary.MaxVarintLen64+len(event) > cap(p.text) {
		p.text = p.text[:copy(p.text, p.text[p.from:])]
		p.from = 0
	}
	p.text = append(binary.AppendUvarint(p.text, uint64(len(event))), event...)
	p.n++
}

// oldest returns the oldest event. It is valid until the next call of add. p must not be empty.
func (p *packed) oldest() []byte {
	event, _ := cutPacked(p.text[p.from:])
	return event
}

// drop removes the oldest event. p must not be empty.
func (p *packed) drop() {
	_, rest := cutPacked(p.text[p.from:])
	p.from = len(p.text) - len(rest)
	p.n--
}

// each calls fn with each event, oldest first.
func (p *packed) each(fn func(event []byte)) {
	for rest := p.text[p.from:]; len(rest) > 0; {
		var event []byte
		event, rest = cutPacked(rest)
		fn(event)
	}
}

// cutPacked splits b after its first event.
func cutPacked(b []byte) (event, rest []byte) {
	size, n := binary.Uvarint(b)
	b = b[n:]
	return b[:size], b[size:]
}

// packEvent appends e to b. It truncates texts to the length that AppendJSON writes.
func packEvent(b []byte, e *Event) []byte {
	b = binary.AppendUvarint(b, e.Seq)
	b = binary.AppendVarint(b, e.Time.UnixMilli())
	for _, text := range [...]string{string(e.Kind), e.Port, e.Old, e.New, e.Reason, e.Boot} {
		text = text[:min(len(text), maxReason)]
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	b = append(b, byte(e.Admin)<<4|byte(e.Oper))
	for _, n := range [...]uint64{e.Count, e.Flaps, uint64(e.Span), uint64(e.After),
		uint64(uint32(e.Index)), uint64(e.MTU), uint64(e.CarrierUp), uint64(e.CarrierDown)} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// unpacker restores packed events. Equal texts share one string.
type unpacker struct {
	words map[string]string
	rest  []byte
}

// event restores an event.
func (u *unpacker) event(event []byte) (e Event) {
	u.rest = event
	e.Seq = u.number()
	e.Time = u.time()
	e.Kind, e.Port, e.Old, e.New, e.Reason, e.Boot = Kind(u.word()), u.word(), u.word(), u.word(), u.word(), u.word()
	e.Admin, e.Oper = State(u.rest[0]>>4), State(u.rest[0]&15)
	u.rest = u.rest[1:]
	e.Count, e.Flaps, e.Span, e.After = u.number(), u.number(), time.Duration(u.number()), time.Duration(u.number())
	e.Index, e.MTU = int32(u.number()), uint32(u.number())
	e.CarrierUp, e.CarrierDown = uint32(u.number()), uint32(u.number())
	return e
}

// seqOf returns the sequence number of a packed event.
func seqOf(event []byte) uint64 {
	seq, _ := binary.Uvarint(event)
	return seq
}

// portOf returns the name of the port of a packed event.
func portOf(event []byte) []byte {
	u := unpacker{rest: event}
	u.number()
	u.time()
	u.text() // kind
	return u.text()
}

func (u *unpacker) number() uint64 {
	number, n := binary.Uvarint(u.rest)
	u.rest = u.rest[n:]
	return number
}

func (u *unpacker) time() time.Time {
	ms, n := binary.Varint(u.rest)
	u.rest = u.rest[n:]
	return time.UnixMilli(ms).UTC()
}

func (u *unpacker) text() []byte {
	size := u.number()
	text := u.rest[:size]
	u.rest = u.rest[size:]
	return text
}

func (u *unpacker) word() string {
	text := u.text()
	if len(text) == 0 {
		return ""
	}
	word, ok := u.words[string(text)]
	if !ok {
		word = string(text)
		if u.words == nil {
			u.words = make(map[string]string)
		}
		u.words[word] = word
	}
	return word
}
