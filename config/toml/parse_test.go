package toml

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// plain converts a tree to maps and slices, for comparison.
func plain(data any) any {
	switch data := data.(type) {
	case *Table:
		m := map[string]any{}
		for _, e := range data.Entries() {
			m[e.Key] = plain(e.Value.Data)
		}
		return m
	case []Value:
		list := []any{}
		for _, v := range data {
			list = append(list, plain(v.Data))
		}
		return list
	}
	return data
}

type (
	m = map[string]any
	l = []any
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, src string
		want      m
	}{
		{"empty", "", m{}},
		{"byte order mark", "\uFEFFa = 1", m{"a": int64(1)}},
		{"blank lines, comments, CRLF", "\r\n# c\t\u00e9\r\n a = 1 # c\r\n\t\n", m{"a": int64(1)}},
		{"key forms", "a-b_1 = 1\n\"b c\" = 2\n'd.\"e' = 3\n\"\" = 4\n1234 = 5\ntrue = 6", m{"a-b_1": int64(1), "b c": int64(2), "d.\"e": int64(3), "": int64(4), "1234": int64(5), "true": int64(6)}},
		{"dotted keys", "a . 'b' .c = 1\na.d = 2", m{"a": m{"b": m{"c": int64(1)}, "d": int64(2)}}},
		{"headers", "[a.b]\nx = 1\n[a]\ny = 2\n[ c ]", m{"a": m{"b": m{"x": int64(1)}, "y": int64(2)}, "c": m{}}},
		{"header beside dotted keys", "[a]\nb.c = 1\n[a.b.d]\ne = 2", m{"a": m{"b": m{"c": int64(1), "d": m{"e": int64(2)}}}}},
		{"inline table", "a = { b = 1, c.d = [ {} ], e = {} }", m{"a": m{"b": int64(1), "c": m{"d": l{m{}}}, "e": m{}}}},
		{"array", "a = [ # c\n 1 , 'x',\n\n [[]], true, # c\n]", m{"a": l{int64(1), "x", l{l{}}, true}}},
		{"array of texts that look like keys", "a = [\n\"b\\\" = c\",\n'd=', ''\n, \"\"\"=\ne = 1\"\"\"]", m{"a": l{"b\" = c", "d=", "", "=\ne = 1"}}},
		{"integers", "a = [0, +1, -0, 1_000, 0xdead_BEEF, 0o17, 0b1_0, 9223372036854775807, -9223372036854775808]", m{"a": l{int64(0), int64(1), int64(0), int64(1000), int64(0xdeadbeef), int64(15), int64(2), int64(math.MaxInt64), int64(math.MinInt64)}}},
		{"floats", "a = [1.0, -0.5, 1e3, 1_0.2_5E-0_1, inf, +inf, -inf]", m{"a": l{1.0, -0.5, 1000.0, 1.025, math.Inf(1), math.Inf(1), math.Inf(-1)}}},
		{"booleans", "a = [true, false]", m{"a": l{true, false}}},
		{"basic string", `a = "\b\t\n\f\r\"\\\u00e9\U0001F600 é"`, m{"a": "\b\t\n\f\r\"\\é😀 é"}},
		{"escape before a digit", `a = "\u00e9a\U0010FFFFf"`, m{"a": "éa\U0010FFFFf"}},
		{"literal string", `a = '\n"'`, m{"a": `\n"`}},
		{"multi-line basic", "a = \"\"\"\nx\ty\\\n   \\t\\ \t\n \n  z\r\n\"\"\"", m{"a": "x\ty\tz\r\n"}},
		{"multi-line literal", "a = '''\r\nx\\\n'y'''", m{"a": "x\\\n'y"}},
		{"quotes before the end", `a = """"x"""""`, m{"a": `"x""`}},
		{"empty strings", "a = ['', \"\", '''''', \"\"\"\"\"\"]", m{"a": l{"", "", "", ""}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, errs := Parse([]byte(tt.src))
			if errs != nil {
				t.Fatalf("Parse(%q): %v", tt.src, errs)
			}
			if got := plain(doc.Root); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("Parse(%q)\n got %v\nwant %v", tt.src, got, tt.want)
			}
		})
	}
}

