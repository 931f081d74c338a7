package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"portsyncd/insight"
	"portsyncd/portsync"
)

// ran is one run of a command to its end.
type ran struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// runCommand runs the binary with an environment of its own, beside PATH and a
// UTF-8 locale.
func runCommand(t *testing.T, binary string, env []string, args ...string) ran {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}, env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begun := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %q: %v", args, err)
	}
	return ran{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(begun)}
}

// status runs "portsyncd status".
func (c *cell) status(env []string, args ...string) ran {
	c.t.Helper()
	return runCommand(c.t, c.binary, env, append([]string{"status"}, args...)...)
}

// answers fails the test unless a run printed a status of two ports.
func (r ran) answers(t *testing.T, what string) {
	t.Helper()
	if r.code != exitOK || r.stderr != "" || !strings.Contains(r.stdout, "health     healthy") || !strings.Contains(r.stdout, "\nEthernet4 ") {
		t.Errorf("%s: status %d, stderr %q\n%s", what, r.code, r.stderr, r.stdout)
	}
}

// refuses fails the test unless a run ended with code, one line on stderr that
// has all of the words, and nothing on stdout.
func (r ran) refuses(t *testing.T, what string, code int, words ...string) {
	t.Helper()
	if r.code != code || r.stdout != "" || strings.Count(r.stderr, "\n") != 1 {
		t.Errorf("%s: status %d, stdout %.200q, stderr %q, want status %d and one line", what, r.code, r.stdout, r.stderr, code)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			t.Errorf("%s: no %q in %q", what, word, r.stderr)
		}
	}
}

// TestStatusOfDaemon asks a running daemon where its configuration says that it
// listens, whatever is in its way, and a daemon that is not well or not there.
func TestStatusOfDaemon(t *testing.T) {
	c, r := newRedisCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	secrets := fmt.Sprintf("bearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n", hash("token"), hash("password"))
	socket := filepath.Join(c.dir, "s")
	listen := fmt.Sprintf("[metrics]\nlisten = [\":9101\", %q]\n", "unix:"+socket)
	d := c.startWith(listen + secrets)
	c.plug(2)
	newUnixSite(t, socket).await("/healthz", 200)

	conf := c.config(listen + secrets)
	c.status(nil, "-c", conf).answers(t, "by the socket, without credentials")
	c.status(nil, "--address", "unix:"+socket).answers(t, "by the socket that is named")

	// From here on the socket is not in the configuration that is read.
	tcp := filepath.Join(c.dir, "tcp.conf")
	writeFile(t, tcp, "[metrics]\nlisten = \":9101\"\n"+secrets)
	tokenFile := filepath.Join(c.dir, "token")
	writeFile(t, tokenFile, "token\n")
	c.status([]string{"PORTSYNCD_TOKEN=token"}, "-c", tcp).answers(t, "by TCP with a token")
	c.status(nil, "-c", tcp, "--token-file", tokenFile).answers(t, "by TCP with a token of a file")
	c.status([]string{"PORTSYNCD_PASSWORD=password"}, "-c", tcp).answers(t, "by TCP with a password and the configured name")
	c.status([]string{"PORTSYNCD_PASSWORD=password"}, "--address", httpAddress, "--user", "admin").answers(t, "by TCP with name and password")
	c.status(nil, "-c", tcp).refuses(t, "without credentials", exitUnclear, ":9101", "401", "PORTSYNCD_TOKEN")
	c.status([]string{"PORTSYNCD_TOKEN=guess"}, "-c", tcp).refuses(t, "with a wrong token", exitUnclear, "401")

	text := c.status(nil, "-c", conf, "--json")
	s, err := insight.DecodeStatus([]byte(text.stdout))
	if err != nil || text.code != exitOK || len(s.Ports) != 2 || s.Ports[1].Name != "Ethernet4" || s.Ports[1].Oper != "up" ||
		s.PID != d.cmd.Process.Pid || s.Start.Kind != "cold" || !s.Start.InitDone || len(s.Restarts) != 1 {
		t.Errorf("status %d, %v:\n%s", text.code, err, text.stdout)
	}

	r.kill()
	c.hangUp()
	eventually(t, patience, func() string {
		r := c.status(nil, "-c", conf)
		if r.code != exitUnhealthy || !strings.Contains(r.stdout, "health     unhealthy") || !strings.Contains(r.stdout, "database_down") {
			return fmt.Sprintf("without a database: status %d\n%s%s", r.code, r.stdout, r.stderr)
		}
		return ""
	})
	d.kill()
	c.status(nil, "-c", conf).refuses(t, "without a daemon", exitNoDaemon,
		"no daemon at unix:"+socket, "connection refused", ":9101", "expected", conf+":2")
}

