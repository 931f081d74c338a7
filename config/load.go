package config

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"portsyncd/config/toml"
)

// Load reads the configuration file at path and parses it as [Parse] does. If
// the file cannot be read, the Config is the default one and the error is not of
// type Errors; for an absent file, errors.Is(err, fs.ErrNotExist).
func Load(path string) (Config, error) {
	src, err := read(path)
	if err != nil {
		return Default(), fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, src)
}

// read returns a regular file's content, at most one byte more than Parse takes.
// Anything else could block (a FIFO), never end (/dev/zero) or act when opened.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is %s, expected a regular file", path, kind(info.Mode()))
	}
	// Not blocking, in case a FIFO took the file's place since.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, toml.MaxSize+1))
}

func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "a special file"
}
