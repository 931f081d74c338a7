package toml

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseNumber parses an integer or a float. It returns an int64, a float64, or a description of the
// problem.
func parseNumber(tok string) (any, string) {
	body := strings.TrimLeft(tok, "+-")
	sign := tok[:len(tok)-len(body)]
	if len(sign) > 1 {
		return nil, fmt.Sprintf("invalid number %q: more than one sign", Abbreviate(tok))
	}
	switch {
	case body == "inf" && sign == "-":
		return math.Inf(-1), ""
	case body == "inf":
		return math.Inf(1), ""
	case body == "nan":
		return math.NaN(), ""
	case body == "" || !isDigit(body[0]) && body[0] != '.' && body[0] != '_':
		return nil, notAValue(tok)
	case looksLikeDate(body):
		return nil, "expected a string, number, boolean or array, got a date or time"
	}
	if len(body) > 1 && body[0] == '0' && strings.IndexByte("xob", body[1]) >= 0 {
		return parseBased(tok, sign, body)
	}
	if strings.ContainsAny(body, ".eE") {
		return parseFloat(tok, body)
	}
	if problem := checkDecimal(tok, body); problem != "" {
		return nil, problem
	}
	return convertInt(tok, sign+strings.ReplaceAll(body, "_", ""), 10)
}

// looksLikeDate reports whether tok starts like a date (2026-) or a time (07:).
func looksLikeDate(tok string) bool {
	return len(tok) >= 5 && digitsOnly(tok[:4], isDigit) && tok[4] == '-' ||
		len(tok) >= 3 && digitsOnly(tok[:2], isDigit) && tok[2] == ':'
}

// notAValue returns the error message for a bare word that is not a value. It suggests quotes,
// because the word is usually meant as a string.
func notAValue(tok string) string {
	short := Abbreviate(tok)
	switch strings.ToLower(tok) {
	case "true", "false":
		return fmt.Sprintf("expected a value, got %s; a boolean is written %s", short, strings.ToLower(tok))
	case "+", "-":
		return fmt.Sprintf("invalid number %q: no digits", short)
	}
	return fmt.Sprintf("expected a value, got %s; a string needs quotes, as in %q", short, short)
}

// parseBased parses an integer with a base prefix, such as 0xDEAD_BEEF, 0o755 or 0b1101. TOML does
// not allow a sign before the prefix.
func parseBased(tok, sign, body string) (any, string) {
	base := map[byte]int{'x': 16, 'o': 8, 'b': 2}[body[1]]
	digits := body[2:]
	if sign != "" {
		return nil, fmt.Sprintf("invalid integer %q: no sign is allowed before 0%c", Abbreviate(tok), body[1])
	}
	isDigitOfBase := func(c byte) bool {
		_, err := strconv.ParseUint(string(rune(c)), base, 8)
		return err == nil
	}
	if !digitsOnly(digits, isDigitOfBase) {
		return nil, fmt.Sprintf("invalid integer %q: expected digits of base %d, with underscores only between them", Abbreviate(tok), base)
	}
	return convertInt(tok, strings.ReplaceAll(digits, "_", ""), base)
}

func convertInt(tok, digits string, base int) (any, string) {
	n, err := strconv.ParseInt(digits, base, 64)
	if err != nil {
		return nil, fmt.Sprintf("integer %s does not fit into 64 bits", Abbreviate(tok))
	}
	return n, ""
}

// parseFloat parses a float: integer [. fraction] [e exponent].
func parseFloat(tok, body string) (any, string) {
	mantissa, exponent, hasExponent := strings.Cut(strings.ToLower(body), "e")
	whole, fraction, hasFraction := strings.Cut(mantissa, ".")
	if problem := checkDecimal(tok, whole); problem != "" {
		return nil, problem
	}
	if hasFraction && !digitsOnly(fraction, isDigit) {
		return nil, fmt.Sprintf("invalid float %q: expected digits after the point, with underscores only between them", Abbreviate(tok))
	}
	if hasExponent {
		if exponent != "" && (exponent[0] == '+' || exponent[0] == '-') {
			exponent = exponent[1:]
		}
		if !digitsOnly(exponent, isDigit) {
			return nil, fmt.Sprintf("invalid float %q: expected digits in the exponent, with underscores only between them", Abbreviate(tok))
		}
	}
	f, err := strconv.ParseFloat(strings.ReplaceAll(tok, "_", ""), 64)
	if err != nil {
		return nil, fmt.Sprintf("float %s does not fit into 64 bits", Abbreviate(tok))
	}
	return f, ""
}

// checkDecimal describes what is wrong with a decimal integer or with the integer part of a float:
// no digits, a leading zero, or an underscore that is not between digits. It returns "" if digits
// is valid.
func checkDecimal(tok, digits string) string {
	switch {
	case !digitsOnly(digits, isDigit):
		return fmt.Sprintf("invalid number %q: expected digits, with underscores only between them", Abbreviate(tok))
	case len(digits) > 1 && digits[0] == '0':
		return fmt.Sprintf("invalid number %q: leading zeros are not allowed", Abbreviate(tok))
	}
	return ""
}

// digitsOnly reports whether s consists of at least one digit. Single underscores between digits
// are allowed.
func digitsOnly(s string, digit func(byte) bool) bool {
	for i := range len(s) {
		if digit(s[i]) {
			continue
		}
		if s[i] != '_' || i == 0 || i == len(s)-1 || s[i-1] == '_' {
			return false
		}
	}
	return s != ""
}