// TestStatusTLS trusts the daemon's own certificate, or one by an authority that
// is named, and shows its own to a daemon that asks.
func TestStatusTLS(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(2)
	file := func(name, text string) string {
		path := filepath.Join(c.dir, name)
		writeFile(t, path, text)
		return path
	}
	switches, clients, others := newAuthority(t, "switches"), newAuthority(t, "clients"), newAuthority(t, "others")
	cert, key := switches.issue("switch")
	certFile, keyFile := file("cert.pem", cert), file("key.pem", key)
	settings := fmt.Sprintf("[metrics]\nlisten = %q\ntls_cert_file = %q\ntls_key_file = %q\ntls_client_ca_file = %q\n",
		httpAddress, certFile, keyFile, file("clients.pem", clients.pem))
	cert, key = clients.issue("client")
	shown := []string{"--cert", file("client.pem", cert), "--key", file("client.key", key)}
	ask := func(conf string, args ...string) ran {
		t.Helper()
		return c.status(nil, append([]string{"-c", conf}, args...)...)
	}
	c.startWith(settings)
	c.plug(2)
	conf := c.config(settings)
	secureSite(t, switches, clients).await("/healthz", 200)

	ask(conf, shown...).answers(t, "with the daemon's own certificate")
	ask(conf).refuses(t, "without a certificate of ours", exitUnclear, httpAddress, "--cert")
	url := []string{"--address", "https://" + httpAddress}
	elsewhere := file("elsewhere.conf", "[metrics]\n")
	named := append([]string{"--ca", file("switches.pem", switches.pem)}, shown...)
	ask(elsewhere, append(url, named...)...).answers(t, "with an authority")
	ask(elsewhere, append(url, shown...)...).refuses(t, "with the system's authorities", exitUnclear, "not to be trusted", "--ca")
	wrong := append([]string{"--ca", file("others.pem", others.pem)}, shown...)
	ask(elsewhere, append(url, wrong...)...).refuses(t, "with another authority", exitUnclear, "not to be trusted")
	ask(elsewhere, "--address", httpAddress).refuses(t, "without TLS", exitUnclear, "400", "https://")
	cert, key = others.issue("client")
	strangers := []string{"--cert", file("stranger.pem", cert), "--key", file("stranger.key", key)}
	ask(conf, strangers...).refuses(t, "with a certificate of another authority", exitUnclear, httpAddress)
}

