package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"portsyncd/config"
)

// checkConfig reads a configuration as the daemon would and prints what is in
// effect, each setting with where it comes from. Status 1 means that the file
// has errors; they are on stderr, all of them.
func checkConfig(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("check-config", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprintln(stderr, "usage: portsyncd check-config [FILE]") }
	if flags.Parse(args) != nil || flags.NArg() > 1 {
		return exitError
	}
	file, required := defaultConfig, flags.NArg() == 1
	if required {
		file = flags.Arg(0)
	}
	cfg, err := loadConfig(file, required)
	if err != nil {
		fmt.Fprintln(stderr, err)
		fmt.Fprintln(stderr, "portsyncd: the daemon starts with "+instead(&cfg, err)+"; a reload keeps the settings in effect")
		return exitError
	}
	if err := cfg.Effective(stdout, exists); err != nil {
		fmt.Fprintf(stderr, "portsyncd: print the settings: %v\n", err)
		return exitError
	}
	return exitOK
}

// exists reports whether the daemon would take path for a file that is there.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// instead names the settings that a daemon starts with if loading cfg failed with
// err.
func instead(cfg *config.Config, err error) string {
	if !errors.As(err, new(config.Errors)) {
		return "the defaults"
	}
	text := "the defaults in place of the settings in error"
	if keys := cfg.Reset(); keys != nil {
		text += " and of " + strings.Join(keys, ", ") + ", as the errors may concern who can read the HTTP listener"
	}
	return text
}

// loadConfig reads the configuration and gives every path its place. What it
// returns beside an error is usable: what was bad has its default. A missing
// file is an error only if somebody named it.
func loadConfig(file string, required bool) (config.Config, error) {
	cfg, err := config.Load(file)
	if errors.Is(err, fs.ErrNotExist) && !required {
		err = nil
	}
	cfg.ResolvePaths(os.Getenv, func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	})
	return cfg, err
}
