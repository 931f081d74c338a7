// Package tomltest runs the official TOML test suite, https://github.com/toml-lang/toml-test, against
// config/toml, with its cases for TOML 1.0.0. The package is part of the bench module because the
// suite is a Go module, which the daemon's go.mod does not require.
package tomltest

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"math"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	suite "github.com/toml-lang/toml-test/v2"

	"portsyncd/config/toml"
)

// refusedList lists the valid cases that config/toml does not support, each with its first error.
const refusedList = "testdata/refused.txt"

var update = flag.Bool("update", false, "rewrite "+refusedList)

// TestSuite checks that each invalid case is an error, and that each valid case is either decoded to
// the JSON that comes with it or listed in refusedList with the first error of the parser.
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
			}
			continue
		}
		valid++
		if len(errs) > 0 {
			refused[name] = errs[0].Msg
			order = append(order, name)
			if !*update && errs[0].Msg != listed[name] {
				t.Errorf("%s: error %q, want %q from %s", name, errs[0].Msg, listed[name], refusedList)
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
			t.Errorf("%s: listed in %s, but decoded", name, refusedList)
		}
	}
	if *update {
		writeRefused(t, order, refused)
	}
	t.Logf("%d invalid cases rejected; of %d valid cases %d decoded, %d not supported", invalid, valid, valid-len(refused), len(refused))
	if invalid < 400 || valid < 200 {
		t.Errorf("found %d invalid and %d valid cases, want at least 400 and 200", invalid, valid)
	}
}

// caseNames returns the suite's files for TOML 1.0.0.
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

// tagged returns a value in the suite's JSON form. Floats are compared as numbers, since the suite
// allows any spelling.
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
		return "nan" // the suite ignores the sign of NaN
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
	b.WriteString("# Valid cases of toml-test v2.2.0 (TOML 1.0.0) that config/toml does not support, with\n" +
		"# the first error. The package comment of config/toml says why. Rewrite with:\n" +
		"# go test ./tomltest -update\n")
	for _, name := range order {
		fmt.Fprintf(&b, "%s: %s\n", name, refused[name])
	}
	if err := os.WriteFile(refusedList, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
