package metrics

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"portsyncd/internal/backoff"
)

// Timeouts of a connection. A scrape of thousands of series takes well under a
// millisecond; these are for bad networks, and end what is no client at all.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 2 * time.Minute // longer than a usual scrape interval
	maxHeaderBytes    = 8 << 10
)

// Limits where the configuration leaves them at 0.
const (
	defaultMaxConns   = 128
	defaultMaxAnswers = 8
)

// ServerConfig says where to serve what to whom. Only the fields of [Live] can
// be changed while the server runs.
type ServerConfig struct {
	// Listen holds addresses: "host:port", "[v6]:port", ":port" or
	// "unix:/absolute/path".
	Listen []string
	// Listeners are open already: from systemd, or from another namespace.
	// The server closes them.
	Listeners []net.Listener
	// Device, unless empty, binds TCP sockets of Listen to a network device
	// or VRF (SO_BINDTODEVICE, socket(7)).
	Device string

	// TLSCertFile and TLSKeyFile hold PEM; both or none. With them, TCP
	// speaks TLS 1.2 or later and nothing else. The files are read again
	// when they change.
	TLSCertFile, TLSKeyFile string
	// TLSClientCAFile, unless empty, demands client certificates signed by
	// one of these authorities.
	TLSClientCAFile string

	// Profiling serves /debug/pprof/ on loopback addresses and unix sockets.
	Profiling bool
	// Version is shown on the landing page.
	Version string

	// MaxConns caps connections, MaxAnswers the large answers that are in
	// memory at once. 0 means 128, or fewer where file descriptors are few,
	// and 8.
	MaxConns, MaxAnswers int

	Live
}

// Live is the part of the configuration that [Server.Reconfigure] changes.
type Live struct {
	// JSON makes /metrics answer in JSON where the client has no preference.
	JSON bool
	// Credentials are asked of clients that come over TCP. The zero value
	// asks for none. A unix socket is guarded by its mode instead.
	Credentials Credentials
	// HostNames are names of this host, in lower case, besides those that
	// [Server] finds by itself. A request over TCP whose Host header has another
	// name is refused.
	HostNames []string
}

// Sources is where answers come from. The functions are called from many
// goroutines at once and must not wait for anything.
type Sources struct {
	Set *Set
	// Health and Ready answer /healthz and /readyz. If nil, the answer is
	// that nothing is known yet, with status 503.
	Health, Ready func() Health
	// Ports and Status append the JSON documents of /ports and /status to b. If
	// nil, there is none.
	Ports, Status func(b []byte) []byte
	// Page appends the HTML document of / to b. If nil, a list of links stands
	// there.
	Page func(b []byte) []byte
	// Down is called with the addresses of Listen that are not served at present and
	// why, each time that changes, and with "" when all are. It may be nil, and must
	// not call the server.
	Down func(addresses string)
	// PagePolicy is the Content-Security-Policy of Page.
	PagePolicy string
}

// Server answers HTTP requests for /metrics, /metrics.json, /healthz, /readyz,
// /ports, /status and the page at /.
//
// It is made so that no client can hurt the daemon or another client for long:
//
//   - Every read and write has a deadline, headers are limited to 8 KiB, only
//     GET and HEAD exist, and bodies are not read.
//   - Connections are capped: in all, for each source address, for unix sockets
//     together, and for TCP clients that have shown no credentials, so that places are
//     left for the others. When a cap is reached, a new connection takes the place of
//     one that waits for its client to finish a request, or to start another, or to
//     read an answer; if there is none, the new one gets a 503. A client without
//     credentials is disconnected after its 401. Slow clients thus push out each other.
//   - A large answer is made in memory and then written, so a slow client holds memory
//     and nothing else. The answers in memory are capped. A request waits a moment for
//     memory and then gets a 503; while it waits, clients that do not read their answer
//     are cut off.
//   - At most half the processors make answers at the same time, so that the
//     daemon's own work finds one free.
//   - Few profiles are taken at the same time.
//
// An address that cannot be had is tried again in the background; so is one whose
// device or socket file is gone.
type Server struct {
	cfg       ServerConfig
	endpoints []endpoint
	// listenNames are the hosts in Listen, as hostOf spells them.
	listenNames []string
	src         Sources
	log         *slog.Logger
	live        atomic.Pointer[liveState]

	http     http.Server
	certs    *certificates // nil without TLS
	conns    *limiter
	answers  *answers
	profiles chan struct{} // a place for each in work
	rejected *Vec[Counter]
	routes   map[string]*route
	other    *route
	pprof    *route

	retry    backoff.Backoff // of an address that cannot be served; each endpoint copies it
	panicked sync.Once

	stop    context.CancelFunc
	stopped context.Context
	wg      sync.WaitGroup

	mu    sync.Mutex
	addrs []net.Addr
	down  map[endpoint]string // addresses that are not served, and why
}

