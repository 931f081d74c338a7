// Command scale measures how the built daemon scales with the number of interfaces, with the
// rate of changes, and over time. Run it as root on Linux in the directory bench:
//
//	go run ./scale                                   # growth and flood, about seven minutes
//	go run ./scale -only growth -interfaces 1000,10000
//	go run ./scale -only flood -events 5000000
//	go run ./scale -only soak -soak 1h -plot soak.svg
//
// Growth measures switches with the same front-panel ports and an increasing number of other
// interfaces, such as VLAN members and links of containers: the time of a cold start, a resync
// and a restart, memory, and the cost of an idle daemon.
//
// Flood makes as many link changes as a busy switch sees in a day, as fast as the daemon can
// follow. Memory, goroutines and descriptors are sampled and must stay constant.
//
// Soak runs only on request. For a long time it makes changes and flaps at a steady rate,
// requests metrics and pages, restarts redis-server and reloads the configuration. It can draw
// the samples.
//
// Compare runs only on request. It measures another portsyncd, of any implementation, and the one of
// this tree in turn, with the daemon and redis-server on one processor:
//
//	go run ./scale -only compare -reference PATH
//
// Memory runs only on request. It prints which mappings are resident after the initialization of the
// packages, and after a cold start of the daemon with and without files of earlier starts.
//
// Each measurement has its own namespaces, database server and daemon, as the integration tests
// have (package switchtest). The server is redis-server, or the one of package lab where that is
// not installed. The daemon has its default settings and a syslog socket.
//
// The exit status is 1 if a measurement fails, or if a value that must stay constant or be right
// is not.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// options holds the command-line options.
type options struct {
	only       string
	interfaces []int
	runs       int
	binary     string
	limit      time.Duration
	growth     growthOptions
	flood      floodOptions
	soak       soakOptions
	compare    compareOptions
	plot       string

	memoryPorts int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, inside, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil && inside != "" {
		err = measure(ctx, inside, o)
	} else if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

// parse parses the command line. If run has restarted this program inside namespaces, inside is the
// name of the measurement.
func parse(args []string) (o options, inside string, err error) {
	f := flag.NewFlagSet("scale", flag.ContinueOnError)
	f.StringVar(&o.only, "only", "", "run only `growth`, flood, soak, memory or compare")
	interfaces := f.String("interfaces", "1000,3000,10000", "growth: comma-separated `list` of interface counts")
	f.IntVar(&o.runs, "runs", 3, "growth: `number` of runs for each size; the table shows minimums")
	f.StringVar(&o.binary, "binary", "", "`path` of the daemon; built if empty")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "maximum `time` of one measurement")
	f.IntVar(&o.growth.Ports, "ports", 512, "growth: number of front-panel ports among the interfaces (even)")
	f.DurationVar(&o.growth.Idle, "idle", 15*time.Second, "growth: duration of the idle measurement")
	f.IntVar(&o.growth.Audits, "audits", 5, "growth: number of audits, one per second")
	f.BoolVar(&o.growth.Overrun, "overrun", true, "growth: also measure an overrun")
	f.IntVar(&o.flood.Events, "events", 5_000_000, "flood: number of changes")
	f.IntVar(&o.flood.Ports, "flood-ports", 64, "flood: number of ports (even)")
	f.IntVar(&o.flood.Writers, "writers", 4, "flood: number of goroutines that change links")
	f.DurationVar(&o.flood.Every, "sample", 5*time.Second, "flood: sampling interval")
	f.DurationVar(&o.soak.Duration, "soak", time.Hour, "soak: duration")
	f.IntVar(&o.soak.Rate, "rate", 300, "soak: MTU changes per second")
	f.IntVar(&o.soak.Ports, "soak-ports", 64, "soak: number of ports (even)")
	f.DurationVar(&o.soak.Every, "soak-sample", 5*time.Second, "soak: sampling interval")
	f.DurationVar(&o.soak.Restart, "soak-restart", 2*time.Minute, "soak: `time` between restarts of redis-server")
	f.DurationVar(&o.soak.Reload, "soak-reload", 30*time.Second, "soak: `time` between reloads")
	f.StringVar(&o.plot, "plot", "", "soak: write an SVG plot to `file`")
	f.StringVar(&o.compare.Reference, "reference", "", "compare: `path` of the other daemon")
	f.IntVar(&o.compare.Rounds, "rounds", 3, "compare: number of rounds")
	f.IntVar(&o.compare.Earlier, "earlier", 100, "compare, memory: number of starts before those that are measured")
	f.IntVar(&o.compare.Starts, "starts", 5, "compare: number of measured starts per round")
	f.IntVar(&o.compare.Events, "burst", 20_000, "compare: number of changes in the burst")
	f.IntVar(&o.compare.Single, "single", 600, "compare: number of single changes")
	f.DurationVar(&o.compare.Idle, "compare-idle", 12*time.Second, "compare: duration of the idle measurement")
	f.IntVar(&o.compare.Ports, "start-ports", compareEventPorts, "internal")
	f.IntVar(&o.memoryPorts, "memory-ports", 0, "internal")
	f.StringVar(&inside, "inside", "", "internal")
	if err := f.Parse(args); err != nil {
		return o, "", err
	}
	if o.binary != "" { // smaps has absolute paths
		var err error
		if o.binary, err = filepath.Abs(o.binary); err != nil {
			return o, "", err
		}
	}
	for _, word := range strings.Split(*interfaces, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < o.growth.Ports || n > 100_000 {
			return o, "", fmt.Errorf("invalid -interfaces %q: must be numbers from -ports to 100000", *interfaces)
		}
		o.interfaces = append(o.interfaces, n)
	}
	switch {
	case !slices.Contains([]string{"", "growth", "flood", "soak", "memory", "compare"}, o.only):
		return o, "", fmt.Errorf("invalid -only %q: must be growth, flood, soak, memory or compare", o.only)
	case o.only == "compare" && o.compare.Reference == "":
		return o, "", errors.New("-only compare needs the -reference daemon")
	case o.compare.Rounds < 1 || o.compare.Earlier < 0 || o.compare.Starts < 1 || o.compare.Single < 1 || o.compare.Idle <= 0:
		return o, "", errors.New("-rounds, -starts, -single and -compare-idle must be greater than 0, and -earlier at least 0")
	case o.compare.Events < 2*compareEventPorts:
		return o, "", fmt.Errorf("-burst must be at least %d", 2*compareEventPorts)
	case isOdd(o.growth.Ports) || isOdd(o.flood.Ports) || isOdd(o.soak.Ports):
		return o, "", errors.New("-ports, -flood-ports and -soak-ports must be even and at least 2, because ports are cabled in pairs")
	case o.flood.Writers < 1 || o.flood.Writers > o.flood.Ports:
		return o, "", errors.New("-writers must be between 1 and -flood-ports")
	case o.flood.Events < 1 || o.growth.Audits < 1 || o.runs < 1:
		return o, "", errors.New("-events, -audits and -runs must be greater than 0")
	case o.soak.Duration <= 0 || o.soak.Every <= 0 || o.soak.Restart <= 0 || o.soak.Reload <= 0 || o.soak.Rate < 1:
		return o, "", errors.New("-soak, -soak-sample, -soak-restart, -soak-reload and -rate must be greater than 0")
	case o.flood.Every <= 0 || o.growth.Idle <= 0:
		return o, "", errors.New("-sample and -idle must be greater than 0")
	}
	if o.compare.Reference != "" {
		if o.compare.Reference, err = filepath.Abs(o.compare.Reference); err != nil {
			return o, "", err
		}
	}
	o.growth.Interfaces = o.interfaces[0]
	if o.only == "soak" {
		o.limit = max(o.limit, o.soak.Duration+5*time.Minute)
	}
	return o, inside, nil
}

