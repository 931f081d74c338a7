package config

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"portsyncd/config/toml"
)

// A codec converts a setting between its TOML value and its field in a Config. The constructors
// below take a function that returns a pointer to the field.
type codec struct {
	want   string                                 // description of a valid value, for "expected ..."
	decode func(c *Config, v toml.Value) *problem // must not change c if it returns a problem
	encode func(c *Config) string                 // returns TOML that decodes to the current value
	copy   func(dst, src *Config)

	emptyIsDefault bool // "" in the file means the default
}

// A problem is an error in a value or in an array element.
type problem struct {
	offset int // byte offset in the file
	msg    string
}

func problemf(v toml.Value, format string, args ...any) *problem {
	return &problem{v.Offset, fmt.Sprintf(format, args...)}
}

// expected returns a problem of the form "expected ..., got ...".
func expected(want string, v toml.Value) *problem {
	return problemf(v, "expected %s, got %s", want, got(v))
}

func copier[T any](field func(*Config) *T) func(dst, src *Config) {
	return func(dst, src *Config) { *field(dst) = *field(src) }
}

func boolean(field func(*Config) *bool) codec {
	const want = "true or false"
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			b, ok := v.Data.(bool)
			if !ok {
				return expected(want, v)
			}
			*field(c) = b
			return nil
		},
		encode: func(c *Config) string { return strconv.FormatBool(*field(c)) },
		copy:   copier(field),
	}
}

// integer returns the codec for an integer from lo to hi in the given unit. The field's value is
// the integer multiplied by scale, for example a time.Duration for a number of seconds.
func integer[T ~int | ~int64 | ~uint16](field func(*Config) *T, lo, hi, scale int64, unit string) codec {
	want := fmt.Sprintf("an integer from %d to %d", lo, hi)
	if unit != "" {
		want += " (" + unit + ")"
	}
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			n, ok := v.Data.(int64)
			if !ok || n < lo || n > hi {
				return expected(want, v)
			}
			*field(c) = T(n * scale)
			return nil
		},
		encode: func(c *Config) string { return strconv.FormatInt(int64(*field(c))/scale, 10) },
		copy:   copier(field),
	}
}

// number returns the codec for a float from lo to hi. It also accepts an integer.
func number(field func(*Config) *float64, lo, hi float64, unit string) codec {
	want := fmt.Sprintf("a number from %g to %g (%s)", lo, hi, unit)
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			f := math.NaN()
			switch data := v.Data.(type) {
			case float64:
				f = data
			case int64:
				f = float64(data)
			}
			if !(f >= lo && f <= hi) { // false for NaN
				return expected(want, v)
			}
			*field(c) = f
			return nil
		},
		encode: func(c *Config) string { return formatFloat(*field(c)) },
		copy:   copier(field),
	}
}

// formatFloat formats a float as TOML, which requires a decimal point or an exponent.
func formatFloat(f float64) string {
	s := strings.ToLower(strconv.FormatFloat(f, 'g', -1, 64))
	if strings.Trim(s, "-0123456789") == "" {
		s += ".0"
	}
	return s
}

// text returns the codec for a string for which valid returns true. If optional is true, it also
// accepts "".
func text(field func(*Config) *string, want string, optional bool, valid func(string) bool) codec {
	if optional {
		want += ` or ""`
	}
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			s, ok := v.Data.(string)
			if !ok || !(s == "" && optional) && !valid(s) {
				return expected(want, v)
			}
			*field(c) = s
			return nil
		},
		encode: func(c *Config) string { return toml.Quote(*field(c)) },
		copy:   copier(field),
	}
}

// optionalPath returns the codec for an absolute path, or "" for none.
func optionalPath(field func(*Config) *string) codec {
	return text(field, "an absolute path", true, isPath)
}

// ownPath returns the codec for an absolute path. "" selects the default, which depends on the
// machine (see [Config.ResolvePaths]).
func ownPath(field func(*Config) *string) codec {
	c := optionalPath(field)
	c.emptyIsDefault = true
	return c
}

