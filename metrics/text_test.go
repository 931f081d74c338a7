package metrics

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestAppendLabelValue checks the escaping of label values.
func TestAppendLabelValue(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(appendLabelValue(nil, in)); got != want {
			t.Errorf("label value %q is written %q, want %q", in, got, want)
		}
	}
	f("", "")
	f("Ethernet0", "Ethernet0")
	f(`\`, `\\`)
	f(`"`, `\"`)
	f("\n", `\n`)
	f(`\n`, `\\n`)
	f("\"\\\n", `\"\\\n`)
	f("tab\tand\rreturn", "tab\tand\rreturn")
	f("Größe {}=,#", "Größe {}=,#")
	f("\x00\x7f", "\x00\x7f")
}

// TestAppendHelp checks the escaping of help texts.
func TestAppendHelp(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := string(appendHelp(nil, in)); got != want {
			t.Errorf("help %q is written %q, want %q", in, got, want)
		}
	}
	f(`a "quoted" word`, `a "quoted" word`)
	f("two\nlines", `two\nlines`)
	f(`C:\`, `C:\\`)
}

// TestValidText checks the replacement of invalid UTF-8 and unprintable characters.
func TestValidText(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := validText(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	f("Größe", "Größe")
	f("\uffff\U000e0001", `\uffff\U000e0001`)
	f("\xff", `\xff`)
	f("a\xc3", `a\xc3`)
	f("\xe2\x82x", `\xe2\x82x`)
	f("\ufffd", "\ufffd") // the replacement character itself is valid
}

// TestAppendFloat checks the text of floats.
func TestAppendFloat(t *testing.T) {
	f := func(v float64, want string) {
		t.Helper()
		if got := string(appendFloat(nil, v)); got != want {
			t.Errorf("%v is written %q, want %q", v, got, want)
		}
	}
	f(0, "0")
	f(math.Copysign(0, -1), "0")
	f(1, "1")
	f(-9100, "-9100")
	f(1e6, "1000000")
	f(0.1, "0.1")
	f(0.00005, "5e-05")
	f(1700000000.123, "1.700000000123e+09")
	f(1e15-1, "999999999999999")
	f(1e15, "1e+15")
	f(-1e15, "-1e+15")
	f(math.MaxUint64, "1.8446744073709552e+19")
	f(math.MaxFloat64, "1.7976931348623157e+308")
	f(math.SmallestNonzeroFloat64, "5e-324")
	f(math.NaN(), "NaN")
	f(math.Inf(1), "+Inf")
	f(math.Inf(-1), "-Inf")
}

// FuzzAppendFloat checks that the text of any float parses back to the float, and that its JSON is
// valid.
func FuzzAppendFloat(f *testing.F) {
	for _, v := range []float64{0, 0.1, 1e15, 1e15 - 1, 1e300, math.Inf(-1), math.NaN()} {
		f.Add(math.Float64bits(v))
	}
	f.Fuzz(func(t *testing.T, bits uint64) {
		v := math.Float64frombits(bits)
		text := string(appendFloat(nil, v))
		back, err := strconv.ParseFloat(text, 64)
		if err != nil || back != v && !(math.IsNaN(back) && math.IsNaN(v)) {
			t.Errorf("%v written as %q, which parses to %v, %v", v, text, back, err)
		}
		var inJSON any
		if err := json.Unmarshal(appendJSONFloat(nil, v), &inJSON); err != nil {
			t.Errorf("%v in JSON: %v", v, err)
		}
	})
}

// unescape is the inverse of appendLabelValue, by the grammar in exposition_formats.md.
func unescape(s string) (string, bool) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"' || s[i] == '\n':
			return "", false
		case s[i] != '\\':
			out.WriteByte(s[i])
		case i+1 == len(s):
			return "", false
		default:
			i++
			switch s[i] {
			case 'n':
				out.WriteByte('\n')
			case '\\', '"':
				out.WriteByte(s[i])
			default:
				return "", false
			}
		}
	}
	return out.String(), true
}

// FuzzLabelValue checks for any port name that the text is valid UTF-8, that the name is on one
// line without unprintable characters, and that text and JSON parse to the same name. A printable
// name does not change.
func FuzzLabelValue(f *testing.F) {
	for _, v := range []string{"Ethernet0", `\`, `"`, "\n", "\x00", "\x1b[31m", "\u009b\u202e\U000e0001", "\xff\xfe", "a\"} 1\nfake{b=\"", "日本"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, name string) {
		set := NewSet()
		group := set.NewGroup("port")
		group.NewIntGauge("x", "help")
		group.Add(name)

		text := string(set.AppendText(nil))
		if !utf8.ValidString(text) {
			t.Fatalf("text is not UTF-8: %q", text)
		}
		const before, after = "# HELP x help\n# TYPE x gauge\nx{port=\"", "\"} 0\n"
		if !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
			t.Fatalf("unexpected text %q", text)
		}
		shown, ok := unescape(text[len(before) : len(text)-len(after)])
		if !ok {
			t.Fatalf("label value does not parse: %q", text)
		}
		if i := strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) && r != '\n' }); i >= 0 {
			t.Fatalf("unprintable character in %q", text)
		}
		if validText(name) == name && shown != name {
			t.Fatalf("name %q reads back as %q", name, shown)
		}

		var doc struct {
			Families []struct {
				Samples []struct{ Labels map[string]string }
			}
		}
		if err := json.Unmarshal(set.AppendJSON(nil), &doc); err != nil {
			t.Fatal(err)
		}
		if got := doc.Families[0].Samples[0].Labels["port"]; got != shown {
			t.Fatalf("JSON has %q, text has %q", got, shown)
		}
	})
}