func TestParseNaN(t *testing.T) {
	doc, errs := Parse([]byte("a = [nan, +nan, -nan]"))
	if errs != nil {
		t.Fatal(errs)
	}
	for _, v := range doc.Root.Lookup("a").Value.Data.([]Value) {
		if f, ok := v.Data.(float64); !ok || !math.IsNaN(f) {
			t.Errorf("got %v, want NaN", v.Data)
		}
	}
}

// TestParseErrors checks the text and position of each error message, and that one mistake is not
// reported twice. The expected errors are joined by line ends.
func TestParseErrors(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"no key", "= 1", `1:1: expected a key, got '='`},
		{"no equals sign", "a 1", `1:3: a: expected '=' after the key, got '1'`},
		{"no equals sign on the line", "a\n= 1", "1:2: a: expected '=' after the key, got the end of the line\n2:1: expected a key, got '='"},
		{"no value", "a = # c", `1:5: a: expected a value, got '#'`},
		{"no value at the end", "a =", `1:4: a: expected a value, got the end of the file`},
		{"two values", "a = 1 2", `1:7: a: expected the end of the line, got '2'`},
		{"two keys", "a = 1, b = 2", `1:6: a: expected the end of the line, got ','`},
		{"empty part of a key", "a..b = 1", `1:3: expected a key, got '.'`},
		{"key that is not bare", "ä = 1", `1:1: expected a key, got 'ä'`},
		{"multi-line key", `"""a""" = 1`, `1:1: a multi-line string cannot be a key`},

		{"open header", "[a\nb = 1", `1:3: a: expected ']' after the table name, got the end of the line`},
		{"empty header", "[]", `1:2: expected a key, got ']'`},
		{"text after a header", "[a] b", `1:5: a: expected the end of the line, got 'b'`},
		{"open array of tables", "[[a]", `1:4: a: expected ']]' after the table name, got ']'`},
		{"array of tables", "[[a]]\nb = 1\n[[a]]\n[a.c]\nd = 1", "1:1: a: arrays of tables are not supported\n3:1: a: arrays of tables are not supported"},
		{"header twice", "[a]\nb = 1\n[a]\nb = 2", `3:2: a: table is already defined on line 1`},
		{"header after its sub-table", "[a.b]\n[a]\n[a]", `3:2: a: table is already defined on line 2`},
		{"header of a value", "a = 1\n[a.b]\nc = 1", `2:2: a.b: a is not a table: line 1 sets it to an integer`},
		{"header of an inline table", "a = {b = {}}\n[a.b]", `2:2: a.b: the inline table a on line 1 cannot be extended`},
		{"header of dotted keys", "a.b = 1\n[a]", `2:2: a: table is already defined on line 1`},
		{"header of a bad value", "a = x\n[a]\nb = 1", `1:5: a: expected a value, got x; a string needs quotes, as in "x"`},

		{"key twice", "a = 1\na = 2\n", `2:1: a: key is already set on line 1`},
		{"key twice, badly", "a = x\na = 2\n", "1:5: a: expected a value, got x; a string needs quotes, as in \"x\"\n2:1: a: key is already set on line 1"},
		{"key twice in quotes", "[t]\na = 1\n'a' = 2\n", `3:1: t.a: key is already set on line 2`},
		{"key of a value", "a = ''\na.b = 2", `2:1: a.b: a is not a table: line 1 sets it to a string`},
		{"key of a header", "[a.b.c]\n[a]\nb.c.d = 2", `3:3: a.b.c.d: a dotted key cannot extend the table c defined on line 1`},
		{"key of an inline table", "a.b = {}\na.b.c = 2", `2:3: a.b.c: the inline table b on line 1 cannot be extended`},
		{"key twice in an inline table", "a = {b = 1, b = 2}", `1:13: a.b: key is already set on line 1`},

		{"array without commas", "a = ['b' 'c']\nd = x", "1:10: a: expected ',' or ']' in an array, got '\\''\n2:5: d: expected a value, got x; a string needs quotes, as in \"x\""},
		{"array with two commas", "a = [1,,2]", `1:8: a: expected a value or ']' in an array, got ','`},
		{"text after an array", "a = [1] x\n= 1", "1:9: a: expected the end of the line, got 'x'\n2:1: expected a key, got '='"},
		{"array of bad values", "a = [x, 1,\n 01]", "1:6: a: expected a value, got x; a string needs quotes, as in \"x\"\n2:2: a: invalid number \"01\": leading zeros are not allowed"},
		{"open array at the end", "a = [1,\n2", `2:2: a: expected ',' or ']' in an array, got the end of the file`},
		{"open array before a key", "a = [1,\nb = x", "1:5: a: array is not closed, expected ']' before the key on line 2\n2:5: b: expected a value, got x; a string needs quotes, as in \"x\""},
		{"open array before a header", "a = [\n'b=c', # d\n[e]\nf = x", "1:5: a: array is not closed, expected ']' before the key on line 4\n4:5: e.f: expected a value, got x; a string needs quotes, as in \"x\""},
		{"broken array, goes on after the bracket", "a = [\n 'b\n 'c',\n]\nd = x", "2:2: a: string is not closed on its line, expected '\n5:5: d: expected a value, got x; a string needs quotes, as in \"x\""},
		{"open array after its last value", "a = [\n 'b',\n 'c'\nd.e = x", "1:5: a: array is not closed, expected ']' before the key on line 4\n4:7: d.e: expected a value, got x; a string needs quotes, as in \"x\""},
		{"broken array, goes on at a key", "a = [\n 'b' 'c',\n 'd'\ne.f = x", "2:6: a: expected ',' or ']' in an array, got '\\''\n4:7: e.f: expected a value, got x; a string needs quotes, as in \"x\""},
		{"broken array, goes on at a header", "a = [\n 'b' 'c',\n[d]\ne = x", "2:6: a: expected ',' or ']' in an array, got '\\''\n4:5: d.e: expected a value, got x; a string needs quotes, as in \"x\""},
		{"inline table with a trailing comma", "a = {b = 1,}", `1:12: a: expected a key, got '}'`},
		{"inline table on several lines", "a = { # c\n b = 1,\n c = x,\n}\nd = x", "1:7: a: expected the end of the inline table on its line, got '#'\n3:6: a.c: expected a value, got x; a string needs quotes, as in \"x\"\n5:5: d: expected a value, got x; a string needs quotes, as in \"x\""},
		{"open inline table", "a = {b = 1\nc = x", "1:11: a: expected the end of the inline table on its line, got the end of the line\n2:5: c: expected a value, got x; a string needs quotes, as in \"x\""},
		{"inline table without commas", "a = {b = 1 c = 2}", `1:12: a: expected ',' or '}' in an inline table, got 'c'`},

		{"boolean in capitals", "a = True", `1:5: a: expected a value, got True; a boolean is written true`},
		{"string without quotes", "a = /x/y", `1:5: a: expected a value, got /x/y; a string needs quotes, as in "/x/y"`},
		{"two signs", "a = +-1", `1:5: a: invalid number "+-1": more than one sign`},
		{"sign alone", "a = -", `1:5: a: invalid number "-": no digits`},
		{"leading zero", "a = -01", `1:5: a: invalid number "-01": leading zeros are not allowed`},
		{"underscore", "a = 1__0", `1:5: a: invalid number "1__0": expected digits, with underscores only between them`},
		{"unit", "a = 10s", `1:5: a: invalid number "10s": expected digits, with underscores only between them`},
		{"overflow", "a = 9223372036854775808", `1:5: a: integer 9223372036854775808 does not fit into 64 bits`},
		{"overflow of hexadecimal", "a = 0x8000000000000000", `1:5: a: integer 0x8000000000000000 does not fit into 64 bits`},
		{"sign of hexadecimal", "a = +0x1", `1:5: a: invalid integer "+0x1": no sign is allowed before 0x`},
		{"digit of octal", "a = 0o8", `1:5: a: invalid integer "0o8": expected digits of base 8, with underscores only between them`},
		{"capital base", "a = 0B1", `1:5: a: invalid number "0B1": expected digits, with underscores only between them`},
		{"point without fraction", "a = 1.", `1:5: a: invalid float "1.": expected digits after the point, with underscores only between them`},
		{"point without number", "a = .5", `1:5: a: invalid number ".5": expected digits, with underscores only between them`},
		{"exponent", "a = 1e", `1:5: a: invalid float "1e": expected digits in the exponent, with underscores only between them`},
		{"underscore at the end", "a = 1_", `1:5: a: invalid number "1_": expected digits, with underscores only between them`},
		{"float overflow", "a = 1e999", `1:5: a: float 1e999 does not fit into 64 bits`},
		{"date", "a = 2026-02-28", `1:5: a: expected a string, number, boolean or array, got a date or time`},
		{"date and comment", "a = 2026-02-28 # c", `1:5: a: expected a string, number, boolean or array, got a date or time`},
		{"date and time", "a = [2026-02-28T23:59:60.5+23:59, 07:32:00]", "1:6: a: expected a string, number, boolean or array, got a date or time\n1:35: a: expected a string, number, boolean or array, got a date or time"},
		{"start of a date", "a = 2026-", `1:5: a: expected a string, number, boolean or array, got a date or time`},
		{"start of a time", "a = 07:", `1:5: a: expected a string, number, boolean or array, got a date or time`},
		{"number with a minus sign", "a = 202-6", `1:5: a: invalid number "202-6": expected digits, with underscores only between them`},

		{"open string", "a = \"b\nc = 'd", "1:5: a: string is not closed on its line, expected \"\n2:5: c: string is not closed on its line, expected '"},
		{"open multi-line string", "a = '''b\nc = 1\n", `1:5: a: multi-line string is not closed, expected '''`},
		{"escapes, one report per string", `a = ["\q", "\e\x41"]`, "1:7: a: \\q is not an escape; expected one of \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX\n1:13: a: \\e is not an escape; expected one of \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX \\UXXXXXXXX"},
		{"escape without digits", `a = "\u12"`, `1:6: a: expected 4 hexadecimal digits in a \u or \U escape, got 2`},
		{"escape without digits at the end", `a = "\u12`, "1:5: a: string is not closed on its line, expected \"\n1:6: a: expected 4 hexadecimal digits in a \\u or \\U escape, got 2"},
		{"six quotes at the end", `a = """x""""""`, `1:14: a: expected the end of the line, got '"'`},
		{"escape of a surrogate", `a = "\ud800"`, `1:6: a: U+D800 is not a Unicode scalar value`},
		{"escape beyond Unicode", `a = "\U00110000"`, `1:6: a: U+00110000 is not a Unicode scalar value`},
		{"backslash at the end of a line", "a = \"b\\\n", "1:5: a: string is not closed on its line, expected \"\n1:7: a: \\ at the end of the line is only allowed in a multi-line string"},
		{"control character in a string", "a = 'b\x01'", `1:7: a: control character U+0001 in a string`},
		{"control character in a comment", "# \x7f \x00\na = x", "1:3: control character U+007F in a comment\n2:5: a: expected a value, got x; a string needs quotes, as in \"x\""},
		{"bare carriage return", "a = 1\rb = 2\n", `1:6: a: expected the end of the line, got carriage return without line feed`},
		{"bare carriage return at the end", "a = 1\r", `1:6: a: expected the end of the line, got carriage return without line feed`},
		{"not UTF-8, the least byte", "a = '\x80'\n", `1:6: a: invalid UTF-8 byte 0x80 in a string`},
		{"not UTF-8 in a comment", "# f\xfcr\n", `1:4: invalid UTF-8 byte 0xFC in a comment`},
		{"not UTF-8 in a string", "a = 'f\xfcr'\n", `1:7: a: invalid UTF-8 byte 0xFC in a string`},
		{"not UTF-8 elsewhere", "a = 1\xfc\n", `1:6: a: expected the end of the line, got invalid UTF-8 byte 0xFC`},
		{"UTF-16", "\xff\xfea\x00", `1:1: file is in UTF-16, expected UTF-8`},
		{"columns count characters", "\uFEFFü", `1:1: expected a key, got 'ü'`},
		{"columns count characters, in a value", "a = ['\U0001F600é', x]", `1:12: a: expected a value, got x; a string needs quotes, as in "x"`},
		{"long text is cut", "a = " + strings.Repeat("x", 100), `1:5: a: expected a value, got ` + strings.Repeat("x", 60) + `...; a string needs quotes, as in "` + strings.Repeat("x", 60) + `..."`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, errs := Parse([]byte(tt.src))
			var lines []string
			for _, err := range errs {
				lines = append(lines, err.Error())
			}
			if got := strings.Join(lines, "\n"); got != tt.want {
				t.Errorf("Parse(%q)\n got %s\nwant %s", tt.src, got, tt.want)
			}
		})
	}
}

