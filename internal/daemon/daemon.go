package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portsyncd/config"
	"portsyncd/internal/push"
	"portsyncd/internal/sonicdb"
	"portsyncd/internal/syslog"
	"portsyncd/internal/warmrestart"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// Daemon runs until a signal asks it to end, and then ends by that signal: so
// supervisord sees what it sees with the C++ daemon, and systemd counts it as
// success. It returns the exit status only on an error, and as process 1, which no
// signal of its own can end. It waits for nobody who is to read its output.
func Daemon(file string, required bool, stdout, stderr *os.File) int {
	renouncePrivileges()
	signal.Ignore(syscall.SIGPIPE) // a closed stdout or Redis connection is an error, not the end
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP) // first of all: a stray one must not end a daemon that starts
	ctx, stop := context.WithCancelCause(context.Background())
	watchSignals(stop)

	// The list of existing interfaces comes first of all: orchagent makes the
	// ports' interfaces a second after our start, and one that it makes before the
	// list is taken would count as left over and be ignored.
	logs := syslog.New(syslog.Options{Tag: "portsyncd", Component: "daemon"})
	links, existing, err := JoinLinks(ctx, func(err error) {
		slog.New(logs).Error("cannot list the interfaces; retrying", "error", err)
		PrintError(stderr, err) // without descriptors no line reaches syslog
	})
	if err == nil {
		cfg, cfgErr := LoadConfig(file, required)
		d := &Process{
			File: file, required: required, Cfg: cfg, Logs: logs,
			Links: links, Existing: existing, SetDown: netlinkraw.SetLinksDown, stdout: stdout,
			reloads: reloads,
		}
		err = d.Run(ctx, cfgErr)
	}
	if err != nil && !errors.As(err, new(endSignal)) {
		PrintError(stderr, err)
		return ExitError
	}
	return dieBy(context.Cause(ctx))
}

// PrintError writes the error that the daemon ends or waits with, if somebody reads.
func PrintError(stderr *os.File, err error) {
	syslog.WriteNow(stderr, fmt.Appendf(nil, "portsyncd: %v\n", err))
}

// Pauses between tries of JoinLinks that a lack of resources ended.
const (
	joinPauseMin = 10 * time.Millisecond
	joinPauseMax = time.Second
)

// JoinLinks opens the netlink socket, so that no change is missed from here on,
// and lists the interfaces that exist already. If it lacks descriptors or memory,
// or if links change too quickly for a list, it tries again until ctx ends, and
// then returns the cause of that. It calls failed with the first failure.
func JoinLinks(ctx context.Context, failed func(error)) (conn *netlinkraw.Conn, existing []portsync.OldLink, err error) {
	var tell sync.Once
	for pause := joinPauseMin; ctx.Err() == nil; pause = min(2*pause, joinPauseMax) {
		if conn == nil {
			conn, err = netlinkraw.Dial(netlinkraw.Config{})
			if err != nil && !lacksResources(err) {
				return nil, nil, fmt.Errorf("open the netlink socket: %w", err)
			}
		}
		if conn != nil {
			if existing, err = listPorts(); err == nil {
				return conn, existing, nil
			}
		}
		tell.Do(func() { failed(err) })
		if !lacksResources(err) {
			continue // a list that was interrupted has taken its time
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
	return nil, nil, context.Cause(ctx)
}

// listPorts returns the interfaces that are named as front-panel ports.
func listPorts() (ports []portsync.OldLink, err error) {
	err = netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if portsync.IsFrontPanel(l.Name) {
			ports = append(ports, portsync.OldLink{Index: l.Index, Name: string(l.Name)})
		}
	})
	return ports, err
}

// lacksResources reports whether an error may pass when descriptors or memory are
// free again.
func lacksResources(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// endSignal is why the daemon's context ended.
type endSignal struct{ os.Signal }

func (e endSignal) Error() string { return e.String() }

// watchSignals ends the daemon at the first signal that asks for it, from its
// return on.
func watchSignals(stop context.CancelCauseFunc) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	go func() { stop(endSignal{<-c}) }()
}

