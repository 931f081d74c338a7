// Command modelmutants changes the daemon in one place at a time (a mutant) and checks whether
// TestModel detects it. Run it in the root of the repository:
//
//	go run ./.ci/modelmutants [-sequences 4] [-seed 1] [-batch 8] [-only REGEXP]
//
// The mutants are the removal of each statement that publishes something about the daemon, and
// the changes listed in changes.txt. For each mutant, TestModel plays the given number of random
// sequences and then those of TestModelFaults, until one fails. The command prints one line for
// each mutant: the sequence that failed, or "LIVES".
package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
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
	"time"
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
var touching = regexp.MustCompile(`^\t+\w+(\.state)?\.touch(Names)?\(`)

// publishing matches, for each file, the statements that publish something.
var publishing = map[string]*regexp.Regexp{
	"portsync/report.go":     regexp.MustCompile(`^\t+(changed :?= )?(setNumber|setFlag|s\.\w+\.Store|s\.wake|l\.shown\.publishPorts|port\.view\.publish|port\.series\.update)\(`),
	"portsync/ports.go":      regexp.MustCompile(`^\t+l\.list\.Store\(`),
	"portsync/portview.go":   regexp.MustCompile(`^\t+(setNumber|setFlag|v\.info\.Store)\(`),
	"portsync/portseries.go": regexp.MustCompile(`^\t+s\.(set\[|updateInfo\(|info\.Set\()`),
	"portsync/portinfo.go":   touching,
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
			all = append(all, mutant{file, i + 1, line, ""})
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

// listed returns the mutants of changes.txt. Each line must occur exactly once in its file.
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
			return nil, fmt.Errorf("changes.txt: %s contains %q %d times: must contain it once", file, was, found)
		}
	}
	return all, nil
}

// build builds the daemon with the mutant applied.
func (m mutant) build(binary string) error {
	text, err := os.ReadFile(m.file)
	if err != nil {
		return err
	}
	lines := strings.Split(string(text), "\n")
	lines[m.line-1] = m.now
	return build(binary, map[string]string{m.file: strings.Join(lines, "\n")})
}

