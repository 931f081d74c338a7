package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"

	"portsyncd/internal/daemon"
)

const checkConfigUsage = `usage: portsyncd check-config [FILE]

Check a configuration file, default ` + defaultConfig + `, and print the
effective settings with their origins. Errors are printed with line, column and
the expected value. If the file is valid, missing files that it names are printed
as warnings.

options:
  -c FILE  the same as FILE
  -h       print this help

exit status: 0 the file is valid, 1 error
`

// checkConfig reads a configuration file as the daemon does and prints every setting with its value
// and origin. If the file has errors, it prints them to stderr and returns ExitError.
func checkConfig(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("check-config", flag.ContinueOnError)
	var conf configFlag
	flags.Var(&conf, "c", "")
	files, help, err := parseMixed(flags, args)
	switch {
	case help:
		fmt.Fprint(stdout, checkConfigUsage)
		return daemon.ExitOK
	case err == nil && len(files) > 1:
		err = fmt.Errorf("unexpected argument %q", files[1])
	case err == nil && len(files) == 1 && conf.required:
		err = fmt.Errorf("-c %q and %q: only one file can be given", conf.file, files[0])
	}
	if err != nil {
		printError(stderr, "check-config", err)
		return daemon.ExitError
	}
	if len(files) == 1 {
		conf.Set(files[0])
	}
	conf.useEnvironment()
	file, required := conf.path(), conf.required
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
	for _, problem := range fileProblems(&cfg) {
		printError(stderr, "check-config", errors.New("warning: "+problem))
	}
	return daemon.ExitOK
}
