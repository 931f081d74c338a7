package config

import (
	"fmt"
	"slices"
	"strconv"

	"portsyncd/config/toml"
)

// Parse reads a configuration. name is what messages call the file. An error is
// of type [Errors] and lists all problems of the file; the Config that comes
// with it has the defaults for whatever was bad, and the values of the file for
// the rest.
//
// With one exception, because a default must not open what the file meant to
// close: if one of the keys that decide who can read the HTTP listener is bad or
// may be misspelt, or the file is not valid TOML so that such a key may be hidden,
// all of those keys have their defaults: plain HTTP on the loopback address.
func Parse(name string, src []byte) (Config, error) {
	d := &decoder{
		name:     printable(name),
		cfg:      Default(),
		mentions: map[string]mention{},
	}
	d.cfg.origins = map[string]origin{}
	var problems []*toml.Error
	d.doc, problems = toml.Parse(src)
	d.invalid = problems != nil
	for _, p := range problems {
		msg := p.Msg
		if p.Quotes && mayBeSecret(p.Key) {
			msg = "expected a value; what is written is not one, and not shown since it may be a secret"
		}
		d.errs = append(d.errs, &ParseError{d.name, p.Line, p.Col, p.Key, msg})
	}
	d.tables()
	d.crossCheck()
	if d.exposureInDoubt() {
		d.resetExposure()
	}
	if d.errs == nil {
		return d.cfg, nil
	}
	d.errs.sort()
	return d.cfg, d.errs
}

// A decoder fills a Config from a document.
type decoder struct {
	name     string
	doc      *toml.Document
	cfg      Config
	errs     Errors
	invalid  bool               // the file is not the TOML we read
	mentions map[string]mention // by full key
}

// A mention is where the file speaks of a setting.
type mention struct {
	offset int  // of the value
	bad    bool // the value was reported as an error
}

func (d *decoder) errorf(offset int, key, format string, args ...any) {
	if len(d.errs) > toml.MaxErrors {
		return // the last one says that there are more
	}
	line, col := d.doc.Position(offset)
	msg := fmt.Sprintf(format, args...)
	if len(d.errs) == toml.MaxErrors {
		msg = "too many errors, the rest is not listed"
	}
	d.errs = append(d.errs, &ParseError{d.name, line, col, key, msg})
}

// tables walks the top level, where only tables may stand.
func (d *decoder) tables() {
	known := tables()
	for _, e := range d.doc.Root.Entries() {
		if len(d.errs) > toml.MaxErrors {
			return
		}
		t, isTable := e.Value.Data.(*toml.Table)
		isKnown := slices.Contains(known, e.Key)
		switch {
		case isKnown && isTable:
			d.settings(e.Key, t)
		case isKnown && e.Value.Data == nil: // was reported
		case isKnown:
			d.errorf(e.Value.Offset, e.Key, "expected a table, got %s", got(e.Value))
		case isTable:
			d.errorf(e.KeyOffset, toml.FormatKey(e.Key), "unknown table%s", orList(nearest(e.Key, known), "the tables are", known))
		default:
			d.errorf(e.KeyOffset, toml.FormatKey(e.Key), "unknown key outside of any table%s", orList(elsewhere(e.Key), "the tables are", known))
		}
	}
}

// settings walks one table.
func (d *decoder) settings(table string, t *toml.Table) {
	for _, e := range t.Entries() {
		if len(d.errs) > toml.MaxErrors {
			return
		}
		s := settingOf(table + "." + e.Key)
		if s == nil {
			names := keysOf(table)
			hint := nearest(e.Key, names)
			if hint != "" {
				hint = table + "." + hint
			} else {
				hint = elsewhere(e.Key)
			}
			d.errorf(e.KeyOffset, toml.FormatKey(table, e.Key), "unknown key%s", orList(hint, "the keys of ["+table+"] are", names))
			continue
		}
		d.set(s, e.Value)
	}
}

func (d *decoder) set(s *setting, v toml.Value) {
	m := mention{offset: v.Offset, bad: v.Data == nil}
	if !m.bad && !(s.emptyIsDefault && v.Data == "") {
		if p := s.decode(&d.cfg, v); p != nil {
			d.errorf(p.offset, s.key, "%s", p.msg)
			m.bad = true
		} else {
			line, _ := d.doc.Position(v.Offset)
			d.cfg.origins[s.key] = origin{text: d.name + ":" + strconv.Itoa(line), inFile: true}
		}
	}
	d.mentions[s.key] = m
}

// printable keeps a file name with control characters from breaking lines.
func printable(name string) string {
	if isPrintable(name) {
		return name
	}
	return strconv.Quote(name)
}
