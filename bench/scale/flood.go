package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/switchtest"
)

type floodOptions struct {
	Events  int
	Ports   int
	Writers int
	Every   time.Duration
}

// floodResult is the result of a flood measurement.
type floodResult struct {
	Sent    int // number of MTU changes
	Took    time.Duration
	Samples []sample
	// Before and After are samples of the idle daemon before and after the flood.
	Before, After sample
	// Processors is the daemon's GOMAXPROCS. The garbage collector starts that many goroutines when
	// it first runs.
	Processors int
}

// sample is a measurement of the daemon at one point in time.
type sample struct {
	At         time.Duration // since the beginning of the flood
	Sent       int
	Decided    int // messages that the daemon has processed since it started
	Overruns   int
	Goroutines int
	Heap       int // bytes, including dead objects that have not been swept
	Cycles     int // runs of the garbage collector
	usage
	queue
}

// decided is the name of the series that counts processed link messages.
const decided = `portsyncd_events_total{event="newlink"}`

// measureFlood changes MTUs as fast as the daemon can process the changes. The writers pause while
// the daemon's receive queue is long, so that no message is lost.
func measureFlood(ctx context.Context, sw *switchtest.Switch, o floodOptions) (r floodResult, err error) {
	b := newTestbed(sw, o.Ports)
	if err := b.startWithPorts(ctx, o.Ports); err != nil {
		return r, err
	}
	indexes, err := portIndexes(o.Ports)
	if err != nil {
		return r, err
	}
	f := &flood{testbed: b, begin: time.Now()}
	if r.Before, err = f.sample(); err != nil {
		return r, err
	}
	metrics := b.client.Scrape().Samples
	r.Processors = int(metrics["go_sched_gomaxprocs_threads"])
	f.longest = int(metrics["portsyncd_netlink_receive_buffer_bytes"]) / 4
	if err := f.run(ctx, o, indexes, &r); err != nil {
		return r, err
	}
	b.awaitMTU(o.Ports, finalMTU)
	r.After, err = f.sample()
	return r, err
}

// startWithPorts starts the daemon and creates the ports.
func (b *testbed) startWithPorts(ctx context.Context, ports int) error {
	b.start(60)
	b.awaitProduced("PortConfigDone")
	if _, err := b.makePorts(ctx, ports); err != nil {
		return err
	}
	b.awaitReady()
	b.awaitMTU(ports, func(int) int { return 9100 })
	return nil
}

// finalMTU returns the MTU that the port has at the end of the flood. The port does not have this
// MTU earlier.
func finalMTU(port int) int { return 8100 + port }

// flood is the state of a running flood measurement.
type flood struct {
	*testbed
	begin   time.Time
	longest int // queue length in bytes above which the writers pause
	hold    atomic.Bool
	sent    atomic.Int64
}

// sample takes a sample of the daemon.
func (f *flood) sample() (s sample, err error) {
	// Read the usage before the scrape, whose connection adds a descriptor and goroutines.
	if s.usage, err = readUsage(f.daemon.Cmd.Process.Pid); err != nil {
		return s, err
	}
	metrics := f.client.Scrape().Samples
	if s.queue, err = readQueue(); err != nil {
		return s, err
	}
	s.At, s.Sent = time.Since(f.begin), int(f.sent.Load())
	s.Decided = int(metrics[decided])
	s.Overruns = int(metrics["portsyncd_netlink_overruns_total"])
	s.Goroutines = int(metrics["go_goroutines"])
	s.Heap = int(metrics["go_memstats_alloc_bytes"])
	s.Cycles = int(metrics["go_gc_duration_seconds_count"])
	return s, nil
}

