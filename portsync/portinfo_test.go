package portsync

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"portsyncd/internal/sonicdb"
)

// TestPortInfoOfRow checks that each value gets its field, with and without a list mark in the name,
// and that long values are truncated between characters.
func TestPortInfoOfRow(t *testing.T) {
	long := strings.Repeat("ä", maxPortInfo)
	reply := make([]sonicdb.Reply, len(infoFields))
	for field, value := range map[string]string{
		"alias": "etp1", "lanes@": "1,2", "index": "7", "speed": strings.Repeat("\xff", 1000), "description": long,
	} {
		reply[slices.Index(infoFields, field)] = sonicdb.Reply{Kind: sonicdb.BulkString, Str: []byte(value)}
	}
	for i := range reply {
		if reply[i].Str == nil {
			reply[i].Kind = sonicdb.Null
		}
	}
	got := *newPortInfo(reply)
	if got.Alias != "etp1" || got.Lanes != "1,2" || got.PanelIndex != "7" {
		t.Errorf("got %+v", got)
	}
	if d := got.Description; len(d) > maxPortInfo || !utf8.ValidString(d) || !strings.HasSuffix(d, "ä…") || len(d) < maxPortInfo-3 {
		t.Errorf("the description is cut to %d bytes: %q", len(d), d)
	}
	if n := len(got.Speed); n > maxPortInfo || n < maxPortInfo-3 {
		t.Errorf("the speed is cut to %d bytes", n)
	}
}

// TestFollowInfo checks that the follower sends the infos of all rows after a field of one of them
// changed.
func TestFollowInfo(t *testing.T) {
	t.Parallel()
	f := follow(t, "AKE")
	f.do("HSET", "PORT|Ethernet4", "alias", "etp2", "description", "to spine1")
	for {
		n := <-f.notes
		if len(n.ports) != 2 {
			continue // read between the two commands of the test
		}
		if len(n.infos) != 2 || *n.infos[0] != (PortInfo{Lanes: "0"}) || *n.infos[1] != (PortInfo{Alias: "etp2", Description: "to spine1"}) {
			t.Errorf("got %+v, %+v", n.infos[0], n.infos[1])
		}
		break
	}
	f.do("HSET", "PORT|Ethernet4", "description", "to spine2")
	if n := <-f.notes; n.infos[1].Description != "to spine2" {
		t.Errorf("after a change: %+v", n.infos[1])
	}
}

// TestPortInfoIsPublished checks that /ports and portsyncd_port_info have the info of a configured
// port, that both follow a change, and that both lose it when the row is deleted.
func TestPortInfoIsPublished(t *testing.T) {
	a := newRig(t, "Ethernet0")
	l := a.loop
	check := func(description, series string) {
		t.Helper()
		l.publishStatus()
		ports := l.Status.Ports(time.Now())
		if len(ports) != 1 || ports[0].Description != description {
			t.Errorf("got %+v, want the description %q", ports, description)
		}
		if got := exposed(a.set, series); got != "1" {
			t.Errorf("%s is %q in\n%s", series, got, a.set.AppendTextOf(nil, "portsyncd_port_info"))
		}
	}
	read := func(info *PortInfo) {
		l.observe(note{kind: notePorts, ports: []string{"Ethernet0"}, infos: []*PortInfo{info}})
	}
	read(&PortInfo{Alias: "etp1", Description: "to spine1", Speed: "100000", Lanes: "1,2", PanelIndex: "1"})
	check("to spine1", `portsyncd_port_info{port="Ethernet0",alias="etp1",description="to spine1",speed="100000",lanes="1,2",index="1"}`)
	read(&PortInfo{Description: "to \"spine2\"\n"})
	check("to \"spine2\"\n", `portsyncd_port_info{port="Ethernet0",alias="",description="to \"spine2\"\n",speed="",lanes="",index=""}`)
	l.state.port([]byte("Ethernet0")).InitPending = true // the port stays listed without a row
	l.observe(note{kind: notePorts})
	check("", `portsyncd_port_info{port="Ethernet0",alias="",description="",speed="",lanes="",index=""}`)
}

// TestPortInfoUnchanged checks that a read of CONFIG_DB without a change publishes no port.
func TestPortInfoUnchanged(t *testing.T) {
	l := newRig(t, "Ethernet0").loop
	names := []string{"Ethernet0"}
	l.state.Configure(names)
	l.state.Describe(names, []*PortInfo{{Alias: "etp1"}})
	l.publishStatus()
	l.state.Configure(names)
	l.state.Describe(names, []*PortInfo{{Alias: "etp1"}})
	if n := len(l.state.touched); n != 0 {
		t.Errorf("%d ports are to be published, want 0", n)
	}
}
