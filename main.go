// Portsyncd carries the kernel's view of every front-panel port of a SONiC
// switch into the switch's Redis databases. Without arguments it is the daemon;
// see usage for the rest, and ARCHITECTURE.md for how it works.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// defaultConfig is where a SONiC image or a host keeps the configuration. The
// file is optional.
const defaultConfig = "/etc/sonic/portsyncd.conf"

const usage = `usage: portsyncd [-c FILE]          run the daemon
       portsyncd COMMAND [arguments]

commands:
  check-config [FILE]   check a configuration file and print what is in effect
  demo                  run the daemon on a switch in a box; -h tells the options
  report                say how the daemon fared; -h tells the options
  status                ask the running daemon how it is; -h tells the options
  version               print the version

options:
  -c FILE   configuration, default ` + defaultConfig + `; need not exist
  -v        print the version
  -h        print this
`

// Exit statuses. The daemon itself ends by the signal that asked it to: status
// 0 would tell SONiC's supervisor that all is well.
const (
	exitOK    = 0
	exitError = 1
)

// commands are what may follow the program's name.
var commands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"check-config": checkConfig,
	"demo":         demo,
	"report":       reportCommand,
	"status":       statusCommand,
	"version":      version,
}

// memoryLimit is the soft limit of the Go runtime's memory in bytes, unless GOMEMLIMIT is
// set. The daemon needs a fraction of it. The limit has garbage collected early while
// stored files of unusual content are read.
const memoryLimit = 40 << 20

func main() {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is main with its surroundings as parameters; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if command, ok := commands[args[0]]; ok {
			return command(args[1:], stdout, stderr)
		}
	}
	flags := flag.NewFlagSet("portsyncd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	file := flags.String("c", defaultConfig, "")
	printVersion := flags.Bool("v", false, "")
	help := flags.Bool("h", false, "")
	switch err := flags.Parse(args); {
	case err != nil:
		return exitError
	case *help:
		fmt.Fprint(stdout, usage)
		return exitOK
	case *printVersion:
		return version(nil, stdout, stderr)
	case flags.NArg() > 0:
		return unknownCommand(flags.Arg(0), stderr)
	}
	return daemon(*file, isSet(flags, "c"), os.Stdout, os.Stderr)
}

// isSet reports whether a flag was given.
func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// parseOptions parses a command line that has options and nothing else, for a
// command that prints errors and help itself.
func parseOptions(flags *flag.FlagSet, args []string) (help bool, err error) {
	flags.SetOutput(io.Discard)
	err = flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return true, nil
	case err != nil:
		return false, err
	case flags.NArg() > 0:
		return false, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return false, nil
}

func unknownCommand(word string, stderr io.Writer) int {
	var names []string
	for name := range commands {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(stderr, "portsyncd: unknown command %q, expected one of %s\n", word, strings.Join(names, ", "))
	return exitError
}
