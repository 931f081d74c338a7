package toml

import (
	"strings"
	"time"
)

// looksLikeDateTime tells what was meant as a date or time (2026-..., 07:...)
// from a number, so that the message fits.
func looksLikeDateTime(tok string) bool {
	return len(tok) >= 5 && strings.Trim(tok[:4], "0123456789") == "" && tok[4] == '-' ||
		len(tok) >= 3 && strings.Trim(tok[:2], "0123456789") == "" && tok[2] == ':'
}

// validDateTime checks TOML's four forms, all from RFC 3339 section 5.6: date and
// time with offset, the same without, a date, a time.
func validDateTime(tok string) bool {
	if isTime(tok) {
		return true
	}
	if len(tok) < len("2006-01-02") || !isDate(tok[:10]) {
		return false
	}
	rest := tok[10:]
	if rest == "" {
		return true
	}
	if !strings.ContainsRune("Tt ", rune(rest[0])) {
		return false
	}
	clock, offset := splitOffset(rest[1:])
	return isTime(clock) && isOffset(offset)
}

// isDate checks YYYY-MM-DD, with the days that the month has in that year.
func isDate(s string) bool {
	if len(s) != len("2006-01-02") {
		return false
	}
	_, err := time.Parse("2006-01-02", s)
	return err == nil
}

// isTime checks HH:MM:SS with an optional fraction. Second 60 is a leap second.
func isTime(s string) bool {
	if len(s) < len("15:04:05") || !isHourMinute(s[:5]) || s[5] != ':' || !inRange(s[6:8], "60") {
		return false
	}
	fraction := s[8:]
	return fraction == "" || fraction[0] == '.' && len(fraction) > 1 && strings.Trim(fraction[1:], "0123456789") == ""
}

// splitOffset cuts "Z" or "+07:00" off the end of a time.
func splitOffset(s string) (clock, offset string) {
	if i := strings.IndexAny(s, "Zz+-"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func isOffset(s string) bool {
	switch s {
	case "", "Z", "z":
		return true
	}
	return isHourMinute(s[1:])
}

func isHourMinute(s string) bool {
	return len(s) == len("15:04") && inRange(s[:2], "23") && s[2] == ':' && inRange(s[3:], "59")
}

// inRange reports whether s is two digits, at most those of limit.
func inRange(s, limit string) bool {
	return len(s) == 2 && isDigit(s[0]) && isDigit(s[1]) && s <= limit
}
