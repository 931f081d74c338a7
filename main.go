// Portsyncd carries the kernel's view of every front-panel port of a SONiC
// switch into the switch's Redis databases. Without arguments it is the daemon;
// see usage for the rest, and ARCHITECTURE.md for how it works.
package main

import (
	"os"
	"runtime/debug"

	"portsyncd/internal/cli"
)

// memoryLimit is the soft limit of the Go runtime's memory in bytes, unless GOMEMLIMIT is
// set. The daemon needs a fraction of it. The limit has garbage collected early while
// stored files of unusual content are read.
const memoryLimit = 40 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
