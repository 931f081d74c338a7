// Package cli implements the command line of portsyncd. [Run] starts the daemon or a command.
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
	"portsyncd/internal/statusview"
)

// defaultConfig is the path of the configuration file, which is optional.
const defaultConfig = "/etc/sonic/portsyncd.conf"

const usage = `usage: portsyncd [-c FILE]          run the daemon
       portsyncd COMMAND [arguments]

commands:
  check-config [FILE]   check a configuration file and print the effective settings
  demo                  run the daemon on a simulated switch
  events                show what happened to the ports and to the daemon
  report                analyse the stored history of the daemon
  status                show the health and the ports of the running daemon
  version               print the version

"portsyncd COMMAND -h" prints the options of a command.

options:
  -c FILE   configuration file, optional, default ` + defaultConfig + `
  -v        print the version
  -h        print this help
`

// Commands are the commands by name. Each returns the exit status.
var Commands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"check-config": checkConfig,
	"demo":         demo.Run,
	"events":       eventsCommand,
	"report":       reportCommand,
	"status":       statusCommand,
	"version":      version,
}

// Run runs the daemon or the command that args name and returns the exit status. args do not
// include the name of the program.
func Run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if command, ok := Commands[args[0]]; ok {
			return command(args[1:], stdout, stderr)
		}
	}
	flags := flag.NewFlagSet("portsyncd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	var conf configFlag
	flags.Var(&conf, "c", "")
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
	return daemon.Run(conf.path(), conf.required, os.Stdout, os.Stderr)
}

// isSet reports whether the command line sets a flag.
func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// parseOptions parses a command line of options without other arguments. It prints nothing; help
// reports that -h was given.
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

// parseMixed parses a command line of options and other arguments in any order, and returns the other
// arguments. Arguments after "--" are not options. It prints nothing; help reports that -h was given.
func parseMixed(flags *flag.FlagSet, args []string) (others []string, help bool, err error) {
	flags.SetOutput(io.Discard)
	for {
		err := flags.Parse(args)
		switch {
		case errors.Is(err, flag.ErrHelp):
			return nil, true, nil
		case err != nil:
			return nil, false, err
		case flags.NArg() == 0:
			return others, false, nil
		}
		if before := len(args) - flags.NArg() - 1; before >= 0 && args[before] == "--" {
			return append(others, flags.Args()...), false, nil
		}
		others = append(others, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// unknownCommand prints the known commands and returns ExitError.
func unknownCommand(word string, stderr io.Writer) int {
	var names []string
	for name := range Commands {
		names = append(names, name)
	}
	slices.Sort(names)
	fmt.Fprintf(stderr, "portsyncd: unknown command %q, expected one of %s\n", word, strings.Join(names, ", "))
	return daemon.ExitError
}

// printError prints an error of a command in one line, with control characters escaped.
func printError(stderr io.Writer, command string, err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	fmt.Fprintf(stderr, "portsyncd %s: %s\n", command, statusview.Visible(text, !isUTF8(os.Getenv)))
}
