package switchtest

import (
	"os"
	"path/filepath"
	"strings"
)

func ReadFile(t T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func WriteFile(t T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Beside returns the files beside path whose name goes on with suffix.
func FilesWithPrefix(t T, path, suffix string) []string {
	t.Helper()
	paths, err := filepath.Glob(path + suffix + "*")
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

// Damage flips a bit in the middle of a file.
func CorruptFile(t T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o640); err != nil {
		t.Fatal(err)
	}
}

// ExampleSettings reads the keys and values of portsyncd.conf.example, as they
// are spelled there.
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
