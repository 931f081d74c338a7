package lab

import (
	"errors"
	"strconv"
	"strings"
)

// errQuotes is returned if a quoted word is not terminated or its closing quote is not followed by
// a space.
var errQuotes = errors.New("unbalanced quotes")

// splitQuoted splits an inline command at white space. A word may be in double quotes, with \n \r
// \t \b \a, \xHH and \ before any other character, or in single quotes, with \' only. Source:
// https://redis.io/docs/latest/develop/reference/protocol-spec/ "Inline commands"; quoting works as
// in redis-cli.
func splitQuoted(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\n\v\f\r")
		if line == "" {
			return words, nil
		}
		word, rest, err := cutWord(line)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), rest
	}
}

// cutWord returns the first word of line and the rest. line must not begin with white space. Quotes
// may begin within a word; a closing quote must be followed by white space.
func cutWord(line string) (word, rest string, err error) {
	var b strings.Builder
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ', '\t', '\n', '\r', 0:
			return b.String(), line[i+1:], nil
		case '"', '\'':
			n, err := unquoteTo(&b, line[i:])
			if err != nil {
				return "", "", err
			}
			rest = line[i+n:]
			if rest != "" && !strings.ContainsRune(" \t\n\v\f\r", rune(rest[0])) {
				return "", "", errQuotes
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(line[i])
		}
	}
	return b.String(), "", nil
}

// unquoteTo appends the unquoted form of the quoted string at the start of s to b. It returns the
// length of the quoted string in s.
func unquoteTo(b *strings.Builder, s string) (int, error) {
	quote := s[0]
	for i := 1; i < len(s); i++ {
		c := s[i]
		switch {
		case c == quote:
			return i + 1, nil
		case quote == '\'' && strings.HasPrefix(s[i:], `\'`):
			i++
			b.WriteByte('\'')
		case quote == '"' && c == '\\' && i+1 < len(s):
			i++
			if s[i] == 'x' && i+2 < len(s) {
				if v, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
					b.WriteByte(byte(v))
					i += 2
					continue
				}
			}
			b.WriteByte(unescape(s[i]))
		default:
			b.WriteByte(c)
		}
	}
	return 0, errQuotes
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}
