package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/switchtest"
)

// limit is the timeout of a step of a measurement.
const limit = time.Minute

// testbed is a switch and its daemon for one measurement.
type testbed struct {
	*switchtest.Switch
	cables    *cables
	produced  *switchtest.Record[switchtest.RowEvent] // keys that the daemon wrote to PORT_TABLE
	seen      int                                     // records in produced when the daemon was started
	saveEvery int                                     // the daemon's sampling interval in seconds

	daemon  *switchtest.Daemon
	started time.Time
	client  *switchtest.Client // set by awaitReady
}

// newTestbed prepares a switch with the given number of ports in CONFIG_DB.
func newTestbed(sw *switchtest.Switch, ports int) *testbed {
	sw.ConfigurePorts(ports)
	return &testbed{
		Switch:    sw,
		cables:    &cables{links: sw.Links, made: make(map[string]bool)},
		produced:  sw.WatchKeys("APPL_DB", switchtest.PendingPrefix),
		saveEvery: 300,
	}
}

// start starts the daemon with default settings, except for file paths and the audit interval in
// seconds (0 disables audits).
func (b *testbed) start(auditSeconds int) {
	file := b.writeConfig(auditSeconds)
	b.seen = b.produced.Len()
	b.started = time.Now()
	// Set the watchdog PID to another process: watchdog notifications would add to the cost of an
	// idle daemon.
	b.daemon = b.Start(switchtest.StartOptions{Args: []string{"-c", file}, Env: []string{"WATCHDOG_PID=1"}})
}

// writeConfig writes the daemon's configuration file and returns its path.
func (b *testbed) writeConfig(auditSeconds int) string {
	return b.WriteConfig(fmt.Sprintf("[warm_restart]\nstate_file = %q\n"+
		"[metrics]\nstorage_path = %q\nsave_interval_secs = %d\n[health]\naudit_interval_secs = %d\n",
		b.stateFile(), b.storage(), b.saveEvery, auditSeconds))
}

// stateFile returns the path of the daemon's state file.
func (b *testbed) stateFile() string { return filepath.Join(b.Dir, "port_state.json") }

// storage returns the directory for the daemon's metrics and history.
func (b *testbed) storage() string { return filepath.Join(b.Dir, "metrics") }

// setAudit changes the audit interval of the running daemon.
func (b *testbed) setAudit(seconds int) {
	b.writeConfig(seconds)
	n := b.daemon.Notifications.Len()
	b.daemon.Signal(syscall.SIGHUP)
	b.daemon.AwaitNotification(n, limit, "READY=1")
}

// awaitReady waits for READY=1 from a newly started daemon and returns the time since it was
// started.
func (b *testbed) awaitReady() time.Duration {
	b.daemon.AwaitNotification(0, limit, "READY=1")
	ready := time.Since(b.started)
	b.client = switchtest.NewClient(b.T, switchtest.HTTPAddress)
	// Open a new connection for each scrape, so that every scrape has the same cost.
	b.client.HTTP.Transport.(*http.Transport).DisableKeepAlives = true
	b.client.HTTP.Timeout = limit
	return ready
}

// awaitProduced waits until the daemon started last has written a key to PORT_TABLE, such as PortInitDone, and
// returns the time of the write.
func (b *testbed) awaitProduced(key string) time.Time {
	b.T.Helper()
	_, ok := b.produced.Await(b.seen, limit, func(e switchtest.RowEvent) bool { return e.Key == key && e.Event == "hset" })
	if !ok {
		b.T.Fatalf("%s was not written within %v", key, limit)
	}
	return time.Now()
}

// awaitSeries scrapes until the value of a series exceeds min.
func (b *testbed) awaitSeries(series string, min float64) switchtest.Exposition {
	b.T.Helper()
	var e switchtest.Exposition
	switchtest.Eventually(b.T, limit, func() string {
		time.Sleep(20 * time.Millisecond) // limits the load caused by scrapes
		if e = b.client.Scrape(); e.Value(b.T, series) <= min {
			return fmt.Sprintf("%s is still %v", series, e.Samples[series])
		}
		return ""
	})
	return e
}

// cables creates the interfaces of ports for lab.Orchagent. It connects the ports in pairs, so that
// no interfaces other than ports are needed.
type cables struct {
	links *lab.Links
	made  map[string]bool
	last  time.Time // when the last interface was created
}

// AddVeth creates the interfaces of a port and of the port at the other end of its cable.
func (c *cables) AddVeth(port, _ string) error {
	if c.made[port] {
		return nil
	}
	var lane int
	if _, err := fmt.Sscanf(port, "Ethernet%d", &lane); err != nil {
		return fmt.Errorf("port %q: %w", port, err)
	}
	first := switchtest.PortName(lane / 8 * 2)
	second := switchtest.PortName(lane/8*2 + 1)
	err := c.links.AddVeth(first, second)
	c.last = time.Now()
	c.made[first], c.made[second] = true, true
	return err
}

// Delete returns an error, because no port is deleted from APPL_DB.
func (c *cables) Delete(port string) error { return fmt.Errorf("port %q must not be deleted", port) }

// SetUp brings a port up or down. It ignores the peer name that lab.Orchagent passes.
func (c *cables) SetUp(name string, up bool) error {
	if !c.made[name] {
		return nil
	}
	return c.links.SetUp(name, up)
}

// SetMTU sets the MTU of a port.
func (c *cables) SetMTU(name string, mtu int) error { return c.links.SetMTU(name, mtu) }

// makePorts runs an orchagent that creates the ports' interfaces. It returns the time from the
// creation of the last interface to PortInitDone.
func (b *testbed) makePorts(ctx context.Context, ports int) (time.Duration, error) {
	db, err := sonicdb.StaticMap("unix", b.Databases["APPL_DB"].Socket).Database("APPL_DB")
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var failed error
	configured, all := 0, make(chan struct{})
	agent := lab.Orchagent{ApplDB: db, Links: b.cables, Report: func(e lab.OrchEvent) {
		failed = errors.Join(failed, e.Err)
		if e.Step == lab.PortConfigured {
			if configured++; configured == ports {
				close(all)
			}
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	at := b.awaitProduced("PortInitDone")
	select {
	case <-all:
	case <-time.After(limit):
		err = fmt.Errorf("ports were not configured within %v", limit)
	}
	stop()
	err = errors.Join(err, <-ended, failed)
	return at.Sub(b.cables.last), err
}

// awaitMTU waits until STATE_DB shows each port as up and with the given MTU.
func (b *testbed) awaitMTU(ports int, mtu func(port int) int) {
	b.T.Helper()
	switchtest.Eventually(b.T, limit, func() string { return b.wrongMTU(ports, mtu) })
}

// wrongMTU returns "" if STATE_DB shows each port as up and with the given MTU, and otherwise
// describes a wrong row.
func (b *testbed) wrongMTU(ports int, mtu func(port int) int) string {
	b.T.Helper()
	keys := make([]string, ports)
	for i := range keys {
		keys[i] = switchtest.StatePort + switchtest.PortName(i)
	}
	rows, err := b.Conn("STATE_DB").HGetAllMany(keys)
	b.NoError("read rows", err)
	for i, row := range rows {
		oper, _ := sonicdb.Lookup(row.Fields, "netdev_oper_status")
		if got, _ := sonicdb.Lookup(row.Fields, "mtu"); got != strconv.Itoa(mtu(i)) || oper != "up" {
			return fmt.Sprintf("%s is %v, want MTU %d", row.Key, row.Fields, mtu(i))
		}
	}
	return ""
}