// TestBadValueIsPresent checks that a key with an invalid value is in the tree, without data.
func TestBadValueIsPresent(t *testing.T) {
	doc, errs := Parse([]byte("a = [1, x]\nb = 'open\nc = 1"))
	if len(errs) != 2 || doc.Root.Lookup("a").Value.Data != nil || doc.Root.Lookup("b").Value.Data != nil || doc.Root.Lookup("c").Value.Data != int64(1) {
		t.Errorf("tree %v, errors %v", plain(doc.Root), errs)
	}
}

// TestArrayOfTablesIsPresent checks that the name of an array of tables is in the tree, so that the
// header of a sub-table is not a second error.
func TestArrayOfTablesIsPresent(t *testing.T) {
	doc, errs := Parse([]byte("[[a.b]]\nx = 1\n[a.c]\nd = 1\n[a.b.e]\nf = 1"))
	want := m{"a": m{"b": nil, "c": m{"d": int64(1)}}}
	if got := plain(doc.Root); len(errs) != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("tree %v, errors %v, want %v and one error", got, errs, want)
	}
}

// TestQuotes checks that Error.Quotes is set for errors that repeat the text of the value, which
// may be a secret, and for no others.
func TestQuotes(t *testing.T) {
	_, errs := Parse([]byte("a = x\nb = 1_\nc = 1 2"))
	if len(errs) != 3 || !errs[0].Quotes || !errs[1].Quotes || errs[2].Quotes {
		t.Errorf("%v", errs)
	}
	_, errs = Parse([]byte(strings.Repeat("=\n", MaxErrors-1) + "a = { # \x01\nb = x }\n"))
	if len(errs) != MaxErrors+1 || errs[MaxErrors].Quotes {
		t.Errorf("%d errors, the last is %+v", len(errs), *errs[len(errs)-1])
	}
}

