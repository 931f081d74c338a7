package config

import (
	"bytes"
	"fmt"
	"io"
)

// Effective writes all settings as TOML, each with a comment that tells where it
// came from. Parse reads the same settings back. Digests of secrets are written
// out: the text is for whoever may read the configuration file.
func (c *Config) Effective(w io.Writer) error {
	var b bytes.Buffer
	table := ""
	for i := range schema {
		s := &schema[i]
		if s.table() != table {
			if table != "" {
				b.WriteByte('\n')
			}
			table = s.table()
			fmt.Fprintf(&b, "[%s]\n", table)
		}
		fmt.Fprintf(&b, "%s = %s # %s\n", s.name(), s.encode(c), c.Origin(s.key))
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write settings: %w", err)
	}
	return nil
}
