package config

import "testing"

// TestStateDir checks the order of preference for the default directory.
func TestStateDir(t *testing.T) {
	const nothing, warmboot = false, true
	tests := []struct {
		name        string
		hasWarmboot bool
		env         string
		dir, why    string
	}{
		{"switch", warmboot, "", "/var/warmboot/portsyncd", "/var/warmboot exists"},
		{"switch, with systemd", warmboot, "/var/lib/x", "/var/warmboot/portsyncd", "/var/warmboot exists"},
		{"systemd", nothing, "/var/lib/x", "/var/lib/x", "from STATE_DIRECTORY"},
		{"systemd with several", nothing, "/var/lib/x/:/var/lib/y", "/var/lib/x", "from STATE_DIRECTORY"},
		{"relative STATE_DIRECTORY", nothing, "x", "/var/lib/sonic/portsyncd", ""},
		{"neither", nothing, "", "/var/lib/sonic/portsyncd", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			getenv := func(name string) string {
				if name == "STATE_DIRECTORY" {
					return tt.env
				}
				return "/wrong"
			}
			exists := func(dir string) bool { return tt.hasWarmboot && dir == "/var/warmboot" }
			dir, why := StateDir(getenv, exists)
			if dir != tt.dir || why != tt.why {
				t.Errorf("StateDir = %q, %q, want %q, %q", dir, why, tt.dir, tt.why)
			}

			c := Default()
			unresolved := c
			c.ResolvePaths(getenv, exists)
			if c.WarmRestart.StateFile != tt.dir+"/port_state.json" || c.Metrics.StoragePath != tt.dir+"/metrics" {
				t.Errorf("paths %q and %q, want them in %q", c.WarmRestart.StateFile, c.Metrics.StoragePath, tt.dir)
			}
			want := "default"
			if tt.why != "" {
				want += " (" + tt.why + ")"
			}
			if got := c.Origin("metrics.storage_path"); got != want || c.IsSet("metrics.storage_path") {
				t.Errorf("origin %q, want %q", got, want)
			}
			if unresolved.Origin("metrics.storage_path") != "default" {
				t.Error("an earlier copy changed")
			}
		})
	}
}

func TestResolvePathsKeepsTheFilesPaths(t *testing.T) {
	parsed := mustParse(t, "warm_restart.state_file = '/a/b.json'\nmetrics.storage_path = ''\n")
	c := parsed
	c.ResolvePaths(func(string) string { return "" }, func(string) bool { return true })
	if c.WarmRestart.StateFile != "/a/b.json" || c.Origin("warm_restart.state_file") != "portsyncd.conf:1" {
		t.Errorf("state_file %q from %q, want the value in the file", c.WarmRestart.StateFile, c.Origin("warm_restart.state_file"))
	}
	if c.Metrics.StoragePath != "/var/warmboot/portsyncd/metrics" {
		t.Errorf(`storage_path = "" resolved to %q`, c.Metrics.StoragePath)
	}
	if parsed.Origin("metrics.storage_path") != "default" {
		t.Error("an earlier copy changed")
	}
}
