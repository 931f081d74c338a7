package lab

import (
	"context"
	"maps"
	"os"
	"testing"

	"portsyncd/internal/sonicdb"
)

// TestSwitch checks databases, socket and map of a switch.
func TestSwitch(t *testing.T) {
	kernel, log := NewSimKernel(), newAccount()
	s, err := NewSwitch(Options{Ports: 2, Links: kernel, Report: log.report})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := s.DB.Hash(ConfigDB, "PORT|Ethernet4"), (map[string]string{"lanes": "4,5,6,7", "alias": "etp2",
		"index": "2", "speed": "100000", "mtu": "9100", "admin_status": "up"}); !maps.Equal(got, want) {
		t.Errorf("PORT|Ethernet4: got %v, want %v", got, want)
	}
	// The map leads to the database.
	m, err := sonicdb.LoadMap(s.ConfigFile)
	if err != nil {
		t.Fatal(err)
	}
	applDB, err := m.Database("APPL_DB")
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := sonicdb.StaticMap("unix", s.Socket).Database("APPL_DB"); applDB != want {
		t.Errorf("APPL_DB: got %+v, want %+v", applDB, want)
	}

	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	set := producer(t, applDB)
	set("Ethernet0", "mtu", "9100", "admin_status", "up")
	set("PortConfigDone", "count", "1")
	log.expect(t, "popped Ethernet0", "popped PortConfigDone", "created Ethernet0", "configured Ethernet0")
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(s.ConfigFile); err == nil {
		t.Error("the temporary directory is still there")
	}
}

// TestSwitchInNamespace checks that Run creates interfaces in the network namespace.
func TestSwitchInNamespace(t *testing.T) {
	if !InNamespace(t) {
		return
	}
	log := newAccount()
	if err := MountTmpfs("/var/run/redis"); err != nil {
		t.Fatal(err)
	}
	s, err := NewSwitch(Options{Ports: 1, Dir: "/var/run/redis", Report: log.report})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	runOrchagent(t, &s.Orchagent)
	applDB, _ := s.Map.Database("APPL_DB")
	set := producer(t, applDB)
	set("Ethernet0", "mtu", "9100", "admin_status", "up")
	set("PortConfigDone", "count", "1")
	log.expect(t, "popped Ethernet0", "popped PortConfigDone", "created Ethernet0", "configured Ethernet0")
	awaitLinks(t, map[string]linkState{
		"Ethernet0": {"veth", true, true, 9100, ""}, "p0": {"veth", true, true, 1500, ""}})
}

// TestSwitchErrors checks the errors for unusable directories.
func TestSwitchErrors(t *testing.T) {
	dir := t.TempDir() + "/file"
	if err := os.WriteFile(dir, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := NewSwitch(Options{Dir: dir}); err == nil {
		s.Close()
		t.Error("a switch in a file")
	}
}
