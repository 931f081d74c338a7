package sonicdb

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzReadReply checks that the result does not depend on how the bytes are split, that an encoded
// reply decodes to the same reply, and that memory is proportional to the input.
func FuzzReadReply(f *testing.F) {
	for _, rec := range recordings(f) {
		f.Add(rec.bytes)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		src := bytes.NewReader(in)
		whole, bytewise := newReader(src), newReader(iotest.OneByteReader(bytes.NewReader(in)))
		for {
			r, err := whole.next()
			r2, err2 := bytewise.next()
			if (err == nil) != (err2 == nil) {
				t.Fatalf("whole: %v, byte by byte: %v", err, err2)
			}
			// Doubling, and the 64 bytes of a Reply for the 3 of its shortest form, "+\r\n".
			if held := held(whole); held > readBuffer+2*len(in)+2*64*(len(in)/3+4*maxNesting) {
				t.Fatalf("the reader holds %d bytes for %d of input", held, len(in))
			}
			if consumed := len(in) - src.Len() - (whole.w - whole.r); consumed < 0 || consumed > len(in) {
				t.Fatalf("consumed %d of %d bytes", consumed, len(in))
			}
			if err != nil {
				var p *ProtocolError
				if !errors.As(err, &p) && err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatalf("unexpected kind of error: %v", err)
				}
				return
			}
			if show(r) != show(r2) {
				t.Fatalf("whole: %s, byte by byte: %s", show(r), show(r2))
			}
			again, err := newReader(bytes.NewReader(encode(nil, r))).next()
			if err != nil || show(again) != show(r) {
				t.Fatalf("written out and read again: got %v, %v, want %s", again, err, show(r))
			}
		}
	})
}

// FuzzParseMap checks that any text is either a map or an error with the file name, and that each
// database is either valid or an error with the names of file and database.
func FuzzParseMap(f *testing.F) {
	src, err := os.ReadFile("testdata/database_config.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Fuzz(func(t *testing.T, src []byte) {
		m, err := ParseMap("the file", src)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "the file:") {
				t.Fatalf("error does not begin with the file's name: %v", err)
			}
			return
		}
		for name := range m.databases {
			d, err := m.Database(name)
			if err != nil {
				if !strings.HasPrefix(err.Error(), "the file: ") {
					t.Fatalf("error does not begin with the file's name: %v", err)
				}
				continue
			}
			if d.Name != name || d.ID < 0 || d.ID > math.MaxInt32 || d.Separator != ":" && d.Separator != "|" {
				t.Fatalf("unusable database %+v", d)
			}
			if i := d.Instance; i.UnixSocket == "" && (i.Port < 0 || i.Port > math.MaxUint16) || i.Address() == "" {
				t.Fatalf("unusable instance %+v", i)
			}
		}
	})
}