// TestSizeLimit checks that a file of MaxSize bytes is read and a file of one more byte is not.
func TestSizeLimit(t *testing.T) {
	src := "a = 1 #" + strings.Repeat("x", MaxSize)
	if doc, errs := Parse([]byte(src[:MaxSize])); errs != nil || doc.Root.Lookup("a") == nil {
		t.Errorf("of %d bytes: %v", MaxSize, errs)
	}
	if _, errs := Parse([]byte(src[:MaxSize+1])); len(errs) != 1 || errs[0].Msg != "file is larger than 1048576 bytes" {
		t.Errorf("of %d bytes: %v", MaxSize+1, errs)
	}
}

// TestCharacters checks for each byte whether it may be part of a bare key and whether it is a
// hexadecimal digit.
func TestCharacters(t *testing.T) {
	const hex = "0123456789abcdefABCDEF"
	const bare = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	for i := range 256 {
		c := byte(i)
		if got, want := isBare(c), strings.IndexByte(bare, c) >= 0; got != want {
			t.Errorf("%q in a bare key: %v", c, got)
		}
		if got, want := isHexDigit(c), strings.IndexByte(hex, c) >= 0; got != want {
			t.Errorf("%q as a hexadecimal digit: %v", c, got)
		}
	}
}

func TestNestingLimit(t *testing.T) {
	f := func(valid bool, src string) {
		t.Helper()
		_, errs := Parse([]byte(src))
		if valid && errs != nil {
			t.Errorf("%.20q: %v", src, errs[0])
		}
		if !valid && (len(errs) != 1 || errs[0].Msg != "nested deeper than 128 levels") {
			t.Errorf("%.20q: %v, want one error about the nesting", src, errs)
		}
	}
	nest := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	keys := func(n int) string { return "a" + strings.Repeat(".a", n-1) }
	inline := func(n int) string { return strings.Repeat("{a=", n) + "1" + strings.Repeat("}", n) }
	f(true, "a = "+nest(MaxDepth-1))
	f(false, "a = "+nest(MaxDepth))
	f(true, "["+keys(MaxDepth)+"]")
	f(false, "["+keys(MaxDepth+1)+"]")
	f(true, keys(MaxDepth)+" = 1")
	f(false, keys(MaxDepth+1)+" = 1")
	f(true, "a = "+inline(MaxDepth/2-1))
	f(false, "a = "+inline(MaxDepth))
	f(false, "a = "+nest(MaxSize/2-100))
	empty := func(n int) string { return strings.Repeat("{a=", n) + "{}" + strings.Repeat("}", n) }
	f(true, "a = ["+empty(MaxDepth/2-2)+"]")
	f(false, "a = ["+empty(MaxDepth/2-1)+"]")
}

