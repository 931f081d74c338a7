package sonicdb

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
)

const recordedFile = "testdata/redis-replies.txt"

// recording is the reply of a real server to one command.
type recording struct {
	name    string
	command string
	bytes   []byte
}

// recordings reads recordedFile; record_test.go writes it.
func recordings(t testing.TB) []recording {
	t.Helper()
	src, err := os.ReadFile(recordedFile)
	if err != nil {
		t.Fatal(err)
	}
	var recs []recording
	for n, line := range strings.Split(string(src), "\n") {
		key, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" || line[0] == '#':
		case key == "name":
			recs = append(recs, recording{name: value})
		case key == "command":
			recs[len(recs)-1].command = value
		default:
			b, err := strconv.Unquote(line)
			if err != nil {
				t.Fatalf("%s:%d: %q: %v", recordedFile, n+1, line, err)
			}
			recs[len(recs)-1].bytes = append(recs[len(recs)-1].bytes, b...)
		}
	}
	return recs
}

func writeRecordings(t *testing.T, header string, recs []recording) {
	t.Helper()
	f, err := os.Create(recordedFile)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	fmt.Fprint(w, header)
	for _, rec := range recs {
		fmt.Fprintf(w, "\nname: %s\ncommand: %s\n", rec.name, rec.command)
		for _, line := range strings.SplitAfter(string(rec.bytes), "\n") {
			if line != "" {
				fmt.Fprintln(w, strconv.Quote(line))
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
