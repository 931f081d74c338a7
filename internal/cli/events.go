package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"portsyncd/internal/daemon"
	"portsyncd/internal/journal"
	"portsyncd/internal/statusview"
)

const eventsUsage = `usage: portsyncd events [PORT...] [options]

List events of the given ports, or of all ports and the daemon: link up and down,
flaps, changes of the admin state and MTU, restarts, lost connections and changes
of the health state. The command queries the running daemon. It reads the files
in metrics.storage_path if the daemon does not respond or no longer has the
requested events in memory.

options:
  --since WHEN          first event: 90m, 12h, 7d, 2026-11-01 or
                        2026-11-01T08:00:00Z; default 24h, or 24h before --until
  --until WHEN          last event
  --kind KIND[,KIND]    only these kinds: link, port, daemon, or a kind as --json
                        prints it, such as link_down
  --limit N             only the newest N events
  --follow              print new events as they happen, until Ctrl-C
  --json                print one JSON object per line
  --storage DIR         read only the files in this directory
  -c FILE               configuration file, default ` + defaultConfig + `
  --address ADDRESS     connect to unix:/PATH, HOST:PORT or http[s]://HOST[:PORT],
                        and read no files
` + displayUsage + accessUsage + `  -h                    print this help

exit status: 0 the events were printed, even if there are none; 1 error
`

// accessUsage is the usage text for the clientOptions other than -c and --address.
const accessUsage = `  --ca FILE, --cert FILE, --key FILE, --token-file FILE, --user NAME
                        as for "portsyncd status"
`

// eventsOptions holds the options of the events command.
type eventsOptions struct {
	display
	clientOptions
	json                bool
	filter              journal.Filter
	since, until, kinds string
	follow              bool
	storage             string
}

