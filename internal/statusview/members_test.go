package statusview

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/warmrestart"
)

// TestMembers compares the names of the members of the JSON documents with a golden file. Programs use
// these names, so a changed or missing member must be deliberate.
func TestMembers(t *testing.T) {
	var text []byte
	for _, document := range []struct {
		name string
		is   any
	}{
		{"/status", Status{}}, {"report --json", Report{}}, {"history.jsonl", warmrestart.Sample{}},
	} {
		text = append(text, document.name+"\n"...)
		for _, member := range membersOf(reflect.TypeOf(document.is), "  ") {
			text = append(text, member+"\n"...)
		}
	}
	golden(t, "members.txt", text)
}

// membersOf returns the names of the members of a type in JSON, those of nested objects after their object
// with a longer prefix.
func membersOf(is reflect.Type, prefix string) (names []string) {
	for is.Kind() == reflect.Pointer || is.Kind() == reflect.Slice || is.Kind() == reflect.Array || is.Kind() == reflect.Map {
		is = is.Elem()
	}
	if is.Kind() != reflect.Struct || is == reflect.TypeFor[time.Time]() || reflect.PointerTo(is).Implements(reflect.TypeFor[json.Marshaler]()) {
		return nil
	}
	for i := range is.NumField() {
		f := is.Field(i)
		tag := f.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		switch {
		case tag == "-" || !f.IsExported() && !f.Anonymous:
			continue
		case name == "" && f.Anonymous:
			names = append(names, membersOf(f.Type, prefix)...)
			continue
		case name == "":
			name = f.Name
		}
		if strings.Contains(tag, ",omit") {
			name += " (if set)"
		}
		names = append(names, prefix+name)
		names = append(names, membersOf(f.Type, prefix+"  ")...)
	}
	return names
}
