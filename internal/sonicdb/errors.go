package sonicdb

import (
	"errors"
	"fmt"
	"strings"
)

// ServerError is an error reply without its leading '-', for example
// "WRONGTYPE Operation against a key holding the wrong kind of value". The
// connection it came over stays usable.
type ServerError string

func (e ServerError) Error() string { return "redis: " + string(e) }

// Code returns the first word, which by convention names the kind of error:
// "WRONGTYPE", "NOSCRIPT", or "ERR" where there is no better one.
func (e ServerError) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// temporaryCodes are refusals that end by themselves or by the operator's
// hand, without a change on our side.
var temporaryCodes = [...]string{
	"LOADING",     // the server reads its dump at start
	"BUSY",        // another client's script runs too long
	"READONLY",    // a replica, until it is promoted
	"OOM",         // maxmemory is reached
	"MASTERDOWN",  // a replica without its master that may not serve old data
	"MISCONF",     // writes are refused until the server can save to its disk again
	"TRYAGAIN",    // cluster: the slot is moving
	"CLUSTERDOWN", // cluster: part of it is away
}

// Temporary reports whether err holds a ServerError that makes it worth to send
// the same command again after a pause. For I/O and protocol errors it is
// false: those call for another connection.
func Temporary(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	if strings.HasPrefix(string(e), "ERR max number of clients reached") {
		return true
	}
	for _, code := range temporaryCodes {
		// Servers before 7.0 wrap a refusal met within a script:
		// "ERR Error running script (call to f_...): @user_script:1: -OOM ..."
		// (redis 6.0 src/scripting.c, luaPushError and evalGenericCommand).
		if e.Code() == code || e.Code() == "ERR" && strings.Contains(string(e), ": -"+code+" ") {
			return true
		}
	}
	return false
}

// Denied reports whether err holds a ServerError by which an access control list
// forbids a command. It says nothing about the row, and ends when the operator
// changes the list.
func Denied(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	// What a script may not do is an ERR since 7.0 and was wrapped before
	// (redis 7.2 src/script.c, scriptVerifyACL; 6.0 src/scripting.c).
	return e.Code() == "NOPERM" || e.Code() == "ERR" &&
		(strings.Contains(string(e), ": -NOPERM ") || strings.Contains(string(e), "The user executing the script can't "))
}

// ProtocolError says that the server sent something that is no RESP2 reply,
// breaks a limit of this package, or does not answer the command that was sent.
type ProtocolError struct {
	Want string // what was expected
	Got  string // the beginning of what came, as received; may be empty
}

func (e *ProtocolError) Error() string {
	if e.Got == "" {
		return "redis protocol: want " + e.Want
	}
	return fmt.Sprintf("redis protocol: got %q, want %s", e.Got, e.Want)
}

// protocolError keeps as much of got as is useful in a log line.
func protocolError(want string, got []byte) *ProtocolError {
	return &ProtocolError{Want: want, Got: string(got[:min(len(got), 32)])}
}

// RowError is a ServerError that concerns one row of several.
type RowError struct {
	Key string // of the row, without the table's name
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %q: %v", e.Key, e.Err) }

// Unwrap returns the server's error.
func (e *RowError) Unwrap() error { return e.Err }
