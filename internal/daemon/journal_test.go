package daemon

import (
	"fmt"
	"testing"

	"portsyncd/portsync"
)

// TestFindPorts checks which of the names in an event query are aliases and which are unknown.
func TestFindPorts(t *testing.T) {
	alias := func(a string) portsync.PortInfo { return portsync.PortInfo{Alias: a} }
	ports := []portsync.PortView{
		{Name: "Ethernet0", PortInfo: alias("etp1")}, {Name: "Ethernet4", PortInfo: alias("same")},
		{Name: "Ethernet8", PortInfo: alias("same")}, {Name: "Ethernet12", PortInfo: alias("Ethernet12")}, {Name: "Ethernet16"},
	}
	for _, c := range []struct{ names, aliased, unknown []string }{
		{nil, nil, nil},
		{[]string{"Ethernet0", "Ethernet12"}, nil, nil},
		{[]string{"etp1", "Ethernet4", "gone"}, []string{"Ethernet0"}, []string{"gone"}},
		{[]string{"same"}, []string{"Ethernet4", "Ethernet8"}, nil},
		{[]string{"", "ETP1"}, nil, []string{"", "ETP1"}},
	} {
		aliased, unknown := findPorts(c.names, ports)
		if fmt.Sprint(aliased, unknown) != fmt.Sprint(c.aliased, c.unknown) {
			t.Errorf("findPorts(%q) = %q, %q, want %q, %q", c.names, aliased, unknown, c.aliased, c.unknown)
		}
	}
}
