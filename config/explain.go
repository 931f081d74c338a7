package config

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"

	"portsyncd/config/toml"
)

// explain returns an error message for a value that is not valid TOML. The message describes the
// expected value and shows an example. written is the value in the file, and element is set if it is
// an element of an array. If explain does not recognize its form, it returns msg, the message of the
// TOML parser.
func (s *setting) explain(msg, written string, element bool) string {
	if written == "" || !isPrintable(written) {
		return msg
	}
	if s.decode(new(Config), toml.Value{Data: written}) == nil {
		if element {
			return fmt.Sprintf("expected quotes around %s in the array: %s", toml.Abbreviate(written), toml.Quote(written))
		}
		return fmt.Sprintf("expected quotes around %s: %s = %s", toml.Abbreviate(written), s.name(), toml.Quote(written))
	}
	var example string
	switch strings.ToLower(written) {
	case "yes", "on", "y", "true":
		example = "true"
	case "no", "off", "n", "false":
		example = "false"
	}
	standard := Default()
	if example == "" || s.decode(new(Config), toml.Value{Data: example == "true"}) != nil {
		example = s.encode(&standard)
		if element && strings.HasPrefix(example, `"`) {
			example = "[" + example + "]"
		}
	}
	return fmt.Sprintf("expected %s, got %s; for example %s = %s", s.want, toml.Abbreviate(written), s.name(), example)
}

// valueAt returns the text on a line of src from col to the next blank, comma, bracket or comment.
// Lines and columns start at 1, and columns count characters.
func valueAt(src []byte, line, col int) string {
	for ; line > 1; line-- {
		_, rest, found := bytes.Cut(src, []byte("\n"))
		if !found {
			return ""
		}
		src = rest
	}
	text, _, _ := bytes.Cut(src, []byte("\n"))
	for ; col > 1 && len(text) > 0; col-- {
		_, size := utf8.DecodeRune(text)
		text = text[size:]
	}
	if end := bytes.IndexAny(text, " \t\r,]}#"); end >= 0 {
		text = text[:end]
	}
	return string(text)
}
