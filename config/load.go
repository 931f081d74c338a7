package config

import (
	"context"
	"errors"
	"fmt"

	"portsyncd/config/toml"
	"portsyncd/internal/smallfile"
)

// Load reads the configuration file at path and parses it with [Parse]. If the file cannot be read,
// Load returns the default Config and an error that is not of type [Errors]. If the file does not
// exist, errors.Is(err, fs.ErrNotExist) is true. Load returns within smallfile.Timeout, even if the
// file system does not respond.
func Load(path string) (Config, error) {
	src, err := smallfile.Read(context.Background(), path, toml.MaxSize)
	if errors.Is(err, smallfile.ErrTooLarge) {
		return Parse(path, make([]byte, toml.MaxSize+1)) // returns the error that contains the limit
	}
	if err != nil {
		return Default(), fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, src)
}
