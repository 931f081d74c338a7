package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/statusview"
	"portsyncd/portsync"
)

const statusUsage = `usage: portsyncd status [PORT...] [options]

Show the health, the ports and the pending operations of the running daemon, or
only the given ports. PORT is a name or an alias; a single PORT is shown with all
details. The command connects to a configured listener, preferably a unix
socket.

options:
  --down                only ports that are not up
  --flapping            only ports that flap
  --sort ORDER          changes (most first), last (newest change first) or name
  -c FILE               configuration file, default ` + defaultConfig + `
  --address ADDRESS     connect to unix:/PATH, HOST:PORT or http[s]://HOST[:PORT]
  --watch[=SECONDS]     repeat every SECONDS (default 2) until q or Ctrl-C
  --json                print the JSON document of the daemon, one per line
` + displayUsage + `  --ca FILE             trust this certificate authority (default: the certificate
                        in metrics.tls_cert_file and the authorities of the system)
  --cert FILE --key FILE  client certificate and its key
  --token-file FILE     file with the bearer token (default: the token is in
                        ` + tokenVariable + `)
  --user NAME           user name, default metrics.basic_username; the password is
                        in ` + passwordVariable + `
  -h                    print this help

exit status:
  0 healthy, 1 degraded, 2 unhealthy, 3 daemon not reachable,
  4 unknown: invalid option or file, access denied, or not a response of
    portsyncd. With --watch, the status of the last response.
`

// Exit statuses of "portsyncd status" other than 0, which means healthy or disabled. The values 3 (not
// running) and 4 (unknown) are those that the Linux Standard Base defines for init scripts (LSB 5.0,
// Core, section 22.2).
const (
	ExitDegraded  = 1
	ExitUnhealthy = 2
	ExitNoDaemon  = 3 // no daemon responds at the configured addresses
	ExitUnknown   = 4 // any other error
)

// statusOptions holds the options of the status command.
type statusOptions struct {
	display
	clientOptions
	selection statusview.Selection
	watch     watchFlag
	json      bool
}

// statusCommand prints the status of the running daemon and returns the exit status.
func statusCommand(args []string, stdout, stderr io.Writer) int {
	var o statusOptions
	help, err := o.parse(args)
	if help {
		fmt.Fprint(stdout, statusUsage)
		return daemon.ExitOK
	}
	var q *query
	if err == nil {
		q, err = o.newQuery(stdout, stderr)
	}
	if err != nil {
		printError(stderr, "status", err)
		return ExitUnknown
	}
	if o.watch.interval > 0 {
		return q.watch(o.watch.interval)
	}
	return q.once(context.Background())
}

// parse parses the command line. Options and ports may come in any order.
func (o *statusOptions) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	flags.Var(&o.watch, "watch", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.BoolVar(&o.selection.Down, "down", false, "")
	flags.BoolVar(&o.selection.Flapping, "flapping", false, "")
	flags.StringVar(&o.selection.Sort, "sort", "", "")
	o.clientOptions.flags(flags)
	o.display.flags(flags)
	if o.selection.Ports, help, err = parseMixed(flags, args); help || err != nil {
		return help, err
	}
	if isSet(flags, "sort") && !slices.Contains(statusview.SortOrders, o.selection.Sort) {
		return false, fmt.Errorf("invalid --sort %q: must be one of %s", o.selection.Sort, strings.Join(statusview.SortOrders, ", "))
	}
	return false, o.check()
}

// watchFlag is the value of the option --watch or --watch=SECONDS.
type watchFlag struct{ interval time.Duration } // 0: not given

const (
	defaultInterval = 2 * time.Second
	minInterval     = 100 * time.Millisecond
	maxInterval     = time.Hour
)

// IsBoolFlag allows the option to be given without a value.
func (w *watchFlag) IsBoolFlag() bool { return true }

func (w *watchFlag) String() string { return w.interval.String() }

// Set parses the value, which is "true" if the option is given without a value.
func (w *watchFlag) Set(s string) error {
	seconds, err := strconv.ParseFloat(s, 64)
	switch {
	case s == "true":
		w.interval = defaultInterval
	case err != nil || math.IsNaN(seconds) || seconds < minInterval.Seconds() || seconds > maxInterval.Seconds():
		return errors.New("expected 0.1 to 3600 seconds")
	default:
		w.interval = time.Duration(seconds * float64(time.Second))
	}
	return nil
}

// query holds what is needed to fetch status documents from a daemon and print them.
type query struct {
	targets        []target
	credentials    credentials
	origin         string // origin of the targets, for error messages, such as "by metrics.listen, FILE:LINE"
	storage        string // metrics.storage_path, which the daemon locks; "" with --address
	selection      statusview.Selection
	json           bool
	display        display
	stdout, stderr io.Writer
}

