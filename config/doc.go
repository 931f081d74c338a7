// Package config parses the configuration file of portsyncd: a strict subset of TOML 1.0 with typed
// and validated settings. It keeps the position of each value, for messages.
//
// # The file
//
// The grammar is in the documentation of package [portsyncd/config/toml]. In short:
//
//	# a comment
//	[table]
//	key = value      # true, 10, 0x1F, 5.0, "text", 'text', ["a", "b"]
//
// The syntax of TOML 1.0 for these types is supported, including dotted keys, inline tables,
// multi-line strings and number bases. Dates and arrays of tables are errors. The tables and keys
// are those in portsyncd.conf.example and the fields of [Config], which document unit, range and
// default. Errors are:
//
//   - an unknown table or key; the message suggests the most similar known one;
//   - a value of another type; there is no conversion, except that an integer is accepted for a
//     float;
//   - a value out of range;
//   - a setting without another one that it needs, such as a key file without a certificate file.
//
// # Errors
//
// [Parse] reports all errors of a file, each in the form
//
//	portsyncd.conf:12:8: metrics.listen: expected ..., got ...; did you mean ...?
//
// and still returns a usable Config, since the daemon must synchronize ports even with a wrong
// configuration: invalid settings have their defaults. The settings that determine who can access
// the HTTP listener are all reset to their defaults if one of them may be wrong, so that a misspelled
// password hash does not open the listener to everyone.
//
// # Reload
//
// [Config.Reload] returns the settings in effect after a file was read again, and the changes,
// including those that need a restart.
//
// # Concurrency
//
// The package has no mutable global state. Its functions may be called from any goroutine; a Config
// must not be used while it is modified.
package config
