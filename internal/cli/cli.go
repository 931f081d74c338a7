// Package cli is the command line of portsyncd: it starts the daemon or runs one of the commands.
package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"portsyncd/internal/daemon"
	"portsyncd/internal/demo"
)

// defaultConfig is where a SONiC image or a host keeps the configuration. The
// file is optional.
const defaultConfig = "/etc/sonic/portsyncd.conf"

const usage = `usage: portsyncd [-c FILE]          run the daemon
       portsyncd COMMAND [arguments]

commands:
  check-config [FILE]   check a configuration file and print what is in effect
  demo                  run the daemon on a simulated switch; -h tells the options
  report                say how the daemon fared; -h tells the options
  status                ask the running daemon how it is; -h tells the options
  version               print the version

options:
  -c FILE   configuration, default ` + defaultConfig + `; need not exist
  -v        print the version
  -h        print this
`

// Commands are what may follow the program's name.
var Commands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"check-config": CheckConfig,
	"demo":         demo.Run,
	"report":       reportCommand,
	"status":       statusCommand,
	"version":      version,
}

// Run runs the daemon or a command, as args say, and returns the exit status.
func Run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if command, ok := Commands[args[0]]; ok {
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
		return daemon.ExitError
	case *help:
		fmt.Fprint(stdout, usage)
		return daemon.ExitOK
	case *printVersion:
		return version(nil, stdout, stderr)
	case flags.NArg() > 0:
		return unknownCommand(flags.Arg(0), stderr)
	}
	return daemon.Run(*file, isSet(flags, "c"), os.Stdout, os.Stderr)
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
	for name := range Commands {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(stderr, "portsyncd: unknown command %q, expected one of %s\n", word, strings.Join(names, ", "))
	return daemon.ExitError
}
