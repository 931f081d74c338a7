package metrics

import (
	"bytes"
	"sync/atomic"
)

// kind is the type of a family.
type kind int

const (
	kindCounter kind = iota
	kindGauge
	kindHistogram
	kindSummary
)

func (k kind) String() string {
	return [...]string{"counter", "gauge", "histogram", "summary"}[k]
}

// suffixes returns the suffixes that the samples of a family add to its name.
func (k kind) suffixes() []string {
	switch k {
	case kindHistogram:
		return []string{"", "_bucket", "_sum", "_count"}
	case kindSummary:
		return []string{"", "_sum", "_count"}
	}
	return []string{""}
}

// value is the value of one sample. appendValue appends at least one byte.
type value interface {
	appendValue(b []byte) []byte
	number() float64
}

// block renders the samples of one series or of one column of a group. In its JSON form, a comma
// follows each sample.
type block interface {
	appendText(b []byte) []byte
	appendJSON(b []byte) []byte
	eachSample(name string, yield func(Sample) bool) bool // false if yield returned false
}

// family is a metric name with its help text, type and series.
type family struct {
	name       string
	help       string
	kind       kind
	labelNames []string
	taken      map[string]bool // series, by name and labels
	text       []byte          // HELP and TYPE lines
	json       []byte          // from the start to "samples":[
	blocks     atomic.Pointer[[]block]
}

func newFamily(name, help string, k kind) *family {
	help = validText(help)
	f := &family{name: name, help: help, kind: k, taken: make(map[string]bool)}
	f.blocks.Store(new([]block))

	f.text = append(f.text, "# HELP "+name+" "...)
	f.text = appendHelp(f.text, help)
	f.text = append(f.text, "\n# TYPE "+name+" "+k.String()+"\n"...)

	f.json = append(f.json, `{"name":"`+name+`","type":"`+k.String()+`","help":`...)
	f.json = appendJSONString(f.json, help)
	f.json = append(f.json, `,"samples":[`...)
	return f
}

// appendText appends the family. It appends nothing if the family has no series.
func (f *family) appendText(b []byte) []byte {
	start := len(b)
	b = append(b, f.text...)
	for _, s := range *f.blocks.Load() {
		b = s.appendText(b)
	}
	if len(b) == start+len(f.text) {
		return b[:start]
	}
	return b
}

func (f *family) appendJSON(b []byte) []byte {
	b = append(b, f.json...)
	for _, s := range *f.blocks.Load() {
		b = s.appendJSON(b)
	}
	return append(trimComma(b), `]},`...)
}

// trimComma removes a comma at the end of b.
func trimComma(b []byte) []byte {
	if b[len(b)-1] == ',' {
		return b[:len(b)-1]
	}
	return b
}

// sample is a series with a single value. It holds the rendered text that precedes the value.
type sample struct {
	labels []Label
	text   []byte // name{labels} and a space
	json   []byte // {"labels":{...},"value":
	value  value
}

// newSample returns a sample for the given name and labels. The label values must have been escaped
// by validText.
func newSample(name string, labels []Label, v value) *sample {
	var space [512]byte // the texts are kept for long, so they have exactly the memory that they need
	return &sample{
		labels: labels,
		text:   bytes.Clone(appendSampleName(space[:0], name, labels)),
		json:   bytes.Clone(appendSampleJSON(space[:0], labels)),
		value:  v,
	}
}

// appendSampleJSON appends the beginning of a sample in JSON, up to its value.
func appendSampleJSON(b []byte, labels []Label) []byte {
	return append(appendJSONLabels(b, labels), `"value":`...)
}

func (s *sample) appendText(b []byte) []byte {
	b = append(b, s.text...)
	b = s.value.appendValue(b)
	return append(b, '\n')
}

func (s *sample) appendJSON(b []byte) []byte {
	b = append(b, s.json...)
	b = appendJSONValue(b, s.value)
	return append(b, '}', ',')
}
