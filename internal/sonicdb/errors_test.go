package sonicdb

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestTemporary checks which errors are temporary, inside and outside of scripts.
func TestTemporary(t *testing.T) {
	want := map[string]bool{
		"loading": true, "busy": true, "readonly": true, "oom": true, "oom in a script": true,
		"masterdown": true, "misconf": true, "max clients": true,
		"wrongtype": false, "wrongtype in a script": false, "noscript": false, "noauth": false, "wrongpass": false,
		"unknown command": false, "db out of range": false, "execabort": false,
	}
	for _, rec := range recordings(t) {
		temporary, ok := want[rec.name]
		if !ok {
			continue
		}
		delete(want, rec.name)
		err := fmt.Errorf("write row: %w", ServerError(rec.bytes[1:len(rec.bytes)-2]))
		if got := Temporary(err); got != temporary {
			t.Errorf("%s: %v: got %v, want %v", rec.name, err, got, temporary)
		}
	}
	for name := range want {
		t.Errorf("%s: not recorded", name)
	}
	for err, temporary := range map[error]bool{
		nil:    false,
		io.EOF: false,
		ServerError("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -OOM command not allowed"): true,
		ServerError("ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation"):                       false,
		ServerError("TRYAGAIN Multiple keys request during rehashing of slot"):                                           true,
		ServerError("CLUSTERDOWN The cluster is down"):                                                                   true,
		ServerError("BUSYKEY Target key name already exists."):                                                           false,
		ServerError(""):    false,
		&ProtocolError{}:   false,
		errors.New("BUSY"): false,
		errors.Join(&RowError{"Ethernet0", ServerError("OOM command not allowed")}): true,
	} {
		if got := Temporary(err); got != temporary {
			t.Errorf("%v: got %v, want %v", err, got, temporary)
		}
	}
}

// TestServerErrorCode checks the code of errors with and without further text.
func TestServerErrorCode(t *testing.T) {
	for in, want := range map[ServerError]string{
		"WRONGTYPE Operation": "WRONGTYPE", "ERR x y": "ERR", "NOSCRIPT": "NOSCRIPT", "": "",
	} {
		if got := in.Code(); got != want {
			t.Errorf("%q: got %q, want %q", string(in), got, want)
		}
	}
}

// TestProtocolErrorIsShort checks that an error does not contain a whole reply.
func TestProtocolErrorIsShort(t *testing.T) {
	err := protocolError("something", make([]byte, 1000))
	if len(err.Got) > 32 {
		t.Errorf("keeps %d bytes of what came", len(err.Got))
	}
}

// TestDenied checks errors of access control lists inside and outside of scripts.
func TestDenied(t *testing.T) {
	for err, denied := range map[error]bool{
		nil:    false,
		io.EOF: false,
		ServerError("NOPERM this user has no permissions to run the 'evalsha' command"):                                                     true,
		ServerError("NOPERM The user executing the script can't run this command or subcommand"):                                            true,
		ServerError("ERR The user executing the script can't run this command or subcommand"):                                               true,
		ServerError("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -NOPERM this user has no permissions to run"): true,
		ServerError("WRONGTYPE Operation against a key holding the wrong kind of value"):                                                    false,
		ServerError("ERR Error running script (call to f_1): @user_script:1: WRONGTYPE Operation"):                                          false,
		ServerError("ERR unknown command 'HSET'"):                                                                                           false,
		errors.Join(&RowError{"PortConfigDone", ServerError("NOPERM this user has no permissions to run the 'eval' command")}):              true,
	} {
		if got := Denied(err); got != denied {
			t.Errorf("%v: got %v, want %v", err, got, denied)
		}
	}
}

// TestAboutKey checks that only errors which the key causes are distinguished from those that say nothing
// about it.
func TestAboutKey(t *testing.T) {
	for err, about := range map[error]bool{
		nil:    false,
		io.EOF: false,
		ServerError("WRONGTYPE Operation against a key holding the wrong kind of value"):                                             true,
		fmt.Errorf("read: %w", ServerError("WRONGTYPE Operation against a key holding the wrong kind of value")):                     true,
		ServerError("NOPERM this user has no permissions to run the 'hmget' command"):                                                false,
		ServerError("LOADING Redis is loading the dataset in memory"):                                                                false,
		ServerError("NOREPLICAS Not enough good replicas to write."):                                                                 false,
		ServerError("ERR Error running script (call to f_1): @user_script:1: @user_script: 1: -NOREPLICAS Not enough good replicas"): false,
	} {
		if got := AboutKey(err); got != about {
			t.Errorf("%v: got %v, want %v", err, got, about)
		}
	}
}
