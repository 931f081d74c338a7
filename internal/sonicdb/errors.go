package sonicdb

import (
	"errors"
	"fmt"
	"strings"
)

// ServerError is the text of an error reply, for example "WRONGTYPE Operation against a key holding
// the wrong kind of value". The connection stays usable.
type ServerError string

func (e ServerError) Error() string { return "redis: " + string(e) }

// Code returns the first word, which by convention is the kind of error: "WRONGTYPE", "NOSCRIPT", or
// "ERR" for errors without a specific code.
func (e ServerError) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// temporaryCodes are the codes of errors that end without a change of the command.
var temporaryCodes = [...]string{
	"LOADING",     // the server is starting and reads its dump
	"BUSY",        // the script of another client takes too long
	"READONLY",    // the server is a replica
	"OOM",         // maxmemory is exceeded
	"MASTERDOWN",  // a replica lost its master and must not return old data
	"MISCONF",     // the server cannot save to its disk
	"TRYAGAIN",    // cluster: the slot is being moved
	"CLUSTERDOWN", // cluster: some nodes are down
}

// Temporary reports whether err wraps a ServerError after which the same command can succeed later.
// It returns false for I/O and protocol errors, which require a new connection.
func Temporary(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	if strings.HasPrefix(string(e), "ERR max number of clients reached") {
		return true
	}
	for _, code := range temporaryCodes {
		// Servers before 7.0 wrap errors of commands in scripts:
		// "ERR Error running script (call to f_...): @user_script:1: -OOM ..."
		// (redis 6.0 src/scripting.c, luaPushError and evalGenericCommand).
		if e.Code() == code || e.Code() == "ERR" && strings.Contains(string(e), ": -"+code+" ") {
			return true
		}
	}
	return false
}

// Denied reports whether err wraps a ServerError because the access control list forbids the command.
// The error does not concern a row, and ends when the operator changes the list.
func Denied(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	// In a script the error has the code ERR since 7.0, and was wrapped before
	// (redis 7.2 src/script.c, scriptVerifyACL; 6.0 src/scripting.c).
	return e.Code() == "NOPERM" || e.Code() == "ERR" &&
		(strings.Contains(string(e), ": -NOPERM ") || strings.Contains(string(e), "The user executing the script can't "))
}

// ProtocolError means that the server sent invalid RESP2, exceeded a limit of this package, or sent a
// reply with the wrong type for the command.
type ProtocolError struct {
	Want string // what was expected
	Got  string // beginning of the received data; may be empty
}

func (e *ProtocolError) Error() string {
	if e.Got == "" {
		return "redis protocol: expected " + e.Want
	}
	return fmt.Sprintf("redis protocol: got %q, expected %s", e.Got, e.Want)
}

// protocolError returns a ProtocolError with the first bytes of got.
func protocolError(want string, got []byte) *ProtocolError {
	return &ProtocolError{Want: want, Got: string(got[:min(len(got), 32)])}
}

// RowError is the ServerError of one of several rows.
type RowError struct {
	Key string // key of the row without the name of the table
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %q: %v", e.Key, e.Err) }

// Unwrap returns the server's error.
func (e *RowError) Unwrap() error { return e.Err }
