package cli

import (
	"fmt"
	"io"
	"runtime"

	"portsyncd/internal/daemon"
)

// version prints the version of the program.
func version(_ []string, stdout, _ io.Writer) int {
	fmt.Fprintf(stdout, "portsyncd %s (revision %s, %s, %s/%s)\n",
		daemon.Release, daemon.Revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return daemon.ExitOK
}
