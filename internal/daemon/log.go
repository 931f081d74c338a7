package daemon

import (
	"errors"
	"log/slog"

	"portsyncd/config"
	"portsyncd/internal/syslog"
)

// openLog sets the configured log level. The LOGGER row of CONFIG_DB overrides this level when it
// is read.
func (d *Daemon) openLog() {
	d.Logs.SetLevel(d.initialLevel())
	d.Logs.SetFormat(logFormat(&d.Config))
	d.log = slog.New(d.Logs)
}

// component returns the logger for the named component of the daemon.
func (d *Daemon) component(name string) *slog.Logger { return d.log.With(syslog.ComponentKey, name) }

// initialLevel returns the configured log level. It applies until the LOGGER row of CONFIG_DB is
// read, and it is written to the row if the row has no LOGLEVEL.
func (d *Daemon) initialLevel() slog.Level {
	level, err := syslog.ParseLevelFold(d.Config.Daemon.LogLevel.String())
	if err != nil {
		return syslog.LevelNotice
	}
	return level
}

// logFormat returns the configured format of log lines on stdout and stderr.
func logFormat(cfg *config.Config) syslog.Format {
	if cfg.Daemon.LogFormat == config.JSONLog {
		return syslog.JSON
	}
	return syslog.Text
}

// logConfigErrors logs each error of a configuration file on a separate line.
func logConfigErrors(log *slog.Logger, err error) {
	var all config.Errors
	if !errors.As(err, &all) {
		log.Error("cannot load the configuration", "error", err)
	}
	for _, e := range all {
		log.Error("configuration error", "error", e)
	}
}