// isOdd reports whether ports is odd or less than 2.
func isOdd(ports int) bool { return ports < 2 || ports%2 != 0 }

// run runs all measurements and prints their tables.
func run(ctx context.Context, o options) error {
	if err := lab.Forbidden(); err != nil {
		return err
	}
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "scale")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.binary, err = build(ctx, dir); err != nil {
			return err
		}
	}
	var problems []error
	switch o.only {
	case "soak":
		return soakOnce(ctx, o)
	case "memory":
		return memory(ctx, o)
	case "compare":
		return compare(ctx, o)
	}
	if o.only != "flood" {
		sizes, err := grow(ctx, o)
		if err != nil {
			return err
		}
		printGrowth(os.Stdout, o.growth.Ports, sizes)
	}
	if o.only != "growth" {
		var r floodResult
		if err := again(ctx, o, &r, "flood"); err != nil {
			return fmt.Errorf("flood: %w", err)
		}
		printFlood(os.Stdout, o.flood, r)
		problems = append(problems, r.check())
	}
	return errors.Join(problems...)
}

// soakOnce runs a soak, prints its table and writes its plot.
func soakOnce(ctx context.Context, o options) error {
	var r soakResult
	if err := again(ctx, o, &r, "soak"); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	printSoak(os.Stdout, o.soak, &r)
	problem := r.check()
	if o.plot != "" {
		problem = errors.Join(problem, r.writePlot(o.plot, o.soak))
	}
	return problem
}

