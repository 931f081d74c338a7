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

// Connection timeouts. A scrape of thousands of series takes less than a millisecond. The timeouts
// allow for slow networks and close unused connections.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	writeTimeout      = 10 * time.Second
	idleTimeout       = 2 * time.Minute // longer than a usual scrape interval
	maxHeaderBytes    = 8 << 10
)

// Default values for ServerConfig.
const (
	defaultMaxConns     = 128
	defaultMaxResponses = 8
)

// ServerConfig is the configuration of a [Server]. Only the fields of [Live] can be changed while
// the server is running.
type ServerConfig struct {
	// Listen lists the addresses to listen on.
	Listen []Endpoint
	// Listeners lists listeners that the caller opened, for example by systemd socket activation.
	// The server closes them.
	Listeners []net.Listener
	// Device is the network device or VRF to which the TCP sockets of Listen are bound
	// (SO_BINDTODEVICE, socket(7)). If empty, they are not bound.
	Device string

	// TLSCertFile and TLSKeyFile are PEM files. Set both or neither. If they are set, TCP listeners
	// accept only TLS 1.2 or later. The server detects changes to the files.
	TLSCertFile, TLSKeyFile string
	// TLSClientCAFile is a PEM file with certificate authorities. If it is set, clients must
	// present a certificate signed by one of them.
	TLSClientCAFile string

	// Profiling enables /debug/pprof/ on loopback addresses and unix sockets.
	Profiling bool

	// MaxConns is the maximum number of connections. 0 means 128, or less if the process may
	// open few file descriptors. MaxResponses is the maximum number of large responses in
	// memory at the same time. 0 means 8.
	MaxConns, MaxResponses int

	Live
}

// Live holds the configuration that [Server.Reconfigure] can change.
type Live struct {
	// JSON makes JSON the default format of /metrics for clients that do not request a format.
	JSON bool
	// Credentials are required from TCP clients. The zero value requires none. Unix sockets are
	// protected by their file mode instead.
	Credentials Credentials
	// HostNames lists names of this host in lower case, in addition to those that [Server]
	// determines itself. TCP requests with any other name in the Host header are rejected.
	HostNames []string
}

// Sources holds the functions that provide the content of HTTP responses. They are called
// concurrently and must not block.
type Sources struct {
	Set *Set
	// Health and Ready return the responses for /healthz and /readyz. If nil, the server responds
	// with status 503.
	Health, Ready func() Health
	// Ports and Status append the JSON documents of /ports and /status to b. If nil, the path
	// does not exist.
	Ports, Status func(b []byte) []byte
	// Events returns a function that appends the JSON document of /events for a query to b, or
	// an error if the query is invalid. If nil, the path does not exist.
	Events func(query string) (appendTo func(b []byte) []byte, err error)
	// Page appends the HTML document of / to b. If nil, the path does not exist.
	Page func(b []byte) []byte
	// PortPage returns a function that appends the HTML document of /ports/NAME to b, or nil if
	// there is no such port. The name is unescaped and can contain any bytes. If PortPage is nil,
	// the path does not exist.
	PortPage func(name string) (appendTo func(b []byte) []byte)
	// PagePolicy is the Content-Security-Policy of Page and PortPage.
	PagePolicy string
	// Down is called whenever a listener opens or fails. addresses lists the addresses in Listen
	// that have no listener, with the reason for each; it is empty if all have one. Down must not
	// call methods of the server. It may be nil.
	Down func(addresses string)
}

// Server is the HTTP server for /metrics, /metrics.json, /healthz, /readyz, /ports, /status,
// /events and the pages at / and /ports/NAME.
//
// Its limits protect the daemon and other clients from hostile clients:
//
//   - Each read and write has a deadline. Headers are limited to 8 KiB. Only GET and HEAD are
//     allowed, and request bodies are not read.
//   - The number of connections is limited: in total, for each source address, for all unix
//     sockets, and for TCP clients that have not authenticated. At a limit, the server closes a
//     connection on which it waits for a request or for the client to read, in favor of the new
//     connection. If there is none, the new connection gets a 503. A client with wrong credentials
//     is disconnected after the 401.
//   - The number of large responses in memory is limited. A request waits up to 2 s for memory,
//     then gets a 503. Meanwhile the server disconnects clients that do not read their response.
//   - At most half of the processors render responses at the same time, so that the others are
//     available for the daemon's own work.
//   - At most two profiles run at the same time.
//
// A Server serves the other addresses if one of them cannot be opened or its device or socket file
// is removed. It then retries that address in the background.
type Server struct {
	cfg ServerConfig
	// listenNames holds the hosts in Listen, as returned by hostOf.
	listenNames []string
	src         Sources
	log         *slog.Logger
	live        atomic.Pointer[liveState]

	http     http.Server
	certs    *certificates // nil without TLS
	conns    *limiter
	renderer *renderer
	profiles chan struct{} // running profiles
	rejected *Vec[Counter]
	routes   map[string]*route
	other    *route
	pprof    *route
	portPage *route // route for /ports/NAME; nil if there are no port pages

	retry    backoff.Backoff // copied by each endpoint that cannot be served
	panicked sync.Once

	stop    context.CancelFunc
	stopped context.Context
	wg      sync.WaitGroup

	mu    sync.Mutex
	addrs []net.Addr
	down  map[Endpoint]string // addresses without a listener, with the reason
}

// liveState is the parsed form of Live.
type liveState struct {
	json      bool
	auth      authenticator
	hostNames []string
}

