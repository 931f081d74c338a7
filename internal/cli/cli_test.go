package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"portsyncd/config"
)

// TestCommandIndex checks which argument is the command: options may precede it, and the file after
// -c is not a command.
func TestCommandIndex(t *testing.T) {
	for line, want := range map[string]int{
		"": -1, "status": 0, "-c f status": 2, "-c status": -1, "-c status status": 2, "--json status": 1, "-- status": -1,
		"nonsense status": -1, "-v": -1, "status report": 0,
	} {
		if got := commandIndex(strings.Fields(line)); got != want {
			t.Errorf("%q: got %d, want %d", line, got, want)
		}
	}
}

// TestParseMixed checks that options and other arguments may come in any order, and that arguments
// after "--" are not options.
func TestParseMixed(t *testing.T) {
	for line, want := range map[string]string{
		"": "", "a --down b": "true a b", "a -- --down": "a --down", "--sort name a": "a", "a b --down": "true a b",
	} {
		flags := flag.NewFlagSet("test", flag.ContinueOnError)
		down := flags.Bool("down", false, "")
		flags.String("sort", "", "")
		got, help, err := parseMixed(flags, strings.Fields(line))
		if *down {
			got = slices.Insert(got, 0, "true")
		}
		if help || err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v, %v, want %q", line, got, help, err, want)
		}
	}
}

// TestConfigVariable checks that commands read the file of PORTSYNCD_CONFIG, that -c has priority,
// and that the file must exist.
func TestConfigVariable(t *testing.T) {
	dir := t.TempDir()
	file := func(name, listen string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("[metrics]\nlisten = \""+listen+"\"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv(configVariable, file("environment.conf", ":1"))
	load := func(c configFlag) string {
		cfg, err := c.load("status", new(bytes.Buffer))
		if err != nil {
			return err.Error()
		}
		return cfg.Metrics.Listen[0].String()
	}
	if got := load(configFlag{}); got != ":1" {
		t.Errorf("without -c: listen is %q, want :1", got)
	}
	if got := load(configFlag{file: file("option.conf", ":2"), required: true}); got != ":2" {
		t.Errorf("with -c: listen is %q, want :2", got)
	}
	t.Setenv(configVariable, filepath.Join(dir, "none.conf"))
	if got := load(configFlag{}); !strings.Contains(got, "none.conf") {
		t.Errorf("without the file: got %q, want an error", got)
	}
}

// TestFileProblems checks the descriptions of missing, wrong and mismatching files.
func TestFileProblems(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.pem")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		settings string
		want     []string // one element for each problem
	}{
		{"", nil},
		{"[metrics]\ntls_cert_file = \"/none/c.pem\"\ntls_key_file = \"/none/k.pem\"\n", []string{
			`a.conf:2: metrics.tls_cert_file "/none/c.pem": no such file or directory; expected a PEM file with the certificate`,
			`a.conf:3: metrics.tls_key_file "/none/k.pem": no such file or directory; expected a PEM file with the private key`}},
		{"[metrics]\ntls_cert_file = \"" + text + "\"\ntls_key_file = \"" + text + "\"\n", []string{`metrics.tls_cert_file`}},
		{"[database]\npassword_file = \"/none/p\"\n", []string{"one line with the password"}},
	} {
		cfg, err := config.Parse("a.conf", []byte(c.settings))
		if err != nil {
			t.Fatal(err)
		}
		got := fileProblems(&cfg)
		if len(got) != len(c.want) {
			t.Errorf("%q: got %q, want %d problems", c.settings, got, len(c.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%q: got %q, want %q", c.settings, got[i], c.want[i])
			}
		}
	}
}
