package http

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"portsyncd/internal/switchtest"
	"portsyncd/portsync"
)

// TestPortInfoLive changes the description of a port in CONFIG_DB of a real redis-server, also to
// hostile values, and checks that /ports, the metrics, the page and the status text show each value
// while the daemon runs.
func TestPortInfoLive(t *testing.T) {
	sw, _ := switchtest.NewWithRedis(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(2)
	sw.StartWith("[metrics]\nlisten = \"" + switchtest.HTTPAddress + "\"\n")
	sw.AddInterfaces(2)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	client.AwaitCode("/readyz", 200)
	for _, c := range []struct{ value, inJSON, inMetric, inText, inPage string }{
		{"to spine1 Eth1/1", "to spine1 Eth1/1", "to spine1 Eth1/1", "to spine1 Eth1/1", "to spine1 Eth1/1"},
		{"<script>alert(1)</script>", "<script>alert(1)</script>", "<script>alert(1)</script>", "<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"},
		{"a\"} 7\nb\x1b[2J\xff", "a\"} 7\nb\x1b[2J\ufffd", `a\"} 7\nb\\x1b[2J\\xff`, "a\"} 7\\x0ab\\x1b[2J\ufffd", `a&#34;} 7\x0ab\x1b[2J\xff`},
		{strings.Repeat("x", 300), strings.Repeat("x", 252) + "…", strings.Repeat("x", 252) + "…", "xxxxxxxx", strings.Repeat("x", 252) + "…"},
	} {
		sw.Do("CONFIG_DB", "HSET", "PORT|Ethernet4", "description", c.value)
		switchtest.Eventually(t, switchtest.Timeout, func() string {
			var d struct{ Ports []portsync.PortView }
			if err := json.Unmarshal([]byte(client.Get("/ports")), &d); err != nil || len(d.Ports) != 2 ||
				d.Ports[1].PortInfo != (portsync.PortInfo{Alias: "etp1", Description: c.inJSON, Speed: "100000", Lanes: "1"}) {
				return fmt.Sprintf("%q: %v, /ports has %+v", c.value, err, d.Ports)
			}
			return ""
		})
		if want := `portsyncd_port_info{port="Ethernet4",alias="etp1",description="` + c.inMetric + `",speed="100000",lanes="1",index=""} 1`; !strings.Contains(client.Get("/metrics"), want+"\n") {
			t.Errorf("%q: the metrics do not have %s", c.value, want)
		}
		if page := client.Get("/"); !strings.Contains(page, c.inPage) || strings.Contains(page, "<script>alert") {
			t.Errorf("%q: the page does not have %s", c.value, c.inPage)
		}
		r := sw.RunStatus([]string{"LC_ALL=C.UTF-8"}, "--address", switchtest.HTTPAddress, "--width", "200")
		if !strings.Contains(r.Stdout, c.inText) || strings.Contains(r.Stdout, "\x1b") {
			t.Errorf("%q: status prints\n%s%s", c.value, r.Stdout, r.Stderr)
		}
	}
	r := sw.RunStatus(nil, "etp1", "--address", switchtest.HTTPAddress) // by the alias
	for _, want := range []string{"\nport       Ethernet4, alias etp1\n", "\nspeed      100G, lanes 1\n", "\nevents     "} {
		if !strings.Contains(r.Stdout, want) || strings.Contains(r.Stdout, "not available") {
			t.Errorf("status etp1 does not print %q:\n%s%s", want, r.Stdout, r.Stderr)
		}
	}
	sw.Do("CONFIG_DB", "HDEL", "PORT|Ethernet4", "description")
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if text := client.Get("/ports"); strings.Contains(text, "description") {
			return text
		}
		return ""
	})
}
