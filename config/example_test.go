package config_test

import (
	"fmt"
	"strings"

	"portsyncd/config"
)

func ExampleParse() {
	c, err := config.Parse("portsyncd.conf", []byte(`
[metrics]
listn = ":9101"
retention_days = 90

[health]
max_stall_seconds = "10"
`))
	fmt.Println(err)
	fmt.Println("retention:", c.Metrics.Retention, "from", c.Origin("metrics.retention_days"))
	// Output:
	// portsyncd.conf:3:1: metrics.listn: unknown key; did you mean metrics.listen?
	// portsyncd.conf:7:21: health.max_stall_seconds: expected an integer from 1 to 3600 (seconds), got "10"
	// retention: 2160h0m0s from portsyncd.conf:4
}

func ExampleConfig_Diff() {
	running := config.Default()
	reread, err := config.Parse("portsyncd.conf", []byte("[database]\nredis_port = 6380\n[health]\naudit_interval_secs = 5\n"))
	if err != nil {
		fmt.Println(err)
	}
	for _, c := range running.Diff(reread) {
		when := "at the next start"
		if c.Live {
			when = "at once"
		}
		fmt.Println(c.Key, "from", c.Old, "to", c.New, when)
	}
	// Output:
	// database.redis_port from 6379 to 6380 at the next start
	// health.audit_interval_secs from 60 to 5 at once
}

func ExampleConfig_Effective() {
	c, _ := config.Parse("portsyncd.conf", []byte("metrics.listen = ['127.0.0.1:9101', 'unix:/run/portsyncd.sock']\n"))
	var text strings.Builder
	if err := c.Effective(&text, func(string) bool { return false }); err != nil {
		fmt.Println(err)
	}
	for line := range strings.Lines(text.String()) {
		if strings.Contains(line, "listen") || strings.Contains(line, "redis_port") {
			fmt.Print(line)
		}
	}
	// Output:
	// redis_port = 6379 # default
	// listen = ["127.0.0.1:9101", "unix:/run/portsyncd.sock"] # portsyncd.conf:1
}
