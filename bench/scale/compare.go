package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"portsyncd/internal/switchtest"
)

// The daemon and redis-server share a processor, and the measuring process has another, so that the
// results do not depend on where the scheduler puts them.
const (
	daemonCPU = 0
	ownCPU    = 1
)

type compareOptions struct {
	Reference string // path of the other binary
	Rounds    int
	Earlier   int // starts of the daemon before those that are measured
	Starts    int // measured starts in each round and for each number of ports
	Ports     int // number of ports of a measured start
	Events    int // changes in the burst
	Single    int // single changes
	Idle      time.Duration
}

// samples holds the measured values by the key of their row in compareRows.
type samples map[string][]float64

func (s samples) add(key string, values ...float64) { s[key] = append(s[key], values...) }

// merge adds the values of other.
func (s samples) merge(other samples) {
	for key, values := range other {
		s.add(key, values...)
	}
}

// compareEventPorts is the number of ports in the measurements of events.
const compareEventPorts = 64

// startPorts lists the numbers of ports for which starts are measured.
var startPorts = []int{32, 128, 512}

// compare measures the reference binary and the binary of this tree in turn, and prints a table.
// The order of the two changes with each round.
func compare(ctx context.Context, o options) error {
	if runtime.NumCPU() < 2 {
		return errors.New("compare needs two processors: one for the daemon and redis-server, one for the measurement")
	}
	binaries := []string{o.compare.Reference, o.binary}
	results := []samples{{}, {}}
	for round := range o.compare.Rounds {
		for i := range binaries {
			if round%2 == 1 {
				i = len(binaries) - 1 - i
			}
			one := o
			one.binary = binaries[i]
			measure := func(what string, args ...string) error {
				progress("round %d of %d: %s %s of %s", round+1, o.compare.Rounds, what, strings.Join(args, " "), one.binary)
				r := samples{}
				if err := onCPU(ownCPU, func() error { return again(ctx, one, &r, what, args...) }); err != nil {
					return fmt.Errorf("%s of %s: %w", what, one.binary, err)
				}
				results[i].merge(r)
				return nil
			}
			for _, ports := range startPorts {
				if err := measure("starts", "-start-ports", strconv.Itoa(ports)); err != nil {
					return err
				}
			}
			if err := measure("events"); err != nil {
				return err
			}
		}
	}
	if err := printMachine(os.Stdout, binaries); err != nil {
		return err
	}
	printCompare(os.Stdout, results[0], results[1])
	return nil
}

// onCPU calls f on a thread that runs only on the given processor. Processes that f starts inherit
// this.
func onCPU(cpu int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("run on processor %d: %w", cpu, err)
	}
	return errors.Join(f(), unix.SchedSetaffinity(0, &before))
}

// comparison is a switch with one of the two binaries.
type comparison struct {
	*testbed
	redis int // process ID of redis-server
}

// newComparison prepares a switch whose redis-server runs on daemonCPU.
func newComparison(t switchtest.T, ports int) (*comparison, error) {
	var sw *switchtest.Switch
	var redis *switchtest.RedisServer
	err := onCPU(daemonCPU, func() error {
		sw, redis = switchtest.NewWithRedis(t)
		return nil
	})
	if err != nil || sw == nil {
		return nil, err
	}
	c := &comparison{testbed: newTestbed(sw, ports), redis: redis.Cmd.Process.Pid}
	c.notify("Kh")
	return c, nil
}

// notify sets which keyspace notifications redis-server sends. They use its CPU time.
func (c *comparison) notify(events string) {
	c.Do("APPL_DB", "CONFIG", "SET", "notify-keyspace-events", events)
}

