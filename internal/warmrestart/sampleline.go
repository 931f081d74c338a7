package warmrestart

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
)

// lineReader reads lines of the history. A daemon wrote nearly all of them with
// the fields of Sample in their order and nothing unusual in them; for these it is
// ten times as quick as encoding/json and allocates nothing, since a history may
// have a million. Whatever else comes is left to encoding/json.
type lineReader struct {
	sample  Sample
	latency Latency
	flaps   [MostFlaps]PortFlaps
	names   map[string]string // of ports, so that each is kept once
}

// mostNames bounds how many names are kept once; the others are kept more often.
const mostNames = 4096

// read returns the sample of a line, good until the next call; nil if it is some
// other object. It is false if it is no object, or one that cannot be a sample.
func (r *lineReader) read(line []byte) (*Sample, bool) {
	s := &r.sample
	if !r.plain(line) {
		*s = Sample{}
		if json.Unmarshal(line, s) != nil || !s.bounded() {
			return nil, false
		}
	}
	if s.Time.IsZero() {
		return nil, true
	}
	return s, true
}

// longestName is more than a name has, even if each of its 15 bytes is replaced by
// U+FFFD.
const longestName = 64

// bounded reports whether a sample is of a size that a daemon may have written, so
// that the samples kept are of a size that fits.
func (s *Sample) bounded() bool {
	for _, f := range s.Flaps {
		if len(f.Port) > longestName || len(f.PortHex) > longestName {
			return false
		}
	}
	return len(s.Flaps) <= MostFlaps && len(s.Health) <= longestName
}

// plain reads a line as encoding/json writes a Sample, if nothing in it is unusual.
func (r *lineReader) plain(line []byte) bool {
	s, p := &r.sample, plainText(line)
	*s = Sample{}
	ok := p.word(`{"time":`) && p.time(&s.Time)
	if ok && p.word(`,"process":`) {
		ok = p.time(&s.Process)
	}
	ok = ok && p.word(`,"health":`) && r.name(&p, &s.Health) &&
		integer(&p, `,"score":`, &s.Score) &&
		p.word(`,"restarts":`) && p.counters(&s.Restarts)
	if ok && p.word(`,"restarts_sum":`) {
		ok = p.sum(&s.RestartsSum)
	}
	ok = ok &&
		p.count(`,"events":`, &s.Events) &&
		p.count(`,"writes":`, &s.Writes) &&
		p.count(`,"resyncs":`, &s.Resyncs) &&
		p.count(`,"repairs":`, &s.Repairs) &&
		p.count(`,"exchanges":`, &s.Exchanges) &&
		p.count(`,"failed":`, &s.Failed) &&
		integer(&p, `,"ports_configured":`, &s.Configured) &&
		integer(&p, `,"ports_present":`, &s.Present) &&
		integer(&p, `,"ports_up":`, &s.Up)
	if ok && p.word(`,"latency":`) {
		s.Latency = &r.latency
		ok = p.latency(s.Latency)
	}
	if ok && p.word(`,"flaps":[`) {
		ok = r.ports(&p)
	}
	return ok && string(p) == "}"
}

// ports reads the rest of an array of PortFlaps that has at least one.
func (r *lineReader) ports(p *plainText) bool {
	for n := range r.flaps {
		f := &r.flaps[n]
		ok := p.word(`{"port":`) && r.name(p, &f.Port) &&
			p.count(`,"downs":`, &f.Downs) &&
			p.word(`,"penalty":`) && p.number(&f.Penalty) && p.word(`}`)
		if !ok {
			return false
		}
		if p.word(`]`) {
			r.sample.Flaps = r.flaps[:n+1]
			return true
		}
		if !p.word(`,`) {
			return false
		}
	}
	return false
}

// name reads a string.
func (r *lineReader) name(p *plainText, to *string) bool {
	b, ok := p.text()
	if !ok || len(b) > longestName {
		return false
	}
	name, known := r.names[string(b)]
	if !known {
		name = string(b)
		if r.names == nil {
			r.names = make(map[string]string)
		}
		if len(r.names) < mostNames {
			r.names[name] = name
		}
	}
	*to = name
	return true
}