// NewServer returns a server that is not listening yet; call [Server.Start] to start it. It adds
// the server's own metrics to src.Set. It returns an error if cfg is invalid.
func NewServer(cfg ServerConfig, src Sources, log *slog.Logger) (*Server, error) {
	s := &Server{
		cfg:   cfg,
		src:   src,
		log:   log,
		retry: backoff.Backoff{Min: time.Second, Max: 5 * time.Second},
		down:  make(map[Endpoint]string),
	}
	for _, e := range cfg.Listen {
		if host, _, err := net.SplitHostPort(e.Address); err == nil && host != "" && e.Network == "tcp" {
			s.listenNames = append(s.listenNames, hostOf(e.Address))
		}
	}
	if (cfg.TLSCertFile == "") != (cfg.TLSKeyFile == "") {
		return nil, errors.New("TLS requires both a certificate file and a key file")
	}
	if cfg.TLSClientCAFile != "" && cfg.TLSCertFile == "" {
		return nil, errors.New("TLS client certificates require a server certificate file")
	}
	if cfg.TLSCertFile != "" {
		s.certs = newCertificates(cfg.TLSCertFile, cfg.TLSKeyFile, cfg.TLSClientCAFile, log)
	}
	if err := s.Reconfigure(cfg.Live); err != nil {
		return nil, err
	}

	mostConns := connectionLimit(maxDescriptors())
	maxConns, maxResponses := cfg.MaxConns, cfg.MaxResponses
	if maxConns <= 0 {
		maxConns = mostConns
	}
	if maxResponses <= 0 {
		maxResponses = defaultMaxResponses
	}
	s.rejected = src.Set.NewCounterVec("portsyncd_http_rejected_total",
		"Total number of HTTP connections and requests rejected to limit the load on the daemon, by reason.", "reason", rejectReasons...)
	s.conns = newLimiter(maxConns, s.rejected, s.countProtocolError)
	s.renderer = newRenderer(maxResponses, max(1, runtime.GOMAXPROCS(0)/2))
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
		// "OPTIONS *" needs credentials like any other request.
		DisableGeneralOptionsHandler: true,
		// net/http logs errors caused by clients, which could flood the log.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	// With HTTP/2, one connection could carry many requests and evade the limits.
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	// closeWaiting runs after the listeners are closed, when no connection can be added.
	s.http.RegisterOnShutdown(s.conns.closeWaiting)
	s.stopped, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Reconfigure applies live and reloads the TLS files. If it returns an error, the previous live
// configuration remains in effect.
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

// Start opens the listeners and serves requests in the background until [Server.Shutdown] is
// called. If an address cannot be opened, the error is logged once, and the server retries with
// increasing delays. Start must be called only once.
func (s *Server) Start() {
	for _, l := range s.cfg.Listeners {
		s.addAddr(l.Addr())
		s.wg.Go(func() { s.serve(l) })
	}
	for _, e := range s.cfg.Listen {
		l, g := s.open(e, slog.LevelWarn)
		s.wg.Go(func() { s.keepServing(e, l, g) })
	}
}

// keepServing serves requests on l until Shutdown is called. If l is nil or fails, keepServing
// opens a new listener for e.
func (s *Server) keepServing(e Endpoint, l net.Listener, g *guard) {
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

// open opens a listener for the endpoint e. If this fails, it logs the error at the given level and
// returns nil.
func (s *Server) open(e Endpoint, level slog.Level) (net.Listener, *guard) {
	links := linksOf(e, s.cfg.Device) // read before listening, to detect later changes
	l, err := e.listen(s.stopped, s.cfg.Device)
	if err != nil {
		s.setDown(e, err)
		s.log.Log(context.Background(), level, "cannot listen for HTTP; retrying", "listen", e.String(), "error", err)
		return nil, nil
	}
	s.setDown(e, nil)
	s.addAddr(l.Addr())
	s.log.Info("listening for HTTP", "listen", l.Addr().String())
	return l, guardOf(e, l, links)
}

// serveGuarded serves l until l fails, or until g detects that l is unreachable.
func (s *Server) serveGuarded(e Endpoint, l net.Listener, g *guard) {
	if g == nil {
		s.serve(l)
		return
	}
	ctx, cancel := context.WithCancel(s.stopped)
	var watch sync.WaitGroup
	watch.Go(func() {
		if err := g.wait(ctx); err != nil {
			s.setDown(e, err)
			s.log.Warn("HTTP listener unreachable; reopening", "listen", e.String(), "error", err)
			l.Close()
		}
	})
	s.serve(l)
	cancel()
	watch.Wait()
}

// setDown records err as the reason why endpoint e has no listener, or records that e has a
// listener if err is nil. It then calls Sources.Down.
func (s *Server) setDown(e Endpoint, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if delete(s.down, e); err != nil {
		s.down[e] = err.Error()
	}
	if s.src.Down == nil {
		return
	}
	var all []string
	for _, e := range s.cfg.Listen {
		if why, ok := s.down[e]; ok {
			all = append(all, e.String()+": "+why)
		}
	}
	s.src.Down(strings.Join(all, "; "))
}

// serve accepts connections from l until l is closed or fails.
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

// Addrs returns the addresses of the open listeners.
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

// Shutdown closes the listeners and idle connections, and then waits for running requests. If ctx
// is done first, it closes their connections and returns an error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stop()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("shut down HTTP server: %w", err)
		s.http.Close()
	}
	s.wg.Wait()
	return err
}