// build builds the daemon with some files replaced: contents maps their paths to the new contents.
func build(binary string, contents map[string]string) error {
	dir, err := os.MkdirTemp("", "modelmutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	replaced := make(map[string]string)
	for file, text := range contents {
		here, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		replaced[here] = filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(replaced[here], []byte(text), 0o644); err != nil {
			return err
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644); err != nil {
		return err
	}
	cmd := exec.Command("go", "build", "-buildvcs=false", "-p", "1", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// selector is a file of package portsync that reads which removal is active.
const selector = `package portsync

import (
	"os"
	"strconv"
)

var mutant, _ = strconv.Atoi(os.Getenv("PORTSYNCD_MUTANT"))
`

// buildRemovals builds one daemon that contains all removals. The environment variable
// PORTSYNCD_MUTANT selects the active one by its number, counting from 1.
func buildRemovals(all []mutant, binary string) error {
	lines := make(map[string][]string)
	for i, m := range all {
		if lines[m.file] == nil {
			text, err := os.ReadFile(m.file)
			if err != nil {
				return err
			}
			lines[m.file] = strings.Split(string(text), "\n")
		}
		line := &lines[m.file][m.line-1]
		if before, after, declares := strings.Cut(*line, "changed := "); declares {
			*line = fmt.Sprintf("%schanged := mutant != %d && %s", before, i+1, after)
		} else {
			*line = fmt.Sprintf("if mutant != %d {\n%s\n}", i+1, *line)
		}
	}
	contents := map[string]string{"portsync/mutant_selected.go": selector}
	for file, l := range lines {
		contents[file] = strings.Join(l, "\n")
	}
	return build(binary, contents)
}

// batch is a group of mutants that one test process tries.
type batch struct {
	dir     string // has an executable for each mutant
	mutants []mutant
	broken  []error // of each mutant: why it could not be built, or nil
}

// binary returns the file name of the i-th mutant's executable.
func binary(i int) string { return fmt.Sprintf("mutant%d", i) }

// newBatch creates a directory and calls build to write an executable for each mutant into it.
func newBatch(mutants []mutant, build func(m mutant, path string) error) (*batch, error) {
	dir, err := os.MkdirTemp("", "modelmutants")
	if err != nil {
		return nil, err
	}
	b := &batch{dir: dir, mutants: mutants}
	for i, m := range mutants {
		b.broken = append(b.broken, build(m, filepath.Join(dir, binary(i))))
	}
	return b, os.Chmod(dir, 0o755)
}

// result matches a line of the test about a mutant.
var result = regexp.MustCompile(`(?m)\bmutant (mutant\d+) (\d+) ([\d.]+) (.*)$`)

// outcome is the result of a mutant.
type outcome struct {
	sequences int    // played
	by        string // the sequence that failed, or "none"
	seconds   string
}

// try plays sequences on each mutant of the batch and returns the outcomes by binary.
func (b *batch) try(test string, seed, sequences int, limit time.Duration) (map[string]outcome, []byte) {
	var binaries []string
	for i, err := range b.broken {
		if err == nil {
			binaries = append(binaries, filepath.Join(b.dir, binary(i)))
		}
	}
	cmd := exec.Command(test, "-test.run", "^TestModel$", "-test.v", "-test.timeout", limit.String())
	cmd.Env = append(os.Environ(), "PORTSYNCD_TEST_BINARY="+filepath.Join(b.dir, binary(0)), "PORTSYNCD_REQUIRE_INTEGRATION=1",
		"PORTSYNCD_MODEL_MUTANTS="+strings.Join(binaries, string(filepath.ListSeparator)),
		"PORTSYNCD_MODEL_SEED="+strconv.Itoa(seed), "PORTSYNCD_MODEL_SEQUENCES="+strconv.Itoa(sequences))
	out, _ := cmd.CombinedOutput() // fails if a mutant was detected
	all := make(map[string]outcome)
	for _, line := range result.FindAllSubmatch(out, -1) {
		n, _ := strconv.Atoi(string(line[2]))
		all[string(line[1])] = outcome{n, string(line[4]), string(line[3])}
	}
	return all, out
}

func main() {
	sequences, seed := flag.Int("sequences", 4, "number of sequences per mutant"), flag.Int("seed", 1, "seed of the first sequence")
	size, only := flag.Int("batch", 8, "number of mutants per process of the test"), flag.String("only", "", "test only mutants that match this regular expression")
	limit := flag.Duration("limit", 20*time.Minute, "time limit of one process of the test")
	keep := flag.String("output", "", "append the output of the tests to this file")
	list := flag.Bool("list", false, "list the mutants without testing them")
	flag.Parse()
	all, err := removals()
	more, err2 := listed()
	if err != nil || err2 != nil {
		log.Fatal(cmp.Or(err, err2))
	}
	wanted := regexp.MustCompile(*only)
	others := func(m mutant) bool { return !wanted.MatchString(m.String()) }
	all, more = slices.DeleteFunc(all, others), slices.DeleteFunc(more, others)
	if *list {
		for _, m := range append(all, more...) {
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
	removed := filepath.Join(dir, "removals")
	if err := errors.Join(os.Chmod(dir, 0o755), buildRemovals(all, removed)); err != nil {
		log.Fatalf("build the removals: %v", err)
	}
	var sum tally
	for b := range batches(all, more, removed, *size) {
		outcomes, out := b.try(test, *seed, *sequences, *limit)
		for i, m := range b.mutants {
			o, tried := outcomes[binary(i)]
			sum.add(m, o, tried, b.broken[i])
		}
		if *keep != "" {
			if err := appendTo(*keep, out); err != nil {
				log.Print(err)
			}
		}
		os.RemoveAll(b.dir)
	}
	fmt.Println(&sum)
}

// batches sends the mutants in batches of the given size. A removal becomes a script that selects it
// in the binary removed; each of the others is built as its own binary. The next batch is built while
// the previous one is tried.
func batches(removals, others []mutant, removed string, size int) <-chan *batch {
	built := make(chan *batch)
	send := func(some []mutant, make func(m mutant, path string) error) {
		b, err := newBatch(some, make)
		if err != nil {
			log.Fatal(err)
		}
		built <- b
	}
	go func() {
		defer close(built)
		for some := range slices.Chunk(removals, size) {
			send(some, func(m mutant, path string) error {
				script := fmt.Sprintf("#!/bin/sh\nPORTSYNCD_MUTANT=%d exec %s \"$@\"\n", 1+slices.Index(removals, m), removed)
				return os.WriteFile(path, []byte(script), 0o755)
			})
		}
		for some := range slices.Chunk(others, size) {
			send(some, mutant.build)
		}
	}()
	return built
}

// appendTo appends text to a file.
func appendTo(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

// tally counts results.
type tally struct {
	random, faults, lives, broken int
	first                         int // detected by the first sequence
	played                        int // sequences
}

// add prints and counts the result of a mutant.
func (s *tally) add(m mutant, o outcome, tried bool, err error) {
	s.played += o.sequences
	switch {
	case err != nil || !tried:
		s.broken++
		fmt.Printf("%-22s %v: %v\n", "BROKEN", m, cmp.Or(err, errors.New("no result")))
		return
	case o.by == "none":
		s.lives++
		o.by = "LIVES"
	case strings.HasPrefix(o.by, "fault_"):
		s.faults++
	default:
		s.random++
		if o.sequences == 1 {
			s.first++
		}
	}
	fmt.Printf("%-22s %v (%d sequences, %s s)\n", o.by, m, o.sequences, o.seconds)
}

func (s *tally) String() string {
	return fmt.Sprintf("%d mutants, %d sequences: %d detected by a random sequence, %d of them by the first, and %d by a fault; %d live; %d could not be tried",
		s.random+s.faults+s.lives+s.broken, s.played, s.random, s.first, s.faults, s.lives, s.broken)
}
