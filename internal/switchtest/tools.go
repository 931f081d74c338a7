package switchtest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/lab"
)

func ReadFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// ExampleSettings reads the keys and values of portsyncd.conf.example, as they
// are spelled there.
func ExampleSettings(t *testing.T) map[string]string {
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

func Fetch(url string) (string, error) {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", url, resp.Status, body)
	}
	return string(body), err
}

// Require ends the test if a command is not installed.
func RequireCommand(t *testing.T, command string) {
	t.Helper()
	if _, err := exec.LookPath(command); errors.Is(err, exec.ErrNotFound) {
		lab.Unavailable(t, err.Error())
	}
}