// TestHostileFiles checks that files of MaxSize bytes are read in seconds. They would take minutes
// if the parser took quadratic time.
func TestHostileFiles(t *testing.T) {
	fill := func(first, unit, last string) string {
		return first + strings.Repeat(unit, (MaxSize-len(first)-len(last))/len(unit)) + last
	}
	var distinct, headers strings.Builder
	for i := 0; distinct.Len() < MaxSize-100; i++ {
		fmt.Fprintf(&distinct, "k%d.x=1,", i)
	}
	for i := 0; headers.Len() < MaxSize-100; i++ {
		fmt.Fprintf(&headers, "[a.k%d]\n", i)
	}
	start := time.Now()
	for name, src := range map[string]string{
		"duplicates in an inline table": fill("a={", "b=1,", "b=1}"),
		"bad elements in an array":      fill("a=[", "x,", "]"),
		"bad escapes in strings":        fill("a=[", `"\q",`, "]"),
		"bad escapes in one string":     fill(`a="`, `\q`, `"`),
		"bad headers":                   fill("", "[\n", ""),
		"arrays left open":              fill("", "a=[[[\n", ""),
		"strings left open":             fill("", "a='''\n", ""),
		"one long key":                  fill("", "a", "=1"),
		"one long bad value":            fill("a=", "x", ""),
		"one long number":               fill("a=", "1", ""),
		"backslashes":                   fill(`a="""`, "\\\n", `"""`),
		"quotes":                        fill(`a="""`, `""`+"\n", `"""`),
		"distinct keys":                 "a={" + distinct.String() + "b=1}",
		"distinct tables":               headers.String(),
		"blank lines after open array":  fill("a=['b' 'c'", "\n", ""),
		"equals signs after open array": fill("a=['b' 'c'\n", "a[", "="),
	} {
		before := time.Now()
		_, errs := Parse([]byte(src))
		if len(errs) > MaxErrors+1 {
			t.Errorf("%s: %d errors", name, len(errs))
		}
		if took := time.Since(before); took > 10*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
	t.Logf("all together: %v", time.Since(start))
}

func TestTooManyErrors(t *testing.T) {
	_, errs := Parse([]byte(strings.Repeat("=\n", 1000)))
	if len(errs) != MaxErrors+1 || errs[MaxErrors].Error() != "51:1: too many errors; the rest of the file was not read" {
		t.Errorf("%d errors, the last is %v", len(errs), errs[len(errs)-1])
	}
	if _, errs = Parse([]byte(strings.Repeat("=\n", MaxErrors))); len(errs) != MaxErrors {
		t.Errorf("%d errors, want %d without the one about more errors", len(errs), MaxErrors)
	}
}

// TestQuote checks the output of Quote, and that Parse reads the same string back.
func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":              `""`,
		" a ~":          `" a ~"`,
		"\"\\\n\t":      `"\"\\\n\t"`,
		"\x00\x1f\x7fé": `"\u0000\u001F\u007Fé"`,
	} {
		if got := Quote(s); got != want {
			t.Errorf("Quote(%q) = %s, want %s", s, got, want)
		}
		if doc, errs := Parse([]byte("a = " + want)); errs != nil || doc.Root.Lookup("a").Value.Data != s {
			t.Errorf("%s is read as %v, errors %v", want, plain(doc.Root), errs)
		}
	}
}

func TestFormatKey(t *testing.T) {
	f := func(want string, path ...string) {
		t.Helper()
		if got := FormatKey(path...); got != want {
			t.Errorf("FormatKey(%q) = %s, want %s", path, got, want)
		}
	}
	f("")
	f("a.b-c", "a", "b-c")
	f(`a.""."b.c"."\n"`, "a", "", "b.c", "\n")
	f(strings.Repeat("a", 60)+"...", strings.Repeat("a", 61))
	f(strings.Repeat("aaaa.", 40)+"aaaa...", slicesOf("aaaa", 128)...)
	f("aaaaa."+strings.Repeat("aaaa.", 39)+"aaaa...", append([]string{"aaaaa"}, slicesOf("aaaa", 128)...)...) // exactly 200 characters before the last part
}

func slicesOf(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}
