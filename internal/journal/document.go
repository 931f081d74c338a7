package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
)

// DocumentSchema is the schema version of a Document's JSON form.
const DocumentSchema = 1

// AppendJSON appends the document to b as one JSON object in ASCII, followed by a newline.
func (d *Document) AppendJSON(b []byte) []byte {
	b = append(b, `{"schema":`...)
	b = strconv.AppendInt(b, DocumentSchema, 10)
	b = append(b, `,"time":"`...)
	b = d.Time.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","process":"`...)
	b = d.Process.UTC().AppendFormat(b, timeFormat)
	b = append(b, `","complete":`...)
	b = strconv.AppendBool(b, d.Complete)
	b = append(b, `,"last_seq":`...)
	b = strconv.AppendUint(b, d.LastSeq, 10)
	b = appendTexts(b, "alias_ports", d.AliasPorts)
	b = appendTexts(b, "unknown_ports", d.UnknownPorts)
	b = append(b, `,"events":[`...)
	for i := range d.Events {
		if i > 0 {
			b = append(b, ',')
		}
		b = d.Events[i].AppendJSON(b)
	}
	return append(b, "]}\n"...)
}

// appendTexts appends an array of strings as a member unless it is empty.
func appendTexts(b []byte, name string, texts []string) []byte {
	if len(texts) == 0 {
		return b
	}
	b = append(append(append(b, `,"`...), name...), `":[`...)
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendEscaped(append(b, '"'), text), '"')
	}
	return append(b, ']')
}

// maxCommas is greater than the number of commas in a document of maxQuery events.
const maxCommas = 32 * maxQuery

// DecodeDocument parses the JSON form of a Document. The caller must limit the size of text.
func DecodeDocument(text []byte) (*Document, error) {
	var w struct {
		Schema   int               `json:"schema"`
		Time     time.Time         `json:"time"`
		Process  time.Time         `json:"process"`
		Complete bool              `json:"complete"`
		LastSeq  uint64            `json:"last_seq"`
		Events   []json.RawMessage `json:"events"`

		AliasPorts   []string `json:"alias_ports"`
		UnknownPorts []string `json:"unknown_ports"`
	}
	// Limit memory: an array element can need a hundred times as much memory as its text.
	if n := bytes.Count(text, []byte(",")); n > maxCommas {
		return nil, fmt.Errorf("invalid event document: too many commas: %d, limit %d", n, maxCommas)
	}
	if err := json.Unmarshal(text, &w); err != nil {
		return nil, fmt.Errorf("invalid event document: %w", err)
	}
	if w.Schema != DocumentSchema {
		return nil, fmt.Errorf("unsupported schema %d of event document: must be %d", w.Schema, DocumentSchema)
	}
	d := &Document{Time: w.Time, Process: w.Process, Complete: w.Complete, LastSeq: w.LastSeq,
		AliasPorts: w.AliasPorts, UnknownPorts: w.UnknownPorts}
	if len(w.Events) > maxQuery {
		return nil, fmt.Errorf("event document has too many events: %d, limit %d", len(w.Events), maxQuery)
	}
	var lines decoder
	for _, text := range w.Events {
		e, err := lines.decode(text)
		if err != nil {
			return nil, err
		}
		d.Events = append(d.Events, e)
	}
	return d, nil
}
