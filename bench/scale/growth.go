package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"portsyncd/netlinkraw"
)

type growthOptions struct {
	Interfaces int // lo not counted
	Ports      int // how many of them are front-panel
	Idle       time.Duration
	Audits     int
	Overrun    bool
}

// growthResult is what one size of switch costs.
type growthResult struct {
	Make       time.Duration // the kernel's work on the interfaces that are no ports
	List       time.Duration // a list of all links by a program that does nothing else
	ConfigDone time.Duration // exec to PortConfigDone, the other interfaces being there
	Ready      time.Duration // exec to READY=1
	// InitDone is from the last port's interface to PortInitDone. It can be below
	// 0: the daemon may be quicker than this program in hearing of the interface.
	InitDone time.Duration

	IdleCPU     time.Duration // a second
	IdleWakeups float64       // a second
	AuditCPU    time.Duration // an audit
	AuditRSS    int           // bytes, after the audits

	StartRSS int           // bytes, when all ports are there
	Resync   time.Duration // after an overrun: decision to the end of the dump
	InStep   time.Duration // after an overrun: SIGCONT to the last row right
	Restart  time.Duration // exec to READY=1, of the daemon alone
	EndRSS   int           // bytes, after all of this but the restart
}

// measureGrowth measures one size of switch.
func measureGrowth(ctx context.Context, binary string, o growthOptions) (r growthResult, err error) {
	c, err := newCell(ctx, o.Ports)
	if err != nil {
		return r, err
	}
	defer c.close()
	progress("%d interfaces: the kernel makes %d that are no ports", o.Interfaces, o.Interfaces-o.Ports)
	begin := time.Now()
	for i := range (o.Interfaces - o.Ports) / 2 {
		if err := c.links.AddVeth("veth"+strconv.Itoa(i), "eth"+strconv.Itoa(i)); err != nil {
			return r, err
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	r.Make = time.Since(begin)
	d, err := c.coldStart(ctx, binary, o, &r)
	if err != nil {
		return r, fmt.Errorf("cold start: %w", err)
	}
	begin = time.Now()
	if err := netlinkraw.ListLinks(func(*netlinkraw.Link) {}); err != nil {
		return r, err
	}
	r.List = time.Since(begin)
	if err := c.rest(ctx, d, o, &r); err != nil {
		return r, fmt.Errorf("idle: %w", err)
	}
	if o.Overrun {
		if err := c.overrun(ctx, d, o, &r); err != nil {
			return r, fmt.Errorf("overrun: %w", err)
		}
	}
	if err := c.restart(binary, d, o, &r); err != nil {
		return r, fmt.Errorf("restart: %w", err)
	}
	return r, nil
}

// coldStart starts the daemon on a switch without ports and has them made.
func (c *cell) coldStart(ctx context.Context, binary string, o growthOptions, r *growthResult) (*daemon, error) {
	progress("%d interfaces: cold start", o.Interfaces)
	d, err := c.start(binary, 0)
	if err != nil {
		return nil, err
	}
	configDone, err := c.awaitMarker("PortConfigDone")
	if err != nil {
		return nil, err
	}
	ready, err := d.awaitReady()
	if err != nil {
		return nil, err
	}
	r.ConfigDone, r.Ready = configDone.Sub(d.started), ready.Sub(d.started)
	if r.InitDone, err = c.makePorts(ctx, o.Ports); err != nil {
		return nil, err
	}
	if err := c.inStep(o.Ports, func(int) int { return 9100 }); err != nil {
		return nil, err
	}
	u, err := d.use()
	r.StartRSS = u.RSS
	return d, err
}

// rest measures the daemon while nothing happens, and then while it only audits.
func (c *cell) rest(ctx context.Context, d *daemon, o growthOptions, r *growthResult) error {
	progress("%d interfaces: idle for %v, then %d audits", o.Interfaces, o.Idle, o.Audits)
	pause(ctx, 5*time.Second) // for what follows a start: saving, IPv6 of the fresh links
	before, err := d.use()
	if err != nil {
		return err
	}
	begin := time.Now()
	pause(ctx, o.Idle)
	after, err := d.use()
	if err != nil {
		return err
	}
	seconds := time.Since(begin).Seconds()
	r.IdleCPU = time.Duration(float64(after.CPU-before.CPU) / seconds)
	r.IdleWakeups = float64(after.Wakeups-before.Wakeups) / seconds

	if err := c.audit(d, 1); err != nil {
		return err
	}
	const audits = "portsyncd_audits_total"
	first, err := d.await(ctx, "the first audit", func(s scrape) bool { return s.value(audits) > 0 })
	if err != nil {
		return err
	}
	if before, err = d.use(); err != nil {
		return err
	}
	// The scrape at the end is left out of the CPU time: it comes after it. The
	// half of a second is for the last audit to end in.
	pause(ctx, time.Duration(o.Audits)*time.Second+time.Second/2)
	if after, err = d.use(); err != nil {
		return err
	}
	last, err := d.scrape()
	if err != nil {
		return err
	}
	n := last.value(audits) - first.value(audits)
	if n < 1 {
		return fmt.Errorf("no audit in %d seconds", o.Audits)
	}
	r.AuditCPU, r.AuditRSS = time.Duration(float64(after.CPU-before.CPU)/n), after.RSS
	return c.audit(d, 0)
}

// overrun has the kernel drop messages, with changes in them, while the daemon is
// held, and lets it go on.
func (c *cell) overrun(ctx context.Context, d *daemon, o growthOptions, r *growthResult) error {
	progress("%d interfaces: overrun", o.Interfaces)
	indexes, err := portIndexes(o.Ports)
	if err != nil {
		return err
	}
	change, err := newChanger()
	if err != nil {
		return err
	}
	defer change.close()
	before, err := d.scrape()
	if err != nil {
		return err
	}
	if err := d.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	round := func(mtu func(port int) int) error {
		for i, index := range indexes {
			change.setMTU(index, mtu(i))
		}
		return change.flush()
	}
	for mtu, drops := 1500, 0; drops == 0; mtu++ {
		if err := round(func(int) int { return mtu }); err != nil {
			return err
		}
		q, err := readQueue()
		if err != nil {
			return err
		}
		if drops = q.Drops; mtu > 8000 || ctx.Err() != nil {
			return fmt.Errorf("the kernel dropped nothing of %d messages", mtu*o.Ports)
		}
	}
	final := func(port int) int { return 8100 + port }
	if err := round(final); err != nil {
		return err
	}
	goesOn := time.Now()
	if err := d.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	if err := c.inStep(o.Ports, final); err != nil {
		return err
	}
	r.InStep = time.Since(goesOn)
	const histogram = "portsyncd_resync_duration_seconds"
	after, err := d.await(ctx, "the resync", func(s scrape) bool {
		return s.value(histogram+"_count") > before.value(histogram+"_count")
	})
	if err != nil {
		return err
	}
	n := after.value(histogram+"_count") - before.value(histogram+"_count")
	r.Resync = time.Duration((after.value(histogram+"_sum") - before.value(histogram+"_sum")) / n * float64(time.Second))
	u, err := d.use()
	r.EndRSS = u.RSS
	return err
}

// restart restarts the daemon alone.
func (c *cell) restart(binary string, d *daemon, o growthOptions, r *growthResult) error {
	progress("%d interfaces: restart", o.Interfaces)
	if err := d.stop(); err != nil {
		return err
	}
	d, err := c.start(binary, 0)
	if err != nil {
		return err
	}
	ready, err := d.awaitReady()
	r.Restart = ready.Sub(d.started)
	return err
}

// pause lets time pass, in which the daemon is measured.
func pause(ctx context.Context, t time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(t):
	}
}
