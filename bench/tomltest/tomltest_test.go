// Package tomltest holds config/toml against the official TOML test suite,
// https://github.com/toml-lang/toml-test, in its list for TOML 1.0.0. The suite
// is a module of its own, which is why the test lives in the bench module: the
// daemon's own go.mod has no use for it.
package tomltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	suite "github.com/toml-lang/toml-test/v2"

	"portsyncd/config/toml"
)

// refusedList names the valid cases that config/toml refuses on purpose, each
// with the reason that it gives.
const refusedList = "testdata/refused.txt"

var update = flag.Bool("update", false, "rewrite "+refusedList)

// TestSuite requires that every invalid case is rejected, and that every valid
// one is either decoded to the tagged JSON that comes with it or stands on the
// checked-in list, refused as not supported and for nothing else.
func TestSuite(t *testing.T) {
	cases := suite.TestCases()
	listed := readRefused(t)
	refused := map[string]string{}
	var order []string
	var valid, invalid int
	for _, name := range caseNames(t, cases) {
		src := readCase(t, cases, name)
		doc, errs := toml.Parse(src)
		if strings.HasPrefix(name, "invalid/") {
			invalid++
			if len(errs) == 0 {
				t.Errorf("%s: accepted, want an error\n%s", name, src)
			} else if !aboutArrayOfTables(src) && !reportedAsWrong(errs) {
				t.Errorf("%s: called unsupported, want invalid: %v", name, errs[0])
			}
			continue
		}
		valid++
		if len(errs) > 0 {
			reason := unsupported(t, name, errs)
			refused[name] = reason
			order = append(order, name)
			if !*update && reason != listed[name] {
				t.Errorf("%s: refused with %q, the list says %q", name, reason, listed[name])
			}
			continue
		}
		var want any
		if err := json.Unmarshal(readCase(t, cases, strings.TrimSuffix(name, ".toml")+".json"), &want); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := tagged(doc.Root); !reflect.DeepEqual(got, normalFloats(want)) {
			t.Errorf("%s:\n got %v\nwant %v", name, got, want)
		}
	}
	for name := range listed {
		if _, ok := refused[name]; !ok && !*update {
			t.Errorf("%s: on the list of refused cases, but decoded", name)
		}
	}
	if *update {
		writeRefused(t, order, refused)
	}
	t.Logf("%d invalid cases rejected; of %d valid cases %d decoded, %d refused on purpose", invalid, valid, valid-len(refused), len(refused))
	if invalid < 400 || valid < 200 {
		t.Errorf("the suite has %d invalid and %d valid cases, expected more than 400 and 200: is the list read right?", invalid, valid)
	}
}

// caseNames reads the suite's list of the files that apply to TOML 1.0.0.
func caseNames(t *testing.T, cases fs.FS) []string {
	t.Helper()
	var names []string
	for line := range strings.Lines(string(readCase(t, cases, "files-toml-1.0.0"))) {
		if name := strings.TrimSpace(line); strings.HasSuffix(name, ".toml") {
			names = append(names, name)
		}
	}
	return names
}

func readCase(t *testing.T, cases fs.FS, name string) []byte {
	t.Helper()
	src, err := fs.ReadFile(cases, name)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// unsupported returns the distinct reasons of a refusal, and fails the test if
// one of them is not a refusal but a misreading.
func unsupported(t *testing.T, name string, errs []*toml.Error) string {
	t.Helper()
	var reasons []string
	seen := map[string]bool{}
	for _, err := range errs {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: valid, but reported as wrong: %v", name, err)
		}
		if !seen[err.Msg] {
			seen[err.Msg] = true
			reasons = append(reasons, err.Msg)
		}
	}
	return strings.Join(reasons, "; ")
}

// reportedAsWrong reports whether an error calls the file invalid, rather than
// valid and not supported.
func reportedAsWrong(errs []*toml.Error) bool {
	return slices.ContainsFunc(errs, func(err *toml.Error) bool {
		return !errors.Is(err, errors.ErrUnsupported)
	})
}

// aboutArrayOfTables reports whether a file has a [[header]]. What is wrong with
// it may then lie in what an array of tables would have meant.
func aboutArrayOfTables(src []byte) bool { return bytes.Contains(src, []byte("[[")) }

// tagged gives the suite's JSON form of a value. Floats are compared as numbers:
// the suite allows any spelling.
func tagged(data any) any {
	switch data := data.(type) {
	case *toml.Table:
		m := map[string]any{}
		for _, e := range data.Entries() {
			m[e.Key] = tagged(e.Value.Data)
		}
		return m
	case []toml.Value:
		list := []any{}
		for _, v := range data {
			list = append(list, tagged(v.Data))
		}
		return list
	case string:
		return tag("string", data)
	case int64:
		return tag("integer", strconv.FormatInt(data, 10))
	case float64:
		return tag("float", formatFloat(data))
	case bool:
		return tag("bool", strconv.FormatBool(data))
	}
	panic(fmt.Sprintf("no value in the tree, yet no error: %T", data))
}

func tag(kind, value string) any { return map[string]any{"type": kind, "value": value} }

func formatFloat(f float64) string {
	if math.IsNaN(f) {
		return "nan" // the suite does not tell their signs apart
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// normalFloats rewrites the floats of an expected JSON tree as formatFloat does.
func normalFloats(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if s, ok := v["value"].(string); ok && v["type"] == "float" && len(v) == 2 {
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				panic(err)
			}
			return tag("float", formatFloat(f))
		}
		for k := range v {
			v[k] = normalFloats(v[k])
		}
	case []any:
		for i := range v {
			v[i] = normalFloats(v[i])
		}
	}
	return v
}

func readRefused(t *testing.T) map[string]string {
	t.Helper()
	src, err := os.ReadFile(refusedList)
	if err != nil && !*update {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(string(src)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			listed[name] = reason
		}
	}
	return listed
}

func writeRefused(t *testing.T, order []string, refused map[string]string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Valid cases of toml-test v2.2.0 (TOML 1.0.0) that config/toml refuses on purpose,\n" +
		"# with the reason it gives. The package comment of config/toml says why each\n" +
		"# feature is left out. Rewrite with: go test ./tomltest -update\n")
	for _, name := range order {
		fmt.Fprintf(&b, "%s: %s\n", name, refused[name])
	}
	if err := os.WriteFile(refusedList, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
