package push

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"portsyncd/metrics"
)

// lines makes line protocol of samples: those with the same measurement and tags
// share a line. The zero value is ready; it belongs to one goroutine.
type lines struct {
	points []point
	index  map[string]int // of points, by series key
	key    []byte
}

// point is one line in the making.
type point struct {
	series string // measurement and tags
	fields []byte // name=value,name=value,...
	size   int    // values in fields; 0: the line of an earlier batch, not used yet
}

// appendBatch appends a line for each series of the samples, all with the time
// stamp of at, in nanoseconds since 1970, and returns the longer slice and how
// many values it holds. Each series has the tag instance beside its labels.
func (l *lines) appendBatch(b []byte, samples func(func(metrics.Sample) bool), instance string, at int64) ([]byte, int) {
	l.reset()
	for s := range samples {
		l.add(&s, instance)
	}
	values := 0
	for i := range l.points {
		p := &l.points[i]
		if p.size == 0 {
			continue
		}
		values += p.size
		b = append(b, p.series...)
		b = append(b, ' ')
		b = append(b, p.fields...)
		b = append(b, ' ')
		b = strconv.AppendInt(b, at, 10)
		b = append(b, '\n')
	}
	return b, values
}

// reset forgets the values and, once most of the series are of the past, these
// too: ports come and go.
func (l *lines) reset() {
	used := 0
	for i := range l.points {
		if l.points[i].size > 0 {
			used++
		}
		l.points[i].size, l.points[i].fields = 0, l.points[i].fields[:0]
	}
	if l.index == nil || used < len(l.points)/2 {
		l.points, l.index = nil, make(map[string]int)
	}
}

func (l *lines) add(s *metrics.Sample, instance string) {
	if math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		return
	}
	measurement, field, found := strings.Cut(s.Name, "_")
	if !found {
		field = "value"
	}
	l.key = appendSeries(l.key[:0], measurement, instance, s.Labels)
	i, known := l.index[string(l.key)]
	if !known {
		i = len(l.points)
		l.points = append(l.points, point{series: string(l.key)})
		l.index[l.points[i].series] = i
	}
	p := &l.points[i]
	if p.size > 0 {
		p.fields = append(p.fields, ',')
	}
	p.size++
	p.fields = appendEscaped(p.fields, field, tagSpecials)
	p.fields = append(p.fields, '=')
	p.fields = strconv.AppendFloat(p.fields, s.Value, 'g', -1, 64)
}

// appendSeries appends measurement and tags, the tags sorted by name, which
// InfluxDB asks for the sake of its speed. A tag without a value, which the
// protocol does not know, is left out: to Prometheus too, an empty label is none.
func appendSeries(b []byte, measurement, instance string, labels []metrics.Label) []byte {
	b = appendEscaped(b, measurement, measurementSpecials)
	tags := append(make([]metrics.Label, 0, 8), metrics.Label{Name: "instance", Value: instance})
	tags = append(tags, labels...)
	slices.SortStableFunc(tags, func(x, y metrics.Label) int { return strings.Compare(x.Name, y.Name) })
	for _, t := range tags {
		if t.Value == "" {
			continue
		}
		b = append(b, ',')
		b = appendEscaped(b, t.Name, tagSpecials)
		b = append(b, '=')
		b = appendEscaped(b, t.Value, tagSpecials)
	}
	return b
}

// What a backslash must stand before ("Special characters" in the description of
// the protocol), in a measurement, and in the names of tags and fields and the
// values of tags.
const (
	measurementSpecials = ", "
	tagSpecials         = ",= "
)

// appendEscaped appends text of any bytes so that InfluxDB and VictoriaMetrics
// read it alike.
//
// The protocol has no way to write a line break, and InfluxDB 2 drops points
// with characters that cannot be printed (models.ValidToken in its
// models/points.go): these are spelled \xNN, byte by byte, as metrics spells
// what is not UTF-8. A backslash stands for itself, but before a special
// character, before another one and at the end the two servers disagree
// (scanTagsValue in models/points.go, unescapeTagValue in VictoriaMetrics'
// lib/protoparser/influx/parser.go): there it is spelled \x5c.
func appendEscaped(b []byte, text, specials string) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1 || !strconv.IsPrint(r):
			b = appendSpelled(b, text[i:i+n])
		case r == '\\' && !plainBackslash(text[i+1:]):
			b = appendSpelled(b, `\`)
		case r < utf8.RuneSelf && strings.IndexByte(specials, byte(r)) >= 0:
			b = append(b, '\\', byte(r))
		default:
			b = append(b, text[i:i+n]...)
		}
		i += n
	}
	return b
}

// plainBackslash reports whether a backslash before rest is nothing but one.
func plainBackslash(rest string) bool {
	r, n := utf8.DecodeRuneInString(rest)
	return n > 0 && !strings.ContainsRune(`\,= "`, r) && strconv.IsPrint(r) && !(r == utf8.RuneError && n == 1)
}

func appendSpelled(b []byte, raw string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(raw); i++ {
		b = append(b, '\\', 'x', hex[raw[i]>>4], hex[raw[i]&15])
	}
	return b
}
