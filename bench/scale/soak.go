package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portsyncd/internal/switchtest"
	"portsyncd/internal/warmrestart"
)

type soakOptions struct {
	Duration time.Duration
	Rate     int // changes per second
	Ports    int
	Every    time.Duration // sampling interval
	Restart  time.Duration // interval between restarts of redis-server
	Reload   time.Duration // interval between reloads of the configuration
}

// soakResult is the result of a soak measurement.
type soakResult struct {
	Sent, Flaps      int // MTU changes and link flaps
	Restarts         int // restarts of redis-server
	Reloads, Fetches int
	Took             time.Duration
	Samples          []sample
	Latency          []latencySample
	Before, After    sample
	Unhealthy        int // unhealthy samples in the daemon's history
	MostUnhealthy    int // longest run of consecutive unhealthy samples
}

// latencySample is a line of the daemon's history that contains a latency.
type latencySample struct {
	At time.Duration // since the beginning of the soak
	warmrestart.Latency
}

// historyEvery is the daemon's sampling interval in seconds.
const historyEvery = 10

// downFor is how long redis-server stays down during a restart.
const downFor = 2 * time.Second

// soak is the state of a running soak measurement.
type soak struct {
	flood // the daemon and its samples
	redis *switchtest.RedisServer
	o     soakOptions

	flaps, restarts, reloads, fetches atomic.Int64
}

// measureSoak changes ports at a steady rate while it requests metrics and pages, restarts
// redis-server and reloads the configuration. The daemon saves its files during the measurement.
func measureSoak(ctx context.Context, sw *switchtest.Switch, redis *switchtest.RedisServer, o soakOptions) (r soakResult, err error) {
	b := newTestbed(sw, o.Ports)
	b.saveEvery = historyEvery
	if err := b.startWithPorts(ctx, o.Ports); err != nil {
		return r, err
	}
	indexes, err := portIndexes(o.Ports)
	if err != nil {
		return r, err
	}
	s := &soak{redis: redis, o: o}
	s.testbed, s.begin = b, time.Now()
	if r.Before, err = s.sample(); err != nil {
		return r, err
	}
	if err := s.run(ctx, indexes, &r); err != nil {
		return r, err
	}
	r.Took = time.Since(s.begin)
	b.awaitMTU(o.Ports, finalMTU)
	if r.After, err = s.sample(); err != nil {
		return r, err
	}
	r.Sent, r.Flaps = int(s.sent.Load()), int(s.flaps.Load())
	r.Restarts, r.Reloads, r.Fetches = int(s.restarts.Load()), int(s.reloads.Load()), int(s.fetches.Load())
	return r, s.readHistory(&r)
}

// run changes links for the configured duration. Afterwards all ports are up and have their final
// MTU.
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

// each calls f at each interval until ctx ends.
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

// change changes MTUs at the configured rate and finally sets the final MTUs.
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
			return nil // the kernel rejects an empty datagram
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

// flap brings one port after the other down and up, and leaves all ports up.
func (s *soak) flap(ctx context.Context) error {
	port := 0
	return each(ctx, 500*time.Millisecond, func() error {
		name := switchtest.PortName(port % s.o.Ports)
		port++
		s.flaps.Add(1)
		return errors.Join(s.Links.SetUp(name, false), s.Links.SetUp(name, true))
	})
}

func (s *soak) restartServer() error {
	s.RestartRedis(s.redis, func() { time.Sleep(downFor) })
	s.restarts.Add(1)
	return nil
}

func (s *soak) reload() error {
	s.reloads.Add(1)
	s.daemon.Signal(syscall.SIGHUP)
	return nil
}

// fetch requests the status page and the JSON documents.
func (s *soak) fetch() error {
	for _, path := range []string{"/", "/healthz", "/metrics.json", "/ports", "/status"} {
		if path == "/healthz" {
			s.client.Request(http.MethodGet, path) // status 503 is allowed
		} else {
			s.client.Get(path)
		}
		s.fetches.Add(1)
	}
	return nil
}

// readHistory reads latency and health values from the daemon's history.
func (s *soak) readHistory(r *soakResult) error {
	file, err := os.Open(filepath.Join(s.storage(), "history.jsonl"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the soak was too short for a sample
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
