package security

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"portsyncd/internal/switchtest"
)

// secrets are texts that no output may contain, by what they are.
type secrets map[string]string

// absentFrom fails the test for each secret in a text.
func (s secrets) absentFrom(t *testing.T, where, text string) {
	t.Helper()
	for name, secret := range s {
		if at := strings.Index(text, secret); at >= 0 {
			t.Errorf("%s has the %s: ...%.80q", where, name, text[max(0, at-40):])
		}
	}
}

// TestSecretsNotExposed gives the daemon a key, a token, a password and credentials for pushes,
// lets clients send these and wrong ones in every place, and puts secrets where digests belong.
// Then it searches all output: the log at level debug, stdout, notifications, pages, files, /proc.
// Only check-config, which needs read access to the file, may print a digest, from which a weak
// password can be guessed.
func TestSecretsNotExposed(t *testing.T) {
	sw := switchtest.NewWithStorage(t)
	if sw == nil {
		return
	}
	const token, password, wrong, pushed = "token-0Hjw3kQz", "password-9XbT5fLm", "wrong-7GnR2sVc", "pushed-4MvC8dWy"
	a := switchtest.NewAuthority(t, "authority")
	certPEM, keyPEM := a.Issue("switch")
	file := func(name string) string { return filepath.Join(sw.Dir, name) }
	switchtest.WriteFile(t, file("cert.pem"), certPEM)
	sw.NoError("write the key", os.WriteFile(file("key.pem"), []byte(keyPEM), 0o600))
	sw.NoError("write the authorization", os.WriteFile(file("authorization"), []byte("Token "+pushed+"\n"), 0o600))
	digest := func(secret string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(secret))) }
	basic := func(secret string) string { return base64.StdEncoding.EncodeToString([]byte("admin:" + secret)) }
	plain := secrets{
		"token": token, "password": password, "password of a client's mistake": wrong,
		"password as a client sends it": basic(password), "wrong password as a client sends it": basic(wrong),
		"authorization of what is pushed": pushed,
		"key":                             strings.Split(keyPEM, "\n")[1],
	}
	all := secrets{"digest of the token": digest(token), "digest of the password": digest(password)}
	for name, secret := range plain {
		all[name] = secret
	}
	settings := fmt.Sprintf("save_interval_secs = 1\nexport_format = \"both\"\nlisten = [%q, %q]\n"+
		"tls_cert_file = %q\ntls_key_file = %q\nbearer_token_sha256 = %q\nbasic_username = \"admin\"\nbasic_password_sha256 = %q\n"+
		"[push]\nurl = \"http://127.0.0.1:1/write\"\ninterval_secs = 1\nauthorization_file = %q\n",
		switchtest.HTTPAddress, "unix:"+file("s"), file("cert.pem"), file("key.pem"), digest(token), digest(password), file("authorization"))
	sw.Do("CONFIG_DB", "HSET", "LOGGER|portsyncd", "LOGLEVEL", "DEBUG", "LOGOUTPUT", "SYSLOG")
	sw.WriteSettings("", settings)
	d := sw.BringUpSaved(switchtest.FewPorts)

	local, remote := switchtest.NewUnixClient(t, file("s")), switchtest.NewTLSClient(t, a, nil)
	local.AwaitCode("/healthz", 200)
	paths := []string{"/", "/nothing?token=" + wrong + "&x=" + token}
	for _, m := range regexp.MustCompile(`href="(/[^"]*)"`).FindAllStringSubmatch(local.Get("/"), -1) {
		paths = append(paths, m[1])
	}
	for _, path := range append(paths, "/metrics.json", "/metrics", "/ports", "/healthz", "/readyz") {
		for _, header := range []string{"Authorization: Bearer " + token, "Authorization: Basic " + basic(password),
			"Authorization: Bearer " + wrong, "Authorization: Basic " + basic(wrong), "X-Token: " + token, "Cookie: s=" + password} {
			for _, client := range []*switchtest.Client{local, remote} {
				got := client.Request("GET", path, header)
				all.absentFrom(t, client.Base+path, got.Body+fmt.Sprint(got.Header))
			}
		}
	}
	switchtest.RawRequest(t, switchtest.HTTPAddress, "GET /"+token+" HTTP/1.1\r\nAuthorization: Bearer "+token+"\r\n\r\n") // plain HTTP on a TLS port: an error response or a closed connection

	// Other digests, then secrets in their place, a broken key, and the end.
	sw.WriteSettings("", strings.Replace(settings, digest(token), digest("another"), 1))
	sw.Reload(d)
	for _, mistake := range []string{
		strings.Replace(settings, digest(token), token, 1),
		strings.Replace(settings, `"`+digest(password)+`"`, password, 1),
		strings.Replace(settings, digest(token), token+strings.Repeat("0", 64-len(token)), 1),
	} {
		sw.WriteSettings("", mistake)
		sw.Reload(d)
		out, err := exec.Command(sw.Binary, "check-config", sw.ConfigPath).CombinedOutput()
		if err == nil {
			t.Errorf("check-config accepts a secret as a digest: %s", out)
		}
		plain.absentFrom(t, "check-config of a bad file", string(out))
	}
	switchtest.WriteFile(t, file("cert.pem"), keyPEM)
	remote.TryRequest("GET", "/")
	sw.WriteSettings("", settings)
	sw.Reload(d)
	out, err := exec.Command(sw.Binary, "check-config", sw.ConfigPath).CombinedOutput()
	sw.NoError("check-config", err)
	plain.absentFrom(t, "check-config", string(out))
	for _, name := range []string{"cmdline", "environ"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.Cmd.Process.Pid, name))
		sw.NoError("read "+name, err)
		all.absentFrom(t, "/proc/PID/"+name, string(text))
	}
	sw.AwaitHistory(2)
	d.EndBySignal(syscall.SIGTERM, "with secrets")

	lines, _ := sw.Logs.From(0)
	if len(lines) < 20 {
		t.Errorf("only %d log lines", len(lines))
	}
	all.absentFrom(t, "the log", fmt.Sprint(lines))
	states, _ := d.Notifications.From(0)
	all.absentFrom(t, "a notification", fmt.Sprint(states))
	all.absentFrom(t, "stdout and stderr", d.Stdout.String()+d.Stderr.String())
	searched := 0
	for _, dir := range []string{filepath.Dir(sw.StatePath), sw.StorageDir} {
		sw.NoError("search "+dir, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			all.absentFrom(t, path, string(text))
			searched++
			return err
		}))
	}
	t.Logf("searched %d pages, %d log lines, %d files", len(paths)+5, len(lines), searched)
}
