package daemon

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/config"
	"portsyncd/internal/journal"
	"portsyncd/internal/push"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// Options holds the inputs of a [Daemon].
type Options struct {
	Config         config.Config    // settings at startup
	ConfigFile     string           // read again on a reload
	ConfigRequired bool             // a missing ConfigFile is an error on a reload
	ConfigError    error            // error from loading Config, to be logged; Config is valid nevertheless
	Reloads        <-chan os.Signal // each value requests a reload; nil: no reloads

	Links     portsync.Links        // source of link messages; the daemon closes it
	Existing  []portsync.OldLink    // interfaces that existed before startup
	SetDown   func([]int32) []error // brings interfaces down, by index
	Listeners []net.Listener        // served in addition to those that systemd passed

	Logs   *syslog.Handler
	Stdout *os.File // receives the start message of the C++ daemon, unless the log format is JSON; nil: none
}

// Daemon holds the components of portsyncd, and starts and stops them in the correct order.
type Daemon struct {
	Options

	log      *slog.Logger
	notifier *systemd.Notifier
	set      *metrics.Set
	status   *portsync.Status
	loop     *portsync.Loop
	recorder *warmrestart.Recorder
	lock     *snapshot.DirLock // of the storage path; nil without one
	storage  *storage          // status of recorder and journal for the health monitor
	journal  *journal.Journal
	portLog  *portLog
	monitor  *portsync.HealthMonitor

	server   atomic.Pointer[metrics.Server] // nil if HTTP is disabled or has not started
	live     atomic.Pointer[metrics.Live]   // settings of server that a reload can change
	inEffect config.Config                  // Config including reloaded changes; owned by watchReloads

	readySent chan struct{} // closed after READY=1 is sent
}

// New returns a daemon. Call Run to start it.
func New(o Options) *Daemon {
	return &Daemon{
		Options: o, inEffect: o.Config,
		set: metrics.NewSet(), status: &portsync.Status{}, readySent: make(chan struct{}),
	}
}

// Run starts all components, runs the event loop until ctx is done, and stops the components in
// reverse order. Configuration, environment and HTTP server errors are logged but not fatal,
// because ports must be synchronized in any case.
func (d *Daemon) Run(ctx context.Context) error {
	d.openLog()
	if d.ConfigError != nil {
		logConfigErrors(d.log, d.ConfigError)
		d.log.Warn("starting with "+Fallback(&d.Config, d.ConfigError), "file", d.ConfigFile)
	}
	d.live.Store(liveSettings(&d.Config.Metrics))
	watchdog := d.openSystemd()
	listeners := d.takeListeners()
	families := portsync.NewMetrics(d.loopMetrics(), d.status, d.Config.Metrics.PerPort)
	pushFamilies := push.NewFamilies(d.set)
	d.openRecorder(families)
	d.openJournal()
	d.loop = d.newLoop(families, watchdog)
	d.monitor = portsync.NewHealthMonitor(d.status, d.storage, d.set)
	stopStorage := d.startStorage(ctx)
	go d.watchReloads(ctx)

	var parts sync.WaitGroup
	parts.Go(func() { d.serveHTTP(ctx, listeners) })
	parts.Go(func() {
		d.waitStarted(ctx)
		d.waitStored(ctx)
		d.pushMetrics(ctx, pushFamilies)
	})
	parts.Go(func() { // immediately, not after the loop has written its backlog
		<-ctx.Done()
		d.journal.Add(journal.Event{Kind: journal.Stop, Reason: context.Cause(ctx).Error()})
		d.notify(systemd.Stopping)
		d.log.Log(context.Background(), syslog.LevelNotice, "stopping", "cause", context.Cause(ctx))
	})
	var err error
	if d.Config.Daemon.Enabled {
		if d.Stdout != nil && d.Logs.Format() == syslog.Text {
			syslog.WriteNow(d.Stdout, []byte("Listen to link messages...\n"))
		}
		parts.Go(func() {
			d.waitStarted(ctx)
			d.monitor.Watch(ctx, func(was, is portsync.Health) {
				d.recordHealth(was, is)
				d.reportHealth(ctx, was, is)
			})
		})
		err = d.loop.Run(ctx)
	} else {
		d.runDisabled(ctx)
	}
	parts.Wait()
	stopStorage()
	return err
}

// newLoop returns the event loop. watchdog is the watchdog timeout, or 0 if there is none.
func (d *Daemon) newLoop(families *portsync.Metrics, watchdog time.Duration) *portsync.Loop {
	return portsync.NewLoop(portsync.Options{
		Links:    d.Links,
		Existing: d.Existing,
		SetDown:  d.SetDown,
		Open: &portsync.Connector{
			Map:      d.databaseMap,
			Logs:     d.Logs,
			Level:    d.initialLevel(),
			Log:      d.component("redis"),
			Notifier: d.notifier,
		},
		Notifier: d.notifier,
		Watchdog: watchdog,
		Log:      d.log,
		Status:   d.status,
		Metrics:  families,
		Settings: loopSettings(&d.Config),

		Recorder:    d.recorder,
		Journal:     d.journal,
		NoStateFile: !d.Config.WarmRestart.Enabled,
		EOIUTimeout: d.Config.WarmRestart.EOIUTimeout,
	})
}

// loopMetrics returns the metric set to which the event loop adds its metrics. If daemon.enabled is
// false, this set is not exposed, because metrics with the value 0 would trigger alerts.
func (d *Daemon) loopMetrics() *metrics.Set {
	enabled, set := 1.0, d.set
	if !d.Config.Daemon.Enabled {
		enabled, set = 0, metrics.NewSet()
		d.status.Disable()
	}
	d.set.NewGaugeFunc("portsyncd_enabled", "Whether port synchronization is enabled (setting daemon.enabled): 1 if enabled, 0 if not.",
		func() float64 { return enabled })
	return set
}

// runDisabled runs instead of the event loop if daemon.enabled is false. It reports readiness and
// waits until ctx is done.
func (d *Daemon) runDisabled(ctx context.Context) {
	d.log.Log(ctx, syslog.LevelNotice, disabledText)
	d.notify(systemd.Ready, systemd.Status("disabled by configuration"))
	<-ctx.Done()
	d.Links.Close()
}
