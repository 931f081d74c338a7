package main

import (
	"fmt"
	"math/rand/v2"
	"os/signal"
	"syscall"
	"testing"
	"time"
)

// endsWithin is how soon the daemon is to die of the signal that asks it to.
const endsWithin = 5 * time.Second

// diesBy sends a signal and looks that the daemon dies of it in time.
func (d *program) diesBy(sig syscall.Signal, when string) (took time.Duration) {
	d.t.Helper()
	begin := time.Now()
	d.signal(sig)
	status := d.wait(endsWithin)
	if !status.Signaled() || status.Signal() != sig {
		d.t.Errorf("%s: wait status %#x, want the end by %v", when, int(status), sig)
	}
	return time.Since(begin)
}

// TestStopInEveryPhase holds a start up at one point of its exchange with the
// database after the other, so that it is in each of its phases, and asks it to
// end there: it dies of SIGTERM within 5 s. A start in which nothing was held was
// longer than all phases. One that was held may be ready all the same: the
// connection that listens can be held without harm.
func TestStopInEveryPhase(t *testing.T) {
	alongside(t)
	for _, direction := range directions {
		t.Run(direction, func(t *testing.T) {
			c, p := newProxyCell(t)
			if c == nil {
				return
			}
			conf := c.config(cutConfig)
			c.configure(cutPorts)
			step := 500
			if direction == "replies" {
				step = 40
			}
			if !thorough() {
				step *= 2
			}
			var slowest time.Duration
			held := 0
			for at := 1; ; at += step {
				f := proxyFault{once: true, hold: true, requests: at}
				if direction == "replies" {
					f = proxyFault{once: true, hold: true, replies: at}
				}
				c.do("APPL_DB", "FLUSHDB") // a start from nothing each time
				p.set(f)
				d := c.start(launch{args: []string{"-c", conf}})
				cuts := 0
				eventually(t, patience, func() string {
					var passed [2]int
					passed, cuts = p.count()
					_, started := d.states.await(0, 0, func(s string) bool { return s == "READY=1" })
					if cuts == 0 && !started {
						return fmt.Sprintf("%+v: passed have %d bytes, and it is not ready", f, passed)
					}
					return ""
				})
				slowest = max(slowest, d.diesBy(syscall.SIGTERM, fmt.Sprintf("held at byte %d of the %s", at, direction)))
				if cuts == 0 {
					break
				}
				held++
				p.cutAll()
			}
			if held < 2 {
				t.Errorf("held in %d phases, want more", held)
			}
			t.Logf("%d phases, the slowest end took %v", held, slowest.Round(time.Millisecond))
		})
	}
}

// TestStopAtAnyMoment asks a daemon to end so many milliseconds after it was
// started, before the first line of main and after the last write of the start.
func TestStopAtAnyMoment(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	conf := c.config("")
	c.configure(faultPorts)
	const moments = 60
	var slowest time.Duration
	for n := range moments {
		c.do("APPL_DB", "FLUSHDB")
		d := c.start(launch{args: []string{"-c", conf}})
		time.Sleep(time.Duration(n) * time.Millisecond * raceFactor) // the moment
		slowest = max(slowest, d.diesBy(syscall.SIGTERM, fmt.Sprintf("%d ms after the start", n)))
	}
	t.Logf("%d moments, the slowest end took %v", moments, slowest.Round(time.Millisecond))
}

// TestHeldAndReloaded stops and continues the daemon, and asks it to read its
// configuration again, at random moments while links flap: it lives, it is in
// step, and the last configuration is in effect.
func TestHeldAndReloaded(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	const holds, hangups = 40, 400
	c.configure(faultPorts)
	d := c.startWith("")
	c.plug(faultPorts)
	s := newSite(t, httpAddress)
	random := rand.New(rand.NewPCG(1, 2))
	stop := c.churn()
	for range holds {
		d.signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // it is held
		d.signal(syscall.SIGCONT)
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // it goes on
	}
	for n := range hangups {
		format := []string{"prometheus", "json"}[n%2]
		c.config(fmt.Sprintf("[metrics]\nexport_format = %q\n", format))
		d.signal(syscall.SIGHUP)
	}
	stop()
	// The last file is of the last SIGHUP, whichever of them were one to the
	// daemon.
	eventually(t, patience, func() string {
		if got := s.ask("GET", "/metrics").header.Get("Content-Type"); got != jsonText {
			return fmt.Sprintf("/metrics is %s, the last file asks for %s", got, jsonText)
		}
		return ""
	})
	c.recovered(fmt.Sprintf("held %d times, reloaded %d times", holds, hangups))
	c.unharmed(d)
	d.diesBy(syscall.SIGTERM, "after all that")
}

// TestHangupsAtStart sends SIGHUP without a pause from the moment that the
// process exists: the daemon starts all the same.
func TestHangupsAtStart(t *testing.T) {
	c := newCell(t)
	if c == nil {
		return
	}
	c.configure(1)
	// Until a program has said what is to become of it, SIGHUP ends the process
	// (signal(7)), so it has to be ignored to begin with, which a child inherits.
	signal.Ignore(syscall.SIGHUP)
	d := c.start(launch{})
	deadline := time.Now().Add(200 * time.Millisecond * raceFactor)
	for time.Now().Before(deadline) {
		d.signal(syscall.SIGHUP)
	}
	d.awaitReady()
	c.pop()
	c.addPort(portName(0))
	c.awaitInitDone()
	c.recovered("hang-ups at the start")
	c.unharmed(d)
	d.diesBy(syscall.SIGTERM, "after them")
}
