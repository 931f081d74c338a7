package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"portsyncd/lab"
)

// dbServer is what serves the databases of a cell, at a unix socket and at a TCP
// port.
type dbServer interface {
	start(at place) error
	stop()
}

// databases is how many a SONiC device has.
const databases = 32

// newServer returns a real Redis, or the in-memory database where there is none
// or PORTSYNCD_TEST_DB asks for it.
func newServer(t *testing.T) dbServer {
	t.Helper()
	switch kind := os.Getenv("PORTSYNCD_TEST_DB"); kind {
	case "lab":
		return newLab()
	case "redis":
		return newRedis(t)
	case "":
		if _, err := exec.LookPath("redis-server"); err != nil && os.Getenv("PORTSYNCD_REQUIRE_INTEGRATION") != "1" {
			return newLab()
		}
		return newRedis(t)
	default:
		t.Fatalf("PORTSYNCD_TEST_DB is %q, want redis or lab", kind)
		return nil
	}
}

// redisServer is a redis-server process without persistence.
type redisServer struct {
	cmd *exec.Cmd
	at  place
}

func newRedis(t *testing.T) *redisServer {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil || os.Getenv("PORTSYNCD_TEST_DB") == "lab" {
		lab.Unavailable(t, "this test needs redis-server")
	}
	return new(redisServer)
}

// start returns when the server takes connections.
func (r *redisServer) start(at place) error {
	r.at = at
	r.cmd = exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(at.port),
		"--unixsocket", at.socket, "--unixsocketperm", "777", "--databases", strconv.Itoa(databases),
		"--save", "", "--appendonly", "no", "--notify-keyspace-events", "AKE", "--dir", filepath.Dir(at.socket))
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.cmd.Start(); err != nil {
		return err
	}
	log := bufio.NewReader(stdout)
	var said bytes.Buffer
	for {
		line, err := log.ReadString('\n')
		said.WriteString(line)
		switch {
		case err != nil:
			return fmt.Errorf("redis-server: %w: %s", r.cmd.Wait(), &said)
		case bytes.Contains(said.Bytes(), []byte("connections at "+at.socket)):
			go io.Copy(io.Discard, log)
			return nil
		}
	}
}

// again starts the server anew, empty, after kill.
func (r *redisServer) again() error { return r.start(r.at) }

// kill ends the server as an out-of-memory killer would.
func (r *redisServer) kill() { r.stop() }

func (r *redisServer) stop() {
	r.cmd.Process.Kill()
	r.cmd.Wait()
}

// pause and resume hold the server up: connections stay open, and nobody
// answers.
func (r *redisServer) pause()  { r.cmd.Process.Signal(syscall.SIGSTOP) }
func (r *redisServer) resume() { r.cmd.Process.Signal(syscall.SIGCONT) }

// labServer is the in-memory database of package lab, in this process.
type labServer struct{ *lab.DB }

func newLab() *labServer {
	return &labServer{lab.NewDB(lab.DBOptions{Databases: databases, Notify: "AKE"})}
}

func (s *labServer) start(at place) error {
	unixListener, err := net.Listen("unix", at.socket)
	if err != nil {
		return err
	}
	tcpListener, err := net.Listen("tcp", at.tcp())
	if err != nil {
		return errors.Join(err, unixListener.Close())
	}
	go s.Serve(unixListener)
	go s.Serve(tcpListener)
	return nil
}

func (s *labServer) stop() { s.Close() }
