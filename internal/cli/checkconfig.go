package cli

import (
	"flag"
	"fmt"
	"io"

	"portsyncd/internal/daemon"
)

// CheckConfig reads a configuration as the daemon would and prints what is in
// effect, each setting with where it comes from. Status 1 means that the file
// has errors; they are on stderr, all of them.
func CheckConfig(args []string, stdout, stderr io.Writer) int {
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
