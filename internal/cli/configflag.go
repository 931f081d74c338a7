package cli

import (
	"errors"
	"io"
	"io/fs"

	"portsyncd/config"
	"portsyncd/internal/daemon"
)

// configFlag is the option -c FILE.
type configFlag struct {
	file     string // "" stands for defaultConfig if the option is not given
	required bool   // the option is given
}

func (c *configFlag) String() string { return c.file }

// Set sets the file.
func (c *configFlag) Set(file string) error {
	c.file, c.required = file, true
	return nil
}

// path returns the path of the configuration file.
func (c *configFlag) path() string {
	if !c.required {
		return defaultConfig
	}
	return c.file
}

// load reads the configuration for a command. Errors of settings are printed and not returned,
// because the daemon starts with such a file as well.
func (c *configFlag) load(command string, stderr io.Writer) (config.Config, error) {
	cfg, err := daemon.LoadConfig(c.path(), c.required)
	if c.required && errors.Is(err, fs.ErrNotExist) {
		return cfg, err
	}
	if err != nil {
		printError(stderr, command, err)
	}
	return cfg, nil
}
