package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// A file is one JSON object on one line, such as
//
//	{"sha256":"<64 digits>","schema":1,"writer":"portsyncd 1.0.0","boot_id":"...","saved_at":"...","body":{...}}
//
// The digest is that of every byte after the quote that ends it, to the end of
// the file, so that it covers the header as well. It can be checked by hand:
//
//	tail -c +77 port_state.json | sha256sum
//
// "sha256" at this place and "schema" are for good; the rest may change with the
// schema.
const (
	digestStart = `{"sha256":"`
	digestEnd   = len(digestStart) + 2*sha256.Size
)

// ErrCorrupt is a file that is not what was once written: cut off, changed, or
// something else altogether.
var ErrCorrupt = errors.New("corrupt")

// ErrNewerSchema is a file that a later version wrote.
var ErrNewerSchema = errors.New("of a newer schema")

// envelope is the content of a file.
type envelope struct {
	Schema  int             `json:"schema"`
	Writer  string          `json:"writer"`
	BootID  string          `json:"boot_id"`
	SavedAt time.Time       `json:"saved_at"`
	Body    json.RawMessage `json:"-"`
}

// bodyStart is the member that ends the header. It cannot be part of a string in the
// header, where a quote has a backslash before it.
const bodyStart = `,"body":`

// encode returns the bytes of the file. Body stays as it is, byte for byte.
func (e *envelope) encode() ([]byte, error) {
	if e.Schema < 1 {
		return nil, fmt.Errorf("schema %d: want 1 or more", e.Schema)
	}
	if !json.Valid(e.Body) {
		return nil, errors.New("the body is not valid JSON")
	}
	out := make([]byte, digestEnd, digestEnd+len(e.Body)+512)
	copy(out, digestStart)
	out = fmt.Appendf(out, `","schema":%d,"writer":%s,"boot_id":%s,"saved_at":"%s","body":`,
		e.Schema, quote(e.Writer), quote(e.BootID), e.SavedAt.UTC().Format(time.RFC3339Nano))
	out = append(out, e.Body...)
	out = append(out, '}', '\n')
	sum := sha256.Sum256(out[digestEnd+1:])
	hex.Encode(out[len(digestStart):], sum[:])
	return out, nil
}

func quote(s string) []byte {
	quoted, _ := json.Marshal(s) // a string always can be
	return quoted
}

// decode is the reverse, for a reader that knows schemas up to schema. Its error
// is ErrCorrupt or ErrNewerSchema. The body is part of text.
func decode(text []byte, schema int) (envelope, error) {
	if len(text) == 0 {
		return envelope{}, fmt.Errorf("%w: empty", ErrCorrupt)
	}
	if len(text) <= digestEnd || !bytes.HasPrefix(text, []byte(digestStart)) || text[digestEnd] != '"' {
		return envelope{}, fmt.Errorf("%w: does not begin with %s and 64 digits", ErrCorrupt, digestStart)
	}
	sum := sha256.Sum256(text[digestEnd+1:])
	// Compared as text: two spellings of a digest are one too many.
	if hex.EncodeToString(sum[:]) != string(text[len(digestStart):digestEnd]) {
		return envelope{}, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	// From here on the bytes are as somebody meant them. Schema alone comes first,
	// because the rest of a newer header may be of other types. The header is decoded
	// without the body, which may be large and needs no copy.
	header, body := text, []byte(nil)
	if i := bytes.Index(text, []byte(bodyStart)); i >= 0 {
		header = append(text[:i:i], '}')
		body = bytes.TrimSpace(text[i+len(bodyStart):])
		body = bytes.TrimSpace(bytes.TrimSuffix(body, []byte("}")))
	}
	var first struct{ Schema int }
	if err := json.Unmarshal(header, &first); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if first.Schema > schema {
		return envelope{}, fmt.Errorf("%w: %d, and this program knows up to %d", ErrNewerSchema, first.Schema, schema)
	}
	var e envelope
	if err := json.Unmarshal(header, &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if e.Body = body; e.Schema < 1 || !json.Valid(body) {
		return envelope{}, fmt.Errorf("%w: no schema or no body", ErrCorrupt)
	}
	return e, nil
}
