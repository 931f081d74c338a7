package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/lab"
	"portsyncd/internal/sonicdb"
)

// patience is how long anything may take before it counts as failed.
const patience = time.Minute

// cell is a switch for one measurement, in namespaces of its own.
type cell struct {
	dir    string
	dbs    *sonicdb.Map
	links  *lab.Links
	cables *cables
	server *server
	save   int // seconds between two samples that the daemon keeps

	appl, state *sonicdb.Conn
	markers     chan marker // what was produced for orchagent
	closers     []func()    // in the order in which they were added
}

// marker is a row of PORT_TABLE that says how far the start has come.
type marker struct {
	key string // such as "PortInitDone"
	at  time.Time
}

const applDB, configDB, stateDB = "APPL_DB", "CONFIG_DB", "STATE_DB"

// newCell makes a switch whose CONFIG_DB has the given number of ports and which
// has no interface but lo. The caller is in namespaces.
func newCell(ctx context.Context, ports int) (c *cell, err error) {
	c = &cell{markers: make(chan marker, 64), save: 300}
	defer func() {
		if err != nil {
			c.close()
			c, err = nil, fmt.Errorf("make a switch: %w", err)
		}
	}()
	if c.dir, err = os.MkdirTemp("", "scale"); err != nil {
		return c, err
	}
	c.atEnd(func() { os.RemoveAll(c.dir) })
	if err := lab.LoopbackUp(); err != nil {
		return c, err
	}
	if err := c.openLog(); err != nil {
		return c, fmt.Errorf("syslog socket: %w", err)
	}
	if c.links, err = lab.DialLinks(); err != nil {
		return c, err
	}
	c.atEnd(func() { c.links.Close() })
	c.cables = &cables{links: c.links, made: make(map[string]bool)}

	socket := filepath.Join(c.dir, "redis.sock")
	if c.server, err = startServer(socket); err != nil {
		return c, err
	}
	c.atEnd(func() { c.server.kill() })
	c.dbs = sonicdb.StaticMap("unix", socket)
	if c.appl, err = c.dial(ctx, applDB); err != nil {
		return c, err
	}
	if c.state, err = c.dial(ctx, stateDB); err != nil {
		return c, err
	}
	if err := c.followMarkers(ctx); err != nil {
		return c, err
	}
	return c, c.configure(ctx, ports)
}

func (c *cell) atEnd(f func()) { c.closers = append(c.closers, f) }

// close ends all that the cell has started.
func (c *cell) close() {
	for i := len(c.closers) - 1; i >= 0; i-- {
		c.closers[i]()
	}
}

// dial opens a connection that lasts as long as the cell.
func (c *cell) dial(ctx context.Context, database string) (*sonicdb.Conn, error) {
	db, err := c.dbs.Database(database)
	if err != nil {
		return nil, err
	}
	o := db.Options()
	o.IOTimeout = patience
	conn, err := sonicdb.Dial(ctx, o)
	if err == nil {
		c.atEnd(func() { conn.Close() })
	}
	return conn, err
}