// dieBy restores the default action of the signal and raises it. As process 1,
// which the kernel shields from its own signals (pid_namespaces(7)), it returns the
// status that a shell shows for a process that died of the signal.
func dieBy(cause error) int {
	var end endSignal
	if !errors.As(cause, &end) {
		return ExitError
	}
	sig := end.Signal.(syscall.Signal)
	if os.Getpid() != 1 {
		signal.Reset(sig)
		syscall.Kill(os.Getpid(), sig)
		time.Sleep(time.Second) // the signal is delivered to some thread, soon
	}
	return 128 + int(sig)
}

// Process is a daemon and the parts it is made of, for its order of start and
// stop.
type Process struct {
	File     string
	required bool
	Cfg      config.Config
	Links    portsync.Links
	Existing []portsync.OldLink
	SetDown  func([]int32) []error
	stdout   *os.File         // nil: not written to
	reloads  <-chan os.Signal // asks for the configuration to be read again

	Listeners []net.Listener // handed over by the demo

	Logs     *syslog.Handler
	log      *slog.Logger
	notifier *systemd.Notifier
	server   atomic.Pointer[metrics.Server] // nil while there is none
	live     atomic.Pointer[metrics.Live]   // what a reload changes of it
	InEffect config.Config                  // cfg and what reloads changed; belongs to watchReloads
	set      *metrics.Set
	status   *portsync.Status
	loop     *portsync.Loop
	memory   *warmrestart.Memory
	monitor  *portsync.HealthMonitor

	readyTold chan struct{} // closed once READY=1 is sent
}

// Run starts the parts, runs the loop until ctx ends, and stops the parts in
// reverse. cfgErr is what was wrong with the configuration: it is logged, and
// what was bad has its default, since ports are synchronised whatever the file
// says.
func (d *Process) Run(ctx context.Context, cfgErr error) error {
	d.openLog()
	d.logStart(cfgErr)
	watchdog, err := d.openSystemd()
	if err != nil {
		d.log.Error("systemd's environment is of no use", "error", err)
	}
	listeners, err := d.handedListeners()
	if err != nil {
		d.log.Error("the sockets handed over are of no use", "error", err)
	}
	d.set, d.status, d.readyTold = metrics.NewSet(), &portsync.Status{}, make(chan struct{})
	d.live.Store(live(&d.Cfg.Metrics))
	enabled, loopSet := 1.0, d.set
	if !d.Cfg.Daemon.Enabled {
		// What the loop would count is not exposed: zeros would raise alarms.
		enabled, loopSet = 0, metrics.NewSet()
		d.status.Disable()
	}
	d.set.NewGaugeFunc("portsyncd_enabled", "1 if ports are synchronised, 0 if daemon.enabled is false.",
		func() float64 { return enabled })
	families := portsync.NewMetrics(loopSet, d.status, d.Cfg.Metrics.PerPort)
	pushFamilies := push.NewFamilies(d.set)
	d.remember(families)
	d.loop = portsync.NewLoop(portsync.Options{
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
		Settings: settings(&d.Cfg),

		Recorder:    d.memory,
		NoStateFile: !d.Cfg.WarmRestart.Enabled,
		EOIUTimeout: d.Cfg.WarmRestart.EOIUTimeout,
	})
	d.monitor = portsync.NewHealthMonitor(d.status, d.memory, d.set)
	saveRest := d.keepMemory(ctx)
	go d.watchReloads(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { d.serve(ctx, listeners) })
	beside.Go(func() { d.push(ctx, pushFamilies) })
	beside.Go(func() { // said before what is queued is written
		<-ctx.Done()
		d.notify(systemd.Stopping)
		d.log.Log(context.Background(), syslog.LevelNotice, "stopping", "cause", context.Cause(ctx))
	})
	if d.Cfg.Daemon.Enabled {
		if d.stdout != nil { // as the C++ daemon says when it is up
			syslog.WriteNow(d.stdout, []byte("Listen to link messages...\n"))
		}
		beside.Go(func() {
			d.monitor.Watch(ctx, func(was, is portsync.Health) { d.tellHealth(ctx, was, is) })
		})
		err = d.loop.Run(ctx)
	} else {
		d.idle(ctx)
	}
	beside.Wait()
	saveRest()
	return err
}

