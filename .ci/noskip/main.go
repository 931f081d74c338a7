// Noskip reads the output of "go test -json". It fails if a test failed, or if a test was skipped
// and is not listed:
//
//	go test -json ./... | go run ./.ci/noskip .ci/skips
//
// It prints a line for each package, the output of each failed test, and the reason for each skip
// that is not allowed. A line in the list consists of a package, a test and a comment after "#". It
// is also an error if a listed test was not skipped.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// event is one line of "go test -json" (go doc cmd/test2json).
type event struct {
	Action, Package, Test, Output string
}

type test struct{ pkg, name string }

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go test -json ./... | noskip LIST")
		os.Exit(2)
	}
	allowed, err := readList(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "noskip: %v\n", err)
		os.Exit(2)
	}
	r := run{output: make(map[test][]string), skipped: make(map[test]bool)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			fmt.Println(lines.Text()) // a message from the go command
			r.failed = append(r.failed, "go test")
			continue
		}
		r.take(e)
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintf(os.Stderr, "noskip: %v\n", err)
		os.Exit(2)
	}
	if !r.report(allowed) {
		os.Exit(1)
	}
}

// readList reads the list of tests that may be skipped.
func readList(file string) (map[test]bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	allowed := make(map[test]bool)
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		switch words := strings.Fields(line); len(words) {
		case 0:
		case 2:
			allowed[test{words[0], words[1]}] = true
		default:
			return nil, fmt.Errorf("%s:%d: line must contain a package and a test", file, i+1)
		}
	}
	return allowed, nil
}

// run collects test results.
type run struct {
	output  map[test][]string
	skipped map[test]bool
	failed  []string
	passed  int
}

// skipInside matches a skip that is reported by a child process inside namespaces whose parent test
// passes.
var skipInside = regexp.MustCompile(`^\s+--- SKIP: (\S+)`)

func (r *run) take(e event) {
	t := test{e.Package, e.Test}
	switch e.Action {
	case "output", "build-output":
		r.output[t] = append(r.output[t], e.Output)
		if m := skipInside.FindStringSubmatch(e.Output); m != nil && m[1] != e.Test {
			inner := test{e.Package, m[1]}
			r.skipped[inner] = true
			r.output[inner] = append(r.output[inner], r.output[t]...)
		}
		if e.Test == "" && !strings.HasPrefix(e.Output, "PASS") && e.Output != "FAIL\n" {
			fmt.Print(e.Output) // "ok portsyncd/config 0.1s", or the reason for a missing result
		}
	case "pass":
		if e.Test != "" {
			r.passed++
			delete(r.output, t)
		}
	case "skip":
		if e.Test != "" {
			r.skipped[t] = true
		}
	case "fail", "build-fail":
		r.failed = append(r.failed, strings.TrimSpace(e.Package+" "+e.Test))
		fmt.Print(strings.Join(r.output[t], ""))
	}
}

// report prints the problems and reports whether there were none.
func (r *run) report(allowed map[test]bool) bool {
	var bad []string
	for t := range r.skipped {
		if !allowed[t] {
			bad = append(bad, fmt.Sprintf("%s %s was skipped:\n%s", t.pkg, t.name, strings.Join(r.output[t], "")))
		}
	}
	for t := range allowed {
		if !r.skipped[t] {
			bad = append(bad, fmt.Sprintf("%s %s is listed but was not skipped", t.pkg, t.name))
		}
	}
	for _, f := range r.failed {
		bad = append(bad, "failed: "+f)
	}
	slices.Sort(bad)
	for _, b := range bad {
		fmt.Println(b)
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped\n", r.passed, len(r.failed), len(r.skipped))
	return len(bad) == 0 && r.passed > 0
}
