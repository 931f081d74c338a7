package config

import (
	"reflect"
	"strings"
	"testing"
)

const (
	openListener = "listen = '192.0.2.1:9101'\n"
	token        = "bearer_token_sha256 = '" + hexDigest + "'\n"
	password     = "basic_username = 'u'\nbasic_password_sha256 = '" + hexDigest + "'\n"
)

// TestReloadKeepsProtection checks that a reload does not combine the credentials of the new file
// with the listener of the old one, and does not remove the last credentials.
func TestReloadKeepsProtection(t *testing.T) {
	otherToken := strings.Replace(token, hexDigest[:2], "ff", 1)
	tests := []struct {
		name, running, next string
		taken               bool // the credentials of next take effect
		why                 string
	}{
		{"another token", openListener + token, openListener + otherToken, true, ""},
		{"a password for a token", openListener + token, openListener + password, true, ""},
		{"one of two", openListener + token + password, openListener + password, true, ""},
		{"a first token", openListener, openListener + token, true, ""},
		{"no token", openListener + token, openListener, false, "a reload does not remove the last credentials"},
		{"no password", openListener + password, openListener, false, "a reload does not remove the last credentials"},
		{"loopback without a token", openListener + token, "", false, "changes together with metrics.listen"},
		{"loopback with another token", openListener + token, otherToken, false, "changes together with metrics.listen"},
		{"another device", openListener + token, openListener + otherToken + "device = 'mgmt'\n", false, "changes together with metrics.device"},
		{"other TLS files", openListener + token, openListener + otherToken + "tls_cert_file = '/c'\ntls_key_file = '/k'\n", false, "changes together with metrics.tls_cert_file"},
		{"profiling", token, otherToken + "profiling = true\n", false, "changes together with metrics.profiling"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const interval = "save_interval_secs = 7\n"
			running := mustParse(t, "[metrics]\n"+tt.running)
			next := mustParse(t, "[metrics]\n"+tt.next+interval)
			inEffect, changes := running.Reload(next)
			want := &running
			if tt.taken {
				want = &next
			}
			got := [3]any{inEffect.Metrics.BearerTokenSHA256, inEffect.Metrics.BasicUsername, inEffect.Metrics.BasicPasswordSHA256}
			if got != [3]any{want.Metrics.BearerTokenSHA256, want.Metrics.BasicUsername, want.Metrics.BasicPasswordSHA256} {
				t.Errorf("credentials in effect: %v, want %v", !tt.taken, tt.taken)
			}
			if !reflect.DeepEqual(inEffect.Metrics.Listen, running.Metrics.Listen) || inEffect.Metrics.Device != "" || inEffect.Metrics.TLSCertFile != "" {
				t.Errorf("a setting that needs a restart took effect: %+v", inEffect.Metrics)
			}
			if inEffect.Metrics.SaveInterval != next.Metrics.SaveInterval {
				t.Error("another live setting did not take effect")
			}
			for _, c := range changes {
				switch c.Key {
				case "metrics.bearer_token_sha256", "metrics.basic_username", "metrics.basic_password_sha256":
					if c.Live != tt.taken || c.Why != tt.why {
						t.Errorf("%+v, want live %v, why %q", c, tt.taken, tt.why)
					}
				case "metrics.save_interval_secs":
					if !c.Live || c.Why != "" {
						t.Errorf("%+v, want it live", c)
					}
				default:
					if c.Live {
						t.Errorf("%+v, want it to need a restart", c)
					}
				}
			}
			// Reading the same file again has no further effect.
			again, repeated := inEffect.Reload(next)
			if d := inEffect.Diff(again); d != nil {
				t.Errorf("reading the file again changes %v", d)
			}
			for _, c := range repeated {
				if c.Live {
					t.Errorf("change is reported as live again: %+v", c)
				}
			}
		})
	}
}

// TestReloadOrigins checks that the origin of a setting in effect is the file it was read from.
func TestReloadOrigins(t *testing.T) {
	running := mustParse(t, "[health]\nmax_stall_seconds = 5\n[database]\nredis_port = 1\n")
	inEffect, _ := running.Reload(mustParse(t, "\n\n\n[health]\naudit_interval_secs = 5\n[database]\nredis_port = 2\n"))
	for key, want := range map[string]string{
		"health.max_stall_seconds":   "default",
		"health.audit_interval_secs": "portsyncd.conf:5",
		"database.redis_port":        "portsyncd.conf:4",
	} {
		if got := inEffect.Origin(key); got != want {
			t.Errorf("Origin(%s) = %q, want %q", key, got, want)
		}
	}
	if got := running.Origin("health.max_stall_seconds"); got != "portsyncd.conf:2" {
		t.Errorf("Reload modified its receiver: %q", got)
	}
}

// TestSetsNothing checks SetsNothing for empty files and files with a setting.
func TestSetsNothing(t *testing.T) {
	for src, want := range map[string]bool{
		"": true, " \n\n": true, "# all\n": true, "[daemon]\n": true, "[metrics]\nlisten = []\n": false, "health.max_stall_seconds = 10\n": false,
	} {
		if c := mustParse(t, src); c.SetsNothing() != want {
			t.Errorf("%q: SetsNothing %v, want %v", src, !want, want)
		}
	}
}
