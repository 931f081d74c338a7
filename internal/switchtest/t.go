package switchtest

import (
	"context"

	"portsyncd/internal/lab"
)

// T is the subset of *testing.T that this package uses. The command bench/scale, which is not a
// test, implements T itself.
type T interface {
	lab.T
	Cleanup(f func())
	Context() context.Context
	Error(args ...any)
	Errorf(format string, args ...any)
	Failed() bool
	Fatal(args ...any)
	Parallel()
	TempDir() string
}