// launch starts the daemon on daemonCPU, without arguments and configuration, as any portsyncd can
// be started. It returns the time from exec to PortConfigDone and the CPU time until then.
func (c *comparison) launch() (took, cpu time.Duration, err error) {
	c.seen = c.produced.Len()
	err = onCPU(daemonCPU, func() error {
		c.started = time.Now()
		c.daemon = c.Start(switchtest.StartOptions{Env: []string{"WATCHDOG_PID=1"}})
		return nil
	})
	if err != nil {
		return 0, 0, err
	}
	took = c.awaitProduced("PortConfigDone").Sub(c.started)
	u, err := readUsage(c.daemon.Cmd.Process.Pid)
	return took, u.CPU, err
}

// stop ends the daemon and deletes what it wrote to the databases, but not its files.
func (c *comparison) stop() {
	c.daemon.EndBySignal(syscall.SIGTERM, "between two starts")
	c.Do("APPL_DB", "FLUSHDB")
	c.Do("STATE_DB", "FLUSHDB")
}

// measureStarts measures cold starts after o.Earlier others, and the maximum memory with all ports.
func measureStarts(ctx context.Context, c *comparison, o compareOptions) (samples, error) {
	r := samples{}
	suffix := " " + strconv.Itoa(o.Ports)
	for i := range o.Earlier + o.Starts {
		if i > 0 {
			if i == o.Earlier {
				c.settle(ctx) // needs a running daemon, so there is nothing to wait for before the first start
			}
			c.stop()
		}
		took, cpu, err := c.launch()
		if err != nil {
			return nil, err
		}
		if i >= o.Earlier {
			r.add("start"+suffix, ms(took))
			r.add("start CPU"+suffix, ms(cpu))
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	if err := c.addPorts(ctx, o.Ports); err != nil {
		return nil, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.daemon.Cmd.Process.Pid))
	r.add("peak"+suffix, float64(statusNumber(string(status), "VmHWM"))/1024)
	return r, err
}

// addPorts creates the ports and waits until all their rows are correct.
func (c *comparison) addPorts(ctx context.Context, ports int) error {
	_, err := c.makePorts(ctx, ports)
	c.awaitMTU(ports, func(int) int { return 9100 })
	c.settle(ctx)
	return err
}

// settle waits until the daemon and redis-server have used no CPU time for 50 ms, but at most 5 s.
func (c *comparison) settle(ctx context.Context) {
	last, quiet := time.Duration(-1), 0
	for end := time.Now().Add(5 * time.Second); quiet < 5 && time.Now().Before(end) && ctx.Err() == nil; {
		daemon, redis, err := c.cpu()
		if sum := daemon + redis; err != nil || sum-last > 200*time.Microsecond {
			quiet = 0
		} else {
			quiet++
		}
		last = daemon + redis
		pause(ctx, 10*time.Millisecond)
	}
}

// cpu returns the CPU time that the daemon and redis-server have used.
func (c *comparison) cpu() (daemon, redis time.Duration, err error) {
	daemon, err = cpuTime(c.daemon.Cmd.Process.Pid)
	if err != nil {
		return 0, 0, err
	}
	redis, err = cpuTime(c.redis)
	return daemon, redis, err
}

// measureEvents measures link changes: single ones, a burst, and changes that the kernel drops. It
// then measures the idle daemon.
func measureEvents(ctx context.Context, c *comparison, o compareOptions) (samples, error) {
	if _, _, err := c.launch(); err != nil {
		return nil, err
	}
	if err := c.addPorts(ctx, o.Ports); err != nil {
		return nil, err
	}
	indexes, err := portIndexes(o.Ports)
	if err != nil {
		return nil, err
	}
	change, err := newChanger()
	if err != nil {
		return nil, err
	}
	defer change.close()
	r := samples{}
	for _, step := range []struct {
		name string
		run  func(context.Context, []int32, *changer, compareOptions, samples) error
	}{{"idle", c.idle}, {"single changes", c.single}, {"burst", c.burst}, {"overflow", c.overflow}} {
		if err := step.run(ctx, indexes, change, o, r); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return r, nil
}

// single changes one port at a time, 200 times per second. The latency is the time from before the
// request to the notification about the row with the new MTU. This process waits for it actively,
// so that no wake-up of its own is included.
func (c *comparison) single(ctx context.Context, indexes []int32, change *changer, o compareOptions, r samples) error {
	const interval = 5 * time.Millisecond
	l, err := listenRows(c.Databases["STATE_DB"])
	if err != nil {
		return err
	}
	defer l.close()
	before, _, err := c.cpu()
	if err != nil {
		return err
	}
	var latencies []float64
	next := time.Now()
	for i := range o.Single {
		port, mtu := i%len(indexes), 2000+i
		name := switchtest.PortName(port)
		sent := time.Now()
		change.setMTU(indexes[port], mtu)
		if err := change.flush(); err != nil {
			return err
		}
		for correct := false; !correct; {
			at, err := l.await(ctx, name, time.Second)
			if err != nil {
				return fmt.Errorf("change %d of %s to MTU %d: %w", i, name, mtu, err)
			}
			if correct = c.Row("STATE_DB", switchtest.StatePort+name)["mtu"] == strconv.Itoa(mtu); correct {
				latencies = append(latencies, float64(at.Sub(sent))/1e3)
			}
		}
		next = next.Add(interval)
		pause(ctx, time.Until(next))
	}
	after, _, err := c.cpu()
	if err != nil {
		return err
	}
	slices.Sort(latencies)
	r.add("single p50", latencies[len(latencies)/2])
	r.add("single p99", latencies[len(latencies)*99/100])
	r.add("single CPU", float64(after-before)/1e3/float64(o.Single))
	return nil
}

// burst makes o.Events changes as fast as the daemon can follow. It pauses while the daemon's
// receive queue is more than a quarter full, so that the kernel drops no message.
func (c *comparison) burst(ctx context.Context, indexes []int32, change *changer, o compareOptions, r samples) error {
	const batch = 32
	c.notify("")
	c.settle(ctx)
	limit, err := receiveBuffer(c.daemon.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	daemon, redis, err := c.cpu()
	if err != nil {
		return err
	}
	queue, err := readQueue()
	if err != nil {
		return err
	}
	drops := queue.Drops
	begin := time.Now()
	for n := 0; n < o.Events; {
		for range min(batch, o.Events-n) {
			port := n % len(indexes)
			mtu := 1500 + n/len(indexes)%5000
			if n >= o.Events-len(indexes) {
				mtu = finalMTU(port)
			}
			change.setMTU(indexes[port], mtu)
			n++
		}
		if err := change.flush(); err != nil {
			return err
		}
		for {
			if queue, err = readQueue(); err != nil || ctx.Err() != nil {
				return errors.Join(err, ctx.Err())
			}
			if queue.Bytes <= limit/4 {
				break
			}
			pause(ctx, 100*time.Microsecond)
		}
	}
	last := (o.Events - 1) % len(indexes)
	switchtest.Eventually(c.T, limitOfBurst, func() string {
		if got := c.Row("STATE_DB", switchtest.StatePort+switchtest.PortName(last))["mtu"]; got != strconv.Itoa(finalMTU(last)) {
			return fmt.Sprintf("the last changed port has MTU %s, want %d", got, finalMTU(last))
		}
		return ""
	})
	took := time.Since(begin)
	daemonEnd, redisEnd, err := c.cpu()
	if err != nil {
		return err
	}
	c.awaitMTU(len(indexes), finalMTU)
	if queue, err = readQueue(); err != nil {
		return err
	}
	if queue.Drops > drops {
		return fmt.Errorf("the kernel dropped %d messages", queue.Drops-drops)
	}
	r.add("burst rate", float64(o.Events)/took.Seconds())
	r.add("burst CPU", float64(daemonEnd-daemon)/1e3/float64(o.Events))
	r.add("burst Redis", float64(redisEnd-redis)/1e3/float64(o.Events))
	return nil
}

const (
	limitOfBurst = 30 * time.Second
	// limitOfOverflow is the time after which the rows are considered wrong forever.
	limitOfOverflow = 5 * time.Second
)

// overflow suspends the daemon until the kernel has dropped messages, gives each port its final MTU,
// and resumes the daemon. It adds no sample if the rows do not become correct.
func (c *comparison) overflow(ctx context.Context, indexes []int32, change *changer, _ compareOptions, r samples) error {
	final := func(port int) int { return finalMTU(port) - 1000 } // not that of the burst
	if err := c.overrunQueue(ctx, indexes, change, final); err != nil {
		return err
	}
	continued := time.Now()
	c.daemon.Signal(syscall.SIGCONT)
	for time.Since(continued) < limitOfOverflow && ctx.Err() == nil {
		if c.wrongMTU(len(indexes), final) == "" {
			r.add("overflow", ms(time.Since(continued)))
			return nil
		}
		pause(ctx, time.Millisecond)
	}
	return ctx.Err()
}

// idle counts the daemon's wake-ups while no link changes.
func (c *comparison) idle(ctx context.Context, _ []int32, _ *changer, o compareOptions, r samples) error {
	pause(ctx, min(5*time.Second, o.Idle)) // the daemon saves its state, and the kernel configures IPv6
	before, err := readUsage(c.daemon.Cmd.Process.Pid)
	if err != nil {
		return err
	}
	pause(ctx, o.Idle)
	after, err := readUsage(c.daemon.Cmd.Process.Pid)
	r.add("idle", float64(after.Wakeups-before.Wakeups))
	return err
}

// rowListener receives the notifications about rows of STATE_DB without blocking.
type rowListener struct {
	fd       int
	received []byte
}

// listenRows connects to redis-server and subscribes to the rows of a database.
func listenRows(db switchtest.Database) (*rowListener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	l := &rowListener{fd: fd}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: db.Socket}); err != nil {
		l.close()
		return nil, fmt.Errorf("connect to %s: %w", db.Socket, err)
	}
	command := fmt.Sprintf("PSUBSCRIBE __keyspace@%d__:%s*\r\n", db.Number, switchtest.StatePort)
	if _, err := unix.Write(fd, []byte(command)); err != nil {
		l.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	// Until redis-server has replied, it may process writes of the daemon first.
	if _, err := l.awaitText(context.Background(), "psubscribe\r\n", time.Second); err != nil {
		l.close()
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	return l, nil
}

func (l *rowListener) close() { unix.Close(l.fd) }

// await waits actively for the next notification about the row of a port and returns its time. It
// discards everything before.
func (l *rowListener) await(ctx context.Context, port string, limit time.Duration) (time.Time, error) {
	return l.awaitText(ctx, "|"+port+"\r\n", limit)
}

// awaitText waits actively until redis-server has sent a text, and returns the time. It discards
// everything up to its end.
func (l *rowListener) awaitText(ctx context.Context, text string, limit time.Duration) (time.Time, error) {
	want := []byte(text)
	buf := make([]byte, 4096)
	for end := time.Now().Add(limit); ctx.Err() == nil; {
		n, _, err := unix.Recvfrom(l.fd, buf, unix.MSG_DONTWAIT)
		now := time.Now()
		switch {
		case err == nil && n == 0:
			return now, errors.New("redis-server closed the connection")
		case err == nil:
			l.received = append(l.received, buf[:n]...)
		case !errors.Is(err, unix.EAGAIN):
			return now, fmt.Errorf("receive notification: %w", err)
		}
		if i := bytes.Index(l.received, want); i >= 0 {
			l.received = l.received[i+len(want):]
			return now, nil
		}
		if now.After(end) {
			return now, fmt.Errorf("redis-server did not send %q within %v", text, limit)
		}
	}
	return time.Time{}, ctx.Err()
}