// handedListeners are the sockets that systemd or the demo opened for us.
func (d *Process) handedListeners() ([]net.Listener, error) {
	passed, err := systemd.Listeners()
	listeners := d.Listeners
	for _, l := range passed {
		listeners = append(listeners, l)
	}
	return listeners, err
}

// openLog opens the log with the level of the file; once CONFIG_DB's LOGGER row
// is read, that one rules.
func (d *Process) openLog() {
	d.Logs.SetLevel(d.initialLevel())
	d.log = slog.New(d.Logs)
}

// component returns the logger of one part of the daemon.
func (d *Process) component(name string) *slog.Logger { return d.log.With(syslog.ComponentKey, name) }

// initialLevel is the log level until CONFIG_DB's LOGGER row is read, and the one
// written to a row without LOGLEVEL.
func (d *Process) initialLevel() slog.Level {
	level, err := syslog.ParseLevelFold(d.Cfg.Daemon.LogLevel.String())
	if err != nil {
		return syslog.LevelNotice
	}
	return level
}

// logStart logs what is wrong with the configuration the daemon starts with, and
// what it runs with instead.
func (d *Process) logStart(cfgErr error) {
	if cfgErr == nil {
		return
	}
	logConfigErrors(d.log, cfgErr)
	d.log.Warn("starting with "+Instead(&d.Cfg, cfgErr), "file", d.File)
}

// logConfigErrors logs each problem of a configuration file.
func logConfigErrors(log *slog.Logger, err error) {
	var all config.Errors
	if !errors.As(err, &all) {
		log.Error("cannot load the configuration", "error", err)
	}
	for _, e := range all {
		log.Error("configuration error", "error", e)
	}
}

// openSystemd reads what a service manager left in the environment.
func (d *Process) openSystemd() (watchdog time.Duration, err error) {
	notifier, err := systemd.New()
	d.notifier = notifier
	watchdog, err2 := systemd.WatchdogInterval()
	return watchdog, errors.Join(err, err2)
}

// databaseMap says where the databases are: SONiC's map if there is one, else
// the address in the configuration. The password of the configuration is for servers
// of which SONiC's map names none.
func (d *Process) databaseMap() (*sonicdb.Map, error) {
	db := &d.Cfg.Database
	m, err := d.addressMap()
	if err == nil && db.PasswordFile != "" {
		m.SetCredentials(db.User, db.PasswordFile)
	}
	return m, err
}

// addressMap is databaseMap without the password of the configuration.
func (d *Process) addressMap() (*sonicdb.Map, error) {
	db := &d.Cfg.Database
	if db.ConfigFile != "" {
		m, err := sonicdb.LoadMap(db.ConfigFile)
		if !errors.Is(err, fs.ErrNotExist) {
			return m, err
		}
	}
	if db.UnixSocket != "" {
		return sonicdb.StaticMap("unix", db.UnixSocket), nil
	}
	return sonicdb.StaticMap("tcp", net.JoinHostPort(db.RedisHost, strconv.Itoa(int(db.RedisPort)))), nil
}

// idle is for daemon.enabled = false: present, and doing nothing.
func (d *Process) idle(ctx context.Context) {
	d.log.Log(ctx, syslog.LevelNotice, DisabledText)
	d.notify(systemd.Ready, systemd.Status("disabled by configuration"))
	<-ctx.Done()
	d.Links.Close()
}

func (d *Process) notify(states ...string) {
	if err := d.notifier.Notify(states...); err != nil {
		d.log.Warn("cannot notify the service manager", "error", err)
	}
}
