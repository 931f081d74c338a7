// Package config reads portsyncd's configuration file: a strict subset of TOML
// 1.0 in, typed and checked settings out, with the place each one came from.
//
// # The file
//
// The grammar is in the comment of package [portsyncd/config/toml]. In short:
//
//	# a comment
//	[table]
//	key = value      # true, 10, 0x1F, 5.0, "text", 'text', ["a", "b"]
//
// All spellings of TOML 1.0 for these are accepted (dotted keys, inline tables,
// multi-line strings, number bases), dates and arrays of tables are refused, and
// whatever TOML calls invalid is an error. The tables and keys are those of
// portsyncd.conf.example, which names unit, range and default of each; the
// fields of [Config] say the same. Nothing else is allowed in the file:
//
//   - an unknown table or key is an error that names the nearest known one;
//   - a value of another type is an error, never converted, except that an
//     integer may stand for a float;
//   - a value out of range is an error that names the range;
//   - a setting that asks for another (a certificate for its key) is an error
//     without it.
//
// # Errors
//
// [Parse] reports all problems of a file in one run, each as
//
//	portsyncd.conf:12:8: metrics.listen: expected ..., got ...; did you mean ...?
//
// and still returns a usable Config, because the daemon has to synchronise ports
// whatever its configuration says: bad settings have their defaults. Only the
// settings that decide who can read the HTTP listener stand and fall together,
// so that a misspelt password hash never opens a listener to everybody.
//
// # Changing settings while running
//
// [Config.Reload] returns what is in effect after a file was read again, and
// lists what the file changes, with those changes that wait for a restart. Nothing in this package is shared between
// Configs or kept between calls: any function may be called from any goroutine,
// on a Config that nobody is changing.
package config
