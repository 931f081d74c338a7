package config

import (
	"context"
	"errors"
	"fmt"

	"portsyncd/config/toml"
	"portsyncd/internal/smallfile"
)

// Load reads the configuration file at path and parses it as [Parse] does. If
// the file cannot be read, the Config is the default one and the error is not of
// type Errors; for an absent file, errors.Is(err, fs.ErrNotExist). Load returns
// within smallfile.Timeout, even if the file system does not answer.
func Load(path string) (Config, error) {
	src, err := smallfile.Read(context.Background(), path, toml.MaxSize)
	if errors.Is(err, smallfile.ErrTooLarge) {
		return Parse(path, make([]byte, toml.MaxSize+1)) // its error names the limit
	}
	if err != nil {
		return Default(), fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, src)
}