// enum returns the codec for one of names. Case is ignored. The field's value is the index of the
// name.
func enum[T ~uint8](field func(*Config) *T, names []string) codec {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = toml.Quote(n)
	}
	last := len(quoted) - 1
	want := strings.Join(quoted[:last], ", ") + " or " + quoted[last]
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			s, ok := v.Data.(string)
			if !ok {
				return expected(want, v)
			}
			i := slices.IndexFunc(names, func(n string) bool { return strings.EqualFold(n, s) })
			if i < 0 {
				hint := Nearest(s, names)
				if hint != "" {
					hint = toml.Quote(hint)
				}
				return problemf(v, "expected %s, got %s%s", want, got(v), didYouMean(hint))
			}
			*field(c) = T(i)
			return nil
		},
		encode: func(c *Config) string { return toml.Quote(names[*field(c)]) },
		copy:   copier(field),
	}
}

// digest returns the codec for a SHA-256 in hexadecimal. Its error messages do not contain the
// value, which may mistakenly be the secret itself.
func digest(field func(*Config) *Digest) codec {
	const want = `a SHA-256 as 64 hexadecimal digits or ""`
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			s, ok := v.Data.(string)
			if !ok {
				return problemf(v, "expected %s, got %s", want, toml.TypeOf(v.Data))
			}
			var d Digest
			if s != "" {
				raw, err := hex.DecodeString(s)
				if err != nil || len(raw) != len(d) {
					return problemf(v, "expected %s, got a string of %d characters", want, utf8.RuneCountInString(s))
				}
				if copy(d[:], raw); !d.IsSet() {
					return problemf(v, "expected %s, got only zeros", want)
				}
			}
			*field(c) = d
			return nil
		},
		encode: func(c *Config) string { return toml.Quote(field(c).String()) },
		copy:   copier(field),
	}
}

// Maximum lengths of lists.
const (
	maxEndpoints = 16
	maxHostNames = 64
)

// list returns the codec for an array of strings. It also accepts one string in place of an array
// with one element. parse converts a string to an element, or returns a description of what is
// wrong. show is the inverse of parse.
func list[T comparable](field func(*Config) *[]T, want, noun, nouns string, most int, parse func(string) (T, string), show func(T) string) codec {
	return codec{
		want: want,
		decode: func(c *Config, v toml.Value) *problem {
			values, ok := v.Data.([]toml.Value)
			if !ok {
				values = []toml.Value{v}
			}
			if len(values) > most {
				return problemf(v, "expected at most %d %s, got %d", most, nouns, len(values))
			}
			list := []T{}
			for _, v := range values {
				s, ok := v.Data.(string)
				if !ok {
					return expected(want, v)
				}
				e, why := parse(s)
				if why != "" {
					return problemf(v, "expected %s, got %s: %s", want, got(v), why)
				}
				if slices.Contains(list, e) {
					return problemf(v, "%s %q is listed twice", noun, s)
				}
				list = append(list, e)
			}
			*field(c) = list
			return nil
		},
		encode: func(c *Config) string {
			list := *field(c)
			if len(list) == 1 {
				return toml.Quote(show(list[0]))
			}
			quoted := make([]string, len(list))
			for i, e := range list {
				quoted[i] = toml.Quote(show(e))
			}
			return "[" + strings.Join(quoted, ", ") + "]"
		},
		copy: copier(field),
	}
}

// endpoints returns the codec for an address or a possibly empty array of addresses.
func endpoints(field func(*Config) *[]Endpoint) codec {
	const want = `"host:port", ":port", "[ipv6]:port" or "unix:/path", or an array of them`
	return list(field, want, "address", "addresses", maxEndpoints, parseEndpoint, Endpoint.String)
}

// hostNames returns the codec for a host name or an array of host names.
func hostNames(field func(*Config) *[]string) codec {
	const want = "a host name or an array of them"
	return list(field, want, "name", "names", maxHostNames, func(s string) (string, string) {
		if _, err := netip.ParseAddr(s); err == nil || !isHost(s) {
			return "", "a host name consists of letters, digits, '-', '_' and '.', and is not an IP address"
		}
		return strings.ToLower(strings.TrimSuffix(s, ".")), ""
	}, func(s string) string { return s })
}
