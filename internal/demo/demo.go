// Package demo implements the command "portsyncd demo". It runs the daemon on a simulated switch:
// veth interfaces in a separate network namespace, an in-memory Redis server, and a simulated
// orchagent.
package demo

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"portsyncd/internal/daemon"
	"portsyncd/internal/lab"
)

const usage = `usage: portsyncd demo [--ports N] [--once] [--listen ADDRESS] [--rate N]

Run the daemon on a simulated switch: veth interfaces in a network namespace of
its own, an in-memory Redis, and a simulated orchagent. Press Ctrl-C to stop.

  --ports N          number of ports, 1 to 512 (default 8)
  --once             start, check STATE_DB, and exit with status 0 or 1
  --listen ADDRESS   HTTP address of the daemon (default 127.0.0.1:9101)
  --rate N           link changes per second after the start (default 2)
`

// options holds the command-line options.
type options struct {
	ports  int
	once   bool
	listen string
	rate   float64 // link changes per second
	inside bool    // this process is the child process in the new namespaces
}

// maxPorts is the maximum number of ports. It matches the largest switches.
const maxPorts = 512

// Run runs the command and returns the exit status. It opens the HTTP listener in the caller's
// network namespace, where curl can reach it, and passes the listener to a child process that runs
// the demo in new namespaces. If namespaces cannot be created, Run runs the demo in this process
// with simulated links.
func Run(args []string, stdout, stderr io.Writer) int {
	o, status := parseOptions(args, stdout, stderr)
	if o == nil {
		return status
	}
	if o.inside {
		return runInside(o, stdout, stderr)
	}
	listener := openListener(o.listen, stderr)
	if listener != nil {
		defer listener.Close()
	}
	if err := lab.Forbidden(); err != nil {
		fmt.Fprintf(stdout, "portsyncd demo: %v; using simulated links\n", err)
		return runDemo(o, simulatedLinks(listener), stdout, stderr)
	}
	return runInNamespace(args, listener, stdout, stderr)
}

// parseOptions parses the command line. If args contains -h or is invalid, it returns nil options
// and the exit status.
func parseOptions(args []string, stdout, stderr io.Writer) (*options, int) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {}
	flags.IntVar(&o.ports, "ports", 8, "")
	flags.BoolVar(&o.once, "once", false, "")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9101", "")
	flags.Float64Var(&o.rate, "rate", 2, "")
	flags.BoolVar(&o.inside, "inside", false, "")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return nil, daemon.ExitOK
	case err != nil:
		fmt.Fprint(stderr, usage)
		return nil, daemon.ExitError
	}
	bad := ""
	switch {
	case flags.NArg() > 0:
		bad = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case o.ports < 1 || o.ports > maxPorts:
		bad = fmt.Sprintf("--ports %d, expected 1 to %d", o.ports, maxPorts)
	case !(o.rate > 0 && o.rate <= 1000):
		bad = fmt.Sprintf("--rate %v, expected more than 0 and at most 1000", o.rate)
	}
	if bad != "" {
		fmt.Fprintf(stderr, "portsyncd demo: %s\n", bad)
		return nil, daemon.ExitError
	}
	return &o, daemon.ExitOK
}
