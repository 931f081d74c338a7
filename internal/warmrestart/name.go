package warmrestart

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// JSON is Unicode (RFC 8259, section 8.1), and the name of an interface need not
// be: encoding/json writes U+FFFD for each byte that is not UTF-8. Beside such a
// name its bytes are written in hexadecimal.

// HexUnlessUTF8 returns the bytes of a name in hexadecimal, "" if JSON can say
// them.
func HexUnlessUTF8(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return hex.EncodeToString([]byte(name))
}

// RestoreName returns the name that JSON has as name, with these bytes in
// hexadecimal beside it unless they are "".
func RestoreName(name, digits string) (string, error) {
	if digits == "" {
		return name, nil
	}
	whole, err := hex.DecodeString(digits)
	if err != nil || toUnicode(string(whole)) != name {
		return "", fmt.Errorf("name %q has the bytes %q in hexadecimal, expected those of the name", name, digits)
	}
	return string(whole), nil
}

// toUnicode is what encoding/json makes of a string.
func toUnicode(s string) string { return strings.Map(func(r rune) rune { return r }, s) }
