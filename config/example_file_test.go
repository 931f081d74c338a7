package config

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

const examplePath = "../portsyncd.conf.example"

// TestExampleFileIsDefault keeps code and example in step: a copied example
// changes nothing.
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

// TestExampleFileIsComplete wants every key exactly once, in the order of the
// schema, under a comment that states unit and range, and "Live" where it is.
func TestExampleFileIsComplete(t *testing.T) {
	var keys []string
	for key, comment := range exampleKeys(t) {
		keys = append(keys, key)
		s := settingOf(key)
		if s == nil {
			continue // the test above reports it
		}
		for _, word := range wantedWords(s) {
			if !strings.Contains(strings.ToLower(comment), strings.ToLower(word)) {
				t.Errorf("%s: the comment does not say %q:\n%s", key, word, comment)
			}
		}
		if says := strings.Contains(comment, "Live."); says != (s.apply&live != 0) {
			t.Errorf("%s: the comment says live: %v, the schema: %v", key, says, !says)
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

// wantedWords takes out of a setting's message what its comment must say too:
// the range, the unit in parentheses, the names of an enumeration.
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
