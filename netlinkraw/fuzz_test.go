package netlinkraw

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// FuzzBatch checks that decoding any datagram ends, returns slices of the datagram only, and that
// decoded messages survive encoding and decoding.
func FuzzBatch(f *testing.F) {
	files, err := filepath.Glob(fixturePath("*"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no recordings: %v", err)
	}
	for _, file := range files {
		for _, datagram := range fixture(f, strings.TrimSuffix(filepath.Base(file), ".hex")) {
			f.Add(datagram)
		}
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		var b Batch
		b.Load(datagram)
		left := len(datagram)
		for b.Next() {
			m := b.Message()
			if consumed := left - len(b.rest); consumed < headerLen {
				t.Fatalf("%d bytes consumed by a message", consumed)
			}
			left = len(b.rest)
			switch m.Type {
			case NewLink, DelLink:
				if len(m.Link.Name) > maxNameLen {
					t.Errorf("name %q", m.Link.Name)
				}
				wantInside(t, m.Link.Name, datagram)
				wantInside(t, m.Link.Kind, datagram)
				wantRoundTrip(t, m)
			case DumpDone:
				if !m.Dump {
					t.Error("the end of a dump that is not ours")
				}
			case Overrun:
			default:
				t.Errorf("type %v", m.Type)
			}
		}
		if len(b.rest) != 0 || b.Next() {
			t.Error("messages after the last one")
		}
	})
}

// wantInside checks that s is a part of whole, without capacity to append in place.
func wantInside(t *testing.T, s, whole []byte) {
	t.Helper()
	if len(s) == 0 {
		return
	}
	start := reflect.ValueOf(s).Pointer() - reflect.ValueOf(whole).Pointer()
	if start > uintptr(len(whole)) || start+uintptr(len(s)) > uintptr(len(whole)) || cap(s) != len(s) {
		t.Errorf("%q (capacity %d) at %d of a datagram of %d bytes", s, cap(s), start, len(whole))
	}
}