// configure gives CONFIG_DB its ports.
func (c *cell) configure(ctx context.Context, ports int) error {
	conn, err := c.dial(ctx, configDB)
	if err != nil {
		return err
	}
	conn.Send("HSET", "DEVICE_METADATA|localhost", "hwsku", "scale", "type", "ToRRouter")
	for i := range ports {
		conn.Send("HSET", "PORT|"+lab.PortName(i), "lanes", strconv.Itoa(4*i), "alias", "etp"+strconv.Itoa(i+1),
			"index", strconv.Itoa(i+1), "speed", "100000", "mtu", "9100", "admin_status", "up")
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	for conn.Pending() > 0 {
		if _, err := conn.Receive(); err != nil {
			return fmt.Errorf("fill CONFIG_DB: %w", err)
		}
	}
	return nil
}

// followMarkers has the server tell when PortConfigDone and PortInitDone are
// produced (https://redis.io/docs/latest/develop/pubsub/keyspace-notifications/).
func (c *cell) followMarkers(ctx context.Context) error {
	const prefix = "__keyspace@0__:_PORT_TABLE:"
	conn, err := c.dial(ctx, applDB)
	if err != nil {
		return err
	}
	if err := conn.PSubscribe(prefix + "Port*"); err != nil {
		return err
	}
	go func() {
		for {
			m, err := conn.ReceiveMessage()
			if err != nil {
				return // the cell is closed
			}
			if m.Kind == sonicdb.Published && string(m.Payload.Str) == "hset" {
				c.markers <- marker{string(m.Channel[len(prefix):]), time.Now()}
			}
		}
	}()
	return nil
}

// awaitMarker returns when a marker was produced.
func (c *cell) awaitMarker(key string) (time.Time, error) {
	late := time.After(patience)
	for {
		select {
		case m := <-c.markers:
			if m.key == key {
				return m.at, nil
			}
		case <-late:
			return time.Time{}, fmt.Errorf("no %s within %v", key, patience)
		}
	}
}

// openLog puts a /dev in place, for the daemon of this cell, that has little but
// a syslog socket which is read. Without one a log line would cost less than it
// does on a switch.
func (c *cell) openLog() error {
	dev := filepath.Join(c.dir, "dev")
	if err := os.Mkdir(dev, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"null", "urandom"} {
		to := filepath.Join(dev, name)
		if err := errors.Join(os.WriteFile(to, nil, 0o666), unix.Mount("/dev/"+name, to, "", unix.MS_BIND, "")); err != nil {
			return err
		}
	}
	if err := unix.Mount(dev, "/dev", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	c.atEnd(func() {
		conn.Close()
		// The directory can only be removed without what is mounted in it.
		for _, at := range []string{"/dev", filepath.Join(dev, "null"), filepath.Join(dev, "urandom")} {
			unix.Unmount(at, unix.MNT_DETACH)
		}
	})
	go func() {
		line := make([]byte, 8<<10)
		for {
			if _, err := conn.Read(line); err != nil {
				return
			}
		}
	}()
	return nil
}

// cables makes the interfaces of the ports as orchagent asks for them. Each two
// ports are cabled to each other, so that no interface is anything but a port.
type cables struct {
	links *lab.Links
	made  map[string]bool
	last  time.Time // when the last interface was there
}

// AddVeth makes the interface of a port and of the one that it is cabled to.
func (c *cables) AddVeth(port, _ string) error {
	if c.made[port] {
		return nil
	}
	var lane int
	if _, err := fmt.Sscanf(port, "Ethernet%d", &lane); err != nil {
		return fmt.Errorf("port %q: %w", port, err)
	}
	first := lab.PortName(lane / 8 * 2)
	second := lab.PortName(lane/8*2 + 1)
	err := c.links.AddVeth(first, second)
	c.last = time.Now()
	c.made[first], c.made[second] = true, true
	return err
}

// Delete is for a port that is taken out of APPL_DB, which happens to none.
func (c *cables) Delete(port string) error { return fmt.Errorf("port %q must not be deleted", port) }

// SetUp sets the state of a port. The far end is a port of its own.
func (c *cables) SetUp(name string, up bool) error {
	if !c.made[name] {
		return nil
	}
	return c.links.SetUp(name, up)
}

// SetMTU sets the MTU of a port.
func (c *cables) SetMTU(name string, mtu int) error { return c.links.SetMTU(name, mtu) }

// makePorts has orchagent make the ports' interfaces, once PortConfigDone is
// there, and returns the time from the last interface to PortInitDone.
func (c *cell) makePorts(ctx context.Context, ports int) (time.Duration, error) {
	db, err := c.dbs.Database(applDB)
	if err != nil {
		return 0, err
	}
	ctx, stop := context.WithCancel(ctx)
	var failed error
	configured, all := 0, make(chan struct{})
	agent := lab.Orchagent{ApplDB: db, Links: c.cables, Report: func(e lab.OrchEvent) {
		failed = errors.Join(failed, e.Err)
		if e.Step == lab.PortConfigured {
			if configured++; configured == ports {
				close(all)
			}
		}
	}}
	ended := make(chan error, 1)
	go func() { ended <- agent.Run(ctx) }()
	at, err := c.awaitMarker("PortInitDone")
	if err == nil {
		select {
		case <-all:
		case <-time.After(patience):
			err = fmt.Errorf("the ports are not configured within %v", patience)
		}
	}
	stop()
	err = errors.Join(err, <-ended, failed)
	return at.Sub(c.cables.last), err
}

// inStep waits until STATE_DB says of each port what it should, by its number.
func (c *cell) inStep(ports int, mtu func(port int) int) error {
	keys := make([]string, ports)
	for i := range keys {
		keys[i] = "PORT_TABLE|" + lab.PortName(i)
	}
	for late := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		rows, err := c.state.HGetAllMany(keys)
		if err != nil {
			return err
		}
		wrong := ""
		for i, row := range rows {
			oper, _ := sonicdb.Lookup(row.Fields, "netdev_oper_status")
			if got, _ := sonicdb.Lookup(row.Fields, "mtu"); got != strconv.Itoa(mtu(i)) || oper != "up" {
				wrong = fmt.Sprintf("%s is %v, want mtu %d", row.Key, row.Fields, mtu(i))
				break
			}
		}
		if wrong == "" {
			return nil
		}
		if time.Now().After(late) {
			return fmt.Errorf("not in step within %v: %s", patience, wrong)
		}
	}
}
