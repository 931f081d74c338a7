package switchtest

import (
	"time"
)

// FaultPorts is how many ports a switch in these tests has.
const FaultPorts = 8

// Disturb changes links while nobody can be told: every kind of change.
func (c *Cell) Disturb() {
	c.T.Helper()
	c.Must("delete", c.Links.Delete(PortName(0)))
	c.Must("delete", c.Links.Delete(PortName(1)))
	c.AddPort(PortName(1))
	c.Must("set down", c.Links.SetUp(PortName(2), false))
	c.Must("set the peer down", c.Links.SetUp(PeerName(PortName(3)), false))
	c.Must("set MTU", c.Links.SetMTU(PortName(4), 1400))
}

// Churn changes links that disturb leaves alone.
func (c *Cell) Churn() (stop func()) { return c.ChurnPorts(5, 3) }

// ChurnPorts changes some ports' links without a pause until the returned function
// is called.
func (c *Cell) ChurnPorts(first, ports int) (stop func()) {
	links, quit, ended := DialLinks(c.T), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for i := 0; ; i++ {
			select {
			case <-quit:
				return
			default:
				links.SetMTU(PortName(first+i%ports), 1400+i%100)
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}

// Unharmed checks what must hold after each fault. May are the reasons of health
// that may outlast it.
func (c *Cell) Unharmed(d *Program, may ...string) {
	c.T.Helper()
	c.Survived(d)
	c.Truthful(d, may...)
}

// Survived checks that the daemon lives and has told orchagent nothing again.
func (c *Cell) Survived(d *Program) {
	c.T.Helper()
	if !d.Alive() {
		c.T.Fatalf("the daemon has ended: %v", d.Cmd.ProcessState)
	}
	if pending := c.Elements("APPL_DB", KeySet); len(pending) > 0 {
		c.T.Errorf("produced a second time: %q", pending)
	}
}

// Restarted kills the server, which comes back with what it had, but for the
// named databases; meanwhile is what happens in between.
func (c *Cell) Restarted(r *RedisServer, meanwhile func(), without ...string) {
	c.T.Helper()
	c.Do("APPL_DB", "SAVE")
	r.Kill()
	c.HangUp()
	meanwhile()
	if len(without) > 0 {
		// A second server makes the file that the first will find.
		aux, port := &RedisServer{}, c.Places[without[0]].port+1
		c.Must("start a second server", aux.Start(place{socket: RedisDir + "/second.sock", port: port}))
		for _, name := range without {
			c.Places["second"] = place{Number: c.Places[name].Number, port: port}
			c.Do("second", "FLUSHDB")
			c.HangUp()
		}
		c.Do("second", "SAVE")
		c.HangUp()
		aux.Stop()
	}
	c.Must("restart", r.Again())
}

// FaultLasts is how long a fault is in force: for the daemon to run into it, to
// reconnect, and to run into it again.
const FaultLasts = 300 * time.Millisecond

// Through changes links while a fault is in force, and checks the recovery.
func (c *Cell) Through(d *Program, what string, begin, end func()) {
	c.T.Helper()
	stop := c.Churn()
	begin()
	c.Must("set down", c.Links.SetUp(PortName(2), false))
	c.Must("delete", c.Links.Delete(PortName(1)))
	time.Sleep(FaultLasts)
	c.AddPort(PortName(1))
	c.Must("set up", c.Links.SetUp(PortName(2), true))
	stop()
	end()
	c.Recovered(what)
	c.Survived(d)
}
