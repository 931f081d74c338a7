package config

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// Effective writes all settings as TOML. The comment after each setting contains its origin and, if
// the setting is not used, the reason. [Parse] reads back the same settings. exists reports whether
// a file exists. The output contains the digests of secrets and must be protected like the
// configuration file.
func (c *Config) Effective(w io.Writer, exists func(path string) bool) error {
	var b bytes.Buffer
	table := ""
	mapExists := c.Database.ConfigFile != "" && exists(c.Database.ConfigFile)
	for i := range schema {
		s := &schema[i]
		if s.table() != table {
			if table != "" {
				b.WriteByte('\n')
			}
			table = s.table()
			fmt.Fprintf(&b, "[%s]\n", table)
		}
		fmt.Fprintf(&b, "%s = %s # %s%s\n", s.name(), s.encode(c), c.Origin(s.key), c.overridden(s.key, mapExists))
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}

// overridden returns the reason why the setting with the given key has no effect, or "" if it has
// an effect.
func (c *Config) overridden(key string, mapExists bool) string {
	table, name, _ := strings.Cut(key, ".")
	switch {
	case key == "daemon.log_level":
		return "; used until the LOGGER row of CONFIG_DB is read"
	case key == "database.user" && c.Database.PasswordFile == "":
		return "; not used: database.password_file is not set"
	case key == "database.user", key == "database.password_file":
		return ""
	case table == "database" && name != "config_file" && mapExists:
		return "; not used: " + printable(c.Database.ConfigFile) + " exists"
	case (key == "database.redis_host" || key == "database.redis_port") && c.Database.UnixSocket != "":
		return "; not used: database.unix_socket is set"
	case key == "warm_restart.state_file" && !c.WarmRestart.Enabled:
		return "; not used: warm_restart.enabled is false"
	case table == "metrics" && name != "enabled" && name != "per_port" && !c.Metrics.Enabled:
		return "; not used: metrics.enabled is false"
	case table == "push" && name != "url" && c.Push.URL == "":
		return "; not used: push.url is empty"
	}
	return ""
}
