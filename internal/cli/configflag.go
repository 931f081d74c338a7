package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"portsyncd/config"
	"portsyncd/internal/daemon"
)

// configFlag is the value of the option -c FILE.
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

// configVariable is the environment variable that names the configuration file for commands.
const configVariable = "PORTSYNCD_CONFIG"

// useEnvironment uses the file named by configVariable if the option was not given.
func (c *configFlag) useEnvironment() {
	if file := os.Getenv(configVariable); file != "" && !c.required {
		c.file, c.required = file, true
	}
}

// path returns the path of the configuration file.
func (c *configFlag) path() string {
	if !c.required {
		return defaultConfig
	}
	return c.file
}

// load reads the configuration for a command. Invalid settings are printed and not returned as an
// error, because the daemon also starts with such a file.
func (c *configFlag) load(command string, stderr io.Writer) (config.Config, error) {
	c.useEnvironment()
	cfg, err := daemon.LoadConfig(c.path(), c.required)
	if c.required && errors.Is(err, fs.ErrNotExist) {
		return cfg, err
	}
	if err != nil {
		printError(stderr, command, err)
	}
	return cfg, nil
}
