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
	"syscall"
	"time"

	"portsyncd/config"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
	"portsyncd/sonicdb"
	"portsyncd/syslog"
	"portsyncd/systemd"
	"portsyncd/warmrestart"
)

// daemon runs until a signal asks it to end, and then ends by that signal: so
// supervisord sees what it sees with the C++ daemon, and systemd counts it as
// success. It returns only on an error.
func daemon(file string, required bool, stderr io.Writer) int {
	signal.Ignore(syscall.SIGPIPE) // a closed stdout or Redis connection is an error, not the end
	ctx, stop := context.WithCancelCause(context.Background())
	go watchSignals(stop)

	// The list of existing interfaces comes first of all: orchagent makes the
	// ports' interfaces a second after our start, and one that it makes before the
	// list is taken would count as left over and be ignored.
	links, existing, err := joinLinks()
	if err != nil {
		fmt.Fprintf(stderr, "portsyncd: %v\n", err)
		return exitError
	}
	cfg, cfgErr := loadConfig(file, required)
	d := &process{
		file: file, required: required, cfg: cfg,
		links: links, existing: existing, setDown: netlinkraw.SetLinksDown, stdout: os.Stdout,
	}
	if err := d.run(ctx, cfgErr); err != nil {
		fmt.Fprintf(stderr, "portsyncd: %v\n", err)
		return exitError
	}
	dieBy(context.Cause(ctx))
	return exitError
}

// joinLinks opens the netlink socket, so that no change is missed from here on,
// and lists the interfaces that are there already.
func joinLinks() (*netlinkraw.Conn, []portsync.OldLink, error) {
	conn, err := netlinkraw.Dial(netlinkraw.Config{})
	if err != nil {
		return nil, nil, fmt.Errorf("open the netlink socket: %w", err)
	}
	var existing []portsync.OldLink
	err = netlinkraw.ListLinks(func(l *netlinkraw.Link) {
		if strings.HasPrefix(string(l.Name), "Ethernet") {
			existing = append(existing, portsync.OldLink{Index: l.Index, Name: string(l.Name)})
		}
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the interfaces: %w", err)
	}
	return conn, existing, nil
}

// endSignal is why the daemon's context ended.
type endSignal struct{ os.Signal }

func (e endSignal) Error() string { return e.String() }

// watchSignals ends the daemon at the first signal that asks for it.
func watchSignals(stop context.CancelCauseFunc) {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGTERM, syscall.SIGINT)
	stop(endSignal{<-c})
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

	listeners []net.Listener // handed over: by systemd, or by the demo

	logs     *syslog.Handler
	log      *slog.Logger
	notifier *systemd.Notifier
	server   *metrics.Server
	set      *metrics.Set
	status   *portsync.Status
	loop     *portsync.Loop
	memory   *warmrestart.Memory
	sampler  portsync.Sampler
}

// run starts the parts, runs the loop until ctx ends, and stops the parts in
// reverse. cfgErr is what was wrong with the configuration: it is logged, and
// what was bad has its default, since ports are synchronised whatever the file
// says.
func (d *process) run(ctx context.Context, cfgErr error) error {
	d.openLog()
	logConfigErrors(d.log, cfgErr)
	watchdog, err := d.openSystemd()
	if err != nil {
		d.log.Error("systemd's environment is of no use", "error", err)
	}
	d.set, d.status = metrics.NewSet(), &portsync.Status{}
	families := d.families()
	d.remember(families)
	d.serve() // not before: the counters that survive would be seen to start at 0
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
		EOIUTimeout: d.cfg.WarmRestart.EOIUTimeout,
	})
	saveRest := d.keepMemory()
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	go d.watchReloads(ctx, reloads)

	if d.cfg.Daemon.Enabled {
		fmt.Fprintln(d.stdout, "Listen to link messages...") // as the C++ daemon says when it is up
		err = d.loop.Run(ctx)
	} else {
		d.idle(ctx)
	}
	d.stop(ctx)
	saveRest()
	return err
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

// initialLevel is the level until the LOGGER row is read, and what a missing row
// is created with.
func (d *process) initialLevel() slog.Level {
	if !d.cfg.IsSet("daemon.log_level") {
		return syslog.LevelNotice
	}
	level, err := syslog.ParseLevelFold(d.cfg.Daemon.LogLevel.String())
	if err != nil {
		return syslog.LevelNotice
	}
	return level
}

func logConfigErrors(log *slog.Logger, err error) {
	var all config.Errors
	switch {
	case err == nil:
	case errors.As(err, &all):
		for _, e := range all {
			log.Error("bad configuration, the default holds", "error", e)
		}
	default:
		log.Error("no configuration, the defaults hold", "error", err)
	}
}

// openSystemd reads what a service manager left in the environment.
func (d *process) openSystemd() (watchdog time.Duration, err error) {
	notifier, err := systemd.New()
	d.notifier = notifier
	watchdog, err2 := systemd.WatchdogInterval()
	return watchdog, errors.Join(err, err2)
}

