package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portsyncd/config/toml"
)

// A ParseError is an error at a position of a configuration file.
type ParseError struct {
	File      string // as given to Parse or Load
	Line, Col int    // from 1; columns count characters
	Key       string // full key of the setting or table; "" if the error is outside of any
	Msg       string // without position and key
}

// Error returns "file:line:col: key: message".
func (e *ParseError) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s", e.File, e.Line, e.Col, e.Key, e.Msg)
}

// Errors are the errors of a file, sorted by position: at most [toml.MaxErrors], and one more if
// there are others.
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

// got returns the text of a value in an error message, in the syntax of TOML.
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
