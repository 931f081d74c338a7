package config

import (
	"fmt"
	"slices"
	"strconv"

	"portsyncd/config/toml"
)

// Parse parses a configuration. name is the file name used in error messages. The error is of type
// [Errors] and lists all problems in the file. The returned Config is always usable: invalid
// settings have their default values, the others have the values in the file.
//
// Parse handles errors in access settings differently, so that the data is not exposed to more
// clients than intended. If a key that determines who can access the HTTP listener is invalid or
// may be misspelled, or if the file is not valid TOML, Parse sets all of these keys to their
// defaults: plain HTTP on the loopback address.
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
			msg = "invalid value (not shown, as it may be a secret)"
		} else if s := settingOf(p.Key); s != nil && p.Quotes {
			msg = s.explain(p.Msg, valueAt(src, p.Line, p.Col), p.Element)
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
	invalid  bool               // the file has TOML errors
	mentions map[string]mention // by full key
}

// A mention is the occurrence of a key in the file.
type mention struct {
	offset int  // of the value
	bad    bool // an error in the value was reported
}

func (d *decoder) errorf(offset int, key, format string, args ...any) {
	if len(d.errs) > toml.MaxErrors {
		return // the last error says that there are more errors
	}
	line, col := d.doc.Position(offset)
	msg := fmt.Sprintf(format, args...)
	if len(d.errs) == toml.MaxErrors {
		msg = "too many errors; the rest are not listed"
	}
	d.errs = append(d.errs, &ParseError{d.name, line, col, key, msg})
}

// tables decodes the top level of the file, which may contain only tables.
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
		case isKnown && e.Value.Data == nil: // already reported
		case isKnown:
			d.errorf(e.Value.Offset, e.Key, "expected a table, got %s", got(e.Value))
		case isTable:
			d.errorf(e.KeyOffset, toml.FormatKey(e.Key), "unknown table%s", orList(Nearest(e.Key, known), "the tables are", known))
		default:
			d.errorf(e.KeyOffset, toml.FormatKey(e.Key), "unknown key outside of any table%s", orList(elsewhere(e.Key), "the tables are", known))
		}
	}
}

// settings decodes one table.
func (d *decoder) settings(table string, t *toml.Table) {
	for _, e := range t.Entries() {
		if len(d.errs) > toml.MaxErrors {
			return
		}
		s := settingOf(table + "." + e.Key)
		if s == nil {
			names := keysOf(table)
			hint := elsewhere(e.Key)
			if near := Nearest(e.Key, names); hint == "" && near != "" {
				hint = table + "." + near
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

// printable returns name. If name contains unprintable characters, it is quoted.
func printable(name string) string {
	if isPrintable(name) {
		return name
	}
	return strconv.Quote(name)
}
