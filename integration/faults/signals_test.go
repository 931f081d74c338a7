package faults

import (
	"fmt"
	"math/rand/v2"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"portsyncd/internal/switchtest"
)

// TestStopInEveryPhase delays a start at increasing points of its exchange with the database and
// sends SIGTERM there. It must end the daemon within 5 s. The test ends when the start was over
// before the point. A daemon delayed at its subscription may be ready anyway.
func TestStopInEveryPhase(t *testing.T) {
	switchtest.Parallel(t)
	for _, direction := range directions {
		t.Run(direction, func(t *testing.T) {
			sw, p := switchtest.NewWithProxy(t)
			if sw == nil {
				return
			}
			conf := sw.WriteConfig(cutConfig)
			sw.ConfigurePorts(cutPorts)
			step := 500
			if direction == "replies" {
				step = 40
			}
			if !switchtest.LongRun() {
				step *= 2
			}
			var slowest time.Duration
			held := 0
			for at := 1; ; at += step {
				f := switchtest.ProxyFault{Once: true, Hold: true, Requests: at}
				if direction == "replies" {
					f = switchtest.ProxyFault{Once: true, Hold: true, Replies: at}
				}
				sw.Do("APPL_DB", "FLUSHDB") // a cold start each time
				p.Set(f)
				d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
				cuts := 0
				switchtest.Eventually(t, switchtest.Timeout, func() string {
					var passed [2]int
					passed, cuts = p.Count()
					_, started := d.Notifications.Await(0, 0, func(s string) bool { return s == "READY=1" })
					if cuts == 0 && !started {
						return fmt.Sprintf("%+v: %d bytes have passed, and the daemon is not ready", f, passed)
					}
					return ""
				})
				slowest = max(slowest, d.EndBySignal(syscall.SIGTERM, fmt.Sprintf("delayed at byte %d of the %s", at, direction)))
				if cuts == 0 {
					break
				}
				held++
				p.CutAll()
			}
			p.Set(switchtest.ProxyFault{})
			d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
			d.AwaitReady()
			sw.CheckSelfReport(d)
			if held < 2 {
				t.Errorf("delayed in %d phases, want more", held)
			}
			t.Logf("%d phases, the slowest end took %v", held, slowest.Round(time.Millisecond))
		})
	}
}

// TestStopAtAnyMoment sends SIGTERM at increasing times after the start of the process, from
// before the first line of main to after the last write of the start.
func TestStopAtAnyMoment(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	conf := sw.WriteConfig("")
	sw.ConfigurePorts(switchtest.ManyPorts)
	const moments = 60
	var slowest time.Duration
	for n := range moments {
		sw.Do("APPL_DB", "FLUSHDB")
		d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
		time.Sleep(time.Duration(n) * time.Millisecond * switchtest.RaceFactor) // the tested moment
		slowest = max(slowest, d.EndBySignal(syscall.SIGTERM, fmt.Sprintf("%d ms after the start", n)))
	}
	d := sw.Start(switchtest.StartOptions{Args: []string{"-c", conf}})
	d.AwaitReady()
	sw.CheckSelfReport(d) // deliberate stops are no restart storm
	t.Logf("%d moments, the slowest end took %v", moments, slowest.Round(time.Millisecond))
}

// TestStopContinueReload stops, continues and reloads the daemon at random moments while links
// flap. The daemon must keep running, be in sync, and use the last configuration.
func TestStopContinueReload(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	const holds, hangups = 40, 400
	sw.ConfigurePorts(switchtest.ManyPorts)
	d := sw.StartWith("")
	sw.AddInterfaces(switchtest.ManyPorts)
	client := switchtest.NewClient(t, switchtest.HTTPAddress)
	random := rand.New(rand.NewPCG(1, 2))
	stop := sw.Churn()
	for range holds {
		d.Signal(syscall.SIGSTOP)
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // it is held
		d.Signal(syscall.SIGCONT)
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond) // it goes on
	}
	for n := range hangups {
		format := []string{"prometheus", "json"}[n%2]
		sw.WriteConfig(fmt.Sprintf("[metrics]\nexport_format = %q\n", format))
		d.Signal(syscall.SIGHUP)
	}
	stop()
	// The last file belongs to the last SIGHUP, even if the daemon received several
	// as one.
	switchtest.Eventually(t, switchtest.Timeout, func() string {
		if got := client.Request("GET", "/metrics").Header.Get("Content-Type"); got != switchtest.JSONType {
			return fmt.Sprintf("/metrics is %s, the last file asks for %s", got, switchtest.JSONType)
		}
		return ""
	})
	sw.AwaitRecovery(fmt.Sprintf("stopped %d times, reloaded %d times", holds, hangups))
	sw.CheckAfterFault(d)
	d.EndBySignal(syscall.SIGTERM, "after all that")
}

// TestReloadDuringStart sends SIGHUP without a pause from the moment that the process exists. The
// daemon must start anyway.
func TestReloadDuringStart(t *testing.T) {
	sw := switchtest.New(t)
	if sw == nil {
		return
	}
	sw.ConfigurePorts(1)
	// SIGHUP ends a process that has no handler yet (signal(7)), so it is ignored
	// first, which the child inherits.
	signal.Ignore(syscall.SIGHUP)
	d := sw.Start(switchtest.StartOptions{})
	deadline := time.Now().Add(200 * time.Millisecond * switchtest.RaceFactor)
	for time.Now().Before(deadline) {
		d.Signal(syscall.SIGHUP)
	}
	d.AwaitReady()
	sw.PopPortTable()
	sw.AddPort(switchtest.PortName(0))
	sw.AwaitInitDone()
	sw.AwaitRecovery("reloads during the start")
	sw.CheckAfterFault(d)
	d.EndBySignal(syscall.SIGTERM, "after them")
}
