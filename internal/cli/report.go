package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/statusview"
	"portsyncd/internal/warmrestart"
)

const reportUsage = `usage: portsyncd report [options]

Reads what the daemon has stored of its restarts and of its work, and says how
it went: rates, percentiles, trends, anomalies, storms, flapping ports, and what
to change. The daemon need not run; nothing is written to its files.

options:
  -c FILE               configuration, default ` + defaultConfig + `
  --storage DIR         read there instead of in metrics.storage_path
  --since WHEN          leave out what is older: 7d, 12h, 90m, 2026-11-01 or
                        2026-11-01T08:00:00Z
  --json                print one JSON document
  --html FILE           write a page with plots, which needs no other file
` + displayUsage + `  -h                    print this

exit status: 0 the report is made, also where there is no history yet; 1 the
storage is missing or cannot be read, an option is bad, FILE cannot be written.
`

// reportOptions are those of the command line.
type reportOptions struct {
	display
	file     string
	required bool // the file was named
	storage  string
	since    string
	json     bool
	html     string
}

func reportCommand(args []string, stdout, stderr io.Writer) int {
	var o reportOptions
	help, err := o.parse(args)
	if help {
		fmt.Fprint(stdout, reportUsage)
		return daemon.ExitOK
	}
	if err == nil {
		err = o.run(stdout, stderr, time.Now())
	}
	if err != nil {
		complain(stderr, "report", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// parse reads the command line.
func (o *reportOptions) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.StringVar(&o.file, "c", defaultConfig, "")
	flags.StringVar(&o.storage, "storage", "", "")
	flags.StringVar(&o.since, "since", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.html, "html", "", "")
	o.display.flags(flags)
	if help, err = parseOptions(flags, args); help || err != nil {
		return help, err
	}
	o.required = isSet(flags, "c")
	return false, o.check()
}

// Run makes the report and hands it out.
func (o *reportOptions) run(stdout, stderr io.Writer, now time.Time) error {
	cfg, err := daemon.LoadConfig(o.file, o.required)
	switch {
	case o.required && errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		complain(stderr, "report", err) // the daemon would live with it too
	}
	since, err := parseSince(o.since, now)
	if err != nil {
		return err
	}
	if o.storage == "" {
		o.storage = cfg.Metrics.StoragePath
	}
	r, err := makeReport(o.storage, since, now, readSettings(&cfg))
	if err != nil {
		return err
	}
	if o.html != "" {
		if err := writePage(o.html, r); err != nil {
			return err
		}
	}
	var text []byte
	switch {
	case o.json:
		text, err = r.AppendJSON(nil)
	case o.html == "":
		t := o.display.terminal(stdout)
		t.Height = 0
		text = r.AppendText(nil, t)
	}
	if err == nil {
		_, err = stdout.Write(text)
	}
	if err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	return nil
}

// makeReport reads a storage and says what is in it.
func makeReport(storage string, since, now time.Time, settings warmrestart.ReadSettings) (*statusview.Report, error) {
	h, err := warmrestart.ReadHistory(storage, since, now)
	if err != nil {
		return nil, err
	}
	known := len(h.Restarts) > 0 || h.SampleCount > 0 || h.Counters != (warmrestart.Counters{})
	if !known {
		empty, err := isEmpty(storage)
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if !empty && len(h.Problems) > 0 {
			return nil, fmt.Errorf("there is no history in %q: %s", storage, strings.Join(h.Problems, "; "))
		}
		h.Problems = nil // that a file is missing which nobody has written yet
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &statusview.Report{
		Schema: statusview.ReportSchema, Time: now.UTC(), Version: daemon.Release, Host: host, Storage: storage,
		Analysis: warmrestart.Analyse(h, warmrestart.AnalysisOptions{Now: now.UTC(), Settings: settings}),
		Restarts: h.Restarts, Samples: h.Samples, Problems: h.Problems,
	}, nil
}

// isEmpty reports whether a directory has no entry. It does not read them all.
func isEmpty(dir string) (bool, error) {
	f, err := os.Open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// readSettings are the settings that a recommendation may be about.
func readSettings(cfg *config.Config) warmrestart.ReadSettings {
	return warmrestart.ReadSettings{
		EOIUTimeout: cfg.WarmRestart.EOIUTimeout, KeepRestarts: cfg.WarmRestart.HistoryMaxRestarts,
		SaveInterval: cfg.Metrics.SaveInterval, Retention: cfg.Metrics.Retention, MaxFileSize: cfg.Metrics.MaxFileSize,
		MaxStall: cfg.Health.MaxStall, MaxFailures: cfg.Health.MaxFailureRatePercent / 100,
	}
}

// writePage writes the page of a report, whole or not at all.
func writePage(path string, r *statusview.Report) error {
	// A device or a pipe would be replaced by the file.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--html %q: it exists and is not a regular file", path)
	}
	var page bytes.Buffer
	if err := statusview.WriteReportPage(&page, r); err != nil {
		return err
	}
	return snapshot.WriteFile(path, page.Bytes(), 0o644)
}

// parseSince reads a point in time: so long ago, or a date of this machine's
// zone, or RFC 3339. The zero time stands for "".
func parseSince(s string, now time.Time) (since time.Time, err error) {
	bad := fmt.Errorf("--since %q: expected 7d, 12h, 2026-11-01 or 2026-11-01T08:00:00Z, in the past", s)
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly, "2006-01-02T15:04", time.DateTime} {
		if since, err = time.ParseInLocation(layout, s, time.Local); err == nil {
			break
		}
	}
	if err != nil {
		ago, ok := parseAgo(s)
		if !ok {
			return time.Time{}, bad
		}
		since = now.Add(-ago)
	}
	if since.After(now) || since.IsZero() {
		return time.Time{}, bad
	}
	return since.UTC(), nil
}

// parseAgo reads a duration in days or weeks, or in the units of package time.
func parseAgo(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	for suffix, unit := range map[string]time.Duration{"d": day, "w": 7 * day} {
		if digits, ok := strings.CutSuffix(s, suffix); ok {
			n, err := strconv.ParseUint(digits, 10, 16)
			return time.Duration(n) * unit, err == nil && time.Duration(n) <= 100*365*day/unit
		}
	}
	ago, err := time.ParseDuration(s)
	return ago, err == nil && ago >= 0
}
