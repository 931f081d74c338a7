package warmrestart

import (
	"encoding/json"
	"fmt"
)

// Arrays in files are counted before they are decoded: an element of two bytes of JSON
// can need hundreds of bytes in memory.

type (
	boundedRestarts                    []Restart
	boundedPorts                       []Port
	boundedNumbers[T uint64 | float64] []T
)

// UnmarshalJSON decodes an array of at most mostRestarts records.
func (b *boundedRestarts) UnmarshalJSON(text []byte) error {
	return decodeArray((*[]Restart)(b), text, mostRestarts)
}

// UnmarshalJSON decodes an array of at most mostPorts ports.
func (b *boundedPorts) UnmarshalJSON(text []byte) error {
	return decodeArray((*[]Port)(b), text, mostPorts)
}

// UnmarshalJSON decodes an array of at most mostBuckets numbers.
func (b *boundedNumbers[T]) UnmarshalJSON(text []byte) error {
	return decodeArray((*[]T)(b), text, mostBuckets)
}

func decodeArray[T any](to *[]T, text []byte, most int) error {
	if n := elements(text); n > most {
		return fmt.Errorf("array of %d elements, expected at most %d", n, most)
	}
	return json.Unmarshal(text, to)
}

// elements returns how many elements a JSON array has, or at most one more. The text is
// valid JSON.
func elements(text []byte) int {
	n, depth, quoted := 1, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 1:
			n++
		}
	}
	return n
}
