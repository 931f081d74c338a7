package push

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"portsyncd/metrics"
)

// lines converts samples to line protocol. Samples that have the same measurement and tags share a
// line. The zero value is ready to use. It must be used by one goroutine only.
type lines struct {
	points []point
	index  map[string]int // index in points, by series
	key    []byte
}

// point is a line under construction.
type point struct {
	series string // measurement and tags
	fields []byte // name=value,name=value,...
	size   int    // number of values in fields; 0 if the series is left from an earlier batch
}

// appendBatch appends a line for each series. It returns the extended slice and the number of
// values. All lines have the timestamp at, in Unix nanoseconds, and the tag "instance".
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

// reset removes all values. It also removes the series if most of them were not in the last batch,
// because ports are added and removed.
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

// appendSeries appends the measurement and the tags. The tags are sorted by name, as InfluxDB
// recommends for performance. Tags with an empty value are omitted: the protocol does not allow
// them, and Prometheus also treats an empty label as missing.
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

// Characters that must be escaped with a backslash in measurements, and in tags and field names
// ("Special characters" in the protocol documentation).
const (
	measurementSpecials = ", "
	tagSpecials         = ",= "
)

// appendEscaped appends arbitrary text so that InfluxDB and VictoriaMetrics parse it to the same
// value.
//
// The protocol cannot represent a line feed, and InfluxDB 2 drops points with unprintable
// characters (models.ValidToken in models/points.go). appendEscaped replaces each byte of such
// characters by \xNN, as package metrics does for invalid UTF-8. A backslash is literal, but the
// servers disagree about a backslash before a special character or another backslash, or at the end
// (scanTagsValue in models/points.go, unescapeTagValue in lib/protoparser/influx/parser.go of
// VictoriaMetrics). appendEscaped replaces such a backslash by \x5c.
func appendEscaped(b []byte, text, specials string) []byte {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1 || !strconv.IsPrint(r):
			b = appendHex(b, text[i:i+n])
		case r == '\\' && !isPlainBackslash(text[i+1:]):
			b = appendHex(b, `\`)
		case r < utf8.RuneSelf && strings.IndexByte(specials, byte(r)) >= 0:
			b = append(b, '\\', byte(r))
		default:
			b = append(b, text[i:i+n]...)
		}
		i += n
	}
	return b
}

// isPlainBackslash reports whether both servers treat a backslash before rest as literal.
func isPlainBackslash(rest string) bool {
	r, n := utf8.DecodeRuneInString(rest)
	return n > 0 && !strings.ContainsRune(`\,= "`, r) && strconv.IsPrint(r) && !(r == utf8.RuneError && n == 1)
}

// appendHex appends each byte of raw as \xNN.
func appendHex(b []byte, raw string) []byte {
	const hex = "0123456789abcdef"
	for i := 0; i < len(raw); i++ {
		b = append(b, '\\', 'x', hex[raw[i]>>4], hex[raw[i]&15])
	}
	return b
}
