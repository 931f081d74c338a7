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

// headStart is how long the HTTP server waits for the start to hand the
// configuration over: orchagent waits for that, nobody for the first scrape.
const headStart = 50 * time.Millisecond

// Serve opens the HTTP server once the start is made, or its head start over,
// tells the service manager when the initial sync is over too, and closes the
// server when ctx ends. Nothing that is wrong with it ends the daemon.
func (d *Process) serve(ctx context.Context, listeners []net.Listener) {
	select {
	case <-d.loop.Started():
	case <-time.After(headStart):
	case <-ctx.Done():
	}
	server := d.openServer(listeners)
	ready := d.loop.Ready()
	for ctx.Err() == nil {
		select {
		case <-ready:
			// Who waits for this may ask us at once.
			d.notify(systemd.Ready, systemd.Status("%s", d.loop.Summary()))
			close(d.readyTold)
			ready = nil
		case <-ctx.Done():
		}
	}
	closeServer(server, d.component("http"))
}

// openServer returns nil where there is to be none, or can be none.
func (d *Process) openServer(listeners []net.Listener) *metrics.Server {
	m := &d.Cfg.Metrics
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
		Version:   Release,
		Listeners: listeners,
		Live:      *d.live.Load(),
	}
	if len(listeners) == 0 {
		for _, e := range m.Listen {
			sc.Listen = append(sc.Listen, e.String())
		}
	}
	server, err := metrics.NewServer(sc, metrics.Sources{
		Set:    d.set,
		Health: d.health,
		Ready:  d.readiness,
		Down:   d.status.SetListenersDown,
		Ports:  d.status.AppendPorts,
		Status: d.appendStatus,
		Page:   d.appendPage, PagePolicy: statusview.PagePolicy,
	}, d.component("http"))
	if err != nil {
		d.log.Error("no HTTP server", "error", err)
		return nil
	}
	server.Start()
	d.server.Store(server)
	d.reconfigure() // for a reload that came meanwhile
	return server
}

// reconfigure brings the server, if there is one, up to the last reload.
func (d *Process) reconfigure() {
	server := d.server.Load()
	if server == nil {
		return
	}
	if err := server.Reconfigure(*d.live.Load()); err != nil {
		d.log.Error("the HTTP server keeps its settings", "error", err)
	}
}

func closeServer(server *metrics.Server, log *slog.Logger) {
	if server == nil {
		return
	}
	short, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := server.Shutdown(short); err != nil {
		log.Log(short, syslog.LevelNotice, "HTTP connections closed at stop", "error", err)
	}
}

// exposeProcess adds what tells of the process rather than of its work.
func (d *Process) exposeProcess() {
	d.set.AddBuildInfo(Release, Revision())
	if conn, ok := d.Links.(*netlinkraw.Conn); ok {
		portsync.ExposeNetlink(d.set, conn)
	}
	portsync.ExposeLog(d.set, d.Logs)
	d.set.AddGo()
	if err := d.set.AddProcess(); err != nil {
		d.log.Warn("no process metrics", "error", err)
	}
}

// live is the part of the server's configuration that a reload can change.
func live(m *config.Metrics) *metrics.Live {
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
