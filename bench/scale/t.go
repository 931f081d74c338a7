package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// reporter implements switchtest.T for a measurement outside "go test". A failure ends the process
// and with it the namespaces, mounts and child processes.
type reporter struct {
	ctx      context.Context
	cleanups []func()
}

func (r *reporter) Helper()                       {}
func (r *reporter) Parallel()                     {}
func (r *reporter) Name() string                  { return "scale" }
func (r *reporter) Failed() bool                  { return false }
func (r *reporter) Deadline() (time.Time, bool)   { return r.ctx.Deadline() }
func (r *reporter) Context() context.Context      { return r.ctx }
func (r *reporter) Cleanup(f func())              { r.cleanups = append(r.cleanups, f) }
func (r *reporter) Logf(format string, a ...any)  { progress(format, a...) }
func (r *reporter) Skipf(format string, a ...any) { r.Fatalf(format, a...) }
func (r *reporter) Error(a ...any)                { r.Fatal(a...) }
func (r *reporter) Errorf(format string, a ...any) {
	r.Fatalf(format, a...)
}

func (r *reporter) Fatal(a ...any) {
	fmt.Fprintln(os.Stderr, append([]any{"scale:"}, a...)...)
	os.Exit(1)
}

func (r *reporter) Fatalf(format string, a ...any) { r.Fatal(fmt.Sprintf(format, a...)) }

// TempDir is unused: measurements use the directory of their switch.
func (r *reporter) TempDir() string { return os.TempDir() }

// cleanUp calls the functions passed to Cleanup in reverse order.
func (r *reporter) cleanUp() {
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
}