// liveState is Live, made ready for use.
type liveState struct {
	json      bool
	auth      authenticator
	hostNames []string
}

// NewServer checks cfg and adds the server's own families to src.Set. It opens
// nothing: see [Server.Start]. An error names the setting that is wrong.
func NewServer(cfg ServerConfig, src Sources, log *slog.Logger) (*Server, error) {
	s := &Server{
		cfg:   cfg,
		src:   src,
		log:   log,
		retry: backoff.Backoff{Min: time.Second, Max: 5 * time.Second},
		down:  make(map[endpoint]string),
	}
	for _, spec := range cfg.Listen {
		e, err := parseEndpoint(spec)
		if err != nil {
			return nil, err
		}
		s.endpoints = append(s.endpoints, e)
		if host, _, err := net.SplitHostPort(e.address); err == nil && host != "" && e.network == "tcp" {
			s.listenNames = append(s.listenNames, hostOf(e.address))
		}
	}
	if (cfg.TLSCertFile == "") != (cfg.TLSKeyFile == "") {
		return nil, errors.New("TLS needs both a certificate file and a key file")
	}
	if cfg.TLSClientCAFile != "" && cfg.TLSCertFile == "" {
		return nil, errors.New("TLS client certificates need a server certificate file")
	}
	if cfg.TLSCertFile != "" {
		s.certs = newCertificates(cfg.TLSCertFile, cfg.TLSKeyFile, cfg.TLSClientCAFile, log)
	}
	if err := s.Reconfigure(cfg.Live); err != nil {
		return nil, err
	}

	mostConns := shareOf(descriptorLimit())
	maxConns, maxAnswers := cfg.MaxConns, cfg.MaxAnswers
	if maxConns <= 0 {
		maxConns = mostConns
	}
	if maxAnswers <= 0 {
		maxAnswers = defaultMaxAnswers
	}
	s.rejected = src.Set.NewCounterVec("portsyncd_http_rejected_total",
		"Clients turned away to protect the daemon, by reason.", "reason", rejectReasons...)
	s.conns = newLimiter(maxConns, s.rejected, s.countOwn)
	s.answers = newAnswers(maxAnswers, max(1, runtime.GOMAXPROCS(0)/2))
	s.profiles = make(chan struct{}, maxProfiles)
	s.addRoutes()
	s.http = http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ConnContext:       withConn,
		ConnState:         setState,
		// "OPTIONS *" needs credentials like everything else.
		DisableGeneralOptionsHandler: true,
		// What net/http has to say is about clients, and clients can make
		// it say a lot.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	// HTTP/2 would carry many requests on one connection, past the caps.
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	// It runs when the listeners are closed and no connection can be added.
	s.http.RegisterOnShutdown(s.conns.closeWaiting)
	s.stopped, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Reconfigure replaces the live part of the configuration and has the TLS files read
// again. On an error the live part stays.
func (s *Server) Reconfigure(live Live) error {
	auth, err := newAuthenticator(live.Credentials)
	if err != nil {
		return err
	}
	if s.certs != nil {
		s.certs.refresh()
	}
	s.live.Store(&liveState{json: live.JSON, auth: auth, hostNames: live.HostNames})
	return nil
}

// Start opens the configured addresses and serves in the background until
// [Server.Shutdown]. What cannot be opened is logged once and tried again with
// growing pauses, and so is what can no longer be reached. Call it once.
func (s *Server) Start() {
	for _, l := range s.cfg.Listeners {
		s.addAddr(l.Addr())
		s.wg.Go(func() { s.serve(l) })
	}
	for _, e := range s.endpoints {
		l, g := s.open(e, slog.LevelWarn)
		s.wg.Go(func() { s.keepServing(e, l, g) })
	}
}

// keepServing serves l; without one, or when it breaks, it opens e again.
func (s *Server) keepServing(e endpoint, l net.Listener, g *guard) {
	pause := s.retry
	for {
		if l != nil {
			s.serveGuarded(e, l, g)
			pause.Reset()
		}
		select {
		case <-s.stopped.Done():
			return
		case <-time.After(pause.Next()):
		}
		l, g = s.open(e, slog.LevelDebug)
	}
}

// open opens e. If it cannot, it logs that at a level and returns nil.
func (s *Server) open(e endpoint, level slog.Level) (net.Listener, *guard) {
	links := linksOf(e, s.cfg.Device) // before the socket is bound to them
	l, err := e.listen(s.stopped, s.cfg.Device)
	if err != nil {
		s.setDown(e, err)
		s.log.Log(context.Background(), level, "cannot listen for HTTP; retrying", "listen", e.String(), "error", err)
		return nil, nil
	}
	s.setDown(e, nil)
	s.addAddr(l.Addr())
	s.log.Info("serving metrics", "listen", l.Addr().String())
	return l, guardOf(e, l, links)
}

// serveGuarded serves l until it breaks, or until g finds that it cannot be reached.
func (s *Server) serveGuarded(e endpoint, l net.Listener, g *guard) {
	if g == nil {
		s.serve(l)
		return
	}
	ctx, cancel := context.WithCancel(s.stopped)
	var watch sync.WaitGroup
	watch.Go(func() {
		if err := g.wait(ctx); err != nil {
			s.setDown(e, err)
			s.log.Warn("HTTP listener lost; listening again", "listen", e.String(), "error", err)
			l.Close()
		}
	})
	s.serve(l)
	cancel()
	watch.Wait()
}

// setDown records why e is not served, or with nil that it is, and reports all that are
// not.
func (s *Server) setDown(e endpoint, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.down, e); err != nil {
		s.down[e] = err.Error()
	}
	if s.src.Down == nil {
		return
	}
	var all []string
	for _, e := range s.endpoints {
		if why, ok := s.down[e]; ok {
			all = append(all, e.String()+": "+why)
		}
	}
	s.src.Down(strings.Join(all, "; "))
}

// serve accepts connections from l until it is closed or breaks.
func (s *Server) serve(l net.Listener) {
	var secure *tls.Config
	if l.Addr().Network() != "unix" && s.certs != nil {
		secure = s.certs.config()
	}
	err := s.http.Serve(&limitedListener{Listener: l, limiter: s.conns, wrap: func(socket net.Conn) *conn {
		return newConn(socket, l.Addr(), secure, s.conns)
	}})
	s.removeAddr(l.Addr())
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		s.log.Error("HTTP listener failed", "listen", l.Addr().String(), "error", err)
	}
}

// Addrs returns the addresses that are served at present.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]net.Addr(nil), s.addrs...)
}

func (s *Server) addAddr(a net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addrs = append(s.addrs, a)
}

func (s *Server) removeAddr(a net.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.addrs {
		if s.addrs[i] == a {
			s.addrs = append(s.addrs[:i], s.addrs[i+1:]...)
			return
		}
	}
}

// Shutdown stops listening, closes connections that are not being answered,
// and waits for the answers in work until ctx ends, when it cuts them off.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down metrics server: %w", err)
		s.http.Close()
	}
	s.wg.Wait()
	return err
}
