package toml

import (
	"testing"
	"unicode/utf8"
)

// FuzzParse: whatever the bytes, errors are bounded and stand inside the file,
// only an error leaves a value empty, and every string is valid UTF-8 that Quote
// and Parse carry unchanged.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, src []byte) {
		doc, errs := Parse(src)
		if len(errs) > MaxErrors+1 {
			t.Fatalf("%d errors", len(errs))
		}
		endLine, _ := doc.Position(len(src))
		for _, e := range errs {
			if e.Line < 1 || e.Line > endLine || e.Col < 1 || e.Col > utf8.RuneCount(src)+1 {
				t.Errorf("position outside of the file, which has %d lines: %v", endLine, e)
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
				t.Errorf("key %q is not found", e.Key)
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
			t.Errorf("%q does not survive Quote: %s, %v", data, quoted, errs)
		}
	case nil:
		if !mayBeNil {
			t.Error("a value is missing without an error")
		}
	}
}
