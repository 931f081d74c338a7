package monitoring

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"portsyncd/internal/cli"
	"portsyncd/internal/daemon"
	"portsyncd/internal/switchtest"
)

// These tests compare the files that are installed with the binary (deploy/) with the binary.

// flagsOf returns the options in the usage text of the program (command "") or of a command.
func flagsOf(t *testing.T, command string) map[string]bool {
	t.Helper()
	args := []string{"-h"}
	if command != "" {
		args = []string{command, "-h"}
	}
	out, _ := exec.Command(switchtest.Binary(t), args...).CombinedOutput() // some commands fail on -h
	flags := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)(?:^|[ \[])(--?[a-z][a-z-]*)`).FindAllStringSubmatch(string(out), -1) {
		flags[m[1]] = true
	}
	return flags
}

// TestManual checks that portsyncd(8) describes each command and each option.
func TestManual(t *testing.T) {
	switchtest.Parallel(t)
	page := switchtest.ReadFile(t, "deploy/man/portsyncd.8")
	described := make(map[string]bool)
	for line := range strings.Lines(page) {
		if !strings.HasPrefix(line, ".It ") {
			continue
		}
		for _, m := range regexp.MustCompile(`(Cm|Fl) (\S+)`).FindAllStringSubmatch(line, -1) {
			described[map[string]string{"Cm": "", "Fl": "-"}[m[1]]+m[2]] = true
		}
	}
	for name := range cli.Commands {
		if !described[name] {
			t.Errorf("portsyncd(8) does not describe the command %s", name)
		}
		for flag := range flagsOf(t, name) {
			if !described[flag] {
				t.Errorf("portsyncd(8) does not describe %s of %s", flag, name)
			}
		}
	}
	for flag := range flagsOf(t, "") {
		if !described[flag] {
			t.Errorf("portsyncd(8) does not describe %s", flag)
		}
	}
}

// TestManualOfSettings checks that portsyncd.conf(5) has all settings of the example file as valid
// mdoc.
func TestManualOfSettings(t *testing.T) {
	switchtest.RequireCommand(t, "awk")
	out, err := exec.Command("awk", "-f", "deploy/man/settings.awk", "portsyncd.conf.example").Output()
	if err != nil {
		t.Fatal(err)
	}
	listed, table, text := make(map[string]string), "", 0
	for line := range strings.Lines(strings.ReplaceAll(string(out), `\(dq`, `"`)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, ".Ss ["); ok {
			table = strings.TrimSuffix(name, "]")
		} else if setting, ok := strings.CutPrefix(line, ".It Cm "); ok {
			key, value, _ := strings.Cut(setting, " = ")
			listed[table+"."+key] = value
			text = 0
		} else if !strings.HasPrefix(line, ".") {
			text++
		} else if line == ".El" && text == 0 {
			t.Errorf("[%s] ends with a setting that has no text", table)
		}
	}
	for key, value := range switchtest.ExampleSettings(t) {
		if listed[key] != value {
			t.Errorf("portsyncd.conf(5) has %s = %s, the example file %s", key, listed[key], value)
		}
		delete(listed, key)
	}
	if len(listed) > 0 {
		t.Errorf("portsyncd.conf(5) has settings that the example file lacks: %v", listed)
	}
}

