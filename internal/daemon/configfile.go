package daemon

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"portsyncd/config"
)

// Exists reports whether the daemon would take path for a file that is there.
func Exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// Instead names the settings that a daemon starts with if loading cfg failed with
// err.
func Instead(cfg *config.Config, err error) string {
	if !errors.As(err, new(config.Errors)) {
		return "the defaults"
	}
	text := "the defaults in place of the settings in error"
	if keys := cfg.Reset(); keys != nil {
		text += " and of " + strings.Join(keys, ", ") + ", as the errors may concern who can read the HTTP listener"
	}
	return text
}

// LoadConfig reads the configuration and gives every path its place. What it
// returns beside an error is usable: what was bad has its default. A missing
// file is an error only if somebody named it.
func LoadConfig(file string, required bool) (config.Config, error) {
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
