package status

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/cli"
	"portsyncd/internal/daemon"
	"portsyncd/internal/statusview"
	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// TestStatusOfDaemon queries a running daemon at every kind of configured address, and daemons
// that are unhealthy or do not run.
func TestStatusOfDaemon(t *testing.T) {
	sw, r := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	hash := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	secrets := fmt.Sprintf("bearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n", hash("token"), hash("password"))
	socket := filepath.Join(sw.Dir, "s")
	listen := fmt.Sprintf("[metrics]\nlisten = [\":9101\", %q]\n", "unix:"+socket)
	d := sw.StartWith(listen + secrets)
	sw.AddInterfaces(2)
	switchtest.NewUnixClient(t, socket).AwaitCode("/healthz", 200)

	conf := sw.WriteConfig(listen + secrets)
	sw.RunStatus(nil, "-c", conf).CheckStatus(t, "by the socket, without credentials")
	sw.RunStatus(nil, "--address", "unix:"+socket).CheckStatus(t, "by the socket that is named")

	// From here on the configuration does not have the socket.
	tcp := filepath.Join(sw.Dir, "tcp.conf")
	switchtest.WriteFile(t, tcp, "[metrics]\nlisten = \":9101\"\n"+secrets)
	tokenFile := filepath.Join(sw.Dir, "token")
	switchtest.WriteFile(t, tokenFile, "token\n")
	sw.RunStatus([]string{"PORTSYNCD_TOKEN=token"}, "-c", tcp).CheckStatus(t, "by TCP with a token")
	sw.RunStatus(nil, "-c", tcp, "--token-file", tokenFile).CheckStatus(t, "by TCP with a token of a file")
	sw.RunStatus([]string{"PORTSYNCD_PASSWORD=password"}, "-c", tcp).CheckStatus(t, "by TCP with a password and the configured name")
	sw.RunStatus([]string{"PORTSYNCD_PASSWORD=password"}, "--address", switchtest.HTTPAddress, "--user", "admin").CheckStatus(t, "by TCP with name and password")
	sw.RunStatus(nil, "-c", tcp).CheckFailure(t, "without credentials", cli.ExitUnknown, ":9101", "401", "PORTSYNCD_TOKEN")
	sw.RunStatus([]string{"PORTSYNCD_TOKEN=guess"}, "-c", tcp).CheckFailure(t, "with a wrong token", cli.ExitUnknown, "401")

	text := sw.RunStatus(nil, "-c", conf, "--json")
	s, err := statusview.DecodeStatus([]byte(text.Stdout))
	if err != nil || text.Code != daemon.ExitOK || len(s.Ports) != 2 || s.Ports[1].Name != "Ethernet4" || s.Ports[1].Oper != "up" ||
		s.PID != d.Cmd.Process.Pid || s.Start.Kind != "cold" || !s.Start.InitDone || len(s.Restarts) != 1 {
		t.Errorf("status %d, %v:\n%s", text.Code, err, text.Stdout)
	}

	r.Stop()
	sw.CloseConns()
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		r := sw.RunStatus(nil, "-c", conf)
		if r.Code != cli.ExitUnhealthy || !strings.Contains(r.Stdout, "daemon     unhealthy") || !strings.Contains(r.Stdout, "database_down") {
			return fmt.Sprintf("without a database: status %d\n%s%s", r.Code, r.Stdout, r.Stderr)
		}
		return ""
	})
	d.Kill()
	sw.RunStatus(nil, "-c", conf).CheckFailure(t, "without a daemon", cli.ExitNoDaemon,
		"no daemon at unix:"+socket, "connection refused", ":9101", "check that portsyncd is running", conf+":2")
}