// eventsCommand prints events and returns the exit status.
func eventsCommand(args []string, stdout, stderr io.Writer) int {
	var o eventsOptions
	help, err := o.parse(args, time.Now())
	if help {
		fmt.Fprint(stdout, eventsUsage)
		return daemon.ExitOK
	}
	var l *eventLister
	if err == nil {
		l, err = o.newLister(stdout, stderr)
	}
	if err == nil {
		err = l.run()
	}
	if err != nil {
		printError(stderr, "events", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// parse parses the command line. Options and port names may be mixed.
func (o *eventsOptions) parse(args []string, now time.Time) (help bool, err error) {
	flags := flag.NewFlagSet("events", flag.ContinueOnError)
	flags.StringVar(&o.since, "since", "", "")
	flags.StringVar(&o.until, "until", "", "")
	flags.StringVar(&o.kinds, "kind", "", "")
	flags.IntVar(&o.filter.Limit, "limit", 0, "")
	flags.BoolVar(&o.follow, "follow", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.storage, "storage", "", "")
	o.clientOptions.flags(flags)
	o.display.flags(flags)
	if o.filter.Ports, help, err = parseMixed(flags, args); help || err != nil {
		return help, err
	}
	return false, errors.Join(o.check(), o.setFilter(now, isSet(flags, "limit")))
}

// Number of events printed if --since is not given.
const (
	defaultSince  = 24 * time.Hour
	followedFirst = 10 // recent events printed first with --follow
)

// setFilter validates the event selection options and sets the filter.
func (o *eventsOptions) setFilter(now time.Time, limited bool) (err error) {
	f := &o.filter
	switch {
	case o.follow && o.until != "":
		return errors.New("--follow and --until exclude each other")
	case o.storage != "" && o.address != "":
		return errors.New("--storage and --address exclude each other")
	case limited && (f.Limit < 1 || f.Limit > journal.MaxLimit):
		return fmt.Errorf("invalid --limit %d: must be 1 to %d", f.Limit, journal.MaxLimit)
	}
	switch {
	case o.since != "":
		if f.Since, err = journal.ParseTime(o.since, now, time.Local); err != nil {
			return fmt.Errorf("--since: %w", err)
		}
	case o.follow && !limited:
		f.Limit = followedFirst
	}
	if o.until != "" {
		if f.Until, err = journal.ParseTime(o.until, now, time.Local); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
		if f.Until.Before(f.Since) {
			return fmt.Errorf("--until %s is before --since %s", o.until, o.since)
		}
		now = f.Until
	}
	if o.since == "" && !o.follow && !limited {
		f.Since = now.Add(-defaultSince)
	}
	if o.kinds != "" {
		if f.Kinds, err = journal.ParseKinds(o.kinds); err != nil {
			return fmt.Errorf("--kind: %w", err)
		}
	}
	return nil
}

// newLister returns an eventLister for the options. It reads the configuration and the files named
// in the options.
func (o *eventsOptions) newLister(stdout, stderr io.Writer) (*eventLister, error) {
	l := &eventLister{filter: o.filter, follow: o.follow, json: o.json, stdout: stdout, stderr: stderr, storage: o.storage,
		terminal: o.display.terminal(stdout)}
	if o.storage != "" {
		return l, nil
	}
	cfg, err := o.config.load("events", stderr)
	if err != nil {
		return nil, err
	}
	a, err := newAccess(&o.clientOptions, &cfg.Metrics)
	if err != nil {
		return nil, err
	}
	l.credentials = a.credentials
	if o.address != "" {
		t, err := givenTarget(o.address, a)
		l.targets = []target{t}
		return l, err
	}
	l.storage = cfg.Metrics.StoragePath
	if l.targets, err = configuredTargets(&cfg.Metrics, a); err != nil {
		l.note("%v; reading the files in %s", err, l.storage)
	}
	return l, nil
}

// eventLister prints events.
type eventLister struct {
	targets        []target // addresses of the daemon; nil: read only the files
	credentials    credentials
	storage        string // "": read no files
	filter         journal.Filter
	follow, json   bool
	terminal       statusview.Terminal
	stdout, stderr io.Writer

	buffer  []byte
	process time.Time // start time of the daemon that responded last
	last    uint64    // sequence number of the newest event seen
	problem string    // last problem printed while following
	printed bool      // at least one event was printed
	unknown []string  // selected names that belong to no port of the daemon
}

// note prints a message that is not an event.
func (l *eventLister) note(format string, args ...any) {
	printError(l.stderr, "events", fmt.Errorf(format, args...))
}

// run prints the existing events, and new events if --follow is set.
func (l *eventLister) run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := l.list(ctx)
	switch {
	case err == nil && l.follow:
		l.noteUnknown()
		err = l.followEvents(ctx)
	case err == nil && !l.printed:
		l.note("no event matches%s", l.period())
		l.noteUnknown()
	}
	if ctx.Err() != nil && !errors.Is(err, errPrint) {
		return nil
	}
	return err
}

// noteUnknown prints a message about selected names that belong to no port. A port that no longer
// exists may have recorded events.
func (l *eventLister) noteUnknown() {
	if len(l.unknown) > 0 && !l.printed {
		l.note("the daemon has no port with the name or alias %s", quoted(l.unknown))
	}
}

// quoted returns names in quotes, separated by commas. The caller must escape them for output.
func quoted(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = `"` + name + `"`
	}
	return strings.Join(all, ", ")
}

// period describes the period of the filter for a message, or returns "" if it has no limits.
func (l *eventLister) period() (text string) {
	if !l.filter.Since.IsZero() {
		text += " since " + l.filter.Since.Local().Format(time.DateTime)
	}
	if !l.filter.Until.IsZero() {
		text += " until " + l.filter.Until.Local().Format(time.DateTime)
	}
	return text
}

// list prints the existing events.
func (l *eventLister) list(ctx context.Context) error {
	d, err := l.fetch(ctx, &l.filter)
	switch {
	case errors.Is(err, errNoFetch):
		return l.listFiles(nil)
	case errors.Is(err, errNoDaemon) && l.storage != "":
		if l.follow {
			l.problem = fmt.Sprintf("%v; following the files in %s until it responds", err, l.storage)
			l.note("%s", l.problem)
		} else {
			l.note("%v; reading the files in %s", err, l.storage)
		}
		return l.listFiles(nil)
	case err != nil:
		return err
	}
	l.process, l.last = d.Process, d.LastSeq
	l.addAliases(d)
	l.unknown = d.UnknownPorts
	if d.Complete {
		return l.print(d.Events)
	}
	if l.storage == "" {
		l.note("the daemon does not hold enough events in memory; older events are in its files")
		return l.print(d.Events)
	}
	return l.listFiles(d.Events)
}

// addAliases adds the names of the ports that the daemon selected by alias to the filter, because events
// contain no aliases.
func (l *eventLister) addAliases(d *journal.Document) {
	for _, name := range d.AliasPorts {
		if !slices.Contains(l.filter.Ports, name) {
			l.filter.Ports = append(l.filter.Ports, name)
		}
	}
}

// listFiles prints the events stored in files, followed by newer events from the daemon.
func (l *eventLister) listFiles(fromDaemon []journal.Event) error {
	var newest []journal.Event // used only with a limit
	last := uint64(0)
	stats, err := journal.Read(l.storage, &l.filter, func(e *journal.Event) error {
		last = max(last, e.Seq)
		if l.filter.Limit > 0 {
			newest = append(newest, *e)
			return nil
		}
		return l.print([]journal.Event{*e})
	})
	for _, problem := range stats.Problems {
		l.note("%s", problem)
	}
	switch {
	case errors.Is(err, errPrint) || err != nil && fromDaemon == nil:
		return err
	case err != nil:
		l.note("%v; showing only the events that the daemon holds in memory", err)
	}
	for _, e := range fromDaemon {
		if e.Seq > last {
			newest = append(newest, e)
		}
	}
	l.last = max(l.last, last)
	if l.filter.Limit > 0 {
		newest = newest[max(0, len(newest)-l.filter.Limit):]
	}
	return l.print(newest)
}

// errNoFetch is returned by fetch if events are read only from files.
var errNoFetch = errors.New("no target")

// fetch returns the events that the daemon holds in memory.
func (l *eventLister) fetch(ctx context.Context, f *journal.Filter) (*journal.Document, error) {
	if len(l.targets) == 0 {
		return nil, errNoFetch
	}
	return fetchEvents(ctx, l.targets, &l.credentials, f)
}

// fetchEvents returns the events that the daemon holds in memory. targets are the targets of the
// status document.
func fetchEvents(ctx context.Context, targets []target, c *credentials, f *journal.Filter) (*journal.Document, error) {
	targets = slices.Clone(targets)
	for i := range targets {
		targets[i].url = strings.TrimSuffix(targets[i].url, statusPath) + eventsPath + "?" + f.Query()
	}
	body, err := fetch(ctx, targets, c)
	if err != nil {
		return nil, err
	}
	d, err := journal.DecodeDocument(body)
	if err != nil {
		return nil, fmt.Errorf("read the daemon's response: %w", err)
	}
	return d, nil
}

// eventsPath is the URL path of the events document.
const eventsPath = "/events"

// errPrint is returned if output cannot be written.
var errPrint = errors.New("print the events")

// print prints events.
func (l *eventLister) print(events []journal.Event) error {
	b := l.buffer[:0]
	if l.json {
		for i := range events {
			b = append(events[i].AppendJSON(b), '\n')
		}
	} else {
		b = statusview.AppendEvents(b, events, l.terminal)
	}
	l.buffer = b
	if len(b) == 0 {
		return nil
	}
	l.printed = true
	if _, err := l.stdout.Write(b); err != nil {
		return fmt.Errorf("%w: %w", errPrint, err)
	}
	return nil
}
