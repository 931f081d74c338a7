package portsync_test

import (
	"fmt"
	"os"
	"testing"

	"portsyncd/internal/lab"
)

func TestMain(m *testing.M) {
	// What is parallel waits for thresholds of time.
	if err := lab.SetParallel(4); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
