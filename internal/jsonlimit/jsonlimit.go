// Package jsonlimit bounds the memory that encoding/json needs to decode a document.
//
// A document can need a hundred times its size in memory: an array element of two bytes of
// text may become a struct of several hundred bytes.
package jsonlimit

import "fmt"

// Limits are the bounds of a document.
type Limits struct {
	Depth    int // arrays and objects nested in each other
	Elements int // of all arrays together
}

// Check returns an error if text exceeds the limits. It does not check that text is valid JSON;
// encoding/json does so before it allocates anything.
func (l Limits) Check(text []byte) error {
	inArray := make([]bool, l.Depth+1)
	depth, elements, quoted := 0, 0, false
	count := func() {
		if inArray[depth] {
			elements++
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > l.Depth {
				return fmt.Errorf("JSON is nested more than %d levels deep", l.Depth)
			}
			inArray[depth] = c == '['
			count()
		case c == ']' || c == '}':
			depth = max(0, depth-1)
		case c == ',':
			count()
		}
		if elements > l.Elements {
			return fmt.Errorf("JSON arrays have more than %d elements", l.Elements)
		}
	}
	return nil
}