// newQuery returns a query for the options. It reads the configuration and the files named in the
// options.
func (o *statusOptions) newQuery(stdout, stderr io.Writer) (*query, error) {
	cfg, err := o.config.load("status", stderr)
	if err != nil {
		return nil, err
	}
	a, err := newAccess(&o.clientOptions, &cfg.Metrics)
	if err != nil {
		return nil, err
	}
	q := &query{credentials: a.credentials, selection: o.selection, json: o.json, display: o.display, stdout: stdout, stderr: stderr}
	if o.address != "" {
		t, err := givenTarget(o.address, a)
		q.targets, q.origin = []target{t}, "by --address"
		return q, err
	}
	q.storage = cfg.Metrics.StoragePath
	q.targets, err = configuredTargets(&cfg.Metrics, a)
	q.origin = "by metrics.listen, " + cfg.Origin("metrics.listen")
	return q, err
}

// once fetches and prints one status and returns the exit status.
func (q *query) once(ctx context.Context) int {
	body, s, err := q.fetch(ctx)
	if err != nil {
		printError(q.stderr, "status", err)
		return exitFor(s, err)
	}
	t := q.display.terminal(q.stdout)
	t.Height = 0 // print all lines; the terminal scrolls
	text, err := q.text(body, s, t)
	if err != nil {
		printError(q.stderr, "status", err)
		return ExitUnknown
	}
	if _, err := q.stdout.Write(text); err != nil {
		printError(q.stderr, "status", fmt.Errorf("print the status: %w", err))
		return ExitUnknown
	}
	return exitFor(s, nil)
}

// fetch returns the daemon's status document, both as received and decoded.
func (q *query) fetch(ctx context.Context) ([]byte, *statusview.Status, error) {
	body, err := fetch(ctx, q.targets, &q.credentials)
	if errors.Is(err, errNoDaemon) {
		return nil, nil, fmt.Errorf("%w; %s (address set %s)", err, q.hint(), q.origin)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := statusview.DecodeStatus(body)
	if err != nil {
		return nil, nil, fmt.Errorf("read the daemon's response: %w", err)
	}
	if len(q.selection.Ports) == 1 && !q.json {
		q.addEvents(ctx, s)
	}
	return body, s, nil
}

// hint returns what to check if no daemon responds. A daemon with the storage path of the configuration
// can be running: a reload does not change where it listens.
func (q *query) hint() string {
	if q.storage != "" {
		if pid := snapshot.LockHolder(q.storage); pid != 0 {
			return fmt.Sprintf("portsyncd is running as process %d but does not respond there: if metrics.listen was changed, "+
				"restart portsyncd, or use --address with the previous address", pid)
		}
	}
	return "check that portsyncd is running"
}

// portEvents is the number of events printed if a single port is selected.
const portEvents = 8

// addEvents adds the latest events of the selected port to s. It does nothing unless exactly one
// port is selected. If the request fails, s.Events remains nil.
func (q *query) addEvents(ctx context.Context, s *statusview.Status) {
	ports, err := q.selection.Apply(s)
	if err != nil || len(ports) != 1 {
		return
	}
	d, err := fetchEvents(ctx, q.targets, &q.credentials, &journal.Filter{Ports: []string{ports[0].Name}, Limit: portEvents})
	if err == nil {
		s.Events = append([]journal.Event{}, d.Events...)
	}
}

// text returns the output for a response. It returns an error if a selected port does not exist.
func (q *query) text(body []byte, s *statusview.Status, t statusview.Terminal) ([]byte, error) {
	if !q.json {
		return s.AppendSelection(nil, t, &q.selection)
	}
	if !q.selection.IsZero() {
		ports, err := q.selection.Apply(s)
		if err != nil {
			return nil, err
		}
		selected := *s
		selected.Ports = nil
		for _, v := range ports {
			selected.Ports = append(selected.Ports, *v)
		}
		return selected.AppendJSON(nil), nil
	}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		panic(err) // unreachable: DecodeStatus has parsed the document
	}
	return append(statusview.AppendASCII(nil, line.Bytes()), '\n'), nil
}

// exitFor returns the exit status of the command: it depends on the health in s or, if err is not
// nil, on the error.
func exitFor(s *statusview.Status, err error) int {
	switch {
	case errors.Is(err, errNoDaemon):
		return ExitNoDaemon
	case err != nil:
		return ExitUnknown
	case s.Health.Status == portsync.Degraded:
		return ExitDegraded
	case s.Health.Status == portsync.Unhealthy:
		return ExitUnhealthy
	}
	return daemon.ExitOK
}
