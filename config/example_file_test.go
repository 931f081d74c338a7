package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const examplePath = "../portsyncd.conf.example"

// TestExampleFileIsDefault checks that the example file has the defaults of Default.
func TestExampleFileIsDefault(t *testing.T) {
	c, err := Load(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	c.origins = nil
	if want := Default(); !reflect.DeepEqual(c, want) {
		t.Errorf("the example differs from Default(): %v", want.Diff(c))
	}
}

// TestExampleFileIsComplete checks that the example contains each key once, in the order of the
// schema, with a comment that states unit and range, and "Live" if the setting takes effect at a
// reload.
func TestExampleFileIsComplete(t *testing.T) {
	var keys []string
	for key, comment := range exampleKeys(t) {
		keys = append(keys, key)
		s := settingOf(key)
		if s == nil {
			continue // reported by TestExampleFileIsDefault
		}
		for _, word := range wantedWords(s) {
			if !strings.Contains(strings.ToLower(comment), strings.ToLower(word)) {
				t.Errorf("%s: no %q in the comment:\n%s", key, word, comment)
			}
		}
		if isLive := strings.Contains(comment, "Live."); isLive != (s.apply&live != 0) {
			t.Errorf("%s: live in the comment: %v, in the schema: %v", key, isLive, !isLive)
		}
	}
	var want []string
	for i := range schema {
		want = append(want, schema[i].key)
	}
	if !reflect.DeepEqual(keys, want) {
		t.Errorf("keys of the example:\n got %v\nwant %v", keys, want)
	}
}

// exampleKeys yields each key of the example with the comment above it.
func exampleKeys(t *testing.T) func(yield func(key, comment string) bool) {
	t.Helper()
	src, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, string) bool) {
		table, comment := "", ""
		for line := range strings.Lines(string(src)) {
			line = strings.TrimSpace(line)
			name, _, isKey := strings.Cut(line, " = ")
			switch {
			case strings.HasPrefix(line, "#"):
				comment += strings.TrimPrefix(line, "#")
			case strings.HasPrefix(line, "["):
				table = strings.Trim(line, "[]")
			case isKey:
				if !yield(table+"."+name, comment) {
					return
				}
				comment = ""
			default:
				comment = ""
			}
		}
	}
}

// wantedWords returns the words that the comment of a setting must contain: the range, the unit and
// the names of an enumeration, as in its error message.
func wantedWords(s *setting) []string {
	words := regexp.MustCompile(`from \S+ to \d+|true or false|absolute path|SHA-256|at most \d+ bytes`).FindAllString(s.want, -1)
	for _, m := range regexp.MustCompile(`\((\w+)\)`).FindAllStringSubmatch(s.want, -1) {
		words = append(words, m[1])
	}
	for _, m := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(s.want, -1) {
		words = append(words, m[1])
	}
	return words
}
