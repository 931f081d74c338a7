package daemon

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"portsyncd/config"
)

// LoadConfig reads a configuration file and resolves the default paths. A missing file is an error
// only if required is set. The returned configuration is always valid: invalid settings are
// replaced by their defaults.
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

// Fallback describes which settings the daemon uses if loading cfg returned err, for example "the
// defaults".
func Fallback(cfg *config.Config, err error) string {
	if !errors.As(err, new(config.Errors)) {
		return "the defaults"
	}
	text := "the defaults in place of the settings in error"
	if keys := cfg.Reset(); keys != nil {
		text += " and of " + strings.Join(keys, ", ") + ", as the errors may concern who can read the HTTP listener"
	}
	return text
}

// FileExists reports whether path exists. It also returns true if this cannot be determined.
func FileExists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
