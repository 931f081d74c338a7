// Portsyncd copies the kernel's state of the front-panel ports of a SONiC switch into the switch's
// Redis databases. Without arguments it runs the daemon; "portsyncd -h" lists the other commands.
// ARCHITECTURE.md describes how the daemon works.
package main

import (
	"os"
	"runtime/debug"

	"portsyncd/internal/cli"
)

// memoryLimit is the soft memory limit of the Go runtime in bytes, unless GOMEMLIMIT is set. The
// daemon normally needs a fraction of the limit; near the limit, for example while reading unusual
// stored files, the garbage collector runs more often.
const memoryLimit = 40 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(cli.Run(os.Args[1:], os.Stdout, os.Stderr))
}
