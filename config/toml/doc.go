// Package toml parses the subset of TOML 1.0 (https://toml.io/en/v1.0.0) that a configuration file
// of tables with scalar settings needs, and reports everything else as an error.
//
// # Syntax
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
// A repeated definition is an error in the cases where TOML 1.0 makes it one: no key is set twice,
// no table has two headers, an inline table cannot be extended, and a dotted key cannot extend a
// table that has a header.
//
// # Not supported
//
// These parts of TOML 1.0 are errors:
//
//   - dates and times, since no setting is one;
//   - arrays of tables ([[name]]), since each table of a configuration has a fixed name;
//   - nesting deeper than [MaxDepth] and files larger than [MaxSize], to bound stack and memory;
//   - floats outside of the range of binary64, which TOML leaves to the implementation.
//
// # Errors
//
// [Parse] reports all problems of a file, up to [MaxErrors]. After an invalid value it continues
// behind the value, after a syntax error at the next line that can begin a statement. Only a
// multi-line string without closing quotes hides the rest of the file.
package toml