// TestStatusTLS checks that the command trusts the daemon's own certificate, or one of a given
// authority, and sends its own certificate if the daemon asks.
func TestStatusTLS(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	file := func(name, text string) string {
		path := filepath.Join(sw.Dir, name)
		switchtest.WriteFile(t, path, text)
		return path
	}
	switches, clients, others := switchtest.NewAuthority(t, "switches"), switchtest.NewAuthority(t, "clients"), switchtest.NewAuthority(t, "others")
	cert, key := switches.Issue("switch")
	certFile, keyFile := file("cert.pem", cert), file("key.pem", key)
	settings := fmt.Sprintf("[metrics]\nlisten = %q\ntls_cert_file = %q\ntls_key_file = %q\ntls_client_ca_file = %q\n",
		switchtest.HTTPAddress, certFile, keyFile, file("clients.pem", clients.PEM))
	cert, key = clients.Issue("client")
	shown := []string{"--cert", file("client.pem", cert), "--key", file("client.key", key)}
	ask := func(conf string, args ...string) switchtest.CommandResult {
		t.Helper()
		return sw.RunStatus(nil, append([]string{"-c", conf}, args...)...)
	}
	sw.StartWith(settings)
	sw.AddInterfaces(2)
	conf := sw.WriteConfig(settings)
	switchtest.NewTLSClient(t, switches, clients).AwaitCode("/healthz", 200)

	ask(conf, shown...).CheckStatus(t, "with the daemon's own certificate")
	ask(conf).CheckFailure(t, "without a certificate of ours", cli.ExitUnknown, switchtest.HTTPAddress, "--cert")
	url := []string{"--address", "https://" + switchtest.HTTPAddress}
	elsewhere := file("elsewhere.conf", "[metrics]\n")
	named := append([]string{"--ca", file("switches.pem", switches.PEM)}, shown...)
	ask(elsewhere, append(url, named...)...).CheckStatus(t, "with an authority")
	ask(elsewhere, append(url, shown...)...).CheckFailure(t, "with the system's authorities", cli.ExitUnknown, "not trusted", "--ca")
	wrong := append([]string{"--ca", file("others.pem", others.PEM)}, shown...)
	ask(elsewhere, append(url, wrong...)...).CheckFailure(t, "with another authority", cli.ExitUnknown, "not trusted")
	ask(elsewhere, "--address", switchtest.HTTPAddress).CheckFailure(t, "without TLS", cli.ExitUnknown, "400", "https://")
	cert, key = others.Issue("client")
	strangers := []string{"--cert", file("stranger.pem", cert), "--key", file("stranger.key", key)}
	ask(conf, strangers...).CheckFailure(t, "with a certificate of another authority", cli.ExitUnknown, switchtest.HTTPAddress)
}

// TestStatusOptions checks that an error in the command line or in a file is printed as one line,
// with an exit status that is not a health.
func TestStatusOptions(t *testing.T) {
	t.Parallel()
	path := switchtest.Binary(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		switchtest.WriteFile(t, filepath.Join(dir, name), text)
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
		{"sort order", []string{"--sort", "size"}, []string{`"size"`, "changes"}},
		{"no such configuration", []string{"-c", dir + "/none.conf"}, []string{"none.conf"}},
		{"address without port", []string{"--address", "localhost"}, []string{`"localhost"`, "must be"}},
		{"address of another kind", []string{"--address", "ftp://localhost"}, []string{"ftp", "must be"}},
		{"relative socket", []string{"--address", "unix:s"}, []string{"unix:s", "must be"}},
		{"secret in the address", []string{"--address", "http://admin:password@localhost:1"}, []string{"credentials"}},
		{"watch too fast", []string{"--watch=0"}, []string{"watch", "0.1"}},
		{"watch of nothing", []string{"--watch=NaN"}, []string{"watch", "0.1"}},
		{"color", []string{"--color", "red"}, []string{`"red"`, "auto"}},
		{"width", []string{"--width", "1"}, []string{"40"}},
		{"certificate without key", []string{"--cert", empty}, []string{"--key"}},
		{"no certificate", []string{"--ca", empty}, []string{"empty", "PEM"}},
		{"no token", []string{"--token-file", empty}, []string{"empty", "token"}},
		{"name without password", []string{"--user", "admin"}, []string{"PORTSYNCD_PASSWORD"}},
		{"metrics turned off", []string{"-c", off}, []string{"metrics.enabled"}},
		{"no listener", []string{"-c", nowhere}, []string{"metrics.listen"}},
	} {
		switchtest.RunCommand(t, path, nil, append([]string{"status"}, c.args...)...).CheckFailure(t, c.name, cli.ExitUnknown, append(c.words, "portsyncd status: ")...)
	}
	help := switchtest.RunCommand(t, path, nil, "status", "-h")
	if help.Code != daemon.ExitOK || help.Stderr != "" || !strings.HasPrefix(help.Stdout, "usage: portsyncd status") {
		t.Errorf("help: %+v", help)
	}
	bad := file("bad.conf", "[metrics]\nlisten_too = 1\n")
	r := switchtest.RunCommand(t, path, nil, "status", "-c", bad, "--address", "127.0.0.1:1")
	if r.Code != cli.ExitNoDaemon || !strings.Contains(r.Stderr, "bad.conf:2:") || !strings.Contains(r.Stderr, "127.0.0.1:1 ") {
		t.Errorf("with a bad setting: %+v, want the setting named and the daemon queried", r)
	}
}

