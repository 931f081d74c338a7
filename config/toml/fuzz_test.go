package toml

import (
	"testing"
	"unicode/utf8"
)

// FuzzParse checks for any input that the number of errors is bounded and their positions are in
// the file, that only an error leaves a value empty, and that Parse(Quote(s)) returns each string
// s.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, errs := Parse(src)
		if len(errs) > MaxErrors+1 {
			t.Fatalf("%d errors", len(errs))
		}
		endLine, _ := doc.Position(len(src))
		for _, e := range errs {
			if e.Line < 1 || e.Line > endLine || e.Col < 1 || e.Col > utf8.RuneCount(src)+1 {
				t.Errorf("file has %d lines, error is outside: %v", endLine, e)
			}
		}
		checkValue(t, doc.Root, len(errs) > 0)
	})
}

func checkValue(t *testing.T, data any, mayBeNil bool) {
	switch data := data.(type) {
	case *Table:
		for _, e := range data.Entries() {
			if data.Lookup(e.Key) != e {
				t.Errorf("Lookup(%q) does not return the entry", e.Key)
			}
			checkValue(t, e.Key, mayBeNil)
			checkValue(t, e.Value.Data, mayBeNil)
		}
	case []Value:
		for _, v := range data {
			checkValue(t, v.Data, mayBeNil)
		}
	case string:
		quoted := Quote(data)
		doc, errs := Parse([]byte(quoted + " = " + quoted))
		if errs != nil || doc.Root.Lookup(data) == nil || doc.Root.Lookup(data).Value.Data != data {
			t.Errorf("Quote(%q) = %s, which Parse does not read back: %v", data, quoted, errs)
		}
	case nil:
		if !mayBeNil {
			t.Error("value is nil, but Parse reported no error")
		}
	}
}
