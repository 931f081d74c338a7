package cli

import (
	"flag"
	"fmt"
	"io"
	"runtime"

	"portsyncd/internal/daemon"
)

const versionUsage = `usage: portsyncd version

Print version, revision, Go version and platform.

options:
  -h    print this help
`

// versionCommand prints the version of the program.
func versionCommand(args []string, stdout, stderr io.Writer) int {
	switch help, err := parseOptions(flag.NewFlagSet("version", flag.ContinueOnError), args); {
	case help:
		fmt.Fprint(stdout, versionUsage)
		return daemon.ExitOK
	case err != nil:
		printError(stderr, "version", err)
		return daemon.ExitError
	}
	fmt.Fprintf(stdout, "portsyncd %s (revision %s, %s, %s/%s)\n",
		daemon.Release, daemon.Revision(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return daemon.ExitOK
}
