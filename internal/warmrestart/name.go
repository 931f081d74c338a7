package warmrestart

import (
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Names of interfaces can have bytes that are not UTF-8, which JSON cannot represent (RFC 8259,
// section 8.1). encoding/json replaces each of them with U+FFFD. A second JSON member then holds
// the bytes of the name in hexadecimal.

// HexUnlessUTF8 returns the bytes of a name in hexadecimal, or "" if the name is valid UTF-8.
func HexUnlessUTF8(name string) string {
	if utf8.ValidString(name) {
		return ""
	}
	return hex.EncodeToString([]byte(name))
}

// RestoreName returns the original name, given the JSON members with the name and with the result
// of HexUnlessUTF8. It returns an error if they contradict each other.
func RestoreName(name, digits string) (string, error) {
	if digits == "" {
		return name, nil
	}
	whole, err := hex.DecodeString(digits)
	if err != nil || toUnicode(string(whole)) != name {
		return "", fmt.Errorf("hexadecimal digits %q do not match the name %q", digits, name)
	}
	return string(whole), nil
}

// toUnicode replaces invalid bytes with U+FFFD, as encoding/json does.
func toUnicode(s string) string { return strings.Map(func(r rune) rune { return r }, s) }
