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

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/demo"
	"portsyncd/internal/statusview"
)

// defaultConfig is the path of the configuration file, which is optional.
const defaultConfig = "/etc/sonic/portsyncd.conf"

const usage = `usage: portsyncd [-c FILE]          run the daemon
       portsyncd COMMAND [arguments]
       portsyncd help COMMAND        print the options of a command

commands:
  check-config [FILE]   check a configuration file and print the effective settings
  demo                  run the daemon on a simulated switch
  events                list events of the ports and of the daemon
  help [COMMAND]        print this help, or the help of a command
  report                analyze the stored history of the daemon
  status                show the health and the ports of the running daemon
  version               print the version

Options may be before or after the command.

options:
  -c FILE        configuration file, optional, default ` + defaultConfig + `
  -v, --version  print the version
  -h, --help     print this help

environment:
  ` + configVariable + `  configuration file of the commands, if -c is not given; the
                    daemon ignores the variable
`

// Commands maps command names to functions. Each function returns the exit status.
var Commands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"check-config": checkConfig,
	"demo":         demo.Run,
	"events":       eventsCommand,
	"report":       reportCommand,
	"status":       statusCommand,
	"version":      versionCommand,
}

func init() { Commands["help"] = helpCommand } // helpCommand refers to Commands

// Run runs the daemon or the command named in args and returns the exit status. args must not
// include the program name.
func Run(args []string, stdout, stderr io.Writer) int {
	if i := commandIndex(args); i >= 0 {
		return Commands[args[i]](slices.Concat(args[:i], args[i+1:]), stdout, stderr)
	}
	flags := flag.NewFlagSet("portsyncd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	var conf configFlag
	flags.Var(&conf, "c", "")
	var printVersion, help bool
	for _, name := range []string{"v", "version"} {
		flags.BoolVar(&printVersion, name, false, "")
	}
	for _, name := range []string{"h", "help"} {
		flags.BoolVar(&help, name, false, "")
	}
	switch err := flags.Parse(args); {
	case err != nil:
		return daemon.ExitError
	case help:
		fmt.Fprint(stdout, usage)
		return daemon.ExitOK
	case printVersion:
		return versionCommand(nil, stdout, stderr)
	case flags.NArg() > 0:
		return unknownCommand(flags.Arg(0), stderr)
	}
	return daemon.Run(conf.path(), conf.required, os.Stdout, os.Stderr)
}

// commandIndex returns the index of the command in args, or -1 if there is none. Options may precede
// the command. The argument after -c is the name of a file, even if it is the name of a command.
func commandIndex(args []string) int {
	for i, arg := range args {
		_, known := Commands[arg]
		switch {
		case i > 0 && (args[i-1] == "-c" || args[i-1] == "--c"):
		case arg == "--":
			return -1
		case known:
			return i
		case i == 0 && !strings.HasPrefix(arg, "-"):
			return -1 // a misspelled command, whatever follows
		}
	}
	return -1
}

const helpUsage = `usage: portsyncd help [COMMAND]

Print the commands, or the help of a command.

options:
  -h    print this help
`

// helpCommand prints the help of the command that args name, or of the program.
func helpCommand(args []string, stdout, stderr io.Writer) int {
	names, help, err := parseMixed(flag.NewFlagSet("help", flag.ContinueOnError), args)
	switch {
	case help:
		fmt.Fprint(stdout, helpUsage)
		return daemon.ExitOK
	case err == nil && len(names) > 1:
		err = fmt.Errorf("unexpected argument %q", names[1])
	}
	if err != nil {
		printError(stderr, "help", err)
		return daemon.ExitError
	}
	if len(names) == 0 {
		fmt.Fprint(stdout, usage)
		return daemon.ExitOK
	}
	command, ok := Commands[names[0]]
	if !ok {
		return unknownCommand(names[0], stderr)
	}
	return command([]string{"-h"}, stdout, stderr)
}

// isSet reports whether a flag was set on the command line.
func isSet(flags *flag.FlagSet, name string) (set bool) {
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// parseOptions parses options and rejects other arguments. It prints nothing. help is true if -h
// was given.
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

// unknownCommand prints the list of commands and returns ExitError.
func unknownCommand(word string, stderr io.Writer) int {
	var names []string
	for name := range Commands {
		names = append(names, name)
	}
	slices.Sort(names)
	hint := ""
	if near := config.Nearest(word, names); near != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", near)
	}
	fmt.Fprintf(stderr, "portsyncd: unknown command %q%s, expected one of %s\n", word, hint, strings.Join(names, ", "))
	return daemon.ExitError
}

// printError prints an error of a command on one line, with control characters escaped.
func printError(stderr io.Writer, command string, err error) {
	text := strings.ReplaceAll(err.Error(), "\n", "; ")
	fmt.Fprintf(stderr, "portsyncd %s: %s\n", command, statusview.VisibleText(text, !isUTF8(os.Getenv)))
}