// grow measures each number of interfaces o.runs times. It alternates between the numbers, so that
// other load on the machine does not affect all runs of one number.
func grow(ctx context.Context, o options) ([]size, error) {
	sizes := make([]size, len(o.interfaces))
	for range o.runs {
		for i, n := range o.interfaces {
			var r growthResult
			if err := again(ctx, o, &r, "growth", "-interfaces", strconv.Itoa(n)); err != nil {
				return nil, fmt.Errorf("growth with %d interfaces: %w", n, err)
			}
			sizes[i].interfaces = n
			sizes[i].runs = append(sizes[i].runs, r)
		}
	}
	return sizes, nil
}

// build builds the daemon with the compiler settings of a release, and returns the path of the
// binary.
func build(ctx context.Context, dir string) (string, error) {
	if err := os.Chmod(dir, 0o755); err != nil { // in a user namespace the file has another owner
		return "", err
	}
	binary := filepath.Join(dir, "portsyncd")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", binary, "portsyncd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// again runs this program again in new namespaces for one measurement, and decodes its JSON output
// into result. Progress messages are written to standard error.
func again(ctx context.Context, o options, result any, what string, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	cmd := lab.Command(ctx, self, append(append(os.Args[1:len(os.Args):len(os.Args)], "-inside", what), args...)...)
	cmd.Env = append(cmd.Env, switchtest.BinaryVariable+"="+o.binary)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w (limit: %v)", ctx.Err(), o.limit)
	case err != nil:
		return err
	}
	return json.Unmarshal(out, result)
}

// measure runs one measurement. It must be called in a process that was started in namespaces by
// again.
func measure(ctx context.Context, what string, o options) error {
	if !lab.Inside() {
		return errors.New("-inside is for internal use")
	}
	t := &reporter{ctx: ctx}
	defer t.cleanUp()
	var result any
	var err error
	switch what {
	case "growth":
		result, err = measureGrowth(ctx, switchtest.New(t), o.growth)
	case "flood":
		result, err = measureFlood(ctx, switchtest.New(t), o.flood)
	case "soak":
		sw, redis := switchtest.NewWithRedis(t)
		result, err = measureSoak(ctx, sw, redis, o.soak)
	case "memory":
		result, err = measureMemory(ctx, switchtest.New(t), o.memoryPorts, o.compare.Earlier)
	case "starts", "events":
		var c *comparison
		if c, err = newComparison(t, o.compare.Ports); err != nil {
			break
		}
		if what == "starts" {
			result, err = measureStarts(ctx, c, o.compare)
		} else {
			result, err = measureEvents(ctx, c, o.compare)
		}
	default:
		err = fmt.Errorf("invalid -inside %q: must be growth, flood, soak, starts or events", what)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// progress prints a timestamped line to standard error.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
