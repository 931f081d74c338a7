package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"portsyncd/config"
	"portsyncd/internal/daemon"
	"portsyncd/internal/journal"
	"portsyncd/internal/snapshot"
	"portsyncd/internal/statusview"
	"portsyncd/internal/warmrestart"
)

const reportUsage = `usage: portsyncd report [options]

Analyze the restarts and samples that the daemon stored: rates, percentiles,
trends, anomalies, restart storms, bursts of link messages, ports with link-down
transitions, and recommended settings. The daemon does not need to be running,
and its files are not changed.

options:
  -c FILE               configuration file, default ` + defaultConfig + `
  --storage DIR         directory to read, default metrics.storage_path
  --since WHEN          ignore older records; WHEN is an age (7d, 12h, 90m) or
                        a time (2026-11-01 or 2026-11-01T08:00:00Z)
  --json                print one JSON document
  --html FILE           write a self-contained HTML page with plots
` + displayUsage + `  -h                    print this help

exit status:
  0 report printed or written, also if the history is empty
  1 storage missing or unreadable, invalid option, or FILE not writable
`

// reportOptions holds the options of the report command.
type reportOptions struct {
	display
	config  configFlag
	storage string
	since   string
	json    bool
	html    string
}

// reportCommand prints or writes a report and returns the exit status.
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
		printError(stderr, "report", err)
		return daemon.ExitError
	}
	return daemon.ExitOK
}

// parse parses the command line.
func (o *reportOptions) parse(args []string) (help bool, err error) {
	flags := flag.NewFlagSet("report", flag.ContinueOnError)
	flags.Var(&o.config, "c", "")
	flags.StringVar(&o.storage, "storage", "", "")
	flags.StringVar(&o.since, "since", "", "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.html, "html", "", "")
	o.display.flags(flags)
	if help, err = parseOptions(flags, args); help || err != nil {
		return help, err
	}
	return false, o.check()
}

// run creates the report and prints it or writes it to a file.
func (o *reportOptions) run(stdout, stderr io.Writer, now time.Time) error {
	cfg, err := o.config.load("report", stderr)
	if err != nil {
		return err
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

// makeReport analyzes the history in a storage directory, beginning at since. An empty directory is
// treated as an empty history.
func makeReport(storage string, since, now time.Time, settings warmrestart.ReadSettings) (*statusview.Report, error) {
	h, err := warmrestart.ReadHistory(storage, since, now)
	if err != nil {
		return nil, err
	}
	hasHistory := len(h.Restarts) > 0 || h.SampleCount > 0 || h.Counters != (warmrestart.Counters{})
	if !hasHistory {
		empty, err := isEmpty(storage)
		if err != nil {
			return nil, fmt.Errorf("read the history: %w", err)
		}
		if !empty && len(h.Problems) > 0 {
			return nil, fmt.Errorf("no history in %q: %s", storage, strings.Join(h.Problems, "; "))
		}
		h.Problems = nil // missing files are normal before the daemon writes them
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	flaps, problems, err := flapMinutes(storage, since)
	if err != nil {
		problems = append(problems, err.Error())
	}
	return &statusview.Report{
		Schema: statusview.ReportSchema, Time: now.UTC(), Version: daemon.Release, Host: host, Storage: storage,
		Analysis: warmrestart.Analyze(h, warmrestart.AnalysisOptions{Now: now.UTC(), Settings: settings}),
		Restarts: h.Restarts, Samples: h.Samples, FlapMinutes: flaps, Problems: append(h.Problems, problems...),
	}, nil
}

// isEmpty reports whether a directory is empty.
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

// readSettings returns the settings for which the report may recommend changes.
func readSettings(cfg *config.Config) warmrestart.ReadSettings {
	return warmrestart.ReadSettings{
		EOIUTimeout: cfg.WarmRestart.EOIUTimeout, KeepRestarts: cfg.WarmRestart.HistoryMaxRestarts,
		SaveInterval: cfg.Metrics.SaveInterval, Retention: cfg.Metrics.Retention, MaxFileSize: cfg.Metrics.MaxFileSize,
		MaxStall: cfg.Health.MaxStall, MaxFailures: cfg.Health.MaxFailureRatePercent / 100,
	}
}

// writePage writes the report's HTML page to a file atomically.
func writePage(path string, r *statusview.Report) error {
	// The file is replaced by a rename, which must not happen to a device or a pipe.
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("--html %q: not a regular file", path)
	}
	var page bytes.Buffer
	if err := statusview.WriteReportPage(&page, r); err != nil {
		return err
	}
	return snapshot.WriteFile(path, page.Bytes(), 0o644)
}

// parseSince parses the value of --since: an age, a date or time in the local time zone, or an RFC
// 3339 time. It returns the zero time if s is empty.
func parseSince(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	since, err := journal.ParseTime(s, now, time.Local)
	if err != nil {
		return time.Time{}, fmt.Errorf("--since: %w", err)
	}
	if since.After(now) || since.IsZero() {
		return time.Time{}, fmt.Errorf("--since: invalid time %q: must be in the past", s)
	}
	return since, nil
}
