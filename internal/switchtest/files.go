package switchtest

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// LogDirectory tells the go command in which directory this process reads files, so that a changed file
// invalidates cached test results. The testing package does not log the change of the directory in
// Main, because it happens before the first test.
var LogDirectory = sync.OnceFunc(func() { os.Chdir(".") })

// ReadFile returns the contents of a file. A relative path is relative to the root directory of the
// module.
func ReadFile(t T, name string) string {
	t.Helper()
	LogDirectory()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// WriteFile writes a file with mode 0644.
func WriteFile(t T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// FilesWithPrefix returns the files whose path begins with path followed by suffix.
func FilesWithPrefix(t T, path, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + suffix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// ExampleSettings returns the settings in portsyncd.conf.example. The keys are of the form
// "table.key", and the values are the text in the file.
func ExampleSettings(t T) map[string]string {
	t.Helper()
	settings, table := make(map[string]string), ""
	for line := range strings.Lines(ReadFile(t, "portsyncd.conf.example")) {
		line = strings.TrimSpace(line)
		key, value, isSetting := strings.Cut(line, " = ")
		switch {
		case strings.HasPrefix(line, "["):
			table = strings.Trim(line, "[]")
		case isSetting && !strings.HasPrefix(line, "#"):
			settings[table+"."+key] = value
		}
	}
	return settings
}
