package sonicdb

import (
	"errors"
	"fmt"
	"strings"
)

// ServerError is the text of an error reply, for example "WRONGTYPE Operation against a key holding
// the wrong kind of value". The connection remains usable.
type ServerError string

func (e ServerError) Error() string { return "redis: " + string(e) }

// Code returns the first word of the error, by convention its code: for example "WRONGTYPE",
// "NOSCRIPT", or "ERR" for general errors.
func (e ServerError) Code() string {
	code, _, _ := strings.Cut(string(e), " ")
	return code
}

// temporaryCodes are the codes of errors after which a retry of the same command can succeed.
var temporaryCodes = [...]string{
	"LOADING",     // the server is loading its data at startup
	"BUSY",        // another client's script is taking too long
	"READONLY",    // the server is a replica
	"OOM",         // maxmemory is exceeded
	"MASTERDOWN",  // a replica has no connection to its master
	"MISCONF",     // the server cannot save to disk
	"NOREPLICAS",  // too few replicas are connected
	"TRYAGAIN",    // cluster: the slot is being moved
	"CLUSTERDOWN", // cluster: nodes are down
}

// Temporary reports whether err wraps a ServerError that is temporary, so that a retry of the
// command can succeed. It returns false for I/O and protocol errors, which require a new
// connection.
func Temporary(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	if strings.HasPrefix(string(e), "ERR max number of clients reached") {
		return true
	}
	for _, code := range temporaryCodes {
		// Before 7.0, servers wrap the errors of commands in scripts: "ERR Error running script
		// (call to f_...): @user_script:1: -OOM ..." (redis 6.0 src/scripting.c, luaPushError and
		// evalGenericCommand).
		if e.Code() == code || e.Code() == "ERR" && strings.Contains(string(e), ": -"+code+" ") {
			return true
		}
	}
	return false
}

// Denied reports whether err wraps a ServerError with which the access control list denied the
// command. Such an error does not depend on the row; it persists until the list is changed.
func Denied(err error) bool {
	var e ServerError
	if !errors.As(err, &e) {
		return false
	}
	// Inside a script, the error has the code ERR since 7.0; earlier versions wrap it (redis 7.2
	// src/script.c, scriptVerifyACL; 6.0 src/scripting.c).
	return e.Code() == "NOPERM" || e.Code() == "ERR" &&
		(strings.Contains(string(e), ": -NOPERM ") || strings.Contains(string(e), "The user executing the script can't "))
}

// AboutKey reports whether err wraps a ServerError that the key of the command causes, for example because
// the key has another type. Such an error says something about the key, and a retry fails again. Other
// errors say nothing about the key: they are temporary, or the access control list denies the command.
func AboutKey(err error) bool {
	var e ServerError
	return errors.As(err, &e) && !Temporary(err) && !Denied(err)
}

// ProtocolError indicates that the server sent invalid RESP2, exceeded a limit of this package, or
// sent a reply of the wrong type.
type ProtocolError struct {
	Want string // description of the expected data
	Got  string // first bytes of the received data; may be empty
}

func (e *ProtocolError) Error() string {
	if e.Got == "" {
		return "redis protocol: expected " + e.Want
	}
	return fmt.Sprintf("redis protocol: got %q, expected %s", e.Got, e.Want)
}

// protocolError returns a ProtocolError that includes the first bytes of got.
func protocolError(want string, got []byte) *ProtocolError {
	return &ProtocolError{Want: want, Got: string(got[:min(len(got), 32)])}
}

// RowError is a ServerError for one row of a batch.
type RowError struct {
	Key string // key of the row without the table name
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("row %q: %v", e.Key, e.Err) }

// Unwrap returns the server's error.
func (e *RowError) Unwrap() error { return e.Err }