// plainText is the part of a line that is not read yet. Each method takes what it
// is for off its beginning, and is false if there is something else, or anything
// that encoding/json could read in another way.
type plainText []byte

// word takes these very bytes.
func (p *plainText) word(w string) bool {
	if len(*p) < len(w) || string((*p)[:len(w)]) != w {
		return false
	}
	*p = (*p)[len(w):]
	return true
}

// text takes a string of ASCII without escapes.
func (p *plainText) text() ([]byte, bool) {
	b := *p
	if len(b) == 0 || b[0] != '"' {
		return nil, false
	}
	for i := 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			*p = b[i+1:]
			return b[1:i], true
		case c < ' ' || c > '~' || c == '\\':
			return nil, false
		}
	}
	return nil, false
}

func (p *plainText) time(to *time.Time) bool {
	b, ok := p.text()
	return ok && to.UnmarshalText(b) == nil // as encoding/json has it read
}

// count takes a word and an integer without a sign.
func (p *plainText) count(w string, to *uint64) bool {
	if !p.word(w) {
		return false
	}
	b, i, n := *p, 0, uint64(0)
	for ; i < len(b) && b[i]-'0' <= 9; i++ {
		digit := uint64(b[i] - '0')
		if n > (math.MaxUint64-digit)/10 {
			return false
		}
		n = 10*n + digit
	}
	if i == 0 || i > 1 && b[0] == '0' {
		return false
	}
	*p, *to = b[i:], n
	return p.ends()
}

// ends reports whether a number is over here.
func (p *plainText) ends() bool {
	return len(*p) > 0 && ((*p)[0] == ',' || (*p)[0] == '}')
}

// integer takes a word and an integer that is not negative.
func integer[T int | int64](p *plainText, w string, to *T) bool {
	var n uint64
	if !p.count(w, &n) || n > math.MaxInt64 || int64(T(n)) != int64(n) {
		return false
	}
	*to = T(n)
	return true
}

// sum takes a checksum.
func (p *plainText) sum(to *uint32) bool {
	var n uint64
	ok := p.count("", &n) && n <= math.MaxUint32
	*to = uint32(n)
	return ok
}

// number takes a number that is not negative and has no exponent.
func (p *plainText) number(to *float64) bool {
	b, i, point := *p, 0, -1
	for ; i < len(b); i++ {
		if b[i] == '.' && point < 0 {
			point = i
		} else if b[i]-'0' > 9 {
			break
		}
	}
	whole := i
	if point >= 0 {
		whole = point
	}
	if whole == 0 || whole > 1 && b[0] == '0' || point == i-1 {
		return false
	}
	v, err := strconv.ParseFloat(string(b[:i]), 64)
	*p, *to = b[i:], v
	return err == nil && p.ends()
}

func (p *plainText) counters(c *Counters) bool {
	return p.count(`{"warm_restarts":`, &c.WarmRestarts) &&
		p.count(`,"cold_starts":`, &c.ColdStarts) &&
		p.count(`,"eoiu_detected":`, &c.EOIUDetected) &&
		p.count(`,"eoiu_timeouts":`, &c.EOIUTimeouts) &&
		p.count(`,"state_recoveries":`, &c.StateRecoveries) &&
		p.count(`,"corruptions_detected":`, &c.CorruptionsDetected) &&
		p.count(`,"corruptions_recovered":`, &c.CorruptionsRecovered) &&
		p.count(`,"losses":`, &c.Losses) &&
		p.word(`}`)
}

func (p *plainText) latency(l *Latency) bool {
	*l = Latency{}
	return p.count(`{"count":`, &l.Count) &&
		integer(p, `,"kept":`, &l.Kept) &&
		integer(p, `,"p50_ns":`, &l.P50) &&
		integer(p, `,"p95_ns":`, &l.P95) &&
		integer(p, `,"p99_ns":`, &l.P99) &&
		integer(p, `,"max_ns":`, &l.Max) &&
		p.word(`}`)
}
