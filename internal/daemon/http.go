package daemon

import (
	"context"
	"log/slog"
	"net"
	"time"

	"portsyncd/config"
	"portsyncd/internal/statusview"
	"portsyncd/internal/syslog"
	"portsyncd/metrics"
	"portsyncd/netlinkraw"
	"portsyncd/portsync"
	"portsyncd/systemd"
)

// serveHTTP runs the HTTP server until ctx is done. The server starts after the stored counters have
// been read, because a counter must not decrease after a restart. serveHTTP sends READY=1 when the
// initial sync is complete and the server is listening. Server errors are logged and do not stop the
// daemon.
func (d *Daemon) serveHTTP(ctx context.Context, listeners []net.Listener) {
	d.waitStarted(ctx)
	d.waitStored(ctx)
	server := d.openServer(listeners)
	select {
	case <-d.loop.Ready():
		d.notify(systemd.Ready, systemd.Status("%s", d.loop.Summary()))
		close(d.readySent)
		<-ctx.Done()
	case <-ctx.Done():
	}
	closeServer(server, d.component("http"))
}

// openServer opens the HTTP server. It returns nil if HTTP is disabled or the server cannot start.
func (d *Daemon) openServer(listeners []net.Listener) *metrics.Server {
	m := &d.Config.Metrics
	if !m.Enabled {
		for _, l := range listeners {
			l.Close()
		}
		return nil
	}
	d.exposeProcess()
	sc := metrics.ServerConfig{
		Device:      m.Device,
		TLSCertFile: m.TLSCertFile, TLSKeyFile: m.TLSKeyFile, TLSClientCAFile: m.TLSClientCAFile,
		Profiling: m.Profiling,
		Listeners: listeners,
		Live:      *d.live.Load(),
	}
	if len(listeners) == 0 {
		for _, e := range m.Listen {
			sc.Listen = append(sc.Listen, metrics.Endpoint(e))
		}
	}
	server, err := metrics.NewServer(sc, metrics.Sources{
		Set:    d.set,
		Health: d.health,
		Ready:  d.readiness,
		Down:   d.status.SetListenersDown,
		Ports:  d.appendPorts,
		Status: d.appendStatus,
		Events: d.eventsQuery,
		Page:   d.appendPage, PortPage: d.portPage, PagePolicy: statusview.PagePolicy(),
	}, d.component("http"))
	if err != nil {
		d.log.Error("cannot start the HTTP server; continuing without it", "error", err)
		return nil
	}
	server.Start()
	d.server.Store(server)
	d.reconfigureHTTP() // a reload may have happened before d.server was set
	return server
}

// reconfigureHTTP applies the settings of the last reload to the HTTP server if it is running.
func (d *Daemon) reconfigureHTTP() {
	server := d.server.Load()
	if server == nil {
		return
	}
	if err := server.Reconfigure(*d.live.Load()); err != nil {
		d.log.Error("cannot reconfigure the HTTP server; keeping the settings in effect", "error", err)
	}
}

// closeServer shuts down the server. Open requests have one second to finish.
func closeServer(server *metrics.Server, log *slog.Logger) {
	if server == nil {
		return
	}
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := server.Shutdown(short); err != nil {
		log.Log(short, syslog.LevelNotice, "HTTP requests were interrupted by the shutdown", "error", err)
	}
}

// exposeProcess adds the process metrics: build information, netlink socket, log, Go runtime and
// /proc.
func (d *Daemon) exposeProcess() {
	d.set.AddBuildInfo(Release, Revision())
	if conn, ok := d.Links.(*netlinkraw.Conn); ok {
		portsync.ExposeNetlink(d.set, conn)
	}
	portsync.ExposeLog(d.set, d.Logs)
	d.set.AddGo()
	if err := d.set.AddProcess(); err != nil {
		d.log.Warn("cannot read /proc; process metrics are not exposed", "error", err)
	}
}

// liveSettings returns the settings of the HTTP server that a reload can change.
func liveSettings(m *config.Metrics) *metrics.Live {
	l := &metrics.Live{JSON: m.ExportFormat == config.JSON, HostNames: m.HostNames}
	l.Credentials.BasicUser = m.BasicUsername
	if m.BearerTokenSHA256.IsSet() {
		l.Credentials.BearerSHA256 = m.BearerTokenSHA256.String()
	}
	if m.BasicPasswordSHA256.IsSet() {
		l.Credentials.BasicSHA256 = m.BasicPasswordSHA256.String()
	}
	return l
}
