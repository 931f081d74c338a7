package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portsyncd/internal/lab"
	"portsyncd/internal/warmrestart"
)

type soakOptions struct {
	Duration time.Duration
	Rate     int // changes a second
	Ports    int
	Every    time.Duration // between samples
	Restart  time.Duration // between two restarts of redis-server
	Reload   time.Duration // between two reloads of the configuration
}

// soakResult is what a long time of ordinary trouble did to the daemon.
type soakResult struct {
	Sent, Flaps      int // changes of MTU, and of carrier
	Restarts         int // of redis-server
	Reloads, Fetches int
	Took             time.Duration
	Samples          []sample
	Latency          []latencySample
	Before, After    sample
	Unhealthy        int // samples of the daemon's own history that say so
	MostUnhealthy    int // consecutive ones
}

// latencySample is one line of the daemon's history that has a latency.
type latencySample struct {
	At time.Duration // since the begin of the soak
	warmrestart.Latency
}

// historyEvery is how often the daemon writes a sample of its own, in seconds.
const historyEvery = 10

// downFor is how long redis-server stays away at a restart.
const downFor = 2 * time.Second

// soak is one while it goes on.
type soak struct {
	*cell
	flood // its daemon and samples
	o     soakOptions

	flaps, restarts, reloads, fetches atomic.Int64
}

// measureSoak has ports change at a steady rate while metrics and pages are
// fetched, files saved, redis-server restarted and the configuration reloaded.
func measureSoak(ctx context.Context, binary string, o soakOptions) (r soakResult, err error) {
	c, err := newCell(ctx, o.Ports)
	if err != nil {
		return r, err
	}
	defer c.close()
	c.save = historyEvery
	d, err := c.start(binary, 60)
	if err != nil {
		return r, err
	}
	if _, err := c.awaitMarker("PortConfigDone"); err != nil {
		return r, err
	}
	if _, err := c.makePorts(ctx, o.Ports); err != nil {
		return r, err
	}
	if _, err := d.awaitReady(); err != nil {
		return r, err
	}
	indexes, err := portIndexes(o.Ports)
	if err != nil {
		return r, err
	}
	s := &soak{cell: c, o: o}
	s.daemon, s.begin = d, time.Now()
	if r.Before, err = s.sample(); err != nil {
		return r, err
	}
	if err := s.run(ctx, indexes, &r); err != nil {
		return r, err
	}
	r.Took = time.Since(s.begin)
	if err := c.redial(ctx); err != nil {
		return r, err
	}
	if err := c.inStep(o.Ports, finalMTU); err != nil {
		return r, err
	}
	if r.After, err = s.sample(); err != nil {
		return r, err
	}
	r.Sent, r.Flaps = int(s.sent.Load()), int(s.flaps.Load())
	r.Restarts, r.Reloads, r.Fetches = int(s.restarts.Load()), int(s.reloads.Load()), int(s.fetches.Load())
	return r, s.readHistory(&r)
}

// run goes on for the time that was asked for. The ports are left with their
// final MTU and up.
func (s *soak) run(ctx context.Context, indexes []int32, r *soakResult) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	timed, cancel := context.WithTimeout(ctx, s.o.Duration)
	defer cancel()
	var parts sync.WaitGroup
	part := func(what string, f func(context.Context) error) {
		parts.Go(func() {
			if err := f(timed); err != nil {
				stop(fmt.Errorf("%s: %w", what, err))
			}
		})
	}
	part("change MTUs", func(ctx context.Context) error { return s.change(ctx, indexes) })
	part("flap", s.flap)
	part("restart redis-server", func(ctx context.Context) error { return each(ctx, s.o.Restart, s.restartServer) })
	part("reload", func(ctx context.Context) error { return each(ctx, s.o.Reload, s.reload) })
	part("fetch", func(ctx context.Context) error { return each(ctx, s.o.Every, s.fetch) })
	part("sample", func(ctx context.Context) error {
		return each(ctx, s.o.Every, func() error {
			one, err := s.sample()
			r.Samples = append(r.Samples, one)
			return err
		})
	})
	parts.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// each calls f again and again until ctx ends.
func each(ctx context.Context, every time.Duration, f func() error) error {
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			if err := f(); err != nil {
				return err
			}
		}
	}
}

// change changes MTUs at the rate, and at the end once more to the final ones.
func (s *soak) change(ctx context.Context, indexes []int32) error {
	change, err := newChanger()
	if err != nil {
		return err
	}
	defer change.close()
	const tick = 10 * time.Millisecond
	n, begin := 0, time.Now()
	err = each(ctx, tick, func() error {
		for due := int(time.Since(begin).Seconds() * float64(s.o.Rate)); n < due; n++ {
			change.setMTU(indexes[n%len(indexes)], 1500+n/len(indexes)%5000)
			s.sent.Add(1)
		}
		if len(change.pending) == 0 {
			return nil // the kernel takes no empty datagram
		}
		return change.flush()
	})
	if err != nil {
		return err
	}
	for i, index := range indexes {
		change.setMTU(index, finalMTU(i))
	}
	s.sent.Add(int64(len(indexes)))
	return change.flush()
}

// flap takes one port after the other down and up, and leaves all up.
func (s *soak) flap(ctx context.Context) error {
	port := 0
	return each(ctx, 500*time.Millisecond, func() error {
		name := lab.PortName(port % s.o.Ports)
		port++
		s.flaps.Add(1)
		return errors.Join(s.links.SetUp(name, false), s.links.SetUp(name, true))
	})
}

func (s *soak) restartServer() error {
	if err := s.server.end(); err != nil {
		return err
	}
	time.Sleep(downFor)
	again, err := startServer(filepath.Join(s.dir, "redis.sock"))
	if err != nil {
		return err
	}
	s.server = again
	s.restarts.Add(1)
	return nil
}

func (s *soak) reload() error {
	s.reloads.Add(1)
	return s.daemon.cmd.Process.Signal(syscall.SIGHUP)
}

// fetch gets what people and programs look at.
func (s *soak) fetch() error {
	for _, path := range []string{"/", "/healthz", "/metrics.json", "/ports", "/status"} {
		answer, err := s.daemon.web.Get("http://127.0.0.1:9101" + path)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if err != nil {
			return err
		}
		if answer.StatusCode != http.StatusOK && path != "/healthz" {
			return fmt.Errorf("%s: %s", path, answer.Status)
		}
		s.fetches.Add(1)
	}
	return nil
}

// redial makes the cell's own connections anew, after restarts of the server.
func (c *cell) redial(ctx context.Context) (err error) {
	c.state, err = c.dial(ctx, stateDB)
	return err
}

// readHistory reads what the daemon wrote of its own latency and health.
func (s *soak) readHistory(r *soakResult) error {
	file, err := os.Open(filepath.Join(s.dir, "metrics", "history.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // too short for a sample
	}
	if err != nil {
		return err
	}
	defer file.Close()
	lines, in := bufio.NewScanner(file), 0
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one warmrestart.Sample
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return fmt.Errorf("history: %w", err)
		}
		if one.Health == "unhealthy" {
			r.Unhealthy++
			in++
			r.MostUnhealthy = max(r.MostUnhealthy, in)
		} else {
			in = 0
		}
		if one.Latency != nil {
			r.Latency = append(r.Latency, latencySample{one.Time.Sub(s.begin), *one.Latency})
		}
	}
	return lines.Err()
}
