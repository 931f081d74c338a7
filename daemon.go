package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"portsyncd/config"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
	"portsyncd/push"
	"portsyncd/sonicdb"
	"portsyncd/syslog"
	"portsyncd/systemd"
	"portsyncd/warmrestart"
)

// daemon runs until a signal asks it to end, and then ends by that signal: so
// supervisord sees what it sees with the C++ daemon, and systemd counts it as
// success. It returns only on an error.
func daemon(file string, required bool, stderr io.Writer) int {
	renouncePrivileges()
	signal.Ignore(syscall.SIGPIPE) // a closed stdout or Redis connection is an error, not the end
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP) // first of all: a stray one must not end a daemon that starts
	ctx, stop := context.WithCancelCause(context.Background())
	watchSignals(stop)

	// The list of existing interfaces comes first of all: orchagent makes the
	// ports' interfaces a second after our start, and one that it makes before the
	// list is taken would count as left over and be ignored.
	links, existing, err := joinLinks(ctx)
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd: %v\n", err)
		return exitError
	}
	cfg, cfgErr := loadConfig(file, required)
	d := &process{
		file: file, required: required, cfg: cfg,
		links: links, existing: existing, setDown: netlinkraw.SetLinksDown, stdout: os.Stdout,
		reloads: reloads,
	}
	if err := d.run(ctx, cfgErr); err != nil {
		fmt.Fprintf(stderr, "portsyncd: %v\n", err)
		return exitError
	}
	dieBy(context.Cause(ctx))
	return exitError
}

