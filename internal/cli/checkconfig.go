package cli

import (
	"flag"
	"fmt"
	"io"

	"portsyncd/internal/daemon"
)

// checkConfig reads a configuration file as the daemon does and prints every setting with its value
// and origin. It prints all errors of the file to stderr and then returns ExitError.
func checkConfig(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("check-config", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: portsyncd check-config [FILE]") }
	if flags.Parse(args) != nil || flags.NArg() > 1 {
		return daemon.ExitError
	}
	file, required := defaultConfig, flags.NArg() == 1
	if required {
		file = flags.Arg(0)
	}
	cfg, err := daemon.LoadConfig(file, required)
	if err != nil {
		fmt.Fprintln(stderr, err)
		fmt.Fprintln(stderr, "portsyncd: the daemon starts with "+daemon.Fallback(&cfg, err)+"; a reload keeps the settings in effect")
		return daemon.ExitError
	}
	if err := cfg.Effective(stdout, daemon.FileExists); err != nil {
		fmt.Fprintf(stderr, "portsyncd: print the settings: %v\n", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}