// TestStatusExit checks that the exit status is the daemon's health, and that texts of the daemon
// cannot control the terminal.
func TestStatusExit(t *testing.T) {
	t.Parallel()
	path := switchtest.Binary(t)
	s := someStatus(512)
	address := serveStatus(t, s)
	best := time.Hour
	for range 5 {
		r := switchtest.RunCommand(t, path, nil, "status", "--address", address)
		if r.Code != daemon.ExitOK || len(regexp.MustCompile(`(?m)^Ethernet\d+ `).FindAllString(r.Stdout, -1)) != 512 || strings.Contains(r.Stdout, "\x1b") {
			t.Fatalf("status %d, %q\n%s", r.Code, r.Stderr, r.Stdout)
		}
		best = min(best, r.Duration)
	}
	t.Logf("512 ports: %v from exec to exit, the best of 5 runs", best.Round(100*time.Microsecond))
	if best > 2*time.Second {
		t.Errorf("512 ports: %v, want 100 ms on an idle machine", best)
	}
	for health, code := range map[string]int{portsync.Healthy: daemon.ExitOK, portsync.Degraded: cli.ExitDegraded, portsync.Unhealthy: cli.ExitUnhealthy} {
		s := someStatus(1)
		s.Health.Status = health
		s.Ports[0].Name = "Eth\x1b]0;x\x07\xff"
		s.Host = "leaf\u202e\u009b1m"
		address := serveStatus(t, s)
		for _, args := range [][]string{{}, {"--json"}} {
			r := switchtest.RunCommand(t, path, nil, append([]string{"status", "--address", address}, args...)...)
			if r.Code != code {
				t.Errorf("%s %q: status %d, want %d", health, args, r.Code, code)
			}
			for i, b := range []byte(r.Stdout) {
				if b < ' ' && b != '\n' || b >= 0x7f {
					t.Errorf("%q: byte %#x after %q", args, b, r.Stdout[max(0, i-20):i])
					break
				}
			}
			if want := map[int]string{0: `Eth\x1b]0;x\x07\xff`, 1: `"name_hex":"4574681b5d303b7807ff"`}[len(args)]; !strings.Contains(r.Stdout, want) {
				t.Errorf("%q: no %q in %s", args, want, r.Stdout)
			}
		}
	}
	colors := switchtest.RunCommand(t, path, []string{"NO_COLOR=1"}, "status", "--address", address, "--color", "always", "--width", "200")
	if !strings.Contains(colors.Stdout, "\x1b[32msync,") || !strings.Contains(colors.Stdout, "IFINDEX") {
		t.Errorf("with colors at 200 columns:\n%.2000s", colors.Stdout)
	}
}
