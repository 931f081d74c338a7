package process

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
)

// TestCommandLine checks exit statuses: an unknown option or command must not exit with 0, help
// must. None of these runs may connect to a database (docs/PROTOCOL.md section 10).
func TestCommandLine(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.conf")
	bad := filepath.Join(t.TempDir(), "bad.conf")
	switchtest.WriteFile(t, good, "[daemon]\nlog_level = \"debug\"\n")
	switchtest.WriteFile(t, bad, "[daemon]\nlog_levle = \"debug\"\n")
	for _, c := range []struct {
		name           string
		args           []string
		exit           int
		stdout, stderr string // what must be in it; "" means that it is empty
	}{
		{"help", []string{"-h"}, 0, "usage: portsyncd", ""},
		{"version option", []string{"-v"}, 0, "portsyncd ", ""},
		{"version", []string{"version"}, 0, "portsyncd ", ""},
		{"long version option", []string{"--version"}, 0, "portsyncd ", ""},
		{"long help option", []string{"--help"}, 0, "usage: portsyncd", ""},
		{"help command", []string{"help"}, 0, "usage: portsyncd [-c FILE]", ""},
		{"help of a command", []string{"help", "status"}, 0, "usage: portsyncd status", ""},
		{"help of check-config", []string{"check-config", "-h"}, 0, "usage: portsyncd check-config", ""},
		{"help of version", []string{"help", "version"}, 0, "usage: portsyncd version", ""},
		{"help of nothing known", []string{"help", "nonsense"}, 1, "", `"nonsense"`},
		{"option before the command", []string{"-c", good, "check-config"}, 0, "log_level", ""},
		{"option after the command", []string{"check-config", "-c", good}, 0, "log_level", ""},
		{"file with the name of a command", []string{"-c", "status", "check-config"}, 1, "", "status: "},
		{"unknown option before a command", []string{"-x", "version"}, 1, "", "-x"},
		{"unknown option after a command", []string{"version", "-x"}, 1, "", "-x"},
		{"misspelled command", []string{"statsu"}, 1, "", `did you mean "status"?`},
		{"command after a word", []string{"nonsense", "version"}, 1, "", `"nonsense"`},
		{"unknown option", []string{"-x"}, 1, "", "-x"},
		{"option without value", []string{"-c"}, 1, "", "-c"},
		{"unknown command", []string{"nonsense"}, 1, "", `"nonsense"`},
		{"good file", []string{"check-config", good}, 0, "log_level", ""},
		{"bad file", []string{"check-config", bad}, 1, "", "bad.conf:2:"},
		{"what the daemon does with it", []string{"check-config", bad}, 1, "", "starts with the defaults in place of the settings in error;"},
		{"file that is not there", []string{"check-config", bad + ".none"}, 1, "", "starts with the defaults;"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			cmd := exec.Command(switchtest.Binary(t), c.args...)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			err := cmd.Run()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if got := cmd.ProcessState.ExitCode(); got != c.exit {
				t.Errorf("%q: exit status %d, want %d", c.args, got, c.exit)
			}
			for name, out := range map[string][2]string{
				"stdout": {stdout.String(), c.stdout}, "stderr": {stderr.String(), c.stderr},
			} {
				if !strings.Contains(out[0], out[1]) || out[1] == "" && out[0] != "" {
					t.Errorf("%q: %s is %q, want %q in it", c.args, name, out[0], out[1])
				}
			}
		})
	}
}