// TestStatusOptions: what is wrong with the command line or a file is said in one
// line, and is no verdict on the daemon.
func TestStatusOptions(t *testing.T) {
	t.Parallel()
	path := binary(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		writeFile(t, filepath.Join(dir, name), text)
		return filepath.Join(dir, name)
	}
	empty := file("empty", "")
	off, nowhere := file("off.conf", "[metrics]\nenabled = false\n"), file("nowhere.conf", "[metrics]\nlisten = []\n")
	for _, c := range []struct {
		name  string
		args  []string
		words []string
	}{
		{"unknown option", []string{"--nonsense"}, []string{"nonsense"}},
		{"argument", []string{"now"}, []string{`"now"`}},
		{"no such configuration", []string{"-c", dir + "/none.conf"}, []string{"none.conf"}},
		{"address without port", []string{"--address", "localhost"}, []string{`"localhost"`, "expected"}},
		{"address of another kind", []string{"--address", "ftp://localhost"}, []string{"ftp", "expected"}},
		{"relative socket", []string{"--address", "unix:s"}, []string{"unix:s", "expected"}},
		{"secret in the address", []string{"--address", "http://admin:password@localhost:1"}, []string{"credentials"}},
		{"watch too fast", []string{"--watch=0"}, []string{"watch", "0.1"}},
		{"watch of nothing", []string{"--watch=NaN"}, []string{"watch", "0.1"}},
		{"colour", []string{"--color", "red"}, []string{`"red"`, "auto"}},
		{"width", []string{"--width", "1"}, []string{"40"}},
		{"certificate without key", []string{"--cert", empty}, []string{"--key"}},
		{"no certificate", []string{"--ca", empty}, []string{"empty", "PEM"}},
		{"no token", []string{"--token-file", empty}, []string{"empty", "token"}},
		{"name without password", []string{"--user", "admin"}, []string{"PORTSYNCD_PASSWORD"}},
		{"metrics turned off", []string{"-c", off}, []string{"metrics.enabled"}},
		{"no listener", []string{"-c", nowhere}, []string{"metrics.listen"}},
	} {
		runCommand(t, path, nil, append([]string{"status"}, c.args...)...).refuses(t, c.name, exitUnclear, append(c.words, "portsyncd status: ")...)
	}
	help := runCommand(t, path, nil, "status", "-h")
	if help.code != exitOK || help.stderr != "" || !strings.HasPrefix(help.stdout, "usage: portsyncd status") {
		t.Errorf("help: %+v", help)
	}
	bad := file("bad.conf", "[metrics]\nlisten_too = 1\n")
	r := runCommand(t, path, nil, "status", "-c", bad, "--address", "127.0.0.1:1")
	if r.code != exitNoDaemon || !strings.Contains(r.stderr, "bad.conf:2:") || !strings.Contains(r.stderr, "127.0.0.1:1 ") {
		t.Errorf("with a bad setting: %+v, want it named and the daemon asked", r)
	}
}

// TestStatusExit: the exit status is the daemon's health, and what it says in
// foreign words does not steer the terminal.
func TestStatusExit(t *testing.T) {
	t.Parallel()
	path := binary(t)
	s := someStatus(512)
	address := serveStatus(t, s)
	best := time.Hour
	for range 5 {
		r := runCommand(t, path, nil, "status", "--address", address)
		if r.code != exitOK || len(regexp.MustCompile(`(?m)^Ethernet\d+ `).FindAllString(r.stdout, -1)) != 512 || strings.Contains(r.stdout, "\x1b") {
			t.Fatalf("status %d, %q\n%s", r.code, r.stderr, r.stdout)
		}
		best = min(best, r.took)
	}
	t.Logf("512 ports: %v from exec to exit, the best of 5 runs", best.Round(100*time.Microsecond))
	if best > 2*time.Second {
		t.Errorf("512 ports: %v, want 100 ms on a machine with nothing else to do", best)
	}
	for health, code := range map[string]int{portsync.Healthy: exitOK, portsync.Degraded: exitDegraded, portsync.Unhealthy: exitUnhealthy} {
		s := someStatus(1)
		s.Health.Status = health
		s.Ports[0].Name = "Eth\x1b]0;x\x07\xff"
		s.Host = "leaf\u202e\u009b1m"
		address := serveStatus(t, s)
		for _, args := range [][]string{{}, {"--json"}} {
			r := runCommand(t, path, nil, append([]string{"status", "--address", address}, args...)...)
			if r.code != code {
				t.Errorf("%s %q: status %d, want %d", health, args, r.code, code)
			}
			for i, b := range []byte(r.stdout) {
				if b < ' ' && b != '\n' || b >= 0x7f {
					t.Errorf("%q: byte %#x after %q", args, b, r.stdout[max(0, i-20):i])
					break
				}
			}
			if want := map[int]string{0: `Eth\x1b]0;x\x07\xff`, 1: `"name_hex":"4574681b5d303b7807ff"`}[len(args)]; !strings.Contains(r.stdout, want) {
				t.Errorf("%q: no %q in %s", args, want, r.stdout)
			}
		}
	}
	colors := runCommand(t, path, []string{"NO_COLOR=1"}, "status", "--address", address, "--color", "always", "--width", "200")
	if !strings.Contains(colors.stdout, "\x1b[32mhealthy") || !strings.Contains(colors.stdout, "IFINDEX") {
		t.Errorf("with colours at 200 columns:\n%.2000s", colors.stdout)
	}
}
