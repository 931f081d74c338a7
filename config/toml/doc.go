// Package toml reads the part of TOML 1.0 (https://toml.io/en/v1.0.0) that a
// configuration file of scalars needs, and refuses everything else by name.
//
// # Accepted
//
//	file      = UTF-8, lines ended by LF or CRLF; a byte order mark may come first
//	comment   = # to the end of the line; tab is the only control character in it
//	statement = key = value   |   [table]   |   nothing
//	key       = bare (A-Z a-z 0-9 _ -), "basic" or 'literal', joined by dots
//	string    = "basic", 'literal', """multi-line basic""", '''multi-line literal'''
//	escape    = \b \t \n \f \r \" \\ \uXXXX \UXXXXXXXX, and in multi-line basic
//	            strings a backslash that swallows the line end
//	integer   = 64-bit signed; 0x, 0o and 0b forms; underscores between digits
//	float     = IEEE 754 binary64, with fraction, exponent or both; inf, nan
//	boolean   = true | false
//	array     = [value, value, ] over any number of lines, types may differ
//	table     = [header], dotted keys, and inline { key = value } on one line
//
// Defining things twice is judged as TOML 1.0 does: no key is set twice, no
// table has two headers, an inline table is complete where it stands, a dotted
// key does not reach into a table that has a header.
//
// # Refused although TOML 1.0 has it
//
// Each is recognised, so that a malformed one is reported as malformed and a
// good one as not supported; errors.Is(err, [errors.ErrUnsupported]) tells the
// two apart.
//
//   - Dates and times: a switch daemon has no setting that is a moment. Calendar
//     arithmetic that nothing reads would only be code to get wrong.
//   - Arrays of tables ([[name]]): every table of a configuration is known by
//     its name. Lists of scalars are arrays.
//   - Nesting deeper than [MaxDepth], and files larger than [MaxSize]: limits of
//     this reader, far from any real file, which bound stack and memory.
//   - Floats whose magnitude is beyond binary64, which TOML leaves open.
//
// # Errors
//
// One run reports every problem, up to [MaxErrors]: the reader goes on behind a
// value it could not read, and after an error of structure at the next line that
// can begin a statement. Only a multi-line string without an end hides what
// follows it.
package toml
