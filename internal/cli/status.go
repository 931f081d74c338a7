package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"strconv"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/statusview"
	"portsyncd/portsync"
)

const statusUsage = `usage: portsyncd status [options]

Asks the running daemon for its health, its ports and what is pending, and
prints it. It asks where the configuration says that the daemon listens, by a
unix socket if there is one.

options:
  -c FILE               configuration, default ` + defaultConfig + `
  --address ADDRESS     ask there: unix:/PATH, HOST:PORT or http[s]://HOST[:PORT]
  --watch[=SECONDS]     print it again every 2 or so many seconds, until Ctrl-C
  --json                print the daemon's own document, one a line
` + displayUsage + `  --ca FILE             authority of the daemon's certificate; without it that of
                        metrics.tls_cert_file is trusted, and the system's authorities
  --cert FILE --key FILE  certificate to show to the daemon
  --token-file FILE     bearer token; or put it into ` + tokenVariable + `
  --user NAME           user name, default metrics.basic_username; the password is
                        expected in ` + passwordVariable + `
  -h                    print this

exit status:
  0 healthy, 1 degraded, 2 unhealthy, 3 no daemon answers,
  4 it cannot be told: a bad option or file, access refused, or an answer that
    is not portsyncd's. With --watch, that of the last answer.
`

// Exit statuses of status. 3 and 4 mean the same to an init script (Linux
// Standard Base 5.0, Core, section 22.2: not running, unknown).
const (
	ExitDegraded  = 1
	ExitUnhealthy = 2
	ExitNoDaemon  = 3
	ExitUnclear   = 4
)

// statusOptions are those of the command line.
type statusOptions struct {
	display
	file      string
	required  bool // the file was named
	address   string
	watch     watchFlag
	json      bool
	ca        string
	cert, key string
	tokenFile string
	user      string
}

func statusCommand(args []string, stdout, stderr io.Writer) int {
	var o statusOptions
	help, err := o.parse(args)
	if help {
		fmt.Fprint(stdout, statusUsage)
		return daemon.ExitOK
	}
	var q *inquiry
	if err == nil {
		q, err = o.inquiry(stdout, stderr)
	}
	if err != nil {
		complain(stderr, "status", err)
		return ExitUnclear
	}
	if o.watch.every > 0 {
		return q.watch(o.watch.every)
	}
	return q.once(context.Background())
}

// parse reads the command line.
func (o *statusOptions) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("status", flag.ContinueOnError)
	flags.StringVar(&o.file, "c", defaultConfig, "")
	flags.StringVar(&o.address, "address", "", "")
	flags.Var(&o.watch, "watch", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.ca, "ca", "", "")
	flags.StringVar(&o.cert, "cert", "", "")
	flags.StringVar(&o.key, "key", "", "")
	flags.StringVar(&o.tokenFile, "token-file", "", "")
	flags.StringVar(&o.user, "user", "", "")
	o.display.flags(flags)
	if help, err = parseOptions(flags, args); help || err != nil {
		return help, err
	}
	o.required = isSet(flags, "c")
	return false, o.check()
}

// watchFlag is --watch or --watch=SECONDS.
type watchFlag struct{ every time.Duration } // 0: not given

const (
	watchDefault = 2 * time.Second
	watchLeast   = 100 * time.Millisecond
	watchMost    = time.Hour
)

// IsBoolFlag lets package flag take the option without a value.
func (w *watchFlag) IsBoolFlag() bool { return true }

func (w *watchFlag) String() string { return w.every.String() }

// Set is called with "true" where there is no value.
func (w *watchFlag) Set(s string) error {
	seconds, err := strconv.ParseFloat(s, 64)
	switch {
	case s == "true":
		w.every = watchDefault
	case err != nil || math.IsNaN(seconds) || seconds < watchLeast.Seconds() || seconds > watchMost.Seconds():
		return errors.New("expected 0.1 to 3600 seconds")
	default:
		w.every = time.Duration(seconds * float64(time.Second))
	}
	return nil
}

// inquiry is what is asked, and how the answer is shown.
type inquiry struct {
	targets        []target
	credentials    credentials
	origin         string // of the targets, for the words about a daemon that is not there
	json           bool
	display        display
	stdout, stderr io.Writer
}

// inquiry reads the configuration and the files that the options name. What the
// daemon would live with, a bad setting, is only worth a word here too.
func (o *statusOptions) inquiry(stdout, stderr io.Writer) (*inquiry, error) {
	cfg, err := daemon.LoadConfig(o.file, o.required)
	if o.required && errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		complain(stderr, "status", err)
	}
	a, err := newAccess(o, &cfg.Metrics)
	if err != nil {
		return nil, err
	}
	q := &inquiry{credentials: a.credentials, json: o.json, display: o.display, stdout: stdout, stderr: stderr}
	if o.address != "" {
		t, err := givenTarget(o.address, a)
		q.targets, q.origin = []target{t}, "as --address says"
		return q, err
	}
	q.targets, err = configuredTargets(&cfg.Metrics, a)
	q.origin = "by metrics.listen, " + cfg.Origin("metrics.listen")
	return q, err
}

// Once asks and prints once, and returns the exit status.
func (q *inquiry) once(ctx context.Context) int {
	body, s, err := q.ask(ctx)
	if err != nil {
		complain(q.stderr, "status", err)
		return exitFor(s, err)
	}
	t := q.display.terminal(q.stdout)
	t.Height = 0 // what scrolls away can be scrolled back
	if _, err := q.stdout.Write(q.text(body, s, t)); err != nil {
		complain(q.stderr, "status", fmt.Errorf("print the status: %w", err))
		return ExitUnclear
	}
	return exitFor(s, nil)
}

// Ask returns the daemon's document, as it came and read.
func (q *inquiry) ask(ctx context.Context) ([]byte, *statusview.Status, error) {
	body, err := ask(ctx, q.targets, &q.credentials)
	if errors.Is(err, errNobody) {
		return nil, nil, fmt.Errorf("%w; expected a running portsyncd there, %s", err, q.origin)
	}
	if err != nil {
		return nil, nil, err
	}
	s, err := statusview.DecodeStatus(body)
	if err != nil {
		return nil, nil, fmt.Errorf("the answer of the daemon: %w", err)
	}
	return body, s, nil
}

// Text is an answer as it is printed.
func (q *inquiry) text(body []byte, s *statusview.Status, t statusview.Terminal) []byte {
	if !q.json {
		return s.AppendText(nil, t)
	}
	var line bytes.Buffer
	if err := json.Compact(&line, body); err != nil {
		panic(err) // it was read as JSON
	}
	return append(statusview.AppendASCII(nil, line.Bytes()), '\n')
}

// exitFor is the exit status for an answer or for the lack of one.
func exitFor(s *statusview.Status, err error) int {
	switch {
	case errors.Is(err, errNobody):
		return ExitNoDaemon
	case err != nil:
		return ExitUnclear
	case s.Health.Status == portsync.Degraded:
		return ExitDegraded
	case s.Health.Status == portsync.Unhealthy:
		return ExitUnhealthy
	}
	return daemon.ExitOK
}