// TestCompletion runs bash with the installed completion file and checks the completed lines.
func TestCompletion(t *testing.T) {
	switchtest.RequireCommand(t, "bash")
	// The function is called as bash calls it: with the words and the position of
	// the cursor (bash(1), "Programmable Completion").
	complete := func(words ...string) string {
		t.Helper()
		const script = `
			compopt() { :; } # it may only be called while bash completes
			source deploy/completion/portsyncd
			COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
			_portsyncd
			echo "${COMPREPLY[*]}"`
		out, err := exec.Command("bash", append([]string{"--norc", "-c", script, "bash", "portsyncd"}, words...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("complete %q: %v\n%s", words, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	has := func(list, word string) bool { return strings.Contains(" "+list+" ", " "+word+" ") }

	first := complete("")
	for flag := range flagsOf(t, "") {
		if !has(first, flag) {
			t.Errorf("the completions of the first word are %q, without %s", first, flag)
		}
	}
	for name := range cli.Commands {
		if !has(first, name) {
			t.Errorf("the completions of the first word are %q, without %s", first, name)
		}
		offered := complete(name, "-")
		for flag := range flagsOf(t, name) {
			if !has(offered, flag) {
				t.Errorf("the completed options of %s are %q, without %s", name, offered, flag)
			}
		}
	}

	dir := t.TempDir()
	file := filepath.Join(dir, "portsyncd.conf")
	switchtest.WriteFile(t, file, "")
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"ver"}, "version"},
		{[]string{"demo", "--p"}, "--ports"},
		{[]string{"demo", "--ports", ""}, ""},
		{[]string{"check-config", dir + "/"}, file},
		{[]string{"-c", dir + "/ports"}, file},
		{[]string{"nonsense", ""}, ""},
	} {
		if got := complete(c.words...); got != c.want {
			t.Errorf("the completions of %q are %q, want %q", c.words, got, c.want)
		}
	}
}

// TestDebianVersion checks that the Debian package and the binary have the same version.
func TestDebianVersion(t *testing.T) {
	m := regexp.MustCompile(`^portsyncd \((\S+)-\d+\) `).FindStringSubmatch(switchtest.ReadFile(t, "deploy/deb/changelog"))
	if m == nil || m[1] != daemon.Release {
		t.Errorf("deploy/deb/changelog begins with version %q, want %s-1 or later", m, daemon.Release)
	}
}

// TestSwitchConfig checks that the daemon accepts the configuration for a switch, as it is and
// with every commented line enabled.
func TestSwitchConfig(t *testing.T) {
	as := switchtest.ReadFile(t, "deploy/sonic/portsyncd.conf")
	all := regexp.MustCompile(`(?m)^#([a-z])`).ReplaceAllString(as, "$1")
	if as == all {
		t.Error("the file has no commented settings")
	}
	for name, text := range map[string]string{"as it is": as, "all of it": all} {
		file := filepath.Join(t.TempDir(), "portsyncd.conf")
		switchtest.WriteFile(t, file, text)
		var stdout, stderr bytes.Buffer
		if status := cli.Run([]string{"check-config", file}, &stdout, &stderr); status != daemon.ExitOK {
			t.Errorf("%s: %s", name, stderr.String())
		}
	}
}

// TestMigration checks that the hook for image upgrades copies the configuration, reports errors
// in it, and overwrites nothing.
func TestMigration(t *testing.T) {
	switchtest.RequireCommand(t, "cp") // the directory also has the other commands that the hook needs
	const good, bad = "[metrics]\nper_port = false\n", "[metrics]\nper_port = 0\n"
	for _, c := range []struct {
		name     string
		old, new string // contents; "" means that the file does not exist
		want     string
		says     string
	}{
		{"nothing to copy", "", "", "", "nothing to copy"},
		{"copied", good, "", good, "copied"},
		{"with errors", bad, "", bad, ":2:12: metrics.per_port: expected true or false"},
		{"exists", good, bad, bad, "is not copied"},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			old, new := t.TempDir(), t.TempDir()
			for dir, text := range map[string]string{old: c.old, new: c.new} {
				if text != "" {
					switchtest.WriteFile(t, filepath.Join(dir, "portsyncd.conf"), text)
				}
			}
			cmd := exec.Command("sh", "deploy/sonic/migrate-portsyncd", old, new)
			cmd.Env = append(os.Environ(), fmt.Sprintf("PATH=%s:%s", filepath.Dir(switchtest.Binary(t)), os.Getenv("PATH")))
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.says) {
				t.Errorf("%v, prints %q, want %q", err, out, c.says)
			}
			got, err := os.ReadFile(filepath.Join(new, "portsyncd.conf"))
			if string(got) != c.want || c.want != "" && err != nil {
				t.Errorf("the new file is %q, %v, want %q", got, err, c.want)
			}
			if entries, _ := os.ReadDir(new); len(entries) > 1 {
				t.Errorf("temporary files are left: %v", entries)
			}
		})
	}
}
