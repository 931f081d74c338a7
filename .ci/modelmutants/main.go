// Command modelmutants changes the daemon in one place at a time (a mutant) and checks whether
// TestModel detects it. Run it in the root of the repository:
//
//	go run ./.ci/modelmutants [-sequences 24] [-seed 1] [-jobs 2] [-only REGEXP]
//
// The mutants are the removal of each statement that publishes something about the daemon, and
// the changes listed in changes.txt. It prints one line for each mutant: the first sequence that
// detected it, "faults" if only TestModelFaults detected it, or "LIVES".
package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mutant is a change to one line of a file.
type mutant struct {
	file     string
	line     int // 1-based
	was, now string
}

func (m mutant) String() string {
	return fmt.Sprintf("%s:%d: %s -> %s", m.file, m.line, strings.TrimSpace(m.was), cmp.Or(strings.TrimSpace(m.now), "nothing"))
}

// touching matches a statement that marks a port for publication.
var touching = regexp.MustCompile(`^\t+\w+(\.state)?\.touch(Name)?\(`)

// publishing matches, for each file, the statements that publish something.
var publishing = map[string]*regexp.Regexp{
	"portsync/report.go":     regexp.MustCompile(`^\t+(changed :?= )?(setNumber|setFlag|s\.\w+\.Store|s\.wake|l\.shown\.publishPorts|port\.view\.publish|port\.series\.update)\(`),
	"portsync/ports.go":      regexp.MustCompile(`^\t+l\.list\.Store\(`),
	"portsync/portview.go":   regexp.MustCompile(`^\t+(setNumber|setFlag)\(`),
	"portsync/portseries.go": regexp.MustCompile(`^\t+s\.set\[`),
	"portsync/loop.go":       regexp.MustCompile(`^\t+l\.publishStatus\(\)$`),
	"portsync/state.go":      touching,
	"portsync/lack.go":       touching,
	"portsync/port.go":       touching,
	"portsync/handover.go":   touching,
	"portsync/initial.go":    touching,
	"portsync/answers.go":    touching,
}

// removals returns a mutant for each statement matched by publishing.
func removals() (all []mutant, err error) {
	for file, pattern := range publishing {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if !pattern.MatchString(line) || strings.HasSuffix(line, "{") {
				continue
			}
			now := ""
			switch {
			case strings.Contains(line, "changed := "):
				now = "\tchanged := false"
			case strings.Contains(line, "math."): // the import must be used
				now = "\t_ = math.Float64bits"
			}
			all = append(all, mutant{file, i + 1, line, now})
		}
	}
	slices.SortFunc(all, func(a, b mutant) int { return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line)) })
	return all, nil
}

// changes are other mutants, three lines each: the file, "- " and a line of it, "+ " and its
// replacement. Blank lines separate them.
//
//go:embed changes.txt
var changes string

// listed returns the mutants of changes.txt. Each line has to be in its file once.
func listed() (all []mutant, err error) {
	for block := range strings.SplitSeq(strings.TrimSpace(changes), "\n\n") {
		lines := strings.Split(block, "\n")
		if len(lines) != 3 {
			return nil, fmt.Errorf("changes.txt: block must have three lines: %q", block)
		}
		file, was, now := lines[0], strings.TrimPrefix(lines[1], "- "), strings.TrimSpace(strings.TrimPrefix(lines[2], "+"))
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		found := 0
		for i, line := range strings.Split(string(text), "\n") {
			if strings.TrimSpace(line) == was {
				found++
				all = append(all, mutant{file, i + 1, line, now})
			}
		}
		if found != 1 {
			return nil, fmt.Errorf("changes.txt: %s contains %q %d times, must be once", file, was, found)
		}
	}
	return all, nil
}

// build builds the daemon with the mutant applied.
func (m mutant) build(dir string) (binary string, err error) {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return "", err
	}
	lines := strings.Split(string(text), "\n")
	lines[m.line-1] = m.now
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	here, err := filepath.Abs(m.file)
	if err != nil {
		return "", err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{here: changed}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(changed, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, replace, 0o644); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "portsyncd")
	cmd := exec.Command("go", "build", "-buildvcs=false", "-overlay", overlay, "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return binary, nil
}

