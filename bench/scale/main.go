// Command scale shows how the built daemon bears size and time. Run it as root,
// on Linux, in the directory bench:
//
//	go run ./scale                                   # all, some seven minutes
//	go run ./scale -only growth -interfaces 1000,10000
//	go run ./scale -only flood -events 5000000
//	go run ./scale -only soak -soak 1h -plot soak.svg
//
// Growth: switches with the same front-panel ports and more and more other
// interfaces, such as VLAN members and the links of containers. How long do the
// cold start, the resync and the restart take, and what do memory and idleness
// cost?
//
// Flood: as many changes of links as a busy switch sees in a day, at full speed.
// Memory, goroutines and descriptors are sampled meanwhile and have to be flat.
//
// Soak, only where it is asked for: a steady rate of changes and flaps for a long
// time, while metrics and pages are fetched, files saved, redis-server restarted
// and the configuration reloaded. What was sampled is drawn into a picture.
//
// Each measurement has namespaces, a database server and a daemon of its own; all
// of it is gone at the end. The server is redis-server, or the one of package lab
// where there is none. The daemon has a syslog socket that is read, and what else
// it has by default.
//
// The exit status is 1 if something could not be measured, or if what has to be
// flat or right is not.
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
	"strconv"
	"strings"
	"syscall"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/switchtest"
)

// options is what the command line says.
type options struct {
	only       string
	interfaces []int
	runs       int
	binary     string
	limit      time.Duration
	growth     growthOptions
	flood      floodOptions
	soak       soakOptions
	plot       string
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

// parse reads the command line. inside is set where run has started this program
// again, in namespaces, for one measurement.
func parse(args []string) (o options, inside string, err error) {
	f := flag.NewFlagSet("scale", flag.ContinueOnError)
	f.StringVar(&o.only, "only", "", "`growth`, flood or soak alone")
	interfaces := f.String("interfaces", "1000,3000,10000", "growth: how many interfaces, `list` of sizes")
	f.IntVar(&o.runs, "runs", 3, "growth: how often each size is measured; medians are shown")
	f.StringVar(&o.binary, "binary", "", "`path` of the daemon; it is built if there is none")
	f.DurationVar(&o.limit, "limit", 10*time.Minute, "longest `time` for one measurement")
	f.IntVar(&o.growth.Ports, "ports", 512, "growth: how many of the interfaces are front-panel, even")
	f.DurationVar(&o.growth.Idle, "idle", 15*time.Second, "growth: how long idleness is measured")
	f.IntVar(&o.growth.Audits, "audits", 5, "growth: how many audits are measured, one a second")
	f.BoolVar(&o.growth.Overrun, "overrun", true, "growth: have the kernel lose messages as well")
	f.IntVar(&o.flood.Events, "events", 5_000_000, "flood: how many changes")
	f.IntVar(&o.flood.Ports, "flood-ports", 64, "flood: how many ports change, even")
	f.IntVar(&o.flood.Writers, "writers", 4, "flood: how many goroutines change them")
	f.DurationVar(&o.flood.Every, "sample", 5*time.Second, "flood: `time` between samples")
	f.DurationVar(&o.soak.Duration, "soak", time.Hour, "soak: for how long")
	f.IntVar(&o.soak.Rate, "rate", 300, "soak: changes of MTU a second")
	f.IntVar(&o.soak.Ports, "soak-ports", 64, "soak: how many ports change, even")
	f.DurationVar(&o.soak.Every, "soak-sample", 5*time.Second, "soak: `time` between samples")
	f.DurationVar(&o.soak.Restart, "soak-restart", 2*time.Minute, "soak: `time` between restarts of redis-server")
	f.DurationVar(&o.soak.Reload, "soak-reload", 30*time.Second, "soak: `time` between reloads")
	f.StringVar(&o.plot, "plot", "", "soak: `file` for the picture, SVG")
	f.StringVar(&inside, "inside", "", "for this program's own use")
	if err := f.Parse(args); err != nil {
		return o, "", err
	}
	for _, word := range strings.Split(*interfaces, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < o.growth.Ports || n > 100_000 {
			return o, "", fmt.Errorf("-interfaces %q: want numbers from -ports to 100000", *interfaces)
		}
		o.interfaces = append(o.interfaces, n)
	}
	switch {
	case o.only != "" && o.only != "growth" && o.only != "flood" && o.only != "soak":
		return o, "", fmt.Errorf("-only %q: want growth, flood or soak", o.only)
	case isOdd(o.growth.Ports) || isOdd(o.flood.Ports) || isOdd(o.soak.Ports):
		return o, "", errors.New("-ports, -flood-ports and -soak-ports: want an even number of at least 2, since ports are cabled to each other")
	case o.flood.Writers < 1 || o.flood.Writers > o.flood.Ports:
		return o, "", errors.New("-writers must be from 1 to -flood-ports")
	case o.flood.Events < 1 || o.growth.Audits < 1 || o.runs < 1:
		return o, "", errors.New("-events, -audits and -runs must be above 0")
	case o.soak.Duration <= 0 || o.soak.Every <= 0 || o.soak.Restart <= 0 || o.soak.Reload <= 0 || o.soak.Rate < 1:
		return o, "", errors.New("-soak, -soak-sample, -soak-restart, -soak-reload and -rate must be above 0")
	case o.flood.Every <= 0 || o.growth.Idle <= 0:
		return o, "", errors.New("-sample and -idle must be above 0")
	}
	o.growth.Interfaces = o.interfaces[0]
	if o.only == "soak" {
		o.limit = max(o.limit, o.soak.Duration+5*time.Minute)
	}
	return o, inside, nil
}

// isOdd reports whether ports cannot be cabled to each other.
func isOdd(ports int) bool { return ports < 2 || ports%2 != 0 }

// run makes all measurements and prints their tables.
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
	var verdicts []error
	if o.only == "soak" {
		return soakOnce(ctx, o)
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
		verdicts = append(verdicts, r.verdict())
	}
	return errors.Join(verdicts...)
}

// soakOnce makes a soak, prints what came of it and draws it.
func soakOnce(ctx context.Context, o options) error {
	var r soakResult
	if err := again(ctx, o, &r, "soak"); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	printSoak(os.Stdout, o.soak, &r)
	verdict := r.verdict()
	if o.plot != "" {
		verdict = errors.Join(verdict, r.writePlot(o.plot, o.soak))
	}
	return verdict
}

// grow measures all sizes, one after the other and then again, so that a busy
// moment of the machine does not meet all runs of one size.
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

// build builds the daemon as it is shipped.
func build(ctx context.Context, dir string) (string, error) {
	if err := os.Chmod(dir, 0o755); err != nil { // a user namespace sees somebody else's
		return "", err
	}
	binary := filepath.Join(dir, "portsyncd")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", binary, "portsyncd")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// again runs this program in namespaces for one measurement, whose result comes
// as JSON. Its progress goes to standard error.
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
		return fmt.Errorf("%w after at most %v", ctx.Err(), o.limit)
	case err != nil:
		return err
	}
	return json.Unmarshal(out, result)
}

// measure makes one measurement in the namespaces that again has made.
func measure(ctx context.Context, what string, o options) error {
	if !lab.Inside() {
		return errors.New("-inside is for this program's own use")
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
	default:
		err = fmt.Errorf("-inside %q: want growth, flood or soak", what)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// progress tells the waiting what is going on.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
