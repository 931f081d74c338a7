package main

import (
	"context"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"portsyncd/internal/switchtest"
	"portsyncd/netlinkraw"
)

type growthOptions struct {
	Interfaces int // not counting lo
	Ports      int // number of front-panel ports among the interfaces
	Idle       time.Duration
	Audits     int
	Overrun    bool
}

// growthResult is the result of a growth measurement for one number of interfaces.
type growthResult struct {
	Make       time.Duration // time to create the interfaces that are not ports
	List       time.Duration // duration of a dump of all links
	ConfigDone time.Duration // exec to PortConfigDone, with the other interfaces present
	Ready      time.Duration // exec to READY=1
	// InitDone is the time from the creation of the last port's interface to PortInitDone. It can
	// be negative, because the daemon may receive the message before the test's request returns.
	InitDone time.Duration

	IdleCPU     time.Duration // per second
	IdleWakeups float64       // per second
	AuditCPU    time.Duration // per audit
	AuditRSS    int           // bytes, after the audits

	StartRSS int           // bytes, with all ports
	Resync   time.Duration // after an overrun: start of the resync to the end of the dump
	InStep   time.Duration // after an overrun: SIGCONT until all rows are correct
	Restart  time.Duration // exec to READY=1, when only the daemon restarts
	EndRSS   int           // bytes, before the restart
}

// measureGrowth measures a switch with the given number of interfaces.
func measureGrowth(ctx context.Context, sw *switchtest.Switch, o growthOptions) (r growthResult, err error) {
	b := newTestbed(sw, o.Ports)
	progress("%d interfaces: adding %d interfaces that are not ports", o.Interfaces, o.Interfaces-o.Ports)
	begin := time.Now()
	for i := range (o.Interfaces - o.Ports) / 2 {
		b.NoError("add interfaces", b.Links.AddVeth("veth"+strconv.Itoa(i), "eth"+strconv.Itoa(i)))
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
	}
	r.Make = time.Since(begin)
	if err := b.coldStart(ctx, o, &r); err != nil {
		return r, fmt.Errorf("cold start: %w", err)
	}
	begin = time.Now()
	if err := netlinkraw.ListLinks(func(*netlinkraw.Link) {}); err != nil {
		return r, err
	}
	r.List = time.Since(begin)
	if err := b.rest(ctx, o, &r); err != nil {
		return r, fmt.Errorf("idle: %w", err)
	}
	if o.Overrun {
		if err := b.overrun(ctx, o, &r); err != nil {
			return r, fmt.Errorf("overrun: %w", err)
		}
	}
	progress("%d interfaces: restart", o.Interfaces)
	b.daemon.EndBySignal(syscall.SIGTERM, "restart")
	b.start(0)
	r.Restart = b.awaitReady()
	return r, nil
}

// coldStart starts the daemon on a switch without ports and then creates the ports.
func (b *testbed) coldStart(ctx context.Context, o growthOptions, r *growthResult) error {
	progress("%d interfaces: cold start", o.Interfaces)
	b.start(0)
	r.ConfigDone = b.awaitProduced("PortConfigDone").Sub(b.started)
	r.Ready = b.awaitReady()
	var err error
	if r.InitDone, err = b.makePorts(ctx, o.Ports); err != nil {
		return err
	}
	b.awaitMTU(o.Ports, func(int) int { return 9100 })
	u, err := readUsage(b.daemon.Cmd.Process.Pid)
	r.StartRSS = u.RSS
	return err
}

// rest measures the idle daemon while no links change, first with audits disabled and then with
// audits enabled.
func (b *testbed) rest(ctx context.Context, o growthOptions, r *growthResult) error {
	progress("%d interfaces: idle for %v, then %d audits", o.Interfaces, o.Idle, o.Audits)
	pid := b.daemon.Cmd.Process.Pid
	pause(ctx, 5*time.Second) // the daemon is saving its state and the kernel is configuring IPv6
	before, err := readUsage(pid)
	if err != nil {
		return err
	}
	begin := time.Now()
	pause(ctx, o.Idle)
	after, err := readUsage(pid)
	if err != nil {
		return err
	}
	seconds := time.Since(begin).Seconds()
	r.IdleCPU = time.Duration(float64(after.CPU-before.CPU) / seconds)
	r.IdleWakeups = float64(after.Wakeups-before.Wakeups) / seconds

	b.setAudit(1)
	const audits = "portsyncd_audits_total"
	first := b.awaitSeries(audits, 0).Value(b.T, audits)
	if before, err = readUsage(pid); err != nil {
		return err
	}
	// The last audit ends within half a second. Scrape only after the CPU time has been read.
	pause(ctx, time.Duration(o.Audits)*time.Second+time.Second/2)
	if after, err = readUsage(pid); err != nil {
		return err
	}
	n := b.client.Scrape().Value(b.T, audits) - first
	if n < 1 {
		return fmt.Errorf("no audit completed within %d seconds", o.Audits)
	}
	r.AuditCPU, r.AuditRSS = time.Duration(float64(after.CPU-before.CPU)/n), after.RSS
	b.setAudit(0)
	return nil
}

// overrun suspends the daemon, changes links until the kernel drops messages, then resumes the
// daemon.
func (b *testbed) overrun(ctx context.Context, o growthOptions, r *growthResult) error {
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
	before := b.client.Scrape()
	if err := b.overrunQueue(ctx, indexes, change, finalMTU); err != nil {
		return err
	}
	continued := time.Now()
	b.daemon.Signal(syscall.SIGCONT)
	b.awaitMTU(o.Ports, finalMTU)
	r.InStep = time.Since(continued)
	const sum, count = "portsyncd_resync_duration_seconds_sum", "portsyncd_resync_duration_seconds_count"
	after := b.awaitSeries(count, before.Value(b.T, count))
	n := after.Value(b.T, count) - before.Value(b.T, count)
	r.Resync = time.Duration((after.Value(b.T, sum) - before.Value(b.T, sum)) / n * float64(time.Second))
	u, err := readUsage(b.daemon.Cmd.Process.Pid)
	r.EndRSS = u.RSS
	return err
}

// overrunQueue suspends the daemon, changes MTUs until the kernel has dropped messages, and then
// sets the final MTUs.
func (b *testbed) overrunQueue(ctx context.Context, indexes []int32, change *changer, final func(port int) int) error {
	q, err := readQueue()
	if err != nil {
		return err
	}
	before := q.Drops
	b.daemon.Signal(syscall.SIGSTOP)
	round := func(mtu func(port int) int) error {
		for i, index := range indexes {
			change.setMTU(index, mtu(i))
		}
		return change.flush()
	}
	for mtu := 1500; q.Drops == before; mtu++ {
		if err := round(func(int) int { return mtu }); err != nil {
			return err
		}
		if q, err = readQueue(); err != nil {
			return err
		}
		if mtu > 8000 || ctx.Err() != nil {
			return fmt.Errorf("kernel did not drop any messages after %d changes", (mtu-1500)*len(indexes))
		}
	}
	return round(final)
}

// pause waits for the duration t or until ctx ends.
func pause(ctx context.Context, t time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(t):
	}
}