// families makes all that /metrics shows.
func (d *process) families() *portsync.Metrics {
	d.set.AddBuildInfo(release, revision())
	m := portsync.NewMetrics(d.set, d.status, d.cfg.Metrics.PerPort)
	if conn, ok := d.links.(*netlinkraw.Conn); ok {
		portsync.ExposeNetlink(d.set, conn)
	}
	portsync.ExposeLog(d.set, d.logs)
	d.set.AddGo()
	if err := d.set.AddProcess(); err != nil {
		d.log.Warn("no process metrics", "error", err)
	}
	return m
}

// serve opens the HTTP server. Nothing that is wrong with it ends the daemon.
func (d *process) serve() {
	handed, err := systemd.Listeners()
	if err != nil {
		d.log.Error("the sockets handed over are of no use", "error", err)
	}
	for _, l := range handed {
		d.listeners = append(d.listeners, l)
	}
	m := &d.cfg.Metrics
	if !m.Enabled {
		for _, l := range d.listeners {
			l.Close()
		}
		return
	}
	sc := metrics.ServerConfig{
		Device:      m.Device,
		TLSCertFile: m.TLSCertFile, TLSKeyFile: m.TLSKeyFile, TLSClientCAFile: m.TLSClientCAFile,
		Profiling: m.Profiling,
		Version:   release,
		Listeners: d.listeners,
		Live:      live(m),
	}
	if len(d.listeners) == 0 {
		for _, e := range m.Listen {
			sc.Listen = append(sc.Listen, e.String())
		}
	}
	d.server, err = metrics.NewServer(sc, metrics.Sources{
		Set:    d.set,
		Health: d.health,
		Ready:  d.readiness,
		Ports:  d.status.AppendPorts,
	}, d.log)
	if err != nil {
		d.log.Error("no HTTP server", "error", err)
		return
	}
	d.server.Start()
}

// live is the part of the server's configuration that a reload can change.
func live(m *config.Metrics) metrics.Live {
	l := metrics.Live{JSON: m.ExportFormat == config.JSON}
	l.Credentials.BasicUser = m.BasicUsername
	if m.BearerTokenSHA256.IsSet() {
		l.Credentials.BearerSHA256 = m.BearerTokenSHA256.String()
	}
	if m.BasicPasswordSHA256.IsSet() {
		l.Credentials.BasicSHA256 = m.BasicPasswordSHA256.String()
	}
	return l
}

// health is the loop's verdict and, as a lesser evil, what the disk refuses.
func (d *process) health() metrics.Health {
	h, trouble := d.status.Health(), d.memory.Trouble()
	word := "healthy"
	switch {
	case !h.OK:
		word = "unhealthy"
	case len(trouble) > 0:
		word = "degraded"
	}
	return metrics.Health{OK: h.OK, Status: word, Reasons: append(h.Reasons, trouble...)}
}

func (d *process) readiness() metrics.Health {
	if !d.status.Ready() {
		return metrics.Health{Status: "starting", Reasons: []string{"the initial sync is not complete"}}
	}
	return metrics.Health{OK: true, Status: "ready"}
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

func settings(cfg *config.Config) portsync.Settings {
	return portsync.Settings{
		AuditInterval: cfg.Health.AuditInterval,
		MaxStall:      cfg.Health.MaxStall,
	}
}

// watchReloads re-reads the configuration at each SIGHUP.
func (d *process) watchReloads(ctx context.Context, reloads <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-reloads:
			d.notify(systemd.Reloading())
			d.reload()
			d.notify(systemd.Ready)
		}
	}
}

// reload takes over what can change while running and names what cannot. A file
// with errors changes nothing.
func (d *process) reload() {
	next, err := loadConfig(d.file, d.required)
	if err != nil {
		logConfigErrors(d.log, err)
		d.log.Error("the configuration stays as it was", "file", d.file)
		return
	}
	changes := d.cfg.Diff(next)
	for _, c := range changes {
		if c.Live {
			d.log.Log(context.Background(), syslog.LevelNotice, "setting changed", "key", c.Key, "from", c.Old, "to", c.New)
		} else {
			d.log.Warn("setting needs a restart", "key", c.Key, "from", c.Old, "to", c.New)
		}
	}
	d.log.Log(context.Background(), syslog.LevelNotice, "configuration read", "file", d.file, "changes", len(changes))
	d.loop.Reload(settings(&next))
	d.memory.Reload(memorySettings(&next))
	if d.server != nil {
		if err := d.server.Reconfigure(live(&next.Metrics)); err != nil {
			d.log.Error("the HTTP server keeps its settings", "error", err)
		}
	}
}

// idle is for daemon.enabled = false: present, and doing nothing.
func (d *process) idle(ctx context.Context) {
	d.log.Warn("daemon.enabled is false: ports are not synchronised")
	d.notify(systemd.Ready, systemd.Status("disabled by configuration"))
	<-ctx.Done()
	d.links.Close()
}

// stop ends what run started.
func (d *process) stop(ctx context.Context) {
	d.notify(systemd.Stopping)
	d.log.Log(context.Background(), syslog.LevelNotice, "stopping", "cause", context.Cause(ctx))
	if d.server == nil {
		return
	}
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := d.server.Shutdown(short); err != nil {
		d.log.Warn("HTTP clients were cut off", "error", err)
	}
}

func (d *process) notify(states ...string) {
	if err := d.notifier.Notify(states...); err != nil {
		d.log.Warn("cannot notify the service manager", "error", err)
	}
}
