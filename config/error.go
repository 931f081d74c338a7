package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portsyncd/config/toml"
)

// A ParseError is an error at a position in a configuration file.
type ParseError struct {
	File      string // file name as passed to Parse or Load
	Line, Col int    // 1-based; columns count characters
	Key       string // full key of the setting or table, or "" if there is none
	Msg       string // message without position and key
}

// Error returns "file:line:col: key: message".
func (e *ParseError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Key, e.Msg)
}

// Errors holds the errors of a file, sorted by position. If there are more than [toml.MaxErrors],
// the last error says so.
type Errors []*ParseError

// Error returns one line for each error.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b *ParseError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}

// got returns the value v in TOML syntax, for use in an error message.
func got(v toml.Value) string {
	switch data := v.Data.(type) {
	case string:
		return fmt.Sprintf("%q", toml.Abbreviate(data))
	case int64, bool:
		return fmt.Sprint(data)
	case float64:
		return formatFloat(data)
	}
	return toml.TypeOf(v.Data)
}
