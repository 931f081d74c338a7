package http

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

// ports returns the ports in /ports, without the attributes from CONFIG_DB.
func ports(client *switchtest.Client) []switchtest.ReportedPort {
	client.T.Helper()
	var document struct {
		Schema int
		Ports  []switchtest.ReportedPort
	}
	if err := json.Unmarshal([]byte(client.Get("/ports")), &document); err != nil || document.Schema != 1 {
		client.T.Fatalf("/ports: schema %d, %v", document.Schema, err)
	}
	for i := range document.Ports {
		document.Ports[i].Speed, document.Ports[i].Lanes = "", ""
	}
	return document.Ports
}

// kernelPorts returns the kernel's interfaces in the form of /ports.
func kernelPorts(t switchtest.T) []switchtest.ReportedPort {
	t.Helper()
	var all []switchtest.ReportedPort
	err := netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if !strings.HasPrefix(string(l.Name), "Ethernet") {
			return
		}
		all = append(all, switchtest.ReportedPort{
			Name: string(l.Name), State: "present", Present: true, Written: true, Index: l.Index, MTU: l.MTU,
			Admin: switchtest.UpOrDown(l.Up()), Oper: switchtest.UpOrDown(l.Running()),
			CarrierUp: l.CarrierUp, CarrierDown: l.CarrierDown,
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b switchtest.ReportedPort) int {
		if len(a.Name) != len(b.Name) {
			return len(a.Name) - len(b.Name)
		}
		return strings.Compare(a.Name, b.Name)
	})
	return all
}

// samePorts compares /ports and the series of each port with the kernel. missing names the
// configured ports without an interface.
func samePorts(client *switchtest.Client, absent ...string) string {
	client.T.Helper()
	want, got, e := kernelPorts(client.T), ports(client), client.Scrape()
	for _, name := range absent {
		i := slices.IndexFunc(got, func(p switchtest.ReportedPort) bool { return p.Name == name })
		if i < 0 || got[i] != (switchtest.ReportedPort{Name: name, State: "absent", Written: true, Configured: true, LastChange: got[i].LastChange}) {
			return fmt.Sprintf("/ports is %+v, want %s to be absent", got, name)
		}
		got = slices.Delete(got, i, i+1)
		for series, value := range map[string]float64{"present": 0, "written": 1, "admin_up": 0, "oper_up": 0, "mtu_bytes": 0} {
			if v := e.Value(client.T, fmt.Sprintf(`portsyncd_port_%s{port="%s"}`, series, name)); v != value {
				return fmt.Sprintf("%s: %s is %v, want %v", name, series, v, value)
			}
		}
	}
	for i := range got {
		got[i].LastChange, got[i].Configured = time.Time{}, false
	}
	if !slices.Equal(got, want) {
		return fmt.Sprintf("/ports is %+v, the kernel says %+v", got, want)
	}
	for _, p := range want {
		label := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.Name)
		for name, value := range map[string]float64{
			"admin_up": float64(switchtest.UpToInt(p.Admin)), "oper_up": float64(switchtest.UpToInt(p.Oper)), "mtu_bytes": float64(p.MTU),
			"carrier_up_changes_total": float64(p.CarrierUp), "carrier_down_changes_total": float64(p.CarrierDown),
			"present": 1, "written": 1,
		} {
			full := fmt.Sprintf(`portsyncd_port_%s{port="%s"}`, name, label)
			if v, ok := e.Samples[full]; !ok || v != value {
				return fmt.Sprintf("%s is %v (exists: %v), the kernel has %v", full, v, ok, value)
			}
		}
	}
	series, families := 0, make(map[string]bool)
	for full := range e.Samples {
		if family, _, ok := strings.Cut(full, `{port="`); ok {
			series++
			families[family] = true
		}
	}
	if want := len(families) * (len(want) + len(absent)); series != want {
		return fmt.Sprintf("%d series of ports, want %d", series, want)
	}
	return ""
}

// TestHTTPPorts compares what the daemon shows of each port with the kernel while ports are added,
// changed, flapped and deleted, some with names that must be escaped.
func TestHTTPPorts(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	begin := time.Now()
	sw.ConfigurePorts(3)
	sw.StartReady()
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	for _, p := range ports(client) {
		if p.Present || !p.InitPending || p.MTU != 0 {
			t.Errorf("a port without an interface: %+v", p)
		}
	}
	if n := len(ports(client)); n != 3 {
		t.Errorf("%d ports are pending, want 3", n)
	}
	sw.AddInterfaces(3)
	odd := `Ethernet"\8`
	sw.Do("APPL_DB", "HSET", "PORT_TABLE:"+odd, "lanes", "8")
	sw.AddPort(odd)
	same := func(when string, absent ...string) {
		t.Helper()
		// The kernel delays messages about the carrier by up to a second.
		took := switchtest.Eventually(t, 2*switchtest.SyncTimeout, func() string { return samePorts(client, absent...) })
		t.Logf("%s: shown after %v", when, took.Round(time.Millisecond))
	}
	same("all ports")

	first := switchtest.PortName(0)
	carrier := func() (up, down float64) {
		e := client.Scrape()
		return e.Value(t, `portsyncd_port_carrier_up_changes_total{port="`+first+`"}`),
			e.Value(t, `portsyncd_port_carrier_down_changes_total{port="`+first+`"}`)
	}
	up, down := carrier()
	const flaps = 20 // faster than the kernel sends messages
	for i := range flaps {
		sw.NoError("flap", sw.Links.SetUp(switchtest.PeerName(first), i%2 == 1))
	}
	sw.NoError("flap", sw.Links.SetUp(switchtest.PeerName(first), false))
	same("flaps")
	if u, d := carrier(); u != up+flaps/2 || d != down+flaps/2+1 {
		t.Errorf("%v link-up and %v link-down transitions, want %d and %d", u-up, d-down, flaps/2, flaps/2+1)
	}

	sw.IPLink("link set "+switchtest.PortName(1)+" mtu 1400", "link set "+switchtest.PortName(2)+" down")
	same("MTU and admin state")
	sw.NoError("delete", sw.Links.Delete(switchtest.PortName(1)))
	sw.NoError("delete", sw.Links.Delete(odd))
	same("two ports gone", switchtest.PortName(1))
	sw.AddPort(switchtest.PortName(1))
	same("one is back")
	for _, p := range ports(client) {
		if p.LastChange.Before(begin) || p.LastChange.After(time.Now()) {
			t.Errorf("%s changed last at %v", p.Name, p.LastChange)
		}
	}
}