// joinLinks opens the netlink socket, so that no change is missed from here on,
// and lists the interfaces that are there already. While links come and go too
// quickly for a list it tries on, until ctx ends.
func joinLinks(ctx context.Context) (*netlinkraw.Conn, []portsync.OldLink, error) {
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	if err != nil {
		return nil, nil, fmt.Errorf("open the netlink socket: %w", err)
	}
	for {
		var existing []portsync.OldLink
		err = netlinkraw.ListLinks(func(l *netlinkraw.Link) {
			if strings.HasPrefix(string(l.Name), "Ethernet") {
				existing = append(existing, portsync.OldLink{Index: l.Index, Name: string(l.Name)})
			}
		})
		if err == nil {
			return conn, existing, nil
		}
		if ctx.Err() != nil {
			return nil, nil, fmt.Errorf("list the interfaces: %w", err)
		}
	}
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

// dieBy restores the default action of the signal and raises it.
func dieBy(cause error) {
	var end endSignal
	if !errors.As(cause, &end) {
		return
	}
	sig := end.Signal.(syscall.Signal)
	signal.Reset(sig)
	syscall.Kill(os.Getpid(), sig)
	time.Sleep(time.Second) // the signal is delivered to some thread, soon
}

// process is a daemon and the parts it is made of, for its order of start and
// stop.
type process struct {
	file     string
	required bool
	cfg      config.Config
	links    portsync.Links
	existing []portsync.OldLink
	setDown  func([]int32) []error
	stdout   io.Writer
	reloads  <-chan os.Signal // asks for the configuration to be read again

	listeners []net.Listener // handed over by the demo

	logs     *syslog.Handler
	log      *slog.Logger
	notifier *systemd.Notifier
	server   atomic.Pointer[metrics.Server] // nil while there is none
	live     atomic.Pointer[metrics.Live]   // what a reload changes of it
	inEffect config.Config                  // cfg and what reloads changed; belongs to watchReloads
	set      *metrics.Set
	status   *portsync.Status
	loop     *portsync.Loop
	memory   *warmrestart.Memory
	judge    *portsync.Judge

	readyTold chan struct{} // closed once READY=1 is sent
}

// run starts the parts, runs the loop until ctx ends, and stops the parts in
// reverse. cfgErr is what was wrong with the configuration: it is logged, and
// what was bad has its default, since ports are synchronised whatever the file
// says.
func (d *process) run(ctx context.Context, cfgErr error) error {
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
	d.live.Store(live(&d.cfg.Metrics))
	enabled, loopSet := 1.0, d.set
	if !d.cfg.Daemon.Enabled {
		// What the loop would count is not exposed: zeros would raise alarms.
		enabled, loopSet = 0, metrics.NewSet()
		d.status.Disable()
	}
	d.set.NewGaugeFunc("portsyncd_enabled", "1 if ports are synchronised, 0 if daemon.enabled is false.",
		func() float64 { return enabled })
	families := portsync.NewMetrics(loopSet, d.status, d.cfg.Metrics.PerPort)
	pushFamilies := push.NewFamilies(d.set)
	d.remember(families)
	d.loop = portsync.NewLoop(portsync.Options{
		Links:    d.links,
		Existing: d.existing,
		SetDown:  d.setDown,
		Open: &portsync.Connector{
			Map:      d.databaseMap,
			Logs:     d.logs,
			Level:    d.initialLevel(),
			Log:      d.log,
			Notifier: d.notifier,
		},
		Notifier: d.notifier,
		Watchdog: watchdog,
		Log:      d.log,
		Status:   d.status,
		Metrics:  families,
		Settings: settings(&d.cfg),

		Recorder:    d.memory,
		NoStateFile: !d.cfg.WarmRestart.Enabled,
		EOIUTimeout: d.cfg.WarmRestart.EOIUTimeout,
	})
	d.judge = portsync.NewJudge(d.status, d.memory, d.set)
	saveRest := d.keepMemory()
	go d.watchReloads(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { d.serve(ctx, listeners) })
	beside.Go(func() { d.push(ctx, pushFamilies) })
	beside.Go(func() { // said before what is queued is written
		<-ctx.Done()
		d.notify(systemd.Stopping)
		d.log.Log(context.Background(), syslog.LevelNotice, "stopping", "cause", context.Cause(ctx))
	})
	if d.cfg.Daemon.Enabled {
		fmt.Fprintln(d.stdout, "Listen to link messages...") // as the C++ daemon says when it is up
		beside.Go(func() {
			d.judge.Watch(ctx, func(was, is portsync.Health) { d.tellHealth(ctx, was, is) })
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
func (d *process) handedListeners() ([]net.Listener, error) {
	passed, err := systemd.Listeners()
	listeners := d.listeners
	for _, l := range passed {
		listeners = append(listeners, l)
	}
	return listeners, err
}

// openLog opens the log with the level of the file; once CONFIG_DB's LOGGER row
// is read, that one rules.
func (d *process) openLog() {
	if d.logs == nil {
		d.logs = syslog.New(syslog.Options{Tag: "portsyncd"})
	}
	d.logs.SetLevel(d.initialLevel())
	d.log = slog.New(d.logs)
}

// initialLevel is the log level until CONFIG_DB's LOGGER row is read, and the one
// written to a row without LOGLEVEL.
func (d *process) initialLevel() slog.Level {
	level, err := syslog.ParseLevelFold(d.cfg.Daemon.LogLevel.String())
	if err != nil {
		return syslog.LevelNotice
	}
	return level
}

// logStart logs what is wrong with the configuration the daemon starts with, and
// what it runs with instead.
func (d *process) logStart(cfgErr error) {
	if cfgErr == nil {
		return
	}
	logConfigErrors(d.log, cfgErr)
	d.log.Warn("starting with "+instead(&d.cfg, cfgErr), "file", d.file)
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
func (d *process) openSystemd() (watchdog time.Duration, err error) {
	notifier, err := systemd.New()
	d.notifier = notifier
	watchdog, err2 := systemd.WatchdogInterval()
	return watchdog, errors.Join(err, err2)
}

// databaseMap says where the databases are: SONiC's map if there is one, else
// the address in the configuration.
func (d *process) databaseMap() (*sonicdb.Map, error) {
	db := &d.cfg.Database
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
func (d *process) idle(ctx context.Context) {
	d.log.Log(ctx, syslog.LevelNotice, disabledText)
	d.notify(systemd.Ready, systemd.Status("disabled by configuration"))
	<-ctx.Done()
	d.links.Close()
}

func (d *process) notify(states ...string) {
	if err := d.notifier.Notify(states...); err != nil {
		d.log.Warn("cannot notify the service manager", "error", err)
	}
}
