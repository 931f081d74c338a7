package toml

import "fmt"

// A Document is a parsed file.
type Document struct {
	Root *Table
	src  []byte
}

// A Value is a value and its position.
type Value struct {
	// Data is a string, int64, float64, bool, []Value or *Table. It is nil if the value is invalid,
	// in which case Parse has reported an error.
	Data   any
	Offset int // byte offset, for Document.Position
}

// An Entry is a key of a table. A key with an invalid value also has an entry, so that it is not
// reported as missing.
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

// origin is the syntax that defined a table. It determines what can still be added to the table.
type origin uint8

const (
	implied  origin = iota // parent in a [header]; may be given its own header once
	headed                 // has its own [header] or is the root
	dotted                 // defined by a dotted key; may be extended by dotted keys but not by a header
	enclosed               // inline table: nothing can be added
)

func newTable(made origin) *Table {
	return &Table{index: map[string]*Entry{}, made: made}
}

// Entries returns the entries in the order of the file. The caller must not modify the slice.
func (t *Table) Entries() []*Entry { return t.entries }

// Lookup returns the entry of a key, or nil if the table does not contain the key.
func (t *Table) Lookup(key string) *Entry { return t.index[key] }

func (t *Table) add(k keyPart, v Value) {
	e := &Entry{k.name, k.off, v}
	t.entries = append(t.entries, e)
	t.index[k.name] = e
}

// openTable returns the table for a header, creating it if necessary. For an invalid header it
// returns a table that is not part of the tree, so that the keys under the header are parsed but
// not added to another table.
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
			return newTable(headed) // already reported
		}
		sub := p.extensible(e, part)
		switch {
		case sub == nil:
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

// define sets a key in t. The key may be dotted.
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
		sub := p.extensible(e, part)
		switch {
		case sub == nil:
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

// extensible returns the table of entry e, to which the key part refers. If e is not a table, or is
// an inline table, extensible reports an error and returns nil.
func (p *parser) extensible(e *Entry, part keyPart) *Table {
	t, ok := e.Value.Data.(*Table)
	switch {
	case !ok:
		p.errorf(part.off, "%s is not a table: line %d sets it to %s", FormatKey(part.name), p.line(e), TypeOf(e.Value.Data))
		return nil
	case t.made == enclosed:
		p.errorf(part.off, "the inline table %s on line %d cannot be extended", FormatKey(part.name), p.line(e))
		return nil
	}
	return t
}

func (p *parser) line(e *Entry) int {
	line, _ := p.doc.Position(e.KeyOffset)
	return line
}

// TypeOf returns the name of the type of Value.Data, including an article, for use in messages.
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
