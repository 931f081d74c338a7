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
// The digest covers all bytes after its closing quote, to the end of the file, and so the header as
// well. To check it by hand:
//
//	tail -c +77 port_state.json | sha256sum
//
// The position of "sha256" and the member "schema" never change. The other members may change with
// the schema.
const (
	digestStart = `{"sha256":"`
	digestEnd   = len(digestStart) + 2*sha256.Size
)

// ErrCorrupt is returned for a file that was truncated or modified, or that has an unknown format.
var ErrCorrupt = errors.New("corrupt")

// ErrNewerSchema is returned for a file that was written by a later version of the program.
var ErrNewerSchema = errors.New("newer schema")

// envelope is the contents of a file.
type envelope struct {
	Schema  int             `json:"schema"`
	Writer  string          `json:"writer"`
	BootID  string          `json:"boot_id"`
	SavedAt time.Time       `json:"saved_at"`
	Body    json.RawMessage `json:"-"`
}

// bodyStart separates the header from the body. It cannot occur in the header's strings, where
// quotes are preceded by a backslash.
const bodyStart = `,"body":`

// encode returns the contents of the file. Body is included unchanged.
func (e *envelope) encode() ([]byte, error) {
	if e.Schema < 1 {
		return nil, fmt.Errorf("invalid schema %d: must be 1 or greater", e.Schema)
	}
	if !json.Valid(e.Body) {
		return nil, errors.New("body is not valid JSON")
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
	quoted, _ := json.Marshal(s) // a string can always be encoded
	return quoted
}

// decode decodes the contents of a file whose schema is at most schema. It returns ErrCorrupt or
// ErrNewerSchema if the file cannot be used. The body shares memory with text.
func decode(text []byte, schema int) (envelope, error) {
	if len(text) == 0 {
		return envelope{}, fmt.Errorf("%w: empty", ErrCorrupt)
	}
	if len(text) <= digestEnd || !bytes.HasPrefix(text, []byte(digestStart)) || text[digestEnd] != '"' {
		return envelope{}, fmt.Errorf("%w: does not start with %s and 64 digits", ErrCorrupt, digestStart)
	}
	sum := sha256.Sum256(text[digestEnd+1:])
	// Compare as text, so that only lower-case digits are valid.
	if hex.EncodeToString(sum[:]) != string(text[len(digestStart):digestEnd]) {
		return envelope{}, fmt.Errorf("%w: wrong checksum", ErrCorrupt)
	}
	// Decode the schema first, because in a newer header the members may have other types. Decode
	// the header without the body, which may be large.
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
		return envelope{}, fmt.Errorf("%w %d: this program supports schemas up to %d", ErrNewerSchema, first.Schema, schema)
	}
	var e envelope
	if err := json.Unmarshal(header, &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if e.Body = body; e.Schema < 1 || !json.Valid(body) {
		return envelope{}, fmt.Errorf("%w: missing schema or body", ErrCorrupt)
	}
	return e, nil
}