// run changes links while taking samples.
func (f *flood) run(ctx context.Context, o floodOptions, indexes []int32, r *floodResult) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var watching, writing sync.WaitGroup
	watched, end := context.WithCancel(ctx)
	watching.Go(func() {
		if err := f.watchQueue(watched); err != nil {
			stop(err)
		}
	})
	for w := range o.Writers {
		own, begin := shares(o.Ports, o.Writers, w)
		events, _ := shares(o.Events, o.Writers, w)
		writing.Go(func() {
			if err := f.write(ctx, indexes[begin:begin+own], begin, events); err != nil {
				stop(err)
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()
	err := f.sampleUntil(written, o.Every, r)
	stop(err)
	<-written
	end()
	watching.Wait()
	r.Sent, r.Took = int(f.sent.Load()), time.Since(f.begin)
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// shares divides n into among parts of nearly equal size. It returns the size of part i and the
// number at which the part begins.
func shares(n, among, i int) (size, begin int) {
	begin = n * i / among
	return n*(i+1)/among - begin, begin
}

// sampleUntil takes and logs a sample at each interval until written is closed.
func (f *flood) sampleUntil(written <-chan struct{}, every time.Duration, r *floodResult) error {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-written:
			return nil
		case <-ticks.C:
		}
		s, err := f.sample()
		if err != nil {
			return err
		}
		progress("flood: %d sent, RSS %.1f MiB, %d goroutines, %d descriptors", s.Sent, mib(s.RSS), s.Goroutines, s.Descriptors)
		r.Samples = append(r.Samples, s)
	}
}

// watchQueue pauses the writers while the daemon's receive queue is long.
func (f *flood) watchQueue(ctx context.Context) error {
	for ctx.Err() == nil {
		q, err := readQueue()
		if err != nil {
			return err
		}
		f.hold.Store(q.Bytes > f.longest)
		pause(ctx, time.Millisecond)
	}
	return nil
}

// write changes the MTU of the ports in turn. first is the number of the first port. The last
// change sets each port to its finalMTU.
func (f *flood) write(ctx context.Context, indexes []int32, first, events int) error {
	change, err := newChanger()
	if err != nil {
		return err
	}
	defer change.close()
	for n := 0; n < events && ctx.Err() == nil; {
		for f.hold.Load() && ctx.Err() == nil {
			time.Sleep(200 * time.Microsecond)
		}
		burst := min(len(indexes), events-n)
		for i := range burst {
			mtu := 1500 + n/len(indexes)%5000
			if n+i+len(indexes) >= events {
				mtu = finalMTU(first + i)
			}
			change.setMTU(indexes[i], mtu)
		}
		if err := change.flush(); err != nil {
			return err
		}
		n += burst
		f.sent.Add(int64(burst))
	}
	return nil
}

// check returns an error for each value that should have remained constant or reached its target
// but did not.
func (r *floodResult) check() error {
	var wrong []error
	before, after := r.Before, r.After
	if got := after.Decided - before.Decided; got < r.Sent && after.Overruns == before.Overruns {
		wrong = append(wrong, fmt.Errorf("daemon processed only %d of %d messages", got, r.Sent))
	}
	if after.Overruns > before.Overruns || after.Drops > before.Drops {
		wrong = append(wrong, fmt.Errorf("kernel dropped messages: %d overruns", after.Overruns-before.Overruns))
	}
	if after.Goroutines > before.Goroutines+r.Processors {
		wrong = append(wrong, fmt.Errorf("number of goroutines grew from %d to %d", before.Goroutines, after.Goroutines))
	}
	if after.Descriptors > before.Descriptors {
		wrong = append(wrong, fmt.Errorf("number of file descriptors grew from %d to %d", before.Descriptors, after.Descriptors))
	}
	// The heap reaches its size during the first samples.
	const slack = 2 << 20
	if n := len(r.Samples); n >= 4 {
		early, late := r.Samples[n/4].RSS, r.Samples[n-1].RSS
		if late > early+slack {
			wrong = append(wrong, fmt.Errorf("memory usage grew from %.1f to %.1f MiB", mib(early), mib(late)))
		}
	}
	return errors.Join(wrong...)
}
