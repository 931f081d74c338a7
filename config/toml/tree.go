package toml

import "fmt"

// A Document is what Parse read.
type Document struct {
	Root *Table
	src  []byte
}

// A Value is one value and where it stands.
type Value struct {
	// Data is a string, int64, float64, bool, []Value or *Table; nil where the
	// file sets the key to something that was reported as an error.
	Data   any
	Offset int // byte offset, for Document.Position
}

// An Entry is one key of a table. A key that is mentioned is present even if its
// value or its use is wrong, so that nothing is called missing that is there.
type Entry struct {
	Key       string
	KeyOffset int // byte offset of the key's first definition
	Value     Value
}

// A Table holds its entries in the order of the file.
type Table struct {
	entries []*Entry
	index   map[string]*Entry
	made    origin
}

// origin is how a table came to be, which decides what may still be added.
type origin uint8

const (
	implied  origin = iota // parent of a [header]: may get its own header, once
	headed                 // has its [header]; the root counts as headed
	dotted                 // made by a dotted key: no header, more dotted keys
	enclosed               // an inline table: complete
)

func newTable(made origin) *Table {
	return &Table{index: map[string]*Entry{}, made: made}
}

// Entries returns the entries in the order of the file. The slice is the table's.
func (t *Table) Entries() []*Entry { return t.entries }

// Lookup returns the entry of a key, or nil.
func (t *Table) Lookup(key string) *Entry { return t.index[key] }

func (t *Table) add(k keyPart, v Value) {
	e := &Entry{k.name, k.off, v}
	t.entries = append(t.entries, e)
	t.index[k.name] = e
}

// openTable finds or makes the table of a header. It returns a table outside of
// the tree when the header is wrong: the keys under it are then read and checked
// for form without being mistaken for keys of another table.
func (p *parser) openTable(path []keyPart) *Table {
	t := p.doc.Root
	for i, part := range path {
		last := i == len(path)-1
		e := t.Lookup(part.name)
		if e == nil {
			sub := newTable(implied)
			t.add(part, Value{sub, part.off})
			e = t.Lookup(part.name)
		} else if e.Value.Data == nil {
			return newTable(headed) // what is wrong with it has been said
		}
		sub, ok := e.Value.Data.(*Table)
		switch {
		case !ok:
			p.errorf(part.off, "%s is not a table: line %d sets it to %s", FormatKey(part.name), p.line(e), TypeOf(e.Value.Data))
			return newTable(headed)
		case sub.made == enclosed:
			p.errorf(part.off, "the inline table %s on line %d is complete and cannot be extended", FormatKey(part.name), p.line(e))
			return newTable(headed)
		case last && sub.made != implied:
			p.errorf(part.off, "table is already defined on line %d", p.line(e))
			return newTable(headed)
		case last:
			sub.made = headed
			e.KeyOffset = part.off
		}
		t = sub
	}
	return t
}

// define sets a key, dotted or not, in the table that is being filled.
func (p *parser) define(t *Table, path []keyPart, v Value) {
	parents, key := path[:len(path)-1], path[len(path)-1]
	for _, part := range parents {
		e := t.Lookup(part.name)
		if e == nil {
			t.add(part, Value{newTable(dotted), part.off})
			e = t.Lookup(part.name)
		} else if e.Value.Data == nil {
			return
		}
		sub, ok := e.Value.Data.(*Table)
		switch {
		case !ok:
			p.errorf(part.off, "%s is not a table: line %d sets it to %s", FormatKey(part.name), p.line(e), TypeOf(e.Value.Data))
			return
		case sub.made == enclosed:
			p.errorf(part.off, "the inline table %s on line %d is complete and cannot be extended", FormatKey(part.name), p.line(e))
			return
		case sub.made == headed:
			p.errorf(part.off, "a dotted key cannot extend the table %s defined on line %d", FormatKey(part.name), p.line(e))
			return
		}
		sub.made = dotted
		t = sub
	}
	if e := t.Lookup(key.name); e != nil {
		p.errorf(key.off, "key is already set on line %d", p.line(e))
		return
	}
	t.add(key, v)
}

func (p *parser) line(e *Entry) int {
	line, _ := p.doc.Position(e.KeyOffset)
	return line
}

// TypeOf names the type of Value.Data with its article, for messages.
func TypeOf(data any) string {
	switch data.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case []Value:
		return "an array"
	case *Table:
		return "a table"
	}
	panic(fmt.Sprintf("toml: no TOML type for %T", data))
}
