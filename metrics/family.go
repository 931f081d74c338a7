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
	name   string
	help   string
	kind   kind
	labels [][]Label // of each series
	text   lazyText  // HELP and TYPE lines
	json   lazyText  // from the start to "samples":[
	blocks atomic.Pointer[[]block]
}

func newFamily(name, help string, k kind) *family {
	f := &family{name: name, help: help, kind: k}
	f.blocks.Store(new([]block))
	return f
}

// lazyText is a text that is rendered when it is first needed. The daemon adds its families while
// orchagent waits for the port configuration, and many texts are never needed: those in JSON. A scrape
// takes no lock; concurrent first scrapes may render the text twice.
type lazyText struct{ text atomic.Pointer[[]byte] }

// appendTo appends the text to b. render must append the same text in each call.
func (t *lazyText) appendTo(b []byte, render func(b []byte) []byte) []byte {
	text := t.text.Load()
	if text == nil {
		text = new(bytes.Clone(render(nil))) // without unused capacity
		t.text.Store(text)
	}
	return append(b, *text...)
}

// appendHeading appends the HELP and TYPE lines.
func (f *family) appendHeading(b []byte) []byte {
	return f.text.appendTo(b, func(b []byte) []byte {
		b = append(b, "# HELP "+f.name+" "...)
		b = appendHelp(b, validText(f.help))
		return append(b, "\n# TYPE "+f.name+" "+f.kind.String()+"\n"...)
	})
}

// appendText appends the family. It appends nothing if the family has no series.
func (f *family) appendText(b []byte) []byte {
	start := len(b)
	b = f.appendHeading(b)
	samples := len(b)
	for _, s := range *f.blocks.Load() {
		b = s.appendText(b)
	}
	if len(b) == samples {
		return b[:start]
	}
	return b
}

func (f *family) appendJSON(b []byte) []byte {
	b = f.json.appendTo(b, func(b []byte) []byte {
		b = append(b, `{"name":"`+f.name+`","type":"`+f.kind.String()+`","help":`...)
		b = appendJSONString(b, validText(f.help))
		return append(b, `,"samples":[`...)
	})
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

// sample is a series with a single value. The label values must have been escaped by validText.
type sample struct {
	name   string
	labels []Label
	text   lazyText // name{labels} and a space
	json   lazyText // {"labels":{...},"value":
	value  value
}

// appendSampleJSON appends the beginning of a sample in JSON, up to its value.
func appendSampleJSON(b []byte, labels []Label) []byte {
	return append(appendJSONLabels(b, labels), `"value":`...)
}

func (s *sample) appendText(b []byte) []byte {
	b = s.text.appendTo(b, func(b []byte) []byte { return appendSampleName(b, s.name, s.labels) })
	b = s.value.appendValue(b)
	return append(b, '\n')
}

func (s *sample) appendJSON(b []byte) []byte {
	b = s.json.appendTo(b, func(b []byte) []byte { return appendSampleJSON(b, s.labels) })
	b = appendJSONValue(b, s.value)
	return append(b, '}', ',')
}
