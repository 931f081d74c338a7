package lab

import (
	"context"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/sonicdb"
	"portsyncd/netlinkraw"
)

// account collects what an Orchagent reports, for a goroutine that waits.
type account struct{ events chan string }

func newAccount() *account { return &account{make(chan string, 1000)} }

func (a *account) report(e OrchEvent) {
	text := e.Step.String()
	if e.Port != "" {
		text += " " + e.Port
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	a.events <- text
}

// expect waits for events, in any order.
func (a *account) expect(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	timeout := time.After(10 * time.Second)
	for len(got) < len(want) {
		select {
		case e := <-a.events:
			got = append(got, e)
		case <-timeout:
			t.Fatalf("orchagent:\n got %q\nwant %q", got, want)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("orchagent:\n got %q\nwant %q", got, want)
	}
}

// runOrchagent runs o until the end of the test.
func runOrchagent(t *testing.T, o *Orchagent) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Orchagent.Run: %v", err)
		}
	})
}

// producer hands rows to PORT_TABLE as portsyncd does.
func producer(t *testing.T, db sonicdb.Database) func(key string, fields ...string) {
	conn, err := sonicdb.Dial(context.Background(), db.Options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	table := sonicdb.NewProducerStateTable(db, "PORT_TABLE")
	return func(key string, fields ...string) {
		t.Helper()
		var fvs []sonicdb.FieldValue
		for i := 0; i < len(fields); i += 2 {
			fvs = append(fvs, sonicdb.FieldValue{Field: fields[i], Value: fields[i+1]})
		}
		if err := table.Set(conn, key, fvs); err != nil {
			t.Fatal(err)
		}
	}
}

// testOrchagent goes through the life of ports on any server.
func testOrchagent(t *testing.T, applDB sonicdb.Database) {
	kernel, log := NewSimKernel(), newAccount()
	set := producer(t, applDB)
	set("Ethernet0", "mtu", "9100", "admin_status", "up") // pending before it starts
	runOrchagent(t, &Orchagent{ApplDB: applDB, Links: kernel, Report: log.report})
	log.expect(t, "popped Ethernet0")

	set("Ethernet4", "admin_status", "down")
	log.expect(t, "popped Ethernet4")
	if links := simLinks(t, kernel); len(links) != 0 {
		t.Fatalf("before PortConfigDone there are %v", links)
	}
	set("PortConfigDone", "count", "2")
	log.expect(t, "popped PortConfigDone", "created Ethernet0", "configured Ethernet0",
		"created Ethernet4", "configured Ethernet4")
	want := map[string]linkState{
		"Ethernet0": {"veth", true, true, 9100, ""}, "p0": {"veth", true, true, 1500, ""},
		"Ethernet4": {"veth", false, false, 1500, ""}, "p4": {"veth", true, false, 1500, ""},
	}
	if got := simLinks(t, kernel); !maps.Equal(got, want) {
		t.Fatalf("links:\n got %v\nwant %v", got, want)
	}

	set("PortInitDone", "lanes", "0")
	set("Ethernet4", "mtu", "many", "admin_status", "up")
	log.expect(t, "popped PortInitDone", "popped Ethernet4",
		`configured Ethernet4: invalid mtu "many" of port "Ethernet4": must be a number`)

	conn, err := sonicdb.Dial(context.Background(), applDB.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if fvs, err := conn.HGetAll("PORT_TABLE:Ethernet0"); err != nil || len(fvs) != 2 {
		t.Errorf("row of Ethernet0: %v, %v", fvs, err)
	}
	if n, err := conn.Exists("_PORT_TABLE:Ethernet0", "PORT_TABLE_KEY_SET"); err != nil || n != 0 {
		t.Errorf("%d of the pending hash and key set are left, %v", n, err)
	}
	// A delete, as ProducerStateTable::del does it.
	for _, args := range [][]string{{"SADD", "PORT_TABLE_KEY_SET", "Ethernet0"}, {"SADD", "PORT_TABLE_DEL_SET", "Ethernet0"},
		{"PUBLISH", "PORT_TABLE_CHANNEL@0", "G"}} {
		if _, err := conn.Do(args...); err != nil {
			t.Fatal(err)
		}
	}
	log.expect(t, "deleted Ethernet0")
	if n, err := conn.Exists("PORT_TABLE:Ethernet0", "PORT_TABLE_DEL_SET"); err != nil || n != 0 {
		t.Errorf("%d of the row and the delete set are left, %v", n, err)
	}
	if got := simLinks(t, kernel); len(got) != 2 {
		t.Errorf("after the delete there are %v", got)
	}
}

// simLinks returns the state of the links of a simulated kernel.
func simLinks(t *testing.T, k *SimKernel) map[string]linkState {
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make(map[string]linkState)
	var b netlinkraw.Batch
	for _, l := range k.links {
		b.Load(l.append(nil, unix.RTM_NEWLINK, 0, 0))
		for b.Next() {
			if l := b.Message().Link; string(l.Name) != "lo" {
				out[string(l.Name)] = linkState{string(l.Kind), l.Up(), l.Running(), l.MTU, ""}
			}
		}
	}
	return out
}

// TestOrchagent checks the steps and interfaces for ports that are added, changed and deleted.
func TestOrchagent(t *testing.T) {
	_, socket := serveDB(t, DBOptions{})
	db, _ := sonicdb.StaticMap("unix", socket).Database("APPL_DB")
	testOrchagent(t, db)
}

// TestOrchagentOnRedis runs the same steps with a real server and its Lua script.
func TestOrchagentOnRedis(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		Unavailable(t, "no redis-server")
	}
	db, _ := sonicdb.StaticMap("unix", startRedis(t)).Database("APPL_DB")
	testOrchagent(t, db)
}

// TestOrchagentManyRows checks more pending rows than one pop returns.
func TestOrchagentManyRows(t *testing.T) {
	_, socket := serveDB(t, DBOptions{})
	db, _ := sonicdb.StaticMap("unix", socket).Database("APPL_DB")
	kernel, log := NewSimKernel(), newAccount()
	set := producer(t, db)
	var want []string
	for i := range 2*popBatch + 1 {
		set(PortName(i), "admin_status", "up")
		want = append(want, "popped "+PortName(i), "created "+PortName(i), "configured "+PortName(i))
	}
	set("PortConfigDone", "count", fmt.Sprint(2*popBatch+1))
	runOrchagent(t, &Orchagent{ApplDB: db, Links: kernel, Report: log.report})
	log.expect(t, append(want, "popped PortConfigDone")...)
}

// TestOrchagentLosesDatabase checks that Run returns an error if the database closes its
// connection.
func TestOrchagentLosesDatabase(t *testing.T) {
	db, socket := serveDB(t, DBOptions{})
	applDB, _ := sonicdb.StaticMap("unix", socket).Database("APPL_DB")
	log := newAccount()
	o := &Orchagent{ApplDB: applDB, Links: NewSimKernel(), Report: log.report}
	ended := make(chan error, 1)
	go func() { ended <- o.Run(context.Background()) }()
	producer(t, applDB)("PortConfigDone", "count", "0")
	log.expect(t, "popped PortConfigDone") // so it is connected
	db.Disconnect()
	if err := <-ended; err == nil || !strings.HasPrefix(err.Error(), "orchagent: ") {
		t.Errorf("Run: got %v", err)
	}
	db.Close()
	if err := o.Run(context.Background()); err == nil {
		t.Error("Run without a database: no error")
	}
}

// TestPeerName checks the names of peers, including long ones.
func TestPeerName(t *testing.T) {
	for port, want := range map[string]string{
		"Ethernet0": "p0", "Ethernet124": "p124", "Ethernet-BP0": "p-BP0", "eth0": "peth0",
		"ABCDEFGHIJKLMNO": "pABCDEFGHIJKLMN",
	} {
		if got := PeerName(port); got != want {
			t.Errorf("%s: got %s, want %s", port, got, want)
		}
	}
}
