package snapshot_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"portsyncd/internal/snapshot"
)

func ExampleFile() {
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	f := &snapshot.File{
		Path:   filepath.Join(dir, "port_state.json"),
		Schema: 1,
		Writer: "portsyncd 1.0.0",
		Keep:   snapshot.Limits{Count: 3, Age: 30 * 24 * time.Hour, Bytes: 1 << 20},
	}
	if _, err := f.Load(); errors.Is(err, fs.ErrNotExist) {
		fmt.Println("a first start")
	}
	for n := range 3 {
		if err := f.Save(fmt.Appendf(nil, `{"starts":%d}`, n)); err != nil {
			fmt.Println(err)
		}
	}
	os.Truncate(f.Path, 20) // simulates damage

	got, err := f.Load()
	fmt.Println(string(got.Body), got.Recovered, err)
	for _, p := range got.Problems {
		fmt.Println(filepath.Base(p.Path), p.Err)
	}
	// Output:
	// a first start
	// {"starts":1} true <nil>
	// port_state.json corrupt: does not start with {"sha256":" and 64 digits
}

func ExampleLog() {
	dir, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)

	l := &snapshot.Log{Path: filepath.Join(dir, "history.jsonl"), MaxFileSize: 100 << 20, Keep: snapshot.Limits{Count: 100}}
	for n := range 3 {
		if err := l.Append(fmt.Appendf(nil, `{"flaps":%d}`, n)); err != nil {
			fmt.Println(err)
		}
	}
	stats, err := l.Read(time.Time{}, func(line []byte) error {
		fmt.Println(string(line))
		return nil
	})
	fmt.Println(stats.Lines, err)
	// Output:
	// {"flaps":0}
	// {"flaps":1}
	// {"flaps":2}
	// 3 <nil>
}