var failing = regexp.MustCompile(`--- FAIL: TestModel/\S*/seed_(\d+)`)

// byFaults is the result of a mutant that no random sequence detected, but TestModelFaults.
const byFaults = -1

// try plays sequences on a mutant and returns which of them failed first, from 1. If none did, try
// runs TestModelFaults and returns byFaults if that fails, or 0.
func (m mutant) try(test string, seed, sequences int) (first int, err error) {
	dir, err := os.MkdirTemp("", "modelmutants")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		return 0, err
	}
	binary, err := m.build(dir)
	if err != nil {
		return 0, fmt.Errorf("build mutant %v: %w", m, err)
	}
	play := func(name string) ([]byte, error) {
		cmd := exec.Command(test, "-test.run", "^"+name+"$", "-test.short", "-test.failfast", "-test.parallel", "1", "-test.v")
		cmd.Env = append(os.Environ(), "PORTSYNCD_TEST_BINARY="+binary, "PORTSYNCD_REQUIRE_INTEGRATION=1",
			"PORTSYNCD_MODEL_SEED="+strconv.Itoa(seed), "PORTSYNCD_MODEL_SEQUENCES="+strconv.Itoa(sequences))
		return cmd.CombinedOutput()
	}
	out, err := play("TestModel")
	if err == nil {
		if _, err := play("TestModelFaults"); err != nil {
			return byFaults, nil
		}
		return 0, nil
	}
	for _, found := range failing.FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(found[1]))
		if n = n - seed + 1; first == 0 || n < first {
			first = n
		}
	}
	if first == 0 {
		return 0, fmt.Errorf("test failed, but all of its sequences passed: %w: %s", err, out[max(0, len(out)-2000):])
	}
	return first, nil
}

func main() {
	sequences, seed := flag.Int("sequences", 24, "number of sequences per mutant"), flag.Int("seed", 1, "seed of the first sequence")
	jobs, only := flag.Int("jobs", 2, "number of mutants tested at a time"), flag.String("only", "", "test only mutants that match this regular expression")
	list := flag.Bool("list", false, "list the mutants without testing them")
	flag.Parse()
	all, err := removals()
	more, err2 := listed()
	if err != nil || err2 != nil {
		log.Fatal(cmp.Or(err, err2))
	}
	wanted := regexp.MustCompile(*only)
	all = slices.DeleteFunc(append(all, more...), func(m mutant) bool { return !wanted.MatchString(m.String()) })
	if *list {
		for _, m := range all {
			fmt.Println(m)
		}
		return
	}
	dir, err := os.MkdirTemp("", "modelmutants")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	test := filepath.Join(dir, "test")
	if out, err := exec.Command("go", "test", "-c", "-o", test, "./integration/model").CombinedOutput(); err != nil {
		log.Fatalf("build test: %v: %s", err, out)
	}
	run(all, test, *seed, *sequences, *jobs)
}

// run tests the mutants, jobs at a time, and prints the results.
func run(all []mutant, test string, seed, sequences, jobs int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	caught, lives, broken, last := 0, 0, 0, 0
	slots := make(chan struct{}, jobs)
	for _, m := range all {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			first, err := m.try(test, seed, sequences)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				broken++
				fmt.Printf("%-10s %v: %v\n", "BROKEN", m, err)
			case first == 0:
				lives++
				fmt.Printf("%-10s %v\n", "LIVES", m)
			case first == byFaults:
				caught++
				fmt.Printf("%-10s %v\n", "faults", m)
			default:
				caught++
				last = max(last, first)
				fmt.Printf("%-10s %v\n", fmt.Sprintf("seq %d", first), m)
			}
		})
	}
	wg.Wait()
	fmt.Printf("%d mutants: %d caught, within %d sequences; %d live after %d; %d could not be tried\n",
		len(all), caught, last, lives, sequences, broken)
}
